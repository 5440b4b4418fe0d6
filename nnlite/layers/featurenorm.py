"""Normalizations over the last axis: each sample, or each time step, by itself."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nnlite.checks import check_whole
from nnlite.layers.base import Layer
from nnlite.parameter import Parameter


class FeatureNorm(Layer):
    """What `LayerNorm` and `RMSNorm` share: y = γ ⊙ x̂ (+ β), x̂ = c / √(mean c² + ε).

    c is x, or x without its mean. Centring is a symmetric projection, so it is its own backward:
    dL/dx = centred(dL/dc), with dL/dc = r (D − x̂ mean(D ⊙ x̂)), D = G ⊙ γ, r = 1/√(mean c² + ε).
    """

    weight: Parameter | None
    bias: Parameter | None = None

    def __init__(self, num_features: int, eps: float | None, affine: bool) -> None:
        check_whole(f"{type(self).__name__}: num_features", num_features)
        self.num_features = num_features
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(np.ones(num_features)) if affine else None

    def centred(self, x: np.ndarray) -> np.ndarray:
        """c, given x; and dL/dx, given dL/dc."""
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y = γ ⊙ x̂ + β."""
        self.check_floating(x)
        if x.ndim < 2 or x.shape[-1] != self.num_features:
            raise ValueError(f"{self!r}: expected (N, …, {self.num_features}), got {x.shape}")
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        c = self.centred(x)
        rstd = 1 / np.sqrt(np.vecdot(c, c)[..., None] / self.num_features + eps)  # (N, …, 1)
        x_hat = c * rstd
        y = x_hat if self.weight is None else x_hat * self.weight.data
        if self.bias is not None:
            y += self.bias.data
        self.save_for_backward(x_hat, rstd)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        """dL/dγ, dL/dβ, and dL/dx through x and the statistics."""
        x_hat, rstd = self.saved()
        axes = tuple(range(x_hat.ndim - 1))
        if self.weight is not None:
            self.weight.accumulate(np.add.reduce, grad_output * x_hat, axes)
        if self.bias is not None:
            self.bias.accumulate(np.add.reduce, grad_output, axes)
        if not self.needs_input_grad:
            return None
        d_x_hat = grad_output if self.weight is None else grad_output * self.weight.data
        along = np.vecdot(d_x_hat, x_hat)[..., None] / self.num_features  # (N, …, 1)
        d_x = self.centred(d_x_hat - x_hat * along)
        d_x *= rstd
        return d_x


class LayerNorm(FeatureNorm):
    """Standardize the features of each sample by itself.

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = γ ⊙ x̂ + β,  μ, σ² over the D features
    Backward     dL/dγ = Σₙ G ⊙ x̂        dL/dβ = Σₙ G        and with D = dL/dx̂ = G ⊙ γ
                 dL/dx = r (D − mean D − x̂ mean(D ⊙ x̂))
                 because ∂μ/∂xⱼ = 1/D, ∂σ²/∂xⱼ = 2 (xⱼ − μ)/D and ∂r/∂σ² = −½ r³ give
                 ∂x̂ᵢ/∂xⱼ = r (δᵢⱼ − 1/D − x̂ᵢ x̂ⱼ / D), and dL/dxⱼ = Σᵢ Dᵢ ∂x̂ᵢ/∂xⱼ
    Shapes       x (N, …, D), y like x; weight (D,); bias (D,)
    Saves        x̂, r
    Args         num_features: D, the size of the last axis
                 eps: ε, added to the variance (default 1e-5)
                 affine: whether γ and β are learned (default True); without, both are None
    Raises       ValueError: when x's last axis is not D
                 TypeError: when x does not hold floats
    Source       Ba, Kiros & Hinton 2016, "Layer Normalization", equation 3
    """

    equations: ClassVar = {
        "forward": "y = γ ⊙ x̂ + β,  x̂ = (x − μ) / √(σ² + ε)",
        "weight": "dL/dγ = Σₙ G ⊙ x̂",
        "bias": "dL/dβ = Σₙ G",
        "input": "dL/dx = (D − mean D − x̂ mean(D ⊙ x̂)) / √(σ² + ε),  D = G ⊙ γ",
    }

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(num_features, eps, affine)
        self.bias = Parameter(np.zeros(num_features)) if affine else None

    def centred(self, x: np.ndarray) -> np.ndarray:
        """X without the mean of its last axis."""
        return x - np.add.reduce(x, axis=-1, keepdims=True) / self.num_features


class RMSNorm(FeatureNorm):
    """Divide the features of each sample by their root mean square; nothing is centred.

    Forward      x̂ = x r,  r = 1/√(mean x² + ε),  y = γ ⊙ x̂
    Backward     dL/dγ = Σₙ G ⊙ x̂        dL/dx = r (D − x̂ mean(D ⊙ x̂)),  D = G ⊙ γ
                 because ∂r/∂xⱼ = −r³ xⱼ/D gives ∂x̂ᵢ/∂xⱼ = r (δᵢⱼ − x̂ᵢ x̂ⱼ / D): what would only
                 make x longer is taken out of the gradient
    Shapes       x (N, …, D), y like x; weight (D,)
    Saves        x̂, r
    Args         num_features: D, the size of the last axis
                 eps: ε, added to the mean square (default None: the machine epsilon of x's dtype)
                 affine: whether γ is learned (default True); without, weight is None
    Raises       ValueError: when x's last axis is not D
                 TypeError: when x does not hold floats
    Source       Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", equation 4
    """

    equations: ClassVar = {
        "forward": "y = γ ⊙ x̂,  x̂ = x / √(mean x² + ε)",
        "weight": "dL/dγ = Σₙ G ⊙ x̂",
        "input": "dL/dx = (D − x̂ mean(D ⊙ x̂)) / √(mean x² + ε),  D = G ⊙ γ",
    }

    def __init__(self, num_features: int, eps: float | None = None, affine: bool = True) -> None:
        super().__init__(num_features, eps, affine)

    def centred(self, x: np.ndarray) -> np.ndarray:
        """X as it is."""
        return x
