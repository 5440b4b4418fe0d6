"""Softmax and its logarithm along one axis, shifted by the maximum so that nothing overflows."""

from __future__ import annotations

import numpy as np

from nnlite.ops.products import sum_columns


def softmax(x: np.ndarray, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """e^xᵢ / Σⱼ e^xⱼ; shifting every x by the maximum changes nothing and keeps e^x ≤ 1.

    With `out=x` it runs in x's own memory; otherwise the result is contiguous.
    """
    p = np.subtract(x, _largest(x, axis), out=out, order="C")
    np.exp(p, out=p)
    p /= _total(p, axis)
    return p


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """xᵢ − log Σⱼ e^xⱼ, without the detour over a softmax that may round to zero.

    The result is contiguous, whatever x is.
    """
    z = np.subtract(x, _largest(x, axis), order="C")
    z -= np.log(_total(np.exp(z), axis))
    return z


def _largest(x: np.ndarray, axis: int) -> np.ndarray:
    """maxⱼ xⱼ, with the axis kept.

    Along the last axis by way of `argmax`, which compares several values at a time: 45 µs against
    95 for `maximum.reduce` on (2048, 65).
    """
    if axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous or x.size == 0:
        return np.maximum.reduce(x, axis=axis, keepdims=True)
    places = np.arange(0, x.size, x.shape[-1])  # where each row begins, counted flat
    places += x.argmax(axis=-1).ravel()
    return x.take(places).reshape(*x.shape[:-1], 1)


def _total(x: np.ndarray, axis: int) -> np.ndarray:
    """Σⱼ xⱼ, with the axis kept."""
    if axis not in (-1, x.ndim - 1) or not x.flags.c_contiguous:
        return np.add.reduce(x, axis=axis, keepdims=True)
    return sum_columns(x)[..., None]
