"""Maxima and sums over sliding windows, in passes over strided parts of the images.

The maximum (or the sum) over a kh × kw window is that over kw columns of those over kh rows: one
axis after the other, kh + kw parts do the work of kh · kw. For the maxima of small windows one pass
over both axes at once takes a tenth to a fifth less time.

Window i of an axis covers the padded positions i·stride + o·dilation, o = 0 … kernel − 1. Tap o of
all windows is then one slice, x[o·dilation :: stride]. Windows stand on the axes 1, 2, … of
(N, …, C).

NumPy copies a slice with short runs of C values four times as fast as it computes on it, so a tap
that is used twice is copied first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite.ops.engine import twin
from nnlite.ops.threads import over_blocks

FEW = 4  # taps; up to so many the windows of both axes are looked at in one pass


@dataclass(frozen=True)
class Windows:
    """The windows along one axis."""

    size: int  # of the axis, without padding
    kernel: int
    stride: int
    padding: int  # before the first value
    count: int  # how many windows, and so outputs
    dilation: int = 1  # from one value of a window to the next

    @property
    def extent(self) -> int:
        """From a window's first value to its last one."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def after(self) -> int:
        """Padding after the last value, as far as a window reaches (negative: values unused)."""
        return (self.count - 1) * self.stride + self.extent - self.size - self.padding

    @property
    def room(self) -> int:
        """The size of the axis with its padding, as far as windows reach."""
        return self.padding + self.size + max(0, self.after)

    @property
    def apart(self) -> bool:
        """Whether no value belongs to two windows."""
        return self.stride >= self.extent

    @property
    def tiles(self) -> bool:
        """Whether every value belongs to exactly one window."""
        return self.stride == self.extent == self.kernel and self.padding == self.after == 0

    def begin_outside(self) -> Iterator[tuple[int, int]]:
        """The windows that begin in the padding, each with its first tap that does not."""
        for window in range(min(self.count, -(-self.padding // self.stride))):
            yield window, -(-(self.padding - window * self.stride) // self.dilation)

    def taps(self) -> list[slice]:
        """For every place in the kernel, that place in all windows."""
        last = (self.count - 1) * self.stride + 1
        places = range(0, self.extent, self.dilation)
        return [slice(place, place + last, self.stride) for place in places]


Index = tuple[slice, ...]


def taps_along(axes: Sequence[int], windows: Sequence[Windows]) -> list[Index]:
    """An index for every tap along some axes, in reading order; the other axes are kept whole."""
    whole = [slice(None)]
    each = (w.taps() if axis in axes else whole for axis, w in enumerate(windows, start=1))
    return list(itertools.product(whole, *each))


def passes(windows: Sequence[Windows]) -> list[tuple[list[int], list[Index]]]:
    """The axes that each pass for maxima takes, and the taps along them.

    Where it is one after the other, the last goes first: the first row with the maximum, and in it
    the first column, is then the first maximum in reading order.
    """
    axes = list(range(1, len(windows) + 1))
    at_once = math.prod(w.extent for w in windows) <= FEW and not any(w.padding for w in windows)
    each = [axes] if at_once else [[axis] for axis in reversed(axes)]
    return [(some, taps_along(some, windows)) for some in each]


@twin
def max_windows(x: np.ndarray, windows: Sequence[Windows]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The maxima; and for each pass, where each tap after the first was above all before it."""
    shape, above = list(_padded_shape(x, windows)), []
    steps = passes(windows)
    for axes, taps in steps:
        for axis in axes:
            shape[axis] = windows[axis - 1].count
        above.append(np.empty((len(x), len(taps) - 1, *shape[1:]), bool))
    y = np.empty(shape, x.dtype)

    def maxima(images: slice) -> None:
        best = _padded(x[images], windows, -np.inf)
        for (_, (first, *others)), better in zip(steps, above, strict=True):
            room = best
            best = room[first].copy()
            for index, tap in enumerate(others):
                other = room[tap].copy()
                np.greater(other, best, out=better[images, index])
                np.maximum(best, other, out=best)
        y[images] = best

    over_blocks(maxima, len(x), x.size)
    for (axes, _), better in zip(steps, above, strict=True):
        for window, offset in windows[axes[0] - 1].begin_outside():
            # padding is no maximum, even of −∞
            np.moveaxis(better, axes[0] + 1, 0)[window][:, offset - 1] = True
    return y, above


@twin
def max_windows_backward(
    g: np.ndarray, above: list[np.ndarray], windows: Sequence[Windows]
) -> np.ndarray:
    """Each gradient goes to the value that was the maximum: the last tap above those before it.

    Zeros and ones times its bits, as a whole number, select it even where it is infinite.
    """
    steps = passes(windows)[::-1]
    bits = {4: np.int32, 8: np.int64}.get(g.itemsize, g.dtype)
    d_x = _room(_padded_shape(g, windows), windows, g.dtype)

    def spread(images: slice) -> None:
        d = g[images].view(bits)
        for index, ((axes, taps), better) in enumerate(zip(steps, above[::-1], strict=True)):
            along, shape = [windows[axis - 1] for axis in axes], list(d.shape)
            for axis, each in zip(axes, along, strict=True):
                shape[axis] = each.room
            last = index == len(steps) - 1
            room = d_x[images] if last else _room(tuple(shape), along, g.dtype)
            for number in range(len(taps) - 1, 0, -1):
                part = better[images, number - 1].astype(bits)
                part *= d
                d = d - part
                _add(part.view(g.dtype), room[taps[number]], along)
            _add(d.view(g.dtype), room[taps[0]], along)
            d = room.view(bits)

    over_blocks(spread, len(g), d_x.size)
    return _cropped(d_x, windows)


def max_places(above: list[np.ndarray], windows: Sequence[Windows]) -> np.ndarray:
    """Where in x each maximum was, as a place in reading order: integers in y's shape.

    The places take the way that the maxima took.
    """
    sizes = [along.size for along in windows]
    places = np.arange(math.prod(sizes)).reshape(1, *sizes, 1)
    places = _padded(places, windows, -1)
    for (_, (first, *others)), better in zip(passes(windows), above, strict=True):
        room, places = places, places[first]
        for index, tap in enumerate(others):
            places = np.where(better[:, index], room[tap], places)
    shape = (len(above[0]), *(along.count for along in windows), above[0].shape[-1])
    return np.broadcast_to(places, shape)


def sum_windows(x: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    """The sum over each window."""
    y = _padded(x, windows, 0)
    for axis in range(1, len(windows) + 1):
        first, *others = taps_along([axis], windows)
        total = y[first].copy()
        for tap in others:
            total += y[tap]
        y = total
    return y


def spread_windows(g: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    """Each value to all places of its window, added up: the transpose of `sum_windows`."""
    for axis, along in reversed(list(enumerate(windows, start=1))):
        d = _room((*g.shape[:axis], along.room, *g.shape[axis + 1 :]), [along], g.dtype)
        for tap in taps_along([axis], windows):
            _add(g, d[tap], [along])
        g = d
    return _cropped(g, windows)


def _padded(x: np.ndarray, windows: Sequence[Windows], value: float) -> np.ndarray:
    """x with `value` around it where windows reach beyond it."""
    if all(along.room == along.size for along in windows):
        return x
    padded = np.full(_padded_shape(x, windows), value, x.dtype)
    padded[_inside(windows)] = x
    return padded


def _padded_shape(x: np.ndarray, windows: Sequence[Windows]) -> tuple[int, ...]:
    """The shape (N, …, C) of `_padded`."""
    return (len(x), *(along.room for along in windows), x.shape[-1])


def _cropped(d: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    """The gradient of x, given that of `_padded`."""
    return d[_inside(windows)]


def _inside(windows: Sequence[Windows]) -> tuple[slice, ...]:
    return (
        slice(None),
        *(slice(along.padding, along.padding + along.size) for along in windows),
    )


def _room(shape: tuple[int, ...], windows: Sequence[Windows], dtype: np.dtype[Any]) -> np.ndarray:
    """An array for the gradient before pooling, zero unless all of it will be written."""
    new = np.empty if all(along.tiles for along in windows) else np.zeros
    return new(shape, dtype)


def _add(g: np.ndarray, place: np.ndarray, along: Sequence[Windows]) -> None:
    """A gradient to the place of a tap; no other tap's lies there when windows are apart."""
    if all(each.apart for each in along):
        place[...] = g
    else:
        place += g
