"""Weights by class, turned into one weight for each sample."""

from __future__ import annotations

from collections.abc import Mapping

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
        ValueError: when y holds no classes, for a class that a list does not have, and for keys or
            weights that are none.
    """
    classes = _classes(y, prediction)
    ignored = classes == ignore_index
    kept = classes[~ignored]
    if kept.size and kept.min() < 0:
        raise ValueError(f"class_weight needs integer classes ≥ 0 in y, got {kept.min()}")
    highest = int(kept.max(initial=0))
    if isinstance(class_weight, Mapping):
        by_class = dict(class_weight)
    else:
        by_class = dict(enumerate(np.asarray(class_weight).tolist()))
        if highest >= len(by_class):
            raise ValueError(
                f"class_weight has {len(by_class)} entries, but y holds class {highest}"
            )
    for number, value in by_class.items():
        if not is_whole(number) or number < 0:
            raise ValueError(f"class_weight needs classes (whole numbers ≥ 0), got {number!r}")
        if not in_range(value):
            raise ValueError(f"class_weight must be finite and ≥ 0, got {value!r} for {number}")
    table = np.ones(max([highest, *by_class]) + 1)
    for number, value in by_class.items():
        table[number] = value
    return np.where(ignored, 1.0, table[np.where(ignored, 0, classes)])


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
