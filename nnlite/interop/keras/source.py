"""The layers of a Keras model, or of a file: a `.keras` archive or `.weights.h5`."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nnlite.interop.keras.layouts import WHERE
from nnlite.interop.layouts import join
from nnlite.interop.loading import check_file, extra, is_packed
from nnlite.interop.torch.loading import as_numpy


class Weight(NamedTuple):
    """An array of the source that is read when it is needed."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]

    def as_shape(self, shape: tuple[int, ...]) -> Weight:
        """The same values in another shape."""
        return Weight(shape, lambda: self.read().reshape(shape))


class Found(NamedTuple):
    """A layer of the source.

    Attributes:
        kind: its class, as Keras writes it in files: "conv2d".
        place: where it was found.
        weights: by their full names, in Keras's order.
        settings: its constructor's arguments, where they are known.
    """

    kind: str
    place: str
    weights: dict[str, Weight]
    settings: Mapping[str, Any] = {}


def snake_case(name: str) -> str:
    """The name of a class as Keras has it in files: "Conv2DTranspose" is "conv2d_transpose"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _parts(found: Found) -> Iterator[Found]:
    """The layer in our terms: a separable convolution is two; nothing without weights."""
    names, kind = list(found.weights), found.kind
    if not names:
        return
    first = found.weights[names[0]]
    shape = first.shape
    if kind.startswith(("depthwise_", "separable_")) and len(shape) > 2:
        # one kernel a channel, (…, C, m), is (…, 1, C·m) in C groups
        first = first.as_shape((*shape[:-2], 1, shape[-2] * shape[-1]))
    elif kind == "p_re_lu" and set(shape[:-1]) <= {1}:
        first = first.as_shape(shape[-1:])
    weights = {**found.weights, names[0]: first}
    if (
        kind == "batch_normalization"
        and found.settings.get("scale") is False
        and found.settings.get("center") is True
    ):  # γ is there in ours
        ones = Weight(first.shape, lambda: np.ones(first.shape, np.float32))
        weights = {f"{found.place} without scale": ones, **weights}
    if kind.startswith("separable_"):
        kind = kind.removeprefix("separable_")
        yield found._replace(kind=kind, weights={names[0]: first}, settings={})
        yield found._replace(kind=kind, weights={n: weights[n] for n in names[1:]}, settings={})
    else:
        yield found._replace(kind=kind.removeprefix("depthwise_"), weights=weights)


def of_model(model: Any, above: str = "") -> Iterator[Found]:
    """The layers of a Keras model, those of models inside it too."""
    for layer in model.layers:
        place = join(above, layer.name)
        if hasattr(layer, "layers"):
            yield from of_model(layer, place)
            continue
        weights = {}
        for each in layer.weights:  # in two models the same path may stand for two arrays
            local = each.path.partition(f"{layer.name}/")[2] or each.path
            read = partial(as_numpy, each.value, each.path)
            weights[f"{place}/{local}"] = Weight(tuple(each.shape), read)
        kind = snake_case(type(layer).__name__)
        yield from _parts(Found(kind, place, weights, layer.get_config()))


# -- files -----------------------------------------------------------------------------------------

INNER = {  # the order of what is inside a layer, where it is not that of numbers
    "bidirectional": ("forward_layer", "backward_layer"),
    "multi_head_attention": ("query_dense", "key_dense", "value_dense", "output_dense"),
}


def of_file(path: str, opened: ExitStack) -> tuple[list[Found], bool]:
    """The layers of a file, which stays open as long as `opened`, and whether they are in order."""
    h5py = extra("h5py", "keras", WHERE)
    check_file(WHERE, path)
    try:
        config, file = _unpacked(path) if zipfile.is_zipfile(path) else (None, path)
        content = opened.enter_context(h5py.File(file, "r"))
        if "model_weights" in content:
            raise ValueError(
                "it is in the format of Keras 2; load it with Keras, and give the model: "
                "load_keras(model, keras.models.load_model(path))"
            )
        found = list(_Walk(h5py).layers(content, "", config))
    except Exception as error:  # of zip, JSON, HDF5, or of what somebody made up
        made_up = isinstance(error, KeyError | TypeError | AttributeError | IndexError)
        text = "it describes no model" if made_up else str(error) or type(error).__name__
        raise ValueError(
            f"{WHERE}: {path} is not a .keras or .weights.h5 file that can be read: {text}"
        ) from None
    if not found:
        raise ValueError(
            f"{WHERE}: {path} has no layers with weights, or those of a class of your own, whose "
            "order no file tells; give the Keras model itself"
        )
    return found, config is not None


def _unpacked(path: str) -> tuple[Any, Any]:
    """The configuration and the weights of a `.keras` file, which is a zip archive."""
    with zipfile.ZipFile(path) as archive:
        if is_packed(archive, path):
            raise ValueError("it has compressed parts, which Keras never writes")
        return json.loads(archive.read("config.json")), io.BytesIO(archive.read("model.weights.h5"))


class _Walk:
    """Through a file of HDF5, along what lies in it alone."""

    def __init__(self, h5py: Any) -> None:
        self.h5py = h5py
        self.names: dict[Any, str] = {}  # of the groups, by where they lie

    def members(self, group: Any) -> dict[str, Any]:
        """What is in a group; refuses links, which may lead to other files or around in circles."""
        found = {}
        there = self.h5py.h5o.get_info(group.id).addr
        if self.names.setdefault(there, group.name) != group.name:
            raise ValueError(f"{group.name} is {self.names[there]} again; Keras writes each once")
        for name in group:
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                raise ValueError(
                    f"{name} in {group.name} is a link to somewhere else, which is not followed; "
                    "Keras never writes any"
                )
            found[name] = group[name]
        return found

    def weight(self, dataset: Any) -> Weight:
        """A dataset; refuses one whose values are not in the file, or need more room than there."""
        name, shape = dataset.name, tuple(dataset.shape or ())
        if dataset.dtype.kind not in "fiub":
            raise ValueError(f"{name} holds no numbers ({dataset.dtype})")
        size = math.prod(shape) * dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        if dataset.external or dataset.is_virtual or stored < size:
            raise ValueError(
                f"{name} {shape} claims {size:,} bytes, and the file has {stored:,} of it: it is "
                "compressed, or its values are in another file"
            )
        return Weight(shape, lambda: dataset[...])

    def leaf(self, group: Any, kind: str) -> dict[str, Weight]:
        """All arrays of one layer, in Keras's order."""
        order = {name: i for i, name in enumerate(("vars", "cell", *INNER.get(kind, ())))}
        found: dict[str, Weight] = {}
        members = self.members(group)
        for name in sorted(members, key=lambda n: (order.get(n, -1), n.zfill(6))):
            member = members[name]
            if isinstance(member, self.h5py.Dataset):
                found[member.name.lstrip("/")] = self.weight(member)
            elif name != "seed_generator":
                found |= self.leaf(member, kind)
        return found

    def layers(self, group: Any, place: str, config: Any) -> Iterator[Found]:
        """The layers below a group, in the order of the configuration where there is one."""
        inside = self.members(group).get("layers")
        members = {} if inside is None else self.members(inside)
        for name, given in self._named(members, config):
            kind, where = re.sub(r"_\d+$", "", name), join(place, name)
            member = members[name]
            if "layers" in self.members(member):
                yield from self.layers(member, where, given)
                continue
            settings = given if isinstance(given, dict) else {}
            weights = self.leaf(member, kind)
            yield from _parts(Found(kind, where, weights, settings))

    def _named(self, members: dict[str, Any], config: Any) -> Iterator[tuple[str, Any]]:
        """The names of layers in the file, each with its configuration."""
        if config is None:
            yield from ((name, None) for name in members)
            return
        counts: dict[str, int] = {}
        config = config.get("config", config)
        for each in config.get("layers", []):
            kind = snake_case(each["class_name"])
            counts[kind] = counts.get(kind, -1) + 1
            name = f"{kind}_{counts[kind]}" if counts[kind] else kind
            if name in members:
                yield name, each["config"]
