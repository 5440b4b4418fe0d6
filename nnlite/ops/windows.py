"""Maxima and sums over sliding windows, one axis after the other.

The maximum (or the sum) over a kh × kw window is that over kw columns of those over kh rows, so
kh + kw strided passes over whole arrays do the work of kh · kw.

Window i of an axis covers the padded positions i·stride … i·stride + kernel − 1. Tap o of all
windows is then one slice, x[o :: stride]. Windows stand on the axes 1, 2, … of (N, …, C).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Windows:
    """The windows along one axis."""

    size: int  # of the axis, without padding
    kernel: int
    stride: int
    padding: int  # before the first value and after the last one
    count: int  # how many windows, and so outputs

    @property
    def after(self) -> int:
        """Padding after the last value, as far as a window reaches (negative: values unused)."""
        return (self.count - 1) * self.stride + self.kernel - self.size - self.padding

    @property
    def apart(self) -> bool:
        """Whether no value belongs to two windows."""
        return self.stride >= self.kernel

    @property
    def tiles(self) -> bool:
        """Whether every value belongs to exactly one window."""
        return self.stride == self.kernel and self.padding == self.after == 0

    def taps(self, axis: int) -> Iterator[tuple[slice, ...]]:
        """An index for every place in the kernel: that place in all windows."""
        for offset in range(self.kernel):
            end = offset + (self.count - 1) * self.stride + 1
            yield (*axis * [slice(None)], slice(offset, end, self.stride))


def max_windows(x: np.ndarray, windows: Sequence[Windows]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The maxima, and for each axis which tap was the first to reach it.

    The last axis goes first: the first row with the maximum, and in it the first column, is then
    the first maximum in reading order.
    """
    winners = []
    y = _padded(x, windows, -np.inf)
    for axis, along in reversed(list(enumerate(windows, start=1))):
        first, *others = along.taps(axis)
        best = y[first]
        winner = np.zeros(best.shape, np.min_scalar_type(along.kernel - 1))
        for offset, tap in enumerate(others, start=1):
            better = y[tap] > best
            np.maximum(winner, better * winner.dtype.type(offset), out=winner)
            best = np.maximum(best, y[tap])
        y = best
        winners.append(winner)
    return y, winners[::-1]


def max_windows_backward(
    g: np.ndarray, winners: list[np.ndarray], windows: Sequence[Windows]
) -> np.ndarray:
    """Each gradient goes to the value that was the maximum."""
    for axis, (along, winner) in enumerate(zip(windows, winners, strict=True), start=1):
        d = _room(g.shape, axis, along, g.dtype)
        for offset, tap in enumerate(along.taps(axis)):
            if along.apart:
                np.multiply(g, winner == offset, out=d[tap])
            else:
                d[tap] += g * (winner == offset)
        g = d
    return _cropped(g, windows)


def sum_windows(x: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    """The sum over each window."""
    y = _padded(x, windows, 0)
    for axis, along in enumerate(windows, start=1):
        first, *others = along.taps(axis)
        total = y[first].copy()
        for tap in others:
            total += y[tap]
        y = total
    return y


def spread_windows(g: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    """Each value to all places of its window, added up: the transpose of `sum_windows`."""
    for axis, along in reversed(list(enumerate(windows, start=1))):
        d = _room(g.shape, axis, along, g.dtype)
        for tap in along.taps(axis):
            if along.apart:
                d[tap] = g
            else:
                d[tap] += g
        g = d
    return _cropped(g, windows)


def _padded(x: np.ndarray, windows: Sequence[Windows], value: float) -> np.ndarray:
    """X with `value` around it where windows reach beyond it."""
    if all(along.padding == 0 and along.after <= 0 for along in windows):
        return x
    shape = list(x.shape)
    for axis, along in enumerate(windows, start=1):
        shape[axis] += along.padding + max(0, along.after)
    padded = np.full(shape, value, x.dtype)
    padded[_inside(windows)] = x
    return padded


def _cropped(d: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    """The gradient of x, given that of `_padded`."""
    return d[_inside(windows)]


def _inside(windows: Sequence[Windows]) -> tuple[slice, ...]:
    return (
        slice(None),
        *(slice(along.padding, along.padding + along.size) for along in windows),
    )


def _room(shape: tuple[int, ...], axis: int, along: Windows, dtype: np.dtype[Any]) -> np.ndarray:
    """An array for the gradient before one axis was pooled, zero unless all will be written."""
    size = along.padding + along.size + max(0, along.after)
    new = np.empty if along.tiles else np.zeros
    return new((*shape[:axis], size, *shape[axis + 1 :]), dtype)
