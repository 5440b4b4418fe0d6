"""nnlite's layers as modules of PyTorch; for `to_torch`, which alone imports this.

PyTorch's spatial layers want the channels first. A model here has them last, so each such module
turns its input and its output, as views: in memory that is PyTorch's own "channels last" format.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from nnlite import layers as ours
from nnlite.interop.torch import as_one, own_layers
from nnlite.interop.weights import channels_in_rows, direct
from nnlite.layers.base import floating_dtype
from nnlite.layers.containers.weights import ComputedWeight
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.normalization.channels import TrackingNorm
from nnlite.layers.pooling.windows import AvgPool, MaxPool
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.layers.structure import sub_layers

# -- modules ---------------------------------------------------------------------------------------


class ChannelsLast(nn.Module):
    """A module that wants the channels first, on x with the channels last.

    Attributes:
        before: zeros (or `fill`) around x, and `after`, what is cut off y: as `F.pad` has them,
            where the module's own padding cannot say it.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    fill: float = 0.0

    def forward(self, x: Any) -> Any:
        x = x.movedim(-1, 1)
        if any(self.before):
            x = F.pad(x, self.before, value=self.fill)
        y = super().forward(x)
        if isinstance(y, tuple):
            return tuple(each.movedim(1, -1) for each in y)
        if any(self.after):
            y = F.pad(y, self.after)
        return y.movedim(1, -1)


LAST = [
    *(f"{kind}{d}d" for d in (1, 2) for kind in (
        "Conv", "ConvTranspose", "BatchNorm", "InstanceNorm", "MaxPool", "AvgPool",
        "AdaptiveAvgPool", "AdaptiveMaxPool", "ZeroPad", "ConstantPad", "ReflectionPad",
        "ReplicationPad", "CircularPad",
    )),
    "GroupNorm", "PReLU", "Upsample",
]  # fmt: skip
for _name in LAST:
    _bases = (ChannelsLast, getattr(nn, _name))
    globals()[_name] = type(_name, _bases, {"__module__": __name__})


class LPPool(nn.Module):
    """(Σ |x|^p)^(1/p) over windows; PyTorch's has no absolute value."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.options = (float(layer.norm_type), layer.kernel_size, layer.stride, layer.ceil_mode)
        self.pool = F.lp_pool1d if layer.spatial == 1 else F.lp_pool2d

    def forward(self, x: Any) -> Any:
        return self.pool(x.abs().movedim(-1, 1), *self.options).movedim(1, -1)


class MaxUnpool(nn.Module):
    """Maxima put back where they came from: (y, indices), both with the channels last."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.size = layer.output_size
        self.options = (layer.kernel_size, layer.stride, layer.padding)
        self.unpool = F.max_unpool1d if layer.spatial == 1 else F.max_unpool2d
        self.spatial = layer.spatial

    def forward(self, pooled: Any) -> Any:
        x, indices = (each.movedim(-1, 1) for each in pooled)
        size = self.size
        if size is not None:
            size = (size,) * self.spatial if isinstance(size, int) else tuple(size)
        return self.unpool(x, indices, *self.options, output_size=size).movedim(1, -1)


class LocalResponseNorm(nn.LocalResponseNorm):
    """Over the last axis."""

    def forward(self, x: Any) -> Any:
        x = x.movedim(-1, 1) if x.ndim > 2 else x[..., None]  # PyTorch wants an axis of places
        y = super().forward(x)
        return y.movedim(1, -1) if y.ndim > 3 or x.shape[-1] > 1 else y.movedim(1, -1).squeeze(1)


class Function(nn.Module):
    """A function of x without weights, under a name for `repr`."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.name = name
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.name


class Flatten(nn.Module):
    """One row per sample; those of images in PyTorch's order, channels first."""

    def __init__(self, images: bool) -> None:
        super().__init__()
        self.images = images

    def forward(self, x: Any) -> Any:
        return (x.movedim(-1, 1) if self.images else x).flatten(1)


