"""Positions in a sequence: attention alone cannot tell one order from another."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import layout_hint
from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng
from nnlite.core.reading import Reading
from nnlite.initializers import Initializer, Normal, first_values
from nnlite.layers.sequences.decoding import Continuing


class _Positions(Continuing):
    """y_t = x_t + P_t, one row of P per time step, from the position at which x begins."""

    d_model: int

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> np.ndarray:
        """The rows of P from position `start` to before `stop`, (stop − start, D)."""
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        if x.ndim != 3 or x.shape[-1] != self.d_model:
            hint = layout_hint(x.shape, self.d_model, (3,))
            raise ValueError(f"{self!r}: expected (N, T, {self.d_model}), got {x.shape}{hint}")
        start = 0 if self.carried is None else self.carried.length
        stop = start + x.shape[1]
        y = x + self.rows(start, stop, x.dtype)
        if self.carried is not None:
            self.carried.length = stop
        self.save_for_backward(x.shape)
        return y


class PositionalEncoding(_Positions):
    """Add to each time step a fixed code of its position, sines and cosines of many wavelengths.

    Forward      y_t = x_t + P_t,  P_t,2i = sin(t / 10000^(2i/D)),  P_t,2i+1 = cos(t / 10000^(2i/D))
    Backward     dL/dx = G: P does not depend on x
    Shapes       x (N, T, D) → y (N, T, D)
    Saves        x's shape
    Args         d_model: D, the size of the last axis, ≥ 1
    Raises       ValueError: when x is not (N, T, D)
                 TypeError: when x does not hold floats
    Source       Vaswani et al. 2017, section 3.5
    """

    equations: ClassVar = {"forward": "y_t = x_t + P_t", "input": "dL/dx = G"}

    def __init__(self, d_model: int) -> None:
        self.d_model = d_model

    def reading(self, shape: Any = (1, 1)) -> Reading:
        codes = self.rows(0, shape[1], np.dtype(np.float64))
        return Reading(values={"P": codes}, components={"forward": "y[n,t,i] = x[n,t,i] + P[t,i]"})

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> np.ndarray:
        return _sinusoids(start, stop, self.d_model, dtype)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (shape,) = self.saved()
        self.check_grad_output(grad_output, shape)
        return grad_output


@functools.lru_cache(maxsize=8)
def _sinusoids(start: int, stop: int, d_model: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The codes of the positions from `start` to before `stop`, (stop − start, d_model)."""
    rates = 10_000.0 ** (-np.arange(0, d_model, 2) / d_model)  # (⌈D/2⌉,)
    angles = np.arange(start, stop)[:, None] * rates
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # (T, ⌈D/2⌉, 2)
    table = table.reshape(stop - start, -1)[:, :d_model].astype(dtype)
    table.flags.writeable = False
    return table


class LearnedPositionalEmbedding(_Positions):
    """Add to each time step a learned vector for its position.

    Forward      y_t = x_t + W_t
    Backward     dL/dW_t = Σₙ G_nt, for the T positions that x has; dL/dx = G
                 because every sample adds the same W_t
    Shapes       x (N, T, D) → y (N, T, D); weight (max_length, D)
    Saves        x's shape
    Args         max_length: the longest sequence, ≥ 1
                 d_model: D, the size of the last axis, ≥ 1
                 weight_init: an initializer (default None: N(0, 1), as for an embedding)
                 rng: a generator or seed for the first values (default: see `nn.seed`)
    Raises       ValueError: when x is not (N, T, D), or T is beyond max_length
                 TypeError: when x does not hold floats
    Source       Gehring et al. 2017, section 3.1
    """

    equations: ClassVar = {
        "forward": "y_t = x_t + W_t",
        "weight": "dL/dW_t = Σₙ G_nt",
        "input": "dL/dx = G",
    }

    def __init__(
        self,
        max_length: int,
        d_model: int,
        weight_init: Initializer | None = None,
        rng: Rng = None,
    ) -> None:
        self.max_length = max_length
        self.d_model = d_model
        self.weight_init = weight_init
        shape = (max_length, d_model)
        self.weight = Parameter(first_values(weight_init or Normal(1.0), shape, rng))

    def reading(self, *saved: Any) -> Reading:
        return Reading(
            components={
                "forward": "y[n,t,i] = x[n,t,i] + W[t,i]",
                "weight": "dL/dW[t,i] = Σ_n G[n,t,i]",
            }
        )

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> np.ndarray:
        if stop > self.max_length:
            raise ValueError(f"{self!r}: expected at most {self.max_length} time steps, got {stop}")
        return self.weight.data[start:stop]

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (shape,) = self.saved()
        self.check_grad_output(grad_output, shape)
        self.weight.grad[: shape[1]] += np.add.reduce(grad_output, 0)
        return grad_output
