"""Normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.exports.affine import scaled_and_shifted
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register


def _scale_and_shift(layer: Any, shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """γ and β, which are 1 and 0 where the layer has none."""
    scale = np.ones(shape) if layer.weight is None else layer.weight.data
    return scale, np.zeros(shape) if layer.bias is None else layer.bias.data


@register(nn.BatchNorm1d, nn.BatchNorm2d)
def batch_norm(layer: Any, graph: Graph, x: Value) -> Value:
    if layer.own_statistics():
        return _standardized(layer, graph, x, *range(x.ndim - 1))
    return _by_running_statistics(layer, graph, x)


@register(nn.InstanceNorm1d, nn.InstanceNorm2d)
def instance_norm(layer: Any, graph: Graph, x: Value) -> Value:
    if not layer.own_statistics():
        return _by_running_statistics(layer, graph, x)
    arrays, eps = _scale_and_shift(layer, layer.num_features), float(layer.eps)
    return graph.map("InstanceNormalization", graph.first(x), *arrays, epsilon=eps)


def _by_running_statistics(layer: Any, graph: Graph, x: Value) -> Value:
    x = x if x.ndim == 2 else graph.first(x)
    mean, var = layer.running_mean.data, layer.running_var.data
    arrays = [*_scale_and_shift(layer, layer.num_features), mean, var]
    if x.rows is not None:
        arrays = [array[x.rows] for array in arrays]
    return graph.map("BatchNormalization", x, *arrays, epsilon=float(layer.eps))


def _standardized(layer: Any, graph: Graph, x: Value, *axes: int) -> Value:
    """γ ⊙ (x − μ)/√(σ² + ε) + β, means over these axes of the layer's."""
    lie = [x.axis(axis) for axis in axes]
    c = graph.map("Sub", x, graph.node("ReduceMean", x, axes=lie, keepdims=1))
    return _over_root_of_mean_square(layer, graph, c, lie, float(layer.eps))


def _over_root_of_mean_square(
    layer: Any, graph: Graph, c: Value, lie: list[int], eps: float
) -> Value:
    """γ ⊙ c/√(mean c² + ε) + β, the mean over these axes of the file's."""
    mean = graph.node("ReduceMean", graph.node("Mul", c, c), axes=lie, keepdims=1)
    root = graph.node("Sqrt", graph.node("Add", mean, eps))
    return scaled_and_shifted(layer, graph, graph.map("Div", c, root))


@register(nn.GroupNorm)
def group_norm(layer: nn.GroupNorm, graph: Graph, x: Value) -> Value:
    """Each group as a channel of its own, normalized over all that is in it."""
    x = graph.first(x)
    groups = graph.node("Reshape", x, np.array([0, layer.num_groups, -1]))
    plain = np.ones(layer.num_groups), np.zeros(layer.num_groups)
    eps = float(layer.eps)
    x_hat = graph.node("InstanceNormalization", groups, *plain, epsilon=eps)
    y = x._replace(name=graph.node("Reshape", x_hat, graph.node("Shape", x)))
    return scaled_and_shifted(layer, graph, y)


@register(nn.LayerNorm)
def layer_norm(layer: nn.LayerNorm, graph: Graph, x: Value) -> Value:
    axes = len(layer._shape)
    x = graph.features(x) if axes == 1 else graph.last(x)
    arrays, eps = _scale_and_shift(layer, layer._shape), float(layer.eps or 0)
    return graph.map("LayerNormalization", x, *arrays, axis=-axes, epsilon=eps)


@register(nn.RMSNorm)
def rms_norm(layer: nn.RMSNorm, graph: Graph, x: Value) -> Value:
    axes = len(layer._shape)
    x = x if axes == 1 else graph.last(x)
    eps = float(np.finfo(np.float32).eps) if layer.eps is None else float(layer.eps)
    lie = [x.axis(-1 - axis) for axis in range(axes)]
    return _over_root_of_mean_square(layer, graph, x, lie, eps)


@register(nn.LocalResponseNorm)
def local_response_norm(layer: nn.LocalResponseNorm, graph: Graph, x: Value) -> Value:
    """One node for images and odd sizes; the sums over neighbours are a product otherwise."""
    share, beta, k = float(layer.alpha) / layer.size, float(layer.beta), float(layer.k)
    if x.ndim == 4 and layer.size % 2:
        options = {"alpha": float(layer.alpha), "beta": beta, "bias": k, "size": layer.size}
        return graph.map("LRN", graph.first(x), **options)
    x = graph.last(x)
    if x.shape[-1] is None:
        raise graph.refuse(layer, "the number of channels must be known; give it in input_shape")
    j, c = np.ogrid[: x.shape[-1], : x.shape[-1]]
    near = (c - layer.size // 2 <= j) & (j <= c + (layer.size - 1) // 2)  # j is around c
    d = graph.node("Add", graph.node("MatMul", graph.node("Mul", x, x), share * near), k)
    return graph.map("Div", x, graph.node("Pow", d, beta))
