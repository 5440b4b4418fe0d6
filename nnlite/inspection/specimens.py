"""One small instance of each public class, and a batch for it, to show its formulas and curves."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from nnlite import layers, losses
from nnlite.core.parameter import Parameter

# The arguments that a class cannot be made without, by their names, whichever class it is.
ARGUMENTS: dict[str, Any] = {
    "d_ff": 8,
    "d_model": 4,
    "embedding_dim": 3,
    "function": np.square,
    "gradient": lambda grad_output, x: 2 * x * grad_output,
    "hidden_size": 4,
    "in_channels": 2,
    "in_features": 3,
    "input_size": 3,
    "kernel_size": 2,
    "lr": 0.1,
    "max_length": 8,
    "norm_type": 2,
    "num_channels": 4,
    "num_embeddings": 5,
    "num_features": 3,
    "num_groups": 2,
    "num_heads": 2,
    "num_kv_heads": 1,
    "out_channels": 3,
    "out_features": 2,
    "output_size": 2,
    "padding": 1,
    "size": 3,
    "std": 0.1,
    "strength": 1.0,
    "threshold": 1.0,
    "value": 0.0,
    "window": 2,
}


def _dense() -> layers.Layer:
    return layers.Linear(3, 3)


# Classes that take other layers, or sizes without names; and those that need more than they must.
WHOLE: dict[str, Callable[[], Any]] = {
    "ActivityRegularization": lambda: layers.ActivityRegularization(l1=0.1, l2=0.1),
    "Add": lambda: layers.Add(_dense(), _dense()),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(3, 4)),
    "Concat": lambda: layers.Concat(_dense(), _dense()),
    "Losses": lambda: losses.Losses(losses.CrossEntropyLoss(), losses.MSELoss()),
    "Parallel": lambda: layers.Parallel(_dense(), _dense()),
    "Permute": lambda: layers.Permute(2, 1),
    "Reshape": lambda: layers.Reshape(2, -1),
    "Residual": lambda: layers.Residual(_dense()),
    "Sequential": lambda: layers.Sequential(_dense(), layers.ReLU()),
    "SpectralNorm": lambda: layers.SpectralNorm(_dense()),
    "TransformerDecoder": lambda: layers.TransformerDecoder(
        *(layers.TransformerDecoderLayer(4, 2, 8) for _ in range(2))
    ),
    "Upsample1d": lambda: layers.Upsample1d(scale_factor=2),
    "Upsample2d": lambda: layers.Upsample2d(scale_factor=2),
    "WeightNorm": lambda: layers.WeightNorm(_dense()),
}


def specimen(cls: type, **options: Any) -> Any:
    """A small instance with these options, and usual ones for what the class asks for."""
    if cls.__name__ in WHOLE:
        return WHOLE[cls.__name__]()
    needed = {
        name: [Parameter(np.zeros((3, 2)))] if name == "parameters" else ARGUMENTS[name]
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    return cls(**{**needed, **options})


# Batches of other shapes than the layer's place in the package and its name tell.
SHAPES: dict[str, tuple[int, ...]] = {
    "BatchNorm1d": (5, 3),
    "ChannelDropout": (2, 4, 3),
    "Flatten": (2, 3, 4),
    "GLU": (2, 4),
    "GaussianSample": (2, 4),
    "LocalResponseNorm": (2, 4),
    "Permute": (2, 3, 4),
    "Reshape": (2, 3, 4),
}
WIDTHS = ("in_features", "num_features", "input_size", "in_channels", "d_model", "num_channels")


def batch_for(layer: Any) -> Any:
    """Two samples or a few more, as a layer takes them."""
    name, rng = type(layer).__name__, np.random.default_rng(0)
    shape = SHAPES.get(name) or _usual_shape(layer)
    x = rng.standard_normal(shape)
    if name == "Embedding":
        return rng.integers(0, layer.num_embeddings, (2, 3))
    if name.startswith("MaxUnpool"):  # values, and where each was
        pool = layers.MaxPool1d if name.endswith("1d") else layers.MaxPool2d
        return pool(2, return_indices=True).forward(x)
    if name in ("Join", "Parallel"):
        return x, rng.standard_normal(shape)
    if name.startswith("TransformerDecoder"):
        return rng.standard_normal((2, 3, shape[-1])), x
    return x


def _usual_shape(layer: Any) -> tuple[int, ...]:
    """(N, C), or with one or two axes between."""
    name = type(layer).__name__
    widths = [width for each in WIDTHS if isinstance(width := getattr(layer, each, None), int)]
    between = 2 if name.endswith("2d") else 1 if name.endswith("1d") else 0
    if type(layer).__module__.startswith("nnlite.layers.sequences"):
        between = 1
    if isinstance(layer, layers.TransformerDecoder):
        return _usual_shape(layer.layers[0])
    return (2, *[4] * between, *(widths[:1] or [3]))
