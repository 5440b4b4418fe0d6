"""Which function writes a layer: by its class, or the layer itself by `to_onnx(graph, x)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnlite.interop.onnx.graph import Graph

Write = Callable[[Any, Graph, Any], Any]
WRITES: dict[type, Write] = {}
# by class, why there is no function for it and what to do instead
REFUSALS: dict[type, str] = {}
OWN = "give its class a method to_onnx(graph, x), or register one; see help(nnlite.interop.onnx)"
# what a subclass may have of its own: none of it says what forward computes
FREE = {"backward", "derivative", "equations"}


def export(layer: Any, graph: Graph, x: Any) -> Any:
    """Add to the graph the nodes that compute layer(x); returns the value that is y.

    `export.register(Class)` makes a function the one for a class of layers, and for those of its
    subclasses that only build it.

    Args:
        layer: in eval mode.
        graph: to which nodes are added, with `graph.node` and `graph.map`.
        x: the layer's input, a `Value`, or a tuple of them.

    Raises:
        ValueError: when it cannot be written.
    """
    if hasattr(layer, "to_onnx"):
        return layer.to_onnx(graph, x)
    return function_for(layer, graph)(layer, graph, x)


def function_for(layer: Any, graph: Graph) -> Write:
    """The function that writes a layer of this class.

    Raises:
        ValueError: when there is none.
    """
    known = _known(type(layer))
    if known in REFUSALS:
        raise graph.refuse(layer, f"{REFUSALS[known]}; {OWN}")
    if known not in WRITES:
        raise graph.refuse(layer, f"nnlite does not know how to write it; {OWN}")
    changed = _changed(type(layer), known)
    if changed:
        raise graph.refuse(layer, f"its class has a {changed} of its own; {OWN}")
    return WRITES[known]


def register(*classes: type) -> Callable[[Write], Write]:
    """The function writes layers of these classes."""

    def remember(function: Write) -> Write:
        WRITES.update(dict.fromkeys(classes, function))
        return function

    return remember


export.register = register  # type: ignore[attr-defined]


def _known(cls: type) -> type:
    """The nearest class that somebody registered, or that is nnlite's: the layer is built on it.

    A class of nnlite's own that has no function is not written as the one that it is made from.
    """
    ours = (base for base in cls.__mro__ if base in WRITES or base.__module__.startswith("nnlite."))
    return next(ours, cls)


def _changed(cls: type, known: type) -> str | None:
    """What a subclass does differently from the known layer, as far as names can tell."""
    below = cls.__mro__[: cls.__mro__.index(known)]
    own = (name for base in below for name in vars(base) if not name.startswith("__"))
    return next((name for name in own if hasattr(known, name) and name not in FREE), None)