class ChannelDropout(nn.Module):
    """Whole channels at zero, one draw for each sample and channel."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        ones = x.new_ones(x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
        return x * F.dropout(ones, self.p, self.training)


class GaussianNoise(nn.Module):
    """x + σ ε while training."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Any) -> Any:
        return x + self.std * torch.randn_like(x) if self.training else x


class Affine(nn.Module):
    """γ ⊙ x + β."""

    def __init__(self, features: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None

    def forward(self, x: Any) -> Any:
        return x * self.weight if self.bias is None else x * self.weight + self.bias


class Branches(nn.Module):
    """Layers side by side, under their names, whose outputs are added or joined."""

    def __init__(self, modules: dict[str, nn.Module], joined: bool) -> None:
        super().__init__()
        self.joined = joined
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        outputs = [module(x) for module in self.children()]
        return torch.cat(outputs, -1) if self.joined else sum(outputs[1:], outputs[0])


class Parallel(nn.Sequential):
    """Several inputs, each through a module of its own."""

    def forward(self, x: Any) -> Any:
        return tuple(module(each) for module, each in zip(self, x, strict=True))


class _Outputs(nn.RNNBase):
    """A recurrent module that returns y alone, of all steps or of the last (both directions')."""

    sequences = True

    def forward(self, x: Any) -> Any:
        y, state = super().forward(x)
        if self.sequences:
            return y
        if not self.bidirectional:
            return y[:, -1]
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat([h[-2], h[-1]], -1)


class RNN(_Outputs, nn.RNN):
    """As above."""


class LSTM(_Outputs, nn.LSTM):
    """As above."""


class GRU(_Outputs, nn.GRU):
    """As above."""


class Bidirectional(nn.Module):
    """Two recurrent modules that differ, one from the end to the beginning."""

    def __init__(self, modules: dict[str, nn.Module], sequences: bool) -> None:
        super().__init__()
        self.sequences = sequences
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        first, second = self.children()
        back = second(x.flip(1))
        return torch.cat([first(x), back.flip(1) if self.sequences else back], -1)


def _future(x: Any, causal: bool) -> Any:
    """What no step may see, (T, T); None for nothing."""
    steps = x.shape[1]
    future = torch.ones(steps, steps, dtype=torch.bool, device=x.device).triu(1)
    return future if causal else None


class MultiHeadAttention(nn.MultiheadAttention):
    """Of x to itself, of (query, memory), or of (query, key, value)."""

    causal = False

    def forward(self, x: Any) -> Any:
        query, key, value = (x[0], x[1], x[-1]) if isinstance(x, tuple) else (x, x, x)
        mask = _future(query, self.causal)
        return super().forward(query, key, value, attn_mask=mask, need_weights=False)[0]


class PlacedAttention(nn.Module):
    """Attention by where steps are, or with fewer keys than queries; PyTorch has no module for it.

    Its weights have the names and layouts of `nn.MultiheadAttention`.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        size, biased = layer.d_model, layer.out.bias is not None
        self.heads = layer.num_heads
        self.widths = layer.qkv.widths
        self.in_proj_weight = nn.Parameter(torch.zeros(sum(self.widths), size))
        self.in_proj_bias = nn.Parameter(torch.zeros(sum(self.widths))) if biased else None
        self.bias_k, self.bias_v = (
            nn.Parameter(torch.zeros(1, 1, size)) if layer.add_bias_kv else None for _ in "kv"
        )
        self.add_zero_attn = layer.add_zero_attn
        self.out_proj = nn.Linear(size, size, biased)
        self.p = layer.dropout
        self.causal = layer.causal
        self.rotary = isinstance(layer, ours.RotaryAttention)
        self.fading = isinstance(layer, ours.ALiBiAttention)
        self.window = getattr(layer, "window", None)

    def forward(self, x: Any) -> Any:
        inputs = (x[0], x[1], x[-1]) if isinstance(x, tuple) else (x, x, x)
        weights = self.in_proj_weight.split(self.widths)
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.split(self.widths)
        q, k, v = (F.linear(*each) for each in zip(inputs, weights, biases, strict=True))
        steps, keys = q.shape[1], k.shape[1]
        size = q.shape[-1] // self.heads
        if self.rotary:
            q, k = (_turned(each.unflatten(-1, (-1, size))).flatten(2) for each in (q, k))
        k, v = (self._with_first(*each) for each in ((k, self.bias_k), (v, self.bias_v)))
        q, k, v = (each.unflatten(-1, (-1, size)).transpose(1, 2) for each in (q, k, v))
        k, v = (each.repeat_interleave(self.heads // each.shape[1], 1) for each in (k, v))
        scores = F.pad(self._by_place(steps, keys).to(q), (k.shape[2] - keys, 0))
        p = self.p if self.training else 0.0
        o = F.scaled_dot_product_attention(q, k, v, scores, p)
        return self.out_proj(o.transpose(1, 2).flatten(2))

    def _with_first(self, a: Any, bias: Any) -> Any:
        """Keys or values (N, S, D) with what every step sees in front."""
        first = [bias.expand(len(a), -1, -1)] if bias is not None else []
        first += [torch.zeros_like(a[:, :1])] if self.add_zero_attn else []
        return torch.cat([*first, a], 1)

    def _by_place(self, steps: int, keys: int) -> Any:
        """What is added to the scores, (heads or 1, T, S)."""
        ahead = torch.arange(keys) - torch.arange(steps)[:, None]
        added = torch.zeros(1, steps, keys, dtype=torch.float64)
        if self.fading:
            rates = 2.0 ** (-8 * torch.arange(1, self.heads + 1, dtype=torch.float64) / self.heads)
            added = -rates[:, None, None] * ahead.abs()
        hidden = torch.zeros_like(ahead, dtype=torch.bool)
        if self.window is not None:
            hidden = ahead.abs() >= self.window
        if self.causal:
            hidden = hidden | (ahead > 0)
        return added.masked_fill(hidden, -math.inf)


def _turned(a: Any) -> Any:
    """The features j and j + ⌊d/2⌋ of each head (N, T, heads, d), turned as a pair by t ωⱼ."""
    size = a.shape[-1]
    half = size // 2
    rates = 10_000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / size)
    angles = torch.arange(a.shape[1])[:, None, None] * rates
    cos, sin = angles.cos().to(a), angles.sin().to(a)
    first, second, rest = a.split([half, half, size - 2 * half], -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos, rest], -1)


class TransformerLayer(nn.TransformerEncoderLayer):
    """With a mask of its own where it is causal."""

    causal = False

    def forward(self, x: Any) -> Any:
        return super().forward(x, _future(x, self.causal))


class TransformerDecoderLayer(nn.TransformerDecoderLayer):
    """Of (x, memory)."""

    causal = False

    def forward(self, x: Any) -> Any:
        y, memory = x
        return super().forward(y, memory, tgt_mask=_future(y, self.causal))


class TransformerDecoder(nn.Sequential):
    """Layers one after another that all look at the same memory."""

    def forward(self, x: Any) -> Any:
        y, memory = x
        for layer in self:
            y = layer((y, memory))
        return y


class LearnedPositionalEmbedding(nn.Embedding):
    """x plus one row for each time step."""

    def forward(self, x: Any) -> Any:
        return x + self.weight[: x.shape[1]]


# -- which layer becomes which ---------------------------------------------------------------------


class Refused(Exception):
    """There is no counterpart; the message says what to do."""


def _no(what: str) -> NoReturn:
    raise Refused(what)


# our class, theirs, and our arguments in the order of theirs
SAME: dict[Any, tuple[Any, tuple[str, ...]]] = {
    ours.Identity: (nn.Identity, ()),
    ours.Dropout: (nn.Dropout, ("p",)),
    ours.ReLU: (nn.ReLU, ()),
    ours.LeakyReLU: (nn.LeakyReLU, ("negative_slope",)),
    ours.RReLU: (nn.RReLU, ("lower", "upper")),
    ours.Threshold: (nn.Threshold, ("threshold", "value")),
    ours.Hardshrink: (nn.Hardshrink, ("lambd",)),
    ours.Softshrink: (nn.Softshrink, ("lambd",)),
    ours.ReLU6: (nn.ReLU6, ()),
    ours.ELU: (nn.ELU, ("alpha",)),
    ours.SELU: (nn.SELU, ()),
    ours.CELU: (nn.CELU, ("alpha",)),
    ours.GELU: (nn.GELU, ("approximate",)),
    ours.SiLU: (nn.SiLU, ()),
    ours.Mish: (nn.Mish, ()),
    ours.Sigmoid: (nn.Sigmoid, ()),
    ours.HardSigmoid: (nn.Hardsigmoid, ()),
    ours.HardSwish: (nn.Hardswish, ()),
    ours.Tanh: (nn.Tanh, ()),
    ours.Tanhshrink: (nn.Tanhshrink, ()),
    ours.HardTanh: (nn.Hardtanh, ("min_val", "max_val")),
    ours.Softplus: (nn.Softplus, ("beta",)),
    ours.Softsign: (nn.Softsign, ()),
    ours.LogSigmoid: (nn.LogSigmoid, ()),
    ours.Softmax: (nn.Softmax, ("axis",)),
    ours.Softmin: (nn.Softmin, ("axis",)),
    ours.LogSoftmax: (nn.LogSoftmax, ("axis",)),
    ours.GLU: (nn.GLU, ("axis",)),
    ours.PReLU: ("PReLU", ("num_parameters",)),
    ours.Affine: (Affine, ("num_features", "bias")),
    ours.ChannelDropout: (ChannelDropout, ("p",)),
    ours.GaussianNoise: (GaussianNoise, ("std",)),
    ours.LocalResponseNorm: (LocalResponseNorm, ("size", "alpha", "beta", "k")),
    ours.Embedding: (nn.Embedding, ("num_embeddings", "embedding_dim", "padding_idx")),
    ours.LearnedPositionalEmbedding: (LearnedPositionalEmbedding, ("max_length", "d_model")),
}
for _cls in (*(f"{kind}Pad{d}d" for kind in ("Zero", "Reflection", "Replication", "Circular")
               for d in (1, 2)), "AdaptiveAvgPool1d", "AdaptiveAvgPool2d"):  # fmt: skip
    _argument = "padding" if "Pad" in _cls else "output_size"
    SAME[getattr(ours, _cls)] = (_cls, (_argument,))
for _d in (1, 2):
    SAME[getattr(ours, f"ConstantPad{_d}d")] = (f"ConstantPad{_d}d", ("padding", "value"))
    _cls = f"AdaptiveMaxPool{_d}d"
    SAME[getattr(ours, _cls)] = (_cls, ("output_size", "return_indices"))


def _built(layer: Any) -> nn.Module | None:
    """The module of a layer without layers inside, with first values of its own."""
    cls: Any = type(layer)
    if cls in SAME:
        theirs, names = SAME[cls]
        theirs = globals()[theirs] if isinstance(theirs, str) else theirs
        values = [getattr(layer, name) for name in names]
        values = [v is not None if n == "bias" else v for n, v in zip(names, values, strict=True)]
        return theirs(*values)
    for kind, build in BUILDERS:
        if isinstance(layer, kind) and cls.__module__.startswith("nnlite."):
            return build(layer)
    return None


def _linear(layer: Any) -> nn.Module:
    return nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)


def _convolution(layer: Any) -> nn.Module:
    axes, geometry = layer.axes, layer._geometry
    sides = geometry.padding[-axes:]
    even = all(a == b for a, b in sides)
    transposed = isinstance(layer, ours.ConvTranspose1d | ours.ConvTranspose2d)
    options = {"output_padding": layer._output_padding[-axes:]} if transposed else {}
    module = globals()[f"Conv{'Transpose' * transposed}{axes}d"](
        layer.in_channels, layer.out_channels, geometry.kernel[-axes:],
        stride=geometry.stride[-axes:], padding=[a for a, _ in sides] if even else 0,
        dilation=geometry.dilation[-axes:], groups=geometry.groups,
        bias=layer.bias is not None, **options,
    )  # fmt: skip
    around = [n for side in reversed(sides) for n in side]  # the last axis first
    if not even and transposed:
        module.after = tuple(-n for n in around)
    elif not even:
        module.before = tuple(around)
    return module


def _pool(layer: Any) -> nn.Module:
    d = layer.spatial
    if isinstance(layer, ours.LPPool1d | ours.LPPool2d):
        return LPPool(layer)
    axes = layer._geometry
    sides = [(axis.before, axis.after) for axis in axes]
    kernel, stride = ([getattr(axis, n) for axis in axes] for n in ("kernel", "stride"))
    even = all(a == b and 2 * a <= axis.kernel for (a, b), axis in zip(sides, axes, strict=True))
    padding = [a for a, _ in sides] if even else 0
    if isinstance(layer, MaxPool):
        dilation = [axis.dilation for axis in axes]
        module = globals()[f"MaxPool{d}d"](
            kernel, stride, padding, dilation, layer.return_indices, layer.ceil_mode
        )
        if not even and layer.return_indices:
            _no("its padding differs from side to side, so that the indices would, too")
        module.fill = -math.inf
    else:
        if not even and not layer.count_include_pad:
            _no("its padding differs from side to side and does not count")
        if d == 1 and layer.divisor_override is not None:
            _no("its AvgPool1d has no divisor_override; use AvgPool2d")
        module = globals()[f"AvgPool{d}d"](
            kernel, stride, padding, layer.ceil_mode, layer.count_include_pad,
            *([layer.divisor_override] if d == 2 else []),
        )  # fmt: skip
    if not even:
        module.before = tuple(n for side in reversed(sides) for n in side)
    return module


def _upsample(layer: Any) -> nn.Module:
    corners = None if layer.mode == "nearest" else layer.align_corners
    return globals()["Upsample"](layer.size, layer.scale_factor, layer.mode, corners)


def _channel_norm(layer: Any) -> nn.Module:
    if isinstance(layer, ours.GroupNorm):
        module = globals()["GroupNorm"](
            layer.num_groups, layer.num_channels, layer.eps, layer.affine
        )
    else:
        module = globals()[type(layer).__name__](
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
    if layer.affine and layer.bias is None:
        module.bias.requires_grad_(False)  # it stays at 0
    return module


def _feature_norm(layer: Any) -> nn.Module:
    shape = layer.weight.shape if layer.affine else layer.num_features
    if isinstance(layer, ours.RMSNorm):
        return nn.RMSNorm(shape, layer.eps, layer.affine)
    bias = layer.bias is not None or not layer.affine
    return nn.LayerNorm(shape, layer.eps, layer.affine, bias=bias)


def _recurrent(layer: Any, both: bool = False) -> nn.Module:
    if layer.return_state or layer.stateful:
        _no("its modules return and carry states in another way; build it without "
            "return_state and stateful")  # fmt: skip
    if isinstance(layer, ours.GRU) and not layer.reset_after:
        _no("its GRU has the reset gate after the product; train with reset_after=True")
    kind = next(k for k in (RNN, LSTM, GRU) if isinstance(layer, getattr(ours, k.__name__)))
    options = {
        n: getattr(layer, n) for n in ("nonlinearity", "proj_size") if getattr(layer, n, None)
    }
    dropout = layer.dropout if layer.num_layers > 1 else 0.0
    module = kind(
        layer.input_size, layer.hidden_size, num_layers=layer.num_layers,
        bias=layer.bias is not None, batch_first=True, dropout=dropout, bidirectional=both,
        **options,
    )  # fmt: skip
    module.sequences = layer.return_sequences
    return module


def _bidirectional(layer: Any) -> nn.Module:
    if as_one(layer):
        return _recurrent(layer.layer, both=True)
    modules = {path: _recurrent(each) for path, each in direct(layer)}
    return Bidirectional(modules, layer.layer.return_sequences)


def _attention(layer: Any) -> nn.Module:
    if type(layer) is not ours.MultiHeadAttention:
        if isinstance(layer.qkv, ours.Parallel):
            _no("its attention by place has keys and values of d_model features")
        return PlacedAttention(layer)
    module = MultiHeadAttention(
        layer.d_model, layer.num_heads, layer.dropout, layer.out.bias is not None,
        layer.add_bias_kv, layer.add_zero_attn, layer.kdim, layer.vdim, batch_first=True,
    )  # fmt: skip
    module.causal = layer.causal
    return module


def _block(layer: Any) -> nn.Module:
    activation: Any = layer.activation
    if isinstance(activation, ours.Layer):
        activation = _built(activation)
        if activation is None or list(activation.parameters()):
            _no(f"with {layer.activation!r} as its activation; use one without weights")
    encoder = isinstance(layer, ours.TransformerLayer)
    module = (TransformerLayer if encoder else TransformerDecoderLayer)(
        layer.d_model, layer.num_heads, layer.d_ff, layer.dropout, activation,
        batch_first=True, norm_first=layer.norm_first, bias=layer.bias,
    )  # fmt: skip
    module.causal = layer.causal
    return module


def _positions(layer: Any) -> nn.Module:
    def add(x: Any) -> Any:
        return x + torch.from_numpy(layer.rows(0, x.shape[1], np.dtype(np.float64)).copy()).to(x)

    return Function(repr(layer), add)


def _moved(layer: Any) -> nn.Module:
    cls: Any = type(layer)
    functions: dict[type, Callable[[Any], Any]] = {
        ours.Reshape: lambda x: x.reshape(x.shape[0], *layer.shape),
        ours.Permute: lambda x: x.permute(0, *layer.axes),
        ours.LastStep: lambda x: x[:, -1],
        ours.MeanOverTime: lambda x: x.mean(1),
        ours.Join: lambda x: torch.cat(list(x), -1),
        ours.GlobalAvgPool1d: lambda x: x.mean(1),
        ours.GlobalAvgPool2d: lambda x: x.mean((1, 2)),
        ours.GlobalMaxPool1d: lambda x: x.amax(1),
        ours.GlobalMaxPool2d: lambda x: x.amax((1, 2)),
    }
    return Function(repr(layer), functions[cls])


BUILDERS: list[tuple[Any, Callable[[Any], nn.Module]]] = [
    (Convolution, _convolution),
    (ours.MaxUnpool1d | ours.MaxUnpool2d, MaxUnpool),
    (MaxPool | AvgPool, _pool),
    (ours.Upsample1d | ours.Upsample2d, _upsample),
    (TrackingNorm | ours.GroupNorm, _channel_norm),
    (ours.LayerNorm | ours.RMSNorm, _feature_norm),
    (Recurrent, _recurrent),
    (ours.Bidirectional, _bidirectional),
    (ours.MultiHeadAttention, _attention),
    (ours.TransformerLayer | ours.TransformerDecoderLayer, _block),
    (ours.PositionalEncoding, _positions),
    (
        ours.Reshape | ours.Permute | ours.LastStep | ours.MeanOverTime | ours.Join
        | ours.GlobalAvgPool1d | ours.GlobalAvgPool2d | ours.GlobalMaxPool1d
        | ours.GlobalMaxPool2d,
        _moved,
    ),
    (ours.Linear, _linear),
]  # fmt: skip


def _around(layer: Any, words: tuple[str, ...], flat: dict[int, int]) -> nn.Module:
    """The module of a layer with layers inside."""
    inside = [
        (path, _module(inner, (*words, place), flat))
        for (path, inner), (place, _) in zip(direct(layer), sub_layers(layer), strict=False)
    ]
    modules = dict(inside)
    if isinstance(layer, ours.Residual):
        return Branches({"shortcut": nn.Identity()} | modules, joined=False)
    if isinstance(layer, ours.Add | ours.Concat):
        return Branches(modules, joined=isinstance(layer, ours.Concat))
    if isinstance(layer, ComputedWeight):
        return _parametrized(layer, modules["layer"])
    kinds = {ours.Parallel: Parallel, ours.TransformerDecoder: TransformerDecoder}
    kind = next((kinds[cls] for cls in kinds if isinstance(layer, cls)), nn.Sequential)
    return kind(*modules.values())


def _parametrized(layer: Any, module: nn.Module) -> nn.Module:
    """The module with its weight computed from others."""
    own = next((each for each in own_layers(layer) if each.layer is layer), None)
    if own is None:
        _no("it is known of the weights of Linear and of convolutions alone")
    first = "magnitude" if isinstance(layer, ours.WeightNorm) else "original"
    (entry,) = (e for e in own.entries if e.own == (first,))
    # where our axis of outputs is there
    sizes = np.zeros([2 + i for i in range(getattr(layer, first).data.ndim)], np.bool_)
    dim = entry.there(sizes)[0].shape.index(sizes.shape[layer.axis])
    tools = nn.utils.parametrizations
    if isinstance(layer, ours.WeightNorm):
        return tools.weight_norm(module, "weight", dim)
    return tools.spectral_norm(module, "weight", layer.n_power_iterations, layer.eps, dim)


CONTAINERS = (
    ours.Sequential | ours.Residual | ours.Add | ours.Concat | ours.Parallel
    | ours.TransformerDecoder | ComputedWeight
)  # fmt: skip


def _module(layer: Any, words: tuple[str, ...], flat: dict[int, int]) -> nn.Module:
    """The module of a layer, its weights still to be filled in.

    Raises:
        TypeError: names the place of a layer without a counterpart, and says what to do.
    """
    module: nn.Module | None
    try:
        module = Flatten(id(layer) in flat) if type(layer) is ours.Flatten else _built(layer)
        if module is not None:
            return module.train(layer.training)
        if isinstance(layer, CONTAINERS) and type(layer).forward.__module__.startswith("nnlite."):
            module = _around(layer, words, flat)
            module.training = layer.training
            return module
        if isinstance(layer, ours.ActivityRegularization | ours.GaussianSample):
            _no("what it adds to the loss belongs to the loss there; take it out")
        _no("write it as a torch.nn.Module, and convert what stands around it")
    except Refused as refused:
        place = " › ".join([*words, repr(layer)])
        raise TypeError(f"to_torch: {place} has no counterpart in PyTorch: {refused}") from None


def converted(model: ours.Layer) -> nn.Module:
    """The model as a module, with its weights, modes, frozen parameters and ties."""
    with torch.random.fork_rng(devices=[]):  # first values, which are not kept
        module = _module(model, (), channels_in_rows(model))
    module.to(getattr(torch, floating_dtype(model).name))
    state = module.state_dict()
    made: dict[int, list[tuple[str, np.ndarray]]] = {}
    for unit in own_layers(model):
        for entry in unit.entries:
            parts = unit.parts(entry)
            arrays = entry.there(*(part.data for part in parts))
            for local, array in zip(entry.names, arrays, strict=True):
                full = unit.full[local]
                # copied: PyTorch knows no negative strides, and no memory of others
                state[full].copy_(torch.from_numpy(np.array(array)))
                if parts and not any(getattr(part, "trainable", True) for part in parts):
                    module.get_parameter(full).requires_grad_(False)
                if len(parts) == len(arrays) == 1:
                    _tie(module, full, array, made.setdefault(id(parts[0]), []))
    return module


def _tie(
    module: nn.Module, full: str, array: np.ndarray, before: list[tuple[str, np.ndarray]]
) -> None:
    """Let what is one parameter here be one there, where it looks the same."""
    for other, values in before:
        if np.array_equal(values, array):
            place, _, name = full.rpartition(".")
            setattr(module.get_submodule(place), name, module.get_parameter(other))
            return
    before.append((full, array))
