"""Attention: every time step gathers from others what it asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.core.checks import layout_hint
from nnlite.core.padded import Padded, plain, within
from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.core.reading import Reading
from nnlite.initializers import Glorot, Normal, Zeros, first_values
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.layers.containers.parallel import Parallel
from nnlite.layers.dropout import dropout_mask
from nnlite.layers.linear import Linear
from nnlite.layers.sequences.decoding import Continuing
from nnlite.layers.sequences.masks import as_scores, ends_together
from nnlite.ops.attention import attend, attend_backward, attend_backward_into, split
from nnlite.ops.products import sum_rows, times, times_transposed


class Projections(Linear):
    """[Q K V] = x Wᵢ + bᵢ, or of three inputs: Q = x₁ W_Q + b_Q and so on, Wᵢ = [W_Q W_K W_V]."""

    def __init__(
        self, in_features: int, widths: Sequence[int], bias: bool = True, rng: Rng = None
    ) -> None:
        super().__init__(in_features, sum(widths), bias, Glorot(), Zeros(), rng)
        self.widths = widths

    def forward(self, x: Any) -> Any:
        if not isinstance(x, tuple):
            return super().forward(x)
        y = [times(each, weight) for each, weight in zip(x, self._cut(self.weight), strict=True)]
        if self.bias is not None:
            for each, bias in zip(y, self._cut(self.bias), strict=True):
                each += bias
        self.save_for_backward(x)
        return tuple(y)

    def backward(self, grad_output: Any) -> Any:
        if not isinstance(grad_output, tuple):
            return super().backward(grad_output)
        (x,) = self.saved()
        rows, d_rows = ([a.reshape(-1, a.shape[-1]) for a in each] for each in (x, grad_output))
        products = [each.T @ d for each, d in zip(rows, d_rows, strict=True)]  # xᵀ G, each
        self.weight.add_grad(np.concatenate(products, axis=1))
        if self.bias is not None:
            self.bias.add_grad(np.concatenate([sum_rows(d) for d in d_rows]))
        if not self.needs_input_grad:
            return None
        pairs = zip(grad_output, self._cut(self.weight), strict=True)
        return tuple(times_transposed(d, weight) for d, weight in pairs)

    def multiply_adds(self, x_shape: Any, y_shape: Any) -> int:
        """One for each step and weight."""
        if not isinstance(x_shape[0], tuple):
            return super().multiply_adds(x_shape, y_shape)
        return sum(math.prod(x) * y[-1] for x, y in zip(x_shape, y_shape, strict=True))

    def _cut(self, parameter: Parameter) -> list[np.ndarray]:
        """The parts for Q, K and V."""
        return np.split(parameter.data, np.cumsum(self.widths)[:-1], axis=-1)


class MultiHeadAttention(Container, Continuing):
    """Each time step takes a weighted mean of all, or of a memory's, several times side by side.

    Forward      [Q K V] = x Wᵢ + bᵢ, cut into heads of d = D/heads features; then in each head
                 S = Q Kᵀ/√d + B        how well the query of step t fits the key of step s
                 P = softmax(S)         along s: the weights of step t sum to 1
                 O = A V,  A = P ⊙ M    M the dropout mask; without dropout A = P
                 and y = [O₁ … O_heads] Wₒ + bₒ.
                 B is the mask, 0 without. Where step t must not see step s (B_ts = −∞, s > t if
                 causal, s beyond the sequence's end if padded) S_ts = −∞, so that P_ts = 0; a
                 step that sees nothing has P_t = 0 and O_t = 0. Beyond the end y = 0, and G
                 counts as 0
                 Cross-attention: Q comes from the query, K and V from the memory (or from a key
                 and a value), each by its part of Wᵢ = [W_Q W_K W_V]
    Backward     with Gₒ = dL/dO, which is G Wₒᵀ cut into heads; Wᵢ, Wₒ and x as in `Linear`
                 dL/dV = Aᵀ Gₒ          dL/dA = Gₒ Vᵀ           dL/dP = dL/dA ⊙ M
                 dL/dS = P ⊙ (dL/dP − r),  r_t = Σₛ dL/dP_ts P_ts
                 dL/dQ = dL/dS K/√d     dL/dK = (dL/dS)ᵀ Q/√d
                 through softmax: row t of P depends on row t of S alone, with the Jacobian
                 ∂P_tu/∂S_ts = P_tu (δ_us − P_ts), so dL/dS_ts = Σᵤ dL/dP_tu P_tu (δ_us − P_ts)
                 = P_ts (dL/dP_ts − Σᵤ dL/dP_tu P_tu). A masked entry has P_ts = 0, hence no
                 gradient. And the sum needs no pass over (T, T): Σₛ dL/dP_ts P_ts
                 = Σₛ dL/dA_ts A_ts = Σₛ Σ_c (Gₒ)_tc V_sc A_ts = Σ_c (Gₒ)_tc O_tc, c the features
                 dL/d(memory) is the sum of what comes through K and through V. The mask is data:
                 it gets no gradient
    Shapes       x (N, T, D) → y (N, T, D), or a tuple: (query (N, T, D), memory (N, S, D)), or
                 (query, key (N, S, kdim), value (N, S, vdim)), and backward returns a tuple too;
                 mask (T, S), (N, T, S) or (N, heads, T, S); Q, O (N, heads, T, d); K, V (N, heads,
                 S, d); S, P, M (N, heads, T, S); qkv.weight Wᵢ (D, 3D); qkv.bias bᵢ (3D,);
                 out.weight Wₒ (D, D); out.bias bₒ (D,). With another kdim or vdim, three layers
                 qkv.0, qkv.1 and qkv.2 instead; bias_k and bias_v (D,)
    Saves        Q, K, V, O, P, M (None without dropout), and where a sequence is (None unpadded)
    Args         d_model: D, the size of the last axis, ≥ 1
                 num_heads: how many heads; divides d_model
                 dropout: the probability with which a weight in P is set to zero while training,
                 0 ≤ dropout < 1 (default 0)
                 causal: whether step t sees only steps up to t (default False)
                 bias: whether to add bᵢ and bₒ (default True)
                 kdim, vdim: features of keys and values in cross-attention (default None: D)
                 add_bias_kv: whether every step also sees one learned key and value, bias_k and
                 bias_v (default False)
                 add_zero_attn: whether it also sees a key and a value of zeros (default False)
                 rng: a generator or seed for first values and masks (default: see `nn.seed`)
    Raises       ValueError: when num_heads does not divide d_model, dropout is outside [0, 1), or
                 x is not (N, T, D) or T = 0, or a mask has another shape; when a causal layer has
                 fewer or more keys than queries; inside `decoding`, when the layer is not causal,
                 sequences are padded, or N has changed
                 TypeError: when x does not hold floats, or a mask neither floats nor booleans
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
        kdim: int | None = None,
        vdim: int | None = None,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        rng: Rng = None,
    ) -> None:
        if d_model % num_heads:
            raise ValueError(
                f"{type(self).__name__}: num_heads must divide d_model, got {num_heads} heads "
                f"for {d_model} features"
            )
        self.d_model = d_model
        self.num_heads = num_heads
        self.dropout = dropout
        self.causal = causal
        self.kdim = kdim
        self.vdim = vdim
        self.add_bias_kv = add_bias_kv
        self.add_zero_attn = add_zero_attn
        self.rng = as_generator(rng)
        widths = d_model, self._key_features, self._key_features
        self.qkv: Projections | Parallel
        if {kdim or d_model, vdim or d_model} == {d_model}:
            self.qkv = Projections(d_model, widths, bias, self.rng)
        else:
            sizes = zip((d_model, kdim or d_model, vdim or d_model), widths, strict=True)
            self.qkv = Parallel(
                *(Linear(size, width, bias, Glorot(), Zeros(), self.rng) for size, width in sizes)
            )
        self.out = Linear(d_model, d_model, bias, None, Zeros(), self.rng)
        if add_bias_kv:
            first = Normal(math.sqrt(1 / self._key_features))  # as in PyTorch
            self.bias_k = Parameter(first_values(first, (self._key_features,), self.rng))
            self.bias_v = Parameter(first_values(first, (self._key_features,), self.rng))

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        dropped = self.training and self.dropout > 0
        out, into = (" + bₒ", " + bᵢ") if self.bias is not None else ("", "")
        a, mask, by_mask = ("A", "A = P ⊙ M,  ", " ⊙ M") if dropped else ("P", "", "")
        hidden = ",  where S_ts is −∞ for s > t" if self.causal else ""
        heads = f",  in each of {self.num_heads} heads" if self.num_heads > 1 else ""
        lines = {
            "forward": f"y = O Wₒ{out},  O = {a} V,  {mask}P = softmax(S),  S = Q Kᵀ/√d,  "
            f"[Q, K, V] = x Wᵢ{into}{hidden}{heads}",
            "input": "dL/dx = [dL/dQ, dL/dK, dL/dV] Wᵢᵀ,  dL/dQ = dL/dS K/√d,  "
            f"dL/dK = (dL/dS)ᵀ Q/√d,  dL/dV = {a}ᵀ Gₒ,  dL/dS = P ⊙ (dL/dP − Σₛ dL/dP ⊙ P),  "
            f"dL/dP = Gₒ Vᵀ{by_mask},  Gₒ = G Wₒᵀ{heads}",
        }
        if self.add_bias_kv:
            lines["forward"] += ",  bias_k and bias_v before the keys and values"
            lines["bias_k"] = "dL/dbias_k = Σₙ dL/dK at bias_k"
            lines["bias_v"] = "dL/dbias_v = Σₙ dL/dV at bias_v"
        return lines

    def reading(
        self, q: Any = None, k: Any = None, v: Any = None, o: Any = None, p: Any = None,
        dropped: Any = None, rows: Any = None, count: int = 1,
    ) -> Reading:  # fmt: skip
        """Every head on an axis of its own; the code has divided Q by √d already."""
        between = "out", "qkv"
        paths = {"qkv": ("x Wᵢ", "dL/dx"), "out": ("O Wₒ", "Gₒ")}
        if q is None:
            return Reading(between=between, paths=paths)
        b = self._added_to_scores(p, rows if count == 1 else None)
        values: dict[str, Any] = {"d": self.d_model // p.shape[1], "P": p, "M": dropped, "B": b}
        values |= {
            name: split(a, p.shape[1]) for name, a in (("Q/√d", q), ("K", k), ("V", v), ("O", o))
        }
        lines = {}
        if count == 1 and not self.more_keys:
            cut = "x Wᵢ[n, t, d h + i{}]"
            size = o.shape[-1]
            if not self._turns:
                lines["Q/√d"] = f"Q/√d[n,h,t,i] = {cut.format('')} / √d"
                lines["K"] = f"K[n,h,t,i] = {cut.format(f' + {size}')}"
            lines["V"] = f"V[n,h,t,i] = {cut.format(f' + {2 * size}')}"
        lines["P"] = "P = softmax(Q/√d Kᵀ" + (")" if b is None else " + B)")
        lines["O"] = "O = P V" if dropped is None else "O = (P ⊙ M) V"
        return Reading(values=values, components=lines, between=between, paths=paths)

    def _added_to_scores(self, p: np.ndarray, rows: Any) -> np.ndarray | None:
        """B, what hides keys or favours near ones; a very low score in the place of −∞."""
        queries, keys = p.shape[2], p.shape[3] - self._first
        b = self.by_place(0, queries, keys, p.dtype)
        if self.causal:
            later = np.triu(np.full((1, queries, keys), -np.inf, p.dtype), 1 + keys - queries)
            b = later if b is None else b + later
        if rows is not None:
            hidden = np.where(rows, 0.0, -np.inf)[:, None, None]
            b = hidden if b is None else b + hidden
        b = self._with_first(b, 0)
        return None if b is None else np.maximum(b, -1e9)

    def reading_back(self, d_o: np.ndarray, d_qkv: Sequence[np.ndarray], *saved: Any) -> Reading:
        """The steps of backward in their order; dL/dP and dL/dS are only there in passing."""
        known = self.reading(*saved)
        v, p, dropped = (known.values[name] for name in ("V", "P", "M"))
        if len(d_qkv) == 1:
            width = self.d_model
            d_qkv = np.split(d_qkv[0], (width, width + self._key_features), axis=-1)
        g = split(d_o, p.shape[1])
        d_p = g @ v.swapaxes(-1, -2)
        d_p = d_p if dropped is None else d_p * dropped
        d_s = p * (d_p - (d_p * p).sum(axis=-1, keepdims=True))
        heads = p.shape[1] * self._key_features // self.d_model
        d_q, d_k, d_v = (
            split(d, h) for d, h in zip(d_qkv, (p.shape[1], heads, heads), strict=True)
        )
        values = {"Gₒ": g, "dL/dV": d_v, "dL/dP": d_p, "dL/dS": d_s, "dL/dQ": d_q, "dL/dK": d_k}
        weights, mask = ("P", "") if dropped is None else ("(P ⊙ M)", " ⊙ M")
        lines = {
            "dL/dV": self._of_keys("dL/dV", weights, "Gₒ"),
            "dL/dP": f"dL/dP = Gₒ Vᵀ{mask}",
            "dL/dS": "dL/dS = P ⊙ (dL/dP − Σₛ dL/dP ⊙ P)",
            "dL/dQ": "dL/dQ = dL/dS K / √d" + ",  turned back" * self._turns,
            "dL/dK": self._of_keys("dL/dK", "dL/dS", "Q/√d") + ",  turned back" * self._turns,
        }
        values = {**known.values, **values}
        return known._replace(values=values, components=lines, axes={"s": -1})

    def _of_keys(self, left: str, weights: str, right: str) -> str:
        """weightsᵀ right, a sum over the queries; by entry where not every key has its own row."""
        shared = self.d_model // self._key_features
        if shared == 1 and not self._first:
            return f"{left} = {weights}ᵀ {right}"
        at = f"[n,h,t, s+{self._first}]"
        factors = weights.strip("()").replace(" ⊙ ", f"{at} ") + at
        whose = f"[g = ⌊h/{shared}⌋]"
        return f"{left}[n,g,s,i] = Σ_ht {whose} {factors} {right}[n,h,t,i]"

    @property
    def _turns(self) -> bool:
        """Whether places turn queries and keys."""
        return type(self).turn is not MultiHeadAttention.turn

    @property
    def bias(self) -> Parameter | None:
        """The bias of the queries, keys and values (or the queries' own); None without."""
        own: Any = self.qkv.layers[0] if isinstance(self.qkv, Parallel) else self.qkv
        bias: Parameter | None = own.bias
        return bias

    def children(self) -> list[tuple[str, Layer]]:
        return [("qkv", self.qkv), ("out", self.out)]

    # -- what a subclass may change ----------------------------------------------------------------

    @property
    def _key_features(self) -> int:
        """Features of all heads' keys, and of their values."""
        return self.d_model

    def turn(self, a: np.ndarray, start: int, back: bool = False) -> None:
        """Change queries or keys (N, T, …) by where they are, in place.

        Args:
            a: queries, or keys.
            start: the place of the first one.
            back: whether they are gradients, which go the transposed way.
        """

    def by_place(
        self, start: int, queries: int, keys: int, dtype: np.dtype[Any]
    ) -> np.ndarray | None:
        """What the places alone add to the scores, as (heads or 1, T, S); None for nothing.

        Args:
            start: the place of the first query; that of the first key is 0.
            queries, keys: how many, T and S.
            dtype: of the scores.
        """
        return None

    @property
    def more_keys(self) -> bool:
        """Whether `all_keys` does something."""
        return self.add_bias_kv or self.add_zero_attn

    def all_keys(self, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values of every head, those of bias_k and of zeros before the others."""
        first = [] if not self.add_bias_kv else [(self.bias_k.data, self.bias_v.data)]
        first += [(np.zeros((), k.dtype), np.zeros((), k.dtype))] * self.add_zero_attn
        one = (len(k), 1, k.shape[-1])
        for more_k, more_v in reversed(first):
            k = np.concatenate([np.broadcast_to(more_k, one), k], axis=1)
            v = np.concatenate([np.broadcast_to(more_v, one), v], axis=1)
        return k, v

    def all_keys_backward(self, d_k: np.ndarray, d_v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of keys and values as they were before `all_keys`."""
        if self.add_bias_kv:
            self.bias_k.add_grad(d_k[:, 0].sum(axis=0))
            self.bias_v.add_grad(d_v[:, 0].sum(axis=0))
        return d_k[:, self._first :], d_v[:, self._first :]

    # -- forward -----------------------------------------------------------------------------------

    def __call__(self, x: Any, mask: np.ndarray | None = None) -> Any:
        """`layer(x, mask)` is `layer.forward(x, mask)`."""
        return self.forward(x, mask)

    @whole_or_nothing
    def forward(self, x: Any, mask: np.ndarray | None = None) -> Any:
        """What each step gathers.

        Args:
            x: the sequence, (query, memory), or (query, key, value); each an array or `Padded`.
            mask: (T, S), (N, T, S) or (N, heads, T, S): True where step t may attend to step s,
                or floats that are added to the scores (default None: everywhere).
        """
        crossed = isinstance(x, tuple)
        query, key, value = self._three(x) if crossed else (x, x, x)
        self._check(query, key, value, crossed)
        y = self._attend(query, key, value, len(x) if crossed else 1, mask)
        return Padded(y, query.lengths) if isinstance(query, Padded) else y

    def _attend(self, query: Any, key: Any, value: Any, count: int, mask: Any) -> np.ndarray:
        """The bare output; `count` says how many inputs there were."""
        inputs = [_blank(each) for each in (query, key, value)[: 1 if count == 1 else 3]]
        projected = self.forward_child("qkv", self.qkv, inputs[0] if count == 1 else tuple(inputs))
        if count == 1:
            features = self.d_model, self.d_model + self._key_features
            projected = np.split(projected, features, axis=-1)
        q, k, v = projected  # (N, T, D), (N, S, D), (N, S, D)
        q *= self._scale
        past = self.carried
        start = 0 if past is None else past.length
        self.turn(q, start)
        self.turn(k, start if count == 1 else 0)  # a memory is there as a whole
        if past is not None and count == 1:
            k, v = past.extend(k, v)
        elif past is not None:
            past.length += q.shape[1]
        queries, keys = q.shape[1], k.shape[1]
        scores = self.by_place(start, queries, keys, q.dtype)
        if mask is not None:
            given = as_scores(self, mask, (len(q), self.num_heads, queries, keys), q.dtype)
            scores = given if scores is None else scores + given
        valid = key.mask if isinstance(key, Padded) else None  # (N, S)
        if self.more_keys:
            k, v = self.all_keys(k, v)
            scores, valid = (self._with_first(a, fill) for a, fill in ((scores, 0), (valid, True)))
        dropped = None  # M, (N, heads, T, S)
        if self.training and self.dropout > 0:
            shape = (len(q), self.num_heads, queries, k.shape[1])
            dropped = dropout_mask(shape, self.dropout, self.rng, q.dtype)
        o, p = attend(q, k, v, self.num_heads, self.causal, valid, dropped, scores)
        y: np.ndarray = self.forward_child("out", self.out, o)
        rows = query.mask if isinstance(query, Padded) else None  # (N, T)
        if rows is not None:
            y[~rows] = 0
        self.save_for_backward(q, k, v, o, p, dropped, rows, count)
        return y

    @property
    def _first(self) -> int:
        """How many keys `all_keys` puts before those of the sequence."""
        return self.add_bias_kv + self.add_zero_attn

    def _with_first(self, a: np.ndarray | None, fill: Any) -> np.ndarray | None:
        """The mask (…, S) with those that every step sees, in front."""
        if a is None or not self._first:
            return a
        return np.concatenate([np.full((*a.shape[:-1], self._first), fill, a.dtype), a], axis=-1)

    # -- backward ----------------------------------------------------------------------------------

    @whole_or_nothing
    def backward(self, grad_output: np.ndarray) -> Any:
        q, k, v, o, p, dropped, rows, count = self.saved()
        self.check_grad_output(grad_output, o.shape)
        if rows is not None:
            grad_output = grad_output * rows[..., None]
        d_o = self.backward_child("out", self.out, grad_output)
        if count == 1 and not self.more_keys:
            d_qkv: Any = attend_backward(d_o, q, k, v, o, p, dropped, self._scale)
            width = self.d_model
            for turned in (d_qkv[..., :width], d_qkv[..., width : 2 * width]):
                self.turn(turned, 0, back=True)
        else:
            d_q, d_k, d_v = (np.empty_like(a) for a in (q, k, v))
            attend_backward_into((d_q, d_k, d_v), d_o, q, k, v, o, p, dropped, self._scale)
            if self.more_keys:
                d_k, d_v = self.all_keys_backward(d_k, d_v)
            for turned in (d_q, d_k):
                self.turn(turned, 0, back=True)
            d_qkv = d_q, d_k, d_v
            d_qkv = np.concatenate(d_qkv, axis=-1) if count == 1 else d_qkv
        d_x = self.backward_child("qkv", self.qkv, d_qkv, self.needs_input_grad)
        if d_x is None or count != 2:
            return d_x
        d_query, d_key, d_value = d_x
        return d_query, d_key + d_value

    def multiply_adds(self, x_shape: Any, y_shape: tuple[int, ...]) -> int:
        """Of the scores and the weighted means; the projections count their own."""
        several = isinstance(x_shape[0], tuple)
        keys = x_shape[1][1] if several else x_shape[1]
        return 2 * math.prod(y_shape) * keys

    # -- checks ------------------------------------------------------------------------------------

    def _three(self, x: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """The query, the key and the value."""
        if len(x) not in (2, 3):
            raise ValueError(
                f"{self!r}: expected (query, memory) or (query, key, value), got a tuple of "
                f"{len(x)}"
            )
        return x[0], x[1], x[-1]

    def _check(self, query: Any, key: Any, value: Any, crossed: bool) -> None:
        sizes = self.d_model, self.kdim or self.d_model, self.vdim or self.d_model
        if not crossed and set(sizes) != {self.d_model}:
            raise ValueError(
                f"{self!r}: expected a tuple (query, key, value): keys and values have other "
                f"features than queries"
            )
        inputs = zip(sizes, (query, key, value), strict=True)
        for size, given in inputs if crossed else [(self.d_model, query)]:
            x = plain(given)
            self.check_floating(x)
            if x.ndim != 3 or x.shape[1] == 0 or x.shape[-1] != size:
                hint = layout_hint(x.shape, size, (3,))
                raise ValueError(
                    f"{self!r}: expected (N, T, {size}) with T ≥ 1, got {x.shape}{hint}"
                )
        if crossed:
            self._check_together(query, key, value)
        elif self.carried is not None:
            self._check_decoding(query)

    def _check_together(self, query: Any, key: Any, value: Any) -> None:
        shapes = query.shape, key.shape, value.shape
        if len({shape[0] for shape in shapes}) > 1 or key.shape[1] != value.shape[1]:
            raise ValueError(
                f"{self!r}: query, key and value must have the same N, and key and value the same "
                f"steps, got {', '.join(map(str, shapes))}"
            )
        if not ends_together(key, value):
            raise ValueError(f"{self!r}: key and value must be Padded with the same lengths")
        if self.causal and query.shape[1] != key.shape[1]:
            raise ValueError(
                f"{self!r}: a causal layer needs as many keys as queries, got {key.shape[1]} and "
                f"{query.shape[1]}; say with a mask what each query sees"
            )

    def _check_decoding(self, x: Any) -> None:
        if not self.causal:
            raise ValueError(f"{self!r}: decoding needs causal=True: earlier steps would change")
        if isinstance(x, Padded):
            raise ValueError(f"{self!r}: decoding needs sequences of one length, got Padded ones")
        if self.carried.batch not in (None, len(x)):
            raise ValueError(
                f"{self!r}: decoding {self.carried.batch} sequences, got a batch of {len(x)}"
            )

    @property
    def _scale(self) -> float:
        return 1 / math.sqrt(self.d_model // self.num_heads)


def _blank(x: Any) -> np.ndarray:
    """The bare array, with zeros in the padding: no product with what stands there may overflow."""
    return within(x.data, x.lengths) if isinstance(x, Padded) else x
