"""Pooling: windows, whole axes, and the way back from maxima."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.exports.resizing import KNOWN, by_equal_windows, known_sizes
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register
from nnlite.layers.pooling.whole import adaptive_windows
from nnlite.layers.pooling.windows import Pool


def _windows(layer: Pool, graph: Graph, x: Value) -> tuple[dict[str, Any], Any, Any]:
    """(attributes, padding before, padding after and what the last windows reach beyond it).

    Runtimes differ in what they make of `ceil_mode`; how many windows there are is known, so the
    file has padding at the end that makes them as many in each.
    """
    along = layer._geometry
    before, after = [g.before for g in along], [g.after for g in along]
    beyond = [0] * layer.spatial
    if layer.ceil_mode:
        for axis, (size, g) in enumerate(zip(known_sizes(layer, graph, x), along, strict=True)):
            end = (layer._count(axis, size) - 1) * g.stride - g.before + g.extent
            beyond[axis] = max(0, end - size - g.after)
    options = {"kernel_shape": [g.kernel for g in along], "strides": [g.stride for g in along]}
    return options, (before, after), beyond


def _further(after: list[int], beyond: list[int]) -> list[int]:
    return [sum(both) for both in zip(after, beyond, strict=True)]


@register(nn.MaxPool1d, nn.MaxPool2d)
def max_pool(layer: Any, graph: Graph, x: Value) -> Any:
    x = graph.first(x)
    options, (before, after), beyond = _windows(layer, graph, x)
    after = _further(after, beyond)
    options["dilations"] = [g.dilation for g in layer._geometry]
    wider = any(
        max(b, a) >= g.kernel for b, a, g in zip(before, after, layer._geometry, strict=True)
    )
    if wider:  # which runtimes refuse
        if layer.return_indices:
            raise graph.refuse(
                layer, "with padding as large as the kernel, build it with return_indices=False"
            )
        lowest = float(np.finfo(np.float32).min)
        x = _around(graph, x, before, after, lowest)
    else:
        options["pads"] = [*before, *after]
    if not layer.return_indices:
        return x._replace(name=graph.node("MaxPool", x, **options))
    y, places = graph.node("MaxPool", x, outputs=2, **options)
    # ONNX counts places through the whole batch, nnlite within each channel of each sample
    places = graph.node("Mod", places, _number_of_places(graph, x))
    return x._replace(name=y), x._replace(name=places)


def _number_of_places(graph: Graph, x: Value) -> Any:
    """L, or H·W, of x (N, C, …)."""
    sizes = [size for size in x.shape[1:-1] if size is not None]
    if len(sizes) == x.ndim - 2:
        return np.array(math.prod(sizes))
    return graph.node("ReduceProd", graph.node("Shape", x, start=2), keepdims=0)


@register(nn.MaxUnpool1d, nn.MaxUnpool2d)
def max_unpool(layer: Any, graph: Graph, x: Any) -> Value:
    """Zeros (N, C, L′) or (N, C, H′·W′), into which the values are put."""
    values, indices = (graph.first(each) for each in x)
    if None in values.shape[1:-1] and layer._output is None:
        raise graph.refuse(layer, f"{KNOWN}, or output_size")
    sizes = layer.sizes(values.shape[1:-1])
    rows = np.array([0, 0, -1])
    kept = graph.node("Shape", values, start=0, end=2)  # N, C
    size = graph.node("Concat", kept, np.array([math.prod(sizes)]), axis=0)
    y = graph.node("Expand", np.float32(0), size)
    places, given = (graph.node("Reshape", each, rows) for each in (indices, values))
    y = graph.node("ScatterElements", y, places, given, axis=2)
    return values._replace(name=graph.node("Reshape", y, np.array([0, 0, *sizes])))


@register(nn.AvgPool1d, nn.AvgPool2d)
def avg_pool(layer: Any, graph: Graph, x: Value) -> Value:
    x = graph.first(x)
    options, (before, after), beyond = _windows(layer, graph, x)
    if layer.divisor_override is not None:  # the sum: as a mean in which all that is outside counts
        x = _around(graph, x, before, _further(after, beyond))
        y = x._replace(name=graph.node("AveragePool", x, **options))
        kernel = math.prod(g.kernel for g in layer._geometry)
        return graph.map("Mul", y, kernel / layer.divisor_override)
    counted = layer.count_include_pad
    if counted and any(beyond) and any(before + after):  # padding counts, what is beyond does not
        x = _around(graph, x, before, after)
        before = after = [0] * layer.spatial
    options["pads"] = [*before, *_further(after, beyond)]
    include = int(counted and not any(beyond))
    return x._replace(name=graph.node("AveragePool", x, count_include_pad=include, **options))


def _around(
    graph: Graph, x: Value, before: list[int], after: list[int], value: float = 0.0
) -> Value:
    """x (N, C, …) with this value at its spatial ends."""
    if not any(before + after):
        return x
    sides = np.array([0, 0, *before, 0, 0, *after])
    return x._replace(name=graph.node("Pad", x, sides, value))


@register(nn.LPPool1d, nn.LPPool2d)
def lp_pool(layer: Any, graph: Graph, x: Value) -> Value:
    """(K mean |x|ᵖ)^(1/p), the mean over those of a window's K places that lie in x."""
    x, p = graph.first(x), float(layer.norm_type)
    options, (before, after), beyond = _windows(layer, graph, x)
    options["pads"] = [*before, *_further(after, beyond)]
    powers = graph.node("Pow", graph.node("Abs", x), p)
    mean = graph.node("AveragePool", powers, **options)
    kernel = math.prod(g.kernel for g in layer._geometry)
    total = graph.node("Mul", mean, float(kernel))
    return x._replace(name=graph.node("Pow", total, 1 / p))


