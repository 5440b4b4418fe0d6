"""Images made larger, by repetition or by interpolation."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from nnlite.core.checks import check_sizes
from nnlite.layers.base import Layer
from nnlite.layers.pooling.windows import Size, check_channels_last
from nnlite.ops.windows import Windows, spread_windows, sum_windows


class AxisMaps(Layer):
    """A linear map along each spatial axis: Y = A X, or Y = A_H X A_Wᵀ, for each channel.

    A subclass says what A is: `axis_map(axis, size)`, (output, size), for axis 0, which is L or H,
    and 1, which is W.
    """

    spatial: ClassVar[int]

    @property
    def mixed_axes(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from the class
        """The spatial ones."""
        return tuple(range(1, self.spatial + 1))

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.spatial == 1:
            return {"forward": "Y = A X", "input": "dL/dX = Aᵀ G"}
        return {"forward": "Y = A_H X A_Wᵀ", "input": "dL/dX = A_Hᵀ G A_W"}

    def axis_map(self, axis: int, size: int) -> np.ndarray:
        """A of one axis, (output, size)."""
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        check_channels_last(self, x, self.spatial)
        maps = [self.axis_map(i, n).astype(x.dtype) for i, n in enumerate(x.shape[1:-1])]
        y = _map_axes(x, maps)
        self.save_for_backward(maps, y.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        maps, shape = self.saved()
        self.check_grad_output(grad_output, shape)
        return _map_axes(grad_output, [a.T for a in maps])

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Each value of A_H X sums over H, and each of Y over W."""
        if self.spatial == 1:
            return math.prod(y_shape) * x_shape[1]
        n, height, width, channels = x_shape
        return n * channels * y_shape[1] * width * (height + y_shape[2])


def _map_axes(x: np.ndarray, maps: list[np.ndarray]) -> np.ndarray:
    """A X for each sample of x (N, L, C), or A_H X A_Wᵀ for each and channel of (N, H, W, C)."""
    if len(maps) == 1:
        return np.matmul(maps[0], x)
    (a_h, a_w), (n, h, w, c) = maps, x.shape
    y = np.matmul(a_h, x.reshape(n, h, w * c))  # (N, H', W·C)
    return np.matmul(a_w, y.reshape(n, len(a_h), w, c))  # (N, H', W', C)


class Upsample2d(AxisMaps):
    """An image made larger by a whole factor.

    Forward      nearest: every value repeated s_h × s_w times
                 bilinear: Y = A_H X A_Wᵀ for each channel; output i lies at (i + ½)/s − ½ of the
                 input (clipped to it), and row i of A holds the weights of its two neighbours
    Backward     nearest: dL/dx = the sum of G over the s_h × s_w copies of x
                 bilinear: dL/dX = A_Hᵀ G A_W, for y is linear in x
    Shapes       x (N, H, W, C) → y (N, s_h·H, s_w·W, C)
    Saves        A_H, A_W and y's shape; for nearest, the sizes
    Args         scale_factor: s, a whole number or (height, width), ≥ 1
                 mode: "nearest" (default) or "bilinear" (corners are not aligned, as by default
                 in PyTorch)
    Raises       ValueError: for another factor or mode, an x that is not (N, H, W, C), or a G not
                 in y's shape
                 TypeError: when x does not hold floats
    Source       standard result
    """

    spatial = 2
    instead_of_padded = "ConvTranspose2d"

    def __init__(
        self, scale_factor: Size, mode: Literal["nearest", "bilinear"] = "nearest"
    ) -> None:
        self.scale_factor = scale_factor
        self.mode = mode
        self._factors = check_sizes("Upsample2d: scale_factor", scale_factor, 2)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.mode == "bilinear":
            return super().equations
        row, column = (f"⌊{at}/{s}⌋" for at, s in zip("ij", self._factors, strict=True))
        return {
            "forward": f"y[n,i,j,c] = x[n, {row}, {column}, c]",
            "input": f"dL/dx[n,h,w,c] = Σ_ij [h = {row}] [w = {column}] G[n,i,j,c]",
        }

    def axis_map(self, axis: int, size: int) -> np.ndarray:
        """The weights of bilinear interpolation along one axis, (factor · size, size)."""
        factor = self._factors[axis]
        i = np.arange(factor * size)
        place = np.clip((i + 0.5) / factor - 0.5, 0, size - 1)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, size - 1)
        a = np.zeros((factor * size, size))
        a[i, above] = place - below
        a[i, below] += 1 - (place - below)  # where both are the last position, they add up
        return a

    def forward(self, x: np.ndarray) -> np.ndarray:
        if self.mode == "bilinear":
            return super().forward(x)
        check_channels_last(self, x, 2)
        # Repetition is the transpose of a sum over windows that tile the larger image.
        windows = [
            Windows(factor * size, factor, factor, 0, size)
            for factor, size in zip(self._factors, x.shape[1:3], strict=True)
        ]
        y = spread_windows(x, windows)
        self.save_for_backward(windows, y.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        if self.mode == "bilinear":
            return super().backward(grad_output)
        windows, shape = self.saved()
        self.check_grad_output(grad_output, shape)
        return sum_windows(grad_output, windows)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Those of the two maps; repetition multiplies nothing."""
        return super().multiply_adds(x_shape, y_shape) if self.mode == "bilinear" else 0
