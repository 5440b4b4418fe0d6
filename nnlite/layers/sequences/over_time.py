"""From a sequence to one vector: its last step, or the mean of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from nnlite.core.padded import Padded, plain, within
from nnlite.core.reading import Reading, Shape
from nnlite.layers.base import Layer


class _OverTime(Layer):
    """What the layers below share: they take sequences, padded or not."""

    accepts_padded = True

    def unpack(self, x: np.ndarray | Padded) -> np.ndarray:
        """The data, checked to have a time axis."""
        data = plain(x)
        self.check_array(data)
        if data.ndim < 3 or data.shape[1] == 0:
            raise ValueError(f"{self!r}: expected (N, T, …, D) with T ≥ 1, got {data.shape}")
        return data

    def steps(self, shape: Shape) -> Callable[[Shape], Shape]:
        """How equations see x of that shape, as (N, T, D), and y and G, as one step of it."""
        return lambda each: (*(each[:2] if each == shape else (each[0], 1)), -1)


class LastStep(_OverTime):
    """The last step of every sequence.

    Forward      yₙ = x at n and t = lengthₙ − 1, which is T − 1 without padding
    Backward     dL/dx = G at that step and 0 at all others, which do not reach y
    Shapes       x (N, T, …, D) → y (N, …, D)
    Saves        x's shape and the lengths
    Raises       ValueError: when x has no time axis
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = x_T", "input": "dL/dxₜ = [t = T] G"}

    def reading(self, shape: Any = (1, 1), last: Any = -1) -> Reading:
        ends = np.full(shape[0], shape[1] - 1) if np.ndim(last) == 0 else last
        return Reading(
            values={"T": ends},
            components={
                "forward": "y[n,s,i] = x[n, T[n], i]",
                "input": "dL/dx[n,t,i] = [t = T[n]] G[n,0,i]",
            },
            fold=self.steps(shape),
        )

    def forward(self, x: np.ndarray | Padded) -> np.ndarray:
        data = self.unpack(x)
        last = x.lengths - 1 if isinstance(x, Padded) else -1
        y = data[np.arange(len(data)), last]
        self.save_for_backward(data.shape, last)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        shape, last = self.saved()
        self.check_grad_output(grad_output, (shape[0], *shape[2:]))
        d_x = np.zeros(shape, grad_output.dtype)
        d_x[np.arange(len(d_x)), last] = grad_output
        return d_x


class MeanOverTime(_OverTime):
    """The mean of every sequence's steps.

    Forward      yₙ = (1/Lₙ) Σₜ x_nt over its own Lₙ steps, all T without padding
    Backward     dL/dx_nt = Gₙ/Lₙ, and 0 in the padding: every step has the same share in y
    Shapes       x (N, T, …, D) → y (N, …, D)
    Saves        each step's share, x's shape and the lengths
    Raises       TypeError: when x does not hold floats
                 ValueError: when x has no time axis
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = Σₜ xₜ / L", "input": "dL/dxₜ = G / L"}

    def reading(self, share: Any = 1, shape: Any = (), lengths: Any = None) -> Reading:
        return Reading(
            values={} if lengths is not None else {"L": shape[1]},
            components={
                "forward": "y[n,s,i] = Σ_t x[n,t,i] / L",
                "input": "dL/dx[n,t,i] = G[n,0,i] / L",
            },
            fold=self.steps(shape),
        )

    def forward(self, x: np.ndarray | Padded) -> np.ndarray:
        data = self.unpack(x)
        self.check_floating(data)
        share: Any = 1 / data.shape[1]
        lengths = None
        if isinstance(x, Padded):  # 1/L of each sequence, (N, 1, 1, …)
            lengths = x.lengths
            share = (1 / lengths).astype(data.dtype).reshape(-1, *[1] * (data.ndim - 1))
        y = (within(data, lengths) * share).sum(axis=1)
        self.save_for_backward(share, data.shape, lengths)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        share, shape, lengths = self.saved()
        self.check_grad_output(grad_output, (shape[0], *shape[2:]))
        d_x = np.broadcast_to(grad_output[:, None] * share, shape).copy()
        return within(d_x, lengths)
