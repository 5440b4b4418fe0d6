"""Softmax and its logarithm, and what cross entropy needs of it, one row after another."""

from __future__ import annotations

import math

import numpy as np

from nnlite.ops import softmax as definitions
from nnlite.ops.compiled.functions import exp, exp_of_negative
from nnlite.ops.compiled.kernel import FLOAT, helper, kernel, plain

WHOLE = np.dtype(np.int64)

SIGN, OTHERS = np.int32(31), np.int32(2**31 - 1)  # of a float's bits
SHORT = 16  # values, for which vectors do not pay
BLOCK = 4096  # values; the exponentials of short rows vectorize only over many of them at once

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
    if x.dtype != FLOAT or axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous:
        return plain(definitions.log_softmax)(x, axis)
    return _log_softmax(x)


@kernel
def _log_softmax(x):
    result = np.empty_like(x)
    _log_softmax_of_rows(x.reshape(-1, x.shape[-1]), result.reshape(-1, x.shape[-1]))
    return result


@helper
def _log_softmax_of_rows(x, z):
    count, classes = x.shape
    at_once = max(1, min(count, BLOCK // max(1, classes)))
    e, largest = np.empty(at_once * classes, x.dtype), np.empty(at_once, np.intp)
    for start in range(0, count, at_once):
        rows, shifted = x[start : start + at_once], z[start : start + at_once]
        bits = rows.view(np.int32)
        for n in range(len(rows)):
            at = 0
            if classes < SHORT:
                for j in range(1, classes):
                    if rows[n, j] > rows[n, at]:
                        at = j
            else:
                at = _place_of_largest(bits[n])
            largest[n] = at
            for j in range(classes):
                shifted[n, j] = rows[n, j] - rows[n, at]
        flat = shifted.reshape(-1)
        for i in range(flat.size):
            e[i] = exp(flat[i])
        for n in range(len(rows)):
            e[n * classes + largest[n]] = 0  # the rest without its 1, which would hide small ones
            rest = np.float32(0)
            for j in range(classes):
                rest += e[n * classes + j]
            log_total = np.float32(math.log1p(rest))
            for j in range(classes):
                shifted[n, j] -= log_total


@helper
def _place_of_largest(bits):
    """Where a largest of many float32 stands, given their bits; NaN may count as one.

    Floats are in the order of these whole numbers, the negative ones in the opposite one. A maximum
    of floats takes ten times as long: it does not vectorize without leave to lose NaN.
    """
    at, largest = 0, np.int32(-(2**31))
    for j in range(bits.size):
        largest = max(largest, _in_order(bits[j]))
    while _in_order(bits[at]) != largest:
        at += 1
    return at


@helper
def _in_order(bits):
    return np.int32(bits ^ np.int32(np.int32(bits >> SIGN) & OTHERS))


def log_softmax_at(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wanted = x.dtype == FLOAT and classes.dtype == WHOLE
    if not (wanted and x.flags.c_contiguous and classes.flags.c_contiguous):
        return plain(definitions.log_softmax_at)(x, classes)
    # arrays that a kernel returns cost more than those it fills
    log_p, values = np.empty(x.shape, FLOAT), np.empty(classes.shape, FLOAT)
    places = np.empty(classes.size, np.intp)
    _log_softmax_at(x, classes, log_p, values, places)
    return log_p, values, places


@kernel
def _log_softmax_at(x, classes, log_p, values, places):
    count = x.shape[-1]
    z = log_p.reshape(-1, count)
    _log_softmax_of_rows(x.reshape(-1, count), z)
    flat_classes, flat_values = classes.reshape(-1), values.reshape(-1)
    for n in range(len(z)):
        places[n] = n * count + flat_classes[n]
        flat_values[n] = z[n, flat_classes[n]]
