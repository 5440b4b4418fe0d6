"""The weight of each sample: its own, times that of its class."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.inputs import as_numbers, check_finite
from nnlite.losses.base import Loss
from nnlite.training.feeding.class_weight import ClassWeight, of_classes


def weights_of(
    name: str,
    y: Any,
    sample_weight: Any,
    class_weight: ClassWeight | None,
    one: np.ndarray,
    loss: Loss,
) -> np.ndarray | None:
    """Sample weights times the weights of the samples' classes (for which all of y is read).

    `one` is a prediction of one sample, whose shape tells the number of classes.
    """
    weight = None
    if sample_weight is not None:
        weight = as_numbers(name, sample_weight)
        check_finite(name, weight)
        if weight.shape != y.shape[: weight.ndim]:
            raise ValueError(f"{name} has shape {weight.shape}, which does not match y's {y.shape}")
        if weight.min() < 0:
            raise ValueError(f"{name} must not be negative, got {weight.min()}")
    if class_weight is None:
        return weight
    by_class = of_classes(y[:], like(one, y), class_weight, ignored_class(loss))
    return by_class if weight is None else _product(weight, by_class)


def like(one: np.ndarray, y: Any) -> np.ndarray:
    """Predictions for all of y, in the shape of `one`."""
    return np.broadcast_to(one[:1], (len(y), *one.shape[1:]))


def ignored_class(loss: Loss) -> int | None:
    """The class that the loss leaves out, if there is one."""
    return getattr(loss, "ignore_index", None)


def _product(weight: np.ndarray, by_class: np.ndarray) -> np.ndarray:
    """Both multiplied, the same along the axes that one of them lacks."""
    axes = max(weight.ndim, by_class.ndim)
    first, second = (a.reshape(a.shape + (1,) * (axes - a.ndim)) for a in (weight, by_class))
    return first * second
