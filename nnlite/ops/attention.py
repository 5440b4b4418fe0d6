"""The core of attention, in each head by itself: weights from queries and keys, means of values.

Queries, keys and values are (N, T, D), cut into heads of d = D/heads features. The samples are
worked on a few at a time, in several threads, so that their (T, T) scores stay in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.ops.engine import twin
from nnlite.ops.softmax import softmax
from nnlite.ops.threads import over_blocks


@twin
def attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, causal: bool,
    valid: np.ndarray | None, mask: np.ndarray | None, bias: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """O and P of O = (P ⊙ M) V, P = softmax(Q Kᵀ + B).

    A query from which B hides all keys has P = 0, and so O = 0.

    Args:
        q: the queries, (N, T, D), scaled by 1/√d already.
        k, v: keys and values, (N, K, D).
        heads: how many.
        causal: whether the queries, the last ones among the keys, see no later key.
        valid: (N, K), which keys are seen at all (None: all).
        mask: M, (N, heads, T, K); None without.
        bias: B, what is added to the scores and broadcasts to their shape, −∞ for keys that are
            not seen; None without.
    """
    p = np.empty((len(q), heads, q.shape[1], k.shape[1]), q.dtype)
    o = np.empty(q.shape, q.dtype)
    if bias is not None:
        bias = np.broadcast_to(bias, p.shape)

    def attend_in(rows: slice) -> None:
        s = p[rows]  # the scores S, turned into P in place
        q_heads, k_heads, v_heads, o_heads = (split(a[rows], heads) for a in (q, k, v, o))
        np.matmul(q_heads, k_heads.swapaxes(-1, -2), out=s)
        if causal:
            s += _causal_mask(*s.shape[2:], s.dtype)
        if valid is not None:
            s += np.where(valid[rows], 0.0, -np.inf).astype(s.dtype)[:, None, None]  # (N, 1, 1, K)
        if bias is None:
            softmax(s, out=s)
        else:
            s += bias[rows]
            nothing = s.max(axis=-1, keepdims=True) == -np.inf  # (N, heads, T, 1), sees no key
            np.copyto(s, 0, where=nothing)
            softmax(s, out=s)
            np.copyto(s, 0, where=nothing)
        np.matmul(s if mask is None else s * mask[rows], v_heads, out=o_heads)

    over_blocks(attend_in, len(q), p.size, products=True)
    return o, p


@twin
def attend_backward(
    d_o: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray,
    o: np.ndarray, p: np.ndarray, mask: np.ndarray | None, scale: float,
) -> np.ndarray:  # fmt: skip
    """The gradients of queries (before they were scaled), keys and values, (N, T, 3D)."""
    d_qkv = np.empty((*q.shape[:-1], 3 * q.shape[-1]), q.dtype)
    attend_backward_into(np.split(d_qkv, 3, axis=-1), d_o, q, k, v, o, p, mask, scale)
    return d_qkv


def attend_backward_into(
    ways: Sequence[np.ndarray], d_o: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray,
    o: np.ndarray, p: np.ndarray, mask: np.ndarray | None, scale: float,
) -> None:  # fmt: skip
    """Write the gradients of queries (before they were scaled), keys and values into `ways`."""
    heads = p.shape[1]

    def attend_backward_in(rows: slice) -> None:
        g, q_heads, k_heads, v_heads, o_heads = (split(a[rows], heads) for a in (d_o, q, k, v, o))
        d_q, d_k, d_v = (split(way[rows], heads) for way in ways)
        r = (g * o_heads).sum(axis=-1, keepdims=True)  # (N, heads, T, 1)
        a = p[rows] if mask is None else p[rows] * mask[rows]
        np.matmul(a.swapaxes(-1, -2), g, out=d_v)  # Aᵀ Gₒ, (N, heads, T, d)
        d_s = g @ v_heads.swapaxes(-1, -2)  # Gₒ Vᵀ = dL/dA, turned into dL/dS in place
        if mask is not None:
            d_s *= mask[rows]  # dL/dP = dL/dA ⊙ M, (N, heads, T, T)
        d_s -= r
        d_s *= p[rows]  # P ⊙ (dL/dP − r), (N, heads, T, T)
        np.matmul(d_s, k_heads, out=d_q)
        d_q *= scale  # dL/dS K/√d, (N, heads, T, d)
        np.matmul(d_s.swapaxes(-1, -2), q_heads, out=d_k)  # (dL/dS)ᵀ Q/√d: q is scaled already

    over_blocks(attend_backward_in, len(q), p.size, products=True)


def split(x: np.ndarray, heads: int) -> np.ndarray:
    """A view by heads: (N, T, D) → (N, heads, T, d)."""
    n, steps, features = x.shape
    return x.reshape(n, steps, heads, features // heads).swapaxes(1, 2)


@functools.lru_cache(maxsize=8)
def _causal_mask(queries: int, keys: int, dtype: np.dtype[Any]) -> np.ndarray:
    """What to add to the scores (queries, keys): −∞ for keys later than the query, 0 elsewhere.

    The queries are the last ones among the keys.
    """
    mask = np.triu(np.full((queries, keys), -np.inf, dtype), keys - queries + 1)
    mask.flags.writeable = False
    return mask
