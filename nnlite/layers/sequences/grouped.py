"""Attention with fewer keys and values than queries."""

from __future__ import annotations

import numpy as np

from nnlite.core.random import Rng
from nnlite.layers.sequences.attention import MultiHeadAttention


class GroupedQueryAttention(MultiHeadAttention):
    """Attention in which several heads ask the same keys and values.

    Forward      as `MultiHeadAttention`, with fewer heads of K and V than of Q: head h reads those
                 of head ⌊h g⌋ of them, g = num_kv_heads/num_heads
    Backward     as `MultiHeadAttention`; the gradient of a head of K or V is the sum of what
                 comes back from the heads that read it
    Shapes       as `MultiHeadAttention`, with K and V of num_kv_heads d features:
                 qkv.weight (D, D + 2 num_kv_heads d)
    Saves        as `MultiHeadAttention`
    Args         d_model, num_heads: as `MultiHeadAttention`
                 num_kv_heads: how many heads K and V have; divides num_heads
                 dropout, causal, bias, rng: as `MultiHeadAttention`
    Raises       as `MultiHeadAttention`; ValueError: when num_kv_heads does not divide num_heads
    Source       Ainslie et al. 2023, "GQA"; with one head of K and V: Shazeer 2019

    While decoding, the keys and values that are kept are fewer by the same factor.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int,
        dropout: float = 0.0,
        causal: bool = False,
        bias: bool = True,
        rng: Rng = None,
    ) -> None:
        if num_heads % num_kv_heads:
            raise ValueError(
                f"{type(self).__name__}: num_kv_heads must divide num_heads={num_heads}, got "
                f"{num_kv_heads}"
            )
        self.num_kv_heads = num_kv_heads
        super().__init__(d_model, num_heads, dropout, causal, bias, rng=rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        lines = super().equations
        lines["forward"] += f",  which read {self.num_kv_heads} heads of K and V"
        return lines

    @property
    def _key_features(self) -> int:
        return self.d_model // self.num_heads * self.num_kv_heads

    @property
    def more_keys(self) -> bool:
        return True

    def all_keys(self, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each head of K and V, once for every head of Q that reads it."""
        return self._repeated(k), self._repeated(v)

    def all_keys_backward(self, d_k: np.ndarray, d_v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._summed(d_k), self._summed(d_v)

    def _repeated(self, a: np.ndarray) -> np.ndarray:
        heads = a.reshape(*a.shape[:2], self.num_kv_heads, -1)
        times = self.num_heads // self.num_kv_heads
        return np.repeat(heads, times, axis=2).reshape(*a.shape[:2], self.d_model)

    def _summed(self, d: np.ndarray) -> np.ndarray:
        size = self.d_model // self.num_heads
        heads = d.reshape(*d.shape[:2], self.num_kv_heads, -1, size)
        return heads.sum(axis=3).reshape(*d.shape[:2], -1)
