"""Borders around sequences and images: of a constant, mirrored, repeated, or going round."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.checks import check_sizes, sample_hint
from nnlite.core.formulas import entry
from nnlite.core.padded import filling
from nnlite.core.reading import Reading
from nnlite.layers.pooling.windows import Spatial


class Border(Spatial):
    """What the padding layers share: how far the border reaches on each side."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        self.padding = padding
        sides = check_sizes(f"{type(self).__name__}: padding", padding, 2 * self.spatial, least=0)
        # (before, after) along each axis; as in PyTorch, the last axis has the first two numbers
        self._sides = list(zip(sides[::2], sides[1::2], strict=True))[::-1]

    @property
    def instead_of_padded(self) -> str:  # type: ignore[override]
        """The layers that know where sequences end."""
        d = f"{self.spatial}d"
        return f"the padding argument of Conv{d}, MaxPool{d} or AvgPool{d}"

    def check_input(self, x: np.ndarray) -> None:
        """Refuse what is not (N, L, C), with one spatial axis, or (N, H, W, C), with two."""
        self.check_array(x)
        if x.ndim != self.spatial + 2:
            expected = "(N, L, C)" if self.spatial == 1 else "(N, H, W, C)"
            hint = sample_hint(x.shape, (self.spatial + 2,))
            raise ValueError(f"{self!r}: expected {expected}, got {x.shape}{hint}")

    def reading(self, *saved: Any) -> Reading:
        shape = next((each for each in saved if isinstance(each, tuple)), ())
        inner = (n - sum(side) for n, side in zip(shape[1:-1], self._sides, strict=False))
        return Reading(values=dict(zip("HW", inner, strict=False)))

    def places(self) -> list[str]:
        """Where, along each axis, value i (j) of y lies in x."""
        along = zip("ij", self._sides, strict=False)
        return [f"{i}−{before}" if before else i for i, (before, _) in along]


