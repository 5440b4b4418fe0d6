"""A data set whose rows are known from the start: arrays, and rows that load one by one."""

from __future__ import annotations

from collections.abc import Generator
from itertools import starmap
from typing import Any, NamedTuple, Self

import numpy as np

from nnlite.core.padded import Padded, masked
from nnlite.core.ranks import Ranks, Share
from nnlite.core.rows import Rows, as_source, each_input, each_of, fetched, rows_of, walk
from nnlite.data.split import train_test_split
from nnlite.layers.base import Layer, floating_dtype
from nnlite.losses.base import Loss
from nnlite.training.feeding.batch import Batch, SharedBatch, rows_in, shared
from nnlite.training.feeding.checks import (
    about,
    bare,
    check_outputs,
    check_same_rows,
    check_targets,
    each_target,
)
from nnlite.training.feeding.weights import ClassWeight, balanced, ignored_class, like, weights_of
from nnlite.training.measures import Measures

SOME = 100  # targets that the metrics are shown
LARGEST = 1 << 20  # values in the predictions beside them


class ArrayDataset(NamedTuple):
    """Inputs, targets and (maybe) a weight for each sample."""

    x: Any  # (N, …), `Padded`, `Rows`, or a tuple of them
    y: Any  # (N, …), or for a loss of several outputs a tuple of them
    weight: np.ndarray | None = None
    class_weight: ClassWeight | None = None  # the numbers behind "balanced"

    @classmethod
    def checked(
        cls,
        model: Layer,
        loss: Loss,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        name: str = "",
        measures: Measures | None = None,
    ) -> Self:
        """The data as arrays, or an error that says what is wrong with it.

        One sample is run through the model, and what it returns through the loss and copies of
        the metrics, beside the first targets, so that shapes, targets and weights are checked
        against it: all that can be refused is refused before the first update. Of sequences that
        load their rows, only the first one is; the others are checked in their batches.

        Raises:
            TypeError: for what does not hold numbers.
            ValueError: for empty data, lengths that differ, values that are not finite (the row
                is named), and whatever the model, the loss or a metric refuses.
        """
        dtype = floating_dtype(model)
        x = each_input(f"{name}x", x, lambda n, values: as_source(n, values, dtype))
        y = each_target(loss, f"{name}y", y, as_source)
        check_same_rows(f"{name}x", x, f"{name}y", y)
        # numbers that overflow are the run's to tell, with epoch, batch and layer
        with model.evaluation(), np.errstate(over="ignore", invalid="ignore"):
            with about(f"{name}x", x):
                prediction = check_outputs(model, loss, model(rows_of(x, slice(1))))
            one = bare(prediction)
            with about(f"{name}y", y):
                check_targets(loss, one, y)
            if isinstance(class_weight, str) and class_weight == "balanced":
                mask = _mask_of(x, y) if isinstance(prediction, Padded) else None
                class_weight = balanced(y[:], like(one, y), ignored_class(loss), mask)
            weight = weights_of(f"{name}sample_weight", y, sample_weight, class_weight, one, loss)
            if measures is not None:
                some = slice(1)
                if isinstance(prediction, np.ndarray) and not isinstance(y, Rows):
                    some = slice(max(1, min(len(y), SOME, LARGEST // one.size)))
                    prediction = np.repeat(one, some.stop, axis=0)
                rows, some_weight = masked(prediction, None if weight is None else weight[some])
                targets = rows_of(y, some)
                value = loss(rows, targets, some_weight)
                measures.fresh().add(value, loss, rows, targets, some_weight)
        return cls(x, y, weight, class_weight)

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return rows_in(self.y)

    @property
    def loads(self) -> bool:
        """Whether rows are loaded for each batch, perhaps by code of the user's."""
        return any(isinstance(values, Rows) for values in (*each_of(self.x), *each_of(self.y)))

    def draw(self, rng: np.random.Generator, shuffle: bool) -> np.ndarray | None:
        """The order of one pass; None for the one in which they lie."""
        return rng.permutation(self.rows) if shuffle else None

    def batches(
        self,
        batch_size: int,
        order: np.ndarray | None = None,
        drop_last: bool = False,
        skip: int = 0,
        accumulate: int = 1,
    ) -> Generator[Batch, None, None]:
        """The batches of one pass, the rows in this order; without those of `skip` updates."""
        inputs, targets = each_of(self.x), each_of(self.y)
        arrays = [*inputs, *targets] + ([] if self.weight is None else [self.weight])
        starts = self._starts(batch_size, drop_last, skip * accumulate)
        walked = walk(arrays, order, starts)
        if inputs is not self.x and targets is not self.y:  # one of each, nearly always
            yield from starmap(Batch, walked)
            return
        first, last = len(inputs), len(inputs) + len(targets)
        for parts in walked:
            x, y, rest = parts[:first], parts[first:last], parts[last:]
            yield Batch(x if inputs is self.x else x[0], y if targets is self.y else y[0], *rest)

    def shared_batches(
        self,
        ranks: Ranks,
        batch_size: int,
        order: np.ndarray | None = None,
        drop_last: bool = False,
        skip: int = 0,
        accumulate: int = 1,
    ) -> Generator[SharedBatch, None, None]:
        """The same batches, of each only the rows of this rank."""
        order = np.arange(self.rows) if order is None else order
        for start in self._starts(batch_size, drop_last, skip * accumulate):
            numbers = order[start : start + batch_size]
            share = Share.of_batch(ranks, len(numbers))
            own = numbers[share.rows]
            x, y, weight = (None if part is None else fetched(part, own) for part in self[:3])
            yield shared(Batch(x, y, weight), share)

    def _starts(self, batch_size: int, drop_last: bool, skip: int) -> range:
        """Where the batches of one pass begin, without the first `skip`."""
        stop = self.rows - (self.rows % batch_size if drop_last else 0)
        return range(skip * batch_size, stop, batch_size)

    def part(self, numbers: np.ndarray) -> ArrayDataset:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[numbers]
        x, y = rows_of(self.x, numbers), rows_of(self.y, numbers)
        return ArrayDataset(x, y, weight, self.class_weight)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[ArrayDataset, ArrayDataset]:
        """A shuffled (training, validation) split."""
        numbers = np.arange(self.rows)
        try:
            train, held_out = train_test_split(numbers, test_size=fraction, rng=rng)
        except ValueError:
            raise ValueError(
                f"fit: validation_split={fraction} of {self.rows} rows leaves one part empty"
            ) from None
        return self.part(train), self.part(held_out)


def _mask_of(x: Any, y: Any) -> np.ndarray | None:
    """Which steps of y count: those of the first input that is padded to y's length."""
    padded = (each for each in each_of(x) if isinstance(each, Padded))
    return next((each.mask for each in padded if each.shape[:2] == y.shape[:2]), None)
