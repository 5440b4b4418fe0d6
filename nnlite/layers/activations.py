"""Smooth activations: each is its function and its derivative."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from nnlite.checks import check_axis
from nnlite.layers.base import Layer
from nnlite.layers.elementwise import Elementwise
from nnlite.ops.special import erf, relu, sigmoid, softplus


class Sigmoid(Elementwise):
    """The logistic function, from 0 to 1.

    Forward      y = 1 / (1 + e⁻ˣ)
    Backward     dL/dx = G ⊙ y (1 − y)
                 since y′ = e⁻ˣ / (1 + e⁻ˣ)² and e⁻ˣ / (1 + e⁻ˣ) = 1 − y
    Shapes       any, y like x
    Saves        y
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = 1 / (1 + e⁻ˣ)", "input": "dL/dx = G ⊙ y ⊙ (1 − y)"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """σ(x)."""
        y = sigmoid(x)
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        """Y (1 − y)."""
        return y * (1 - y)


class Tanh(Elementwise):
    """The hyperbolic tangent, from −1 to 1.

    Forward      y = tanh(x)
    Backward     dL/dx = G ⊙ (1 − y²)
                 since y = sinh/cosh and y′ = (cosh² − sinh²)/cosh²
    Shapes       any, y like x
    Saves        y
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = tanh(x)", "input": "dL/dx = G ⊙ (1 − y²)"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """tanh(x)."""
        y = np.tanh(x)
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        """1 − y²."""
        return 1 - y * y


class SiLU(Elementwise):
    """The sigmoid linear unit, also called swish: x weighted by its own sigmoid.

    Forward      y = x σ(x)
    Backward     dL/dx = G ⊙ (σ + y (1 − σ))
                 the product rule: σ + x σ (1 − σ), and x σ = y
    Shapes       any, y like x
    Saves        y, σ(x)
    Source       Elfwing et al. 2018; Ramachandran et al. 2017
    """

    equations: ClassVar = {"forward": "y = x σ(x)", "input": "dL/dx = G ⊙ (σ + y ⊙ (1 − σ))"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """X σ(x)."""
        s = sigmoid(x)
        y = x * s
        return y, y, s

    def derivative(self, y: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Σ + y (1 − σ)."""
        return s + y * (1 - s)


class GELU(Elementwise):
    """The Gaussian error linear unit: x weighted by how likely a normal variable is below it.

    Forward      y = x Φ(x),  Φ(x) = ½ (1 + erf(x/√2)) the normal distribution function
                 or, with approximate="tanh", Φ(x) ≈ ½ (1 + tanh u), u = √(2/π) (x + 0.044715 x³)
    Backward     dL/dx = G ⊙ (Φ(x) + x φ(x)),  φ = Φ′ the density e^(−x²/2)/√(2π)
                 or, approximated, φ = ½ (1 − tanh² u) u′, u′ = √(2/π) (1 + 0.134145 x²)
    Shapes       any, y like x
    Saves        x, Φ(x)
    Args         approximate: "none" (default, the exact erf) or "tanh"
    Raises       ValueError: for another `approximate`
    Source       Hendrycks & Gimpel 2016, equation 2 and below
    """

    equations: ClassVar = {"forward": "y = x Φ(x)", "input": "dL/dx = G ⊙ (Φ(x) + x φ(x))"}

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f'GELU: approximate must be "none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """X Φ(x)."""
        if self.approximate == "tanh":
            z = np.clip(x, -20, 20)  # where tanh is ±1 to the last bit, and x³ cannot overflow
            u = math.sqrt(2 / math.pi) * z * (1 + 0.044715 * z * z)
            cdf = 0.5 * (1 + np.tanh(u))
        else:
            cdf = 0.5 * (1 + erf(math.sqrt(0.5) * x))
        return x * cdf, x, cdf

    def derivative(self, x: np.ndarray, cdf: np.ndarray) -> np.ndarray:
        """Φ(x) + x φ(x)."""
        z = np.clip(x, -20, 20)  # the density is 0 beyond
        if self.approximate == "tanh":
            # with Φ = ½ (1 + t), ½ (1 − t²) = 2 Φ (1 − Φ)
            du = math.sqrt(2 / math.pi) * (1 + 0.134145 * z * z)
            density = 2 * cdf * (1 - cdf) * du
        else:
            density = np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
        return cdf + z * density


