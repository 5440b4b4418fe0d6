"""Softmax's logarithm, and what cross entropy needs of it, one row after another."""

from __future__ import annotations

import math

import numpy as np

from nnlite.ops import softmax as definitions
from nnlite.ops.compiled.functions import exp
from nnlite.ops.compiled.kernel import kernel, plain


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    if x.dtype.char != "f" or axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous:
        return plain(definitions.log_softmax)(x, axis)
    return _log_softmax(x)


@kernel
def _log_softmax(x):
    classes = x.shape[-1]
    result = np.empty_like(x)
    rows, z = x.reshape(-1, classes), result.reshape(-1, classes)
    for n in range(len(rows)):
        largest = 0
        for j in range(1, classes):
            if rows[n, j] > rows[n, largest]:
                largest = j
        shift, total = rows[n, largest], np.float32(0)
        for j in range(classes):
            z[n, j] = rows[n, j] - shift
            total += exp(z[n, j]) if j != largest else np.float32(0)
        log_total = np.float32(math.log1p(total))
        for j in range(classes):
            z[n, j] -= log_total
    return result


def bounds(classes: np.ndarray) -> tuple[int, int]:
    if classes.dtype.char != "l" or not classes.flags.c_contiguous or not classes.size:
        return plain(definitions.bounds)(classes)
    return _bounds(classes)


@kernel
def _bounds(classes):
    flat = classes.reshape(-1)
    low = high = flat[0]
    for c in flat:
        low, high = min(low, c), max(high, c)
    return low, high


def at_classes(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kinds = x.dtype.char + classes.dtype.char
    if kinds != "fl" or not x.flags.c_contiguous or not classes.flags.c_contiguous:
        return plain(definitions.at_classes)(x, classes)
    return _at_classes(x, classes)


@kernel
def _at_classes(x, classes):
    values, places = np.empty(classes.shape, x.dtype), np.empty(classes.size, np.intp)
    flat_x, flat_classes, flat_values = x.reshape(-1), classes.reshape(-1), values.reshape(-1)
    for n in range(classes.size):
        places[n] = n * x.shape[-1] + flat_classes[n]
        flat_values[n] = flat_x[places[n]]
    return values, places


def softmax_minus_one(log_p: np.ndarray, places: np.ndarray) -> np.ndarray:
    if log_p.dtype.char != "f" or not log_p.flags.c_contiguous:
        return plain(definitions.softmax_minus_one)(log_p, places)
    return _softmax_minus_one(log_p, places)


@kernel
def _softmax_minus_one(log_p, places):
    result = np.empty_like(log_p)
    flat, difference = log_p.reshape(-1), result.reshape(-1)
    for i in range(flat.size):
        difference[i] = exp(flat[i])
    for place in places:
        difference[place] = math.expm1(flat[place])
    return result
