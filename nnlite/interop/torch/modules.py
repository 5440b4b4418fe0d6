"""Modules of PyTorch that compute what our layers do, where its own do not.

PyTorch's spatial layers want the channels first. A model here has them last, so each such module
turns its input and its output, as views: in memory that is PyTorch's own "channels last" format.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nnlite import layers as ours


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


def channels_last(name: str) -> Any:
    """PyTorch's class of this name, on x with the channels last."""
    return globals()[name]


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
        if x.ndim == 2:  # PyTorch wants an axis of places
            return super().forward(x[..., None])[..., 0]
        return super().forward(x.movedim(-1, 1)).movedim(1, -1)


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


class PositionalEncoding(nn.Module):
    """x plus sines and cosines of each time step."""

    def forward(self, x: Any) -> Any:
        steps, size = x.shape[1:]
        rates = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles = torch.arange(steps)[:, None] * rates
        table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :size]
        return x + table.to(x)


class LearnedPositionalEmbedding(nn.Embedding):
    """x plus one row for each time step."""

    def forward(self, x: Any) -> Any:
        return x + self.weight[: x.shape[1]]
