"""Sums and affine maps per channel, over rows whose last axis is the channels.

With 32 channels, adding a bias makes NumPy start a new inner loop every 32 values. So k rows are
read as one, k·C ≈ 8,192 values wide, and the factors are repeated k times: three times as fast
(and the rounding errors of sums are smaller: k short sums instead of a long one).
Passes over the same array run block by block, so that all but the first find it in the cache. A
column sum is the product 1ᵀ x, which BLAS runs twice as fast as NumPy its sum.

Arrays here are (B, R, k·C): B groups of rows that share their factors (one for batch
normalization, one per sample for the others). Factors and sums are (B, C).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from nnlite.ops.engine import twin
from nnlite.ops.products import sum_rows
from nnlite.ops.threads import BLOCK, over_parts

WIDTH = 8_192

Result = TypeVar("Result")
Index = tuple[slice, slice]  # a block of x: several groups, or some rows of one


def wide_rows(x: np.ndarray, groups: int) -> np.ndarray:
    """x (…, C) as (groups, R, k·C): a view, where x is contiguous."""
    channels = x.shape[-1]
    rows = x.size // (groups * channels)
    together = math.gcd(rows, max(1, WIDTH // channels))
    return x.reshape(groups, rows // together, together * channels)


@twin
def moments(x: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean squared deviation of each channel: (B, R, k·C) → (B, C) and (B, C).

    Each block yields its count, its mean and the squares about that; a mean over blocks weighs
    them, and the squares about it are Σ (squares + count (block's mean − mean)²). Where a
    mean is far from zero, its rounding error may exceed small deviations from it; the mean of the
    deviations is that error, and is added to it.
    Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 1.7
    (that correction) and 2.1.
    """

    def squares(block: Index) -> tuple[slice, int, np.ndarray, np.ndarray]:
        part = x[block]
        count = part[0].size // channels
        mean = _sums(part, channels) / count
        part = part - _spread(mean, x)
        left = _sums(part, channels) / count
        part *= part
        return block[0], count, mean + left, _sums(part, channels) - count * left**2

    return merged(_over_blocks(squares, x, products=True), x, channels)


def merged(
    blocks: list[tuple[slice, int, np.ndarray, np.ndarray]], x: np.ndarray, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """The moments of x from those of its blocks: their groups, counts, means and squares."""
    mean, square = np.zeros((2, len(x), channels), blocks[0][2].dtype)
    total = x[0].size // channels
    for group, count, part, _ in blocks:
        mean[group] += part * (count / total)
    for group, count, part, around in blocks:
        square[group] += around / total + (part - mean[group]) ** 2 * (count / total)
    return mean.astype(x.dtype, copy=False), square.astype(x.dtype, copy=False)


@twin
def sums_along(g: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums Σ g and Σ (x − mean) ⊙ g over the rows, each (B, C)."""
    mean_wide, channels = _spread(mean, x), mean.shape[-1]

    def sums(block: Index) -> tuple[slice, np.ndarray, np.ndarray]:
        part = x[block] - mean_wide[block[0]]
        part *= g[block]
        return block[0], _sums(g[block], channels), _sums(part, channels)

    return added(_over_blocks(sums, x, products=True), mean)


def added(
    blocks: list[tuple[slice, np.ndarray, np.ndarray]], like: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two sums (B, C) each, from those of blocks, given with their groups."""
    first, second = np.zeros((2, *like.shape), like.dtype)
    for group, *parts in blocks:
        first[group] += parts[0]
        second[group] += parts[1]
    return first, second


@twin
def scale_and_shift(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """scale ⊙ x + shift."""
    scale, shift = _spread(scale, x), _spread(shift, x)
    y = np.empty_like(x)

    def affine(block: Index) -> None:
        part = np.multiply(x[block], scale[block[0]], out=y[block])
        part += shift[block[0]]

    _over_blocks(affine, x)
    return y


@twin
def combine(
    g: np.ndarray, x: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """a ⊙ g + b ⊙ x + c."""
    a, b, c = (_spread(values, x) for values in (a, b, c))
    y = np.empty_like(x)

    def combined(block: Index) -> None:
        part = np.multiply(x[block], b[block[0]], out=y[block])
        part += c[block[0]]
        part += g[block] * a[block[0]]

    _over_blocks(combined, x)
    return y


def _spread(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(B, C) → (B, 1, k·C), to go with x."""
    return np.tile(values, x.shape[2] // values.shape[1])[:, None]


def _sums(part: np.ndarray, channels: int) -> np.ndarray:
    """The sum of each channel over the rows: (B, R, k·C) → (B, C)."""
    rows = sum_rows(part).reshape(len(part), -1, channels)
    return sum_rows(rows)


def _over_blocks(
    work: Callable[[Index], Result], x: np.ndarray, products: bool = False
) -> list[Result]:
    """`work` for blocks of x that stay in the cache, in several threads; its results in order."""
    groups, rows, width = x.shape
    rows_at_once = max(1, BLOCK // width)
    groups_at_once = max(1, rows_at_once // rows)
    blocks = [
        (slice(i, i + groups_at_once), slice(j, j + rows_at_once))
        for i in range(0, groups, groups_at_once)
        for j in range(0, rows, rows_at_once)
    ]

    def each(part: slice) -> list[Result]:
        return [work(block) for block in blocks[part]]

    parts = over_parts(each, len(blocks), x.size, products)
    return [result for results in parts for result in results]
