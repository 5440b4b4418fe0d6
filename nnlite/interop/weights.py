"""Weights of other libraries: how their layers are found beside ours, read, and told about.

A neighbour's file says how the arrays of a layer look there: a list of `Entry`. A layer here and
what it would hold there is an `Own`; a layer of the source is a `Theirs`. `load` pairs them, by
name where the names are the same and in order otherwise, computes all new values, and writes them
only when everything fits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.checks import warn
from nnlite.layers import (
    GLU,
    Add,
    BatchNorm2d,
    Concat,
    Flatten,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    Identity,
    Layer,
    Linear,
    PReLU,
    Residual,
    Sequential,
    TransformerLayer,
)
from nnlite.layers.containers.weights import ComputedWeight
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.structure import arrays, named_parts, places, sub_layers

Arrays = Callable[..., tuple[np.ndarray, ...]]
SHOWN = 8  # lines of each part of a report
OPTIONAL = {"num_batches_tracked"}  # counts batches, and computes nothing where momentum is given


def extra(package: str, name: str, where: str) -> Any:
    """The package of an optional extra.

    Raises:
        ImportError: says how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f'{where} needs {package}: python -m pip install "nnlite[{name}]"'
        ) from error


# -- one layer, here and there ---------------------------------------------------------------------


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
    """A layer of the source: its place there, and the full names of its arrays by local name."""

    place: str
    names: dict[str, str]


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


def channels_in_rows(model: Layer) -> dict[int, int]:
    """The channels of the images that a layer flattens or reads flattened, by the layer's id.

    A row of values is (…, C) here and (C, …) where channels come first. Layers from a `Flatten`
    behind images to the next `Linear` have arrays in that order. Where it is not known what goes
    into a `Flatten`, as in front of all layers, its layer is not among those found.
    """
    found: dict[int, int] = {}
    _follow(model, None, found)
    return found


def _follow(layer: Layer, before: Any, found: dict[int, int]) -> Any:
    """What comes out: ("images" or "rows", C), or None where that is not known."""
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
    if before is None:
        return None
    kind, channels = before
    if isinstance(layer, Flatten):
        found[id(layer)] = channels
        return ("rows", channels)
    if kind == "rows":
        found[id(layer)] = channels
    keeps = isinstance(layer, Identity) or type(layer).__module__.startswith(KEEPING)
    return before if keeps and not isinstance(layer, GLOBAL) else None


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


# -- the source and the model ----------------------------------------------------------------------


class LoadReport(NamedTuple):
    """What a load has done.

    Attributes:
        source: where the weights came from.
        matched: pairs (path of the model, its name in the source); an array that was made of
            several has a pair for each.
        missing: paths of the model into which nothing was loaded.
        left_over: names of the source that went nowhere.
        shapes: by path of the model, and by name of the source, what was there.
    """

    source: str
    matched: list[tuple[str, str]]
    missing: list[str]
    left_over: list[str]
    shapes: dict[str, tuple[int, ...]]

    def __repr__(self) -> str:
        own = dict.fromkeys(path for path, _ in self.matched)
        width = max((len(self._shaped(path)) for path in own), default=0)
        pairs = [f"{self._shaped(p):{width}}  ←  {self._shaped(n, True)}" for p, n in self.matched]
        total = len(own) + len(self.missing)
        parts = [
            (f"matched: {len(own)} of the model's {total} arrays", pairs),
            ("missing: nothing was loaded into", [self._shaped(p) for p in self.missing]),
            ("left over: nothing took", [self._shaped(n, True) for n in self.left_over]),
        ]
        lines = [f"weights from {self.source}"]
        for title, entries in parts:
            lines += [title, *(f"  {entry}" for entry in entries[:SHOWN])] if entries else []
            lines += [f"  … and {len(entries) - SHOWN} more"] if len(entries) > SHOWN else []
        return "\n".join(lines)

    def _shaped(self, name: str, theirs: bool = False) -> str:
        return f"{name} {self.shapes[f'←{name}' if theirs else name]}"


