"""How PyTorch holds the arrays of our layers, and which of its arrays are one layer's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nnlite.interop.layouts import (
    Entry,
    Own,
    Theirs,
    always,
    channels_in_rows,
    direct,
    in_rows,
    join,
    turned,
)
from nnlite.layers import (
    GRU,
    Affine,
    Bidirectional,
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    Layer,
    LayerNorm,
    LearnedPositionalEmbedding,
    Linear,
    MultiHeadAttention,
    PReLU,
    RMSNorm,
    SpectralNorm,
    TransformerDecoderLayer,
    TransformerLayer,
    WeightNorm,
)
from nnlite.layers.normalization.channels import BatchNorm, ChannelNorm
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.layers.structure import arrays

# -- layers, here and there ------------------------------------------------------------------------

# where PyTorch's axes come from: of a weight by our class
AXES: dict[type, tuple[int, ...]] = {
    Linear: (1, 0),
    Conv1d: (2, 1, 0),
    Conv2d: (3, 2, 0, 1),
    ConvTranspose1d: (1, 2, 0),
    ConvTranspose2d: (2, 3, 0, 1),
}
NORMS = ChannelNorm | LayerNorm | RMSNorm | Affine
AS_THEY_ARE = NORMS | Embedding | LearnedPositionalEmbedding | PReLU
# PyTorch's names of a transformer's layers, by norm_first, in the order of ours
ENCODER = {
    True: ("norm1", "self_attn", "norm2", "linear1", "linear2"),
    False: ("self_attn", "norm1", "linear1", "linear2", "norm2"),
}
DECODER = {
    True: ("norm1", "self_attn", "norm2", "multihead_attn", "norm3", "linear1", "linear2"),
    False: ("self_attn", "norm1", "multihead_attn", "norm2", "linear1", "linear2", "norm3"),
}


def entries_of(layer: Layer) -> list[Entry] | None:
    """How PyTorch holds the arrays of one layer; None for one that it knows nothing of."""
    axes = _axes(layer)
    if axes is not None:
        return [turned("weight", "weight", axes), *_flat(layer, "bias")]
    if isinstance(layer, AS_THEY_ARE):
        return _norm(layer)
    if isinstance(layer, MultiHeadAttention):
        return _attention(layer)
    if isinstance(layer, Bidirectional):
        backwards = _cell(layer.backwards, "backwards", "_reverse")
        return [*_cell(layer.layer, "layer"), *backwards]
    if isinstance(layer, Recurrent):
        return _cell(layer)
    if isinstance(layer, TransformerLayer | TransformerDecoderLayer):
        return _block(layer)
    if isinstance(layer, WeightNorm | SpectralNorm):
        return _computed(layer)
    return None


def _axes(layer: Layer) -> tuple[int, ...] | None:
    """Where PyTorch's axes of the weight come from."""
    return next((axes for cls, axes in AXES.items() if isinstance(layer, cls)), None)


def _flat(layer: Layer, *names: str) -> list[Entry]:
    """The arrays that the layer has of these, which are vectors and the same."""
    return [turned(name, name) for name in names if getattr(layer, name, None) is not None]


def _norm(layer: Layer) -> list[Entry]:
    entries = _flat(layer, "weight", "bias", "running_mean", "running_var")
    # all but these can be without a bias there, too
    if isinstance(layer, BatchNorm | GroupNorm | InstanceNorm1d | InstanceNorm2d) and (
        layer.weight is not None and layer.bias is None
    ):
        zero = np.zeros(layer.weight.shape, layer.weight.dtype)
        entries.insert(1, always("bias", zero, "build it with bias=True"))
    if getattr(layer, "num_batches_tracked", None) is not None:
        counted = Entry(
            ("num_batches_tracked",), ("num_batches_tracked",),
            lambda a: (a.reshape(()),), lambda a: (np.reshape(a, 1),),
        )  # fmt: skip
        entries.append(counted)
    return entries


