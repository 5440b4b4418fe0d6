"""What has to be true of data before a model sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.core.foreign import as_array, column_names, number_hint
from nnlite.core.padded import Padded


def as_numbers(name: str, values: Any) -> np.ndarray:
    """An array of numbers with at least one row.

    Raises:
        TypeError: for strings, objects and anything else that is not a number.
        ValueError: when there is no row, or rows differ in length.
    """
    array = as_array(name, values)
    if array.dtype.kind not in "fiub":
        hint = number_hint(name, array)
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name} must have one row for each sample, got {array.item()!r}")
    if len(array) == 0:
        raise ValueError(f"{name} is empty: expected at least one row, got shape {array.shape}")
    return array


def check_finite(
    name: str,
    array: np.ndarray,
    numbers: np.ndarray | None = None,
    columns: Sequence[Any] | None = None,
) -> None:
    """Refuse NaN and infinity.

    Args:
        name: for the error.
        array: at least one axis.
        numbers: what to call the rows (default None: 0, 1, …).
        columns: what to call the columns (default None: they are not named).

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
        place = f"row {number}"
        if columns is not None:
            place += f", column {columns[int(np.argmin(np.isfinite(array[row])))]!r},"
        raise ValueError(f"{name} is not finite: {place} contains {bad}")


def as_input(
    name: str, values: Any, dtype: DTypeLike | None = None, numbers: np.ndarray | None = None
) -> Any:
    """Data for a model: numbers, finite, floats in the model's dtype and integers as they are.

    Without a dtype floats stay as they are, too; `numbers` are the rows' names, for errors.
    """
    if isinstance(values, Padded):
        return Padded(as_input(name, values.data, dtype, numbers), values.lengths)
    array, columns = as_numbers(name, values), column_names(values)
    check_finite(name, array, numbers, columns)
    if dtype is None or array.dtype.kind != "f" or array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    check_finite(f"{name} as {cast.dtype}", cast, numbers, columns)
    return cast
