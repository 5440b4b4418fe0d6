"""Activations that are operators of their own."""

from __future__ import annotations

from typing import Any

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import constant, reads, set_values
from nnlite.interop.onnx.tensors import DIRECTION, Node, Tensor


@reads("PRelu")
def prelu(node: Node, x: Tensor, slope: Any) -> Tensor:
    slopes = x.per_feature(constant(node, slope, "slope"))
    if slopes is None:
        raise node.refuse(
            f"its slopes of shape {slope.shape} are not one for each feature of shape {x.shape}"
        )
    layer = nn.PReLU(slopes.size)
    set_values(layer.weight, slopes)
    return x.then(layer, node)


@reads("Gelu")
def gelu(node: Node, x: Tensor) -> Tensor:
    approximate = node.get("approximate", b"none").decode()
    return x.then(nn.GELU() if approximate == "none" else nn.GELU(approximate), node)


@reads("Softmax", "LogSoftmax")
def softmax(node: Node, x: Tensor) -> Tensor:
    x = x.in_rows(node)
    at = node.axis(node.get("axis", -1 if node.opset >= 13 else 1), len(x.axes))
    axis = x.axes[at]
    if node.opset < 13 and any(each is not None for each in x.axes[at + 1 :]):
        raise node.refuse("it mixes several axes, as before opset 13")
    if axis is None or axis == DIRECTION or axis == 0:
        raise node.refuse("its axis is not one of the value's")
    kind = nn.Softmax if node.operator == "Softmax" else nn.LogSoftmax
    last = max(each for each in x.axes if each is not None)
    return x.then(kind() if axis == last else kind(axis), node)


@reads("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    lambd, bias = (float(f"{node.get(*each):.7g}") for each in (("lambd", 0.5), ("bias", 0.0)))
    if bias not in (0, lambd):
        raise node.refuse(f"its bias is {bias}; nnlite's shrinks have 0 or lambd={lambd}")
    return x.then(nn.Softshrink(lambd) if bias else nn.Hardshrink(lambd), node)


@reads("ThresholdedRelu")
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    return x.then(nn.Threshold(float(f"{node.get('alpha', 1.0):.7g}"), 0.0), node)
