"""Sequences and images of another size, by repetition or by interpolation."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from nnlite.core.checks import check_sizes
from nnlite.core.formulas import entry
from nnlite.core.reading import Reading
from nnlite.layers.pooling.windows import Size, Spatial, check_channels_last
from nnlite.ops.windows import Windows, spread_windows, sum_windows


class AxisMaps(Spatial):
    """A linear map along each spatial axis: Y = A X, or Y = A_H X A_Wᵀ, for each channel.

    A subclass says what A is: `axis_map(axis, size)`, (output, size), for axis 0, which is L or H,
    and 1, which is W.
    """

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.spatial == 1:
            return {"forward": "Y = A X", "input": "dL/dX = Aᵀ G"}
        return {"forward": "Y = A_H X A_Wᵀ", "input": "dL/dX = A_Hᵀ G A_W"}

    def axis_map(self, axis: int, size: int) -> np.ndarray:
        """A of one axis, (output, size)."""
        raise NotImplementedError

    def reading(self, maps: Any = (), shape: Any = ()) -> Reading:
        if self.spatial == 1:
            return Reading(
                values=dict(zip(["A"], maps, strict=False)),
                components={
                    "forward": "y[n,i,c] = Σ_h A[i,h] x[n,h,c]",
                    "input": "dL/dx[n,h,c] = Σ_i A[i,h] G[n,i,c]",
                },
            )
        return Reading(
            values=dict(zip(["A_H", "A_W"], maps, strict=False)),
            components={
                "forward": "y[n,i,j,c] = Σ_hw A_H[i,h] x[n,h,w,c] A_W[j,w]",
                "input": "dL/dx[n,h,w,c] = Σ_ij A_H[i,h] G[n,i,j,c] A_W[j,w]",
            },
        )

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


class Upsample(AxisMaps):
    """What `Upsample1d` and `Upsample2d` share: where outputs lie in x, and the weights there."""

    scale_factor: Any
    size: Any
    mode: str
    align_corners: bool

    def check_arguments(self) -> None:
        """Refuse factors and sizes that do not say one size for each axis.

        Raises:
            ValueError: says what is missing, or too much.
        """
        name = type(self).__name__
        if (self.scale_factor is None) == (self.size is None):
            raise ValueError(
                f"{name}: expected either scale_factor or size, got "
                f"{'neither' if self.size is None else 'both'}"
            )
        self._sizes: tuple[int, ...] | None = None
        self._factors: tuple[float, ...] | None = None
        if self.size is not None:
            self._sizes = check_sizes(f"{name}: size", self.size, self.spatial)
        else:
            given = self.scale_factor
            several = isinstance(given, (tuple, list))
            self._factors = tuple(given) if several else (given,) * self.spatial
            if len(self._factors) != self.spatial:
                form = f" or a tuple of {self.spatial}" if self.spatial > 1 else ""
                raise ValueError(f"{name}: scale_factor must be a number > 0{form}, got {given!r}")
        if self.align_corners and self.mode == "nearest":
            raise ValueError(f'{name}: align_corners means nothing for mode="nearest"')

    @property
    def _repeats(self) -> bool:
        """Whether every value is only repeated, a whole number of times."""
        whole = self._factors is not None and all(f == int(f) for f in self._factors)
        return self.mode == "nearest" and whole

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if not self._repeats:
            return super().equations
        out, image = self.letters()
        places = [f"⌊{i}/{int(s)}⌋" for i, s in zip(out, self._factors or (), strict=True)]
        met = " ".join(f"[{h} = {at}]" for h, at in zip(image, places, strict=True))
        y = entry(out)
        return {
            "forward": f"y{y} = x[n, {', '.join(places)}, c]",
            "input": f"dL/dx{entry(image)} = Σ_{out} {met} G{y}",
        }

    def axis_map(self, axis: int, size: int) -> np.ndarray:
        """The weights of x's values in each output along one axis, (output, size)."""
        outputs: float  # so many of them stand for `inputs` values of x
        if self._factors is None:
            count = outputs = (self._sizes or ())[axis]
            inputs = size
        else:
            outputs, inputs = self._factors[axis], 1
            count = int(size * outputs)
        if count < 1:
            raise ValueError(f"{self!r}: nothing would be left of {size} values along an axis")
        i = np.arange(count)
        if self.align_corners:
            place = i * ((size - 1) / (count - 1) if count > 1 else 0.0)
        else:
            place = (i + 0.5) * inputs / outputs - 0.5
        if self.mode == "nearest":
            # divided last, what is a whole number stays one
            taps = [(np.floor(i * inputs / outputs), np.ones(count))]
        elif self.mode == "bicubic":
            below = np.floor(place)
            taps = [(below + k, _cubic(np.abs(place - below - k))) for k in (-1, 0, 1, 2)]
        else:
            place = np.clip(place, 0, size - 1)
            below = np.floor(place)
            taps = [(below, 1 - (place - below)), (below + 1, place - below)]
        a = np.zeros((count, size))
        for at, weight in taps:  # beyond the edges, the last values go on
            a[i, np.clip(at, 0, size - 1).astype(np.intp)] += weight
        return a

    def reading(self, maps: Any = (), shape: Any = ()) -> Reading:
        return Reading() if self._repeats else super().reading(maps, shape)

    def forward(self, x: np.ndarray) -> np.ndarray:
        if not self._repeats:
            return super().forward(x)
        check_channels_last(self, x, self.spatial)
        # Repetition is the transpose of a sum over windows that tile the larger image.
        windows = [
            Windows(int(factor) * size, int(factor), int(factor), 0, size)
            for factor, size in zip(self._factors or (), x.shape[1:-1], strict=True)
        ]
        y = spread_windows(x, windows)
        self.save_for_backward(windows, y.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        if not self._repeats:
            return super().backward(grad_output)
        windows, shape = self.saved()
        self.check_grad_output(grad_output, shape)
        return sum_windows(grad_output, windows)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Those of the maps; repetition multiplies nothing."""
        return 0 if self._repeats else super().multiply_adds(x_shape, y_shape)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys's kernel, with the slope −¾ at distance 1, as in PyTorch."""
    a, d = -0.75, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


class Upsample1d(Upsample):
    """A sequence made longer, or shorter, by any factor.

    Forward      Y = A X for each channel; row i of A holds the weights of x's values in output i,
                 which lies at p = (i + ½)/s − ½ of the input, or with align_corners at
                 p = i (L − 1)/(L' − 1), so that the ends stay where they are
                 nearest: the value at ⌊i/s⌋ (for whole s, every value repeated s times)
                 linear: with b = ⌊p⌋, for p clipped to x, x_b (1 − (p − b)) + x_{b+1} (p − b)
    Backward     dL/dX = Aᵀ G, for y is linear in x
    Shapes       x (N, L, C) → y (N, L', C), L' = ⌊s L⌋, or size
    Saves        A and y's shape; for whole repetition, the sizes
    Args         scale_factor: s > 0 (default None: size says it, with s = L'/L)
                 mode: "nearest" (default) or "linear"
                 align_corners: whether the first and last places of x and y are the same ones
                 (default False)
                 size: L' ≥ 1 (default None: scale_factor says it)
    Raises       ValueError: when not exactly one of scale_factor and size is given, for another
                 mode, for aligned corners of the nearest, an x that is not (N, L, C) or of which
                 nothing would be left, or a G not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result; places as in PyTorch
    """

    spatial = 1
    instead_of_padded = "ConvTranspose1d"

    def __init__(
        self,
        scale_factor: float | None = None,
        mode: Literal["nearest", "linear"] = "nearest",
        align_corners: bool = False,
        size: int | None = None,
    ) -> None:
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.size = size
        self.check_arguments()


class Upsample2d(Upsample):
    """An image made larger, or smaller, by any factor.

    Forward      Y = A_H X A_Wᵀ for each channel; row i of A holds the weights of x's values in
                 output i, which lies at p = (i + ½)/s − ½ of the input, or with align_corners at
                 p = i (H − 1)/(H' − 1), so that the corners stay where they are
                 nearest: the value at ⌊i/s⌋ (for whole s, every value repeated s_h × s_w times)
                 bilinear: the two neighbours of p, clipped to x, by how near they are
                 bicubic: the four neighbours of p by Keys's cubic kernel with slope −¾; beyond
                 the edges, the last values go on
    Backward     dL/dX = A_Hᵀ G A_W, for y is linear in x; for whole repetition, the sum of G over
                 the copies of x
    Shapes       x (N, H, W, C) → y (N, H', W', C), H' = ⌊s_h H⌋ and W' = ⌊s_w W⌋, or size
    Saves        A_H, A_W and y's shape; for whole repetition, the sizes
    Args         scale_factor: s > 0, a number or (height, width) (default None: size says it, with
                 s_h = H'/H)
                 mode: "nearest" (default), "bilinear" or "bicubic"
                 align_corners: whether the corners of x and y are the same places (default False)
                 size: a number or (H', W') (default None: scale_factor says it)
    Raises       ValueError: when not exactly one of scale_factor and size is given, for another
                 mode, for aligned corners of the nearest, an x that is not (N, H, W, C) or of which
                 nothing would be left, or a G not in y's shape
                 TypeError: when x does not hold floats
    Source       Keys 1981, "Cubic Convolution Interpolation", equation 4; places as in PyTorch
    """

    spatial = 2
    instead_of_padded = "ConvTranspose2d"

    def __init__(
        self,
        scale_factor: float | tuple[float, float] | None = None,
        mode: Literal["nearest", "bilinear", "bicubic"] = "nearest",
        align_corners: bool = False,
        size: Size | None = None,
    ) -> None:
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.size = size
        self.check_arguments()
