"""What the four convolution layers share: their arguments, checks and first values."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np

from nnlite.core.checks import check_sides, check_sizes, layout_hint
from nnlite.core.formulas import place
from nnlite.core.padded import check_ends, within
from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.initializers import Initializer, Uniform, first_values
from nnlite.layers.base import Layer
from nnlite.ops.convolution import ALGORITHMS, AlgorithmName, check_algorithm, choose_algorithm
from nnlite.ops.convolution.algorithm import Algorithm
from nnlite.ops.convolution.geometry import Geometry, Pair

Size = int | Pair
Padding = Size | tuple[Pair, Pair] | Literal["same", "valid"]


class Convolution(Layer):
    """A layer with a kernel that moves over one axis (N, L, C) or two (N, H, W, C).

    One axis is two with a height of 1: inside, everything is an image. `Padded` sequences run along
    the first axis, zero beyond their ends as any x is outside its edges, and have as many outputs
    as each would have alone.
    """

    accepts_padded = True
    splits_products = True
    axes: ClassVar[int]
    in_channels: int
    out_channels: int
    weight: Parameter
    bias: Parameter | None
    algorithm: AlgorithmName
    weight_init: Initializer | None
    bias_init: Initializer | None

    # -- construction ----------------------------------------------------------------------------

    def set_sizes(
        self, kernel_size: Size, stride: Size, padding: Padding, dilation: Size, groups: int
    ) -> None:
        """Check the arguments, and bring them into the form that the algorithms take."""
        name = type(self).__name__
        if self.in_channels % groups or self.out_channels % groups:
            raise ValueError(
                f"{name}: groups must divide the channels, got {groups} groups for "
                f"in_channels={self.in_channels} and out_channels={self.out_channels}"
            )
        geometry = Geometry(
            kernel=self.pair("kernel_size", kernel_size),
            stride=self.pair("stride", stride),
            dilation=self.pair("dilation", dilation),
            groups=groups,
        )
        self._geometry = geometry._replace(padding=self.paddings(padding, geometry))

    def pair(self, name: str, value: Size, least: int = 1) -> Pair:
        """A size as (height, width): a number stands for both; one axis has the `least` height."""
        *height, width = check_sizes(f"{type(self).__name__}: {name}", value, self.axes, least)
        return (height[0] if height else least), width

    def paddings(self, padding: Any, geometry: Geometry) -> tuple[Pair, Pair]:
        """The padding as ((top, bottom), (left, right))."""
        name = f"{type(self).__name__}: padding"
        if isinstance(padding, str):
            if padding == "valid":
                return (0, 0), (0, 0)
            if geometry.stride != (1, 1):
                raise ValueError(f'{name}="same" keeps the size, which needs a stride of 1')
            (top, bottom), (left, right) = (((r - 1) // 2, r // 2) for r in geometry.reach)
            return (top, bottom), (left, right)
        *rows, columns = check_sides(name, padding, self.axes)
        return (rows[0] if rows else (0, 0)), columns

    def set_parameters(self, shape: tuple[int, ...], bias: bool, rng: Rng) -> None:
        """Draw weight and bias, by default from U(±1/√fan) with as many values as one sum has."""
        rng, kernel_shape = as_generator(rng), self.kernel_shape(shape)
        check_algorithm(self.algorithm, kernel_shape, self._geometry, type(self).__name__)
        bound = 1 / math.sqrt(math.prod(kernel_shape[:3]))
        default = Uniform(-bound, bound)
        self.weight = Parameter(first_values(self.weight_init or default, shape, rng))
        biases = (self.out_channels,)
        self.bias = (
            Parameter(first_values(self.bias_init or default, biases, rng)) if bias else None
        )

    # -- use -------------------------------------------------------------------------------------

    def seen(self) -> list[str]:
        """Where, along each axis, kernel value k (l) meets the input for output i (j)."""
        strides, dilations, paddings = self._geometry[1], self._geometry[3], self._geometry[2]
        along = zip("ij", "kl", strides[-self.axes :], dilations[-self.axes :],
                    paddings[-self.axes :], strict=False)  # fmt: skip
        return [place(i, k, s, d, before) for i, k, s, d, (before, _) in along]

    def group(self, channel: str, of: int, to: int) -> str:
        """The first of `to` channels that belong to the group of a channel among `of`."""
        if self._geometry.groups == 1:
            return ""
        first = channel if of == 1 else f"⌊{channel}/{of}⌋"
        return first if to == 1 else f"{to}{first}"

    def kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the kernel (kH, kW, C/groups, O) that this weight is."""
        return shape if self.axes == 2 else (1, *shape)

    def kernel(self) -> np.ndarray:
        """The weight as a kernel (kH, kW, C/groups, O)."""
        return self.weight.data.reshape(self.kernel_shape(self.weight.shape))

    def operation(self, out_size: Pair) -> Algorithm:
        """The algorithm for a convolution with such outputs."""
        name: str = self.algorithm
        if name == "auto":
            shape = self.kernel_shape(self.weight.shape)
            name = choose_algorithm(shape, out_size, self._geometry, self.weight.dtype)
        return ALGORITHMS[name]

    def out_size(self, size: Pair) -> Pair:
        """The output's height and width, given the input's."""
        raise NotImplementedError

    def ends(self, lengths: np.ndarray | None) -> np.ndarray | None:
        """Where the outputs of sequences of these lengths end, (N,); None for plain arrays."""
        if lengths is None:
            return None
        both: Any = (lengths, lengths)  # as heights and as widths: only one of them is time
        ends: Any = self.out_size(both)[-self.axes]
        check_ends(self, lengths, ends)
        return np.asarray(ends)

    def images(self, x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """The input as images (N, H, W, C), checked, with zeros in the padding."""
        self.check_floating(x)
        names = "L" if self.axes == 1 else "H, W"
        if x.ndim != self.axes + 2 or x.shape[-1] != self.in_channels:
            raise ValueError(
                f"{self!r}: expected (N, {names}, {self.in_channels}), got {x.shape}"
                + layout_hint(x.shape, self.in_channels, (self.axes + 2,))
            )
        return self.lift(within(x, lengths))

    def gradient_images(
        self, grad_output: np.ndarray, samples: int, out_size: Pair, ends: np.ndarray | None
    ) -> np.ndarray:
        """dL/dy as images (N, H′, W′, O), checked, with zeros in the padding."""
        self.check_grad_output(grad_output, (samples, *out_size[-self.axes :], self.out_channels))
        return self.lift(within(grad_output, ends))

    def lift(self, a: np.ndarray) -> np.ndarray:
        """A sequence as an image of height 1."""
        return a[:, None] if self.axes == 1 else a

    def lower(self, a: np.ndarray) -> np.ndarray:
        """An image back as what the layer's users see."""
        return a[:, 0] if self.axes == 1 else a

    def seen_size(self, size: Pair) -> str:
        """A height and width in an error message."""
        return str(size[1]) if self.axes == 1 else f"{size[0]}×{size[1]}"
