"""How Keras holds the arrays of our layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlite.interop.layouts import Entry, Own, direct, join, turned
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
        if isinstance(layer, cls):
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
