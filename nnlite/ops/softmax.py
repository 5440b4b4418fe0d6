"""Softmax and its logarithm along one axis, shifted by the maximum so that nothing overflows."""

from __future__ import annotations

import functools
import math

import numpy as np

from nnlite.ops.engine import twin
from nnlite.ops.products import sum_columns

FEW = 1 << 14  # values of a batch that is small


def softmax(x: np.ndarray, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """e^xᵢ / Σⱼ e^xⱼ; shifting every x by the maximum changes nothing and keeps e^x ≤ 1.

    With `out=x` it runs in x's own memory; otherwise the result is contiguous.
    """
    p = np.subtract(x, _largest(x, axis), out=out, order="C")
    np.exp(p, out=p)
    p /= _total(p, axis)
    return p


@twin
def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """xᵢ − log Σⱼ e^xⱼ, not by way of a softmax, which may round to zero.

    After the shift, the largest x adds 1 to the sum and the others S, so that the logarithm is
    log1p(S): a probability close to 1 keeps all digits of its logarithm, −S instead of 0.
    The result is contiguous, whatever x is.
    """
    places = _places_of_largest(x, axis)
    z = np.subtract(x, _at(places, x, axis), order="C")
    e = np.exp(z)
    e.put(places, 0)
    z -= np.log1p(_total(e, axis))
    return z


def _largest(x: np.ndarray, axis: int) -> np.ndarray:
    """maxⱼ xⱼ, with the axis kept.

    Along the last axis by way of `argmax`, which compares several values at a time: 45 µs against
    95 for `maximum.reduce` on (2048, 65).
    """
    if axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous or x.size == 0:
        return np.maximum.reduce(x, axis=axis, keepdims=True)
    return _at(_places_of_largest(x, axis), x, axis)


def at_largest(x: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    """Of `values`, those that stand where x is largest along the axis, with the axis kept."""
    return _at(_places_of_largest(x, axis), values, axis)


def _places_of_largest(x: np.ndarray, axis: int) -> np.ndarray:
    """Where the (first) largest values along the axis stand, counted flat."""
    largest = x.argmax(axis=axis)
    if axis in (-1, x.ndim - 1):
        return _row_starts(x) + largest.ravel()
    inner = math.prod(x.shape[axis:][1:])  # how far apart neighbours along the axis are
    places = np.arange(0, x.size, x.shape[axis] * inner)  # where each block begins
    return (places[:, None] + inner * largest.reshape(-1, inner) + np.arange(inner)).ravel()


def _row_starts(x: np.ndarray) -> np.ndarray:
    """Where each row of x (…, C) begins, counted flat; not to be written to.

    Those of small batches are kept for the next one, 0.4 µs of a step of 80.
    """
    length = x.shape[-1]
    return _few_starts(x.size, length) if x.size <= FEW else np.arange(0, x.size, length)


@functools.lru_cache(maxsize=32)
def _few_starts(size: int, length: int) -> np.ndarray:
    return np.arange(0, size, length)


def _at(places: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    """The values there, with the axis kept."""
    shape = list(x.shape)
    shape[axis] = 1
    return x.take(places).reshape(shape)


def _total(x: np.ndarray, axis: int) -> np.ndarray:
    """Σⱼ xⱼ, with the axis kept."""
    if axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous:
        return np.add.reduce(x, axis=axis, keepdims=True)
    return sum_columns(x)[..., None]


def at_classes(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of x (…, C) the value at its class, and where these stand, counted flat."""
    places = _row_starts(x) + classes.ravel().astype(np.intp, copy=False)
    return x.take(places).reshape(classes.shape), places


@twin
def log_softmax_at(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log softmax(x) of x (…, C), and what `at_classes` finds there."""
    log_p = log_softmax(x)
    return log_p, *at_classes(log_p, classes)


def softmax_minus_one(log_p: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The difference p − [j = t], the classes t by their places.

    There it is e^(log p) − 1, which is −1e-9 and not 0 at p = 1 − 1e-9.
    """
    difference = np.exp(log_p)
    difference.put(places, np.expm1(log_p.take(places)))
    return difference
