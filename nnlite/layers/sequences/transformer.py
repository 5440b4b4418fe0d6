"""The layer that transformers stack, from layers that are there already."""

from __future__ import annotations

from nnlite.core.random import Rng, as_generator
from nnlite.layers.activations.smooth import GELU
from nnlite.layers.base import Layer
from nnlite.layers.containers.branches import Residual
from nnlite.layers.containers.sequential import Sequential
from nnlite.layers.dropout import Dropout
from nnlite.layers.linear import Linear
from nnlite.layers.normalization.features import LayerNorm
from nnlite.layers.sequences.attention import MultiHeadAttention


class TransformerLayer(Sequential):
    """Time steps look at each other, then each is worked on by itself; both around a shortcut.

    Forward      z = x + a(norm₁(x)),  y = z + f(norm₂(z))         with norm_first, "pre-norm"
                 z = norm₁(x + a(x)),  y = norm₂(z + f(z))         without, as in the first paper
                 a is attention, f(u) = GELU(u W₁ + b₁) W₂ + b₂, each followed by dropout
    Backward     that of the layers inside, last to first; with norm_first, and J the Jacobian of
                 each branch, dL/dx = G (1 + J_f) (1 + J_a): however many layers are stacked, one
                 term is G itself
    Shapes       x (N, T, D) → y (N, T, D); W₁ (D, d_ff); W₂ (d_ff, D)
    Saves        nothing itself
    Args         d_model: D, the size of the last axis, ≥ 1
                 num_heads: how many heads attention has; divides d_model
                 d_ff: the width of f, ≥ 1; often 4 D
                 dropout: the probability of zero, on the weights of attention, inside f, and
                 after a and f (default 0)
                 norm_first: whether a and f get a normalized input, which trains without a
                 warm-up (default True); otherwise the sums are normalized
                 causal: whether attention sees only earlier steps (default False)
                 rng: a generator or seed for first values and masks (default: see `nn.seed`)
    Raises       ValueError, TypeError: as `MultiHeadAttention`
    Source       Vaswani et al. 2017, section 3.1; Xiong et al. 2020, figure 1, for norm_first;
                 Radford et al. 2018, section 4.1, for GELU
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        norm_first: bool = True,
        causal: bool = False,
        rng: Rng = None,
    ) -> None:
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout = dropout
        self.norm_first = norm_first
        self.causal = causal
        rng = as_generator(rng)
        attention = [
            MultiHeadAttention(d_model, num_heads, dropout, causal, rng=rng),
            Dropout(dropout, rng),
        ]
        feed_forward = [
            Linear(d_model, d_ff, rng=rng),
            GELU(),
            Dropout(dropout, rng),
            Linear(d_ff, d_model, rng=rng),
            Dropout(dropout, rng),
        ]
        layers: list[Layer] = []
        for branch in (attention, feed_forward):
            norm = LayerNorm(d_model)
            if norm_first:
                layers.append(Residual(Sequential(norm, *branch)))
            else:
                layers += [Residual(Sequential(*branch)), norm]
        super().__init__(*layers)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.norm_first:
            return {
                "forward": "y = z + f(norm₂(z)),  z = x + a(norm₁(x))",
                "input": "dL/dx = G (1 + J_f) (1 + J_a),  where J_f and J_a are those of f norm₂ "
                "and a norm₁",
            }
        return {
            "forward": "y = norm₂(z + f(z)),  z = norm₁(x + a(x))",
            "input": "dL/dx = G J_norm₂ (1 + J_f) J_norm₁ (1 + J_a)",
        }
