"""Sums and affine maps per channel, in one pass each.

The channels of several rows stand side by side in a span of about 512 values, which meets the
factors repeated as often, and is added to a span of sums: such loops are long enough to run as
vectors, and what they add to stays in the first cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from nnlite.ops import channels as definitions
from nnlite.ops.compiled.kernel import fits, helper, kernel, plain
from nnlite.ops.threads import over_parts

SPAN = 512  # values
RUN = 16  # spans that are summed at a time: the rounding error of one long sum grows

Result = TypeVar("Result")
Index = tuple[slice, slice]  # some groups, or some rows of the only one


def moments(x: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    if not fits(x):
        return plain(definitions.moments)(x, channels)
    parts = _over(x, lambda at: (at[0], x[at][0].size // channels, *_moments(x[at], channels)))
    return definitions.merged(parts, x, channels)


def sums_along(g: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not fits(g, x, mean):
        return plain(definitions.sums_along)(g, x, mean)
    parts = _over(x, lambda at: (at[0], *_sums_along(g[at], x[at], mean[at[0]])))
    return definitions.added(parts, mean)


def scale_and_shift(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    if not fits(x, scale, shift):
        return plain(definitions.scale_and_shift)(x, scale, shift)
    y = np.empty_like(x)
    _over(x, lambda at: _affine(x[at], scale[at[0]], shift[at[0]], y[at]))
    return y


def combine(
    g: np.ndarray, x: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    if not fits(g, x, a, b, c):
        return plain(definitions.combine)(g, x, a, b, c)
    y = np.empty_like(x)
    _over(x, lambda at: _combine(g[at], x[at], a[at[0]], b[at[0]], c[at[0]], y[at]))
    return y


def _over(x: np.ndarray, work: Callable[[Index], Result]) -> list[Result]:
    """`work` for parts of x (B, R, k·C) in several threads; its results in order."""
    everything = slice(None)
    if len(x) > 1:
        return over_parts(lambda part: work((part, everything)), len(x), x.size)
    return over_parts(lambda part: work((everything, part)), x.shape[1], x.size)


@helper
def span_of(values, channels):
    """How many values are looked at together: those of whole rows of C."""
    return min(values, max(1, SPAN // channels) * channels)


@helper
def spread(factor, span):
    """(C,) → (span,)."""
    wide = np.empty(span, factor.dtype)
    for start in range(0, span, factor.size):
        wide[start : start + factor.size] = factor
    return wide


@helper
def gathered(wide, total):
    """The opposite: each channel's values added up, to `total` (C,)."""
    for start in range(0, wide.size, total.size):
        part = wide[start : start + total.size]
        for c in range(total.size):
            total[c] += part[c]


@kernel
def _moments(x, channels):
    """Means, and sums of the squares about them, (B, C) each.

    Those of a run are about its own mean; Chan's formula 2.1 joins them with those before it, in
    float64, because the means may be far from zero.
    """
    groups, count = len(x), x[0].size
    mean, square = np.zeros((groups, channels)), np.zeros((groups, channels))
    span = span_of(count, channels)
    total, squares = np.empty(span, x.dtype), np.empty(span, x.dtype)
    sums = np.empty((3, channels), x.dtype)
    first, left, around = sums[0], sums[1], sums[2]
    for b in range(groups):
        values = x[b].reshape(-1)
        for start in range(0, count, RUN * span):
            run = values[start : start + RUN * span]
            rows = run.size // channels
            total[:] = 0
            for at in range(0, run.size, span):
                part = run[at : at + span]
                for i in range(part.size):
                    total[i] += part[i]
            first[:] = 0
            gathered(total, first)
            for c in range(channels):
                first[c] /= rows
            center = spread(first, span)
            total[:] = 0
            squares[:] = 0
            for at in range(0, run.size, span):
                part = run[at : at + span]
                for i in range(part.size):
                    deviation = part[i] - center[i]
                    total[i] += deviation
                    squares[i] += deviation * deviation
            left[:] = 0
            around[:] = 0
            gathered(total, left)
            gathered(squares, around)
            before = start // channels
            share = rows / (before + rows)
            for c in range(channels):
                error = np.float64(left[c]) / rows
                step = first[c] + error - mean[b, c]
                mean[b, c] += share * step
                square[b, c] += around[c] - rows * error**2 + before * share * step**2
    return mean, square


@kernel
def _sums_along(g, x, mean):
    """The sums Σ g and Σ (x − mean) ⊙ g, (B, C) each."""
    groups, count, channels = len(x), x[0].size, mean.shape[1]
    total, along = np.zeros_like(mean), np.zeros_like(mean)
    span = span_of(count, channels)
    sums, products = np.empty(span, x.dtype), np.empty(span, x.dtype)
    for b in range(groups):
        values, slopes, center = x[b].reshape(-1), g[b].reshape(-1), spread(mean[b], span)
        for start in range(0, count, RUN * span):
            sums[:] = 0
            products[:] = 0
            for at in range(start, min(start + RUN * span, count), span):
                part = values[at : at + span]
                slope = slopes[at : at + span]
                for i in range(part.size):
                    sums[i] += slope[i]
                    products[i] += (part[i] - center[i]) * slope[i]
            gathered(sums, total[b])
            gathered(products, along[b])
    return total, along


@kernel
def _affine(x, scale, shift, y):
    count = x[0].size
    span = span_of(count, scale.shape[1])
    for b in range(len(x)):
        values, out = x[b].reshape(-1), y[b].reshape(-1)
        factor, term = spread(scale[b], span), spread(shift[b], span)
        for at in range(0, count, span):
            part, place = values[at : at + span], out[at : at + span]
            for i in range(part.size):
                place[i] = factor[i] * part[i] + term[i]


@kernel
def _combine(g, x, a, b, c, y):
    count = x[0].size
    span = span_of(count, a.shape[1])
    for n in range(len(x)):
        values, slopes, out = x[n].reshape(-1), g[n].reshape(-1), y[n].reshape(-1)
        of_g, of_x, term = spread(a[n], span), spread(b[n], span), spread(c[n], span)
        for at in range(0, count, span):
            slope, part, place = slopes[at : at + span], values[at : at + span], out[at : at + span]
            for i in range(part.size):
                place[i] = of_g[i] * slope[i] + (of_x[i] * part[i] + term[i])
