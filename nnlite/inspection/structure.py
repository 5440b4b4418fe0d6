"""How the layers of a model lie inside each other, seen from outside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

import numpy as np

from nnlite.layers.base import Layer
from nnlite.layers.containers import Container


def sub_layers(layer: Layer) -> list[tuple[str, Layer]]:
    """The layers directly inside, each with the words that name its place.

    A container says so itself; in a layer that someone built from others they are found by path.
    """
    if isinstance(layer, Container):
        return layer.children()
    direct: list[tuple[str, Layer]] = []
    deeper: set[int] = set()
    for path, inner in layer.named_parts(Layer):
        if id(inner) not in deeper:
            direct.append((path, inner))
            deeper |= {id(below) for below in inner.named_layers().values()}
    return direct


def place_name(place: tuple[str, ...], layer: Layer) -> str:
    """A path for people: "layer 2 › branch › Linear(64, 10)"."""
    return " › ".join([*place, type(layer).__name__ if sub_layers(layer) else repr(layer)])


def places(layer: Layer, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Layer]]:
    """Every layer with the way to it, outermost first."""
    yield above, layer
    for name, inner in sub_layers(layer):
        yield from places(inner, (*above, name))


def watch(
    layer: Layer,
    after_forward: Callable[[Any, Any], None] | None = None,
    after_backward: Callable[[np.ndarray, np.ndarray | None], None] | None = None,
) -> Callable[[], None]:
    """Be told of every forward (x, y) and backward (G, dL/dx) of this instance.

    Only in the thread that calls `watch`: another one may be predicting with the same layer.
    x and y may be `Padded`. Of a recurrent layer that takes or returns its state too, these are
    told without it.

    Returns:
        A function that ends it, and leaves the instance as it was.
    """
    forward, backward, thread = layer.forward, layer.backward, get_ident()

    @functools.wraps(forward)
    def watched_forward(x: Any, *state: Any) -> Any:
        y = forward(x, *state)
        if after_forward is not None and get_ident() == thread:
            after_forward(x, _without_state(y))
        return y

    @functools.wraps(backward)
    def watched_backward(grad_output: np.ndarray) -> Any:
        d_x = backward(grad_output)
        if after_backward is not None:
            after_backward(_without_state(grad_output), _without_state(d_x))
        return d_x

    layer.forward = watched_forward  # type: ignore[method-assign]
    layer.backward = watched_backward  # type: ignore[method-assign]
    return lambda: unwatch(layer)


def _without_state(value: Any) -> Any:
    """The first of a pair (y, state)."""
    return value[0] if isinstance(value, tuple) else value


def unwatch(layer: Layer) -> None:
    """Give the instance the methods of its class again."""
    for name in ("forward", "backward"):
        vars(layer).pop(name, None)
