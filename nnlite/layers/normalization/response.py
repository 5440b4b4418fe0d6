"""Normalization of each channel by its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nnlite.core.reading import Reading, in_rows
from nnlite.layers.base import Layer
from nnlite.ops.windows import Windows, spread_windows, sum_windows


class LocalResponseNorm(Layer):
    """Divide each value by how large its neighbours among the channels are.

    Forward      y_c = x_c d_c^−β,  d_c = k + α/n Σⱼ x_j² over the n channels around c:
                 j = c − ⌊n/2⌋ … c + ⌈n/2⌉ − 1, those that there are
    Backward     dL/dx_j = G_j d_j^−β − 2αβ/n x_j Σ_c G_c y_c / d_c, over all c with j among theirs
                 because ∂d_c/∂x_j = 2α/n x_j for these c, and ∂y_c/∂d_c = −β y_c / d_c
    Shapes       x (N, …, C), y like x
    Saves        x, y, d
    Args         size: n ≥ 1
                 alpha: α > 0 (default 1e-4)
                 beta: β > 0 (default 0.75)
                 k: > 0 (default 1)
    Raises       ValueError: when x has no batch axis or no channels, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural
                 Networks", section 3.3; α/n in place of α as in PyTorch
    """

    mixed_axes = (-1,)

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        before, after = self.size // 2, (self.size - 1) // 2
        low, high = (f"c−{before}" if before else "c"), (f"c+{after}" if after else "c")
        near, share = f"[{low} ≤ j ≤ {high}]", f"α/{self.size}"
        return {
            "forward": f"y[n,c] = x[n,c] d[n,c]^(−β),  d[n,c] = k + {share} Σ_j {near} x[n,j]²",
            "input": f"dL/dx[n,j] = G[n,j] d[n,j]^(−β) − 2 β {share} x[n,j] Σ_c {near} "
            "G[n,c] y[n,c] / d[n,c]",
        }

    def reading(self, *saved: Any) -> Reading:
        return Reading(fold=in_rows)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        if x.ndim < 2 or x.shape[-1] == 0:
            raise ValueError(f"{self!r}: expected (N, …, C), with channels, got {x.shape}")
        share = float(self.alpha) / self.size
        d = float(self.k) + share * _over_channels(sum_windows, x * x, self.size)
        y = x * d ** -float(self.beta)
        self.save_for_backward(x, y, d)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        x, y, d = self.saved()
        self.check_grad_output(grad_output, x.shape)
        share, beta = float(self.alpha) / self.size, float(self.beta)
        through_d = _over_channels(spread_windows, grad_output * y / d, self.size)
        return grad_output * d**-beta - 2 * share * beta * x * through_d


def _over_channels(op: Callable[..., np.ndarray], values: np.ndarray, size: int) -> np.ndarray:
    """Sums over (or, by `spread_windows`, back to) the channels around each: (N, …, C)."""
    channels = values.shape[-1]
    rows = values.reshape(math.prod(values.shape[:-1]), channels, 1)
    around = Windows(channels, size, 1, size // 2, channels)
    return op(rows, [around]).reshape(values.shape)
