"""Borders around sequences and images."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register


@register(nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d)
def filled(layer: Any, graph: Graph, x: Value) -> Value:
    value = [float(layer.value)] if layer.value else []
    return x._replace(name=graph.node("Pad", x, _sides(layer, x), *value))


@register(nn.ReflectionPad1d, nn.ReflectionPad2d)
def reflection(layer: Any, graph: Graph, x: Value) -> Value:
    return x._replace(name=graph.node("Pad", x, _sides(layer, x), mode="reflect"))


@register(nn.ReplicationPad1d, nn.ReplicationPad2d)
def replication(layer: Any, graph: Graph, x: Value) -> Value:
    return x._replace(name=graph.node("Pad", x, _sides(layer, x), mode="edge"))


def _sides(layer: Any, x: Value) -> np.ndarray:
    """How much comes before each of the file's axes, then how much after each."""
    both = [(0, 0), *layer._sides, (0, 0)]  # by the layer's axes
    return np.array([both[axis] for axis in x.order]).T.ravel()


@register(nn.CircularPad1d, nn.CircularPad2d)
def circular(layer: Any, graph: Graph, x: Value) -> Value:
    """The end before the beginning, and the beginning after the end, one axis after the other."""
    for axis, (before, after) in enumerate(layer._sides, start=1):
        lies = x.axis(axis)
        parts: list[Any] = [x]
        if before:
            parts.insert(0, graph.sliced(x, lies, -before, None))
        if after:
            parts.append(graph.sliced(x, lies, 0, after))
        if len(parts) > 1:
            x = x._replace(name=graph.node("Concat", *parts, axis=lies))
    return x
