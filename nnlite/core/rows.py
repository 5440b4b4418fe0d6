"""Rows of data: arrays, and what loads its rows when they are asked for, walked in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.core.foreign import as_array, conversion
from nnlite.core.inputs import as_input
from nnlite.core.kinds import REFUSED, Called
from nnlite.core.padded import Padded

STREAM = Called(1, "an array or a generator function f(rng)")
BLOCK = 1 << 20  # bytes of a memory-mapped file that are read at a time to check it
GATHERED = 1 << 18  # bytes of shuffled rows that are copied together; they stay in the cache


class Rows:
    """Rows of a source, fetched when they are asked for: `rows[start:stop]`, `rows[numbers]`.

    Args:
        source: a `numpy.memmap`, a sequence: `len(source)`, and `source[i]` for one row; or with
            `numbers` a sparse matrix of rows, of which those that are asked for become dense.
        prepare: what to do with the rows of a batch, called with them and their numbers in the
            source (default None: nothing).
        numbers: the rows in use (default None: all).
    """

    def __init__(
        self,
        source: Any,
        prepare: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        numbers: np.ndarray | None = None,
    ) -> None:
        self.source = source
        self.prepare = prepare
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.source if self.numbers is None else self.numbers)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        numbers = rows if self.numbers is None else self.numbers[rows]
        batch = _fetched(self.source, numbers)
        return batch if self.prepare is None else self.prepare(batch, numbers)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array; one row is fetched for it."""
        return (len(self), *self[:1].shape[1:])

    def part(self, rows: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(self.source, self.prepare, rows if self.numbers is None else self.numbers[rows])

    def blocks(self) -> Iterator[slice]:
        """What can be checked beforehand: a mapped file in stretches, of a sequence only row 0."""
        if not isinstance(self.source, np.memmap):
            return iter([slice(1)])
        size = max(BLOCK // max(self[:1].nbytes, 1), 1)
        return (slice(start, start + size) for start in range(0, len(self), size))


def is_stream(values: Any) -> bool:
    """Whether it is a generator function, to be called for each pass over its data."""
    return callable(values) and not isinstance(values, type) and not hasattr(values, "__len__")


def one_pass(name: str, make: Any, rng: np.random.Generator) -> Iterator[Any]:
    """What a generator function makes of `rng`.

    Raises:
        TypeError: when it is not called with one argument, or returns nothing to walk through.
    """
    if STREAM.take(make) is REFUSED:
        raise STREAM.refusal(name, make)
    made = make(rng)
    if not isinstance(made, Iterable):
        raise TypeError(
            f"{name}: expected a generator function f(rng), got a function that returns "
            f"{type(made).__name__}"
        )
    return iter(made)


def stream_of(name: str, values: Any) -> Iterator[Any] | None:
    """The one pass over a stream: a generator function, called with a fixed seed, or an iterator.

    None for anything else, which is data with a length.
    """
    if isinstance(values, Iterator):
        return values
    return one_pass(name, values, np.random.default_rng(0)) if is_stream(values) else None


def loads_rows(values: Any) -> bool:
    """Whether it is a sequence of somebody's own that loads a row at a time."""
    if isinstance(values, list | tuple) or conversion(values):
        return False
    ways = hasattr(values, "__len__") and hasattr(values, "__getitem__")
    return ways and not hasattr(values, "__array__") and not hasattr(values, "__dlpack__")


def as_rows(values: Any) -> Any:
    """An array for what is one or can be one at once, `Rows` for what loads its rows one by one.

    `Padded` sequences stay as they are.

    Raises:
        TypeError: for what is no array, generators included: they can be walked through once only.
        ValueError: when rows differ in shape.
    """
    if isinstance(values, np.ndarray | Padded | Rows):
        return values
    return Rows(values) if loads_rows(values) else as_array("data", values)


def as_source(name: str, values: Any, dtype: DTypeLike | None = None) -> Any:
    """Data to train on: an array, or `Rows` that are checked as they come.

    What is in memory, and a memory-mapped file, is checked here, from first to last row.

    Args:
        name: for errors.
        values: an array, `Padded` sequences, a `numpy.memmap`, or a sequence.
        dtype: what floats shall become (default None: they stay as they are).

    Raises:
        TypeError: for what does not hold numbers.
        ValueError: when there is no row, or one that is not finite; it is named.
    """

    def prepare(batch: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return as_input(name, batch, dtype, numbers)

    if isinstance(values, np.memmap) or loads_rows(values):
        rows = values if isinstance(values, Rows) else Rows(values)
        rows = Rows(rows.source, prepare, rows.numbers)
        if len(rows) == 0:
            raise ValueError(f"{name} is empty: expected at least one row")
        for block in rows.blocks():
            rows[block]
        return rows
    return as_input(name, values, dtype)


def each_of(values: Any) -> tuple[Any, ...]:
    """The arrays of a tuple, or the only one."""
    return values if isinstance(values, tuple) else (values,)


def each_input(name: str, x: Any, prepare: Callable[[str, Any], Any]) -> Any:
    """`prepare(name, x)`; of a tuple, one source for each input of a model, of each of them."""
    sources = isinstance(x, tuple) and all(hasattr(v, "shape") or loads_rows(v) for v in x)
    if not sources or not x:
        return prepare(name, x)
    return tuple(prepare(f"{name}[{number}]", values) for number, values in enumerate(x))


def rows_of(x: Any, rows: slice | np.ndarray) -> Any:
    """Some rows of an array, of each in a tuple, or of `Rows` (by numbers: they stay lazy)."""
    if isinstance(x, tuple):
        return tuple(rows_of(values, rows) for values in x)
    if isinstance(x, Rows) and not isinstance(rows, slice):
        return x.part(rows)
    return x[rows]


def fetched(x: Any, numbers: np.ndarray) -> Any:
    """Rows by their numbers, those of `Rows` loaded; of each in a tuple."""
    if isinstance(x, tuple):
        return tuple(fetched(values, numbers) for values in x)
    return x.take(numbers, 0) if type(x) is np.ndarray else x[numbers]  # faster than an index


def _fetched(source: Any, numbers: np.ndarray) -> np.ndarray:
    """Those rows of a source as one array."""
    if isinstance(source, np.ndarray):
        return np.asarray(source)[numbers]
    if hasattr(source, "toarray"):
        return source[numbers].toarray()
    rows = [_row(source[number], number) for number in numbers.tolist()]
    for number, row in zip(numbers.tolist(), rows, strict=True):
        if row.shape != rows[0].shape:
            raise ValueError(
                f"row {number} has shape {row.shape} and row {numbers[0]} {rows[0].shape}; make "
                "all rows alike: cut, pad or resize them"
            )
    return np.stack(rows)


def _row(row: Any, number: int) -> np.ndarray:
    """A row that a sequence has loaded."""
    if isinstance(row, tuple) and any(hasattr(part, "__len__") for part in row):
        raise TypeError(
            f"row {number} is a tuple of {len(row)}: x and y are given apart, each a sequence of "
            "its own; or write a generator function that yields batches (x, y)"
        )
    return as_array(f"row {number}", row)


def check_lengths(where: str, *values: Any) -> list[Any]:
    """The values as arrays (or rows that are fetched), which have the same number of rows.

    Args:
        where: how the error begins.

    Raises:
        ValueError: when there is no array, no row, or the lengths differ.
    """
    arrays = [as_rows(value) for value in values]
    lengths = [len(a) if isinstance(a, Rows | Padded) or a.ndim else 0 for a in arrays]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise ValueError(
            f"{where}: expected arrays with the same number of rows, at least 1, got {lengths}"
        )
    return arrays


def walk(arrays: Sequence[Any], order: np.ndarray | None, starts: range) -> Iterator[Any]:
    """The batches that begin at `starts`, of rows in this order (None: as they lie)."""
    size, many = starts.step, 1
    in_memory = all(type(array) is np.ndarray for array in arrays)
    if order is not None and in_memory:  # gathering many small batches at once costs less
        batch_bytes = size * sum(array.nbytes // len(array) for array in arrays)
        many = max(1, GATHERED // max(batch_bytes, 1))
    for first in range(starts.start, starts.stop, size * many):
        rows = slice(first, min(first + size * many, starts.stop))
        if order is None:
            block = [array[rows] for array in arrays]
        elif in_memory:
            block = [array.take(order[rows], 0) for array in arrays]  # faster than an index
        else:
            block = [array[order[rows]] for array in arrays]
        for start in range(0, rows.stop - rows.start, size):
            batch = tuple([array[start : start + size] for array in block])
            yield batch if len(arrays) > 1 else batch[0]
