"""Activations made of pieces: linear on one side, something else on the other.

At a kink, where the derivative does not exist, each uses the same one-sided value as PyTorch.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.core.ranks import drawn
from nnlite.core.reading import Reading
from nnlite.layers.activations.elementwise import Elementwise
from nnlite.layers.base import Layer
from nnlite.ops.special import expm1_negative, relu


class ReLU(Elementwise):
    """Rectified linear unit: what is negative becomes zero.

    Forward      y = max(x, 0)
    Backward     dL/dx = G ⊙ [y > 0]
                 the slope is 1 where x > 0 and 0 where x < 0; at the kink, 0
    Shapes       any, y like x
    Saves        y (its sign is x's wherever the slope is not 0)
    Source       Nair & Hinton 2010
    """

    kind = "rectifier"
    equations: ClassVar = {"forward": "y = max(x, 0)", "input": "dL/dx = G ⊙ [y > 0]"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        y = relu(x)
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        return y > 0


class LeakyReLU(Elementwise):
    """A ReLU that leaks: a small slope where x is negative.

    Forward      y = x for x > 0, a x otherwise
    Backward     dL/dx = G for x > 0, a G otherwise
    Shapes       any, y like x
    Saves        x
    Args         negative_slope: a (default 0.01)
    Source       Maas et al. 2013
    """

    kind = "rectifier"
    equations: ClassVar = {
        "forward": "y = x [x > 0] + a x [x ≤ 0]",
        "input": "dL/dx = G ⊙ ([x > 0] + a [x ≤ 0])",
    }

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return x * self.derivative(x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.negative_slope))


class PReLU(Layer):
    """A leaky ReLU whose slope is learned.

    Forward      y = x for x > 0, a x otherwise
    Backward     dL/dx = G for x > 0, a G otherwise
                 dL/da = Σ G ⊙ min(x, 0), summed over all values that share the slope:
                 ∂y/∂a is x where x ≤ 0 and 0 elsewhere
    Shapes       x (N, …, C), y like x; weight (1,) or (C,)
    Saves        x
    Args         num_parameters: 1, one slope for all (default), or C, one per channel
                 init: the first slope (default 0.25)
    Raises       ValueError: when num_parameters is not a whole number ≥ 1, or (unless it is 1)
                 not x's last axis; or when G does not have y's shape
                 TypeError: when x does not hold floats
    Source       He et al. 2015, "Delving Deep into Rectifiers", equations 1 and 8
    """

    kind = "rectifier"
    equations: ClassVar = {
        "forward": "y = x [x > 0] + a x [x ≤ 0]",
        "weight": "dL/da = Σ G ⊙ min(x, 0)",
        "input": "dL/dx = G ⊙ ([x > 0] + a [x ≤ 0])",
    }

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(np.broadcast_to(float(init), num_parameters))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        if self.num_parameters != 1 and x.shape[-1:] != self.weight.shape:
            raise ValueError(f"{self!r}: expected (N, …, {self.num_parameters}), got {x.shape}")
        y = np.maximum(x, 0) + self.weight.data * np.minimum(x, 0)
        y = y.reshape(x.shape)  # a single number gets an axis from the weight
        self.save_for_backward(x)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (x,) = self.saved()
        self.check_grad_output(grad_output, x.shape)
        d_slope = grad_output * np.minimum(x, 0)  # (N, …, C)
        self.weight.add_grad(d_slope.reshape(-1, self.num_parameters).sum(axis=0))
        d_x = np.where(x > 0, grad_output, self.weight.data * grad_output)
        return d_x.reshape(x.shape)


class RReLU(Elementwise):
    """A leaky ReLU that draws the slope of every negative value, and takes the mean in eval mode.

    Forward      y = x for x > 0, a x otherwise
                 training: each a is drawn evenly between lower and upper
                 eval: a = (lower + upper) / 2
    Backward     dL/dx = G for x > 0, a G otherwise, with the slopes that forward drew
    Shapes       any, y like x
    Saves        the slopes: 1 where x > 0, a elsewhere
    Args         lower, upper: the bounds of a (default 1/8 and 1/3)
                 rng: a generator or seed for the slopes (default: see `nn.seed`)
    Raises       ValueError: when lower is above upper
    Source       Xu et al. 2015, "Empirical Evaluation of Rectified Activations", section 2.4
    """

    kind = "rectifier"
    equations: ClassVar = {
        "forward": "y = x [x > 0] + a x [x ≤ 0]",
        "input": "dL/dx = G ⊙ ([x > 0] + a [x ≤ 0])",
    }

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, rng: Rng = None) -> None:
        if not lower <= upper:
            raise ValueError(f"RReLU: expected lower ≤ upper, got {lower} and {upper}")
        self.lower = lower
        self.upper = upper
        self.rng = as_generator(rng)

    def reading(self, shape: tuple[int, ...] = (), slope: Any = None) -> Reading:
        return Reading(values={"a": slope})

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        slope = np.where(x > 0, x.dtype.type(1), self._slopes(x))
        return x * slope, slope

    def derivative(self, slope: np.ndarray) -> np.ndarray:
        return slope

    def _slopes(self, x: np.ndarray) -> np.ndarray:
        """a for every value, in x's dtype."""
        lower, upper = float(self.lower), float(self.upper)
        if not self.training:
            return np.full(x.shape, (lower + upper) / 2, x.dtype)
        share = drawn(self.rng.random, x.shape, np.float32)  # the same for every dtype
        return lower + share.astype(x.dtype, copy=False) * (upper - lower)


class ReLU6(Elementwise):
    """A ReLU that stops at 6.

    Forward      y = min(max(x, 0), 6)
    Backward     dL/dx = G ⊙ [0 < y < 6]
    Shapes       any, y like x
    Saves        y
    Source       Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10"
    """

    kind = "rectifier"
    equations: ClassVar = {"forward": "y = min(max(x, 0), 6)", "input": "dL/dx = G ⊙ [0 < y < 6]"}

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        y = np.clip(x, 0, 6)
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        return (y > 0) & (y < 6)


class _Exponential(Elementwise):
    """y = λx for x > 0 and λα (e^(x/τ) − 1) otherwise: ELU, SELU and CELU choose λ, α and τ.

    For x ≤ 0 the derivative is λα/τ e^(x/τ). It is also (y + λα)/τ, but where y is close to its
    limit −λα, that is a difference of nearly equal numbers.
    """

    scale: float = 1.0  # λ
    temperature: float = 1.0  # τ
    alpha: float

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        # NumPy scalars, where an argument is one, would turn float32 into float64
        alpha, temperature = float(self.alpha), float(self.temperature)
        # below −1000 τ the exponential is 0; the bounds keep x/τ from overflowing
        below = np.clip(x, -1000 * temperature, 0) / temperature
        y = self.scale * (relu(x) + alpha * expm1_negative(below))
        return y, y, below

    def derivative(self, y: np.ndarray, below: np.ndarray) -> np.ndarray:
        at_zero = self.scale * float(self.alpha) / float(self.temperature)
        slope = at_zero * np.exp(below)
        if at_zero == self.scale:  # no kink: e⁰ = 1 gives the slope above 0 as well
            return slope
        return np.where(y > 0, y.dtype.type(self.scale), slope)


class ELU(_Exponential):
    """Exponential linear unit: falls smoothly to −α.

    Forward      y = x for x > 0, α (eˣ − 1) otherwise
    Backward     dL/dx = G for x > 0, G α eˣ otherwise
    Shapes       any, y like x
    Saves        y, min(x, 0)
    Args         alpha: α > 0 (default 1)
    Raises       ValueError: when α is not positive
    Source       Clevert et al. 2016, equation 15
    """

    equations: ClassVar = {
        "forward": "y = x [x > 0] + α (eˣ − 1) [x ≤ 0]",
        "input": "dL/dx = G ⊙ ([x > 0] + α eˣ [x ≤ 0])",
    }

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class SELU(_Exponential):
    """A scaled ELU whose fixed point is mean 0 and variance 1.

    Forward      y = λ x for x > 0, λ α (eˣ − 1) otherwise, λ = 1.0507…, α = 1.6732…
    Backward     dL/dx = λ G for x > 0, λα eˣ G otherwise
    Shapes       any, y like x
    Saves        y, min(x, 0)
    Source       Klambauer et al. 2017, "Self-Normalizing Neural Networks", equation 2
    """

    equations: ClassVar = {
        "forward": "y = λ (x [x > 0] + α (eˣ − 1) [x ≤ 0])",
        "input": "dL/dx = G ⊙ (λ [x > 0] + λα eˣ [x ≤ 0])",
    }

    scale = 1.0507009873554804934193349852946
    alpha = 1.6732632423543772848170429916717


class CELU(_Exponential):
    """An ELU with a continuous derivative for every α.

    Forward      y = x for x > 0, α (e^(x/α) − 1) otherwise
    Backward     dL/dx = G for x > 0, G e^(x/α) otherwise
    Shapes       any, y like x
    Saves        y, min(x, 0)/α
    Args         alpha: α > 0 (default 1)
    Raises       ValueError: when α is not positive
    Source       Barron 2017, "Continuously Differentiable Exponential Linear Units"
    """

    equations: ClassVar = {
        "forward": "y = x [x > 0] + α (e^(x/α) − 1) [x ≤ 0]",
        "input": "dL/dx = G ⊙ ([x > 0] + e^(x/α) [x ≤ 0])",
    }

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    @property
    def temperature(self) -> float:  # type: ignore[override]  # α serves as τ too
        """α, which serves as τ too."""
        return self.alpha


class HardTanh(Elementwise):
    """The identity between two bounds.

    Forward      y = min(max(x, low), high)
    Backward     dL/dx = G ⊙ [low < x < high]
    Shapes       any, y like x
    Saves        y
    Args         min_val, max_val: the bounds low and high (default −1 and 1)
    Raises       ValueError: when the lower bound is not below the upper
    Source       Collobert 2004
    """

    equations: ClassVar = {
        "forward": "y = min(max(x, low), high)",
        "input": "dL/dx = G ⊙ [low < y < high]",
    }

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        if not min_val < max_val:
            raise ValueError(f"HardTanh: expected min_val < max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        # NumPy scalars, where an argument is one, would turn float32 into float64
        y = np.clip(x, float(self.min_val), float(self.max_val))
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        low, high = y.dtype.type(self.min_val), y.dtype.type(self.max_val)
        return (y > low) & (y < high)


class HardSigmoid(Elementwise):
    """A sigmoid of three straight pieces.

    Forward      y = min(max(x + 3, 0), 6) / 6
    Backward     dL/dx = G/6 for −3 < x < 3, 0 otherwise
    Shapes       any, y like x
    Saves        y
    Source       Courbariaux et al. 2015; the slope 1/6 as in PyTorch and MobileNetV3
    """

    equations: ClassVar = {
        "forward": "y = min(max(x + 3, 0), 6) / 6",
        "input": "dL/dx = G ⊙ [0 < y < 1] / 6",
    }

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        y = np.clip(x + 3, 0, 6) / 6  # the sum is exact near its root
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        return ((y > 0) & (y < 1)) * y.dtype.type(1 / 6)


class HardSwish(Elementwise):
    """A SiLU with the hard sigmoid: y = x · hardsigmoid(x).

    Forward      y = x min(max(x + 3, 0), 6) / 6
    Backward     dL/dx = 0 for x ≤ −3, G (x/3 + ½) between, G for x ≥ 3
                 the product rule on x (x/6 + ½)
    Shapes       any, y like x
    Saves        x
    Source       Howard et al. 2019, "Searching for MobileNetV3", section 5.2
    """

    equations: ClassVar = {
        "forward": "y = x min(max(x + 3, 0), 6) / 6",
        "input": "dL/dx = G ⊙ ((x/3 + ½) [−3 < x < 3] + [x ≥ 3])",
    }

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        z = np.maximum(x, -3)  # below, y is 0, and x might be infinite
        return z * (np.minimum(z + 3, 6) / 6), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        between = (x + 1.5) / 3  # x/3 + ½
        between[x <= -3] = 0
        between[x >= 3] = 1
        return between


class Threshold(Elementwise):
    """What does not exceed a threshold is replaced by a value.

    Forward      y = x for x > θ, v otherwise
    Backward     dL/dx = G ⊙ [x > θ]: v does not depend on x
    Shapes       any, y like x
    Saves        x
    Args         threshold: θ
                 value: v
    Source       Hahnloser et al. 2000, where θ = v = 0
    """

    kind = "rectifier"
    equations: ClassVar = {
        "forward": "y = x [x > θ] + v [x ≤ θ]",
        "input": "dL/dx = G ⊙ [x > θ]",
    }

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = threshold
        self.value = value

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        # only what is at or below θ is replaced, so that NaN stays
        return np.where(x <= float(self.threshold), x.dtype.type(self.value), x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        return x > float(self.threshold)


class Hardshrink(Elementwise):
    """Values near zero become zero; the others stay.

    Forward      y = x for |x| > λ, 0 otherwise
    Backward     dL/dx = G ⊙ [|x| > λ]
    Shapes       any, y like x
    Saves        x
    Args         lambd: λ ≥ 0 (default 0.5)
    Raises       ValueError: when λ is negative
    Source       Donoho & Johnstone 1994, "Ideal Spatial Adaptation by Wavelet Shrinkage", where it
                 is the hard threshold η_H
    """

    kind = "rectifier"
    equations: ClassVar = {"forward": "y = x [|x| > λ]", "input": "dL/dx = G ⊙ [|x| > λ]"}

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return np.where(np.abs(x) <= float(self.lambd), x.dtype.type(0), x), x

    def derivative(self, x: np.ndarray) -> np.ndarray:
        return np.abs(x) > float(self.lambd)


class Softshrink(Elementwise):
    """Values move towards zero by λ, and those nearer than that become zero.

    Forward      y = x − min(max(x, −λ), λ): x − λ for x > λ, x + λ for x < −λ, 0 between
    Backward     dL/dx = G ⊙ [y ≠ 0]
    Shapes       any, y like x
    Saves        y
    Args         lambd: λ ≥ 0 (default 0.5)
    Raises       ValueError: when λ is negative
    Source       Donoho & Johnstone 1994, "Ideal Spatial Adaptation by Wavelet Shrinkage", where it
                 is the soft threshold η_S
    """

    kind = "rectifier"
    equations: ClassVar = {
        "forward": "y = x − min(max(x, −λ), λ)",
        "input": "dL/dx = G ⊙ [y ≠ 0]",
    }

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        y = x - np.clip(x, -float(self.lambd), float(self.lambd))
        return y, y

    def derivative(self, y: np.ndarray) -> np.ndarray:
        return y != 0