def _cell(layer: Recurrent, prefix: str = "", end: str = "") -> list[Entry]:
    """One layer of a stack in one direction; ours has one bias, and a GRU a second inside r."""

    def own(name: str) -> str:
        return join(prefix, name)

    entries = [turned(f"{n}{end}", own(n), (1, 0)) for n in ("weight_ih", "weight_hh")]
    hidden, names = layer.hidden_size, (f"bias_ih{end}", f"bias_hh{end}")
    if isinstance(layer, GRU) and layer.bias_hn is not None:
        # r and z: the biases add up; n: that of h stays inside r ⊙ (h U_n + b_hn)
        def there(b: np.ndarray, b_hn: np.ndarray) -> tuple[np.ndarray, ...]:
            return b, np.concatenate([np.zeros(2 * hidden, b.dtype), b_hn])

        def back(b_i: np.ndarray, b_h: np.ndarray) -> tuple[np.ndarray, ...]:
            gates = b_i[: 2 * hidden] + b_h[: 2 * hidden]
            return np.concatenate([gates, b_i[2 * hidden :]]), b_h[2 * hidden :]

        entries.append(Entry(names, (own("bias"), own("bias_hn")), there, back))
    elif layer.bias is not None:
        entries.append(
            Entry(names, (own("bias"),), lambda b: (b, np.zeros_like(b)), lambda i, h: (i + h,))
        )
    if getattr(layer, "weight_hr", None) is not None:
        entries.append(turned(f"weight_hr{end}", own("weight_hr"), (1, 0)))
    return entries


def _attention(layer: MultiHeadAttention) -> list[Entry]:
    bias = layer.out.bias is not None
    if isinstance(layer.qkv, Linear):
        entries = [turned("in_proj_weight", "qkv.weight", (1, 0))]
        entries += [turned("in_proj_bias", "qkv.bias")] if bias else []
    else:
        entries = [
            turned(f"{n}_proj_weight", f"qkv.{i}.weight", (1, 0)) for i, n in enumerate("qkv")
        ]
        if bias:
            joined = tuple(f"qkv.{i}.bias" for i in range(3))
            there: Callable[..., Any] = lambda *b: (np.concatenate(b),)  # noqa: E731
            entries.append(Entry(("in_proj_bias",), joined, there, lambda b: tuple(np.split(b, 3))))
    if layer.add_bias_kv:
        entries += [
            Entry((n,), (n,), lambda b: (b[None, None],), lambda b: (b[0, 0],))
            for n in ("bias_k", "bias_v")
        ]
    entries.append(turned("out_proj.weight", "out.weight", (1, 0)))
    return entries + ([turned("out_proj.bias", "out.bias")] if bias else [])


def _block(layer: Layer) -> list[Entry]:
    """An encoder's or decoder's layer, whose layers have other names there."""
    names = (ENCODER if isinstance(layer, TransformerLayer) else DECODER)[layer.norm_first]  # type: ignore[attr-defined]
    inner = [(path, each) for path, each in layer.named_layers().items() if path]
    kinds = LayerNorm | Linear | MultiHeadAttention
    found = [(path, each) for path, each in inner if isinstance(each, kinds)]
    found = [(p, e) for p, e in found if not p.endswith((".qkv", ".out"))]
    return [
        _inside(entry, path, name)
        for name, (path, each) in zip(names, found, strict=True)
        for entry in entries_of(each) or []
    ]


def _inside(entry: Entry, own: str, theirs: str) -> Entry:
    """An entry of a layer as one of the layer around it."""
    return entry._replace(
        names=tuple(join(theirs, n) for n in entry.names),
        own=tuple(join(own, n) for n in entry.own),
    )


def _computed(layer: WeightNorm | SpectralNorm) -> list[Entry] | None:
    """A weight that is computed from others: PyTorch's parametrizations of the layer inside."""
    axes = _axes(layer.layer)
    if axes is None or layer.name != "weight":
        return None
    bias = [_inside(entry, "layer", "") for entry in _flat(layer.layer, "bias")]
    place = "parametrizations.weight"
    if isinstance(layer, WeightNorm):
        names = {"original0": "magnitude", "original1": "direction"}
        return bias + [turned(f"{place}.{n}", own, axes) for n, own in names.items()]
    axis, shape = layer.axis % len(axes), layer.original.shape
    others = [i for i in range(len(axes)) if i != axis]  # v's axes, in our order
    sizes = [shape[i] for i in others]
    order = [others.index(i) for i in axes if i != axis]  # those of PyTorch's v

    def there(v: np.ndarray) -> tuple[np.ndarray, ...]:
        return (v.reshape(sizes).transpose(order).reshape(-1),)

    def back(v: np.ndarray) -> tuple[np.ndarray, ...]:
        theirs = v.reshape([sizes[i] for i in order])
        return (theirs.transpose(np.argsort(order)).reshape(-1),)

    return [
        *bias,
        turned(f"{place}.original", "original", axes),
        turned(f"{place}.0._u", "u"),
        Entry((f"{place}.0._v",), ("v",), there, back),
    ]


# -- the model's layers ----------------------------------------------------------------------------


