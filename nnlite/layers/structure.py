"""Parts, paths and ties: one walk for all who ask what a model is made of.

What a layer owns is found by walking its attributes in the order in which they were defined,
lists, tuples and dicts too. Names that start with `_` are not walked. The path of a part says how
to get there, "2.branch.0.weight"; the place of a layer is the same in words.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from fnmatch import fnmatchcase
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nnlite.core.construction import varargs_name
from nnlite.core.parameter import Buffer, Computed, Parameter


class Node:
    """What a layer is to those who walk through a model: it holds parts, and has two passes."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]


class Parent(Node):
    """A node that names the places of its children itself."""

    def children(self) -> list[tuple[str, Any]]:
        """The layers directly inside, each with the words that name its place."""
        raise NotImplementedError(f"{type(self).__name__} must define children()")


Part = TypeVar("Part")
Inner = TypeVar("Inner", bound=Node)
PARTS = (Node, Parameter, Buffer, np.random.Generator)
HOLDING = (*PARTS, list, tuple, dict)  # what is worth a look
PLAIN = {int, float, bool, str, type(None)}  # most attributes are not


# -- paths -----------------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a part stands: an attribute of a layer, or an entry of a list or dictionary there."""

    path: str
    part: Any
    home: MutableMapping[Any, Any] | list[Any] | tuple[Any, ...]
    key: Any


def places(owner: Node) -> list[Place]:
    """Every place in which a part stands, depth first, shared parts as often as they do.

    What is inside a layer is walked where the layer stands first.
    """
    found: list[Place] = []
    _add_places_in(owner, "", {id(owner)}, found)
    return found


def _add_places_in(owner: Node, prefix: str, walked: set[int], found: list[Place]) -> None:
    cls: Any = type(owner)
    starred, home = varargs_name(cls), vars(owner)
    for name, value in list(home.items()):  # another thread may add to it meanwhile
        if type(value) in PLAIN or name[:1] == "_" or not isinstance(value, HOLDING):
            continue
        # A *layers attribute adds only its indices: "2.weight", not "layers.2.weight".
        path = prefix if name == starred else f"{prefix}{name}."
        _add_places_at(path, value, home, name, walked, found)


def _add_places_at(
    path: str, value: Any, home: Any, key: Any, walked: set[int], found: list[Place]
) -> None:
    if isinstance(value, PARTS) and not isinstance(value, Computed):
        found.append(Place(path[:-1], value, home, key))
        if isinstance(value, Node) and id(value) not in walked:
            walked.add(id(value))
            _add_places_in(value, path, walked, found)
    elif isinstance(value, (list, tuple, dict)):
        for index, item in value.items() if isinstance(value, dict) else enumerate(value):
            _add_places_at(f"{path}{index}.", item, value, index, walked, found)


def named_parts(owner: Node, kind: type[Part]) -> Iterator[tuple[str, Part]]:
    """Every part of one kind inside the owner with its path, each object once.

    Raises:
        ValueError: when two parts have the same path.
    """
    seen, paths = {id(owner)}, set()
    for path, part, _, _ in places(owner):
        if id(part) in seen:
            continue
        if path in paths:
            raise ValueError(f"two parts of the model have the same path, {path}; rename one")
        seen.add(id(part))
        paths.add(path)
        if isinstance(part, kind):
            yield path, part


def arrays(owner: Node) -> dict[str, Parameter | Buffer]:
    """All parameters, then all buffers, by path, each once."""
    parts = list(named_parts(owner, object))
    return {
        path: part for kind in (Parameter, Buffer) for path, part in parts if isinstance(part, kind)
    }


def matching(owner: Node, paths: str | Sequence[str], where: str) -> list[Parameter]:
    """The parameters that patterns choose, each once, in the order of their definition.

    A pattern is one of the shell's, where `*` goes over dots too: "0.*", "*.bias". It chooses the
    parameters whose path matches, and all those inside a layer whose path does. What stands in
    several places has a path for each.

    Args:
        owner: the model.
        paths: one pattern, or several.
        where: what errors begin with.

    Raises:
        ValueError: for a pattern that matches no parameter; it lists the paths that are near.
    """
    found = [place for place in places(owner) if isinstance(place.part, Parameter)]
    chosen: dict[int, Any] = {}
    for pattern in [paths] if isinstance(paths, str) else paths:
        matched = {id(p.part) for p in found if any(fnmatchcase(w, pattern) for w in _ways(p.path))}
        if not matched:
            raise ValueError(f"{where}: no parameter matches {pattern!r}{_near(pattern, found)}")
        chosen |= dict.fromkeys(matched)
    return list({id(p.part): p.part for p in found if id(p.part) in chosen}.values())


