"""Masks, and the product with them, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.ops import dropout as definitions
from nnlite.ops.compiled.kernel import DOUBLE, FLOAT, fits, kernel, plain
from nnlite.ops.threads import over_parts

BITS = np.dtype(np.uint16)


def mask_of_bits(bits: np.ndarray, dropped: int, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype not in (FLOAT, DOUBLE) or not _are_bits(bits):
        return plain(definitions.mask_of_bits)(bits, dropped, dtype)
    mask = np.empty(bits.shape, dtype)
    flat, m, value = bits.reshape(-1), mask.reshape(-1), definitions.scale(dropped)
    over_parts(
        lambda part: write_mask(flat[part], dropped, value, m[part]), bits.size, bits.size // 4
    )
    return mask


def dropout(x: np.ndarray, bits: np.ndarray, dropped: int) -> tuple[np.ndarray, np.ndarray]:
    if x.shape != bits.shape or not fits(x) or not _are_bits(bits):
        return plain(definitions.dropout)(x, bits, dropped)
    y, mask = np.empty_like(x), np.empty_like(x)
    flat = [a.reshape(-1) for a in (x, bits, y, mask)]
    value = definitions.scale(dropped)
    over_parts(lambda part: _dropout(*(a[part] for a in flat), dropped, value), x.size, x.size // 4)
    return y, mask


def _are_bits(bits: np.ndarray) -> bool:
    return bits.dtype == BITS and bits.flags.c_contiguous


@kernel
def write_mask(bits, dropped, value, mask):
    real = mask.dtype.type
    zero, value, dropped = real(0), real(value), np.uint16(dropped)
    for i in range(bits.size):
        mask[i] = value if bits[i] >= dropped else zero


@kernel
def _dropout(x, bits, y, mask, dropped, value):
    real = x.dtype.type
    zero, value, dropped = real(0), real(value), np.uint16(dropped)
    for i in range(x.size):
        m = value if bits[i] >= dropped else zero
        mask[i] = m
        y[i] = x[i] * m  # NaN where x is ∞ and dropped, as in a product
