"""Pooling to a size that does not depend on the input's."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from nnlite.checks import check_sizes
from nnlite.layers.base import Layer
from nnlite.layers.pooling import Size, check_channels_last
from nnlite.layers.resize import AxisMaps
from nnlite.ops.products import sum_rows


class GlobalPool(Layer):
    """What the four global pooling layers share: all positions of a sample are one axis, P."""

    spatial: ClassVar[int]

    def positions(self, x: np.ndarray) -> np.ndarray:
        """X (N, …, C) as (N, P, C)."""
        check_channels_last(self, x, self.spatial)
        return x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])


class GlobalAvgPool(GlobalPool):
    """What `GlobalAvgPool1d` and `GlobalAvgPool2d` share."""

    equations: ClassVar = {"forward": "y = 1/P Σₚ xₚ", "input": "dL/dxₚ = G / P"}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The mean over all positions."""
        rows = self.positions(x)
        y = sum_rows(rows) / rows.shape[1]
        self.save_for_backward(x.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """An equal share for every position."""
        (shape,) = self.saved()
        self.check_grad_output(grad_output, (shape[0], shape[-1]))
        d_x = np.empty((shape[0], math.prod(shape[1:-1]), shape[-1]), grad_output.dtype)
        d_x[:] = (grad_output / d_x.shape[1])[:, None]
        return d_x.reshape(shape)


class GlobalMaxPool(GlobalPool):
    """What `GlobalMaxPool1d` and `GlobalMaxPool2d` share."""

    equations: ClassVar = {
        "forward": "y = maxₚ xₚ",
        "input": "dL/dxₚ = G where xₚ is the first maximum, else 0",
    }

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The maximum over all positions."""
        rows = self.positions(x)
        first = rows.argmax(axis=1)[:, None]  # (N, 1, C)
        y = np.take_along_axis(rows, first, axis=1)[:, 0]
        self.save_for_backward(first, x.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """G where the maximum was."""
        first, shape = self.saved()
        self.check_grad_output(grad_output, (shape[0], shape[-1]))
        d_x = np.zeros((shape[0], math.prod(shape[1:-1]), shape[-1]), grad_output.dtype)
        np.put_along_axis(d_x, first, grad_output[:, None], axis=1)
        return d_x.reshape(shape)


class GlobalAvgPool1d(GlobalAvgPool):
    """The mean of each channel over the whole sequence.

    Forward      y = 1/L Σₗ xₗ
    Backward     dL/dxₗ = G / L, for ∂y/∂xₗ = 1/L
    Shapes       x (N, L, C) → y (N, C)
    Saves        x's shape
    Raises       ValueError: when x is not (N, L, C), or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Lin et al. 2014, "Network In Network", section 3.2
    """

    spatial = 1


class GlobalAvgPool2d(GlobalAvgPool):
    """The mean of each channel over the whole image.

    Forward      y = 1/(H W) Σₕ Σ_w x_hw
    Backward     dL/dx_hw = G / (H W), for ∂y/∂x_hw = 1/(H W)
    Shapes       x (N, H, W, C) → y (N, C)
    Saves        x's shape
    Raises       ValueError: when x is not (N, H, W, C), or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Lin et al. 2014, "Network In Network", section 3.2
    """

    spatial = 2


class GlobalMaxPool1d(GlobalMaxPool):
    """The largest value of each channel in the whole sequence.

    Forward      y = maxₗ xₗ
    Backward     dL/dxₗ = G where xₗ is the first maximum, else 0: ∂y/∂x is 1 for the value taken
    Shapes       x (N, L, C) → y (N, C)
    Saves        where each maximum was, x's shape
    Raises       ValueError: when x is not (N, L, C), or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Collobert et al. 2011 (max over time)
    """

    spatial = 1


class GlobalMaxPool2d(GlobalMaxPool):
    """The largest value of each channel in the whole image.

    Forward      y = maxₕ max_w x_hw
    Backward     dL/dx_hw = G where x_hw is the first maximum in reading order, else 0
    Shapes       x (N, H, W, C) → y (N, C)
    Saves        where each maximum was, x's shape
    Raises       ValueError: when x is not (N, H, W, C), or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Oquab et al. 2015
    """

    spatial = 2


class AdaptiveAvgPool2d(AxisMaps):
    """Means over a grid of windows that covers the image, whatever its size.

    Forward      Y = A_H X A_Wᵀ for each channel: row i of A is 1/n on the n positions
                 ⌊i·size/output⌋ … ⌈(i+1)·size/output⌉ − 1, and 0 elsewhere
    Backward     dL/dX = A_Hᵀ G A_W, for y is linear in x
    Shapes       x (N, H, W, C) → y (N, H', W', C), (H', W') = output_size
    Saves        A_H, A_W and y's shape
    Args         output_size: a number or (height, width), ≥ 1
    Raises       ValueError: for other sizes, an x that is not (N, H, W, C), or a G not in y's shape
                 TypeError: when x does not hold floats
    Source       He et al. 2015 (spatial pyramid pooling); windows as in PyTorch
    """

    equations: ClassVar = {"forward": "Y = A_H X A_Wᵀ", "input": "dL/dX = A_Hᵀ G A_W"}

    def __init__(self, output_size: Size) -> None:
        self.output_size = output_size
        self._output = check_sizes("AdaptiveAvgPool2d: output_size", output_size, 2)

    def axis_map(self, axis: int, size: int) -> np.ndarray:
        """A of one axis, (output, size)."""
        count = self._output[axis]
        i, position = np.arange(count)[:, None], np.arange(size)
        begin, end = i * size // count, -(-(i + 1) * size // count)
        return ((begin <= position) & (position < end)) / (end - begin)
