"""Weights from Keras: from a model, a `.keras` file, or a `.weights.h5` file.

    nn.interop.load_keras(model, "net.keras")

A file needs h5py (`pip install "nnlite[keras]"`); nothing of a file is ever run, and Keras itself
is not imported.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.foreign import kind_of
from nnlite.interop.weights import (
    Entry,
    LoadReport,
    Own,
    Source,
    Theirs,
    check_file,
    check_settings,
    direct,
    extra,
    join,
    load,
    turned,
)
from nnlite.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNorm1d,
    BatchNorm2d,
    Bidirectional,
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    Layer,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    PReLU,
    RMSNorm,
)
from nnlite.layers.sequences.recurrent import Recurrent

WHERE = "load_keras"

# -- layers, here and there ------------------------------------------------------------------------

# what Keras calls them, and the axes of its weights where they are in another order than ours
KINDS: dict[type, tuple[str, tuple[int, ...] | None]] = {
    Linear: ("dense", None),
    Conv1d: ("conv1d", None),
    Conv2d: ("conv2d", None),
    ConvTranspose1d: ("conv1d_transpose", (0, 2, 1)),
    ConvTranspose2d: ("conv2d_transpose", (0, 1, 3, 2)),
    BatchNorm1d: ("batch_normalization", None),
    BatchNorm2d: ("batch_normalization", None),
    LayerNorm: ("layer_normalization", None),
    RMSNorm: ("rms_normalization", None),
    GroupNorm: ("group_normalization", None),
    Embedding: ("embedding", None),
    PReLU: ("p_re_lu", None),
}
CELLS = {RNN: "simple_rnn", LSTM: "lstm", GRU: "gru"}
ARRAYS = ("weight", "bias", "running_mean", "running_var")


def entries_of(layer: Layer) -> list[Entry] | None:
    """How Keras holds the arrays of a layer, by kind and number; None where it has no such."""
    for cls, (kind, axes) in KINDS.items():
        if type(layer) is cls:
            names = [name for name in ARRAYS if getattr(layer, name, None) is not None]
            return [
                turned(f"{kind}.{i}", name, axes if name == "weight" else None)
                for i, name in enumerate(names)
            ]
    if isinstance(layer, Bidirectional):
        first, second = _cell(layer.layer, "layer"), _cell(layer.backwards, "backwards")
        return _numbered("bidirectional", [*first, *second])
    if isinstance(layer, Recurrent):
        kind = next(CELLS[cls] for cls in CELLS if isinstance(layer, cls))
        return _numbered(kind, _cell(layer))
    if type(layer) is MultiHeadAttention:
        return _attention(layer)
    return None


def _numbered(kind: str, entries: list[Entry]) -> list[Entry]:
    """The entries with the names that arrays have here: their kind of layer, and their number."""
    count, found = 0, []
    for entry in entries:
        names = tuple(f"{kind}.{count + i}" for i in range(len(entry.names)))
        count += len(names)
        found.append(entry._replace(names=names))
    return found


def _cell(layer: Recurrent, place: str = "") -> list[Entry]:
    """Kernel, recurrent kernel and bias; a GRU's gates are z r n there and r z n here."""
    kernel, recurrent, bias, bias_hn = (
        join(place, name) for name in ("weight_ih", "weight_hh", "bias", "bias_hn")
    )
    if not isinstance(layer, GRU):
        entries = [turned("kernel", kernel), turned("recurrent", recurrent)]
        return entries + ([turned("bias", bias)] if layer.bias is not None else [])

    def swapped(a: np.ndarray) -> tuple[np.ndarray, ...]:
        first, second, n = np.split(a, 3, axis=-1)
        return (np.concatenate([second, first, n], axis=-1),)

    entries = [Entry((own,), (own,), swapped, swapped) for own in (kernel, recurrent)]
    if layer.bias_hn is not None:
        # (2, 3H): with x and with h; those of r and z add up, that of h stays inside r ⊙ (…)
        both = 2 * layer.hidden_size

        def there(b: np.ndarray, b_hn: np.ndarray) -> tuple[np.ndarray, ...]:
            with_h = np.concatenate([np.zeros(both, b.dtype), b_hn])
            return (np.stack([*swapped(b), with_h]),)

        def back(a: np.ndarray) -> tuple[np.ndarray, ...]:
            (with_x, with_h) = swapped(a)[0]
            b = np.concatenate([with_x[:both] + with_h[:both], with_x[both:]])
            return b, with_h[both:]

        entries.append(Entry(("bias",), (bias, bias_hn), there, back))
    elif layer.bias is not None:
        entries.append(Entry(("bias",), (bias,), swapped, swapped))
    return entries


