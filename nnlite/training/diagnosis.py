"""Where a model's numbers stopped being finite."""

from __future__ import annotations

import copy

import numpy as np

from nnlite.layers.base import Layer
from nnlite.padded import plain


class _Found(Exception):
    """Stops the forward pass at the layer that was looked for."""


def first_non_finite(model: Layer, x: np.ndarray) -> str:
    """Name the first parameter or layer output that is not finite, running `x` on a copy."""
    for path, parameter in model.named_parameters().items():
        if not np.isfinite(parameter.data).all():
            return f"parameter {path} holds values that are not finite"
    probe = copy.deepcopy(model)
    for path, layer in probe.named_layers().items():
        _watch(layer, path)
    try:
        with np.errstate(all="ignore"):
            probe(x)
    except _Found as found:
        return str(found)
    return "all layer outputs are finite, so the loss itself is not: look at the targets"


def _watch(layer: Layer, path: str) -> None:
    """Let the layer's forward stop when it returns something that is not finite."""
    forward = layer.forward

    def watched(x: np.ndarray) -> np.ndarray:
        y = forward(x)
        if not np.isfinite(plain(y)).all():
            where = f"layer {path}, {layer!r}," if path else repr(layer)
            raise _Found(f"the first output that is not finite is that of {where}")
        return y

    layer.forward = watched  # type: ignore[method-assign]
