"""Maxima over small windows, and their gradients, in one pass over the images.

For a window, the kernel goes through the taps, and for each through the channels, which lie side by
side: those loops have few arrays in them, so that the compiler runs them as vectors.

A pass over images takes as long as memory gives and takes them, whatever it computes on the way. So
what a rectifier before the pooling does to the values is done here too, when a chain asks for it:
max(x, 0) for the first tap of a window is enough, as no other is then above it that is not above 0.
For the same reason only a first tap, if it is the maximum, can have a slope of 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from nnlite.ops import windows as definitions
from nnlite.ops.compiled.kernel import fits, kernel, plain, uncounted
from nnlite.ops.threads import over_parts
from nnlite.ops.windows import Windows

MANY = 16  # channels, from which on loops over them pay


def max_windows(x: np.ndarray, windows: Sequence[Windows]) -> tuple[np.ndarray, list[np.ndarray]]:
    if not suit(x, windows):
        return plain(definitions.max_windows)(x, windows)
    return maxima(x, windows, rectified=False)


def maxima(
    x: np.ndarray, windows: Sequence[Windows], rectified: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    """What `max_windows` returns for x, or for max(x, 0), when they suit."""
    y = np.empty((len(x), *(along.count for along in windows), x.shape[-1]), x.dtype)
    taps, steps = _places(windows, x.shape[-1])
    above = np.empty((len(x), taps.size - 1, *y.shape[1:]), bool)
    over_parts(
        lambda part: _maxima(x[part], y[part], above[part], taps, *steps, rectified),
        len(x),
        x.size,
    )
    return y, [above]


def max_windows_backward(
    g: np.ndarray, above: list[np.ndarray], windows: Sequence[Windows]
) -> np.ndarray:
    if not suit(g, windows):
        return plain(definitions.max_windows_backward)(g, above, windows)
    return spread(g, above, windows, None)


def spread(
    g: np.ndarray, above: list[np.ndarray], windows: Sequence[Windows], x: np.ndarray | None
) -> np.ndarray:
    """What `max_windows_backward` returns, or behind max(x, 0) that times [x > 0]."""
    shape = (len(g), *(along.size for along in windows), g.shape[-1])
    new = np.empty if all(along.tiles for along in windows) else np.zeros
    d_x, (better,) = new(shape, g.dtype), above
    taps, steps = _places(windows, g.shape[-1])
    apart, rectified = all(along.apart for along in windows), x is not None
    signs = g if x is None else x
    over_parts(
        lambda part: _spread(
            g[part], d_x[part], better[part], taps, *steps, apart, signs[part], rectified
        ),
        len(g),
        d_x.size,
    )
    return d_x


def suit(a: np.ndarray, windows: Sequence[Windows]) -> bool:
    """Whether there are many channels, and all taps looked at in one pass, none outside of x."""
    if not fits(a) or a.shape[-1] < MANY:
        return False
    within = all(along.room == along.size for along in windows)
    return within and len(definitions.passes(windows)) == 1


def _places(windows: Sequence[Windows], channels: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Where in an image's memory a window's taps are, and how far it is to the next window.

    Down and across, that is: a sequence is an image of height 1.
    """
    *above, width = windows
    height = above[0] if above else Windows(1, 1, 1, 0, 1)
    row = width.size * channels
    rows, columns = (range(0, w.extent, w.dilation) for w in (height, width))
    taps = [k * row + m * channels for k, m in itertools.product(rows, columns)]
    return np.array(taps), (height.stride * row, width.stride * channels)


@kernel
def _maxima(x, y, above, taps, down, across, rectified):
    """The maxima, 0 at least if rectified; and where each tap was above all before it."""
    x, y, above, taps = uncounted(x), uncounted(y), uncounted(above), uncounted(taps)
    images, width, channels = len(x), y.shape[-2], y.shape[-1]
    values, maxima = x.reshape(images, -1), y.reshape(images, -1, channels)
    better = above.reshape(images, taps.size - 1, -1, channels)
    zero = x.dtype.type(0)
    for n in range(images):
        for window in range(maxima.shape[1]):
            start = window // width * down + window % width * across
            best = maxima[n, window]
            first = values[n, start + taps[0] : start + taps[0] + channels]
            if rectified:
                for c in range(channels):
                    best[c] = max(first[c], zero)
            else:
                for c in range(channels):
                    best[c] = first[c]
            for tap in range(1, taps.size):
                at = start + taps[tap]
                other, up = values[n, at : at + channels], better[n, tap - 1, window]
                for c in range(channels):
                    up[c] = other[c] > best[c]
                    # NaN where either is
                    best[c] = other[c] if up[c] | (other[c] != other[c]) else best[c]


@kernel
def _spread(g, d_x, above, taps, down, across, apart, x, rectified):
    """Each gradient to the last tap that was above those before it.

    That is the first one if none was, whose x then, if rectified, may not be above 0.
    """
    g, d_x, x = uncounted(g), uncounted(d_x), uncounted(x)
    above, taps = uncounted(above), uncounted(taps)
    images, width, channels = len(g), g.shape[-2], g.shape[-1]
    slopes, places = g.reshape(images, -1, channels), d_x.reshape(images, -1)
    signs = x.reshape(images, -1)
    better = above.reshape(images, taps.size - 1, -1, channels)
    largest = np.empty(channels, np.int32)  # the tap that was, of each channel
    passed = np.empty(channels, g.dtype)  # its slope
    zero = g.dtype.type(0)
    for n in range(images):
        for window in range(slopes.shape[1]):
            start = window // width * down + window % width * across
            slope = slopes[n, window]
            largest[:] = 0
            for tap in range(1, taps.size):
                up = better[n, tap - 1, window]
                for c in range(channels):
                    before = largest[c]
                    largest[c] = tap if up[c] else before
            if rectified:
                first = signs[n, start + taps[0] : start + taps[0] + channels]
                for c in range(channels):
                    through = (largest[c] > 0) | (first[c] > zero)
                    passed[c] = slope[c] if through else slope[c] * zero  # NaN where it is ∞
            else:
                for c in range(channels):
                    passed[c] = slope[c]
            for tap in range(taps.size):
                at = start + taps[tap]
                place = places[n, at : at + channels]
                if apart:
                    for c in range(channels):
                        value = passed[c]
                        place[c] = value if largest[c] == tap else zero
                else:
                    for c in range(channels):
                        value = passed[c]
                        place[c] += value if largest[c] == tap else zero
