"""Several outputs as one, side by side, for checks that look at one array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnlite.layers.base import Layer
from nnlite.losses.base import Loss, Reduction


def joined(layer: Layer, loss: Loss, x: Any, target: Any) -> tuple[Layer, Loss]:
    """A layer that lays its outputs for x side by side, (N, …), and the loss of what it returns.

    Raises:
        TypeError: when the layer does not return a tuple of arrays (or of tuples of them).
    """
    with layer.evaluation():
        y = layer.forward(x)
    arrays: list[Any] = list(_arrays(y)) if isinstance(y, tuple) else []
    if not arrays or not all(isinstance(each, np.ndarray) for each in arrays):
        raise TypeError(
            f"check_gradients: {loss!r} takes a tuple of arrays, and {layer.label()} returns "
            f"{type(y).__name__}"
        )
    shapes = _shapes(y)
    return _Joined(layer, shapes), _OfJoined(loss, target, shapes)


def as_it_is(layer: Layer) -> Layer:
    """The layer whose outputs were laid side by side, or the layer."""
    return layer.model if isinstance(layer, _Joined) else layer


def as_given(loss: Loss) -> Loss:
    """The loss of outputs that were laid side by side, or the loss."""
    return loss.loss if isinstance(loss, _OfJoined) else loss


class _Joined(Layer):
    """A layer, its outputs side by side."""

    def __init__(self, model: Layer, shapes: Any) -> None:
        self.model = model
        self._shapes = shapes

    def forward(self, x: Any) -> np.ndarray:
        y = _side_by_side(self.model.forward(x))
        self.save_for_backward()
        return y

    def backward(self, grad_output: np.ndarray) -> Any:
        self.saved()
        self.model.needs_input_grad = self.needs_input_grad
        return self.model.backward(_cut(grad_output, self._shapes))

    def __repr__(self) -> str:
        return repr(self.model)


class _OfJoined(Loss):
    """A loss of the outputs that lie side by side, with its target."""

    def __init__(self, loss: Loss, target: Any, shapes: Any) -> None:
        self.loss = loss
        self.target = target
        self._shapes = shapes

    @property
    def reduction(self) -> Reduction:  # type: ignore[override]
        return self.loss.reduction

    def __call__(self, prediction: np.ndarray, target: Any, sample_weight: Any = None) -> Any:
        return self.loss(_cut(prediction, self._shapes), self.target, sample_weight)

    def backward(self, grad_output: np.ndarray | None = None) -> np.ndarray:
        return _side_by_side(self.loss.backward(grad_output))

    def __repr__(self) -> str:
        return repr(self.loss)


def _shapes(y: Any) -> Any:
    """The shape of each array behind its first axis."""
    return tuple(map(_shapes, y)) if isinstance(y, tuple) else list(y.shape[1:])


def _arrays(y: Any) -> Iterator[Any]:
    """The arrays in a tuple, of tuples inside too."""
    if isinstance(y, tuple):
        for each in y:
            yield from _arrays(each)
    else:
        yield y


def _side_by_side(y: Any) -> np.ndarray:
    """(N, …) of all arrays in a tuple."""
    return np.concatenate([each.reshape(len(each), -1) for each in _arrays(y)], axis=1)


def _cut(y: np.ndarray, shapes: Any) -> Any:
    """The tuple again."""
    place = 0

    def next_one(shape: Any) -> Any:
        nonlocal place
        if isinstance(shape, tuple):
            return tuple(map(next_one, shape))
        start, place = place, place + int(np.prod(shape, dtype=int))
        return y[:, start:place].reshape(len(y), *shape)

    return next_one(shapes)
