"""Pooling: one value for each window of a sequence or an image."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import check_sizes, sample_hint
from nnlite.core.formulas import place
from nnlite.core.padded import Padded, check_ends, data_and_lengths, ended, within
from nnlite.layers.base import Layer
from nnlite.ops.windows import (
    Windows,
    max_windows,
    max_windows_backward,
    spread_windows,
    sum_windows,
)

Size = int | tuple[int, int]


def check_channels_last(layer: Layer, x: np.ndarray, spatial: int) -> None:
    """Refuse what is not (N, L, C), with one spatial axis, or (N, H, W, C), with two.

    Raises:
        TypeError: when x is not an array of floats.
        ValueError: when the number of axes differs.
    """
    layer.check_floating(x)
    expected = "(N, L, C)" if spatial == 1 else "(N, H, W, C)"
    if x.ndim != spatial + 2:
        hint = sample_hint(x.shape, (spatial + 2,))
        raise ValueError(f"{layer!r}: expected {expected}, channels last, got {x.shape}{hint}")
    if 0 in x.shape[1:]:
        raise ValueError(f"{layer!r}: expected {expected} with something in it, got {x.shape}")


class Pool(Layer):
    """What the four pooling layers share: where their windows lie.

    A `Padded` sequence has the windows that it would have alone, and what lies beyond its end is
    padding like any other.
    """

    accepts_padded = True
    spatial: ClassVar[int]

    def __init__(
        self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        name = type(self).__name__
        kernel = check_sizes(f"{name}: kernel_size", kernel_size, self.spatial)
        strides = check_sizes(
            f"{name}: stride", kernel_size if stride is None else stride, self.spatial
        )
        paddings = check_sizes(f"{name}: padding", padding, self.spatial, least=0)
        if any(2 * p > k for p, k in zip(paddings, kernel, strict=True)):
            raise ValueError(
                f"{name}: padding must be at most half of kernel_size, or a window could lie in "
                f"the padding alone; got padding {padding} for kernel_size {kernel_size}"
            )
        self._geometry = list(zip(kernel, strides, paddings, strict=True))

    def letters(self) -> tuple[str, str, str]:
        """Those of the windows, of the values in one, and of the places in x."""
        return ("ij", "kl", "hw") if self.spatial == 2 else ("i", "k", "h")

    def seen(self) -> list[str]:
        """Where, along each axis, value k (l) of window i (j) lies in x."""
        along = zip("ij", "kl", self._geometry, strict=False)
        return [place(i, k, stride, 1, padding) for i, k, (_, stride, padding) in along]

    def windows(self, x: np.ndarray) -> list[Windows]:
        """The windows along each spatial axis of x."""
        check_channels_last(self, x, self.spatial)
        windows = []
        for axis, (size, geometry) in enumerate(zip(x.shape[1:], self._geometry, strict=False)):
            kernel, stride, padding = geometry
            count = self._count(axis, size)
            if count < 1:
                raise ValueError(
                    f"{self!r}: the kernel is larger than the input with its padding: got "
                    f"{x.shape}, where a kernel of {kernel} meets {size} values and {2 * padding} "
                    "of padding"
                )
            windows.append(Windows(size, kernel, stride, padding, count))
        return windows

    def ends(self, lengths: np.ndarray | None) -> np.ndarray | None:
        """How many windows sequences of these lengths have, (N,); None for plain arrays."""
        if lengths is None:
            return None
        ends: np.ndarray = self._count(0, lengths)
        check_ends(self, lengths, ends)
        return ends

    def _count(self, axis: int, size: Any) -> Any:
        """How many windows there are along an axis of such a size, or of each of several."""
        kernel, stride, padding = self._geometry[axis]
        rest = size + 2 * padding - kernel
        count = (rest + (stride - 1 if self.ceil_mode else 0)) // stride + 1
        if self.ceil_mode:  # but for a last window that would begin in the padding after x
            count = count - ((count - 1) * stride >= size + padding)
        return count


class MaxPool(Pool):
    """What `MaxPool1d` and `MaxPool2d` share."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, inside, image = self.letters()
        y, x = (f"[n,{','.join(letters)},c]" for letters in (out, image))
        met = " ".join(f"[{h} = {at}]" for h, at in zip(image, self.seen(), strict=True))
        return {
            "forward": f"y{y} = max_{inside} x[n, {', '.join(self.seen())}, c]",
            "input": f"dL/dx{x} = Σ_{out}{inside} {met} [x{x} = y{y}] G{y},  "
            "for the first of equal x",
        }

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        windows, ends = self.windows(data), self.ends(lengths)
        y, above = max_windows(within(data, lengths, -np.inf), windows)
        self.save_for_backward(above, windows, y.shape, ends)
        return ended(y, ends)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        above, windows, shape, ends = self.saved()
        self.check_grad_output(grad_output, shape)
        return max_windows_backward(within(grad_output, ends), above, windows)


