"""Pooling: one value for each window of a sequence or an image."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nnlite.core.checks import check_sides, check_sizes, sample_hint
from nnlite.core.formulas import entry, place
from nnlite.core.padded import Padded, check_ends, data_and_lengths, ended, within
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.ops.windows import (
    Windows,
    max_places,
    max_windows,
    max_windows_backward,
    spread_windows,
    sum_windows,
)

Size = int | tuple[int, int]
Padding = Size | tuple[tuple[int, int], tuple[int, int]]


class Geometry(NamedTuple):
    """How windows lie along one axis."""

    kernel: int
    stride: int
    dilation: int
    before: int  # padding
    after: int

    @property
    def extent(self) -> int:
        """From a window's first value to its last one."""
        return (self.kernel - 1) * self.dilation + 1


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


def sizes_of(shape: tuple[int, ...]) -> dict[str, int]:
    """H and W, as equations write them, of x's shape (N, H, W, C) or (N, H, C)."""
    return dict(zip("HW", shape[1:-1], strict=False))


class Spatial(Layer):
    """What the layers along the spatial axes share that know nothing of lengths."""

    spatial: ClassVar[int]

    @property
    def mixed_axes(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from the class
        """The spatial ones."""
        return tuple(range(1, self.spatial + 1))

    def letters(self) -> tuple[str, str]:
        """Those of the places in y, and of those in x."""
        return ("ij", "hw") if self.spatial == 2 else ("i", "h")


class Pool(Layer):
    """What the pooling layers share: where their windows lie.

    A `Padded` sequence has the windows that it would have alone, and what lies beyond its end is
    padding like any other.
    """

    accepts_padded = True
    spatial: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None,
        padding: Padding,
        ceil_mode: bool,
        dilation: Size = 1,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        name = type(self).__name__
        stride = kernel_size if stride is None else stride
        sizes = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        along = [check_sizes(f"{name}: {what}", n, self.spatial) for what, n in sizes.items()]
        sides = check_sides(f"{name}: padding", padding, self.spatial)
        self._geometry = [
            Geometry(*numbers, *side) for *numbers, side in zip(*along, sides, strict=True)
        ]
        if any(
            before + after > g.extent or max(before, after) >= g.extent
            for g in self._geometry
            for before, after in [g[-2:]]
        ):
            raise ValueError(
                f"{name}: padding must be at most half of kernel_size (or together at most "
                "kernel_size, with at least one value less on each side), or a window could lie "
                f"in the padding alone; got padding {padding} for kernel_size {kernel_size}"
            )

    def letters(self) -> tuple[str, str, str]:
        """Those of the windows, of the values in one, and of the places in x."""
        return ("ij", "kl", "hw") if self.spatial == 2 else ("i", "k", "h")

    def seen(self) -> list[str]:
        """Where, along each axis, value k (l) of window i (j) lies in x."""
        along = zip("ij", "kl", self._geometry, strict=False)
        return [place(i, k, g.stride, g.dilation, g.before) for i, k, g in along]

    def met(self) -> str:
        """Whether value k (l) of window i (j) is the one at h (w): "[h = 2i+k] [w = 2j+l]"."""
        *_, image = self.letters()
        return " ".join(f"[{h} = {at}]" for h, at in zip(image, self.seen(), strict=True))

    def reading(self, *saved: Any) -> Reading:
        windows = next((each for each in saved if isinstance(each, list)), [])
        sizes = dict(zip("kl", (g.kernel for g in self._geometry), strict=False))
        values = dict(zip("HW", (along.size for along in windows), strict=False))
        return Reading(values=values, sizes=sizes)

    def windows(self, x: np.ndarray) -> list[Windows]:
        """The windows along each spatial axis of x."""
        check_channels_last(self, x, self.spatial)
        windows = []
        for axis, (size, g) in enumerate(zip(x.shape[1:], self._geometry, strict=False)):
            count = self._count(axis, size)
            if count < 1:
                raise ValueError(
                    f"{self!r}: the kernel is larger than the input with its padding: got "
                    f"{x.shape}, where a kernel of {g.extent} meets {size} values and "
                    f"{g.before + g.after} of padding"
                )
            windows.append(Windows(size, g.kernel, g.stride, g.before, count, g.dilation))
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
        g = self._geometry[axis]
        rest = size + g.before + g.after - g.extent
        count = (rest + (g.stride - 1 if self.ceil_mode else 0)) // g.stride + 1
        if self.ceil_mode:  # but for a last window that would begin in the padding after x
            count = count - ((count - 1) * g.stride >= size + g.before)
        return count


class MaxPool(Pool):
    """What `MaxPool1d` and `MaxPool2d` share."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        dilation: Size = 1,
        return_indices: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, dilation)
        self.dilation = dilation
        self.return_indices = return_indices

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, inside, image = self.letters()
        y, x = entry(out), entry(image)
        met = self.met()
        return {
            "forward": f"y{y} = max_{inside} x[n, {', '.join(self.seen())}, c]",
            "input": f"dL/dx{x} = Σ_{out}{inside} {met} [x{x} = y{y}] G{y},  "
            "for the first of equal x",
        }

    def reading(self, *saved: Any) -> Reading:
        above, windows = saved[:2] if saved else (None, [])
        out, inside, image = self.letters()
        y, x = entry(out), entry(image)
        met = self.met()
        place = "h W + w" if self.spatial == 2 else "h"
        back = f"dL/dx{x} = Σ_{out}{inside} {met} [s{y} = {place}] G{y}"
        known = super().reading(windows)
        places = None if above is None else max_places(above, windows)
        values = {**known.values, "s": places}
        if not self.return_indices:
            return known._replace(values=values, components={"input": back})
        forward = self.equations["forward"].replace("y[", "y₁[", 1)
        components = {"y₁": forward, "y₂": "", "input": back.replace("G[", "G₁[")}
        return known._replace(values=values, components=components)

    def windows(self, x: np.ndarray) -> list[Windows]:
        """Refuse windows whose values all lie in the padding, as gaps may be wider than x."""
        windows = super().windows(x)
        for axis, along in enumerate(windows, start=1):
            for window, tap in along.begin_outside():
                if window * along.stride + tap * along.dilation >= along.padding + along.size:
                    raise ValueError(
                        f"{self!r}: window {window} along axis {axis} of {x.shape} lies in the "
                        "padding alone; use a smaller dilation"
                    )
        return windows

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        if self.return_indices and lengths is not None:
            raise ValueError(f"{self!r}: return_indices does not go with Padded sequences")
        windows, ends = self.windows(data), self.ends(lengths)
        y, above = max_windows(within(data, lengths, -np.inf), windows)
        self.save_for_backward(above, windows, y.shape, ends)
        y = ended(y, ends)
        return (y, max_places(above, windows)) if self.return_indices else y

    def backward(self, grad_output: Any) -> np.ndarray:
        above, windows, shape, ends = self.saved()
        grad_output = of_values(self, grad_output) if self.return_indices else grad_output
        self.check_grad_output(grad_output, shape)
        return max_windows_backward(within(grad_output, ends), above, windows)


def of_values(layer: Layer, grad_output: Any) -> np.ndarray:
    """The gradient of y, where y came with indices: these have none.

    Raises:
        TypeError: when it is not a tuple of the two.
    """
    if not isinstance(grad_output, tuple) or len(grad_output) != 2:
        raise TypeError(
            f"{layer!r}: with return_indices, backward expected (dL/dy, None), "
            f"got {type(grad_output).__name__}"
        )
    return grad_output[0]


class AvgPool(Pool):
    """What `AvgPool1d` and `AvgPool2d` share."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, inside, image = self.letters()
        y, x = entry(out), entry(image)
        met = self.met()
        number, defined = self._number()
        return {
            "forward": f"y{y} = Σ_{inside} x[n, {', '.join(self.seen())}, c] / {number}{defined}",
            "input": f"dL/dx{x} = Σ_{out}{inside} {met} G{y} / {number}{defined}",
        }

    def _number(self) -> tuple[str, str]:
        """How the equations write the number of values in a window, and what defines it."""
        if self.divisor_override is not None:
            return str(self.divisor_override), ""
        unpadded = not any(g.before + g.after for g in self._geometry)
        if not self.ceil_mode and (self.count_include_pad or unpadded):
            return str(math.prod(g.kernel for g in self._geometry)), ""
        _, inside, image = self.letters()
        counted = []
        for at, size, g in zip(self.seen(), image.upper(), self._geometry, strict=True):
            before, after = (g.before, g.after) if self.count_include_pad else (0, 0)
            low, high = f"−{before}" if before else "0", f"{size}+{after}" if after else size
            counted.append(f"[{low} ≤ {at} < {high}]")
        return "m", f",  m = Σ_{inside} {' '.join(counted)}"

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        windows, ends = self.windows(data), self.ends(lengths)
        share = self.share(windows, lengths).astype(data.dtype)
        y = sum_windows(within(data, lengths), windows)
        y *= share
        self.save_for_backward(share, windows, y.shape, lengths, ends)
        return ended(y, ends)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        share, windows, shape, lengths, ends = self.saved()
        self.check_grad_output(grad_output, shape)
        return within(spread_windows(within(grad_output, ends) * share, windows), lengths)

    def share(self, windows: list[Windows], lengths: np.ndarray | None) -> np.ndarray:
        """1/n for each window, (L, 1) or (H, W, 1), or (1,) with `divisor_override`.

        n is a product of one factor for each axis.

        Padding counts with count_include_pad; what `ceil_mode` adds beyond it never does. Where
        sequences end by themselves they have an n each: (N, L, 1) or (N, H, W, 1).
        """
        if self.divisor_override is not None:
            return np.array([1 / self.divisor_override])
        sizes: list[Any] = [along.size for along in windows]
        if lengths is not None:
            sizes[0] = lengths[:, None]
        share = np.ones(1)
        for along, size, g in zip(windows[::-1], sizes[::-1], self._geometry[::-1], strict=True):
            begin = np.arange(along.count) * along.stride - along.padding
            end = begin + along.kernel
            before, after = (g.before, g.after) if self.count_include_pad else (0, 0)
            n = np.minimum(end, size + after) - np.maximum(begin, -before)
            if lengths is not None:
                n = np.maximum(n, 1)  # where a sequence has no such window
            share = (1 / n).reshape(*n.shape, *[1] * share.ndim) * share
        return share


class LPPool(AvgPool):
    """What `LPPool1d` and `LPPool2d` share: the p-th root of K times the mean of |x|^p.

    Where the last window of `ceil_mode` ends with x, it has fewer than K values.
    """

    def __init__(
        self,
        norm_type: float,
        kernel_size: Size,
        stride: Size | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, 0, ceil_mode)
        self.norm_type = norm_type

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, inside, image = self.letters()
        y, x = entry(out), entry(image)
        met = self.met()
        p, less = (f"{float(n):g}".replace("-", "−") for n in (self.norm_type, self.norm_type - 1))
        share, defined = "", ""
        if self.ceil_mode:
            number, defined = self._number()
            share = f" {math.prod(g.kernel for g in self._geometry)} / {number}"
        return {
            "forward": f"y{y} = (Σ_{inside} |x[n, {', '.join(self.seen())}, c]|^{p}{share})^(1/{p})"
            f"{defined}",
            "input": f"dL/dx{x} = sign(x{x}) ⊙ |x{x}|^{less} Σ_{out}{inside} {met} "
            f"G{y} y{y}^(−{less}){share}{defined}",
        }

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        windows, ends = self.windows(data), self.ends(lengths)
        p, kernel = float(self.norm_type), math.prod(g.kernel for g in self._geometry)
        share = (kernel * self.share(windows, lengths)).astype(data.dtype)  # 1 for whole windows
        data = within(data, lengths)
        y = (sum_windows(np.abs(data) ** p, windows) * share) ** (1 / p)
        self.save_for_backward(data, share, windows, y, lengths, ends)
        return ended(y, ends)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        x, share, windows, y, lengths, ends = self.saved()
        self.check_grad_output(grad_output, y.shape)
        p = float(self.norm_type)
        d_powers = within(grad_output, ends) * share  # but for y^(1 − p), which is ∞ at y = 0
        d_powers *= np.where(y > 0, y, 1) ** (1 - p)
        d_x = spread_windows(d_powers, windows)
        d_x *= np.sign(x) * np.abs(x) ** (p - 1)
        return within(d_x, lengths)


class MaxPool1d(MaxPool):
    """The largest value of each window of a sequence, channel by channel.

    Forward      y_i = maxₒ x_{i·stride + o·dilation − padding},  o = 0 … kernel_size − 1
    Backward     dL/dx_j = Σᵢ G_i [x_j is the first maximum of window i]
                 because ∂y_i/∂x_j is 1 for the value that was taken and 0 for all others; of
                 equal values the first one counts as taken
    Shapes       x (N, L, C) → y (N, L', C), L' = ⌊(L + 2 padding − kernel_size)/stride⌋ + 1; of
                 `Padded` sequences each has its own L and L'
    Saves        which values of each window were above all before them
    Args         kernel_size: values in a window, ≥ 1
                 stride: from one window to the next, ≥ 1 (default None: kernel_size)
                 padding: −∞ at both ends: a number, at most half of kernel_size, or (left, right)
                 (default 0)
                 ceil_mode: whether a last window may reach beyond the end (default False): ⌈⌉
                 in place of ⌊⌋, as long as the window begins before the end
                 dilation: from one value of a window to the next, ≥ 1 (default 1); what holds for
                 kernel_size above then holds for its extent, (kernel_size − 1) dilation + 1
                 return_indices: whether to return (y, i), where y came from: i (N, L', C), for
                 `MaxUnpool1d` (default False); backward then takes (G, None)
    Raises       ValueError: for other sizes, for an x that is not (N, L, C), when the kernel is
                 larger than the padded input, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result; ties as in PyTorch
    """

    spatial = 1


class MaxPool2d(MaxPool):
    """The largest value of each window of an image, channel by channel.

    Forward      y_ij = maxₒₚ x_st,  s = i·stride + o·dilation − padding,
                 t = j·stride + p·dilation − padding
    Backward     dL/dx = Σ of G over the windows in which x is the first maximum in reading order
                 because ∂y/∂x is 1 for the value that was taken and 0 for all others
    Shapes       x (N, H, W, C) → y (N, H', W', C), H' = ⌊(H + 2 padding − kernel)/stride⌋ + 1
    Saves        which values of each window were above all before them
    Args         kernel_size: of the windows, a number or (height, width), ≥ 1
                 stride: a number or a pair, ≥ 1 (default None: kernel_size)
                 padding: −∞ on all sides, at most half of kernel_size: a number, or
                 (height, width), each a number or a pair (default 0)
                 ceil_mode: whether a last window may reach beyond the edge (default False)
                 dilation: from one value of a window to the next, a number or a pair, ≥ 1
                 (default 1); a kernel then has the extent (kernel − 1) dilation + 1
                 return_indices: whether to return (y, i), where y came from: i (N, H', W', C) is
                 h·W + w, for `MaxUnpool2d` (default False); backward then takes (G, None)
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
                 padding: zeros at both ends: a number, at most half of kernel_size, or
                 (left, right) (default 0)
                 ceil_mode: whether a last window may reach beyond the end (default False)
                 count_include_pad: whether n counts the padding (default True)
                 divisor_override: n, whatever the window (default None: its number of values)
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
                 padding: zeros on all sides, at most half of kernel_size: a number, or
                 (height, width), each a number or a pair (default 0)
                 ceil_mode: whether a last window may reach beyond the edge (default False)
                 count_include_pad: whether n counts the padding (default True)
                 divisor_override: n, whatever the window (default None: its number of values)
    Raises       ValueError: for other sizes, for an x that is not (N, H, W, C), when the kernel
                 is larger than the padded input, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       LeCun et al. 1998 (sub-sampling layers)
    """

    spatial = 2


class LPPool1d(LPPool):
    """The p-norm of each window of a sequence, channel by channel.

    Forward      y_i = (Σₒ |x_{i·stride + o}|^p)^(1/p),  o = 0 … kernel_size − 1
    Backward     dL/dx_j = sign(x_j) |x_j|^(p−1) Σ of G_i y_i^(1−p) over the windows i with x_j in
                 them, because ∂y/∂x = 1/p (Σ |x|^p)^(1/p − 1) · p |x|^(p−1) sign(x); 0 where y is 0
    Shapes       x (N, L, C) → y (N, L', C), L' = ⌊(L − kernel_size)/stride⌋ + 1; of `Padded`
                 sequences each has its own L and L'
    Saves        x, y, the sizes
    Args         norm_type: p ≥ 1; 1 gives the sum of |x|, and a large one nearly the maximum
                 kernel_size: values in a window, ≥ 1
                 stride: from one window to the next, ≥ 1 (default None: kernel_size)
                 ceil_mode: whether a last window may reach beyond the end (default False); with n
                 values of x in it, its sum is multiplied by kernel_size/n, as in PyTorch
    Raises       ValueError: for other sizes, for an x that is not (N, L, C), when the kernel is
                 larger than x, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Gulcehre et al. 2014, "Learned-Norm Pooling", equation 3

    PyTorch raises x itself to the power p: for p = 1, 3 and others that are not even, that is the
    same where no value is negative.
    """

    spatial = 1


class LPPool2d(LPPool):
    """The p-norm of each window of an image, channel by channel.

    Forward      y_ij = (Σₒₚ |x|^p)^(1/p), over x at (i·stride + o, j·stride + p)
    Backward     dL/dx = sign(x) |x|^(p−1) Σ of G y^(1−p) over the windows that x is in
                 as derived in `LPPool1d`; 0 where y is 0
    Shapes       x (N, H, W, C) → y (N, H', W', C), H' = ⌊(H − kernel)/stride⌋ + 1
    Saves        x, y, the sizes
    Args         norm_type: p ≥ 1; 1 gives the sum of |x|, and a large one nearly the maximum
                 kernel_size: of the windows, a number or (height, width), ≥ 1
                 stride: a number or a pair, ≥ 1 (default None: kernel_size)
                 ceil_mode: whether a last window may reach beyond the edge (default False); with n
                 of its K values in x, its sum is multiplied by K/n, as in PyTorch
    Raises       ValueError: for other sizes, for an x that is not (N, H, W, C), when the kernel
                 is larger than x, and when G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Gulcehre et al. 2014, "Learned-Norm Pooling", equation 3
    """

    spatial = 2
