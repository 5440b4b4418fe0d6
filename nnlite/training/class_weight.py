"""Weights by class, turned into one weight for each sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnlite.checks import in_range, is_whole

ClassWeight = Mapping[int, float] | ArrayLike


def of_classes(
    y: np.ndarray, prediction: np.ndarray, class_weight: ClassWeight, ignore_index: int | None
) -> np.ndarray:
    """Each sample's class weight.

    Args:
        y: integer classes, or rows of shares (one-hot, soft), whose class is the largest.
        prediction: what the model returns for y; of y's shape where y holds rows.
        class_weight: weights by class; classes that a mapping leaves out weigh 1.
        ignore_index: a class that the loss leaves out; it weighs 1.

    Raises:
        ValueError: when y holds no classes, for a list of another length, and for keys or weights
            that are none.
    """
    classes = _classes(y, prediction)
    ignored = classes == ignore_index
    kept = classes[~ignored]
    if kept.size and kept.min() < 0:
        raise ValueError(f"class_weight needs integer classes ≥ 0 in y, got {kept.min()}")
    # the last axis holds one score per class, or single scores for 0 and 1
    count = max(2, prediction.shape[-1] if prediction.ndim > 1 else 0, int(kept.max(initial=0)) + 1)
    table = np.ones(count)
    for number, value in _by_class(class_weight, count).items():
        if not is_whole(number) or not 0 <= number < count:
            raise ValueError(f"class_weight: {number!r} is not a class 0 … {count - 1}")
        if not in_range(value):
            raise ValueError(f"class_weight must be finite and ≥ 0, got {value!r} for {number}")
        table[number] = value
    return np.where(ignored, 1.0, table[np.where(ignored, 0, classes)])


def _by_class(class_weight: ClassWeight, count: int) -> Mapping[Any, Any]:
    """The weights as a mapping; a list must have one for each class."""
    if isinstance(class_weight, Mapping):
        return class_weight
    values = np.asarray(class_weight)
    if values.shape != (count,):
        raise ValueError(
            f"class_weight must be one number for each of {count} classes, or a mapping, "
            f"got {class_weight!r}"
        )
    return dict(enumerate(values.tolist()))


def _classes(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The class of each sample, as integers."""
    if y.shape == prediction.shape and y.ndim > 1 and y.shape[-1] > 1:
        if not np.allclose(y.sum(axis=-1), 1, atol=1e-3):
            raise ValueError("class_weight needs classes in y, or rows that sum to 1")
        return y.argmax(axis=-1)
    classes = y.astype(np.int64)
    if not np.array_equal(classes, y):
        raise ValueError("class_weight needs integer classes ≥ 0 in y")
    return classes
