"""How another library holds a layer's arrays: pieces that each neighbour's layouts are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.checks import warn
from nnlite.layers import (
    GLU,
    Add,
    BatchNorm2d,
    Concat,
    Elementwise,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    Identity,
    Layer,
    Linear,
    PReLU,
    Reshape,
    Residual,
    Sequential,
    TransformerLayer,
)
from nnlite.layers.containers.weights import ComputedWeight
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.structure import arrays, named_parts, places, sub_layers

Arrays = Callable[..., tuple[np.ndarray, ...]]
OPTIONAL = {"num_batches_tracked"}  # counts batches, and computes nothing where momentum is given


class Entry(NamedTuple):
    """Arrays of the other library, and the ones here that they are made of.

    Attributes:
        names: theirs, within their layer.
        own: paths here, within our layer.
        there: from our arrays to theirs.
        back: from theirs to ours.
    """

    names: tuple[str, ...]
    own: tuple[str, ...]
    there: Arrays
    back: Arrays


def turned(name: str, own: str, axes: Sequence[int] | None = None) -> Entry:
    """The same array with its axes in another order: theirs has our axis axes[i] as axis i."""
    if axes is None:
        return Entry((name,), (own,), lambda a: (a,), lambda a: (a,))
    back = tuple(int(i) for i in np.argsort(axes))
    return Entry((name,), (own,), lambda a: (a.transpose(axes),), lambda a: (a.transpose(back),))


def always(name: str, value: np.ndarray, why: str) -> Entry:
    """An array that is not here, because it has this value.

    Args:
        name: theirs.
        value: what it has to be.
        why: what to do where it is something else.
    """

    def back(a: np.ndarray) -> tuple[np.ndarray, ...]:
        if not np.array_equal(a, value):
            raise ValueError(f"{name} is not {value.flat[0]:g}, and this layer has none: {why}")
        return ()

    return Entry((name,), (), lambda: (value,), back)


class Own(NamedTuple):
    """A layer here: its path, the layer, what stands for it there, and its full names there."""

    place: str
    layer: Layer
    entries: list[Entry]
    full: dict[str, str]

    def parts(self, entry: Entry) -> list[Any]:
        """The parameters and buffers of an entry."""
        if not entry.own:
            return []
        found = {place.path: place.part for place in places(self.layer)}
        return [found[path] for path in entry.own]

    def there(self) -> dict[str, np.ndarray]:
        """All arrays as the other library would hold them, by name."""
        found: dict[str, np.ndarray] = {}
        for entry in self.entries:
            values = entry.there(*(part.data for part in self.parts(entry)))
            found |= dict(zip(entry.names, values, strict=True))
        return found

    def __str__(self) -> str:
        return f"{self.place or 'the model'}, {self.layer.label()}"


class Theirs(NamedTuple):
    """A layer of the source.

    Attributes:
        place: its name there.
        names: the full names of its arrays, by their names within the layer.
        settings: its constructor's arguments, by our names of them, as far as they are known.
    """

    place: str
    names: dict[str, str]
    settings: Mapping[str, Any] = {}


def direct(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """The layers directly inside, by path."""
    deeper: set[int] = set()
    for path, inner in named_parts(layer, Layer):
        if id(inner) not in deeper:
            yield path, inner
            deeper |= {id(below) for _, below in named_parts(inner, Layer)}


def join(*names: str) -> str:
    """Names as a path; empty ones are left out."""
    return ".".join(filter(None, names))


# -- images in rows --------------------------------------------------------------------------------

# modules whose layers leave the channels on the last axis as they are
KEEPING = tuple(
    f"nnlite.layers.{room}" for room in ("activations", "pooling", "dropout", "normalization")
)
# those of them that do not
GLOBAL = GLU | GlobalAvgPool1d | GlobalAvgPool2d | GlobalMaxPool1d | GlobalMaxPool2d
UNKNOWN = ("unknown", 0)  # what comes out of a layer that somebody wrote


def channels_in_rows(model: Layer) -> dict[int, int]:
    """The channels of the images that a layer flattens or reads flattened, by the layer's id.

    A row of values is (…, C) here and (C, …) where channels come first. Layers from a `Flatten`
    behind images to the next `Linear` have arrays in that order. Where it is not known what goes
    into a `Flatten`, as in front of all layers, its layer is not among those found.

    Warns:
        ModelWarning: for a `Flatten` behind a layer that somebody wrote.
    """
    found: dict[int, int] = {}
    _follow(model, None, found)
    return found


def _follow(layer: Layer, before: Any, found: dict[int, int]) -> Any:
    """What comes out: ("images" or "rows", C), None where it is neither, or UNKNOWN."""
    if isinstance(layer, TransformerLayer):
        return None
    if isinstance(layer, Sequential):
        for inner in layer.layers:
            before = _follow(inner, before, found)
        return before
    if isinstance(layer, Residual | Add | Concat):
        after = [_follow(branch, before, found) for _, branch in sub_layers(layer)]
        if None in after or not isinstance(layer, Concat):
            return after[0] if after.count(after[0]) == len(after) else None
        kinds, channels = zip(*after, strict=True)
        return ("images", sum(channels)) if set(kinds) == {"images"} else None
    if isinstance(layer, ComputedWeight):
        after = _follow(layer.layer, before, found)
        found |= {id(layer): found[id(layer.layer)]} if id(layer.layer) in found else {}
        return after
    if isinstance(layer, Convolution):
        return ("images", layer.out_channels)
    if isinstance(layer, BatchNorm2d):
        return ("images", layer.num_features)
    keeps = isinstance(layer, Identity | Elementwise) or _from(layer, KEEPING)
    if not keeps and not _from(layer, "nnlite."):
        return UNKNOWN
    if before is None:
        return None
    kind, channels = before
    if flattens(layer) and before == UNKNOWN:
        warn(
            "what goes into a Flatten behind a layer of your own is not known: if that are images, "
            "PyTorch's rows have their channels first; put Permute(3, 1, 2) before the Flatten"
        )
        return None
    if flattens(layer):
        found[id(layer)] = channels
        return ("rows", channels)
    if kind == "rows":
        found[id(layer)] = channels
    return before if keeps and not isinstance(layer, GLOBAL) else None


def flattens(layer: Layer) -> bool:
    """Whether a row comes out, whatever goes in: a `Flatten`, or a `Reshape` to one axis."""
    return isinstance(layer, Reshape) and len(layer.shape) == 1


def _from(layer: Layer, rooms: str | tuple[str, ...]) -> bool:
    """Whether the layer's class is from one of these modules."""
    return type(layer).__module__.startswith(rooms)


