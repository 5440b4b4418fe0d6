"""Transposed convolutions: every input spreads a kernel over the output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.padded import Padded, data_and_lengths, ended, within
from nnlite.core.random import Rng
from nnlite.initializers import Initializer
from nnlite.layers.convolution.base import Convolution, Padding, Size
from nnlite.ops.convolution import AlgorithmName
from nnlite.ops.convolution.bias import add_bias, bias_gradient
from nnlite.ops.convolution.geometry import Pair


class _ConvTranspose(Convolution):
    """The transposed map of a convolution over one axis or two.

    That convolution leads from this layer's outputs to its inputs. So its kernel is this weight
    with in and out swapped, forward here is its input gradient, and the reverse.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        algorithm: AlgorithmName = "auto",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        rng: Rng = None,
    ) -> None:
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.output_padding = output_padding
        self.groups = groups
        self.dilation = dilation
        self.algorithm = algorithm
        self.weight_init = weight_init
        self.bias_init = bias_init
        self.set_sizes(kernel_size, stride, padding, dilation, groups)
        self._output_padding = self.pair("output_padding", output_padding, least=0)
        limits = map(max, self._geometry.stride, self._geometry.dilation)
        if any(o >= limit for o, limit in zip(self._output_padding, limits, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: output_padding must be smaller than the stride, or than "
                f"the dilation, got output_padding={output_padding}, stride={stride} and "
                f"dilation={dilation}"
            )
        field = self._geometry.kernel[-self.axes :]
        self.set_parameters((*field, in_channels, out_channels // groups), bias, rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, field, image = ("ij", "kl", "hw") if self.axes == 2 else ("i", "k", "h")
        outs, fields, images = (",".join(letters) for letters in (out, field, image))
        seen = ", ".join(self.seen())
        met = " ".join(f"[{h} = {at}]" for h, at in zip(image, self.seen(), strict=True))
        groups = self._geometry.groups
        first = self.group("c", self.in_channels // groups, self.out_channels // groups)
        behind, before = (f" {sign} {first}" if first else "" for sign in "+−")
        o = f" o{before}" if before else "o"
        bias = " + b[o]" if self.bias is not None else ""
        lines = {
            "forward": f"y = x ∗ W{bias and ' + b'},  y[n,{images},o] = "
            f"Σ_{out}{field}c {met} x[n,{outs},c] W[{fields},c,{o}]{bias}",
            "weight": f"dL/dW = G ⋆ x,  dL/dW[{fields},c,o] = "
            f"Σ_n{out} x[n,{outs},c] G[n, {seen}, o{behind}]",
            "bias": f"dL/db = Σ G,  dL/db[o] = Σ_n{image} G[n,{images},o]",
            "input": f"dL/dx = G ⋆ Wᵀ,  dL/dx[n,{outs},c] = "
            f"Σ_{field}o G[n, {seen}, o{behind}] W[{fields},c,o],  where G is 0 outside",
        }
        if self.bias is None:
            del lines["bias"]
        return lines

    def kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the convolution's kernel (kH, kW, out/groups, in)."""
        k, m, i, o = super().kernel_shape(shape)
        return k, m, o, i

    def kernel(self) -> np.ndarray:
        """The weight as the convolution's kernel (kH, kW, out/groups, in)."""
        return self.weight.data.reshape(super().kernel_shape(self.weight.shape)).swapaxes(2, 3)

    def out_size(self, size: Pair) -> Pair:
        geometry = self._geometry
        height, width = (
            (n - 1) * s - sum(p) + reach + extra
            for n, s, p, reach, extra in zip(
                size,
                geometry.stride,
                geometry.padding,
                geometry.reach,
                self._output_padding,
                strict=True,
            )
        )
        return height, width

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        images = self.images(data, lengths)
        size, geometry = (images.shape[1], images.shape[2]), self._geometry
        out = self.out_size(size)
        if min(size) < 1 or min(out) < 1:
            raise ValueError(
                f"{self!r}: no output is left, its size would be {self.seen_size(out)}; "
                f"got {x.shape}"
            )
        ends = self.ends(lengths)
        y = self.operation(size).input_gradient(images, self.kernel(), out, geometry)
        add_bias(y, None if self.bias is None else self.bias.data)
        self.save_for_backward(images, lengths, ends)
        return ended(self.lower(y), ends)

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        x, lengths, ends = self.saved()
        size, geometry = (x.shape[1], x.shape[2]), self._geometry
        g = self.gradient_images(grad_output, len(x), self.out_size(size), ends)
        operation = self.operation(size)
        d_kernel = operation.weight_gradient(g, x, geometry)  # (kH, kW, out/groups, in)
        self.weight.add_grad(d_kernel.swapaxes(2, 3).reshape(self.weight.shape))
        if self.bias is not None:
            self.bias.add_grad(bias_gradient(g))
        if not self.needs_input_grad:
            return None
        d_x = operation.forward(g, self.kernel(), None, geometry)
        # output padding may leave room for further windows, which no input stands for
        return within(self.lower(d_x[:, : size[0], : size[1]]), lengths)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Each input is multiplied with a kernel's worth of weights."""
        return math.prod(x_shape) * self.weight.size // self.in_channels


class ConvTranspose2d(_ConvTranspose):
    """Every input value spreads a kernel over the output: for going from small images to large.

    Forward      y[n, h, w, o] = b_o + Σ x[n, i, j, c] W[k, l, c, o] over all i, j, k, l, c with
                 h = s i + d k − p and w = s j + d l − p: what `Conv2d`'s backward does with G
    Backward     with G = dL/dy; x_ijc reaches the outputs (s i + d k − p, s j + d l − p) through
                 W_klco, so
                 dL/dx[n, i, j, c] = Σ_klo G[n, s i + d k − p, s j + d l − p, o] W[k, l, c, o]
                 dL/dW[k, l, c, o] = Σ_nij G[n, s i + d k − p, s j + d l − p, o] x[n, i, j, c]
                 dL/db_o = Σ_nhw G[n, h, w, o]
                 the first is the convolution that this layer transposes, the second its weight
                 gradient with x and G in each other's place
    Shapes       x (N, H, W, in) → y (N, H′, W′, out), H′ = (H − 1) s − p₀ − p₁ + d (k − 1) + 1 +
                 output_padding; weight (kH, kW, in, out/groups); bias (out,)
    Saves        x
    Args         in_channels, out_channels, kernel_size, stride, dilation, groups, bias, algorithm,
                 weight_init, bias_init, rng: as for `Conv2d`; the first values are drawn from
                 U(−1/√f, 1/√f) with f = kH·kW·out/groups, as in PyTorch
                 padding: rows and columns taken off the output, in the forms of `Conv2d`
                 output_padding: added to the size at the end, because a convolution with a
                 stride leads from several sizes to the same one; smaller than the stride or
                 than the dilation (default 0)
    Raises       ValueError: when x is not (N, H, W, in), the padding takes off everything, or
                 G is not in y's shape; at construction as for `Conv2d`
                 TypeError: when x does not hold floats
    Source       Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin & Visin 2016, "A guide
                 to convolution arithmetic", relationships 14 and 15
    """

    axes = 2


class ConvTranspose1d(_ConvTranspose):
    """Every input value spreads a kernel along the output: for going from short to long.

    Forward      y[n, l, o] = b_o + Σ x[n, i, c] W[k, c, o] over all i, k, c with l = s i + d k − p
    Backward     with G = dL/dy, as for `ConvTranspose2d`:
                 dL/dx[n, i, c] = Σ_ko G[n, s i + d k − p, o] W[k, c, o]
                 dL/dW[k, c, o] = Σ_ni G[n, s i + d k − p, o] x[n, i, c]
                 dL/db_o = Σ_nl G[n, l, o]
    Shapes       x (N, L, in) → y (N, L′, out), L′ = (L − 1) s − p₀ − p₁ + d (k − 1) + 1 +
                 output_padding; weight (k, in, out/groups); bias (out,). A `Padded` sequence
                 is zero beyond its own length L, and y ends at its L′
    Saves        x; the lengths L and L′ of padded sequences
    Args         as for `ConvTranspose2d`, with whole numbers for the sizes and a number or
                 (left, right) for the padding
    Raises       ValueError, TypeError: as for `ConvTranspose2d`
    Source       Zeiler et al. 2010, "Deconvolutional networks"
    """

    axes = 1
