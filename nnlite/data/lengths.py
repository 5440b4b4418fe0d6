"""Sequences of similar length side by side, so that batches hold little padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.foreign import kind_of
from nnlite.core.padded import Padded
from nnlite.core.rows import check_lengths

POOL = 50  # batches whose rows are sorted together

Stream = Callable[[np.random.Generator], Iterator[Any]]


@checked
def by_length(x: Any, *others: Any, batch_size: int = 32) -> Stream:
    """A stream of shuffled batches, each of sequences of similar length and cut to its longest.

        x = nn.pad_sequences(list_of_sequences)
        trainer.fit(nn.data.by_length(x, y, batch_size=64), epochs=10)

    What stands in the padding is computed like all else, and a batch is as long as its longest
    sequence: where lengths differ, most of an ordinary batch may be padding. Here the rows are
    drawn in random order, sorted by length 50 batches at a time, and the batches drawn in random
    order again. Every pass has every row once, and batches differ from pass to pass; but they are
    less mixed than shuffled ones where the length tells something about the target.

    Args:
        x: `Padded` sequences.
        others: with one row for each sequence: targets, and after them sample weights. Targets
            of each time step come as `Padded` too; they are cut with x, and handed on as arrays.
        batch_size: rows per batch (default 32); one batch of a pass may be smaller.

    Returns:
        A generator function, `f(rng)`, for `fit` and `evaluate`: of tuples (x, *others). (For
        `predict` the order of x matters, so give it x itself.)

    Raises:
        TypeError: when x is not `Padded`.
        ValueError: when the numbers of rows differ, or the lengths of Padded targets.
    """
    if not isinstance(x, Padded):
        raise TypeError(
            f"by_length: x must be Padded sequences, got {kind_of(x)}; nn.pad_sequences makes them "
            "of a list, nn.Padded(data, lengths) of an array"
        )
    _, *more = check_lengths("by_length", x, *others)
    for array in more:
        if isinstance(array, Padded) and not np.array_equal(array.lengths, x.lengths):
            raise ValueError(
                "by_length: Padded targets must have the lengths of x, a target for each time "
                "step; give others as an array, y.data"
            )
    rows = len(x)

    def stream(rng: np.random.Generator) -> Iterator[Any]:
        order = rng.permutation(rows)
        for start in range(0, rows, POOL * batch_size):
            pool = order[start : start + POOL * batch_size]
            pool = pool[np.argsort(x.lengths[pool], kind="stable")]
            starts = np.arange(0, len(pool), batch_size)
            for first in rng.permutation(starts):
                chosen = pool[first : first + batch_size]
                steps = int(x.lengths[chosen].max())
                cut = Padded(x.data[chosen, :steps], x.lengths[chosen])
                yield (cut, *[_rows(array, chosen, steps) for array in more])

    return stream


def _rows(array: Any, chosen: np.ndarray, steps: int) -> Any:
    """Those rows; of a target for each time step so many of them."""
    return array.data[chosen, :steps] if isinstance(array, Padded) else array[chosen]
