"""What a row of the case tables says, and how to build what it describes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import nnlite as nn


class LayerCase(NamedTuple):
    make: Callable[[], nn.Layer]
    shape: tuple[int, ...]
    kinks: tuple[float, ...] = ()  # inputs stay away from these
    training: bool = True
    by_sample: bool = True  # whether each sample is treated by itself
    by_difference: bool = True  # False where another row differs only in size, and this is large
    whole_range: bool = False  # safe for every float
    moves_only: bool = False  # does no arithmetic, so takes integers too


class LossCase(NamedTuple):
    make: Callable[[], nn.Loss]
    prediction: Callable[[np.random.Generator], Any]  # an array, or a tuple of them
    target: Callable[[np.random.Generator], np.ndarray]


def each(function, prediction):
    """A function of a loss's prediction, or of each where there are several."""
    if isinstance(prediction, tuple):
        return tuple(function(one) for one in prediction)
    return function(prediction)


def all_of(prediction) -> tuple[np.ndarray, ...]:
    """A prediction's arrays."""
    return prediction if isinstance(prediction, tuple) else (prediction,)


def layer_input(case: LayerCase, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """An input for the row, at least 0.05 from every kink."""
    x = 2 * np.random.default_rng(seed).standard_normal(case.shape)
    for kink in case.kinks:
        near = np.abs(x - kink) < 0.05
        x[near] = kink + 0.05 * np.where(x[near] < kink, -1, 1)
    return x.astype(dtype)


def layer_of(case: LayerCase, dtype=np.float64) -> nn.Layer:
    return case.make().astype(dtype).train(case.training)


def channels_first(a: np.ndarray) -> np.ndarray:
    """The same values, with the last axis second in memory."""
    second = min(1, a.ndim - 1)
    return np.moveaxis(np.moveaxis(a, -1, second).copy(), second, -1)


MEMORY_ORDERS = [np.asfortranarray, channels_first]


class Cut(nn.Layer):
    """Values side by side, (N, …), as arrays of these shapes: a model of several outputs."""

    def __init__(self, *shapes):
        self.shapes = shapes

    def forward(self, x):
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.shapes])[:-1]
        parts = np.split(x, ends, axis=1)
        self.save_for_backward()
        return tuple(p.reshape(len(x), *s) for p, s in zip(parts, self.shapes, strict=True))

    def backward(self, grad_output):
        self.saved()
        return np.concatenate([g.reshape(len(g), -1) for g in grad_output], axis=1)


def loss_check(prediction):
    """(a layer, its input) that give this prediction, to check a loss with."""
    if not isinstance(prediction, tuple):
        return nn.Identity(), prediction
    x = np.concatenate([p.reshape(len(p), -1) for p in prediction], axis=1)
    return Cut(*(p.shape[1:] for p in prediction)), x