@register(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
def adaptive_max_pool(layer: Any, graph: Graph, x: Value) -> Value:
    """Equal windows where they are; the maxima of one window after the other otherwise."""
    if layer.return_indices:
        raise graph.refuse(
            layer, "its indices cannot be written; build it with return_indices=False"
        )
    x = graph.first(x)
    y = by_equal_windows(layer, graph, x, "Max")
    if y is not None:
        return y
    for axis, size in enumerate(known_sizes(layer, graph, x), start=2):
        maxima = []
        for begin, end in zip(*adaptive_windows(size, layer._output[axis - 2]), strict=True):
            window = graph.sliced(x, axis, int(begin), int(end))
            maxima.append(graph.node("ReduceMax", window, axes=[axis], keepdims=1))
        x = x._replace(name=graph.node("Concat", *maxima, axis=axis))
    return x


@register(nn.GlobalAvgPool1d, nn.GlobalAvgPool2d)
def global_avg_pool(layer: Any, graph: Graph, x: Value) -> Value:
    return _reduced("ReduceMean", graph, x, *range(1, x.ndim - 1))


@register(nn.GlobalMaxPool1d, nn.GlobalMaxPool2d)
def global_max_pool(layer: Any, graph: Graph, x: Value) -> Value:
    return _reduced("ReduceMax", graph, x, *range(1, x.ndim - 1))


@register(nn.MeanOverTime)
def mean_over_time(layer: nn.MeanOverTime, graph: Graph, x: Value) -> Value:
    return _reduced("ReduceMean", graph, x, 1)


def _reduced(operator: str, graph: Graph, x: Value, *axes: int) -> Value:
    """The values reduced over these axes of the layer's."""
    lie = sorted(x.axis(axis) for axis in axes)
    return x.without(graph.node(operator, x, axes=lie, keepdims=0), *axes)


@register(nn.LastStep)
def last_step(layer: nn.LastStep, graph: Graph, x: Value) -> Value:
    return x.without(graph.node("Gather", x, np.array(-1), axis=x.axis(1)), 1)
