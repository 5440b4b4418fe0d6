"""One layer after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn, overload

from nnlite.core.formulas import subscript
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.ops.chain import Children, backward_chain, forward_chain

MANY = 4  # more layers are not written out in the equations


class Sequential(Container):
    """One layer after another: y = fₖ(… f₂(f₁(x))).

    Forward      x₀ = x,  xᵢ = fᵢ(xᵢ₋₁),  y = xₖ
    Backward     G_k = dL/dy,  Gᵢ₋₁ = Gᵢ ∂xᵢ/∂xᵢ₋₁,  dL/dx = G₀
                 the chain rule, last layer first: each layer turns the gradient of its output
                 into that of its input, and adds to its parameters' gradients on the way
    Shapes       those of the layers
    Saves        nothing itself
    Args         layers: the layers, in order; none makes an identity
    Raises       TypeError: for what is not a layer
                 ValueError: for a layer that is already in the model
    Source       the chain rule

    `len`, iteration and indexing work as on a tuple, and a slice is a Sequential of the same
    layers. With `needs_input_grad` False, backward stops after the lowest layer with parameters.
    """

    kind = "chain"

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self._children = Children((f"layer {i}", layer) for i, layer in enumerate(layers))
        self.check_children()

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        count = len(self.layers)
        last = subscript(count)
        if count > MANY:
            return {
                "forward": f"y = f{last}(… f₂(f₁(x)))",
                "input": f"dL/dx = G J{last} … J₂ J₁",
            }
        y, back = "x", "G"
        for k in range(1, count + 1):
            y, back = f"f{subscript(k)}({y})", f"{back} J{subscript(count + 1 - k)}"
        return {"forward": f"y = {y}", "input": f"dL/dx = {back}"}

    def children(self) -> list[tuple[str, Layer]]:
        return self._children

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        y = forward_chain(self, self._children, x)
        self.save_for_backward()
        return y

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        self.saved()
        lowest = 0 if self.needs_input_grad else self._lowest_with_parameters()
        d_x = backward_chain(self, self._children, grad_output, self.needs_input_grad, lowest)
        for layer in self.layers[:lowest]:
            layer.clear_saved()
        return d_x if self.needs_input_grad else None

    def _lowest_with_parameters(self) -> int:
        for index, layer in enumerate(self.layers):
            if layer.has_parameters():
                return index
        return len(self.layers)

    def __getattr__(self, name: str) -> NoReturn:
        """Say what somebody who comes from another library was looking for.

        Only here, where models are put together: every attribute of a class that has this method
        is slower to find, 0.3 µs for each layer and step.
        """
        if hasattr(type(self), name):  # a property of the class, whose own error it is
            object.__getattribute__(self, name)
        from nnlite.core.habits import OF_LAYER, instead

        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}{instead(name, OF_LAYER)}",
            name=name,
            obj=self,
        )

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        part = self.layers[index]
        return Sequential(*part) if isinstance(part, tuple) else part
