"""Data as its owners have it: tables, tensors, lists; how it becomes an array, or why it cannot.

Nothing of another library is imported here: what something is, its attributes tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

SEVERAL = "several inputs are a tuple of arrays, for a model that begins with Parallel or Join"


def rows_hint(shape: tuple[int, ...], rows: int) -> str:
    """What to add to an error about an input of this shape that has not as many rows as y."""
    if len(shape) == 1 and rows == 1:
        return "; a single sample needs its batch axis: x[None]"
    if len(shape) == 2 and shape[1] == rows:
        return "; rows are samples: x.T"
    return f"; {SEVERAL}" if len(shape) > 2 and shape[1] == rows else ""


def as_array(name: str, values: Any) -> np.ndarray:
    """An array of `values`, of whatever dtype.

    The columns of a data frame become numbers, those of booleans and of nullable types too.

    Args:
        name: for errors, with the variable last: "x", "validation y".
        values: anything that has one form as an array.

    Raises:
        TypeError: for what is no array, with what to write instead; for a data frame with columns
            that are no numbers, which are named.
        ValueError: when rows differ in shape, or entries are missing.
    """
    if type(values) is np.ndarray:
        return values
    if is_table(values):
        return _from_table(name, values)
    if hasattr(values, "iloc"):
        return _from_column(name, values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        variable = _variable(name)
        count = f", and give sample_weight=~{variable}.mask" if _is_target(name) else ""
        raise ValueError(f"{name} has masked entries; fill them: {variable}.filled(0){count}")
    hint = conversion(values, _variable(name))
    if hint:
        raise TypeError(f"{name} must be an array, got {kind_of(values)}; {hint}")
    try:
        only_dlpack = hasattr(values, "__dlpack__") and not hasattr(values, "__array__")
        return np.from_dlpack(values) if only_dlpack else np.asarray(values)
    except Exception as error:  # NumPy's, or whatever an object's own __array__ raises
        if hasattr(values, "__len__") and not hasattr(values, "__array__"):
            raise ValueError(f"{name} {_unequal(name, list(values))}") from None
        raise TypeError(f"{name}: {kind_of(values)} does not become an array: {error}") from None


def conversion(values: Any, variable: str = "x") -> str:
    """What to write in place of `values` to get an array; empty where `np.asarray` is right."""
    if values is None:
        return "there is nothing to work on"
    if hasattr(values, "toarray"):  # a sparse matrix
        return f"write {variable}.toarray(), or give batches of it by a generator function"
    if hasattr(values, "lengths") and hasattr(values, "data"):
        return f"write {variable}.data, or put the layer into a Sequential"  # Padded
    if isinstance(values, Mapping):
        return f"give the array itself; {SEVERAL}"
    if isinstance(values, str | os.PathLike):
        return f"load the file first: np.load({variable}), np.loadtxt({variable}) or the like"
    if "bfloat16" in str(getattr(values, "dtype", "")):
        cast = "float()" if hasattr(values, "float") else "astype('float32')"
        return f"NumPy has no bfloat16: write {variable}.{cast}"
    if hasattr(values, "requires_grad") and (values.requires_grad or values.device.type != "cpu"):
        return f"write {variable}.detach().cpu().numpy()"
    if hasattr(values, "__next__"):
        return "pass the generator function itself, to be called for each pass"
    if any(hasattr(values, way) for way in ("__array__", "__dlpack__", "__float__")):
        return ""
    if not hasattr(values, "__getitem__"):
        if callable(values):
            return "give the data that it returns"
        if isinstance(values, Iterable) and not isinstance(values, Set):
            return f"give an array, or to feed batches (x, y) a function: lambda rng: {variable}"
        return "give an array"
    return "" if hasattr(values, "__len__") else "a data set needs __len__ beside __getitem__"


def kind_of(values: Any) -> str:
    """What something is, in two words: "a list", "the class Net"."""
    if values is None:
        return "None"
    if isinstance(values, type):
        return f"the class {values.__name__}"
    name = "array" if type(values) is np.ndarray else type(values).__name__
    if isinstance(values, str | os.PathLike):
        return repr(values) if len(str(values)) < 60 else f"a {name}"
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def number_hint(name: str, array: np.ndarray) -> str:
    """What to do about an array that does not hold numbers, as the end of a message."""
    variable, kind = _variable(name), array.dtype.kind
    entries = array.ravel()[: array.size if kind == "O" else 0]
    if entries.size and all(isinstance(entry, np.ndarray | list | tuple) for entry in entries):
        alike = len({np.shape(entry) for entry in entries}) == 1
        return f"; write {'np.stack' if alike else 'nn.pad_sequences'}(list({variable}))"
    if kind in "OUST" and _is_target(name):
        return f"; number class names with np.unique({variable}, return_inverse=True)[1]"
    if kind in "UST" or any(isinstance(entry, str) for entry in entries):
        return "; words need numbers: count them from 0 (for Embedding), or one-hot them"
    if kind in "Mm":
        return "; dates become days since the first: (t - t[0]) / np.timedelta64(1, 'D')"
    if kind == "c":
        return f"; give both parts: np.stack([{variable}.real, {variable}.imag], axis=-1)"
    if kind == "V" and array.dtype.names:
        return f"; give its fields side by side: np.stack([{variable}[f] for f in fields], axis=-1)"
    if any(entry is None for entry in entries):
        return "; some entries are None: fill them in, or leave their rows out"
    return f"; if these are numbers, write np.asarray({variable}, np.float32)"


# -- data frames ---------------------------------------------------------------------------------


def is_table(values: Any) -> bool:
    """Whether it is a data frame, as pandas has it."""
    return hasattr(values, "iloc") and hasattr(values, "columns")


def column_names(values: Any) -> list[Any] | None:
    """What a data frame's columns are called; None for anything else."""
    return list(values.columns) if is_table(values) else None


