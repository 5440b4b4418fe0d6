"""What every algorithm for convolutions offers: the map and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nnlite.ops.convolution.bias import bias_gradient
from nnlite.ops.convolution.geometry import Geometry, Pair

Gradients = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]  # dL/dw, dL/db, dL/dx


class Algorithm(Protocol):
    """A module with these functions; w is the kernel (kH, kW, C/groups, O), bias (O,).

    `FOR` says which convolutions it is for, and `applies` whether one of them is.
    """

    FOR: str

    def applies(self, w_shape: tuple[int, ...], geometry: Geometry) -> bool:
        """Whether it can do this convolution."""

    def forward(
        self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
    ) -> np.ndarray:
        """y = x ⋆ W + b (N, Ho, Wo, O) from x (N, H, W, C)."""

    def gradients(
        self,
        x: np.ndarray,
        g: np.ndarray,
        w: np.ndarray,
        geometry: Geometry,
        needs_bias_grad: bool,
        needs_input_grad: bool,
    ) -> Gradients:
        """dL/dw and, where they are needed, dL/db and dL/dx, by the steps that they share."""

    def weight_gradient(self, x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
        """dL/dw alone, from G = dL/dy (N, Ho, Wo, O)."""

    def input_gradient(
        self, g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry
    ) -> np.ndarray:
        """dL/dx (N, *size, C) alone."""


def separate_gradients(
    weight_gradient: Callable[[np.ndarray, np.ndarray, Geometry], np.ndarray],
    input_gradient: Callable[[np.ndarray, np.ndarray, Pair, Geometry], np.ndarray],
    x: np.ndarray,
    g: np.ndarray,
    w: np.ndarray,
    geometry: Geometry,
    needs_bias_grad: bool,
    needs_input_grad: bool,
) -> Gradients:
    """The gradients of an algorithm in which they share no steps."""
    d_w = weight_gradient(x, g, geometry)
    d_b = bias_gradient(g) if needs_bias_grad else None
    d_x = input_gradient(g, w, x.shape[1:3], geometry) if needs_input_grad else None
    return d_w, d_b, d_x
