"""Layers one after another, there and back: the loop of `Sequential`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from nnlite.ops.engine import twin


class Runner(Protocol):
    """What runs single layers: a container, with its guarded calls."""

    def forward_child(self, place: str, child: Any, x: Any) -> Any:
        """What the child makes of x."""

    def backward_child(self, place: str, child: Any, grad_output: Any, needed: bool = True) -> Any:
        """What the child makes of its output's gradient."""

    def refuse_nothing(self, place: str, child: Any) -> Any:
        """Raise the error for a child whose backward lacks its return."""


class Children(list[tuple[str, Any]]):
    """A container's layers, each with the words that name its place.

    Attributes:
        known: what an engine has found out about them, for itself; a copy begins without.
    """

    known: Any = None

    def __getstate__(self) -> None:
        """Nothing beside the layers."""


NamedLayers = Sequence[tuple[str, Any]]  # some of them


@twin
def forward_chain(container: Runner, children: Children, x: Any) -> Any:
    """The output of the last layer: xᵢ = fᵢ(xᵢ₋₁)."""
    run = container.forward_child
    for place, layer in children:
        x = run(place, layer, x)
    return x


@twin
def backward_chain(
    container: Runner, children: Children, grad: Any, needed: bool, lowest: int = 0
) -> Any:
    """The gradient of the input of the layer number `lowest`: Gᵢ₋₁ = Gᵢ ∂xᵢ/∂xᵢ₋₁, last one first.

    It may be None, if it is not needed, or if the input was whole numbers.
    """
    run = container.backward_child
    for place, layer in children[:lowest:-1]:
        grad = run(place, layer, grad)
        if grad is None:
            container.refuse_nothing(place, layer)
    for place, layer in children[lowest : lowest + 1]:
        grad = run(place, layer, grad, needed)
    return grad
