"""The core of attention, a few steps of one head at a time, with all products inside the kernel."""

from __future__ import annotations

import numpy as np

from nnlite.ops import attention as definitions
from nnlite.ops.compiled import blas
from nnlite.ops.compiled.kernel import FLOAT, helper, kernel, plain
from nnlite.ops.compiled.softmax import LANES, softmax_of_rows
from nnlite.ops.threads import over_parts

STEPS = 64  # queries at a time: their scores stay in the cache
NONE = np.empty((0, 0, 0, 0), np.float32)
EVERYWHERE = np.empty((0, 0), np.bool_)


def attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, causal: bool,
    valid: np.ndarray | None, mask: np.ndarray | None, bias: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    if bias is not None or q.shape[2] % heads or not are_thirds(q, k, v):
        return plain(definitions.attend)(q, k, v, heads, causal, valid, mask, bias)
    p = np.empty((len(q), heads, q.shape[1], k.shape[1]), q.dtype)
    o = np.empty(q.shape, q.dtype)
    seen = EVERYWHERE if valid is None else valid
    m = NONE if mask is None else mask
    over_parts(
        lambda part: attend_in_heads(part.start, part.stop, q, k, v, causal, seen, m, o, p),
        len(q) * heads, p.size, products=True,
    )  # fmt: skip
    return o, p


def attend_backward(
    d_o: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray,
    o: np.ndarray, p: np.ndarray, mask: np.ndarray | None, scale: float,
) -> np.ndarray:  # fmt: skip
    if not (are_thirds(q, k, v) and d_o.dtype == FLOAT and d_o.flags.c_contiguous):
        return plain(definitions.attend_backward)(d_o, q, k, v, o, p, mask, scale)
    d_qkv = np.empty((*q.shape[:-1], 3 * q.shape[-1]), q.dtype)
    m = NONE if mask is None else mask
    over_parts(
        lambda part: attend_in_heads_backward(
            part.start, part.stop, d_o, q, k, v, o, p, m, scale, d_qkv
        ),
        q.shape[0] * p.shape[1], p.size, products=True,
    )  # fmt: skip
    return d_qkv


def are_thirds(*arrays: np.ndarray) -> bool:
    """Whether they are thirds of a layer's output in float32: rows in one piece, gaps between."""
    return blas.available and all(
        a.dtype == FLOAT and a.strides[2] == 4 and not a.flags.c_contiguous for a in arrays
    )


@kernel
def attend_in_heads(start, stop, q, k, v, causal, valid, mask, o, p):
    """Heads are counted on through all samples."""
    heads, queries, keys = p.shape[1:]
    size = q.shape[2] // heads
    hidden = np.float32(-np.inf)
    masked = np.empty((min(STEPS, queries) if mask.size else 0, keys), np.float32)
    shifts, lanes = np.empty(STEPS, np.float32), np.empty(LANES, np.float32)
    for i in range(start, stop):
        n, h = i // heads, i % heads
        own = slice(h * size, (h + 1) * size)
        for t in range(0, queries, STEPS):
            block = slice(t, min(t + STEPS, queries))
            s = p[n, h, block]  # the scores, turned into P in place
            blas.product_with_transposed(q[n, block, own], k[n, :, own], s, 0.0)
            for j in range(len(s) if causal else 0):
                for later in range(keys - queries + t + j + 1, keys):
                    s[j, later] += hidden
            for j in range(len(s) if valid.size else 0):
                for step in range(keys):
                    s[j, step] += np.float32(0) if valid[n, step] else hidden
            softmax_of_rows(s, shifts, lanes)
            if mask.size:
                m, a = mask[n, h, block], masked[: len(s)]
                for j in range(len(s)):
                    for step in range(keys):
                        a[j, step] = s[j, step] * m[j, step]
                blas.product(a, v[n, :, own], o[n, block, own], 0.0)
            else:
                blas.product(s, v[n, :, own], o[n, block, own], 0.0)


@kernel
def attend_in_heads_backward(start, stop, d_o, q, k, v, o, p, mask, scale, d_qkv):
    heads, queries, keys = p.shape[1:]
    features = q.shape[2]
    size = features // heads
    scale = np.float32(scale)
    scores = np.empty((min(STEPS, queries), keys), np.float32)
    masked = np.empty((min(STEPS, queries) if mask.size else 0, keys), np.float32)
    for i in range(start, stop):
        n, h = i // heads, i % heads
        own = slice(h * size, (h + 1) * size)
        d_q = d_qkv[n, :, own]
        d_k = d_qkv[n, :, features + h * size : features + (h + 1) * size]
        d_v = d_qkv[n, :, 2 * features + h * size : 2 * features + (h + 1) * size]
        for t in range(0, queries, STEPS):
            block = slice(t, min(t + STEPS, queries))
            keep = 1.0 if t else 0.0
            g, means, weights = d_o[n, block, own], o[n, block, own], p[n, h, block]
            d_s = scores[: len(weights)]
            blas.product_with_transposed(g, v[n, :, own], d_s, 0.0)  # dL/dA
            if mask.size:
                m, a = mask[n, h, block], masked[: len(weights)]
                for j in range(len(weights)):
                    for step in range(keys):
                        a[j, step] = weights[j, step] * m[j, step]
                        d_s[j, step] *= m[j, step]  # dL/dP
                blas.transposed_product(a, g, d_v, keep)
            else:
                blas.transposed_product(weights, g, d_v, keep)
            for j in range(len(weights)):
                r = _dot(g[j], means[j])
                for step in range(keys):
                    d_s[j, step] = (d_s[j, step] - r) * weights[j, step]
            blas.product(d_s, k[n, :, own], d_q[block], 0.0)
            for j in range(block.start, block.stop):
                for c in range(size):
                    d_q[j, c] *= scale
            blas.transposed_product(d_s, q[n, block, own], d_k, keep)


@helper
def _dot(a, b):
    total = np.float32(0)
    for c in range(a.size):
        total += a[c] * b[c]
    return total