class Source(NamedTuple):
    """What is loaded from.

    Attributes:
        where: the function, for errors: "load_torch".
        library: its owner's name: "PyTorch".
        name: of the source, for errors and the report: a file's path, a class.
        layers: its layers, in order.
        shapes: by full name.
        take: the array of a full name.
        group: of a source that does not keep the order of all layers, what those that are in order
            have in common, by the place of one (default None: all are in order).
        remedy: what to give instead, where the order cannot be found out.
    """

    where: str
    library: str
    name: str
    layers: list[Theirs]
    shapes: Mapping[str, tuple[int, ...]]
    take: Callable[[str], np.ndarray]
    group: Callable[[str], str] | None = None
    remedy: str = ""


def load(
    model: Layer, own: Sequence[Own], source: Source, strict: bool, ordered: bool = True
) -> LoadReport:
    """Write the source's weights into the model, all that fits together, or nothing.

    Args:
        model: the model.
        own: its layers with weights, in order.
        source: where from.
        strict: whether every layer has to have its counterpart, and the reverse; otherwise
            layers with the same names and shapes are loaded, or where no names agree those from
            the first on, as far as they fit.
        ordered: whether layers without the same names may be paired in order (default True).

    Raises:
        ValueError: says which layers do not fit, with the shapes of both; nothing has changed.
    """
    pairs = _paired(own, source, strict, ordered)
    values: dict[str, np.ndarray] = {}
    matched: list[tuple[str, str]] = []
    ours = arrays(model)
    paths = {id(part): path for path, part in ours.items()}
    for unit, theirs in pairs:
        for entry in unit.entries:
            names = [theirs.names[name] for name in entry.names if name in theirs.names]
            if not names:
                continue  # an optional one
            try:
                found = entry.back(*map(source.take, names))
            except ValueError as error:
                raise ValueError(f"{source.where}: {unit}, from {theirs.place}: {error}") from None
            for part, value in zip(unit.parts(entry), found, strict=True):
                path = paths[id(part)]
                if path in values and not np.array_equal(values[path], value):
                    raise ValueError(
                        f"{source.where}: {path} is tied to {unit}, and {source.name} has other "
                        f"values for {' and '.join(names)}: untie them, or tie them there"
                    )
                values[path] = value
                matched += [(path, name) for name in names]
    taken = {name for _, theirs in pairs for name in theirs.names.values()}
    left = [n for each in source.layers for n in each.names.values() if n not in taken]
    shapes = {path: part.shape for path, part in ours.items()}
    shapes |= {f"←{name}": shape for name, shape in source.shapes.items()}
    missing = [path for path in ours if path not in values and path.split(".")[-1] not in OPTIONAL]
    report = LoadReport(source.name, list(dict.fromkeys(matched)), missing, left, shapes)
    if not values:
        warn(f"{source.where}: nothing was loaded: no layer fits.\n{report}")
        return report
    if strict and missing:
        raise ValueError(
            f"{source.where}: {source.name} has nothing for {', '.join(missing)}; strict=False "
            "loads the rest"
        )
    try:
        model.load_state_dict(values, strict=False)
    except ValueError as error:
        message = str(error).partition(": ")[2]
        raise ValueError(f"{source.where}: {source.name}: {message}") from None
    return report


def _paired(
    own: Sequence[Own], source: Source, strict: bool, ordered: bool
) -> list[tuple[Own, Theirs]]:
    """Which layer is loaded from which."""
    places = {name: each.place for each in source.layers for name in each.names.values()}
    every = {name for each in source.layers for name in _needed(each.names)}
    wanted = [_needed(unit.full) for unit in own]
    same = set().union(*wanted) == every if strict else any(names <= every for names in wanted)
    if ordered and not same:
        return _in_order(own, source, strict)
    pairs, problems = [], []
    for unit, names in zip(own, wanted, strict=True):
        if not names <= every:
            problems.append(f"{', '.join(sorted(names - every))} is missing in {source.name}")
            continue
        found = {local: name for local, name in unit.full.items() if name in places}
        theirs = Theirs(places[min(names)], found)
        problem = _misfit(unit, theirs, source)
        if problem:
            problems.append(problem)
        else:
            pairs.append((unit, theirs))
    problems += [f"{name} is not a part of this model" for name in every - set().union(*wanted)]
    if strict and problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{source.where}: {'; '.join(sorted(problems)[:3])}{more}. strict=False loads what "
            "fits and reports the rest"
        )
    return pairs


def _needed(names: Mapping[str, str]) -> set[str]:
    """The full names that a layer cannot do without."""
    return {full for local, full in names.items() if local not in OPTIONAL}