def own_layers(model: Layer) -> list[Own]:
    """The layers that have weights, in order, with PyTorch's names for them."""
    return list(_own(model, "", channels_in_rows(model)))


def _own(layer: Layer, place: str, flat: Mapping[int, int]) -> Iterator[Own]:
    apart = isinstance(layer, Bidirectional) and not as_one(layer)
    entries = None if apart else entries_of(layer)
    if entries is None:
        yield from _of_its_own(layer, place)
        for path, inner in direct(layer):
            yield from _own(inner, join(place, path), flat)
        return
    if id(layer) in flat:
        entries = in_rows(layer, entries, flat[id(layer)])
    if isinstance(layer, Recurrent | Bidirectional):
        yield from _levels(layer, place, entries)
    elif entries:
        yield Own(place, layer, entries, _full(place, entries))


def _full(place: str, entries: list[Entry], level: int | None = None) -> dict[str, str]:
    """PyTorch's full names by the names within the layer."""
    names = [name for entry in entries for name in entry.names]
    if level is None:
        return {name: join(place, name) for name in names}
    numbered = (re.sub(r"(_reverse)?$", rf"_l{level}\1", name, count=1) for name in names)
    return {name: join(place, full) for name, full in zip(names, numbered, strict=True)}


def _levels(layer: Any, place: str, entries: list[Entry]) -> Iterator[Own]:
    """The layers of a stack, each by itself."""
    yield Own(place, layer, entries, _full(place, entries, 0))
    for level, above in enumerate(getattr(layer, "above", []), 1):
        more = _cell(above)
        yield Own(join(place, "above", str(level - 1)), above, more, _full(place, more, level))


def as_one(layer: Bidirectional) -> bool:
    """Whether PyTorch has both directions in one module: alike, and not stacked."""
    first, second = layer.layer, layer.backwards
    options = ("hidden_size", "input_size", "num_layers", "proj_size", "nonlinearity")
    alike = all(getattr(first, o, None) == getattr(second, o, None) for o in options)
    bias = (first.bias is None) == (second.bias is None)
    return type(first) is type(second) and alike and bias and first.num_layers == 1


def _of_its_own(layer: Layer, place: str) -> Iterator[Own]:
    """The arrays of a layer that someone wrote, as they are and under their own names."""
    inside = {id(part) for _, each in direct(layer) for part in arrays(each).values()}
    names = [path for path, part in arrays(layer).items() if id(part) not in inside]
    entries = [turned(name, name) for name in names]
    if entries:
        yield Own(place, layer, entries, _full(place, entries))


# -- the source's layers ---------------------------------------------------------------------------

LEVEL = re.compile(r"((?:weight|bias)_(?:ih|hh|hr))_l(\d+)(_reverse)?$")
NORMED = {"weight_g": "original0", "weight_v": "original1"}  # before PyTorch 2


def their_layers(names: list[str]) -> list[Theirs]:
    """The layers of a state dict, by the prefixes of its names, in its order."""
    found: dict[tuple[str, str], Theirs] = {}
    every = set(names)
    for name in names:
        place, _, local = name.rpartition(".")
        level = ""
        if match := LEVEL.fullmatch(local):
            level, local = match[2], f"{match[1]}{match[3] or ''}"
        elif local in NORMED:
            local = f"parametrizations.weight.{NORMED[local]}"
        elif ".parametrizations." in f".{name}":
            place, _, local = f".{name}".partition(".parametrizations.")
            place, local = place.lstrip("."), f"parametrizations.{local}"
        elif place.rpartition(".")[2] == "out_proj":
            above = place.rpartition(".")[0]
            if {join(above, "in_proj_weight"), join(above, "q_proj_weight")} & every:
                place, local = above, f"out_proj.{local}"
        block = _block_around(name, every)
        if block is not None:
            place, local, level = block, name.removeprefix(f"{block}.") if block else name, ""
        settings = {"reset_after": True} if level else {}  # of all GRUs there
        found.setdefault((place, level), Theirs(place, {}, settings)).names[local] = name
    return list(found.values())


def _block_around(name: str, every: set[str]) -> str | None:
    """The place of the transformer's layer that the name stands in; None when it is in none."""
    parts = name.split(".")
    for i, part in enumerate(parts):
        if part in ENCODER[True] or part in DECODER[True]:
            block = ".".join(parts[:i])
            signs = ("self_attn.in_proj_weight", "linear1.weight", "linear2.weight", "norm2.weight")
            if all(join(block, sign) in every for sign in signs):
                return block
    return None
