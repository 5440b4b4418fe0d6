"""A data set that is made anew for each pass, by a generator function."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from typing import Any

import numpy as np

from nnlite.core.inputs import as_input
from nnlite.core.padded import masked
from nnlite.core.ranks import Ranks
from nnlite.core.rows import each_input, one_pass, rows_of
from nnlite.core.waiting import check_ended
from nnlite.layers.base import Layer, floating_dtype
from nnlite.losses.base import Loss
from nnlite.training.feeding.batch import Batch, SharedBatch, check_alike, own_rows, rows_in
from nnlite.training.feeding.checks import (
    about,
    bare,
    check_outputs,
    check_same_rows,
    each_target,
    several_hint,
)
from nnlite.training.feeding.weights import ClassWeight, weights_of
from nnlite.training.measures import Measures
from nnlite.training.mistakes import warn_of_data


class StreamDataset:
    """Batches (x, y) or (x, y, sample_weight) from `make(rng)`, each checked when it comes.

    All randomness comes from `rng`, which is made from numbers that the trainer draws for each
    epoch. So a run can resume inside an epoch: the same batches come again, and those that were
    used already are skipped. Without such numbers, as in evaluation, every pass is the same.
    """

    rows = None  # how many samples a pass has is not known
    loads = True  # each batch

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        make: Callable[[np.random.Generator], Iterable[Any]],
        class_weight: ClassWeight | None = None,
        name: str = "",
    ) -> None:
        if isinstance(class_weight, str):
            raise ValueError(
                f"{name}data: class_weight={class_weight!r} needs all targets at once; for a "
                "generator function give the weight of each class"
            )
        self.model = model
        self.loss = loss
        self.make = make
        self.class_weight = class_weight
        self.name = name
        self._one: Any = None  # a prediction, once the first batch has been seen

    def check(self, passes: int, measures: Measures | None = None) -> None:
        """Refuse, while there is nothing to lose, what could only fail in a later pass.

        Args:
            passes: how many there will be.
            measures: what the first batch is measured with (default None: not at all, for it is
                about to come).

        Raises:
            TypeError, ValueError: for a function that has only one iterator to give, and for
                whatever is wrong with the first batch.
        """
        first, second = (
            one_pass(f"{self.name}data", self.make, np.random.default_rng(0)) for _ in range(2)
        )
        if first is second and passes > 1:
            raise ValueError(
                f"{self.name}data: the function returns the same iterator whenever it is called, "
                "and that can be walked through only once; make a new one in it, as a generator "
                "function does"
            )
        if first is not second and measures is not None:
            with closing(self.batches(1)) as batches, self.model.evaluation():
                x, y, weight = next(batches)
                with about(f"{self.name}batch 1: y", y):
                    prediction, weight = masked(self.model(x), weight)
                    value = self.loss(prediction, y, weight)
                    measures.fresh().add(value, self.loss, prediction, y, weight)

    def draw(self, rng: np.random.Generator, shuffle: bool) -> np.ndarray:
        """The numbers that decide about one pass."""
        return rng.integers(0, 2**32, 4, np.uint32)

    def batches(
        self,
        batch_size: int,
        order: np.ndarray | None = None,
        drop_last: bool = False,
        skip: int = 0,
        accumulate: int = 1,
    ) -> Generator[Batch, None, None]:
        """One pass, with the numbers of `draw`; without the batches of `skip` updates.

        Raises:
            TypeError: when `make` returns nothing to walk through, or a batch holds no numbers.
            ValueError: for a batch that is wrong, or when there is none; it is named; and when
                there are not even as many as were used already.
        """
        rng = np.random.default_rng(0 if order is None else order)
        items: Any = one_pass(f"{self.name}data", self.make, rng)
        number = 0
        with closing(items) if hasattr(items, "close") else nullcontext():
            for number, batch in enumerate(items, start=1):
                if number > skip * accumulate:
                    yield self._checked(batch, f"{self.name}batch {number}")
                else:
                    check_ended()
        used = (skip - 1) * accumulate + 1  # at least, for the last update may have had fewer
        if number < used:
            raise ValueError(
                f"{self.name}data: the saved run had used {used} batches of this epoch, and now "
                f"the generator function gives {number}; give the data of the saved run"
            )
        if number == 0:
            raise ValueError(f"{self.name}data: the generator function gave no batch")

    def shared_batches(
        self,
        ranks: Ranks,
        batch_size: int,
        order: np.ndarray | None = None,
        drop_last: bool = False,
        skip: int = 0,
        accumulate: int = 1,
    ) -> Generator[SharedBatch, None, None]:
        """The same batches, of each only the rows of this rank: all ranks make all of them."""
        with closing(self.batches(batch_size, order, drop_last, skip, accumulate)) as batches:
            for batch in batches:
                yield own_rows(batch, ranks)
        check_alike(ranks, 0)  # all are at the end

    def _checked(self, batch: Any, name: str) -> Batch:
        if not isinstance(batch, Sequence) or len(batch) not in (2, 3):
            many = isinstance(batch, list | tuple)
            raise ValueError(
                f"{name}: a generator function yields (x, y) or (x, y, sample_weight), got "
                f"{f'{len(batch)} items' if many else type(batch).__name__}"
                f"{several_hint(batch) if many else ''}"
            )
        dtype = floating_dtype(self.model)
        x = each_input(f"{name}: x", batch[0], lambda n, values: as_input(n, values, dtype))
        y = each_target(self.loss, f"{name}: y", batch[1], as_input)
        rows = rows_in(y)
        check_same_rows(f"{name}: x", x, "y", y)
        for path, layer in self.model.named_layers().items():
            if layer.training and rows < layer.min_batch:
                raise ValueError(
                    f"{name} has {rows} samples, but layer {path}, {layer!r}, needs "
                    f"{layer.min_batch}; leave it out or join it to another one"
                )
        seen = self._one is not None
        if self._one is None:
            with self.model.evaluation(), about(f"{name}: x", x, several_hint(batch)):
                prediction = self.model(rows_of(x, slice(1)))
                self._one = bare(check_outputs(self.model, self.loss, prediction))
        weight = weights_of(
            f"{name}: sample_weight",
            y,
            batch[2] if len(batch) == 3 else None,
            self.class_weight,
            self._one,
            self.loss,
        )
        if not seen and self.model.training:  # a measurement has nothing to learn
            warn_of_data(self.model, self.loss, x, y, weight, complete=False)
        return Batch(x, y, weight)
