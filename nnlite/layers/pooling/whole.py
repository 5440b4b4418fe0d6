"""Pooling to a size that does not depend on the input's."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import check_sizes
from nnlite.core.formulas import entry
from nnlite.core.padded import Padded, data_and_lengths, within
from nnlite.core.reading import Reading, in_places
from nnlite.layers.base import Layer
from nnlite.layers.pooling.resize import AxisMaps
from nnlite.layers.pooling.windows import Size, Spatial, check_channels_last, of_values, sizes_of
from nnlite.ops.products import sum_rows


class GlobalPool(Layer):
    """What the four global pooling layers share: all positions of a sample are one axis, P."""

    accepts_padded = True
    spatial: ClassVar[int]

    def reading(self, *saved: Any) -> Reading:
        shape = next((each for each in saved if isinstance(each, tuple)), (1, 1, 1))
        return Reading(
            values={"P": math.prod(shape[1:-1])},
            fold=lambda s: (s[0], 1, s[1]) if len(s) == 2 else in_places(s),
            axes={"p": 1},
        )

    def positions(
        self, x: np.ndarray | Padded, beyond: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """x (N, …, C) as (N, P, C), and how many positions each sample has, (N,), if padded.

        Those of a padded sequence come first; after them stands the value `beyond`.
        """
        data, lengths = data_and_lengths(x)
        check_channels_last(self, data, self.spatial)
        rows = data.reshape(len(data), math.prod(data.shape[1:-1]), data.shape[-1])
        counts = None if lengths is None else lengths * math.prod(data.shape[2:-1])
        return within(rows, counts, beyond), counts


class GlobalAvgPool(GlobalPool):
    """What `GlobalAvgPool1d` and `GlobalAvgPool2d` share."""

    equations: ClassVar = {"forward": "y = Σₚ xₚ / P", "input": "dL/dxₚ = G / P"}

    def forward(self, x: np.ndarray | Padded) -> np.ndarray:
        rows, counts = self.positions(x, 0.0)
        number: Any = rows.shape[1] if counts is None else counts[:, None].astype(rows.dtype)
        y = sum_rows(rows) / number
        self.save_for_backward(x.shape, number, counts)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        shape, number, counts = self.saved()
        self.check_grad_output(grad_output, (shape[0], shape[-1]))
        d_x = np.empty((shape[0], math.prod(shape[1:-1]), shape[-1]), grad_output.dtype)
        d_x[:] = (grad_output / number)[:, None]
        return within(d_x, counts).reshape(shape)


class GlobalMaxPool(GlobalPool):
    """What `GlobalMaxPool1d` and `GlobalMaxPool2d` share."""

    equations: ClassVar = {
        "forward": "y = max_p x",
        "input": "dL/dx = G ⊙ [x = y],  for the first of equal x",
    }

    def reading(self, first: Any = None, *saved: Any) -> Reading:
        known = super().reading(*saved)
        values = {**known.values, "s": first}
        back = "dL/dx[n,p,c] = [s[n,0,c] = p] G[n,0,c]"
        return known._replace(values=values, components={"input": back})

    def forward(self, x: np.ndarray | Padded) -> np.ndarray:
        rows, _ = self.positions(x, -np.inf)
        first = rows.argmax(axis=1)[:, None]  # (N, 1, C)
        y = np.take_along_axis(rows, first, axis=1)[:, 0]
        self.save_for_backward(first, x.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        first, shape = self.saved()
        self.check_grad_output(grad_output, (shape[0], shape[-1]))
        d_x = np.zeros((shape[0], math.prod(shape[1:-1]), shape[-1]), grad_output.dtype)
        np.put_along_axis(d_x, first, grad_output[:, None], axis=1)
        return d_x.reshape(shape)


class GlobalAvgPool1d(GlobalAvgPool):
    """The mean of each channel over the whole sequence.

    Forward      y = 1/L Σₗ xₗ; of `Padded` sequences, each over its own L steps
    Backward     dL/dxₗ = G / L, for ∂y/∂xₗ = 1/L; 0 in the padding
    Shapes       x (N, L, C) → y (N, C)
    Saves        x's shape, L
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
    Saves        x's shape, H W
    Raises       ValueError: when x is not (N, H, W, C), or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Lin et al. 2014, "Network In Network", section 3.2
    """

    spatial = 2


class GlobalMaxPool1d(GlobalMaxPool):
    """The largest value of each channel in the whole sequence.

    Forward      y = maxₗ xₗ; of `Padded` sequences, each over its own steps
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


