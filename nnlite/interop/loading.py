"""Weights of other libraries: their layers are found beside ours, fitted, loaded and reported.

A layer here with what it would hold there is an `Own`, a layer of the source a `Theirs`. `load`
pairs them, by name where the names are the same and in order otherwise, computes all new values,
and writes them only when everything fits.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.checks import warn
from nnlite.interop.layouts import OPTIONAL, Own, Theirs
from nnlite.layers import Bidirectional, Layer
from nnlite.layers.containers.weights import ComputedWeight
from nnlite.layers.structure import arrays

SHOWN = 8  # lines of each part of a report


class LoadReport(NamedTuple):
    """What a load has done.

    Attributes:
        source: where the weights came from.
        matched: pairs (path of the model, its name in the source); an array that was made of
            several has a pair for each.
        missing: paths of the model into which nothing was loaded.
        left_over: names of the source that went nowhere.
        shapes: of the model's arrays, by path.
        source_shapes: of the source's, by name.
    """

    source: str
    matched: list[tuple[str, str]]
    missing: list[str]
    left_over: list[str]
    shapes: Mapping[str, tuple[int, ...]]
    source_shapes: Mapping[str, tuple[int, ...]]

    def __repr__(self) -> str:
        own = {path: f"{path} {self.shapes[path]}" for path in self.shapes}
        theirs = {name: f"{name} {self.source_shapes[name]}" for name in self.source_shapes}
        count = len(dict(self.matched))
        width = max((len(own[path]) for path, _ in self.matched), default=0)
        pairs = [f"{own[path]:{width}}  ←  {theirs[name]}" for path, name in self.matched]
        parts = [
            (f"matched: {count} of the model's {count + len(self.missing)} arrays", pairs),
            ("missing: nothing was loaded into", [own[path] for path in self.missing]),
            ("left over: nothing took", [theirs[name] for name in self.left_over]),
        ]
        lines = [f"weights from {self.source}"]
        for title, entries in parts:
            lines += [title, *(f"  {entry}" for entry in entries[:SHOWN])] if entries else []
            lines += [f"  … and {len(entries) - SHOWN} more"] if len(entries) > SHOWN else []
        return "\n".join(lines)


class Source(NamedTuple):
    """What is loaded from.

    Attributes:
        where: the function, for errors: "load_torch".
        library: its owner's name: "PyTorch".
        name: of the source, for errors and the report: a file's path, a class.
        layers: its layers, in order.
        shapes: by full name.
        take: the array of a full name.
        remedy: what to give instead where the order of the layers is not known. It is set for a
            source whose layers are in no order but that of the numbers in their names (default "":
            they are in order).
    """

    where: str
    library: str
    name: str
    layers: list[Theirs]
    shapes: Mapping[str, tuple[int, ...]]
    take: Callable[[str], np.ndarray]
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
        _check_settings(unit, theirs, source)
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
    missing = [path for path in ours if path not in values and path.split(".")[-1] not in OPTIONAL]
    report = LoadReport(
        source.name, list(dict.fromkeys(matched)), missing, left, shapes, source.shapes
    )
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
    holders = {name: each for each in source.layers for name in each.names.values()}
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
        found = {local: name for local, name in unit.full.items() if name in holders}
        if not found:
            continue  # an optional array by itself
        theirs = holders[min(found.values())]._replace(names=found)
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
    layers = _in_our_order(own, source) if source.remedy else source.layers
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
                else "where only the order differs, give the layers in the order of the model's"
            )
            raise ValueError(
                f"{source.where}: {problem}. {source.name} has {len(source.layers)} "
                f"layer{'s' * (len(source.layers) != 1)} with weights, the model {len(own)}; {hint}"
            )
        if problem:
            break
        pairs.append((unit, theirs))
    return pairs


def _in_our_order(own: Sequence[Own], source: Source) -> list[Theirs]:
    """The layers of a source that does not keep their order, in that of ours.

    The next one is the one that fits among those before which no other has to come: "conv2" stands
    behind "conv1", and all of "block.2" behind all of "block.1".

    Raises:
        ValueError: when several could be next.
    """
    layers = dict(enumerate(source.layers))
    keys = {i: [_numbered(part) for part in each.place.split(".")] for i, each in layers.items()}
    waits_for = {
        i: {j for j in keys if _stands_before(keys[j], keys[i]) or (j < i and keys[j] == keys[i])}
        for i in keys
    }
    ordered: list[Theirs] = []
    for unit in own:
        ready = [i for i in layers if not waits_for[i] & layers.keys()]
        fitting = [i for i in ready if not _misfit(unit, layers[i], source)]
        if len(fitting) > 1:
            places = " or ".join(layers[i].place for i in fitting)
            raise ValueError(
                f"{source.where}: {unit} could be {places} of {source.name}, which does not keep "
                f"the order of its layers; {source.remedy}"
            )
        alike = [i for i in ready if layers[i].names.keys() == unit.full.keys()]
        ordered += [layers.pop(i) for i in (fitting or alike)[:1]]
        if not fitting:
            break
    return [*ordered, *layers.values()]


def _numbered(name: str) -> tuple[str, int]:
    """A name and its number: "conv2d_1" is the second "conv2d"."""
    stem, number = re.fullmatch(r"(.*?)_?(\d*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
    return stem, int(number or 0)


def _stands_before(first: list[tuple[str, int]], second: list[tuple[str, int]]) -> bool:
    """Whether a place comes before another, by the numbers where they begin to differ."""
    for (stem, number), (other, later) in zip(first, second, strict=False):
        if (stem, number) != (other, later):
            return stem == other and number < later
    return False


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
    if needed.keys() == given.keys() == {unit.place}:  # an array by itself, as here
        shape, other = needed[unit.place], given[unit.place]
        return f"{unit.place} is {shape} in the model and {other} in {source.name}"
    written = ", ".join(f"{name} {shape}" for name, shape in needed.items())
    return (
        f"{unit} expected, in the layout of {source.library}, {written}; got "
        f"{_listed(theirs, source)}"
    )


def _check_settings(unit: Own, theirs: Theirs, source: Source) -> None:
    """Refuse a layer whose weights fit but which computes something else."""
    layer = unit.layer
    layer = layer.layer if isinstance(layer, Bidirectional | ComputedWeight) else layer
    for name, other in theirs.settings.items():
        own = getattr(layer, name, None)
        if own is None or other is None or isinstance(own, str) != isinstance(other, str):
            continue
        if np.shape(own) not in ((), np.shape(other)):  # padding by pairs: a layer of its own there
            continue
        if own != other if isinstance(own, str) else not np.all(np.equal(own, other)):
            raise ValueError(
                f"{source.where}: {unit}: {name} is {own!r} here and {other!r} in "
                f"{source.library}, so that the outputs would differ; build the layer with "
                f"{name}={other!r}"
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


def is_packed(archive: zipfile.ZipFile, path: str | os.PathLike[str]) -> bool:
    """Whether the members of an archive would take more memory than the file has bytes."""
    members = archive.infolist()
    size = sum(member.file_size for member in members)
    compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    return compressed or size > os.path.getsize(path)


def is_instance(source: Any, *methods: str) -> bool:
    """Whether it is an object, and not a class, with all of these."""
    return not isinstance(source, type) and all(hasattr(source, name) for name in methods)


def check_names(where: str, names: Collection[Any]) -> None:
    """Refuse names that are not text.

    Raises:
        TypeError: when there is one.
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{where}: expected names of arrays as text, got {name!r}")


def extra(package: str, name: str, where: str) -> Any:
    """The package of an optional extra.

    Raises:
        ImportError: says how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f'{where} needs {package.split(".")[0]}: python -m pip install "nnlite[{name}]"'
        ) from error
