"""Activations in one pass, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnlite.ops import special as definitions
from nnlite.ops.compiled.kernel import ByName, kernel, plain
from nnlite.ops.threads import over_parts


def times_derivative(
    g: np.ndarray, derivative: Callable[..., np.ndarray], saved: Sequence[Any]
) -> np.ndarray:
    times = _TIMES.get(derivative)
    if times is None or not (g.flags.c_contiguous and saved[0].flags.c_contiguous):
        return plain(definitions.times_derivative)(g, derivative, saved)
    d_x = np.empty_like(g)
    if g.size <= definitions.SMALL:
        times(g, d_x, *saved)
    else:
        over_parts(
            lambda part: times(g[part], d_x[part], *[a[part] for a in saved]), len(g), g.size
        )
    return d_x


@kernel
def _times_relu(g, d_x, y):
    g, d_x, y = g.reshape(-1), d_x.reshape(-1), y.reshape(-1)
    zero = g.dtype.type(0)
    for i in range(g.size):
        d_x[i] = g[i] if y[i] > zero else g[i] * zero  # NaN where g is ∞, as in a product


_TIMES = ByName({"activations.rectifiers:ReLU.derivative": _times_relu})
