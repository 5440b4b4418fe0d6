"""Layers that are made of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register


@register(nn.Sequential, nn.TransformerLayer)
def sequential(layer: nn.Sequential, graph: Graph, x: Any) -> Any:
    for place, child in layer.children():
        x = graph.layer(child, x, place)
    return x


@register(nn.Add, nn.Residual)
def add(layer: nn.Add, graph: Graph, x: Any) -> Value:
    return sum_of(graph, [graph.layer(child, x, place) for place, child in layer.children()])


def sum_of(graph: Graph, values: list[Value]) -> Value:
    """The values added up."""
    y, *others = _alike(graph, values)
    for other in others:
        y = graph.map("Add", y, other)
    return y


def _alike(graph: Graph, values: list[Value]) -> list[Value]:
    """The values with their axes in one order: the first's, unless another one has moved axes."""
    rows = values[0].rows
    if rows is not None and all(
        v.rows is not None and np.array_equal(rows, v.rows) for v in values[1:]
    ):
        return values
    plain = tuple(range(values[0].ndim))
    order = next((v.order for v in values if v.order != plain), plain)
    return [graph.arranged(value, order) for value in values]


@register(nn.Concat)
def concat(layer: nn.Concat, graph: Graph, x: Any) -> Value:
    return joined(graph, [graph.layer(child, x, place) for place, child in layer.children()])


@register(nn.Join)
def join(layer: nn.Join, graph: Graph, x: Any) -> Value:
    return joined(graph, list(x))


def joined(graph: Graph, values: list[Value]) -> Value:
    """The values side by side along the features."""
    values = _alike(graph, [graph.last(v) if v.rows is not None else v for v in values])
    sizes = [value.shape[-1] or 0 for value in values]
    name = graph.node("Concat", *values, axis=values[0].axis(-1))
    return values[0]._replace(name=name, shape=(*values[0].shape[:-1], sum(sizes)))


@register(nn.Parallel)
def parallel(layer: nn.Parallel, graph: Graph, x: Any) -> Any:
    pairs = zip(layer.children(), x, strict=True)
    return tuple(graph.layer(child, each, place) for (place, child), each in pairs)


@register(nn.WeightNorm, nn.SpectralNorm)
def computed_weight(layer: Any, graph: Graph, x: Any) -> Any:
    """The layer inside, with the weight that the last forward has computed for it."""
    return graph.layer(layer.layer, x, "layer")


@register(nn.TransformerDecoderLayer)
def decoder_layer(layer: nn.TransformerDecoderLayer, graph: Graph, x: Any) -> Value:
    """w = z + c(z, m) between attention to x itself and the two layers after it."""
    x, memory = x
    z = graph.layer(layer.attention, x, "attention")
    w = sum_of(graph, [z, graph.layer(layer.cross, (z, memory), "cross")])
    return graph.layer(layer.feed_forward, graph.layer(layer.norm, w, "norm"), "feed_forward")


@register(nn.TransformerDecoder)
def decoder(layer: nn.TransformerDecoder, graph: Graph, x: Any) -> Value:
    x, memory = x
    for place, child in layer.children():
        x = graph.layer(child, (x, memory), place)
    return x
