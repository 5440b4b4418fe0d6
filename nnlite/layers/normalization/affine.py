"""A scale and a shift of each feature, as normalizations have them, on their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.checks import BATCHED, layout_hint
from nnlite.core.parameter import Parameter
from nnlite.core.reading import Reading, in_rows
from nnlite.layers.base import Layer
from nnlite.ops.products import sum_rows


class Affine(Layer):
    """Scale and shift each feature.

    Forward      y = γ ⊙ x + β
    Backward     dL/dγ = Σₙ G ⊙ x        dL/dβ = Σₙ G        dL/dx = G ⊙ γ
                 because y_nc = γ_c x_nc + β_c: ∂y/∂γ = x, ∂y/∂β = 1 and ∂y/∂x = γ, for each c by
                 itself
    Shapes       x (N, …, C), y like x; weight (C,); bias (C,)
    Saves        x
    Args         num_features: C
                 bias: whether there is a β (default True)
    Raises       ValueError: when x's last axis is not C, or G not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result

    At first γ = 1 and β = 0, so that y = x.
    """

    mixed_axes = (-1,)  # each place along it is a feature of its own

    def __init__(self, num_features: int, bias: bool = True) -> None:
        self.num_features = num_features
        self.weight = Parameter(np.broadcast_to(1.0, num_features))
        self.bias = Parameter(np.broadcast_to(0.0, num_features)) if bias else None

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        learned = {"weight": "dL/dγ = Σₙ G ⊙ x"}
        if self.bias is None:
            return {"forward": "y = γ ⊙ x", **learned, "input": "dL/dx = G ⊙ γ"}
        learned["bias"] = "dL/dβ = Σₙ G"
        return {"forward": "y = γ ⊙ x + β", **learned, "input": "dL/dx = G ⊙ γ"}

    def reading(self, *saved: Any) -> Reading:
        return Reading(fold=in_rows)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        if x.ndim < 2 or x.shape[-1] != self.num_features:
            hint = layout_hint(x.shape, self.num_features, BATCHED)
            raise ValueError(f"{self!r}: expected (N, …, {self.num_features}), got {x.shape}{hint}")
        y = x * self.weight.data
        if self.bias is not None:
            y += self.bias.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        (x,) = self.saved()
        self.check_grad_output(grad_output, x.shape)
        self.weight.add_grad(sum_rows((grad_output * x).reshape(-1, self.num_features)))
        if self.bias is not None:
            self.bias.add_grad(sum_rows(grad_output.reshape(-1, self.num_features)))
        return grad_output * self.weight.data if self.needs_input_grad else None
