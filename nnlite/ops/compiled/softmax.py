"""Softmax and its logarithm, and what cross entropy needs of it, one row after another."""

from __future__ import annotations

import math

import numpy as np

from nnlite.ops import softmax as definitions
from nnlite.ops.compiled.functions import exp, exp_of_negative
from nnlite.ops.compiled.kernel import helper, kernel, plain

LANES = 16  # float32 values that a processor compares at once


@helper
def softmax_of_rows(x, shifts, lanes):
    """In place, for a few rows; `shifts` is scratch for a value of each, `lanes` for `LANES`.

    Step by step for all of them, because the steps of one row have to wait for each other.
    """
    for n in range(len(x)):
        shifts[n] = _largest(x[n], lanes)
    for n in range(len(x)):
        row, total = x[n], np.float32(0)
        for j in range(row.size):
            e = exp_of_negative(row[j] - shifts[n])
            row[j] = e
            total += e
        scale = np.float32(1) / total
        for j in range(row.size):
            row[j] *= scale


@helper
def _largest(x, lanes):
    """The largest value that is no NaN, in lanes: a maximum does not vectorize otherwise."""
    whole = x.size // LANES * LANES
    for lane in range(LANES):
        lanes[lane] = np.float32(-np.inf)
    for j in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] = x[j + lane] if x[j + lane] > lanes[lane] else lanes[lane]
    largest = lanes[0]
    for lane in range(1, LANES):
        largest = lanes[lane] if lanes[lane] > largest else largest
    for j in range(whole, x.size):
        largest = x[j] if x[j] > largest else largest
    return largest


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
