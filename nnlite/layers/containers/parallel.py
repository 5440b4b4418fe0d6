"""Several inputs, each with a layer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nnlite.core.formulas import subscript
from nnlite.core.padded import plain
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.layers.containers.joining import ends_of, joined_padding


class Parallel(Container):
    """Several inputs, each through a layer of its own: y = (f₁(x₁), f₂(x₂), …).

    Forward      yᵢ = fᵢ(xᵢ)
    Backward     dL/dxᵢ = Jᵢᵀ Gᵢ: no input reaches another one's output
    Shapes       x and y are tuples, one array (or `Padded`) for each layer
    Saves        nothing itself
    Args         layers: one for each input; `Identity()` hands its input on as it is
    Raises       TypeError: when x, or G, is not a tuple
                 ValueError: when it has another number of elements
    Source       standard result

    A model that begins with it takes a tuple of arrays:

        model = nn.Sequential(
            nn.Parallel(nn.Linear(4, 8), nn.Sequential(nn.Embedding(50, 8), nn.MeanOverTime())),
            nn.Join(),
            nn.Linear(16, 1),
        )
        trainer.fit((numbers, tokens), y)
    """

    equations: ClassVar = {"forward": "yᵢ = fᵢ(xᵢ)", "input": "dL/dxᵢ = Gᵢ Jᵢ"}

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("Parallel needs at least one layer")
        self.layers = layers
        self.check_children()

    def children(self) -> list[tuple[str, Layer]]:
        return [(f"input {index}", layer) for index, layer in enumerate(self.layers)]

    def reading(self, *saved: Any) -> Reading:
        paths: dict[str, tuple[str, str]] = {}
        components: dict[str, str] = {}
        for index, b in enumerate(map(subscript, range(1, 1 + len(self.layers)))):
            paths[f"input {index}"] = f"f{b}(x{b})", f"G{b} J{b}"
            components |= {f"y{b}": f"y{b} = f{b}(x{b})", f"dL/dx{b}": f"dL/dx{b} = G{b} J{b}"}
        return Reading(components=components, paths=paths)

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        self._check_elements("x", x)
        y = tuple(
            self.forward_child(place, layer, each)
            for (place, layer), each in zip(self.children(), x, strict=True)
        )
        self.save_for_backward()
        return y

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        """Each gradient through its layer; None in the place of an input of whole numbers."""
        self.saved()
        self._check_elements("backward: dL/dy", grad_output)
        d_x = tuple(
            self.backward_child(place, layer, each, self.needs_input_grad)
            for (place, layer), each in zip(self.children(), grad_output, strict=True)
        )
        return d_x if self.needs_input_grad else None

    def _check_elements(self, name: str, values: Any) -> None:
        count = len(self.layers)
        if not isinstance(values, tuple):
            raise TypeError(
                f"Parallel: expected {name} as a tuple of {count} arrays, one for each layer, "
                f"got {type(values).__name__}"
            )
        if len(values) != count:
            raise ValueError(f"Parallel: expected {name} as {count} arrays, got {len(values)}")


class Join(Layer):
    """The elements of a tuple, joined along the last axis.

    Forward      y = [x₁, x₂, …]
    Backward     dL/dxᵢ = Gᵢ, the slice of G that xᵢ became
    Shapes       xᵢ (N, …, Cᵢ) → y (N, …, ΣCᵢ); `Padded` where all elements are, with the same ends
    Saves        where each element's slice ends
    Raises       TypeError: when x is not a tuple
                 ValueError: when the elements differ in another axis than the last, or in where
                 their sequences end
    Source       standard result; see `Parallel`
    """

    equations: ClassVar = {"forward": "y = [x₁, x₂, …]", "input": "dL/dxᵢ = Gᵢ"}

    def reading(self, ends: Sequence[int] = ()) -> Reading:
        parts = [subscript(b) for b in range(1, 2 + len(ends))]
        gradients = ", ".join(f"G{b}" for b in parts)
        cut = f",  [{gradients}] = G"
        sizes = {f"G{b}": int(size) for b, size in zip(parts, np.diff([0, *ends]), strict=False)}
        return Reading(
            components={
                "forward": f"y = [{', '.join(f'x{b}' for b in parts)}]",
                **{f"dL/dx{b}": f"dL/dx{b} = G{b}{cut}" for b in parts},
            },
            sizes=sizes,
        )

    def forward(self, x: Any) -> Any:
        if not isinstance(x, tuple) or not x:
            raise TypeError(
                f"Join: expected a tuple of arrays, as Parallel returns it, got {type(x).__name__}"
            )
        arrays = [plain(each) for each in x]
        ends = ends_of(arrays, "Join: arrays")
        y = np.concatenate(arrays, axis=-1)
        self.save_for_backward(ends)
        return joined_padding("Join: arrays", y, x)

    def backward(self, grad_output: np.ndarray) -> Any:
        (ends,) = self.saved()
        return tuple(np.split(grad_output, ends, axis=-1))
