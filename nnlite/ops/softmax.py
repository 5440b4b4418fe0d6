"""Softmax and its logarithm along one axis, shifted by the maximum so that nothing overflows."""

from __future__ import annotations

import numpy as np


def softmax(x: np.ndarray, axis: int = -1, out: np.ndarray | None = None) -> np.ndarray:
    """e^xᵢ / Σⱼ e^xⱼ; shifting every x by the maximum changes nothing and keeps e^x ≤ 1.

    With `out=x` it runs in x's own memory.
    """
    p = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True), out=out)
    np.exp(p, out=p)
    p /= np.add.reduce(p, axis=axis, keepdims=True)
    return p


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """xᵢ − log Σⱼ e^xⱼ, without the detour over a softmax that may round to zero."""
    z = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    z -= np.log(np.add.reduce(np.exp(z), axis=axis, keepdims=True))
    return z