def _attention(layer: MultiHeadAttention) -> list[Entry] | None:
    """Kernels (D, heads, d) and biases (heads, d) of Q, K and V, then those of the output."""
    if not isinstance(layer.qkv, Linear) or layer.add_bias_kv or layer.add_zero_attn:
        return None
    heads, biased = layer.num_heads, layer.out.bias is not None
    size = layer.d_model // heads
    # kernel and bias of Q, of K, of V, of the output
    names = [f"multi_head_attention.{i}" for i in range(8 if biased else 4)]
    kernels, last = (tuple(names[:6:2]), names[6]) if biased else (tuple(names[:3]), names[3])

    def cut(a: np.ndarray) -> tuple[np.ndarray, ...]:
        parts = np.split(a, 3, axis=-1)
        return tuple(part.reshape(*part.shape[:-1], heads, size) for part in parts)

    def joined(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.concatenate([p.reshape(*p.shape[:-2], heads * size) for p in parts], axis=-1),)

    def in_heads(a: np.ndarray) -> tuple[np.ndarray, ...]:
        return (a.reshape(heads, size, layer.d_model),)

    def flat(a: np.ndarray) -> tuple[np.ndarray, ...]:
        return (a.reshape(-1, layer.d_model),)

    entries = [
        Entry(kernels, ("qkv.weight",), cut, joined),
        Entry((last,), ("out.weight",), in_heads, flat),
    ]
    if biased:
        entries.append(Entry(tuple(names[1:6:2]), ("qkv.bias",), cut, joined))
        entries.append(turned(names[7], "out.bias"))
    return entries


def own_layers(layer: Layer, place: str = "") -> Iterator[Own]:
    """The layers that have weights, in order.

    Raises:
        TypeError: for one that Keras has no counterpart of.
    """
    entries = entries_of(layer)
    if entries is None:
        for path, inner in direct(layer):
            yield from own_layers(inner, join(place, path))
        if {id(p) for p in layer.parameters()} - {
            id(p) for _, inner in direct(layer) for p in inner.parameters()
        }:
            raise TypeError(
                f"{WHERE}: {place}, {layer.label()} has no counterpart in Keras; load the parts "
                "around it, and set its parameters by themselves: parameter.data = …"
            )
    elif entries:
        yield Own(place, layer, entries, {n: f"{place}/{n}" for e in entries for n in e.names})
        for level, above in enumerate(getattr(layer, "above", [])):
            yield from own_layers(above, join(place, "above", str(level)))


# -- the source's layers ---------------------------------------------------------------------------


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


def _snake_case(name: str) -> str:
    """The name of a class as Keras has it in files: "Conv2DTranspose" is "conv2d_transpose"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _parts(found: Found) -> Iterator[Found]:
    """The layer in our terms: a separable convolution is two; nothing without weights."""
    names, kind = list(found.weights), found.kind
    if not names:
        return
    first = found.weights[names[0]]
    *places, last = first.shape
    if kind.startswith(("depthwise_", "separable_")):
        # one kernel a channel, (…, C, m), is (…, 1, C·m) in C groups
        first = first.as_shape((*places[:-1], 1, places[-1] * last))
    elif kind == "p_re_lu" and set(places) <= {1}:
        first = first.as_shape((last,))
    weights = {**found.weights, names[0]: first}
    if (
        kind == "batch_normalization"
        and found.settings.get("scale") is False
        and (found.settings.get("center") is True)
    ):  # γ is there in ours
        ones = Weight(first.shape, lambda: np.ones(first.shape, np.float32))
        weights = {f"{found.place} without scale": ones, **weights}
    if kind.startswith("separable_"):
        kind = kind.removeprefix("separable_")
        yield found._replace(kind=kind, weights={names[0]: first}, settings={})
        yield found._replace(kind=kind, weights={n: weights[n] for n in names[1:]}, settings={})
    else:
        yield found._replace(kind=kind.removeprefix("depthwise_"), weights=weights)


def _of_model(model: Any) -> Iterator[Found]:
    """The layers of a Keras model, those of models inside it too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _of_model(layer)
            continue
        weights = {
            each.path: Weight(tuple(each.shape), partial(_numbers, each)) for each in layer.weights
        }
        kind = _snake_case(type(layer).__name__)
        yield from _parts(Found(kind, layer.name, weights, layer.get_config()))


def _numbers(variable: Any) -> np.ndarray:
    """A variable's values, in whatever backend."""
    values = variable.value if hasattr(variable, "value") else variable
    values = values.detach().cpu().float() if hasattr(values, "detach") else values
    return np.asarray(values)


# -- files -----------------------------------------------------------------------------------------

INNER = {  # the order of what is inside a layer, where it is not that of numbers
    "bidirectional": ("forward_layer", "backward_layer"),
    "multi_head_attention": ("query_dense", "key_dense", "value_dense", "output_dense"),
}
DEEPEST = 32  # groups in groups


