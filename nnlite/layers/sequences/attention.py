"""Attention: every time step gathers from the others what it asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.checks import layout_hint
from nnlite.core.padded import Padded
from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.initializers import Glorot, Zeros
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.layers.dropout import dropout_mask
from nnlite.layers.linear import Linear
from nnlite.layers.sequences.decoding import Continuing
from nnlite.ops.attention import attend, attend_backward


class MultiHeadAttention(Container, Continuing):
    """Self-attention: each time step takes a weighted mean of all, several times side by side.

    Forward      [Q K V] = x Wᵢ + bᵢ, cut into heads of d = D/heads features; then in each head
                 S = Q Kᵀ/√d            how well the query of step t fits the key of step s
                 P = softmax(S)         along s: the weights of step t sum to 1
                 O = A V,  A = P ⊙ M    M the dropout mask; without dropout A = P
                 and y = [O₁ … O_heads] Wₒ + bₒ.
                 Where step t must not see step s (s > t if causal, s beyond the sequence's end if
                 padded) S_ts = −∞, so that P_ts = 0. Beyond the end y = 0, and G counts as 0
    Backward     with Gₒ = dL/dO, which is G Wₒᵀ cut into heads; Wᵢ, Wₒ and x as in `Linear`
                 dL/dV = Aᵀ Gₒ          dL/dA = Gₒ Vᵀ           dL/dP = dL/dA ⊙ M
                 dL/dS = P ⊙ (dL/dP − r),  r_t = Σₛ dL/dP_ts P_ts
                 dL/dQ = dL/dS K/√d     dL/dK = (dL/dS)ᵀ Q/√d
                 through softmax: row t of P depends on row t of S alone, with the Jacobian
                 ∂P_tu/∂S_ts = P_tu (δ_us − P_ts), so dL/dS_ts = Σᵤ dL/dP_tu P_tu (δ_us − P_ts)
                 = P_ts (dL/dP_ts − Σᵤ dL/dP_tu P_tu). A masked entry has P_ts = 0, hence no
                 gradient. And the sum needs no pass over (T, T): Σₛ dL/dP_ts P_ts
                 = Σₛ dL/dA_ts A_ts = Σₛ Σ_c (Gₒ)_tc V_sc A_ts = Σ_c (Gₒ)_tc O_tc, c the features
    Shapes       x (N, T, D) → y (N, T, D); Q, K, V, O (N, heads, T, d); S, P, M (N, heads, T, T);
                 qkv.weight Wᵢ (D, 3D); qkv.bias bᵢ (3D,); out.weight Wₒ (D, D); out.bias bₒ (D,)
    Saves        Q, K, V, O, P, M (None without dropout), and where a sequence is (None unpadded)
    Args         d_model: D, the size of the last axis, ≥ 1
                 num_heads: how many heads; divides d_model
                 dropout: the probability with which a weight in P is set to zero while training,
                 0 ≤ dropout < 1 (default 0)
                 causal: whether step t sees only steps up to t (default False)
                 bias: whether to add bᵢ and bₒ (default True)
                 rng: a generator or seed for first values and masks (default: see `nn.seed`)
    Raises       ValueError: when num_heads does not divide d_model, dropout is outside [0, 1), or
                 x is not (N, T, D) or T = 0; inside `decoding`, when the layer is not causal,
                 sequences are padded, or N has changed
                 TypeError: when x does not hold floats
    Source       Vaswani et al. 2017, section 3.2; first values as in PyTorch. The sum over c:
                 Dao et al. 2022, "FlashAttention", appendix B.2
    """

    splits_products = True

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        dropout: float = 0.0,
        causal: bool = False,
        bias: bool = True,
        rng: Rng = None,
    ) -> None:
        if d_model % num_heads:
            raise ValueError(
                f"MultiHeadAttention: num_heads must divide d_model, got {num_heads} heads "
                f"for {d_model} features"
            )
        self.d_model = d_model
        self.num_heads = num_heads
        self.dropout = dropout
        self.causal = causal
        self.rng = as_generator(rng)
        self.qkv = Linear(d_model, 3 * d_model, bias, Glorot(), Zeros(), self.rng)
        self.out = Linear(d_model, d_model, bias, None, Zeros(), self.rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        dropped = self.training and self.dropout > 0
        out, into = (" + bₒ", " + bᵢ") if self.bias is not None else ("", "")
        a, mask, by_mask = ("A", "A = P ⊙ M,  ", " ⊙ M") if dropped else ("P", "", "")
        hidden = ",  where S_ts is −∞ for s > t" if self.causal else ""
        heads = f",  in each of {self.num_heads} heads" if self.num_heads > 1 else ""
        return {
            "forward": f"y = O Wₒ{out},  O = {a} V,  {mask}P = softmax(S),  S = Q Kᵀ/√d,  "
            f"[Q, K, V] = x Wᵢ{into}{hidden}{heads}",
            "input": "dL/dx = [dL/dQ, dL/dK, dL/dV] Wᵢᵀ,  dL/dQ = dL/dS K/√d,  "
            f"dL/dK = (dL/dS)ᵀ Q/√d,  dL/dV = {a}ᵀ Gₒ,  dL/dS = P ⊙ (dL/dP − Σₛ dL/dP ⊙ P),  "
            f"dL/dP = Gₒ Vᵀ{by_mask},  Gₒ = G Wₒᵀ{heads}",
        }

    @property
    def bias(self) -> Parameter | None:
        """The bias of the queries, keys and values; None without."""
        return self.qkv.bias

    def children(self) -> list[tuple[str, Layer]]:
        return [("qkv", self.qkv), ("out", self.out)]

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        if isinstance(x, Padded):
            return Padded(self._attend(x.data, x.mask), x.lengths)
        return self._attend(x)

    def _attend(self, x: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Of plain arrays; `valid` (N, T) says where the sequences are, None everywhere."""
        self._check(x, valid)
        if valid is not None:
            x = np.where(valid[..., None], x, 0)  # no product with what stands there may overflow
        q, k, v = np.split(self.forward_child("qkv", self.qkv, x), 3, axis=-1)  # each (N, T, D)
        q *= self._scale
        if self.carried is not None:
            k, v = self.carried.extend(k, v)
        mask = None  # M, (N, heads, T, T)
        if self.training and self.dropout > 0:
            shape = (len(q), self.num_heads, q.shape[1], k.shape[1])
            mask = dropout_mask(shape, self.dropout, self.rng, q.dtype)
        o, p = attend(q, k, v, self.num_heads, self.causal, valid, mask)
        y = self.forward_child("out", self.out, o)
        if valid is not None:
            y[~valid] = 0
        self.save_for_backward(q, k, v, o, p, mask, valid)
        return y

    @whole_or_nothing
    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        q, k, v, o, p, mask, valid = self.saved()
        self.check_grad_output(grad_output, o.shape)
        if valid is not None:
            grad_output = grad_output * valid[..., None]
        d_o = self.backward_child("out", self.out, grad_output)
        d_qkv = attend_backward(d_o, q, k, v, o, p, mask, self._scale)
        return self.backward_child("qkv", self.qkv, d_qkv, self.needs_input_grad)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Of the scores and the weighted means; the projections count their own."""
        return 2 * math.prod(x_shape) * x_shape[1]

    def _check(self, x: np.ndarray, valid: np.ndarray | None) -> None:
        self.check_floating(x)
        if x.ndim != 3 or x.shape[1] == 0 or x.shape[-1] != self.d_model:
            hint = layout_hint(x.shape, self.d_model, (3,))
            raise ValueError(
                f"{self!r}: expected (N, T, {self.d_model}) with T ≥ 1, got {x.shape}{hint}"
            )
        if self.carried is None:
            return
        if not self.causal:
            raise ValueError(f"{self!r}: decoding needs causal=True: earlier steps would change")
        if valid is not None:
            raise ValueError(f"{self!r}: decoding needs sequences of one length, got Padded ones")
        if self.carried.batch not in (None, len(x)):
            raise ValueError(
                f"{self!r}: decoding {self.carried.batch} sequences, got a batch of {len(x)}"
            )

    @property
    def _scale(self) -> float:
        return 1 / math.sqrt(self.d_model // self.num_heads)
