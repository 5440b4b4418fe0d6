"""Attention by where steps are: turned by place, less with distance, or within a window."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nnlite.core.random import Rng
from nnlite.layers.sequences.attention import MultiHeadAttention


class RotaryAttention(MultiHeadAttention):
    """Attention in which queries and keys are turned by where they are.

    Forward      as `MultiHeadAttention`, with R_t q_t for q_t and R_s k_s for k_s: R_t turns the
                 features j and j + ⌊d/2⌋ of each head, as a pair, by the angle t ωⱼ,
                 ωⱼ = 10000^(−2j/d), j = 0 … ⌊d/2⌋ − 1
                 so a score depends on the distance alone: (R_t q)ᵀ (R_s k) = qᵀ R_{s−t} k
    Backward     R_t is orthogonal, R_tᵀ = R_{−t}: the gradients of what was turned are turned
                 back; the rest is that of `MultiHeadAttention`
    Shapes       as `MultiHeadAttention`
    Saves        as `MultiHeadAttention`, Q and K as they were turned
    Args         as `MultiHeadAttention`
    Raises       as `MultiHeadAttention`
    Source       Su et al. 2021, "RoFormer", equation 15; with the pairs of LLaMA
    """

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        lines = super().equations
        lines["forward"] += ",  where row t of Q and of K is turned by the angles t ωⱼ"
        lines["input"] += ",  where dL/dQ and dL/dK are turned back"
        return lines

    def turn(self, a: np.ndarray, start: int, back: bool = False) -> None:
        size = self.d_model // self.num_heads
        half = size // 2
        cos, sin = _angles(start, start + a.shape[1], size, a.dtype)  # (T, 1, d/2)
        sin = -sin if back else sin
        heads = a.reshape(*a.shape[:2], -1, size)  # a view
        first, second = heads[..., :half], heads[..., half : 2 * half]
        turned = first * cos - second * sin
        second *= cos
        second += first * sin
        first[:] = turned


@functools.lru_cache(maxsize=8)
def _angles(start: int, stop: int, size: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, ...]:
    """The cosines and sines of t ωⱼ from place `start` to before `stop`."""
    rates = 10_000.0 ** (-2 * np.arange(size // 2) / size)
    angles = np.arange(start, stop)[:, None, None] * rates
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


class ALiBiAttention(MultiHeadAttention):
    """Attention that fades with distance, in each head at another rate.

    Forward      as `MultiHeadAttention`, with S_ts − m |t − s| for S_ts, m = 2^(−8h/heads) in
                 head h = 1 … heads: by e^(−m) less weight for each step further away
    Backward     as `MultiHeadAttention`: what is added does not depend on x
    Shapes       as `MultiHeadAttention`
    Saves        as `MultiHeadAttention`
    Args         as `MultiHeadAttention`
    Raises       as `MultiHeadAttention`
    Source       Press, Smith & Lewis 2022, "Train Short, Test Long", section 3

    It needs no other positions, and sequences may be longer than those of the training.
    """

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        lines = super().equations
        lines["forward"] += f",  where m |t − s| is taken from S_ts, m = 2^(−8h/{self.num_heads})"
        return lines

    def by_place(self, start: int, queries: int, keys: int, dtype: np.dtype[Any]) -> np.ndarray:
        rates = 2.0 ** (-8 * np.arange(1, self.num_heads + 1) / self.num_heads)
        return (-rates[:, None, None] * _distances(start, queries, keys)).astype(dtype)


class SlidingWindowAttention(MultiHeadAttention):
    """Attention to the steps nearby.

    Forward      as `MultiHeadAttention`, with S_ts = −∞ where |t − s| ≥ window
    Backward     as `MultiHeadAttention`: what is hidden has P_ts = 0, and no gradient
    Shapes       as `MultiHeadAttention`
    Saves        as `MultiHeadAttention`
    Args         d_model, num_heads: as `MultiHeadAttention`
                 window: how many steps each one sees on either side, itself among them, ≥ 1; with
                 causal=True, itself and the window − 1 before it
                 dropout, causal, bias, rng: as `MultiHeadAttention`
    Raises       as `MultiHeadAttention`
    Source       Beltagy, Peters & Cohan 2020, "Longformer", section 3.1

    A stack of L such layers sees L (window − 1) steps away.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        window: int,
        dropout: float = 0.0,
        causal: bool = False,
        bias: bool = True,
        rng: Rng = None,
    ) -> None:
        super().__init__(d_model, num_heads, dropout, causal, bias, rng=rng)
        self.window = window

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        lines = super().equations
        lines["forward"] += f",  where S_ts is −∞ for |t − s| ≥ {self.window}"
        return lines

    def by_place(self, start: int, queries: int, keys: int, dtype: np.dtype[Any]) -> np.ndarray:
        return np.where(_distances(start, queries, keys) < self.window, 0, -np.inf).astype(dtype)


def _distances(start: int, queries: int, keys: int) -> np.ndarray:
    """|t − s|, (T, S), of queries from the place `start` on, and keys from 0 on."""
    return np.abs(np.arange(start, start + queries)[:, None] - np.arange(keys))