def in_rows(layer: Layer, entries: list[Entry], channels: int) -> list[Entry]:
    """The entries of a layer that reads flattened images, with its rows in their order there."""

    def there(a: np.ndarray) -> np.ndarray:  # (places · C, …) → (C · places, …)
        return a.reshape(-1, channels, *a.shape[1:]).swapaxes(0, 1).reshape(a.shape)

    def back(a: np.ndarray) -> np.ndarray:
        return a.reshape(channels, -1, *a.shape[1:]).swapaxes(0, 1).reshape(a.shape)

    def reordered(entry: Entry) -> Entry:
        return entry._replace(
            there=lambda *a: entry.there(*map(there, a)),
            back=lambda *a: tuple(map(back, entry.back(*a))),
        )

    names = _by_row(layer)
    return [reordered(entry) if names & set(entry.own) else entry for entry in entries]


def _by_row(layer: Layer) -> set[str]:
    """The arrays of a layer that have one entry for each value of a row, along the first axis."""
    if isinstance(layer, Linear):
        return {"weight"}
    if isinstance(layer, ComputedWeight):
        of_inputs = {"v"} if layer.axis % layer.computed.data.ndim else {"magnitude", "u"}
        return {"direction", "original", *of_inputs}
    if isinstance(layer, PReLU) and layer.num_parameters == 1:
        return set()
    return set(arrays(layer)) - OPTIONAL
