"""Convolutions and their transposes."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register


@register(nn.Conv1d, nn.Conv2d)
def conv(layer: Any, graph: Graph, x: Value) -> Value:
    weight = np.moveaxis(layer.weight.data, (-1, -2), (0, 1))  # (out, in/groups, k…)
    bias = None if layer.bias is None else layer.bias.data
    before, after = _padding(layer)
    options = _geometry(layer) | {"pads": [*before, *after]}
    x = graph.first(x)
    return x._replace(name=graph.node("Conv", x, weight, bias, **options))


@register(nn.ConvTranspose1d, nn.ConvTranspose2d)
def conv_transpose(layer: Any, graph: Graph, x: Value) -> Value:
    axes = layer.axes
    weight = np.moveaxis(layer.weight.data, (-2, -1), (0, 1))  # (in, out/groups, k…)
    bias = None if layer.bias is None else layer.bias.data
    x, options = graph.first(x), _geometry(layer)
    before, after = _padding(layer)
    extra = list(layer._output_padding[-axes:])
    beyond = [0] * axes
    if any(e >= s for e, s in zip(extra, options["strides"], strict=True)):  # runtimes refuse it
        ends = [a - e for a, e in zip(after, extra, strict=True)]  # less is cut off instead
        after, beyond = [max(end, 0) for end in ends], [max(-end, 0) for end in ends]
        extra = [0] * axes
    options |= {"pads": [*before, *after], "output_padding": extra}
    if not any(beyond):
        return x._replace(name=graph.node("ConvTranspose", x, weight, bias, **options))
    y = x._replace(name=graph.node("ConvTranspose", x, weight, **options))
    y = graph.map("Pad", y, np.array([*[0] * (axes + 4), *beyond]))
    return y if bias is None else graph.map("Add", y, graph.per_feature(bias, y))


def _padding(layer: Any) -> tuple[list[int], list[int]]:
    """(before, after) along each axis."""
    before, after = zip(*layer._geometry.padding[-layer.axes :], strict=True)
    return list(before), list(after)


def _geometry(layer: Any) -> dict[str, Any]:
    """What both kinds of convolution have besides padding."""
    geometry, axes = layer._geometry, layer.axes
    return {
        "kernel_shape": geometry.kernel[-axes:],
        "strides": geometry.stride[-axes:],
        "dilations": geometry.dilation[-axes:],
        "group": geometry.groups,
    }
