"""Normalizations over the last axis, or the last axes: each sample, or each time step, by itself.

Several axes are normalized as one, of all their features.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.checks import BATCHED, check_sizes, layout_hint
from nnlite.core.parameter import Parameter
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.ops.features import normalized, normalized_backward
from nnlite.ops.products import sum_rows


class FeatureNorm(Layer):
    """What `LayerNorm` and `RMSNorm` share: y = γ ⊙ x̂ (+ β), x̂ = c / √(mean c² + ε).

    c is x, or x without its mean. Centring is a symmetric projection, so it is its own backward:
    dL/dx = centred(dL/dc), with dL/dc = r (D − x̂ mean(D ⊙ x̂)), D = G ⊙ γ, r = 1/√(mean c² + ε).
    There is one r for each row, so it may follow the centring; and mean(D ⊙ x̂) is (G ⊙ x̂) γ / C,
    a product with the vector γ, for C features.
    """

    weight: Parameter | None
    bias: Parameter | None = None
    centre: bool  # whether c is x without its mean

    def __init__(
        self, num_features: int | tuple[int, ...], eps: float | None, affine: bool
    ) -> None:
        self.num_features = num_features
        axes = len(num_features) if isinstance(num_features, (tuple, list)) else 1
        self._shape = check_sizes(f"{type(self).__name__}: num_features", num_features, axes)
        self._size = math.prod(self._shape)
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(np.broadcast_to(1.0, num_features)) if affine else None

    @property
    def mixed_axes(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from an argument
        """Those of the features."""
        return tuple(range(-len(self._shape), 0))

    def reading(self, shape: Any = (), x_hat: Any = None, rstd: Any = None) -> Reading:
        size = "√(σ² + ε)" if self.centre else "√(mean x² + ε)"
        return Reading(
            values={"x̂": x_hat, size: None if rstd is None else 1 / rstd},
            fold=lambda whole: (math.prod(whole) // self._size, self._size),
            shapes={"γ": (self._size,), "β": (self._size,)},
        )

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        axes = len(self._shape)
        if x.ndim <= axes or x.shape[-axes:] != self._shape:
            hint = layout_hint(x.shape, self._shape[-1], BATCHED) if axes == 1 else ""
            expected = ", ".join(map(str, self._shape))
            raise ValueError(f"{self!r}: expected (N, …, {expected}), got {x.shape}{hint}")
        eps = float(np.finfo(x.dtype).eps if self.eps is None else self.eps)
        weight = None if self.weight is None else self.weight.data.reshape(-1)
        bias = None if self.bias is None else self.bias.data.reshape(-1)
        rows = x.reshape(-1, self._size)  # (R, C)
        y, x_hat, rstd = normalized(rows, weight, bias, eps, self.centre)
        self.save_for_backward(x.shape, x_hat, rstd)
        return y.reshape(x.shape)

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        shape, x_hat, rstd = self.saved()
        self.check_grad_output(grad_output, shape)
        d_rows = grad_output.reshape(x_hat.shape)
        weight = None if self.weight is None else self.weight.data.reshape(-1)
        d_x, d_weight = normalized_backward(
            d_rows, x_hat, rstd, weight, self.centre, self.needs_input_grad
        )
        if self.weight is not None and d_weight is not None:
            self.weight.add_grad(d_weight.reshape(self._shape))  # Σₙ G ⊙ x̂
        if self.bias is not None:
            self.bias.add_grad(sum_rows(d_rows).reshape(self._shape))  # Σₙ G
        return None if d_x is None else d_x.reshape(shape)


class LayerNorm(FeatureNorm):
    """Standardize the features of each sample by itself.

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = γ ⊙ x̂ + β,  μ, σ² over the C features
    Backward     dL/dγ = Σₙ G ⊙ x̂        dL/dβ = Σₙ G        and with D = dL/dx̂ = G ⊙ γ
                 dL/dx = r (D − mean D − x̂ mean(D ⊙ x̂))
                 because ∂μ/∂xⱼ = 1/C, ∂σ²/∂xⱼ = 2 (xⱼ − μ)/C and ∂r/∂σ² = −½ r³ give
                 ∂x̂ᵢ/∂xⱼ = r (δᵢⱼ − 1/C − x̂ᵢ x̂ⱼ / C), and dL/dxⱼ = Σᵢ Dᵢ ∂x̂ᵢ/∂xⱼ
    Shapes       x (N, …, C), y like x; weight (C,); bias (C,)
    Saves        x's shape, x̂, r
    Args         num_features: C, the size of the last axis, or a tuple with those of the last axes
                 (weight and bias then have that shape, and C is its size)
                 eps: ε, added to the variance (default 1e-5)
                 affine: whether γ and β are learned (default True); without, both are None
                 bias: whether there is a β, when affine (default True)
    Raises       ValueError: when x's last axes are not these, or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Ba, Kiros & Hinton 2016, "Layer Normalization", equation 3
    """

    centre = True

    def __init__(
        self,
        num_features: int | tuple[int, ...],
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, affine)
        shape = self._shape
        self.bias = Parameter(np.broadcast_to(0.0, shape)) if affine and bias else None

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        x_hat = "x̂ = (x − μ) / √(σ² + ε),  μ = mean x,  σ² = mean (x − μ)²"
        back = "dL/dx = ({0} − mean {0} − x̂ mean({0} ⊙ x̂)) / √(σ² + ε)"
        if not self.affine:
            return {"forward": f"y = x̂,  {x_hat}", "input": back.format("G")}
        shift, learned = "", {"weight": "dL/dγ = Σₙ G ⊙ x̂"}
        if self.bias is not None:
            shift, learned = " + β", {**learned, "bias": "dL/dβ = Σₙ G"}
        return {
            "forward": f"y = γ ⊙ x̂{shift},  {x_hat}",
            **learned,
            "input": f"{back.format('D')},  D = G ⊙ γ",
        }


class RMSNorm(FeatureNorm):
    """Divide the features of each sample by their root mean square; nothing is centred.

    Forward      x̂ = x r,  r = 1/√(mean x² + ε),  y = γ ⊙ x̂
    Backward     dL/dγ = Σₙ G ⊙ x̂        dL/dx = r (D − x̂ mean(D ⊙ x̂)),  D = G ⊙ γ
                 because ∂r/∂xⱼ = −r³ xⱼ/C gives ∂x̂ᵢ/∂xⱼ = r (δᵢⱼ − x̂ᵢ x̂ⱼ / C): what would only
                 make x longer is taken out of the gradient
    Shapes       x (N, …, C), y like x; weight (C,)
    Saves        x's shape, x̂, r
    Args         num_features: C, the size of the last axis, or a tuple with those of the last axes
                 (weight then has that shape, and C is its size)
                 eps: ε, added to the mean square (default None: the machine epsilon of x's dtype)
                 affine: whether γ is learned (default True); without, weight is None
    Raises       ValueError: when x's last axes are not these, or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", equation 4
    """

    centre = False

    def __init__(
        self,
        num_features: int | tuple[int, ...],
        eps: float | None = None,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, eps, affine)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        x_hat = "x̂ = x / √(mean x² + ε)"
        back = "dL/dx = ({0} − x̂ mean({0} ⊙ x̂)) / √(mean x² + ε)"
        if not self.affine:
            return {"forward": f"y = x̂,  {x_hat}", "input": back.format("G")}
        return {
            "forward": f"y = γ ⊙ x̂,  {x_hat}",
            "weight": "dL/dγ = Σₙ G ⊙ x̂",
            "input": f"{back.format('D')},  D = G ⊙ γ",
        }
