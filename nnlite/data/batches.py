"""Data sets in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nnlite.core.arguments import checked
from nnlite.core.random import Rng, as_generator
from nnlite.core.rows import check_lengths, is_stream, one_pass, walk


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
    checked = check_lengths("batches", *arrays)
    rows = len(checked[0])
    order = as_generator(rng).permutation(rows) if shuffle else None
    stop = rows - rows % batch_size if drop_last else rows
    return walk(checked, order, range(0, stop, batch_size))
