"""Attention of all kinds, to a sequence itself or to a memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.exports.affine import product
from nnlite.interop.onnx.exports.sequences import sines, steps_of
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.package import onnx
from nnlite.interop.onnx.registry import register

LATE = np.float32(-np.inf)


@register(
    nn.MultiHeadAttention,
    nn.RotaryAttention,
    nn.ALiBiAttention,
    nn.SlidingWindowAttention,
    nn.GroupedQueryAttention,
)
def attention(layer: nn.MultiHeadAttention, graph: Graph, x: Any) -> Value:
    """softmax(Q Kᵀ/√d + B) V in each head."""
    given = [graph.last(each) for each in ((x,) if isinstance(x, Value) else x)]
    query, key = given[0], given[min(1, len(given) - 1)]
    q, k, v = _projected(layer, graph, given)
    d = layer.d_model // layer.num_heads
    q, k, v = (graph.node("Reshape", a, np.array([0, 0, -1, d])) for a in (q, k, v))
    q = graph.node("Mul", q, 1 / math.sqrt(d))
    if isinstance(layer, nn.RotaryAttention):
        q, k = _turned(graph, q, query, d), _turned(graph, k, key, d)
    k, v = (_all_keys(layer, graph, a, which) for a, which in ((k, "k"), (v, "v")))
    q, k, v = (
        graph.node("Transpose", a, perm=perm)
        for a, perm in zip((q, k, v), [(0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)], strict=True)
    )  # (N, heads, T, d), (N, heads, d, S), (N, heads, S, d)
    scores = graph.node("MatMul", q, k)  # (N, heads, T, S)
    for added in _added(layer, graph, query, key):
        scores = graph.node("Add", scores, added)
    p = graph.node("Softmax", scores, axis=-1)
    if isinstance(layer, nn.SlidingWindowAttention) and len(given) > 1:
        # a query whose window lies beyond the memory sees nothing: 0 in the place of 0/0
        p = graph.node("Where", graph.node("IsNaN", p), np.float32(0), p)
    o = graph.node("Transpose", graph.node("MatMul", p, v), perm=(0, 2, 1, 3))
    o = graph.node("Reshape", o, np.array([0, 0, -1]))
    return graph.layer(layer.out, query._replace(name=o, shape=query.shape), "out")


def _projected(layer: Any, graph: Graph, given: list[Value]) -> list[Any]:
    """Q, K and V, (N, T, D) and twice (N, S, …)."""
    if len(given) == 1:
        sizes = np.array(layer.qkv.widths)
        bias = None if layer.bias is None else layer.bias.data
        qkv = product(graph, given[0], layer.qkv.weight.data, bias)
        return list(graph.node("Split", qkv, sizes, axis=-1, outputs=3))
    three = given[0], given[1], given[-1]
    if isinstance(layer.qkv, nn.Parallel):
        return list(graph.layer(layer.qkv, three, "qkv"))
    cuts = np.cumsum(layer.qkv.widths)[:-1]
    weights = np.split(layer.qkv.weight.data, cuts, axis=1)
    biases = [None] * 3 if layer.bias is None else np.split(layer.bias.data, cuts)
    return [product(graph, *each) for each in zip(three, weights, biases, strict=True)]


def _turned(graph: Graph, a: str, steps: Value, d: int) -> str:
    """R_t a_t for a (N, T, heads, d): features j and j + ⌊d/2⌋ turned by t ωⱼ."""
    half = d // 2
    rates = 10_000.0 ** (-2 * np.arange(half) / d)
    if steps.shape[1] is None:
        t = graph.node("Unsqueeze", steps_of(graph, steps), np.array([1, 2]))
        sin, cos = (sines(graph, t, rates, phase) for phase in (0.0, np.pi / 2))  # (T, 1, d/2)
    else:
        angles = np.arange(steps.shape[1])[:, None, None] * rates
        sin, cos = (graph.constant(f(angles)) for f in (np.sin, np.cos))
    first, second = (graph.sliced(a, 3, begin, begin + half) for begin in (0, half))

    def sum_of(operator: str, b: str, c: str) -> str:
        products = graph.node("Mul", first, b), graph.node("Mul", second, c)
        return str(graph.node(operator, *products))

    parts = [sum_of("Sub", cos, sin), sum_of("Add", sin, cos)]
    if d % 2:
        parts.append(graph.sliced(a, 3, d - 1, d))
    return str(graph.node("Concat", *parts, axis=3))


def _all_keys(layer: Any, graph: Graph, a: str, which: str) -> str:
    """Keys or values (N, S, heads, d), one for each head, with those that every step sees."""
    heads, d = layer.num_heads, layer.d_model // layer.num_heads
    if isinstance(layer, nn.GroupedQueryAttention):  # (N, S, kv, 1, d) → (N, S, kv, times, d)
        times = np.array([1, 1, 1, heads // layer.num_kv_heads, 1])
        a = graph.node("Expand", graph.node("Unsqueeze", a, np.array([3])), times)
        a = graph.node("Reshape", a, np.array([0, 0, heads, d]))
    more = [np.zeros(heads * d)] if layer.add_zero_attn else []
    if layer.add_bias_kv:
        more.insert(0, getattr(layer, f"bias_{which}").data)
    if not more:
        return a
    count = graph.node("Shape", a, start=0, end=1)  # N
    size = graph.node("Concat", count, np.array([len(more), heads, d]), axis=0)
    rows = np.stack(more).reshape(1, len(more), heads, d)
    return str(graph.node("Concat", graph.node("Expand", rows, size), a, axis=1))


def _added(layer: Any, graph: Graph, query: Value, key: Value) -> list[Any]:
    """What the places add to the scores: each (T, S), or (heads, T, S)."""
    by_place = isinstance(layer, nn.ALiBiAttention | nn.SlidingWindowAttention)
    if not (layer.causal or by_place):
        return []
    queries, keys = query.shape[1], key.shape[1]
    if queries is not None and keys is not None:
        scores = layer.by_place(0, queries, keys, np.dtype("float32"))
        scores = np.zeros((queries, keys), np.float32) if scores is None else scores
        if layer.causal:
            scores = scores + np.triu(np.full((queries, keys), LATE), 1)
        sides = [(0, 0)] * (scores.ndim - 1)
        return [np.pad(scores, [*sides, (layer._first, 0)])]
    t = graph.node("Unsqueeze", steps_of(graph, query), np.array([1]))  # (T, 1)
    ahead = graph.node("Sub", steps_of(graph, key), t)  # s − t, (T, S)
    far = graph.node("Abs", ahead)
    added = []
    if layer.causal:
        late = graph.node("Greater", ahead, np.array(0))
        added.append(graph.node("Where", late, LATE, np.float32(0)))
    if isinstance(layer, nn.SlidingWindowAttention):
        near = graph.node("Less", far, np.array(layer.window))
        added.append(graph.node("Where", near, np.float32(0), LATE))
    elif by_place:
        added.append(graph.node("Cast", far, to=onnx().TensorProto.FLOAT))
    if layer._first:  # the keys that every step sees come first
        first = np.array([0, layer._first, 0, 0])
        added = [graph.node("Pad", each, first) for each in added]
    if isinstance(layer, nn.ALiBiAttention):
        minus_m = layer.by_place(0, 1, 2, np.dtype("float64"))[:, :, 1:]  # at the distance 1
        added[-1] = graph.node("Mul", added[-1], minus_m)
    return added