def _ways(path: str) -> Iterator[str]:
    """The path of a parameter, and those of all that it is inside of."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _near(pattern: str, found: Sequence[Place]) -> str:
    """What to add to an error about a pattern that matches nothing."""
    from difflib import get_close_matches  # here: it takes 3 ms, and errors are rare

    every = [place.path for place in found]
    near = get_close_matches(pattern, every, n=3, cutoff=0.4) or every[:3]
    return f"; near are {', '.join(near)}" if near else ": there are no parameters"


# -- ties ------------------------------------------------------------------------------------------


def ties(owner: Node) -> list[list[str]]:
    """The paths of each part that stands in several places."""
    groups: dict[int, list[str]] = {}
    for path, part, _, _ in places(owner):
        if not isinstance(part, Node):
            groups.setdefault(id(part), []).append(path)
    return [paths for paths in groups.values() if len(paths) > 1]


def tie(owner: Node, groups: list[list[str]]) -> None:
    """Put the part of each group's first path in its other places.

    Raises:
        ValueError: when there is no such place, it cannot be written, or another kind of part, or
            one of another shape, stands there.
    """
    found = {place.path: place for place in places(owner) if not isinstance(place.part, Node)}
    for first, *others in filter(None, groups):
        for path in others:
            if path not in found or first not in found or isinstance(found[path].home, tuple):
                raise ValueError(f"{path} cannot be tied to {first}")
            place, part = found[path], found[first].part
            if type(place.part) is not type(part) or _shape(place.part) != _shape(part):
                raise ValueError(
                    f"{path} cannot be tied to {first}: {place.part!r} is not like {part!r}"
                )
            place.home[place.key] = part  # type: ignore[index]


def _shape(part: Any) -> tuple[int, ...] | None:
    return getattr(part, "shape", None)


# -- layers in layers ------------------------------------------------------------------------------


def sub_layers(layer: Inner) -> list[tuple[str, Inner]]:
    """The layers directly inside, each with the words that name its place.

    A container says so itself; in a layer that someone built from others they are found by path.
    """
    if isinstance(layer, Parent):
        return layer.children()
    direct: list[tuple[str, Any]] = []
    deeper: set[int] = set()
    for path, inner in named_parts(layer, Node):
        if id(inner) not in deeper:
            direct.append((path, inner))
            deeper |= {id(below) for _, below in named_parts(inner, Node)}
    return direct


def nested(layer: Inner, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Inner]]:
    """Every layer with the words on the way to it, outermost first."""
    yield above, layer
    for words, inner in sub_layers(layer):
        yield from nested(inner, (*above, words))


def place_name(place: tuple[str, ...], layer: Node) -> str:
    """A place for people: "layer 2 › branch › Linear(64, 10)"."""
    return " › ".join([*place, type(layer).__name__ if sub_layers(layer) else repr(layer)])


# -- what layers do --------------------------------------------------------------------------------


def watch(
    layer: Node,
    after_forward: Callable[[Any, Any], None] | None = None,
    after_backward: Callable[[Any, Any], None] | None = None,
) -> Callable[[], None]:
    """Be told of every forward (x, y) and backward (G, dL/dx) of this instance.

    Only in the thread that calls `watch`: another one may be predicting with the same layer.
    These are what the layer takes and returns: x and y may be `Padded`, and all but x have the
    state of a recurrent layer beside them, where it returns that too.

    Returns:
        A function that ends it, and leaves the instance as it was.
    """
    forward, backward, thread = layer.forward, layer.backward, get_ident()

    @functools.wraps(forward)
    def watched_forward(x: Any, *state: Any, **named: Any) -> Any:
        y = forward(x, *state, **named)
        if after_forward is not None and get_ident() == thread:
            after_forward(x, y)
        return y

    @functools.wraps(backward)
    def watched_backward(grad_output: Any) -> Any:
        d_x = backward(grad_output)
        if after_backward is not None:
            after_backward(grad_output, d_x)
        return d_x

    layer.forward, layer.backward = watched_forward, watched_backward
    return lambda: unwatch(layer)


def unwatch(layer: Node) -> None:
    """Give the instance the methods of its class again."""
    for name in ("forward", "backward"):
        vars(layer).pop(name, None)
