"""A table of learned vectors, one for each token."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng
from nnlite.core.reading import Reading, in_rows
from nnlite.initializers import Initializer, Normal, first_values
from nnlite.layers.base import Layer
from nnlite.ops.scatter import add_rows


class Embedding(Layer):
    """A row of a table for every token.

    Forward      y = W[x]
    Backward     with G = dL/dy
                 dL/dW_v = Σ G over the places where x = v;  x is whole numbers, without gradient
                 because y_n = Σᵥ [x_n = v] W_v: a product with a one-hot matrix, never formed,
                 ∂y_n/∂W_v = [x_n = v]
    Shapes       x (N, …) integers → y (N, …, D); weight (num_embeddings, D)
    Saves        x
    Args         num_embeddings: how many tokens there are
                 embedding_dim: D, the length of their vectors
                 padding_idx: a token whose vector is zero at first and gets no gradient, so that
                 it stays so (default None)
                 weight_init: initializer (default None: N(0, 1))
                 rng: a generator or seed for the first values (default: see `nn.seed`)
    Raises       TypeError: when x does not hold integers
                 ValueError: for a token outside 0 … num_embeddings − 1 (its place is named)
    Source       Bengio et al. 2003; first values as in PyTorch
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        weight_init: Initializer | None = None,
        rng: Rng = None,
    ) -> None:
        if padding_idx is not None and padding_idx >= num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx must be in 0 … {num_embeddings - 1}, got {padding_idx!r}"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight_init = weight_init
        shape = (num_embeddings, embedding_dim)
        self.weight = Parameter(first_values(weight_init or Normal(1.0), shape, rng))
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        learned = "" if self.padding_idx is None else f" [v ≠ {self.padding_idx}]"
        return {
            "forward": "y = W[x]",
            "weight": f"dL/dWᵥ = Σₙ [xₙ = v]{learned} Gₙ",
            "input": "none: x is whole numbers",
        }

    @property
    def constant_entries(self) -> dict[str, int]:  # type: ignore[override]
        """The padding vector."""
        return {} if self.padding_idx is None else {"weight": self.padding_idx}

    def reading(self, x: Any = None) -> Reading:
        learned = "" if self.padding_idx is None else f" [v ≠ {self.padding_idx}]"
        return Reading(
            values={"x": None if x is None else x.reshape(-1)},
            components={
                "forward": "y[n,i] = W[x[n], i]",
                "weight": f"dL/dW[v,i] = Σ_n [x[n] = v]{learned} G[n,i]",
            },
            fold=in_rows,
        )

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_array(x, "int64")
        if x.dtype.kind not in "iu":
            raise TypeError(
                f"{self!r}: tokens must be integers, got dtype {x.dtype}; "
                "convert with x.astype(np.int64)"
            )
        if x.size and not (x.min() >= 0 and x.max() < self.num_embeddings):
            where = tuple(int(i) for i in np.argwhere((x < 0) | (x >= self.num_embeddings))[0])
            raise ValueError(
                f"{self!r}: token {x[where]} at {where} is outside 0 … {self.num_embeddings - 1}"
            )
        y = self.weight.data.take(x, axis=0)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output: np.ndarray) -> None:
        (x,) = self.saved()
        self.check_grad_output(grad_output, (*x.shape, self.embedding_dim))
        tokens, d_rows = x.ravel(), grad_output.reshape(-1, self.embedding_dim)
        if self.padding_idx is not None:
            kept = tokens != self.padding_idx
            tokens, d_rows = tokens[kept], d_rows[kept]
        add_rows(self.weight.grad, tokens, d_rows)  # each to its token's row
