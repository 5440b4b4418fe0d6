"""Running averages of the gradient and of its square, which several rules keep."""

from __future__ import annotations

import numpy as np


def running_mean(m: np.ndarray, g: np.ndarray, beta: float, a: np.ndarray) -> None:
    """In place, m ← β m + (1 − β) g, as m + (1 − β)(g − m); a is scratch."""
    np.subtract(g, m, out=a)
    a *= 1 - beta
    m += a


def running_square(v: np.ndarray, g: np.ndarray, beta: float, a: np.ndarray) -> None:
    """In place, v ← β v + (1 − β) g²; a is scratch."""
    v *= beta
    np.multiply(g, g, out=a)
    a *= 1 - beta
    v += a
