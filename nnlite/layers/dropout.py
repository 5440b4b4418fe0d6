"""Dropout: noise in training that leaves the expectation as it is."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nnlite.checks import check_probability
from nnlite.layers.base import Layer
from nnlite.random import as_generator

BITS = 1 << 16


class Dropout(Layer):
    """Set each value to zero with probability p while training; the identity in eval mode.

    Forward      y = x ⊙ m,  m = 1/(1 − p) with probability 1 − p, else 0
                 so that E[y] = x, and eval mode needs no correction (inverted dropout)
    Backward     dL/dx = G ⊙ m, with the mask that forward drew
    Shapes       any, y like x
    Saves        m (None when nothing was dropped)
    Args         p: the probability of zero, 0 ≤ p < 1 (default 0.5)
                 rng: a generator or seed for the masks (default: see `nn.seed`)
    Raises       ValueError: when p is outside [0, 1)
                 TypeError: when x does not hold floats
    Source       Srivastava et al. 2014
    """

    equations: ClassVar = {"forward": "y = x ⊙ m", "input": "dL/dx = G ⊙ m"}

    def __init__(self, p: float = 0.5, rng: np.random.Generator | int | None = None) -> None:
        check_probability("Dropout: p", p)
        self.p = p
        self.rng = as_generator(rng)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """X with some values dropped and the others scaled up."""
        self.check_floating(x)
        mask = dropout_mask(x, self.p, self.rng) if self.training and self.p > 0 else None
        y = x if mask is None else x * mask
        self.save_for_backward(mask)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """The same mask on the gradient."""
        (mask,) = self.saved()
        return grad_output if mask is None else grad_output * mask


def dropout_mask(x: np.ndarray, p: float, rng: np.random.Generator) -> np.ndarray:
    """0 with probability p and 1/(1 − p) otherwise, in x's shape and dtype.

    16 random bits a value are drawn in half the time of a float; p is rounded to 2⁻¹⁶.
    """
    dropped = min(round(p * BITS), BITS - 1)
    kept = rng.integers(0, BITS, x.shape, np.uint16) >= dropped
    return kept * x.dtype.type(BITS / (BITS - dropped))
