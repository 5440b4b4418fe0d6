"""Noise in training that leaves the expectation as it is: dropout, and normal noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.random import Rng, as_generator
from nnlite.core.ranks import drawn
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.ops.dropout import dropout, mask_of_bits, random_bits, threshold


class Dropout(Layer):
    """Set each value to zero with probability p while training; the identity in eval mode.

    Forward      y = x ⊙ m,  m = 1/(1 − p) with probability 1 − p, else 0
                 so that E[y] = x, and eval mode needs no correction (inverted dropout)
    Backward     dL/dx = G ⊙ m, with the mask that forward drew
    Shapes       any, y like x
    Saves        x's shape, m (None when nothing was dropped)
    Args         p: the probability of zero, 0 ≤ p < 1 (default 0.5)
                 rng: a generator or seed for the masks (default: see `nn.seed`)
    Raises       ValueError: when p is outside [0, 1), or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Srivastava et al. 2014
    """

    def __init__(self, p: float = 0.5, rng: Rng = None) -> None:
        self.p = p
        self.rng = as_generator(rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self._drops():
            return {"forward": "y = x ⊙ m", "input": "dL/dx = G ⊙ m"}
        return {"forward": "y = x", "input": "dL/dx = G"}

    def reading(self, shape: tuple[int, ...] = (), mask: np.ndarray | None = None) -> Reading:
        return Reading(values={"m": mask})

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        y, mask = x, None
        if self._drops():
            bits = drawn(random_bits, self.mask_shape(x), self.rng)
            y, mask = dropout(x, bits, threshold(self.p))
        self.save_for_backward(x.shape, mask)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        shape, mask = self.saved()
        self.check_grad_output(grad_output, shape)
        return grad_output if mask is None else grad_output * mask

    def _drops(self) -> bool:
        return self.training and self.p > 0

    def mask_shape(self, x: np.ndarray) -> tuple[int, ...]:
        """The mask's shape: a draw for each value."""
        return x.shape


def dropout_mask(
    shape: tuple[int, ...], p: float, rng: np.random.Generator, dtype: np.dtype[Any]
) -> np.ndarray:
    """0 with probability p and 1/(1 − p) otherwise."""
    return mask_of_bits(drawn(random_bits, shape, rng), threshold(p), dtype)


class ChannelDropout(Dropout):
    """Set whole channels to zero with probability p while training; the identity in eval mode.

    Neighbouring values of a channel are nearly equal, so dropping single values hides little.

    Forward      y = x ⊙ m,  one m for each sample and channel: 1/(1 − p) with probability 1 − p,
                 else 0, so that E[y] = x
    Backward     dL/dx = G ⊙ m, with the mask that forward drew
    Shapes       x (N, L, C) or (N, H, W, C), y like x; m (N, 1, C) or (N, 1, 1, C)
    Saves        x's shape, m (None when nothing was dropped)
    Args         p: the probability of zero, 0 ≤ p < 1 (default 0.5)
                 rng: a generator or seed for the masks (default: see `nn.seed`)
    Raises       ValueError: when p is outside [0, 1), x has another number of axes, or G is not
                 in y's shape
                 TypeError: when x does not hold floats
    Source       Tompson et al. 2015, "Efficient Object Localization" (SpatialDropout)
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        if x.ndim not in (3, 4):
            raise ValueError(f"{self!r}: expected (N, L, C) or (N, H, W, C), got {x.shape}")
        return super().forward(x)

    def mask_shape(self, x: np.ndarray) -> tuple[int, ...]:
        """The mask's shape: a draw for each sample and channel."""
        return (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])


class GaussianNoise(Layer):
    """Add normal noise while training; the identity in eval mode.

    Forward      y = x + n,  n normal with mean 0 and standard deviation std
    Backward     dL/dx = G: the noise does not depend on x
    Shapes       any, y like x
    Saves        x's shape
    Args         std: the noise's standard deviation, ≥ 0
                 rng: a generator or seed for the noise (default: see `nn.seed`)
    Raises       ValueError: when std is negative, or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Bishop 1995, "Training with Noise is Equivalent to Tikhonov Regularization"
    """

    def __init__(self, std: float, rng: Rng = None) -> None:
        self.std = std
        self.rng = as_generator(rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        forward = "y = x + n" if self._is_noisy() else "y = x"
        return {"forward": forward, "input": "dL/dx = G"}

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        y = x
        if self._is_noisy():
            # the same for every dtype
            noise = drawn(self.rng.standard_normal, x.shape, np.float32)
            y = x + noise.astype(x.dtype, copy=False) * float(self.std)
        self.save_for_backward(x.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (shape,) = self.saved()
        self.check_grad_output(grad_output, shape)
        return grad_output

    def _is_noisy(self) -> bool:
        return self.training and self.std > 0
