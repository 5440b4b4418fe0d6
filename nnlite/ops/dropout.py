"""Masks that set values to zero with some probability, from 16 random bits for each value."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from nnlite.ops.engine import twin

BITS = 1 << 16


def threshold(p: float) -> int:
    """Below how many of 2¹⁶ bits' values a value is dropped: p, rounded to 2⁻¹⁶."""
    return min(round(p * BITS), BITS - 1)


def scale(dropped: int) -> float:
    """What is kept is multiplied by this, 1/(1 − p)."""
    return BITS / (BITS - dropped)


def random_bits(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Sixteen random bits for each value, which takes half the time of drawing a float.

    A generator of 64 bits at a time cuts each of its numbers into four, the lowest bits first, and
    so does a view of the numbers themselves, in half the time again: unless half of one is left
    over from an earlier call.
    """
    count, state = math.prod(shape), rng.bit_generator.state
    if count % 4 or state.get("has_uint32", 1) or sys.byteorder == "big":
        return rng.integers(0, BITS, shape, np.uint16)
    return rng.bit_generator.random_raw(count // 4).view(np.uint16).reshape(shape)


@twin
def mask_of_bits(bits: np.ndarray, dropped: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The mask m: 0 where the bits' value is below `dropped`, and `scale` elsewhere."""
    return (bits >= dropped) * dtype.type(scale(dropped))


@twin
def dropout(x: np.ndarray, bits: np.ndarray, dropped: int) -> tuple[np.ndarray, np.ndarray]:
    """x ⊙ m and m, of which x's shape may be a multiple."""
    mask = mask_of_bits(bits, dropped, x.dtype)
    return x * mask, mask
