"""Steps of optimizers, in one pass over their vectors."""

from __future__ import annotations

import numpy as np

from nnlite.ops import moments as definitions
from nnlite.ops.compiled.kernel import fits, kernel, plain


def _fit(w: np.ndarray, *others: np.ndarray) -> bool:
    """Whether kernels take them: vectors, all of one length (they would write beyond a shorter)."""
    shape, kind = w.shape, w.dtype
    for a in others:  # all() takes twice as long
        if a.shape != shape or a.dtype != kind or not a.flags.forc:
            return False
    return len(shape) == 1 and fits(w)


def running_mean(m: np.ndarray, g: np.ndarray, beta: float, a: np.ndarray | None = None) -> None:
    if m.shape == g.shape and fits(m, g):
        _running_mean(m.reshape(-1), g.reshape(-1), beta)
    else:
        plain(definitions.running_mean)(m, g, beta, a)


@kernel
def _running_mean(m, g, beta):
    new = m.dtype.type(1 - beta)
    for i in range(m.size):
        m[i] += new * (g[i] - m[i])


def adam_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, v_max: np.ndarray | None,
    a: np.ndarray, beta1: float, beta2: float, eps: float, rate: float,
) -> None:  # fmt: skip
    if v_max is not None or not _fit(w, g, m, v):
        plain(definitions.adam_step)(w, g, m, v, v_max, a, beta1, beta2, eps, rate)
    else:
        _adam(w, g, m, v, beta1, beta2, eps, rate)


@kernel
def _adam(w, g, m, v, beta1, beta2, eps, rate):
    real = w.dtype.type
    keep2, new1, new2 = real(beta2), real(1 - beta1), real(1 - beta2)
    eps, rate = real(eps), real(rate)
    for i in range(w.size):
        m[i] += new1 * (g[i] - m[i])
        v[i] = keep2 * v[i] + new2 * (g[i] * g[i])
        w[i] -= rate * (m[i] / (np.sqrt(v[i]) + eps))


def nadam_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray,
    beta1: float, beta2: float, eps: float, scale: float, rate_g: float, rate_m: float,
) -> None:  # fmt: skip
    numbers = beta1, beta2, eps, scale, rate_g, rate_m
    if _fit(w, g, m, v):
        _nadam(w, g, m, v, *numbers)
    else:
        plain(definitions.nadam_step)(w, g, m, v, a, b, *numbers)


@kernel
def _nadam(w, g, m, v, beta1, beta2, eps, scale, rate_g, rate_m):
    real = w.dtype.type
    keep2, new1, new2 = real(beta2), real(1 - beta1), real(1 - beta2)
    eps, scale, rate_g, rate_m = real(eps), real(scale), real(rate_g), real(rate_m)
    for i in range(w.size):
        m[i] += new1 * (g[i] - m[i])
        v[i] = keep2 * v[i] + new2 * (g[i] * g[i])
        w[i] -= (rate_g * g[i] + rate_m * m[i]) / (scale * np.sqrt(v[i]) + eps)


def adagrad_step(
    w: np.ndarray, g: np.ndarray, s: np.ndarray, a: np.ndarray, eps: float, rate: float
) -> None:
    if _fit(w, g, s):
        _adagrad(w, g, s, eps, rate)
    else:
        plain(definitions.adagrad_step)(w, g, s, a, eps, rate)


@kernel
def _adagrad(w, g, s, eps, rate):
    real = w.dtype.type
    eps, rate = real(eps), real(rate)
    for i in range(w.size):
        s[i] += g[i] * g[i]
        w[i] -= rate * (g[i] / (np.sqrt(s[i]) + eps))


def adadelta_step(
    w: np.ndarray, g: np.ndarray, v: np.ndarray, u: np.ndarray, a: np.ndarray, d: np.ndarray,
    rho: float, eps: float, rate: float,
) -> None:  # fmt: skip
    if _fit(w, g, v, u):
        _adadelta(w, g, v, u, rho, eps, rate)
    else:
        plain(definitions.adadelta_step)(w, g, v, u, a, d, rho, eps, rate)


@kernel
def _adadelta(w, g, v, u, rho, eps, rate):
    real = w.dtype.type
    keep, new, eps, rate = real(rho), real(1 - rho), real(eps), real(rate)
    for i in range(w.size):
        v[i] = keep * v[i] + new * (g[i] * g[i])
        d = g[i] * (np.sqrt(u[i] + eps) / np.sqrt(v[i] + eps))
        u[i] = keep * u[i] + new * (d * d)
        w[i] -= rate * d


def rms_step(
    w: np.ndarray, g: np.ndarray, v: np.ndarray, m: np.ndarray | None, b: np.ndarray | None,
    a: np.ndarray, alpha: float, eps: float, momentum: float, rate: float,
) -> None:  # fmt: skip
    if m is None and _fit(w, g, v, w if b is None else b):
        _rms(w, g, v, b, alpha, eps, momentum, rate)
    else:
        plain(definitions.rms_step)(w, g, v, m, b, a, alpha, eps, momentum, rate)


@kernel
def _rms(w, g, v, b, alpha, eps, momentum, rate):
    real = w.dtype.type
    keep, new, eps, momentum = real(alpha), real(1 - alpha), real(eps), real(momentum)
    rate = real(rate)
    for i in range(w.size):
        v[i] = keep * v[i] + new * (g[i] * g[i])
        d = g[i] / (np.sqrt(v[i]) + eps)
        if b is not None:
            b[i] = d = momentum * b[i] + d
        w[i] -= rate * d


def gradient_step(w: np.ndarray, g: np.ndarray, a: np.ndarray, rate: float) -> None:
    if _fit(w, g):
        _gradient(w, g, rate)
    else:
        plain(definitions.gradient_step)(w, g, a, rate)


@kernel
def _gradient(w, g, rate):
    rate = w.dtype.type(rate)
    for i in range(w.size):
        w[i] -= rate * g[i]


def momentum_step(
    w: np.ndarray, g: np.ndarray, b: np.ndarray, a: np.ndarray,
    momentum: float, share: float, nesterov: bool, rate: float,
) -> None:  # fmt: skip
    if _fit(w, g, b):
        _momentum(w, g, b, momentum, share, nesterov, rate)
    else:
        plain(definitions.momentum_step)(w, g, b, a, momentum, share, nesterov, rate)


@kernel
def _momentum(w, g, b, momentum, share, nesterov, rate):
    real = w.dtype.type
    momentum, share, rate = real(momentum), real(share), real(rate)
    for i in range(w.size):
        b[i] = momentum * b[i] + share * g[i]
        w[i] -= rate * (momentum * b[i] + g[i] if nesterov else b[i])


def lion_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, a: np.ndarray,
    beta1: float, beta2: float, rate: float,
) -> None:  # fmt: skip
    if _fit(w, g, m):
        _lion(w, g, m, beta1, beta2, rate)
    else:
        plain(definitions.lion_step)(w, g, m, a, beta1, beta2, rate)


@kernel
def _lion(w, g, m, beta1, beta2, rate):
    real = w.dtype.type
    new1, new2, rate = real(1 - beta1), real(1 - beta2), real(rate)
    for i in range(w.size):
        towards = g[i] - m[i]
        w[i] -= rate * np.sign(m[i] + new1 * towards)
        m[i] += new2 * towards
