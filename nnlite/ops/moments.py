"""Running averages of the gradient and of its square, which several rules keep."""

from __future__ import annotations

import numpy as np

from nnlite.ops.engine import twin


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


@twin
def adam_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, v_max: np.ndarray | None,
    a: np.ndarray, beta1: float, beta2: float, eps: float, rate: float,
) -> None:  # fmt: skip
    """In place, m and v move on, and w ← w − rate m / (√v + ε), or the largest v so far for v."""
    running_mean(m, g, beta1, a)
    running_square(v, g, beta2, a)
    if v_max is not None:
        v = np.maximum(v_max, v, out=v_max)
    np.sqrt(v, out=a)
    a += eps
    np.divide(m, a, out=a)
    a *= rate
    w -= a
