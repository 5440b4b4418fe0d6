"""Normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import (
    constant,
    eps_of,
    reads,
    set_values,
)
from nnlite.interop.onnx.tensors import OPEN, Node, Tensor


@reads("BatchNormalization")
def batch_norm(node: Node, x: Tensor, *arrays: Any) -> Tensor:
    if node.get("training_mode", 0) or any(node.proto.output[1:]):
        raise node.refuse("it is in training mode; export the model in eval mode")
    scale, shift, mean, var = (constant(node, array, "statistics") for array in arrays)
    if len(x.shape) > 2:
        x = x.first(node)
    x.expect(len(scale), node)
    kind: Any = nn.BatchNorm2d if len(x.shape) == 4 else nn.BatchNorm1d
    eps = node.get("epsilon", 1e-5)
    layer = kind(len(scale), **eps_of(eps))
    for part, values in (
        (layer.weight, scale), (layer.bias, shift),
        (layer.running_mean, mean), (layer.running_var, var),
    ):  # fmt: skip
        set_values(part, values if x.rows is None else values[x.rows.ravel()])
    return x.then(layer, node)


@reads("InstanceNormalization")
def instance_norm(node: Node, x: Tensor, scale: Any, shift: Any) -> Tensor:
    scale, shift = constant(node, scale, "scale"), constant(node, shift, "shift")
    eps = eps_of(node.get("epsilon", 1e-5))
    if len(x.shape) == 3 and x.before is not None and node.consumers == {"Reshape"}:
        return _group_norm(node, x.before, scale, shift, eps)
    x = x.first(node)
    x.expect(len(scale), node)
    kind: Any = nn.InstanceNorm2d if len(x.shape) == 4 else nn.InstanceNorm1d
    layer = kind(len(scale), affine=True, **eps)
    set_values(layer.weight, scale)
    set_values(layer.bias, shift)
    return x.then(layer, node)


def _group_norm(node: Node, x: Tensor, scale: Any, shift: Any, eps: dict[str, Any]) -> Tensor:
    """Groups that a Reshape made channels, which another one makes groups again."""
    if len(x.shape) > 2:
        x = x.first(node)
    if (scale != 1).any() or shift.any() or x.shape[1] == OPEN:
        raise node.refuse("groups with a scale and a shift of their own are not supported")
    return x.then(nn.GroupNorm(len(scale), x.shape[1], affine=False, **eps), node)


@reads("LayerNormalization")
def layer_norm(node: Node, x: Tensor, scale: Any, shift: Any = None) -> Tensor:
    scale, shift = constant(node, scale, "scale"), constant(node, shift, "shift")
    x = x.in_rows(node)
    last = max(axis for axis in x.axes if axis is not None)
    if scale.ndim > 1 or x.axes[-1] != last:
        x = x.plain(node)
    sizes = x.shape[node.axis(node.get("axis", -1), len(x.axes)) :]
    if len(sizes) != scale.ndim or any(
        size not in (OPEN, own) for size, own in zip(sizes, scale.shape, strict=True)
    ):
        raise node.refuse(f"its scale of shape {scale.shape} is not that of what it normalizes")
    layer: Any = nn.LayerNorm(size_or_sizes(scale.shape), **eps_of(node.get("epsilon", 1e-5)))
    set_values(layer.weight, scale)
    set_values(layer.bias, np.zeros_like(scale) if shift is None else shift)
    return x.then(layer, node)


def size_or_sizes(shape: tuple[int, ...]) -> Any:
    """A number where there is one axis."""
    return shape[0] if len(shape) == 1 else shape


@reads("LRN")
def local_response_norm(node: Node, x: Tensor) -> Tensor:
    size = node.get("size")
    if size % 2 == 0:
        raise node.refuse("of an even number of neighbours, nnlite's has one more before")
    usual = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    given = {name: float(f"{node.get(name, value):.7g}") for name, value in usual.items()}
    names = {"alpha": "alpha", "beta": "beta", "bias": "k"}
    options = {names[name]: value for name, value in given.items() if value != usual[name]}
    return x.first(node).then(nn.LocalResponseNorm(size, **options), node)
