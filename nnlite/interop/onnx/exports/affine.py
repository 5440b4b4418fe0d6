"""Products with weights, tables, and what leaves numbers as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register
from nnlite.layers.base import Layer


@register(nn.Linear)
def linear(layer: nn.Linear, graph: Graph, x: Value) -> Value:
    bias = None if layer.bias is None else layer.bias.data
    return product(graph, x, layer.weight.data, bias)


def product(graph: Graph, x: Value, weight: np.ndarray, bias: np.ndarray | None) -> Value:
    """x W + b over the features."""
    shape = (*x.shape[:-1], weight.shape[1])
    if x.ndim == 2:
        if x.rows is not None:  # an image that lies channels first
            weight = weight[x.rows]
        return x.with_shape(graph.node("Gemm", x, weight, bias), shape)
    x = graph.features(x)
    y = x._replace(name=graph.node("MatMul", x, weight), shape=shape)
    return y if bias is None else graph.map("Add", y, bias)


@register(nn.Affine)
def affine(layer: nn.Affine, graph: Graph, x: Value) -> Value:
    return scaled_and_shifted(layer, graph, x)


def scaled_and_shifted(layer: Any, graph: Graph, x_hat: Value) -> Value:
    """γ ⊙ x̂ + β, as far as the layer has them."""
    y = x_hat
    for operator, parameter in (("Mul", layer.weight), ("Add", layer.bias)):
        if parameter is not None:
            y = graph.map(operator, y, graph.per_feature(parameter.data, y))
    return y


@register(nn.Embedding)
def embedding(layer: nn.Embedding, graph: Graph, x: Value) -> Value:
    x = graph.last(x)
    name = graph.node("Gather", layer.weight.data, x, axis=0)
    return x.with_shape(name, (*x.shape, layer.embedding_dim))


# -- shapes, and what does nothing outside training ------------------------------------------------


@register(
    nn.Identity, nn.Dropout, nn.ChannelDropout, nn.GaussianNoise, nn.ActivityRegularization
)  # fmt: skip
def identity(layer: Layer, graph: Graph, x: Value) -> Value:
    return x


@register(nn.GaussianSample)
def gaussian_sample(layer: nn.GaussianSample, graph: Graph, x: Value) -> Value:
    """The means, the first half of the features."""
    x = graph.features(x)
    mean, _ = graph.node("Split", x, axis=x.axis(-1), outputs=2)
    return x._replace(name=mean)


@register(nn.Flatten)
def flatten(layer: nn.Flatten, graph: Graph, x: Value) -> Value:
    """What lies channels first stays so: the features' new order is remembered instead."""
    if x.ndim == 2:
        return x
    rows, sizes = None, [size or 0 for size in x.shape[1:]]
    if x.order[0] != 0 or 0 in sizes:
        x = graph.last(x)
    elif x.order != tuple(range(x.ndim)):
        inner = [axis - 1 for axis in x.order[1:]]
        rows = np.arange(math.prod(sizes)).reshape(sizes).transpose(inner).ravel()
    features = None if 0 in sizes else math.prod(sizes)
    y = x.with_shape(graph.node("Flatten", x, axis=1), (x.shape[0], features))
    return y._replace(rows=rows)


@register(nn.Reshape)
def reshape(layer: nn.Reshape, graph: Graph, x: Value) -> Value:
    x = graph.last(x)
    name = graph.node("Reshape", x, np.array([0, *layer.shape]))
    return x.with_shape(name, (x.shape[0], *layer.shape))


@register(nn.Permute)
def permute(layer: nn.Permute, graph: Graph, x: Value) -> Value:
    """Nothing moves in the file: its axes only have other names from here on."""
    axes = (0, *layer.axes)
    order = tuple(axes.index(axis) for axis in x.order)
    return Value(x.name, tuple(x.shape[axis] for axis in axes), order)