def _from_table(name: str, table: Any) -> np.ndarray:
    """(rows, columns) of numbers."""
    names = column_names(table) or []
    columns = [table.iloc[:, place] for place in range(len(names))]
    wrong = [
        f"{str(column)!r} ({values.dtype})"
        for column, values in zip(names, columns, strict=True)
        if values.dtype.kind not in "fiub"
    ]
    if wrong:
        raise TypeError(
            f"{name} must hold numbers, got column{'s' if len(wrong) > 1 else ''} "
            f"{', '.join(wrong)}; number or one-hot words, turn dates into days, or leave them out"
        )
    arrays = [
        _from_column(f"{name}: column {str(column)!r}", values)
        for column, values in zip(names, columns, strict=True)
    ]
    if not arrays:
        return np.empty(table.shape)
    # yes and no are no tokens: as floats they go through every layer
    return np.stack([a.astype(np.float32) if a.dtype.kind == "b" else a for a in arrays], axis=1)


def _from_column(name: str, column: Any) -> np.ndarray:
    """(rows,), where no entry of a nullable type may be missing."""
    nullable = not isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub"
    if not nullable:
        return np.asarray(column)
    missing = np.asarray(column.isna())
    if missing.any():
        raise ValueError(
            f"{name} has missing values, the first in row {missing.argmax()}; fill them in, or "
            "leave their rows out"
        )
    return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", column.dtype.kind))


# -- lists ---------------------------------------------------------------------------------------


def _unequal(name: str, rows: list[Any]) -> str:
    """Why these rows do not make one array, and what would."""
    shapes: list[tuple[int, ...]] = []
    for place, row in enumerate(rows):
        try:
            shapes.append(np.shape(row))
        except ValueError:
            return f"has rows of different lengths inside row {place}"
    if all(shapes) and len({shape[1:] for shape in shapes}) == 1:
        lengths = [shape[0] for shape in shapes]
        padded = f"nn.pad_sequences({_variable(name)}){'.data' if _is_target(name) else ''}"
        return (
            f"has rows of {min(lengths)} to {max(lengths)} entries; give all the same, or for "
            f"sequences write {padded}"
        )
    if all(len(shape) > 1 for shape in shapes) and len({shape[0] for shape in shapes}) == 1:
        return f"is a list of arrays {', '.join(map(str, shapes[:3]))}; {SEVERAL}"
    place = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
    return f"has rows of different shapes: {shapes[0]} in row 0 and {shapes[place]} in row {place}"


def _variable(name: str) -> str:
    """The variable that a name for errors ends in: "x", "sequence" of "sequence 3"."""
    return name.rstrip(" 0123456789").rpartition(" ")[2]


def _is_target(name: str) -> bool:
    """Whether that variable stands for targets."""
    return _variable(name) in ("y", "target")
