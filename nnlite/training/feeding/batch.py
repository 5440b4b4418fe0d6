"""What one training step works on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nnlite.core.ranks import Ranks, Share
from nnlite.core.rows import rows_of


class Batch(NamedTuple):
    """Inputs, targets and (maybe) weights of some samples."""

    x: Any  # (N, …), `Padded`, or for a model with several inputs a tuple of them
    y: Any  # (N, …), or for a loss of several outputs a tuple of them
    weight: np.ndarray | None = None  # (N,) or (N, T)

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return rows_in(self.y)


class SharedBatch(NamedTuple):
    """The same of one rank: its rows of a batch, and which they are."""

    x: Any
    y: Any
    weight: np.ndarray | None
    share: Share

    @property
    def rows(self) -> int:
        """How many samples there are, on all ranks together."""
        return self.share.total


def rows_in(y: Any) -> int:
    """How many samples there are in targets."""
    return len(y[0] if isinstance(y, tuple) else y)


def shared(batch: Batch, share: Share) -> SharedBatch:
    """A rank's rows as its part of a batch; where they shall not count, they weigh 0."""
    x, y, weight = batch
    if not share.weight:
        weight = np.zeros(batch.rows) if weight is None else np.zeros_like(weight)
    return SharedBatch(x, y, weight, share)


def check_alike(ranks: Ranks, rows: int) -> None:
    """Compare how many rows the batch of each rank has, 0 where there is none.

    Before the forward, in which layers would wait for each other in vain.

    Raises:
        RuntimeError: tells the numbers of all.
    """
    of_ranks = ranks.each(np.array(rows)).tolist()
    if any(number != rows for number in of_ranks):
        raise RuntimeError(
            f"the ranks have batches of different sizes: {of_ranks} rows, from rank 0 on (0: there "
            "is none); a generator function makes the same batches on all ranks: let all that it "
            "draws come from the rng it is called with"
        )


def own_rows(batch: Batch, ranks: Ranks) -> SharedBatch:
    """A rank's rows of a whole batch, the same on all ranks."""
    check_alike(ranks, batch.rows)
    share = Share.of_batch(ranks, batch.rows)
    x, y, weight = (None if part is None else rows_of(part, share.rows) for part in batch)
    return shared(Batch(x, y, weight), share)
