"""The affine map, y = x W + b."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.core.reading import Reading, in_rows
from nnlite.initializers import Initializer, Uniform, first_values
from nnlite.layers.base import Layer
from nnlite.ops.products import sum_rows, times, times_transposed


class Linear(Layer):
    """Affine map of the last axis.

    Forward      y = x W + b
    Backward     with G = dL/dy
                 dL/dW = xᵀ G        dL/db = Σₙ Gₙ        dL/dx = G Wᵀ
                 because y_no = Σᵢ x_ni W_io + b_o  ⇒  ∂y_no/∂W_io = x_ni, ∂y_no/∂b_o = 1 and
                 ∂y_no/∂x_ni = W_io; the chain rule sums over what each one feeds:
                 dL/dW_io = Σₙ x_ni G_no,  dL/db_o = Σₙ G_no,  dL/dx_ni = Σₒ G_no W_io
    Shapes       x (N, …, in) → y (N, …, out); weight (in, out); bias (out,)
                 further axes are samples too: they are folded into N
    Saves        x
    Args         in_features, out_features: sizes of the last axis before and after, ≥ 1
                 bias: whether to add b (default True); without it `bias` is None
                 weight_init, bias_init: initializers (default None: U(−1/√in, 1/√in) for both)
                 rng: a generator or seed for the first values (default: see `nn.seed`)
    Raises       ValueError: when x's last axis is not in_features, or G not in y's shape; when
                 an initializer returns another shape
                 TypeError: when x does not hold floats
    Source       standard result; first values as in PyTorch
    """

    mixed_axes = (-1,)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        rng: Rng = None,
    ) -> None:
        rng = as_generator(rng)
        default = Uniform(-1 / math.sqrt(in_features), 1 / math.sqrt(in_features))
        self.in_features = in_features
        self.out_features = out_features
        self.weight_init = weight_init
        self.bias_init = bias_init
        shape = (in_features, out_features)
        self.weight = Parameter(first_values(weight_init or default, shape, rng))
        self.bias = Parameter(first_values(bias_init or default, shape[1:], rng)) if bias else None

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        weight, back = "dL/dW = xᵀ G", "dL/dx = G Wᵀ"
        if self.bias is None:
            return {"forward": "y = x W", "weight": weight, "input": back}
        bias = "dL/db = Σₙ Gₙ"
        return {"forward": "y = x W + b", "weight": weight, "bias": bias, "input": back}

    def reading(self, *saved: Any) -> Reading:
        return Reading(fold=in_rows)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        if x.ndim < 2 or x.shape[-1] != self.in_features:
            hint = self._hint(x.shape)
            raise ValueError(f"{self!r}: expected (N, {self.in_features}), got {x.shape}{hint}")
        y = times(x, self.weight.data)
        if self.bias is not None:
            y += self.bias.data
        self.save_for_backward(x)
        return y

    def _hint(self, shape: tuple[int, ...]) -> str:
        """What to add to an error about an input of this shape."""
        if len(shape) == 1:
            if self.in_features == 1:
                return "; one feature for each sample is a column: x[:, None]"
            return "; for one sample use x[None]" if shape[0] == self.in_features else ""
        features = math.prod(shape[1:])
        if features == self.in_features:
            return "; put a Flatten() before it"
        return f"; an image has {features} features after Flatten()" if len(shape) == 4 else ""

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        (x,) = self.saved()
        self.check_grad_output(grad_output, (*x.shape[:-1], self.out_features))
        rows, d_rows = x, grad_output
        if x.ndim > 2:
            rows = x.reshape(-1, self.in_features)  # (N·…, in)
            d_rows = grad_output.reshape(-1, self.out_features)  # (N·…, out)
        self.weight.add_grad(rows.T, times=d_rows)  # xᵀ G, (in, out)
        if self.bias is not None:
            self.bias.add_grad(sum_rows(d_rows))  # Σₙ Gₙ, (out,)
        return times_transposed(grad_output, self.weight.data) if self.needs_input_grad else None

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """One for each sample and weight."""
        return math.prod(x_shape) * self.out_features
