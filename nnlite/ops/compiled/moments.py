"""Steps of optimizers that keep running averages, in one pass over their vectors."""

from __future__ import annotations

import numpy as np

from nnlite.ops import moments as definitions
from nnlite.ops.compiled.kernel import fits, kernel, plain


def adam_step(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, v_max: np.ndarray | None,
    a: np.ndarray, beta1: float, beta2: float, eps: float, rate: float,
) -> None:  # fmt: skip
    if v_max is not None or not fits(w, g, m, v):
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
