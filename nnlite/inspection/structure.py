"""How the layers of a model lie inside each other, seen from outside."""

from __future__ import annotations

from collections.abc import Iterator

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


def walk(layer: Layer) -> Iterator[Layer]:
    """The layer and all layers inside it, outermost first."""
    yield layer
    for _, inner in sub_layers(layer):
        yield from walk(inner)
