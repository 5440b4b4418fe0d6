"""Processes that train one model together, each on its rows of every batch: what a layer sees.

The result is that of one process on the whole batch. Almost everything in a layer and in a loss
treats each row by itself, and need not know. Two things do not:

- *Random numbers.* Every rank draws those of the whole batch, and keeps the ones of its own rows
  (`drawn`). So the generators stay alike, and the numbers do not depend on how many ranks there
  are.
- *Sums over the batch*, those of batch normalization. They are summed over the ranks.

While `fit` runs a forward on some rows of a batch, `Share.run` tells the layers whose they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np

Result = TypeVar("Result")


class Ranks:
    """The processes that train together; this class is one process alone.

    Attributes:
        rank: the number of this one, from 0 on. Rank 0 prints and writes files.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def meet(self, where: str) -> None:
        """Wait until all ranks have come here; `where` is told if that takes long."""

    def sum(self, values: np.ndarray) -> None:
        """Put the sum over all ranks into the array, the same bits on each of them."""

    def each(self, values: np.ndarray) -> np.ndarray:
        """What each rank gave, in an array with one axis more: (size, …)."""
        return values[None]

    def gather(self, value: Any) -> list[Any] | None:
        """What each rank gave, in their order, on rank 0; None on the others."""
        return [value]

    def from_first(self, make: Callable[[], Result]) -> Result:
        """What `make()` returns on rank 0, the only one that calls it."""
        return make()

    def failing(self) -> AbstractContextManager[None]:
        """A context whose exceptions end all ranks: the others would wait for this one forever."""
        return nullcontext()


class Share(NamedTuple):
    """The rows of a batch that one of the ranks computes.

    A batch with fewer rows than there are ranks is computed by each of them as a whole, and counts
    on rank 0 alone.

    Attributes:
        ranks: who computes the batch.
        total: how many rows it has.
        rows: those of this rank.
    """

    ranks: Ranks
    total: int
    rows: slice

    @classmethod
    def of_batch(cls, ranks: Ranks, total: int) -> Share:
        """This rank's part; the first ranks may have one row more than the last ones."""
        if total < ranks.size:
            return cls(ranks, total, slice(0, total))
        size, more = divmod(total, ranks.size)
        start = ranks.rank * size + min(ranks.rank, more)
        return cls(ranks, total, slice(start, start + size + (ranks.rank < more)))

    @property
    def divided(self) -> bool:
        """Whether this rank's rows are not all there are."""
        return self.total >= self.ranks.size

    @property
    def weight(self) -> float:
        """This rank's part of a mean over the rows."""
        if self.divided:
            return (self.rows.stop - self.rows.start) / self.total
        return float(self.ranks.rank == 0)

    def run(self, function: Callable[[Any], Result], x: Any) -> Result:
        """`function(x)`, where layers see that x is this share of a batch."""
        if not self.divided:
            return function(x)
        before = _place.share
        try:
            _place.share = self
            return function(x)
        finally:
            _place.share = before

    def by_itself(self) -> Share:
        """The same rows, without the others: nothing is summed over ranks."""
        return self._replace(ranks=_Apart(self.ranks))

    def drawn(self, draw: Callable[..., np.ndarray], shape: tuple[int, ...], *more: Any) -> Any:
        """The numbers of these rows, of those drawn for the whole batch; see `drawn`."""
        rows = self.rows.stop - self.rows.start
        if not shape or shape[0] % rows:
            raise ValueError(
                f"in parallel, random numbers are those of the rows of a batch, but {shape} has "
                f"not a multiple of this rank's {rows} rows on its first axis"
            )
        each = shape[0] // rows  # a layer before may have made several rows of each
        whole = draw((each * self.total, *shape[1:]), *more)
        return whole[each * self.rows.start : each * self.rows.stop]

    def joined_moments(
        self, mean: np.ndarray, var: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Mean, mean squared deviation and number of the values of all ranks.

        Args:
            mean, var, count: the same of this rank's; both arrays are of one shape.

        Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1
        """
        sent = np.array([np.full(mean.shape, count), mean, var], np.float64)
        counts, means, squares = np.moveaxis(self.ranks.each(sent), 1, 0)  # each (size, …)
        shares = counts / counts.sum(axis=0)
        all_mean = (shares * means).sum(axis=0)
        all_var = (shares * (squares + (means - all_mean) ** 2)).sum(axis=0)
        total = int(counts[:, *[0] * mean.ndim].sum())
        return all_mean.astype(mean.dtype), all_var.astype(var.dtype), total

    def summed(self, *arrays: np.ndarray) -> np.ndarray:
        """Arrays of one shape, each summed over the ranks."""
        sums = np.array(arrays)
        self.ranks.sum(sums)
        return sums


class _Apart(Ranks):
    """One of several ranks, as it computes for itself."""

    def __init__(self, ranks: Ranks) -> None:
        self.rank, self.size = ranks.rank, ranks.size


class _Place(threading.local):
    """What the forward that this thread runs is a share of."""

    share: Share | None = None


_place = _Place()


def current_share() -> Share | None:
    """The share of a batch that this thread runs a forward on; None outside, as in `predict`."""
    return _place.share


def drawn(draw: Callable[..., np.ndarray], shape: tuple[int, ...], *more: Any) -> np.ndarray:
    """`draw(shape, *more)`: random numbers for the rows of a batch, which are its first axis."""
    share = _place.share
    return draw(shape, *more) if share is None else share.drawn(draw, shape, *more)
