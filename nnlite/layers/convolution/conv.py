"""Convolutions: the same small kernel at every place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.padded import Padded, data_and_lengths, ended, within
from nnlite.core.random import Rng
from nnlite.initializers import Initializer
from nnlite.layers.convolution.base import Convolution, Padding, Size
from nnlite.ops.convolution import AlgorithmName
from nnlite.ops.convolution.geometry import Pair


class _Conv(Convolution):
    """Convolution over one axis or two, its gradients, and their arguments."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
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
        self.dilation = dilation
        self.groups = groups
        self.algorithm = algorithm
        self.weight_init = weight_init
        self.bias_init = bias_init
        self.set_sizes(kernel_size, stride, padding, dilation, groups)
        field = self._geometry.kernel[-self.axes :]
        self.set_parameters((*field, in_channels // groups, out_channels), bias, rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, field, image = ("ij", "kl", "hw") if self.axes == 2 else ("i", "k", "h")
        outs, fields, images = (",".join(letters) for letters in (out, field, image))
        seen = ", ".join(self.seen())
        met = " ".join(f"[{h} = {at}]" for h, at in zip(image, self.seen(), strict=True))
        groups = self._geometry.groups
        first = self.group("o", self.out_channels // groups, self.in_channels // groups)
        behind, before = (f" {sign} {first}" if first else "" for sign in "+−")
        c = f" c{before}, " if before else "c,"
        bias = " + b[o]" if self.bias is not None else ""
        lines = {
            "forward": f"y = x ⋆ W{bias and ' + b'},  y[n,{outs},o] = "
            f"Σ_{field}c x[n, {seen}, c{behind}] W[{fields},c,o]{bias},  where x is 0 outside",
            "weight": f"dL/dW = x ⋆ G,  dL/dW[{fields},c,o] = "
            f"Σ_n{out} x[n, {seen}, c{behind}] G[n,{outs},o]",
            "bias": f"dL/db = Σ G,  dL/db[o] = Σ_n{out} G[n,{outs},o]",
            "input": f"dL/dx = G ∗ Wᵀ,  dL/dx[n,{images},c] = "
            f"Σ_{out}{field}o {met} G[n,{outs},o] W[{fields},{c}o]",
        }
        if self.bias is None:
            del lines["bias"]
        return lines

    def out_size(self, size: Pair) -> Pair:
        return self._geometry.out_size(size)

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        images = self.images(data, lengths)
        size, geometry = (images.shape[1], images.shape[2]), self._geometry
        out = self.out_size(size)
        if min(out) < 1:
            raise ValueError(
                f"{self!r}: the kernel spans {self.seen_size(geometry.reach)}, which is larger "
                f"than the padded input of {self.seen_size(geometry.padded_size(size))}, "
                f"so that no output is left; got {x.shape}"
            )
        ends = self.ends(lengths)
        bias = None if self.bias is None else self.bias.data
        y = self.operation(out).forward(images, self.kernel(), bias, geometry)
        self.save_for_backward(images, lengths, ends)
        return ended(self.lower(y), ends)

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        x, lengths, ends = self.saved()
        geometry = self._geometry
        out = self.out_size((x.shape[1], x.shape[2]))
        g = self.gradient_images(grad_output, len(x), out, ends)
        needs = self.bias is not None, self.needs_input_grad
        d_w, d_b, d_x = self.operation(out).gradients(x, g, self.kernel(), geometry, *needs)
        self.weight.add_grad(d_w.reshape(self.weight.shape))
        if self.bias is not None and d_b is not None:
            self.bias.add_grad(d_b)
        return None if d_x is None else within(self.lower(d_x), lengths)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Each output sums a kernel's worth of products."""
        return math.prod(y_shape) * self.weight.size // self.out_channels


class Conv2d(_Conv):
    """A kernel moved over images, the same weights at every place.

    Forward      y[n, i, j, o] = b_o + Σ_klc x[n, s i + d k − p, s j + d l − p, c] W[k, l, c, o]
                 (a cross-correlation, as everywhere in the field); x is zero outside its edges
    Backward     with G = dL/dy; each gradient is a convolution itself:
                 dL/dW[k, l, c, o] = Σ_nij x[n, s i + d k − p, s j + d l − p, c] G[n, i, j, o]
                 because W_klco meets exactly these x: x convolved with G as the kernel, which
                 steps by d where W stepped by s
                 dL/dx[n, h, w, c] = Σ_klo G[n, i, j, o] W[k, l, c, o] over the i, j that saw it,
                 s i = h + p − d k, s j = w + p − d l: for s = 1 G convolved with W turned by 180°,
                 in and out swapped, and d (k − 1) − p zeros around; a larger stride spreads G
                 out with s − 1 zeros between its values
                 dL/db_o = Σ_nij G[n, i, j, o]
    Shapes       x (N, H, W, in) → y (N, H′, W′, out), H′ = ⌊(H + p₀ + p₁ − d (k − 1) − 1)/s⌋ + 1;
                 weight (kH, kW, in/groups, out); bias (out,)
    Saves        x
    Args         in_channels, out_channels: sizes of the last axis before and after, ≥ 1
                 kernel_size, stride, dilation: a number, or a pair (height, width), ≥ 1
                 (default stride 1, dilation 1)
                 padding: zeros around: a number; (height, width), each a number or a pair
                 ((top, bottom), (left, right)); "same", which keeps the size and, where the two
                 sides cannot be equal, pads more after; or "valid", none (default 0)
                 groups: parts of the channels that do not see each other; as many as channels
                 for a depthwise convolution (default 1)
                 bias: whether to add b (default True); without it `bias` is None
                 algorithm: "auto", "direct", "pointwise", "depthwise" or "winograd"; "auto" is
                 `nnlite.ops.convolution.choose_algorithm` (default "auto")
                 weight_init, bias_init: initializers (default None: U(−1/√f, 1/√f) for both,
                 f = kH·kW·in/groups)
                 rng: a generator or seed for the first values (default: see `nn.seed`)
    Raises       ValueError: when x is not (N, H, W, in), the kernel spans more than the padded
                 image, or G is not in y's shape; at construction when groups do not divide
                 the channels, a size is below 1, or the algorithm cannot do it
                 TypeError: when x does not hold floats
    Source       LeCun et al. 1989; Dumoulin & Visin 2016, "A guide to convolution arithmetic",
                 relationships 6, 14 and 15; first values as in PyTorch
    """

    axes = 2


class Conv1d(_Conv):
    """A kernel moved along sequences, the same weights at every place.

    Forward      y[n, i, o] = b_o + Σ_kc x[n, s i + d k − p, c] W[k, c, o]
                 (a cross-correlation, as everywhere in the field); x is zero outside its ends
    Backward     with G = dL/dy; each gradient is a convolution itself, as for `Conv2d`:
                 dL/dW[k, c, o] = Σ_ni x[n, s i + d k − p, c] G[n, i, o]
                 dL/dx[n, l, c] = Σ_ko G[n, i, o] W[k, c, o] over the i with s i = l + p − d k
                 dL/db_o = Σ_ni G[n, i, o]
    Shapes       x (N, L, in) → y (N, L′, out), L′ = ⌊(L + p₀ + p₁ − d (k − 1) − 1)/s⌋ + 1;
                 weight (k, in/groups, out); bias (out,). A `Padded` sequence is zero beyond its
                 own length L, and y ends at its L′
    Saves        x; the lengths L and L′ of padded sequences
    Args         in_channels, out_channels: sizes of the last axis before and after, ≥ 1
                 kernel_size, stride, dilation: whole numbers ≥ 1 (default stride 1, dilation 1)
                 padding: zeros at the ends: a number; (left, right), so that (k − 1, 0) with
                 stride and dilation 1 looks only back; "same" or "valid" (default 0)
                 groups, bias, algorithm, weight_init, bias_init, rng: as for `Conv2d`
    Raises       ValueError: when x is not (N, L, in), the kernel spans more than the padded
                 sequence (or a padded one of the batch), or G is not in y's shape; at
                 construction as for `Conv2d`
                 TypeError: when x does not hold floats
    Source       Waibel et al. 1989, "Phoneme recognition using time-delay neural networks"; first
                 values as in PyTorch
    """

    axes = 1