class FilledPad(Border):
    """A border of one value, which a subclass says."""

    value: float

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, image = self.letters()
        there = ", ".join(self.places())
        sides = zip(image, self._sides, strict=True)
        back = ", ".join(f"{h}+{before}" if before else h for h, (before, _) in sides)
        value = f"{float(self.value):g}".replace("-", "−")
        return {
            "forward": f"y{entry(out)} = x[n, {there}, c],  where x is {value} outside",
            "input": f"dL/dx{entry(image)} = G[n, {back}, c]",
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_input(x)
        value = filling(self, self.value, x.dtype)
        sizes = zip(x.shape[1:], self._sides, strict=False)
        shape = (len(x), *(before + n + after for n, (before, after) in sizes), x.shape[-1])
        # zeros come with the memory
        y = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
        y[self._inside(shape)] = x
        self.save_for_backward(shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (shape,) = self.saved()
        self.check_grad_output(grad_output, shape)
        return grad_output[self._inside(shape)]

    def _inside(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """Where x lies in an array of y's shape."""
        along = zip(shape[1:], self._sides, strict=False)
        return (slice(None), *(slice(before, size - after) for size, (before, after) in along))


class ZeroPad(FilledPad):
    """What `ZeroPad1d` and `ZeroPad2d` share."""

    value = 0.0


class ConstantPad(FilledPad):
    """What `ConstantPad1d` and `ConstantPad2d` share."""

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value


class CopyPad(Border):
    """A border of copies: a subclass says which value of x stands where.

    Along one axis y_i = x_s(i), and so dL/dx_h = Σᵢ [h = s(i)] G_i: the gradients of all copies of
    a value add up. With two axes, one follows the other.
    """

    def sources(self, position: np.ndarray, size: int) -> np.ndarray:
        """s for places of y, counted from x's first value, along an axis of this size."""
        raise NotImplementedError

    def source(self, place: str, size: str) -> str:
        """The same in the equations' words."""
        raise NotImplementedError

    def farthest(self, size: int) -> int:
        """How wide a border an axis of this size can have."""
        raise NotImplementedError

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        out, image = self.letters()
        along = zip(self.places(), image.upper(), strict=True)
        sources = [self.source(place, size) for place, size in along]
        met = " ".join(f"[{h} = {source}]" for h, source in zip(image, sources, strict=True))
        y = entry(out)
        return {
            "forward": f"y{y} = x[n, {', '.join(sources)}, c]",
            "input": f"dL/dx{entry(image)} = Σ_{out} {met} G{y}",
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_input(x)
        y, taken = x, []
        for axis, (before, after) in enumerate(self._sides, start=1):
            size = x.shape[axis]
            if max(before, after) > self.farthest(size):
                raise ValueError(
                    f"{self!r}: {size} values along axis {axis} can have a border of at most "
                    f"{self.farthest(size)}, got padding {(before, after)} for {x.shape}"
                )
            source = self.sources(np.arange(-before, size + after), size)
            y = y.take(source, axis)
            taken.append((source, size, before))
        self.save_for_backward(taken, y.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        taken, shape = self.saved()
        self.check_grad_output(grad_output, shape)
        d_x = grad_output
        for axis, (source, size, before) in reversed(list(enumerate(taken, start=1))):
            d_y = np.moveaxis(d_x, axis, 0)
            inside = d_y[before : before + size].copy()
            for i in (*range(before), *range(before + size, len(source))):
                inside[source[i]] += d_y[i]
            d_x = np.moveaxis(inside, 0, axis)
        return d_x


class ReflectionPad(CopyPad):
    """What `ReflectionPad1d` and `ReflectionPad2d` share."""

    def sources(self, position: np.ndarray, size: int) -> np.ndarray:
        last = size - 1
        return last - np.abs(last - np.abs(position))

    def source(self, place: str, size: str) -> str:
        return f"{size}−1−|{size}−1−|{place}||"

    def farthest(self, size: int) -> int:
        return max(size - 1, 0)


class ReplicationPad(CopyPad):
    """What `ReplicationPad1d` and `ReplicationPad2d` share."""

    def sources(self, position: np.ndarray, size: int) -> np.ndarray:
        return np.clip(position, 0, size - 1)

    def source(self, place: str, size: str) -> str:
        return f"min(max({place}, 0), {size}−1)"

    def farthest(self, size: int) -> Any:
        return np.inf if size else 0


class CircularPad(CopyPad):
    """What `CircularPad1d` and `CircularPad2d` share."""

    def sources(self, position: np.ndarray, size: int) -> np.ndarray:
        return position % max(size, 1)

    def source(self, place: str, size: str) -> str:
        return f"({place}) mod {size}"

    def farthest(self, size: int) -> int:
        return size


class ZeroPad1d(ZeroPad):
    """Zeros at both ends of a sequence.

    Forward      y = x with zeros before and after it
    Backward     dL/dx = G without the ends: the zeros do not depend on x
    Shapes       x (N, L, C) → y (N, left + L + right, C)
    Saves        y's shape
    Args         padding: a number for both ends, or (left, right), ≥ 0
    Raises       ValueError: for another padding, an x that is not (N, L, C), or a G not in y's
                 shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 1


class ZeroPad2d(ZeroPad):
    """A border of zeros around the image.

    Forward      y = x with zeros around it
    Backward     dL/dx = G without the border: the zeros do not depend on x
    Shapes       x (N, H, W, C) → y (N, top + H + bottom, left + W + right, C)
    Saves        y's shape
    Args         padding: a number for all sides, or (left, right, top, bottom) as in PyTorch, ≥ 0
    Raises       ValueError: for another padding, an x that is not (N, H, W, C), or a G not in y's
                 shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 2


class ConstantPad1d(ConstantPad):
    """One value at both ends of a sequence.

    Forward      y = x with the value before and after it
    Backward     dL/dx = G without the ends: the value does not depend on x
    Shapes       x (N, L, C) → y (N, left + L + right, C)
    Saves        y's shape
    Args         padding: a number for both ends, or (left, right), ≥ 0
                 value: what stands there
    Raises       ValueError: for another padding, a value that x's dtype cannot hold, an x that is
                 not (N, L, C), or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 1


class ConstantPad2d(ConstantPad):
    """A border of one value around the image.

    Forward      y = x with the value around it
    Backward     dL/dx = G without the border: the value does not depend on x
    Shapes       x (N, H, W, C) → y (N, top + H + bottom, left + W + right, C)
    Saves        y's shape
    Args         padding: a number for all sides, or (left, right, top, bottom) as in PyTorch, ≥ 0
                 value: what stands in the border
    Raises       ValueError: for another padding, a value that x's dtype cannot hold, an x that is
                 not (N, H, W, C), or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 2


class ReflectionPad1d(ReflectionPad):
    """The ends of a sequence mirrored, without repeating the last value: c b | a b c | b a.

    Forward      y_i = x_s,  s = L − 1 − |L − 1 − |i − left||
    Backward     dL/dx_s = Σ of G over all copies of x_s: ∂y_i/∂x_s = 1 for each of them
    Shapes       x (N, L, C) → y (N, left + L + right, C)
    Saves        where each value of y came from, y's shape
    Args         padding: a number for both ends, or (left, right), ≥ 0
    Raises       ValueError: for another padding, or one of L or more, an x that is not (N, L, C),
                 or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 1


class ReflectionPad2d(ReflectionPad):
    """A border that mirrors the image, without repeating its edge.

    Forward      y_ij = x_st,  s = H − 1 − |H − 1 − |i − top||,  t = W − 1 − |W − 1 − |j − left||
    Backward     dL/dx_st = Σ of G over all copies of x_st: ∂y_ij/∂x_st = 1 for each of them
    Shapes       x (N, H, W, C) → y (N, top + H + bottom, left + W + right, C)
    Saves        where each value of y came from, y's shape
    Args         padding: a number for all sides, or (left, right, top, bottom) as in PyTorch, ≥ 0
    Raises       ValueError: for another padding, or one of the image's size or more, an x that is
                 not (N, H, W, C), or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 2


class ReplicationPad1d(ReplicationPad):
    """The first and the last value of a sequence repeated: a a | a b c | c c.

    Forward      y_i = x_s,  s = min(max(i − left, 0), L − 1)
    Backward     dL/dx_s = Σ of G over all copies of x_s: ∂y_i/∂x_s = 1 for each of them
    Shapes       x (N, L, C) → y (N, left + L + right, C)
    Saves        where each value of y came from, y's shape
    Args         padding: a number for both ends, or (left, right), ≥ 0
    Raises       ValueError: for another padding, where there is nothing to repeat, an x that is not
                 (N, L, C), or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 1


class ReplicationPad2d(ReplicationPad):
    """A border that repeats the edge of the image.

    Forward      y_ij = x_st,  s = min(max(i − top, 0), H − 1),  t = min(max(j − left, 0), W − 1)
    Backward     dL/dx_st = Σ of G over all copies of x_st: ∂y_ij/∂x_st = 1 for each of them
    Shapes       x (N, H, W, C) → y (N, top + H + bottom, left + W + right, C)
    Saves        where each value of y came from, y's shape
    Args         padding: a number for all sides, or (left, right, top, bottom) as in PyTorch, ≥ 0
    Raises       ValueError: for another padding, where there is nothing to repeat, an x that is not
                 (N, H, W, C), or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 2


class CircularPad1d(CircularPad):
    """A sequence that goes round, as if its ends met: b c | a b c | a b.

    Forward      y_i = x_s,  s = (i − left) mod L
    Backward     dL/dx_s = Σ of G over all copies of x_s: ∂y_i/∂x_s = 1 for each of them
    Shapes       x (N, L, C) → y (N, left + L + right, C)
    Saves        where each value of y came from, y's shape
    Args         padding: a number for both ends, or (left, right), ≥ 0
    Raises       ValueError: for another padding, or one of more than L, an x that is not (N, L, C),
                 or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 1


class CircularPad2d(CircularPad):
    """An image that goes round, as if its opposite edges met.

    Forward      y_ij = x_st,  s = (i − top) mod H,  t = (j − left) mod W
    Backward     dL/dx_st = Σ of G over all copies of x_st: ∂y_ij/∂x_st = 1 for each of them
    Shapes       x (N, H, W, C) → y (N, top + H + bottom, left + W + right, C)
    Saves        where each value of y came from, y's shape
    Args         padding: a number for all sides, or (left, right, top, bottom) as in PyTorch, ≥ 0
    Raises       ValueError: for another padding, or one of more than the image's size, an x that is
                 not (N, H, W, C), or a G not in y's shape
                 TypeError: when x is not an array
    Source       standard result
    """

    spatial = 2