class AvgPool(Pool):
    """What `AvgPool1d` and `AvgPool2d` share."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, inside, image = self.letters()
        y, x = (f"[n,{','.join(letters)},c]" for letters in (out, image))
        met = " ".join(f"[{h} = {at}]" for h, at in zip(image, self.seen(), strict=True))
        number, defined = self._number()
        return {
            "forward": f"y{y} = Σ_{inside} x[n, {', '.join(self.seen())}, c] / {number}{defined}",
            "input": f"dL/dx{x} = Σ_{out}{inside} {met} G{y} / {number}{defined}",
        }

    def _number(self) -> tuple[str, str]:
        """How the equations write the number of values in a window, and what defines it."""
        if not self.ceil_mode and (
            self.count_include_pad or not any(p for *_, p in self._geometry)
        ):
            return str(math.prod(kernel for kernel, *_ in self._geometry)), ""
        _, inside, image = self.letters()
        counted = []
        for at, size, (_, _, padding) in zip(
            self.seen(), image.upper(), self._geometry, strict=True
        ):
            margin = padding if self.count_include_pad else 0
            counted.append(
                f"[−{margin} ≤ {at} < {size}+{margin}]" if margin else f"[0 ≤ {at} < {size}]"
            )
        return "m", f",  m = Σ_{inside} {' '.join(counted)}"

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        windows, ends = self.windows(data), self.ends(lengths)
        share = self._share(windows, lengths).astype(data.dtype)
        y = sum_windows(within(data, lengths), windows)
        y *= share
        self.save_for_backward(share, windows, y.shape, lengths, ends)
        return ended(y, ends)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        share, windows, shape, lengths, ends = self.saved()
        self.check_grad_output(grad_output, shape)
        return within(spread_windows(within(grad_output, ends) * share, windows), lengths)

    def _share(self, windows: list[Windows], lengths: np.ndarray | None) -> np.ndarray:
        """1/n for each window, (L, 1) or (H, W, 1): n is a product of one factor for each axis.

        Padding counts with count_include_pad; what `ceil_mode` adds beyond it never does. Where
        sequences end by themselves they have an n each: (N, L, 1) or (N, H, W, 1).
        """
        sizes: list[Any] = [along.size for along in windows]
        if lengths is not None:
            sizes[0] = lengths[:, None]
        share = np.ones(1)
        for along, size in zip(windows[::-1], sizes[::-1], strict=True):
            begin = np.arange(along.count) * along.stride - along.padding
            end = begin + along.kernel
            margin = along.padding if self.count_include_pad else 0
            n = np.minimum(end, size + margin) - np.maximum(begin, -margin)
            if lengths is not None:
                n = np.maximum(n, 1)  # where a sequence has no such window
            share = (1 / n).reshape(*n.shape, *[1] * share.ndim) * share
        return share


class MaxPool1d(MaxPool):
    """The largest value of each window of a sequence, channel by channel.

    Forward      y_i = maxₒ x_{i·stride + o − padding},  o = 0 … kernel_size − 1
    Backward     dL/dx_j = Σᵢ G_i [x_j is the first maximum of window i]
                 because ∂y_i/∂x_j is 1 for the value that was taken and 0 for all others; of
                 equal values the first one counts as taken
    Shapes       x (N, L, C) → y (N, L', C), L' = ⌊(L + 2 padding − kernel_size)/stride⌋ + 1; of
                 `Padded` sequences each has its own L and L'
    Saves        which values of each window were above all before them
    Args         kernel_size: values in a window, ≥ 1
                 stride: from one window to the next, ≥ 1 (default None: kernel_size)
                 padding: −∞ at both ends, at most half of kernel_size (default 0)
                 ceil_mode: whether a last window may reach beyond the end (default False): ⌈⌉
                 in place of ⌊⌋, as long as the window begins before the end
    Raises       ValueError: for other sizes, for an x that is not (N, L, C), when the kernel is
                 larger than the padded input, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result; ties as in PyTorch
    """

    spatial = 1


class MaxPool2d(MaxPool):
    """The largest value of each window of an image, channel by channel.

    Forward      y_ij = maxₒₚ x at (i·stride + o − padding, j·stride + p − padding)
    Backward     dL/dx = Σ of G over the windows in which x is the first maximum in reading order
                 because ∂y/∂x is 1 for the value that was taken and 0 for all others
    Shapes       x (N, H, W, C) → y (N, H', W', C), H' = ⌊(H + 2 padding − kernel)/stride⌋ + 1
    Saves        which values of each window were above all before them
    Args         kernel_size: of the windows, a number or (height, width), ≥ 1
                 stride: a number or a pair, ≥ 1 (default None: kernel_size)
                 padding: −∞ on all sides, a number or a pair, at most half of kernel_size
                 (default 0)
                 ceil_mode: whether a last window may reach beyond the edge (default False)
    Raises       ValueError: for other sizes, for an x that is not (N, H, W, C), when the kernel
                 is larger than the padded input, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Riesenhuber & Poggio 1999; ties as in PyTorch
    """

    spatial = 2


class AvgPool1d(AvgPool):
    """The mean of each window of a sequence, channel by channel.

    Forward      y_i = 1/n Σₒ x_{i·stride + o − padding},  o = 0 … kernel_size − 1
    Backward     dL/dx_j = Σ of G_i / n over the windows i that x_j is in: ∂y_i/∂x_j = 1/n
    Shapes       x (N, L, C) → y (N, L', C), L' = ⌊(L + 2 padding − kernel_size)/stride⌋ + 1; of
                 `Padded` sequences each has its own L and L'
    Saves        1/n of each window, the sizes
    Args         kernel_size: values in a window, ≥ 1
                 stride: from one window to the next, ≥ 1 (default None: kernel_size)
                 padding: zeros at both ends, at most half of kernel_size (default 0)
                 ceil_mode: whether a last window may reach beyond the end (default False)
                 count_include_pad: whether n counts the padding (default True)
    Raises       ValueError: for other sizes, for an x that is not (N, L, C), when the kernel is
                 larger than the padded input, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result
    """

    spatial = 1


class AvgPool2d(AvgPool):
    """The mean of each window of an image, channel by channel.

    Forward      y_ij = 1/n Σₒₚ x at (i·stride + o − padding, j·stride + p − padding)
    Backward     dL/dx = Σ of G / n over the windows that x is in: ∂y/∂x = 1/n in each of them
    Shapes       x (N, H, W, C) → y (N, H', W', C), H' = ⌊(H + 2 padding − kernel)/stride⌋ + 1
    Saves        1/n of each window, the sizes
    Args         kernel_size: of the windows, a number or (height, width), ≥ 1
                 stride: a number or a pair, ≥ 1 (default None: kernel_size)
                 padding: zeros on all sides, a number or a pair, at most half of kernel_size
                 (default 0)
                 ceil_mode: whether a last window may reach beyond the edge (default False)
                 count_include_pad: whether n counts the padding (default True)
    Raises       ValueError: for other sizes, for an x that is not (N, H, W, C), when the kernel
                 is larger than the padded input, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       LeCun et al. 1998 (sub-sampling layers)
    """

    spatial = 2
