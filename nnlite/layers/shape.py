"""Layers that only rearrange: the gradient is rearranged back."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from nnlite.core.reading import Reading
from nnlite.layers.base import Layer


class Identity(Layer):
    """y = x, the layer that does nothing.

    Forward      y = x
    Backward     dL/dx = G
    Shapes       any
    Saves        nothing
    Source       standard result
    """

    kind = "rearrangement"
    equations: ClassVar = {"forward": "y = x", "input": "dL/dx = G"}

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save_for_backward()
        return x

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        self.saved()
        return grad_output


class Reshape(Layer):
    """Give every sample another shape.

    Forward      y = the same values in the same order (the last axis fastest)
    Backward     dL/dx = G in x's shape: each value only moved, so its gradient moves back
    Shapes       x (N, …) → y (N, *shape)
    Saves        x's shape
    Args         shape: of one sample, without the batch axis; one entry may be −1
    Raises       ValueError: for sizes below 1, a second −1, or when x's size does not agree
    Source       standard result
    """

    kind = "rearrangement"

    def __init__(self, *shape: int) -> None:
        if 0 in shape:
            raise ValueError(f"Reshape: each size must be a whole number ≥ 1, or −1, got {shape}")
        if shape.count(-1) > 1:
            raise ValueError(f"Reshape: only one size can be −1, got {shape}")
        self.shape = shape

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        sizes = ", ".join(map(str, self.shape)).replace("-", "−")
        return {"forward": f"y = x in the shape (N, {sizes})", "input": "dL/dx = G in x's shape"}

    def reading(self, *saved: Any) -> Reading:
        components = {"forward": "y = x", "input": "dL/dx = G"}
        return Reading(components=components, fold=lambda shape: (shape[0], math.prod(shape[1:])))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_array(x)
        size, given = math.prod(x.shape[1:]), math.prod(n for n in self.shape if n != -1)
        # worked out here, because with no samples NumPy cannot
        shape = tuple(size // given if n == -1 else n for n in self.shape)
        if math.prod(shape) != size:
            raise ValueError(
                f"{self!r}: a sample of shape {x.shape[1:]} has {size} values, "
                f"which do not fit {self.shape}"
            )
        y = x.reshape(x.shape[0], *shape)
        self.save_for_backward(x.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (shape,) = self.saved()
        return grad_output.reshape(shape)


class Flatten(Reshape):
    """One row per sample: all axes but the first become one.

    Forward      y = the same values in the same order
    Backward     dL/dx = G in x's shape
    Shapes       x (N, …) → y (N, D), D the product of the other axes
    Saves        x's shape
    Source       standard result
    """

    def __init__(self) -> None:
        super().__init__(-1)


class Permute(Layer):
    """Reorder the axes of every sample.

    Forward      y = x with its axes in the order (0, *axes): y's axis k is x's axis axes[k−1]
    Backward     dL/dx = G with its axes in the inverse order
    Shapes       x (N, a₁, a₂, …) → y (N, a_axes[0], a_axes[1], …)
    Saves        nothing
    Args         axes: the new order of the axes 1, 2, …; the batch axis 0 stays first, as in
                 `Permute(3, 1, 2)` for (N, H, W, C) → (N, C, H, W)
    Raises       ValueError: when the axes are not 1, 2, … in some order, or x has more or fewer
    Source       standard result
    """

    kind = "rearrangement"

    def __init__(self, *axes: int) -> None:
        if sorted(axes) != list(range(1, len(axes) + 1)):
            raise ValueError(
                f"Permute: expected the axes 1 to {max(len(axes), 1)} in some order, got {axes}; "
                "the batch axis 0 stays first and is left out"
            )
        self.axes = axes

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        there = (0, *self.axes)
        back = tuple(map(int, np.argsort(there)))
        return {
            "forward": f"y = x with its axes in the order {there}",
            "input": f"dL/dx = G with its axes in the order {back}",
        }

    def reading(self, *saved: Any) -> Reading:
        letters = "nijklm"[: len(self.axes) + 1]
        x, y = (f"[{','.join(each)}]" for each in (letters, [letters[a] for a in (0, *self.axes)]))
        return Reading(components={"forward": f"y{y} = x{x}", "input": f"dL/dx{x} = G{y}"})

    @property
    def mixed_axes(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from an argument
        """Time, unless it stays where it is."""
        return () if self.axes[:1] == (1,) else (1,)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_array(x)
        if x.ndim != len(self.axes) + 1:
            raise ValueError(f"{self!r}: expected {len(self.axes) + 1} axes, got shape {x.shape}")
        y = x.transpose(0, *self.axes)
        self.save_for_backward()
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        self.saved()
        return grad_output.transpose(np.argsort((0, *self.axes)))