def adaptive_windows(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where `count` windows that cover an axis begin and end, (count,) each.

    Window i has the positions ⌊i·size/count⌋ … ⌈(i+1)·size/count⌉ − 1.
    """
    i = np.arange(count)
    return i * size // count, -(-(i + 1) * size // count)


class AdaptiveAvgPool(AxisMaps):
    """What `AdaptiveAvgPool1d` and `AdaptiveAvgPool2d` share."""

    def __init__(self, output_size: Size) -> None:
        self.output_size = output_size
        name = f"{type(self).__name__}: output_size"
        self._output = check_sizes(name, output_size, self.spatial)

    def axis_map(self, axis: int, size: int) -> np.ndarray:
        begin, end = (at[:, None] for at in adaptive_windows(size, self._output[axis]))
        position = np.arange(size)
        return ((begin <= position) & (position < end)) / (end - begin)


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """Means over windows that cover the sequence, whatever its length.

    Forward      Y = A X: row i of A is 1/n on the n positions ⌊i·L/L'⌋ … ⌈(i+1)·L/L'⌉ − 1, and
                 0 elsewhere
    Backward     dL/dX = Aᵀ G, for y is linear in x
    Shapes       x (N, L, C) → y (N, L', C), L' = output_size
    Saves        A and y's shape
    Args         output_size: how many windows, ≥ 1
    Raises       ValueError: for other sizes, an x that is not (N, L, C), or a G not in y's shape
                 TypeError: when x does not hold floats
    Source       He et al. 2015 (spatial pyramid pooling); windows as in PyTorch
    """

    spatial = 1
    instead_of_padded = "GlobalAvgPool1d, or AvgPool1d"


class AdaptiveAvgPool2d(AdaptiveAvgPool):
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

    spatial = 2
    instead_of_padded = "GlobalAvgPool2d, or AvgPool2d"


class AdaptiveMaxPool(Spatial):
    """What `AdaptiveMaxPool1d` and `AdaptiveMaxPool2d` share: one axis after the other.

    The last axis goes first: the first row with the maximum, and in it the first column, is then
    the first maximum in reading order.
    """

    def __init__(self, output_size: Size, return_indices: bool = False) -> None:
        self.output_size = output_size
        self.return_indices = return_indices
        name = f"{type(self).__name__}: output_size"
        self._output = check_sizes(name, output_size, self.spatial)

    @property
    def instead_of_padded(self) -> str:  # type: ignore[override]
        """The layers that know where sequences end."""
        return f"GlobalMaxPool{self.spatial}d, or MaxPool{self.spatial}d"

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, inside = self.letters()
        y, x = entry(out), entry(inside)
        met = " ".join(
            f"[⌊{i}·{size}/{count}⌋ ≤ {h} < ⌈({i}+1)·{size}/{count}⌉]"
            for i, h, size, count in zip(out, inside, inside.upper(), self._output, strict=True)
        )
        return {
            "forward": f"y{y} = max_{inside} x{x} over {met}",
            "input": f"dL/dx{x} = Σ_{out} {met} [x{x} = y{y}] G{y},  for the first of equal x",
        }

    def reading(self, places: Any = None, shape: Any = ()) -> Reading:
        out, inside = self.letters()
        y, x = entry(out), entry(inside)
        place = "h W + w" if self.spatial == 2 else "h"
        given = f"Σ_{out} [s{y} = {place}] G{y}"
        values = {"s": places, **sizes_of(shape)}
        at = f"⌊s{y}/W⌋, s{y} mod W" if self.spatial == 2 else f"s{y}"
        components = {"forward": f"y{y} = x[n, {at}, c]", "input": f"dL/dx{x} = {given}"}
        return Reading(values=values, components=components)

    def forward(self, x: np.ndarray) -> Any:
        check_channels_last(self, x, self.spatial)
        y, places = x, np.zeros((1,) * x.ndim, np.intp)
        for axis in range(self.spatial, 0, -1):
            y, at = _maxima(y, axis, self._output[axis - 1])
            if axis < self.spatial:  # where, along the axes after this one, those maxima were
                places = np.take_along_axis(places, at, axis)
            places = at * math.prod(x.shape[axis + 1 : -1]) + places
        self.save_for_backward(places, x.shape)
        return (y, places) if self.return_indices else y

    def backward(self, grad_output: Any) -> np.ndarray:
        places, shape = self.saved()
        grad_output = of_values(self, grad_output) if self.return_indices else grad_output
        self.check_grad_output(grad_output, places.shape)
        d_x = np.zeros((len(places), math.prod(shape[1:-1]), shape[-1]), grad_output.dtype)
        sample, *_, channel = np.ogrid[tuple(map(slice, places.shape))]
        np.add.at(d_x, (sample, places, channel), grad_output)  # windows may share a maximum
        return d_x.reshape(shape)


def _maxima(x: np.ndarray, axis: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The maxima over windows that cover an axis, and where along it they are."""
    maxima, places = [], []
    for begin, end in zip(*adaptive_windows(x.shape[axis], count), strict=True):
        part = x[(slice(None),) * axis + (slice(begin, end),)]
        place = part.argmax(axis, keepdims=True)
        maxima.append(np.take_along_axis(part, place, axis))
        places.append(begin + place)
    return np.concatenate(maxima, axis), np.concatenate(places, axis)


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """Maxima over windows that cover the sequence, whatever its length.

    Forward      y_i = max x_l over l = ⌊i·L/L'⌋ … ⌈(i+1)·L/L'⌉ − 1
    Backward     dL/dx_l = Σᵢ G_i [x_l is the first maximum of window i]
                 because ∂y/∂x is 1 for the value that was taken and 0 for all others
    Shapes       x (N, L, C) → y (N, L', C), L' = output_size
    Saves        where each maximum was, x's shape
    Args         output_size: how many windows, ≥ 1
                 return_indices: whether to return (y, l), where y came from: l (N, L', C), for
                 `MaxUnpool1d` (default False); backward then takes (G, None)
    Raises       ValueError: for other sizes, an x that is not (N, L, C), or a G not in y's shape
                 TypeError: when x does not hold floats
    Source       He et al. 2015 (spatial pyramid pooling); windows as in PyTorch
    """

    spatial = 1


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """Maxima over a grid of windows that covers the image, whatever its size.

    Forward      y_ij = max x_hw over h = ⌊i·H/H'⌋ … ⌈(i+1)·H/H'⌉ − 1, and w likewise
    Backward     dL/dx_hw = Σ of G over the windows in which x_hw is the first maximum in reading
                 order, because ∂y/∂x is 1 for the value that was taken and 0 for all others
    Shapes       x (N, H, W, C) → y (N, H', W', C), (H', W') = output_size
    Saves        where each maximum was, x's shape
    Args         output_size: a number or (height, width), ≥ 1
                 return_indices: whether to return (y, p), where y came from: p (N, H', W', C) is
                 h·W + w, for `MaxUnpool2d` (default False); backward then takes (G, None)
    Raises       ValueError: for other sizes, an x that is not (N, H, W, C), or a G not in y's shape
                 TypeError: when x does not hold floats
    Source       He et al. 2015 (spatial pyramid pooling); windows as in PyTorch
    """

    spatial = 2
