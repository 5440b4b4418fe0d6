"""Data sets in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nnlite.arguments import checked
from nnlite.data.sources import Rows, as_rows, is_stream, one_pass
from nnlite.padded import Padded
from nnlite.random import Rng, as_generator

GATHERED = 1 << 18  # bytes of shuffled rows that are copied together; they stay in the cache


def check_lengths(*values: Any) -> list[Any]:
    """The values as arrays (or rows that are fetched), which have the same number of rows.

    Raises:
        ValueError: when there is no array, no row, or the lengths differ.
    """
    arrays = [as_rows(value) for value in values]
    lengths = [len(a) if isinstance(a, Rows | Padded) or a.ndim else 0 for a in arrays]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise ValueError(f"expected arrays with the same number of rows, at least 1, got {lengths}")
    return arrays


@checked
def batches(
    *arrays: Any,
    batch_size: int = 32,
    shuffle: bool = False,
    drop_last: bool = False,
    rng: Rng = None,
) -> Iterator[Any]:
    """Walk through arrays side by side, a batch of rows at a time.

        for x_batch, y_batch in batches(x, y, batch_size=64, shuffle=True):
            ...

    Args:
        arrays: with the same number of rows each: arrays, `Padded`, `numpy.memmap`, or sequences
            with `__len__` and `__getitem__` that load a row at a time. Or a single generator
            function `f(rng)` that makes its batches itself; the options are its own affair then.
        batch_size: rows per batch (default 32); the last batch may be smaller.
        shuffle: whether to draw the rows in random order (default False).
        drop_last: whether to leave out a last batch that is not full (default False).
        rng: a generator or seed for shuffling (default: see `nn.seed`).

    Returns:
        An iterator over tuples of batches, or over the batches themselves for a single array.
        Unshuffled batches of arrays are views.

    Raises:
        ValueError: no array, no row, different lengths, or a batch size below 1; at the call.
        TypeError: for a generator, which could be walked through once only; at the call.
    """
    if len(arrays) == 1 and is_stream(arrays[0]):
        return one_pass("batches: data", arrays[0], as_generator(rng))
    checked = check_lengths(*arrays)
    rows = len(checked[0])
    order = as_generator(rng).permutation(rows) if shuffle else None
    stop = rows - rows % batch_size if drop_last else rows
    return walk(checked, order, range(0, stop, batch_size))


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
