"""Bringing data into the form that models like."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.inputs import as_numbers, check_finite


@checked
def one_hot(y: np.ndarray, num_classes: int | None = None) -> np.ndarray:
    """Classes as rows with a single 1.

    Args:
        y: integer classes of any shape (…).
        num_classes: C (default None: the largest class + 1).

    Returns:
        float32 (…, C).

    Raises:
        TypeError: when the classes are not integers.
        ValueError: for a class that is negative or not below C; the first one is named.
    """
    y = as_numbers("y", y)
    if y.dtype.kind not in "iu":
        raise TypeError(f"y must hold integer classes, got dtype {y.dtype}")
    count = int(y.max()) + 1 if num_classes is None else num_classes
    outside = (y < 0) | (y >= count)
    if outside.any():
        where = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(f"y holds class {y[where]} at {where}, outside 0 … {count - 1}")
    return (y[..., None] == np.arange(count)).astype(np.float32)


def standardize(train: np.ndarray, *others: np.ndarray) -> Any:
    """Give every feature mean 0 and standard deviation 1, by the statistics of `train` alone.

    The other arrays are moved and scaled by the same numbers: were theirs to enter, the test set
    would leak into training. A feature that never varies is only centred.

    Args:
        train: (N, …); statistics are over axis 0.
        others: arrays with the same features, such as the test set.

    Returns:
        `train` standardized, or a tuple of it and the others. Floats keep their dtype, integers
        become float32.

    Raises:
        TypeError: for what does not hold numbers.
        ValueError: for values that are not finite, or other features than `train`'s.
    """
    arrays: list[np.ndarray] = []
    for index, values in enumerate((train, *others)):
        name = "train" if index == 0 else f"array {index}"
        array = as_numbers(name, values)
        check_finite(name, array)
        if arrays and array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{name} has features {array.shape[1:]}, train has {arrays[0].shape[1:]}"
            )
        arrays.append(array)
    train = arrays[0]
    constant = train.min(axis=0) == train.max(axis=0)
    # a constant's mean and deviation may be off by a rounding error
    mean = np.where(constant, train[0], train.mean(axis=0, dtype=np.float64))
    std = np.where(constant, 1, train.std(axis=0, dtype=np.float64))
    scaled = tuple(_in_floats((array - mean) / std, array.dtype) for array in arrays)
    return scaled if others else scaled[0]


def _in_floats(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """In the dtype that the data had, or float32 for what were integers."""
    return values.astype(dtype if dtype.kind == "f" else np.float32)
