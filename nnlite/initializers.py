"""First values for parameters: each initializer draws an array of a given shape.

Weights are laid out (…, in, out), so every axis but the last feeds one output: for `Linear`
(in, out) and for `Conv2d` (kH, kW, in/groups, out) alike

    fan_in  = product of all axes but the last       values summed into one output
    fan_out = receptive field · out                  outputs that one input reaches

The scaled ones (Glorot, He, LeCun) choose Var[w] so that signals keep their size from layer to
layer, forward (1/fan_in), backward (1/fan_out) or in between.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnlite.core.construction import Constructed
from nnlite.core.habits import missing_in
from nnlite.core.kinds import shown
from nnlite.core.random import Rng, as_generator
from nnlite.core.room import check_room, is_blank

__all__ = [
    "Constant",
    "Glorot",
    "He",
    "LeCun",
    "Normal",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
]

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

Shape = tuple[int, ...]
Distribution = Literal["uniform", "normal"]


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of this shape.

    Raises:
        ValueError: for fewer than two axes, where there is no input axis to count.
    """
    if len(shape) < 2:
        raise ValueError(f"fan_in and fan_out need a weight of at least 2 axes, got shape {shape}")
    *field, fan_in, fan_out = shape
    receptive = math.prod(field)
    return receptive * fan_in, receptive * fan_out


class Initializer(Constructed):
    """Draws the first values of a parameter: `initializer(shape, rng)` gives float64 values."""

    def __call__(self, shape: Shape, rng: Rng = None) -> np.ndarray:
        """An array of `shape`; `rng` as everywhere (a generator, a seed, or None)."""
        if 8 * math.prod(shape) > sys.maxsize:  # NumPy cannot even ask for it
            raise MemoryError(f"{self!r}: there is no room for an array with shape {shape}")
        return self.draw(shape, as_generator(rng))

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """The values; what a subclass writes."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(shape, rng)")


def first_values(initializer: Initializer, shape: Shape, rng: Rng = None) -> np.ndarray:
    """What the initializer draws, for a layer's parameter of this shape.

    Raises:
        ValueError: when it returns another shape, or is more than the file holds that the layer
            is built from.
    """
    check_room(shape)
    if is_blank():
        as_generator(rng)  # so that what is drawn later is the same as behind a constructor
        return np.broadcast_to(0.0, shape)
    values = np.asarray(initializer(shape, rng))
    if values.shape != shape:
        raise ValueError(
            f"{shown(initializer)}: expected values of shape {shape}, got {values.shape}"
        )
    return values


class Constant(Initializer):
    """The same value everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """`value` in every place."""
        return np.full(shape, float(self.value))


class Zeros(Initializer):
    """Zero everywhere: right for biases; weights of zero never tell their units apart."""

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Zeros."""
        return np.zeros(shape)


class Normal(Initializer):
    """N(mean, std²)."""

    def __init__(self, std: float = 0.01, mean: float = 0.0) -> None:
        self.std = std
        self.mean = mean

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Independent normal values."""
        return rng.normal(self.mean, self.std, shape)


class Uniform(Initializer):
    """U(low, high)."""

    def __init__(self, low: float = -0.05, high: float = 0.05) -> None:
        if low > high:
            raise ValueError(f"Uniform: low must not be above high, got {low} and {high}")
        self.low = low
        self.high = high

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Independent uniform values."""
        return rng.uniform(self.low, self.high, shape)


class TruncatedNormal(Initializer):
    """N(mean, std²) without its tails: values beyond 2 std from the mean are drawn again.

    The standard deviation of what remains is 0.88 std. PyTorch's `trunc_normal_` cuts at −2 and 2
    instead, whatever the std.
    """

    def __init__(self, std: float = 0.01, mean: float = 0.0) -> None:
        self.std = std
        self.mean = mean

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Normal values within two standard deviations."""
        z = rng.standard_normal(shape)
        while (outside := np.abs(z) > 2).any():
            z[outside] = rng.standard_normal(np.count_nonzero(outside))
        return self.mean + self.std * z


class _Scaled(Initializer):
    """Zero mean and Var[w] = gain² · `variance(fan_in, fan_out)`, uniform or normal."""

    def __init__(self, distribution: Distribution = "uniform", gain: float = 1.0) -> None:
        self.distribution = distribution
        self.gain = gain

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Var[w] before the gain."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Values with the wanted variance; U(−a, a) has variance a²/3."""
        std = self.gain * math.sqrt(self.variance(*fans(shape)))
        if self.distribution == "normal":
            return rng.normal(0.0, std, shape)
        bound = math.sqrt(3) * std
        return rng.uniform(-bound, bound, shape)


class Glorot(_Scaled):
    """Var[w] = 2 / (fan_in + fan_out): between keeping the forward and the backward signal.

    For tanh and sigmoid. Source: Glorot & Bengio 2010, equations 12 and 16.

    Args:
        distribution: "uniform" (default) or "normal".
        gain: factor on the standard deviation (default 1).
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """The mean of the two fans, inverted."""
        return 2 / (fan_in + fan_out)


class He(_Scaled):
    """Var[w] = 2 / fan_in: twice as much, because ReLU sets half of the signal to zero.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10.

    Args:
        distribution: "uniform" (default) or "normal".
        gain: factor on the standard deviation (default 1).
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Keeps the forward signal's size through ReLU."""
        return 2 / fan_in


class LeCun(_Scaled):
    """Var[w] = 1 / fan_in: keeps the variance of the forward signal.

    For linear layers and SELU. With `gain=3**-0.5` and "uniform" it is the default of PyTorch's
    layers, U(−1/√fan_in, 1/√fan_in). Source: LeCun et al. 1998, "Efficient BackProp", section 4.6.

    Args:
        distribution: "uniform" (default) or "normal".
        gain: factor on the standard deviation (default 1).
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Keeps the forward signal's size through a linear map."""
        return 1 / fan_in


class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    All axes but the last are taken as the rows. Products of many such matrices neither shrink nor
    grow a signal. Source: Saxe et al. 2014, section 3.

    Args:
        gain: factor on the matrix (default 1).
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        """Q of a QR decomposition, with signs that make it uniform over all rotations."""
        fans(shape)  # refuses a vector
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)
