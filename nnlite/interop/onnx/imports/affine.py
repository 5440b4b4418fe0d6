"""Products with weights, and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import (
    constant,
    reads,
    set_values,
    tensor_of,
    without,
    without_ones,
)
from nnlite.interop.onnx.tensors import Node, Tensor


def linear(node: Node, x: Tensor, weight: np.ndarray, bias: np.ndarray | None) -> Tensor:
    """x W + b over the file's last axis."""
    features = max(axis for axis in x.axes if axis is not None)
    if x.axes[-1] != features:
        x = x.plain(node)
    if weight.ndim != 2:
        raise node.refuse(f"its weight has shape {weight.shape}; a Linear's has two axes")
    inputs, outputs = weight.shape
    x.expect(inputs, node)
    if x.rows is not None:
        weight = weight[x.rows.ravel()]
    layer = nn.Linear(inputs, outputs, bias=bias is not None)
    set_values(layer.weight, weight)
    if bias is not None:
        bias = bias.reshape(-1)
        set_values(layer.bias, np.repeat(bias, outputs) if bias.size == 1 else bias)
    return x.then(layer, node, shape=(*x.shape[:-1], outputs), rows=None)


@reads("Gemm")
def gemm(node: Node, x: Any, weight: Any, bias: Any = None) -> Tensor:
    weight = constant(node, weight, "weight")
    if node.get("transA", 0):
        raise node.refuse("transA is not supported")
    weight = (weight.T if node.get("transB", 0) else weight) * np.float32(node.get("alpha", 1.0))
    if bias is not None:
        if np.ndim(constant(node, bias, "bias")) > 1 and len(bias) > 1:
            raise node.refuse("its bias differs from row to row")
        bias = bias * np.float32(node.get("beta", 1.0))
    return linear(node, tensor_of(node, x), weight, bias)


@reads("MatMul")
def matmul(node: Node, x: Any, weight: Any) -> Tensor:
    return linear(node, tensor_of(node, x), constant(node, weight, "second factor"), None)


@reads("Gather")
def gather(node: Node, table: Any, index: Any) -> Tensor:
    if isinstance(index, Tensor):
        table = constant(node, table, "table")
        if table.ndim != 2 or node.get("axis", 0):
            raise node.refuse("only rows of a table (tokens, features) can be looked up")
        layer = nn.Embedding(*table.shape)
        set_values(layer.weight, table)
        index = index.plain(node)
        axes = (*index.axes, len(index.axes))
        return index.then(layer, node, shape=(*index.shape, table.shape[1]), axes=axes)
    x, axis = table.in_rows(node), node.axis(node.get("axis", 0), len(table.axes))
    if x.axes[axis] is None and np.ndim(index) == 0:  # the only one: a torch LSTM's h[-1]
        return without_ones(x, {axis})
    last = np.size(index) == 1 and int(np.ravel(index)[0]) in (-1, x.shape[axis] - 1)
    if x.axes[axis] != 1 or not last or np.ndim(index) or len(x.axes) < 3:
        raise node.refuse("only the last step of a sequence can be taken out")
    return without(x.then(nn.LastStep(), node), {axis})