class Mish(Elementwise):
    """x weighted by the tanh of its softplus.

    Forward      y = x t,  t = tanh(s),  s = log(1 + eˣ)
    Backward     dL/dx = G ⊙ (t + x (1 − t²) σ(x))
                 the product rule, with dt/ds = 1 − t² and ds/dx = σ(x)
    Shapes       any, y like x
    Saves        x, t
    Source       Misra 2019, equation 1
    """

    equations: ClassVar = {
        "forward": "y = x tanh(log(1 + eˣ))",
        "input": "dL/dx = G ⊙ (t + x ⊙ (1 − t²) ⊙ σ(x))",
    }

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """X t."""
        t = np.tanh(softplus(x))
        return x * t, x, t

    def derivative(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """T + x (1 − t²) σ(x)."""
        return t + x * ((1 - t * t) * sigmoid(x))


class Softplus(Elementwise):
    """A smooth ReLU.

    Forward      y = log(1 + e^(βx)) / β
    Backward     dL/dx = G ⊙ σ(βx), since y′ = e^(βx) / (1 + e^(βx))
    Shapes       any, y like x
    Saves        x
    Args         beta: β > 0, the sharpness (default 1)
    Raises       ValueError: when β is not positive
    Source       Dugas et al. 2001
    """

    equations: ClassVar = {"forward": "y = log(1 + e^(βx)) / β", "input": "dL/dx = G ⊙ σ(βx)"}

    def __init__(self, beta: float = 1.0) -> None:
        if not beta > 0:
            raise ValueError(f"Softplus: beta must be positive, got {beta}")
        self.beta = beta

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """log(1 + e^(βx)) / β, and x itself beyond 100/β."""
        beta, z = float(self.beta), self._near(x)
        return softplus(beta * z) / beta + relu(x - z), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        """σ(βx)."""
        return sigmoid(float(self.beta) * self._near(x))

    def _near(self, x: np.ndarray) -> np.ndarray:
        """X where the curve bends; beyond ±100/β it is straight, and βx might overflow."""
        bound = 100 / float(self.beta)  # a NumPy scalar would turn float32 into float64
        return np.clip(x, -bound, bound)


class LogSigmoid(Elementwise):
    """The logarithm of the sigmoid, exact where the sigmoid itself rounds to zero.

    Forward      y = log σ(x) = −log(1 + e⁻ˣ)
    Backward     dL/dx = G ⊙ σ(−x), since (log σ)′ = σ′/σ = 1 − σ(x) = σ(−x)
    Shapes       any, y like x
    Saves        x
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = −log(1 + e⁻ˣ)", "input": "dL/dx = G ⊙ σ(−x)"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """−softplus(−x)."""
        return -softplus(-x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        """σ(−x)."""
        return sigmoid(-x)


class Softsign(Elementwise):
    """From −1 to 1 like tanh, but with tails that fade slowly.

    Forward      y = x / (1 + |x|)
    Backward     dL/dx = G ⊙ r²,  r = 1 / (1 + |x|)
                 since y = x r and r′ = −sign(x) r², y′ = r − |x| r² = r² (1 + |x| − |x|)
    Shapes       any, y like x
    Saves        r
    Source       Bergstra et al. 2009
    """

    equations: ClassVar = {"forward": "y = x / (1 + |x|)", "input": "dL/dx = G / (1 + |x|)²"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """X r."""
        r = 1 / (1 + np.abs(x))
        return x * r, r

    def derivative(self, r: np.ndarray) -> np.ndarray:
        """r²."""
        return r * r


class GLU(Layer):
    """Gated linear unit: one half of the features, let through by the sigmoid of the other.

    Forward      x = [a, b] along the axis;  y = a ⊙ s,  s = σ(b)
    Backward     dL/da = G ⊙ s        dL/db = G ⊙ a ⊙ s (1 − s)        dL/dx = [dL/da, dL/db]
                 the product rule, and σ′ = σ (1 − σ)
    Shapes       x (…, 2C, …) → y (…, C, …)
    Saves        a, s
    Args         axis: the axis that is halved (default −1)
    Raises       ValueError: when its length is odd, x has no such axis, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Dauphin et al. 2017, equation 1
    """

    equations: ClassVar = {
        "forward": "y = a ⊙ σ(b), [a, b] = x",
        "input": "dL/dx = [G ⊙ s, G ⊙ a ⊙ s ⊙ (1 − s)], s = σ(b)",
    }

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    @property
    def mixed_axes(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from an argument
        """The halves meet along the axis."""
        return (self.axis,)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """A ⊙ σ(b)."""
        self.check_floating(x)
        check_axis(self, self.axis, x.shape)
        if x.shape[self.axis] % 2:
            raise ValueError(f"{self!r}: axis {self.axis} must have even length, got {x.shape}")
        a, b = np.split(x, 2, axis=self.axis)
        s = sigmoid(b)
        y = a * s
        self.save_for_backward(a, s)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """[dL/da, dL/db]."""
        a, s = self.saved()
        self.check_grad_output(grad_output, a.shape)
        d_a = grad_output * s
        return np.concatenate([d_a, d_a * (a * (1 - s))], axis=self.axis)
