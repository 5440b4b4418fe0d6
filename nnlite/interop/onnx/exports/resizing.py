"""Sequences and images of another size."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register

KNOWN = "the sizes must be known; give them in input_shape"


@register(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
def adaptive_avg_pool(layer: Any, graph: Graph, x: Value) -> Value:
    """Equal windows where they are; sums by a product otherwise."""
    x = graph.first(x)
    return by_equal_windows(layer, graph, x, "Average") or _mapped(layer, graph, x)


def by_equal_windows(layer: Any, graph: Graph, x: Value, kind: str) -> Value | None:
    """One operator where the windows are all alike and do not overlap; None where they do."""
    if set(layer._output) == {1}:
        return x._replace(name=graph.node(f"Global{kind}Pool", x))
    pairs = list(zip(known_sizes(layer, graph, x), layer._output, strict=True))
    if any(size % count for size, count in pairs):
        return None
    kernel = [size // count for size, count in pairs]
    return x._replace(name=graph.node(f"{kind}Pool", x, kernel_shape=kernel, strides=kernel))


def known_sizes(layer: Any, graph: Graph, x: Value) -> list[int]:
    """The sizes of the spatial axes."""
    sizes = [size for size in x.shape[1:-1] if size is not None]
    if len(sizes) < x.ndim - 2:
        raise graph.refuse(layer, KNOWN)
    return sizes


def _mapped(layer: Any, graph: Graph, x: Value) -> Value:
    """X Aᵀ, or A_H X A_Wᵀ, for each channel of x (N, C, …)."""
    *rows, columns = (layer.axis_map(i, n) for i, n in enumerate(known_sizes(layer, graph, x)))
    y = graph.node("MatMul", x, columns.T)
    return x._replace(name=graph.node("MatMul", rows[0], y) if rows else y)


@register(nn.Upsample1d, nn.Upsample2d)
def upsample(layer: Any, graph: Graph, x: Value) -> Value:
    x = graph.first(x)
    if not layer._repeats and _apart(layer, x):
        return _mapped(layer, graph, x)
    options: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel", "mode": "linear"}
    if layer._repeats:
        options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        options["mode"] = "nearest"
    elif layer.align_corners:
        options["coordinate_transformation_mode"] = "align_corners"
    if layer.mode == "bicubic":
        options |= {"mode": "cubic", "cubic_coeff_a": -0.75}
    name, one = x.name, [1] * (layer.spatial == 1)
    if one:  # as an image of height 1: not every runtime interpolates sequences
        name = graph.node("Unsqueeze", x, np.array([2]))
    if layer._factors is not None:
        scales = np.array([1, 1, *one, *layer._factors], np.float32)
        name = graph.node("Resize", name, None, scales, **options)
    else:
        kept = graph.node("Shape", x, start=0, end=2)
        sizes = graph.node("Concat", kept, np.array([*one, *layer._sizes]), axis=0)
        name = graph.node("Resize", name, None, None, sizes, **options)
    return x._replace(name=graph.node("Squeeze", name, np.array([2])) if one else name)


def _apart(layer: Any, x: Value) -> bool:
    """Whether runtimes compute something else, or nothing: products do it then."""
    if layer.mode == "nearest":  # a place in float32 may fall on the other side of a whole one
        return True
    factors = layer._factors
    if factors is None:
        pairs = zip(layer._sizes, x.shape[1:-1], strict=True)
        factors = [size / (given or size) for size, given in pairs]
    elif any(np.float32(factor) != factor for factor in factors):  # ⌊s L⌋ may differ
        return True
    return layer.mode == "bicubic" and min(factors) < 1
