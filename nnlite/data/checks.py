"""What has to be true of data before a model sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.checks import as_array
from nnlite.padded import Padded


def as_numbers(name: str, values: Any) -> np.ndarray:
    """An array of numbers with at least one row.

    Raises:
        TypeError: for strings, objects and anything else that is not a number.
        ValueError: when there is no row, or rows differ in length.
    """
    array = as_array(name, values)
    if array.dtype.kind not in "fiub":
        hint = "; number class names with np.unique(y, return_inverse=True)[1]"
        names = name.endswith("y") and array.dtype.kind in "OUST"
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{hint if names else ''}")
    if array.ndim == 0 or len(array) == 0:
        raise ValueError(f"{name} is empty: expected at least one row, got shape {array.shape}")
    return array


def check_finite(name: str, array: np.ndarray, numbers: np.ndarray | None = None) -> None:
    """Refuse NaN and infinity.

    Args:
        name: for the error.
        array: at least one axis.
        numbers: what to call the rows (default None: 0, 1, …).

    Raises:
        ValueError: names the first row that is not finite.
    """
    # A sum is finite unless an entry is not (or it overflows): one pass, no array of flags.
    with np.errstate(over="ignore", invalid="ignore"):
        if array.dtype.kind != "f" or np.isfinite(array.sum()):
            return
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        bad = array[row][~np.isfinite(array[row])].flat[0]
        number = row if numbers is None else numbers[row]
        raise ValueError(f"{name} is not finite: row {number} contains {bad}")


def as_input(
    name: str, values: Any, dtype: DTypeLike | None = None, numbers: np.ndarray | None = None
) -> Any:
    """Data for a model: numbers, finite, floats in the model's dtype and integers as they are.

    Without a dtype floats stay as they are, too; `numbers` are the rows' names, for errors.
    """
    if isinstance(values, Padded):
        return Padded(as_input(name, values.data, dtype, numbers), values.lengths)
    array = as_numbers(name, values)
    check_finite(name, array, numbers)
    if dtype is None or array.dtype.kind != "f" or array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    check_finite(f"{name} as {cast.dtype}", cast, numbers)
    return cast
