"""Layers made of layers: one after another, side by side, and around.

A container is a layer like any other: it has a forward and a backward, so containers nest. It
adds two things of its own. It tells its children whether their input gradient is needed, and it
says where in the model an error happened: every container on the way out puts its own place in
front of the message, until it reads

    in Sequential layer 2 › Residual branch › Linear(64, 10): expected (N, 64), got (32, 128)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from nnlite.core.padded import Padded
from nnlite.core.slot import keeping
from nnlite.layers.base import Layer
from nnlite.layers.structure import Parent

LOCATED = (ValueError, TypeError, RuntimeError)
Pass = TypeVar("Pass", bound=Callable[..., Any])


def whole_or_nothing(run: Pass) -> Pass:
    """A container's forward or backward that empties the slots of all children when it fails.

    A pass that an error or Ctrl-C stopped halfway leaves nothing to continue from. Inside
    `nn.inference()` it saved nothing, and what the slots hold belongs to another pass.
    """

    @functools.wraps(run)
    def guarded(self: Container, *values: Any, **named: Any) -> Any:
        try:
            return run(self, *values, **named)
        except BaseException:
            if keeping():
                self.clear_saved()
            raise

    return guarded  # type: ignore[return-value]  # the same call, as wraps says


class Composite(Layer):
    """A layer with layers inside: it runs each of them by one guarded call, there and back."""

    def forward_child(self, place: str, child: Layer, x: Any, state: Any = None) -> Any:
        """What the child makes of x; an error on the way names the child's place.

        Args:
            place: the words that name it in errors.
            child: the layer.
            x: its input, which may be `Padded`.
            state: of a recurrent layer, where to start from (default None: not given).
        """
        try:
            if state is not None:
                y = child.forward(x, state)  # type: ignore[call-arg]  # of a recurrent layer
            else:
                y = x.through(child) if isinstance(x, Padded) else child.forward(x)
            if y is None:
                raise _nothing_from("forward", child, "y")
        except LOCATED as error:
            self._raise_from(place, child, error)
        return y

    def backward_child(
        self, place: str, child: Layer, grad_output: Any, needed: bool = True
    ) -> Any:
        """What the child makes of its output's gradient.

        Args:
            place: the words that name it in errors.
            child: the layer.
            grad_output: dL/dy.
            needed: whether the child shall return dL/dx; for whole numbers it is None anyway.
        """
        if child.needs_input_grad != needed:  # rarely; Layer checks every write
            child.needs_input_grad = needed
        try:
            return child.backward(grad_output)
        except LOCATED as error:
            self._raise_from(place, child, error)

    def refuse_nothing(self, place: str, child: Layer) -> NoReturn:
        """Raise the error for a child whose backward lacks its return."""
        self._raise_from(place, child, _nothing_from("backward", child, "dL/dx"))

    def _raise_from(self, place: str, child: Layer, error: Exception) -> NoReturn:
        """Put the child's place in front of the error's message, and raise it again."""
        prefix = f"in {type(self).__name__} {place} › "
        if error.args and isinstance(error.args[0], str):
            message = error.args[0]
            if isinstance(child, Composite) and message.startswith(f"in {type(child).__name__} "):
                message = message.removeprefix("in ")  # it has named its own place already
            elif not message.startswith(type(child).__name__):
                message = f"{child.label()}: {message}"
            error.args = (prefix + message, *error.args[1:])
        else:
            error.add_note(prefix + child.label())
        raise error


def _nothing_from(method: str, layer: Layer, wanted: str) -> TypeError:
    """The error for a method that lacks its return."""
    return TypeError(f"{layer.label()}: {method} returned None; it must return {wanted}")


class Container(Composite, Parent):
    """What containers share: their children, by place, and the place in error messages."""

    accepts_padded = True

    def children(self) -> list[tuple[str, Layer]]:
        """The layers directly inside, each with the words that name its place."""
        return super().children()

    def check_children(self) -> None:
        """Refuse a layer that stands in two places.

        A layer has one slot, so a second forward would overwrite what the first one saved.
        """
        seen: dict[int, str] = {}
        for place, child in self.children():
            for layer in child.named_layers().values():
                if id(layer) in seen:
                    tie = ", and to tie their weights share the Parameter: second.weight = first"
                    raise ValueError(
                        f"{type(self).__name__}: {layer.label()} stands in {seen[id(layer)]} and "
                        f"again in {place}; a layer can be used once. Make a second one"
                        + (f"{tie}.weight" if layer.has_parameters() else "")
                    )
                seen[id(layer)] = place

    def label(self) -> str:
        """The class alone: the whole model would fill the screen."""
        return type(self).__name__