def _of_file(path: str, opened: ExitStack) -> tuple[list[Found], bool]:
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
        text = str(error) or type(error).__name__
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
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or (
            sum(m.file_size for m in members) > os.path.getsize(path)
        ):
            raise ValueError("it has compressed parts, which Keras never writes")
        return json.loads(archive.read("config.json")), io.BytesIO(archive.read("model.weights.h5"))


class _Walk:
    """Through a file of HDF5, along what lies in it alone."""

    def __init__(self, h5py: Any) -> None:
        self.h5py = h5py

    def members(self, group: Any) -> dict[str, Any]:
        """What is in a group; refuses links, which may lead to other files."""
        found = {}
        if group.name.count("/") > DEEPEST:
            raise ValueError("it has groups inside each other without an end")
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
            for name in sorted(members, key=_by_number):
                yield name, None
            return
        counts: dict[str, int] = {}
        config = config.get("config", config)
        for each in config.get("layers", []):
            kind = _snake_case(each["class_name"])
            counts[kind] = counts.get(kind, -1) + 1
            name = f"{kind}_{counts[kind]}" if counts[kind] else kind
            if name in members:
                yield name, each["config"]


def _by_number(name: str) -> tuple[str, int]:
    """Sorts "conv2d_10" behind "conv2d_9"."""
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if kind and number.isdigit() else (name, 0)


def _kind(unit: Own) -> str:
    return unit.entries[0].names[0].partition(".")[0]


# -- reading ---------------------------------------------------------------------------------------

# our arguments by Keras's; those that change what a layer computes
SETTINGS = {
    "epsilon": "eps", "strides": "stride", "dilation_rate": "dilation", "groups": "groups",
    "num_heads": "num_heads", "reset_after": "reset_after",
}  # fmt: skip


def load_keras(model: Layer, source: Any, strict: bool = True) -> LoadReport:
    """Write the weights of a Keras model into a model with the same layers.

        report = nn.interop.load_keras(model, "net.keras")

    The k-th layer with weights there is the k-th here. A `SeparableConv2D` is two layers here, a
    convolution with one group for each channel and a pointwise one. Keras's normalizations have
    another eps, 1e-3 (RMSNormalization 1e-6): build ours with it; where the source tells its
    arguments, a difference is an error. Keras's `padding="same"` of a `Conv2DTranspose` with kernel
    3 and stride 2 is `padding=((0, 1), (0, 1))` here. An activation that is an argument there is a
    layer of its own here.

    A `.weights.h5` file tells the order of layers of each class only; where that is not enough,
    give the `.keras` file, or the model itself.

    Args:
        model: the model that gets the weights; optimizers go on with it.
        source: a Keras model, or the path of a `.keras` or `.weights.h5` file.
        strict: whether all layers of both have to fit (default True). With False those from the
            first on are loaded, up to one that does not fit; the report says what was missing and
            left over.

    Returns:
        What was loaded from where, what was missing, and what was left over.

    Raises:
        ValueError: when layers do not fit, with the shapes of both sides; when a file is damaged,
            or leads to other files. The model has not changed.
        TypeError: for another source, or a layer here that Keras does not have.
        FileNotFoundError: when there is no such file.
        ImportError: when h5py is missing for a file.

    Warns:
        ModelWarning: when nothing at all was loaded.
    """
    with ExitStack() as opened:
        own = list(own_layers(model))
        if isinstance(source, str | os.PathLike):
            name = os.fspath(source)
            found, ordered = _of_file(name, opened)
        elif hasattr(source, "layers") and hasattr(source, "get_config"):
            name, found, ordered = type(source).__name__, list(_of_model(source)), True
        else:
            raise TypeError(
                f"{WHERE}: expected a Keras model, or the path of a .keras or .weights.h5 file, "
                f"got {kind_of(source)}"
            )
        for unit, each in zip(own, found, strict=False):
            if each.kind == _kind(unit):
                given = {SETTINGS[n]: v for n, v in each.settings.items() if n in SETTINGS}
                if each.kind == "group_normalization":
                    given["num_groups"] = given.pop("groups", None)
                check_settings(WHERE, unit, given, "Keras")
        return load(model, own, _source(name, found, ordered), strict)


def _source(name: str, found: list[Found], ordered: bool) -> Source:
    """The layers as what all loads read from."""
    weights = {full: weight for each in found for full, weight in each.weights.items()}
    layers = [
        Theirs(each.place, {f"{each.kind}.{i}": n for i, n in enumerate(each.weights)})
        for each in found
    ]
    shapes = {full: weight.shape for full, weight in weights.items()}
    source = Source(WHERE, "Keras", name, layers, shapes, lambda full: weights[full].read())
    if ordered:
        return source
    return source._replace(group=_by_class, remedy="give the .keras file, or the model itself")


def _by_class(place: str) -> str:
    """What layers of one class in one model have in common: "conv2d_1" and "conv2d"."""
    return re.sub(r"_\d+$", "", place)
