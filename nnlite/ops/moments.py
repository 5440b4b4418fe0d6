"""Steps of optimizers over flat vectors, and the running averages that several of them keep."""

from __future__ import annotations

import numpy as np

from nnlite.ops.engine import twin


@twin
def running_mean(m: np.ndarray, g: np.ndarray, beta: float, a: np.ndarray | None = None) -> None:
    """In place, m ← β m + (1 − β) g, as m + (1 − β)(g − m); a is scratch (default: made here)."""
    a = np.subtract(g, m, out=a)
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


@twin
def nadam_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray,
    beta1: float, beta2: float, eps: float, scale: float, rate_g: float, rate_m: float,
) -> None:  # fmt: skip
    """In place, m and v move on, and w ← w − (rate_g g + rate_m m) / (scale √v + ε)."""
    running_mean(m, g, beta1, a)
    running_square(v, g, beta2, a)
    np.sqrt(v, out=a)
    a *= scale
    a += eps
    for average, rate in ((g, rate_g), (m, rate_m)):
        np.multiply(average, rate, out=b)
        b /= a
        w -= b


@twin
def adagrad_step(
    w: np.ndarray, g: np.ndarray, s: np.ndarray, a: np.ndarray, eps: float, rate: float
) -> None:
    """In place, s ← s + g² and w ← w − rate g / (√s + ε)."""
    s += np.multiply(g, g, out=a)
    np.sqrt(s, out=a)
    a += eps
    np.divide(g, a, out=a)
    a *= rate
    w -= a


@twin
def adadelta_step(
    w: np.ndarray, g: np.ndarray, v: np.ndarray, u: np.ndarray, a: np.ndarray, d: np.ndarray,
    rho: float, eps: float, rate: float,
) -> None:  # fmt: skip
    """In place, v moves on, u with d = g √(u + ε) / √(v + ε), and w ← w − rate d."""
    running_square(v, g, rho, a)
    np.sqrt(np.add(u, eps, out=d), out=d)
    d /= np.sqrt(np.add(v, eps, out=a), out=a)
    d *= g
    running_square(u, d, rho, a)
    w -= np.multiply(d, rate, out=a)


@twin
def rms_step(
    w: np.ndarray, g: np.ndarray, v: np.ndarray, m: np.ndarray | None, b: np.ndarray | None,
    a: np.ndarray, alpha: float, eps: float, momentum: float, rate: float,
) -> None:  # fmt: skip
    """In place, v moves on, and w ← w − rate d with d = g / (√v + ε).

    With m, which moves on too, √(v − m²) takes the place of √v; with b ← μ b + d, b that of d.
    """
    running_square(v, g, alpha, a)
    if m is None:
        np.sqrt(v, out=a)
    else:
        running_mean(m, g, alpha, a)
        np.multiply(m, m, out=a)
        np.subtract(v, a, out=a)
        np.maximum(a, 0, out=a)  # rounding may leave a variance of zero just below it
        np.sqrt(a, out=a)
    a += eps
    np.divide(g, a, out=a)
    if b is not None:
        b *= momentum
        b += a
        np.copyto(a, b)
    a *= rate
    w -= a


@twin
def gradient_step(w: np.ndarray, g: np.ndarray, a: np.ndarray, rate: float) -> None:
    """In place, w ← w − rate g."""
    w -= np.multiply(g, rate, out=a)


@twin
def momentum_step(
    w: np.ndarray, g: np.ndarray, b: np.ndarray, a: np.ndarray,
    momentum: float, share: float, nesterov: bool, rate: float,
) -> None:  # fmt: skip
    """In place, b ← μ b + share g and w ← w − rate b, or rate (g + μ b) with Nesterov's look."""
    b *= momentum
    b += g if share == 1 else np.multiply(g, share, out=a)
    direction = b
    if nesterov:
        np.multiply(b, momentum, out=a)
        direction = np.add(a, g, out=a)
    w -= np.multiply(direction, rate, out=a)


@twin
def lion_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, a: np.ndarray,
    beta1: float, beta2: float, rate: float,
) -> None:  # fmt: skip
    """In place, w ← w − rate sign(β₁ m + (1 − β₁) g), then m ← β₂ m + (1 − β₂) g."""
    np.subtract(g, m, out=a)
    a *= 1 - beta1
    a += m
    np.sign(a, out=a)
    a *= rate
    w -= a
    running_mean(m, g, beta2, a)