def _in_order(own: Sequence[Own], source: Source, strict: bool) -> list[tuple[Own, Theirs]]:
    pairs: list[tuple[Own, Theirs]] = []
    layers = source.layers if source.group is None else _in_our_order(own, source, source.group)
    for unit, theirs in zip_longest(own, layers):
        if unit is None:
            problem = f"the model ends before {_listed(theirs, source)}"
        elif theirs is None:
            problem = f"the source ends before {unit}"
        else:
            problem = _misfit(unit, theirs, source)
        if problem and strict:
            hint = (
                "those before it fit, and strict=False loads them alone"
                if pairs
                else ("where only the order differs, give the layers in the order of the model's")
            )
            raise ValueError(
                f"{source.where}: {problem}. {source.name} has {len(source.layers)} layers with "
                f"weights, the model {len(own)}; {hint}"
            )
        if problem:
            break
        pairs.append((unit, theirs))
    return pairs


def _in_our_order(own: Sequence[Own], source: Source, group: Callable[[str], str]) -> list[Theirs]:
    """The layers of a source that keeps the order within groups alone, in the order of ours.

    Raises:
        ValueError: when layers of two groups could be next.
    """
    waiting: dict[str, list[Theirs]] = {}
    for theirs in source.layers:
        waiting.setdefault(group(theirs.place), []).append(theirs)
    ordered: list[Theirs] = []
    for unit in own:
        next_ones = [queue[0] for queue in waiting.values() if queue]
        fitting = [theirs for theirs in next_ones if not _misfit(unit, theirs, source)]
        if len(fitting) > 1:
            raise ValueError(
                f"{source.where}: {unit} could be {' or '.join(each.place for each in fitting)} of "
                f"{source.name}, which does not keep the order of its layers; {source.remedy}"
            )
        alike = [theirs for theirs in next_ones if theirs.names.keys() == unit.full.keys()]
        chosen = (fitting or alike)[:1]
        ordered += chosen
        for theirs in chosen:
            waiting[group(theirs.place)].pop(0)
        if not fitting:
            break
    return ordered + [theirs for queue in waiting.values() for theirs in queue]


def _listed(theirs: Theirs, source: Source) -> str:
    arrays = ", ".join(f"{local} {source.shapes[full]}" for local, full in theirs.names.items())
    return f"{theirs.place or source.name} ({arrays})"


def _misfit(unit: Own, theirs: Theirs, source: Source) -> str:
    """What keeps a layer from being loaded from that one; empty when nothing does."""
    expected = {name: a.shape for name, a in unit.there().items()}
    got = {local: source.shapes[full] for local, full in theirs.names.items()}
    needed, given = ({n: each[n] for n in each if n not in OPTIONAL} for each in (expected, got))
    if needed == given:
        return ""
    written = ", ".join(f"{name} {shape}" for name, shape in needed.items())
    return (
        f"{unit} expected, in the layout of {source.library}, {written}; got "
        f"{_listed(theirs, source)}"
    )


def check_settings(where: str, unit: Own, theirs: Mapping[str, Any], library: str) -> None:
    """Refuse a layer whose weights fit but which computes something else.

    Args:
        where: the function, for errors.
        unit: ours.
        theirs: their values, by our arguments; None where they have none.
        library: whose.

    Raises:
        ValueError: names the argument, with both values.
    """
    for name, other in theirs.items():
        ours = getattr(unit.layer, name, None)
        if (
            ours is None
            or other is None
            or callable(ours)
            or (isinstance(ours, str) != isinstance(other, str))
        ):
            continue
        if not np.all(np.equal(ours, other) if not isinstance(ours, str) else ours == other):
            raise ValueError(
                f"{where}: {unit}: {name} is {ours!r} here and {other!r} in {library}, so that the "
                f"outputs would differ; build the layer with {name}={other!r}"
            )


def check_file(where: str, path: str | os.PathLike[str]) -> None:
    """Refuse what is no file to read.

    Raises:
        FileNotFoundError: when there is nothing there.
        ValueError: when it is a folder, or a device.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"{where}: there is no file {os.fspath(path)!r}")
    if not os.path.isfile(path):
        raise ValueError(f"{where}: {os.fspath(path)} is no file; name one")


def check_names(where: str, names: Collection[Any]) -> None:
    """Refuse names that are not text.

    Raises:
        TypeError: when there is one.
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{where}: expected names of arrays as text, got {name!r}")
