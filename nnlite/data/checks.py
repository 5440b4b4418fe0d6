"""What has to be true of data before a model sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.padded import Padded


def as_numbers(name: str, values: Any) -> np.ndarray:
    """An array of numbers with at least one row.

    Raises:
        TypeError: for strings, objects and anything else that is not a number.
        ValueError: when there is no row.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"{name} is empty: expected at least one row, got shape {array.shape}")
    return array


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity.

    Raises:
        ValueError: names the first row that is not finite.
    """
    # A sum is finite unless an entry is not (or it overflows): one pass, no array of flags.
    with np.errstate(over="ignore", invalid="ignore"):
        if array.dtype.kind != "f" or np.isfinite(array.sum(dtype=np.float64)):
            return
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        bad = array[row][~np.isfinite(array[row])].flat[0]
        raise ValueError(f"{name} is not finite: row {row} contains {bad}")


def as_input(name: str, values: Any, dtype: DTypeLike) -> Any:
    """Data for a model: numbers, finite, floats in the model's dtype and integers as they are."""
    if isinstance(values, Padded):
        return Padded(as_input(name, values.data, dtype), values.lengths)
    array = as_numbers(name, values)
    check_finite(name, array)
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
