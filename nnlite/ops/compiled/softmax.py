"""Softmax's logarithm, and what cross entropy needs of it, one row after another."""

from __future__ import annotations

import math

import numpy as np

from nnlite.ops import softmax as definitions
from nnlite.ops.compiled.functions import exp
from nnlite.ops.compiled.kernel import helper, kernel, plain


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    if x.dtype.char != "f" or axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous:
        return plain(definitions.log_softmax)(x, axis)
    return _log_softmax(x)


@kernel
def _log_softmax(x):
    result = np.empty_like(x)
    classes = x.shape[-1]
    rows, z = x.reshape(-1, classes), result.reshape(-1, classes)
    for n in range(len(rows)):
        _log_softmax_of_row(rows[n], z[n])
    return result


@helper
def _log_softmax_of_row(x, z):
    largest = 0
    for j in range(1, x.size):
        if x[j] > x[largest]:
            largest = j
    rest = np.float32(0)  # of the sum of e^z, without the largest, which is 1
    for j in range(x.size):
        z[j] = x[j] - x[largest]
        rest += exp(z[j]) if j != largest else np.float32(0)
    log_total = np.float32(math.log1p(rest))
    for j in range(x.size):
        z[j] -= log_total


def log_softmax_at(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kinds = x.dtype.char + classes.dtype.char
    if kinds != "fl" or not x.flags.c_contiguous or not classes.flags.c_contiguous:
        return plain(definitions.log_softmax_at)(x, classes)
    return _log_softmax_at(x, classes)


@kernel
def _log_softmax_at(x, classes):
    result, values = np.empty_like(x), np.empty(classes.shape, x.dtype)
    places = np.empty(classes.size, np.intp)
    count = x.shape[-1]
    rows, z = x.reshape(-1, count), result.reshape(-1, count)
    flat_classes, flat_values = classes.reshape(-1), values.reshape(-1)
    for n in range(len(rows)):
        _log_softmax_of_row(rows[n], z[n])
        places[n] = n * count + flat_classes[n]
        flat_values[n] = z[n, flat_classes[n]]
    return result, values, places


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
