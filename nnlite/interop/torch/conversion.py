"""Which layer becomes which module, and a model all of them; for `to_torch`, which imports this."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from nnlite import layers as ours
from nnlite.core.parameter import Parameter
from nnlite.interop.layouts import channels_in_rows, direct, flattens
from nnlite.interop.torch import modules
from nnlite.interop.torch.layouts import as_one, own_layers
from nnlite.layers.base import floating_dtype
from nnlite.layers.containers.weights import ComputedWeight
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.normalization.channels import TrackingNorm
from nnlite.layers.pooling.windows import AvgPool, MaxPool
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.layers.structure import sub_layers


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
    ours.Affine: (modules.Affine, ("num_features", "bias")),
    ours.ChannelDropout: (modules.ChannelDropout, ("p",)),
    ours.GaussianNoise: (modules.GaussianNoise, ("std",)),
    ours.LocalResponseNorm: (modules.LocalResponseNorm, ("size", "alpha", "beta", "k")),
    ours.PositionalEncoding: (modules.PositionalEncoding, ()),
    ours.Embedding: (nn.Embedding, ("num_embeddings", "embedding_dim", "padding_idx")),
    ours.LearnedPositionalEmbedding: (
        modules.LearnedPositionalEmbedding,
        ("max_length", "d_model"),
    ),
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
        theirs = modules.channels_last(theirs) if isinstance(theirs, str) else theirs
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
    module = modules.channels_last(f"Conv{'Transpose' * transposed}{axes}d")(
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
        return modules.LPPool(layer)
    axes = layer._geometry
    sides = [(axis.before, axis.after) for axis in axes]
    kernel, stride = ([getattr(axis, n) for axis in axes] for n in ("kernel", "stride"))
    even = all(a == b and 2 * a <= axis.kernel for (a, b), axis in zip(sides, axes, strict=True))
    padding = [a for a, _ in sides] if even else 0
    if isinstance(layer, MaxPool):
        dilation = [axis.dilation for axis in axes]
        module = modules.channels_last(f"MaxPool{d}d")(
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
        module = modules.channels_last(f"AvgPool{d}d")(
            kernel, stride, padding, layer.ceil_mode, layer.count_include_pad,
            *([layer.divisor_override] if d == 2 else []),
        )  # fmt: skip
    if not even:
        module.before = tuple(n for side in reversed(sides) for n in side)
    return module


def _upsample(layer: Any) -> nn.Module:
    corners = None if layer.mode == "nearest" else layer.align_corners
    return modules.channels_last("Upsample")(layer.size, layer.scale_factor, layer.mode, corners)


def _channel_norm(layer: Any) -> nn.Module:
    if isinstance(layer, ours.GroupNorm):
        module = modules.channels_last("GroupNorm")(
            layer.num_groups, layer.num_channels, layer.eps, layer.affine
        )
    else:
        module = modules.channels_last(type(layer).__name__)(
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
    kind = next(
        k
        for k in (modules.RNN, modules.LSTM, modules.GRU)
        if isinstance(layer, getattr(ours, k.__name__))
    )
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
    both = {path: _recurrent(each) for path, each in direct(layer)}
    return modules.Bidirectional(both, layer.layer.return_sequences)


def _attention(layer: Any) -> nn.Module:
    if type(layer) is not ours.MultiHeadAttention:
        if isinstance(layer.qkv, ours.Parallel):
            _no("its attention by place has keys and values of d_model features")
        return modules.PlacedAttention(layer)
    module = modules.MultiHeadAttention(
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
    module = (modules.TransformerLayer if encoder else modules.TransformerDecoderLayer)(
        layer.d_model, layer.num_heads, layer.d_ff, layer.dropout, activation,
        batch_first=True, norm_first=layer.norm_first, bias=layer.bias,
    )  # fmt: skip
    module.causal = layer.causal
    return module


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
    return modules.Function(repr(layer), functions[cls])


BUILDERS: list[tuple[Any, Callable[[Any], nn.Module]]] = [
    (Convolution, _convolution),
    (ours.MaxUnpool1d | ours.MaxUnpool2d, modules.MaxUnpool),
    (MaxPool | AvgPool, _pool),
    (ours.Upsample1d | ours.Upsample2d, _upsample),
    (TrackingNorm | ours.GroupNorm, _channel_norm),
    (ours.LayerNorm | ours.RMSNorm, _feature_norm),
    (Recurrent, _recurrent),
    (ours.Bidirectional, _bidirectional),
    (ours.MultiHeadAttention, _attention),
    (ours.TransformerLayer | ours.TransformerDecoderLayer, _block),
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
    inside = {
        path: _module(inner, (*words, place), flat)
        for (path, inner), (place, _) in zip(direct(layer), sub_layers(layer), strict=False)
    }
    if isinstance(layer, ours.Residual):
        inside.setdefault("shortcut", nn.Identity())
    if isinstance(layer, ours.Add | ours.Concat):
        return modules.Branches(inside, joined=isinstance(layer, ours.Concat))
    if isinstance(layer, ComputedWeight):
        return _parametrized(layer, inside["layer"])
    kinds = {ours.Parallel: modules.Parallel, ours.TransformerDecoder: modules.TransformerDecoder}
    kind = next((kinds[cls] for cls in kinds if isinstance(layer, cls)), nn.Sequential)
    return kind(*inside.values())


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
        module = modules.Flatten(id(layer) in flat) if flattens(layer) else _built(layer)
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
                if len(parts) == len(arrays) == 1 and isinstance(parts[0], Parameter):
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
