"""Gradients that are declared not to be slopes: straight-through, reversed, stopped."""

from __future__ import annotations

from collections.abc import Mapping

from nnlite.layers.base import Layer


def surrogates(layer: Layer) -> dict[str, str]:
    """Why a gradient of this layer is not the slope, by "input" or the parameter's name.

    Raises:
        TypeError: when `surrogate` gives no reason.
    """
    declared = layer.surrogate
    reasons = dict(declared) if isinstance(declared, Mapping) else {"input": declared}
    for reason in reasons.values():
        if not isinstance(reason, str) or not reason:
            raise TypeError(
                f"{layer.label()}: surrogate must say why the gradient is not the slope, as "
                f'"straight-through" or {{"weight": "straight-through"}}, got {declared!r}'
            )
    return reasons
