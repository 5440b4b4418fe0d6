"""Smooth activations: each is its function and its derivative."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np

from nnlite.core.checks import check_axis
from nnlite.core.reading import Reading
from nnlite.core.slot import keeping
from nnlite.layers.activations.elementwise import Elementwise
from nnlite.layers.base import Layer
from nnlite.ops.special import (
    bend,
    in_blocks,
    minus_tanh,
    normal_tail,
    relu,
    sigmoid,
    sigmoid_and_rest,
    softplus,
)

FAR = 1e5  # for SiLU and Mish as good as ∞, which times a weight of 0 would be NaN


class Sigmoid(Elementwise):
    """The logistic function, from 0 to 1.

    Forward      y = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ)
    Backward     dL/dx = G ⊙ y r,  r = 1 − y = 1 / (1 + eˣ)
                 since y′ = eˣ / (1 + eˣ)²; the last form of r keeps its digits where y is near 1
    Shapes       any, y like x
    Saves        y, r
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = 1 / (1 + e⁻ˣ)", "input": "dL/dx = G ⊙ y / (1 + eˣ)"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        y, rest = sigmoid_and_rest(x)
        return y, y, rest

    def derivative(self, y: np.ndarray, rest: np.ndarray) -> np.ndarray:
        return y * rest


class Tanh(Elementwise):
    """The hyperbolic tangent, from −1 to 1.

    Forward      y = tanh(x)
    Backward     dL/dx = G / cosh² x,  1/cosh x = 2c / (1 + c²),  c = e^−|x|
                 since y = sinh/cosh and y′ = (cosh² − sinh²)/cosh² = 1/cosh². That is 1 − y², which
                 rounds to 0 where y rounds to ±1; in c nothing cancels and nothing overflows
    Shapes       any, y like x
    Saves        x
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = tanh(x)", "input": "dL/dx = G / cosh² x"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return np.tanh(x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        # in place, because this is every tanh's extra cost
        c = np.exp(-np.abs(x))
        s = c * c
        s += 1
        c /= s
        c += c
        c *= c  # (2c / (1 + c²))²
        return c


class Tanhshrink(Elementwise):
    """What tanh takes away: nearly 0 around 0, and x ∓ 1 far out.

    Forward      y = x − tanh(x)
    Backward     dL/dx = G ⊙ tanh² x, for y′ = 1 − 1/cosh² x = tanh² x
    Shapes       any, y like x
    Saves        x
    Source       standard result

    Near 0, where y ≈ x³/3, the difference would cancel; see `minus_tanh` in `ops/special.py`.
    """

    equations: ClassVar = {"forward": "y = x − tanh(x)", "input": "dL/dx = G ⊙ tanh² x"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return minus_tanh(x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x) ** 2


class SiLU(Elementwise):
    """The sigmoid linear unit, also called swish: x weighted by its own sigmoid.

    Forward      y = x σ(x)
    Backward     dL/dx = G ⊙ (σ + y r),  r = 1 − σ = 1 / (1 + eˣ)
                 the product rule: σ + x σ (1 − σ), and x σ = y
    Shapes       any, y like x
    Saves        y, σ(x), r
    Source       Elfwing et al. 2018; Ramachandran et al. 2017
    """

    equations: ClassVar = {"forward": "y = x σ(x)", "input": "dL/dx = G ⊙ (σ(x) + y / (1 + eˣ))"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        x = np.maximum(x, -FAR)
        s, rest = sigmoid_and_rest(x)
        y = x * s
        return y, y, s, rest

    def derivative(self, y: np.ndarray, s: np.ndarray, rest: np.ndarray) -> np.ndarray:
        return s + np.minimum(y, FAR) * rest


class GELU(Elementwise):
    """The Gaussian error linear unit: x weighted by how likely a normal variable is below it.

    Forward      y = x Φ(x) = max(x, 0) − a Q,  a = |x|,  Q = Φ(−a)
                 Φ the normal distribution function, Q its tail; since Φ(a) = 1 − Q, this holds
                 for both signs of x, and Q keeps the digits that 1 + erf(…) loses for x ≪ 0
                 or, with approximate="tanh", Φ(x) ≈ ½ (1 + tanh u) = σ(2u),
                 u = √(2/π) (x + 0.044715 x³)
    Backward     dL/dx = G ⊙ (Φ(x) + x φ(x)),  φ = Φ′ the density e^(−x²/2)/√(2π)
                 or, approximated, φ = Q (1 − Q) 2u′,  u′ = √(2/π) (1 + 0.134145 x²)
    Shapes       any, y like x
    Saves        Φ(x) + x φ(x)
    Args         approximate: "none" (default, the exact Φ) or "tanh"
    Raises       ValueError: for another `approximate`
    Source       Hendrycks & Gimpel 2016, equation 2 and below
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = approximate

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.approximate == "none":
            return {"forward": "y = x Φ(x)", "input": "dL/dx = G ⊙ (Φ(x) + x φ(x))"}
        u = "u = √(2/π) (x + 0.044715 x³)"
        slope = "u′ = √(2/π) (1 + 0.134145 x²)"
        return {
            "forward": f"y = ½ x (1 + tanh u),  {u}",
            "input": f"dL/dx = ½ G ⊙ (1 + tanh u + x u′ / cosh² u),  {u},  {slope}",
        }

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        count = 2 if keeping() else 1  # prediction needs no slope
        return in_blocks(lambda some: self._and_slope(some, count), x, count)

    def derivative(self, slope: np.ndarray) -> np.ndarray:
        return slope

    def _and_slope(self, x: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
        """y, and y′ when both are wanted."""
        z = np.clip(x, -40, 40)  # beyond, Q and φ are 0
        a = np.abs(z)
        tail, density = self._tail(a)
        y = relu(x) - a * tail  # max(x, 0) − a Q
        if count == 1:
            return (y,)
        cdf = np.abs((z > 0) - tail)  # Φ(x) is Q for x ≤ 0, and 1 − Q above
        return y, cdf + z * density

    def _tail(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Q = Φ(−a) and φ(a)."""
        if self.approximate == "none":
            return normal_tail(a)
        slope, square = math.sqrt(8 / math.pi), a * a  # slope: of 2u at 0
        tail = sigmoid(a * (-slope - 0.044715 * slope * square))
        return tail, tail * (1 - tail) * (slope + 0.134145 * slope * square)


class Mish(Elementwise):
    """x weighted by the tanh of its softplus.

    Forward      y = x t,  t = tanh(log(1 + eˣ)) = w / (w + 2),  w = eˣ (eˣ + 2)
                 since tanh s = (e²ˢ − 1) / (e²ˢ + 1), and e²ˢ = (1 + eˣ)² = 1 + w
    Backward     dL/dx = G ⊙ (t + x t′),  t′ = eˣ (1 + eˣ) r²,  r = 1 − t = 2 / (w + 2)
                 the product rule, and t = 1 − 2/(w + 2) has t′ = 2 w′ / (w + 2)² = w′ r²/2 with
                 w′ = 2 eˣ (eˣ + 1)
    Shapes       any, y like x
    Saves        min(x, 22), its exponential, t, r
    Source       Misra 2019, equation 1
    """

    equations: ClassVar = {
        "forward": "y = x tanh(log(1 + eˣ))",
        "input": "dL/dx = G ⊙ (t + x ⊙ (1 − t²) ⊙ σ(x)),  t = tanh(log(1 + eˣ))",
    }

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        x = np.maximum(x, -FAR)
        z = np.minimum(x, 22)  # beyond, t is 1 to the last bit
        e = np.exp(z)
        w = e * (e + 2)
        rest = 2 / (w + 2)
        t = 0.5 * w * rest
        return x * t, z, e, t, rest

    def derivative(
        self, x: np.ndarray, e: np.ndarray, t: np.ndarray, rest: np.ndarray
    ) -> np.ndarray:
        return t + x * (e * (1 + e) * (rest * rest))


class Softplus(Elementwise):
    """A smooth ReLU.

    Forward      y = log(1 + e^(βx)) / β = max(x, 0) + log(1 + e^(−β|x|)) / β
    Backward     dL/dx = G ⊙ σ(βx), since y′ = e^(βx) / (1 + e^(βx))
    Shapes       any, y like x
    Saves        x
    Args         beta: β > 0, the sharpness (default 1)
    Raises       ValueError: when β is not positive
    Source       Dugas et al. 2001
    """

    equations: ClassVar = {"forward": "y = log(1 + e^(βx)) / β", "input": "dL/dx = G ⊙ σ(βx)"}

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return relu(x) + bend(self._near(x)) / float(self.beta), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        return sigmoid(self._near(x))

    def _near(self, x: np.ndarray) -> np.ndarray:
        """βx where the curve bends: beyond ±1000 it is straight, and βx might overflow."""
        beta = float(self.beta)  # a NumPy scalar would turn float32 into float64
        return beta * np.clip(x, -1000 / beta, 1000 / beta)


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
        return -softplus(-x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        return sigmoid(-x)


class Softsign(Elementwise):
    """From −1 to 1 like tanh, but with tails that fade slowly.

    Forward      y = x / s,  s = 1 + |x|
    Backward     dL/dx = G / s²
                 the quotient rule: y′ = (s − x sign(x)) / s² = (1 + |x| − |x|) / s²
    Shapes       any, y like x
    Saves        s
    Source       Bergstra et al. 2009
    """

    equations: ClassVar = {"forward": "y = x / (1 + |x|)", "input": "dL/dx = G / (1 + |x|)²"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        largest = float(np.finfo(x.dtype).max)
        x = np.clip(x, -largest, largest)  # ∞/∞ would be NaN
        s = 1 + np.abs(x)
        return x / s, s

    def derivative(self, s: np.ndarray) -> np.ndarray:
        r = 1 / s  # s² might overflow
        return r * r


class GLU(Layer):
    """Gated linear unit: one half of the features, let through by the sigmoid of the other.

    Forward      x = [a, b] along the axis;  y = a ⊙ s,  s = σ(b)
    Backward     dL/da = G ⊙ s        dL/db = G ⊙ a ⊙ s r        dL/dx = [dL/da, dL/db]
                 the product rule, and σ′ = σ (1 − σ) = s r with r = 1 − s = 1 / (1 + e^b)
    Shapes       x (…, 2C, …) → y (…, C, …)
    Saves        a, s, r
    Args         axis: the axis that is halved (default −1)
    Raises       ValueError: when its length is odd, x has no such axis, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Dauphin et al. 2017, equation 1
    """

    equations: ClassVar = {
        "forward": "y = a ⊙ σ(b),  [a, b] = x",
        "input": "dL/dx = [G ⊙ s, G ⊙ a ⊙ s ⊙ (1 − s)],  s = σ(b),  [a, b] = x",
    }

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def reading(self, a: Any = None, s: Any = None, rest: Any = None) -> Reading:
        return Reading(values={"a": a, "s": s}, axes={"cut": self.axis})

    @property
    def mixed_axes(self) -> tuple[int, ...]:  # type: ignore[override]  # follows from an argument
        """The halves meet along the axis."""
        return (self.axis,)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        check_axis(self, self.axis, x.shape)
        if x.shape[self.axis] % 2:
            raise ValueError(f"{self!r}: axis {self.axis} must have even length, got {x.shape}")
        a, b = np.split(x, 2, axis=self.axis)
        s, rest = sigmoid_and_rest(b)
        y = a * s
        self.save_for_backward(a, s, rest)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        a, s, rest = self.saved()
        self.check_grad_output(grad_output, a.shape)
        d_a = grad_output * s
        d_b = d_a * (a * rest)
        return np.concatenate([d_a, d_b], axis=self.axis)
