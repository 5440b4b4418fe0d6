"""The trainer: `fit`, whose loop stands here as a whole, its step, `evaluate`, and files."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Any

import numpy as np

from nnlite.core import waiting
from nnlite.core.alone import alone, in_this_thread, training_thread
from nnlite.core.arguments import checked
from nnlite.core.construction import Constructed
from nnlite.core.habits import Elsewhere
from nnlite.core.kinds import check_method
from nnlite.core.padded import masked
from nnlite.core.parameter import FLAG
from nnlite.core.random import Rng, as_generator, root_entropy
from nnlite.core.ranks import Ranks, Share
from nnlite.core.terms import loss_terms
from nnlite.core.waiting import Ended, ended_by
from nnlite.files.atomic import PathLike
from nnlite.layers.base import Layer, check_even_batches
from nnlite.losses.base import Loss, check_one_number, times
from nnlite.losses.penalties import Penalized, Penalty
from nnlite.metrics import Metric, OutputMetric
from nnlite.ops.threads import blas_kept
from nnlite.optimizers.base import Optimizer
from nnlite.training import checkpoint, together
from nnlite.training.callbacks import Callback
from nnlite.training.callbacks.callback_list import CallbackList
from nnlite.training.diagnosis import NonFiniteLossError, first_non_finite
from nnlite.training.feeding import (
    ArrayDataset,
    Batch,
    Dataset,
    SharedBatch,
    StreamDataset,
    as_dataset,
    own_rows,
    validation_dataset,
)
from nnlite.training.feeding.checks import check_batches, check_weighed
from nnlite.training.feeding.weights import ClassWeight
from nnlite.training.fingerprint import environment, weights_hash
from nnlite.training.history import History
from nnlite.training.interrupt import interruptible
from nnlite.training.measures import Measured, Measures, term_names
from nnlite.training.mistakes import (
    data_description,
    description,
    warn_of_differences,
    warn_of_mistakes,
)
from nnlite.training.progress import progress
from nnlite.training.state import RunState

ENDS = "to end it early, set trainer.stop_training = True"
# What a metric must define, and the arguments.
METRIC = {"reset": "", "update": "prediction, target, sample_weight", "result": ""}


def _of_the_run(name: str, instead: str = "") -> Any:
    """A trainer's attribute that is one of its run; a flag, or one that only `fit` writes.

    Args:
        name: of both.
        instead: of what only `fit` writes, what to do to have it otherwise.
    """

    def write(trainer: Trainer, value: Any) -> None:
        if instead:
            raise TypeError(f"Trainer: {name} is written by fit alone; {instead}")
        setattr(trainer.run, name, FLAG.checked(f"Trainer: {name}", value))

    return property(lambda trainer: getattr(trainer.run, name), write)


class Trainer(Constructed):
    """Trains a model: `Trainer(model, loss, optimizer).fit(x, y, epochs=10)`.

    Args:
        model: the layer to train, usually a `Sequential`.
        loss: what to minimise.
        optimizer: what updates the model's parameters.
        metrics: what else to measure (default: nothing).
        rng: a generator or seed for shuffling and splitting (default: see `nn.seed`).
        penalties: what to add to the loss for chosen parameters, such as
            `[nn.L2Penalty(1e-3, "*.weight")]` (default: nothing).
        parallel: the processes to train with, `nn.parallel.MPI()` (default: this one alone).

    Attributes:
        rank: the number of this process among them; 0 without others. Rank 0 alone shows its
            progress and writes files.
        history: what the last `fit` recorded.
        epoch, step: whole epochs of this `fit`, and updates in the epoch that runs.
        last_loss: the loss of the last batch.
        results: what the last epoch measured, from validation on; as in the history.
        stop_training: a callback sets it True to end `fit` after the step that runs.
        interrupted: the same for an end from outside (Ctrl-C, a time limit): a checkpoint of the
            run goes on from there, while a run that stopped is over.
        best_restored: whether a callback has ended `fit` with the best weights.
        run: all of these, and what else a run is.
    """

    history: History = _of_the_run("history", "make a new trainer to begin an empty one")
    epoch: int = _of_the_run("epoch", ENDS)
    step: int = _of_the_run("step", ENDS)
    last_loss: float = _of_the_run("last_loss", "to train on another number, give another loss")
    results: dict[str, Any] = _of_the_run("results", "to add one, set trainer.results[name]")
    stop_training: bool = _of_the_run("stop_training")
    interrupted: bool = _of_the_run("interrupted")
    best_restored: bool = _of_the_run("best_restored")

    predict = Elsewhere("trainer.model.predict(x)")
    train = Elsewhere("trainer.fit(x, y)")
    score = Elsewhere("trainer.evaluate(x, y)")

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        metrics: Sequence[Metric] = (),
        rng: Rng = None,
        penalties: Sequence[Penalty] = (),
        parallel: Ranks | None = None,
    ) -> None:
        check_one_number("Trainer", loss)
        own = {id(parameter) for parameter in model.parameters()}
        if not any(id(parameter) in own for parameter in optimizer.parameters):
            raise ValueError(
                "Trainer: the optimizer updates none of the model's parameters; build it from "
                "this model's parameters()"
            )
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"Trainer: two metrics have the same name, got {names}")
        for metric in metrics:
            if isinstance(metric, OutputMetric) and metric.output not in loss.parts:
                outputs = ", ".join(loss.parts) or "none: the loss is not Losses(…)"
                raise ValueError(
                    f"Trainer: {metric!r} is of an output that the loss has not; it has {outputs}"
                )
            ours = type(metric).__module__.startswith("nnlite.")
            if loss.parts and ours and not isinstance(metric, OutputMetric):
                raise ValueError(
                    f"Trainer: say of which output {metric!r} is: "
                    f'nn.OutputMetric("{next(iter(loss.parts))}", nn.{metric!r})'
                )
        terms = term_names(model, penalties)
        columns = {"loss", "lr", "epoch", *(f"{name}_loss" for name in loss.parts)}
        for name in (*names, *terms):
            taken = name in columns or name.startswith("val_")
            if taken or (name in names and name in terms):
                raise ValueError(
                    f"Trainer: a {'metric' if name in names else 'term'} is named {name!r}, which "
                    "is a column of its own in the history; rename its class, or override its "
                    "property name"
                )
        for metric in metrics:
            for name, arguments in METRIC.items():
                if getattr(type(metric), name) is getattr(Metric, name):
                    raise TypeError(f"Trainer: {type(metric).__name__} must define {name}")
                check_method(metric, name, arguments)
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.penalties = penalties
        self.parallel = parallel
        # with whom to meet; None where nobody is
        self.ranks = None if parallel is None or parallel.size == 1 else parallel
        self._penalized = Penalized(penalties, model, "Trainer: penalties")
        self.measures = Measures(self.metrics)
        self.rng = rng
        self.run = RunState(seed=root_entropy())
        self._callbacks = CallbackList()
        self._place: dict[str, Any] | None = None  # where the last fit was interrupted
        self._generators: list[np.random.Generator] = []  # the model's, during a fit
        self._asked = together.Asked()
        if self.ranks is not None:
            together.check_parts(self)

    @property
    def rng(self) -> np.random.Generator:
        """What shuffles and splits; it may be set to whatever the constructor takes."""
        return self._rng

    @rng.setter
    def rng(self, value: Rng) -> None:
        self._rng = as_generator(value)

    @property
    def rank(self) -> int:
        """The number of this process among those that train together; 0 without others."""
        return 0 if self.parallel is None else self.parallel.rank

    def __getstate__(self) -> dict[str, Any]:
        """A copy knows what the callbacks remember, as a file does; they stay with their run."""
        run = dataclasses.replace(self.run, callback_states=self.callback_states())
        return {**vars(self), "run": run, "_callbacks": CallbackList()}

    # -- the loop --------------------------------------------------------------------------------

    @checked
    @alone
    @together.together
    def fit(
        self,
        x: Any,
        y: Any = None,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        validation_batch_size: int | None = None,
        callbacks: Sequence[Callback] = (),
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        accumulate: int = 1,
        resume: PathLike | None = None,
        verbose: bool = True,
    ) -> History:
        """Train for `epochs` more passes over the data.

        After `load`, or with `resume`, the call that was saved goes on instead, from the very
        step: `epochs` counts from that call's beginning, and the arguments must be the same.

        Args:
            x, y: inputs and targets, one row per sample: arrays, `numpy.memmap`, or sequences with
                `__len__` and `__getitem__`; for a model with several inputs, x is a tuple of them.
                Floating x is cast to the model's dtype. Or x alone, a generator function:
                `x(rng)` is called for each epoch and yields (x, y) or (x, y, sample_weight); what
                it draws comes from `rng`, and `batch_size` and `shuffle` are its own affair.
            epochs: how many passes (default 1).
            batch_size: samples per batch (default 32).
            validation_data: (x, y), (x, y, sample_weight) or a generator function, to evaluate
                after each epoch.
            validation_split: instead, the share of the data to set aside for that, drawn at
                random (default 0: none).
            validation_batch_size: samples per batch there (default None: batch_size).
            callbacks: called at their moments, in this order; in parallel, on each rank.
            sample_weight: one weight per sample (default: all 1).
            class_weight: weights by class, a mapping or a list, or "balanced", which lets all
                classes of y count the same; they multiply the sample weights, in validation too.
            shuffle: whether each epoch has an order of its own (default True).
            drop_last: whether to leave out a last batch that is not full (default False).
            accumulate: how many batches make one update, exact for uneven ones (default 1).
            resume: a file to load first; or "auto": the file of the first `Checkpoint` among the
                callbacks, if it is there yet (default None).
            verbose: whether to show progress (default True).

        Returns:
            The history. Ctrl-C ends the run after the step in hand and returns it too, with the
            whole epochs so far.

        Raises:
            TypeError, ValueError: when the data does not fit; nothing has changed then, unless it
                was a sequence or a generator function, whose batches are checked as they come.
            FileNotFoundError, CheckpointError: when `resume` cannot be loaded; nothing has changed.
            NonFiniteLossError: when the loss is not finite: names epoch, batch and first layer.
            RuntimeError: when a `fit` is training this model already, further up or in another
                thread, or one that shares a layer, the loss or a metric with this trainer.

        In parallel every error, on whatever rank, ends all of them. `batch_size` is that of all
        ranks together.
        """
        if validation_batch_size is None:
            validation_batch_size = batch_size
        train, held_out = self._data(
            x, y, sample_weight, class_weight, validation_data, validation_split, drop_last,
            epochs, accumulate
        )  # fmt: skip
        settings = {
            "rows": train.rows,
            "batch_size": batch_size,
            "validation_split": validation_split,
            "shuffle": shuffle,
            "drop_last": drop_last,
            "accumulate": accumulate,
        }
        told = CallbackList(callbacks)
        ranks, verbose = self.ranks, verbose and self.rank == 0
        if ranks is not None:
            together.check_parts(self)
            call = {"epochs": epochs, "validation_batch_size": validation_batch_size, **settings}
            self._begin_together(ranks, train, held_out, told, call)
        state, saved, rng = self._beginning(told, resume, settings)
        rng_begin = rng.bit_generator.state
        if isinstance(train, ArrayDataset) and validation_split:
            train, held_out = train.split(validation_split, rng)
        used = (train.rows or 0) - ((train.rows or 0) % batch_size if drop_last else 0)
        steps = math.ceil(used / (batch_size * accumulate))  # of an epoch; 0 where unknown
        saved.check_place(steps)
        updates = epochs * steps if used and not saved.resumed else None
        self._check_data(train, batch_size, drop_last, held_out, validation_batch_size)
        self._check_run(told, held_out is not None, epochs, updates)
        x, y, weight = train[:3] if train.rows is not None else (None, None, None)
        warn_of_mistakes(self.model, self.loss, x, y, weight, shuffle)
        # nothing has changed until here
        data = {} if x is None else data_description(x, y, weight)
        run = self._begin(told, state, settings, data, rng_begin, rng.bit_generator.state)
        if run.finished and (run.stop_training or run.epoch >= epochs):
            self._take_up()
            return run.history
        if self.rank:  # what metrics had gathered is with rank 0
            for metric in self.metrics:
                metric.reset()

        run.interrupted = run.best_restored = False
        done = run.step * accumulate * batch_size if run.under_way else 0

        def ended() -> bool:
            if ranks is not None:  # the others are waiting for this one
                return False
            told.tell("on_wait", self)
            return run.interrupted

        looked = time.monotonic()

        def follow(rows: int, loss: Callable[[], float]) -> bool:
            nonlocal looked
            display.advance(rows, loss)
            if ranks is not None or time.monotonic() - looked < waiting.INTERVAL:
                return run.interrupted
            looked = time.monotonic()
            return ended()

        with (
            self._training_mode(),
            # a run that diverges is stopped by its loss, with the place
            np.errstate(over="ignore", invalid="ignore"),
            interruptible(run if ranks is None else self._asked) as interrupt,
            self._threads_kept(train, held_out),
            ended_by(ended),
            progress(verbose, epochs, used, done, self.optimizer.current_lr) as display,
        ):
            told.tell("on_fit_begin", self, then=self._take_up)
            while run.under_way or (run.epoch < epochs and not run.stop_training):
                if run.interrupted:
                    break
                display.begin_epoch(run.epoch)
                over = run.under_way and run.stop_training  # as a file may say
                batches = self._batches_left(train, batch_size, shuffle, drop_last, accumulate)
                if not run.under_way:
                    run.under_way, run.step = True, 0
                    self.measures.reset()
                    told.tell("on_epoch_begin", self)
                    if run.epoch == 0:
                        self._check_savable()  # a callback may remember only now
                # a stream may hold files and threads
                with closing(batches), suppress(Ended):
                    for group in () if over else _groups(batches, accumulate):
                        if len(group) == 1:
                            self.train_step(*group[0])
                        else:
                            self.accumulated_step(group)
                        run.step += 1
                        told.tell("on_step_end", self)
                        display.advance(sum([batch.rows for batch in group]), self.measures.loss)
                        if run.interrupted or run.stop_training:
                            break
                if run.interrupted:
                    break
                measured = self._results(self.measures, ranks)
                run.results = {**measured, "lr": self.optimizer.current_lr}
                if held_out is not None:
                    display.begin_validation(held_out.rows or 0)
                    with told.around_validation(self):
                        measured = self._measure(held_out, validation_batch_size, ranks, follow)
                        if run.interrupted:
                            break
                        run.results |= {f"val_{name}": value for name, value in measured.items()}
                        told.tell("on_validation_end", self)
                run.history.append(run.results)
                run.epoch += 1
                run.under_way = False
                if ranks is not None:
                    together.check_alike(self, ranks)
                display.end_epoch(run.results)
                told.tell("on_epoch_end", self)
            else:  # what was asked for is done, so nothing was cut short
                run.interrupted = False
            if run.interrupted:
                told.tell("on_interrupt", self)
                self._gather()
                # before the end of the run exchanges weights
                self._place = copy.deepcopy(checkpoint.capture(self))
            run.finished = not run.interrupted
            told.tell("on_fit_end", self)
        run.interrupted = not run.finished  # Ctrl-C at the very end cut nothing short
        if run.epoch < epochs and verbose:
            others = "" if ranks is None else " or another rank"
            by = "Ctrl-C" if interrupt.requested else f"a callback{others}"
            of_all = f" of {steps}" if steps else ""
            where = f"in epoch {run.epoch + 1}, after step {run.step}{of_all}"
            print(f"stopped by {by} {where if run.under_way else f'after epoch {run.epoch}'}")
        return run.history

    def train_step(
        self, x: Any, y: Any, weight: np.ndarray | None = None, share: Share | None = None
    ) -> float:
        """One step of the loop on one batch; returns the loss.

        In parallel the batch is that of all ranks, and each takes its rows; or x, y and weight are
        these rows already, and `share` says which they are.
        """
        if share is None and self.ranks is not None:
            return self.train_step(*own_rows(Batch(x, y, weight), self.ranks))
        measured = self._forward(x, y, weight, share)
        grad = self.loss.backward()  # 1. compute the loss gradient
        self.model.backward(grad)  # 2. to 5. through every layer, last to first
        if share is not None:
            self._sum_gradients(share.ranks)
        self._penalized.add_gradients()  # 3. and 4. of penalties
        self.optimizer.step()  # 6. update the weights
        self.optimizer.zero_grad()
        self.measures.add(*measured)
        return self.last_loss

    def accumulated_step(self, group: Sequence[Batch | SharedBatch]) -> None:
        """One update from several batches, exactly as if they were one.

        The gradient of a mean over all is Σ Dᵦ gᵦ / Σ Dᵦ, with Dᵦ each batch's own divisor.
        """
        total = 0.0
        for number, batch in enumerate(group):
            x, y, weight, share = (*batch, None)[:4]
            measured = self._forward(x, y, weight, share, number)
            grad = self.loss.backward()
            measured.terms.grad *= self.loss.denominator
            self.model.backward(times(grad, self.loss.denominator))
            total += self.loss.denominator
            self.measures.add(*measured)
        if self.ranks is not None:
            self._sum_gradients(self.ranks)
        divisor = total if self.loss.reduction == "mean" and total else 1.0
        self._penalized.add_gradients(divisor)
        self.optimizer.step(grad_scale=1 / divisor)
        self.optimizer.zero_grad()

    @checked
    def evaluate(
        self, x: Any, y: Any = None, batch_size: int = 256, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Loss and metrics over all of `x` and `y`, in eval mode; nothing is changed.

        It computes alone, whatever `parallel` is: one rank may call it without the others.

        Args:
            x, y: inputs and targets; or a generator function alone, as for `fit`.
            batch_size: how many samples at a time (default 256).
            sample_weight: one weight per sample (default: all 1).

        Raises:
            TypeError, ValueError: when the data does not fit the model or the loss.
        """
        parts = self.model, copy.deepcopy(self.loss)
        data = as_dataset(*parts, x, y, sample_weight, measures=self.measures)
        if data.rows is not None:
            check_even_batches(self.model, data.rows, batch_size, "evaluate: ")
        with self._threads_kept(data):
            return self._measure(data, batch_size)

    # -- what the loop is made of ----------------------------------------------------------------

    def _data(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: ClassWeight | None,
        validation_data: Any,
        validation_split: float,
        drop_last: bool,
        epochs: int,
        accumulate: int,
    ) -> tuple[Dataset, Dataset | None]:
        """The data to train on, and to validate with; a split is not drawn yet."""
        if validation_data is not None and validation_split:
            raise ValueError("fit: give validation_data or validation_split, not both")
        if accumulate > 1 and self.loss.parts:
            raise ValueError(
                f"fit: accumulate={accumulate} needs one divisor for all batches, and each part of "
                "Losses has its own; use a larger batch_size"
            )
        parts = self.model, self.loss
        train = as_dataset(*parts, x, y, sample_weight, class_weight, measures=self.measures)
        if isinstance(train, StreamDataset) and (validation_split or drop_last):
            raise ValueError("fit: validation_split and drop_last need data with a length")
        if isinstance(train, ArrayDataset):
            class_weight = train.class_weight  # "balanced" means as in training
        held_out = validation_dataset(*parts, validation_data, class_weight, self.measures)
        if isinstance(train, StreamDataset):
            train.check(epochs)
        if isinstance(held_out, StreamDataset):
            held_out.check(epochs, self.measures)
        return train, held_out

    def _begin_together(
        self,
        ranks: Ranks,
        train: Dataset,
        held_out: Dataset | None,
        told: CallbackList,
        call: dict[str, Any],
    ) -> None:
        """See that all ranks are called alike, and let them begin with the weights of rank 0."""
        data, validation = (
            data_description(*each[:3]) if isinstance(each, ArrayDataset) else {}
            for each in (train, held_out)
        )
        sizes = [gradients.size for gradients in self.optimizer.flat_gradients()]
        rows = "none" if held_out is None else f"{held_out.rows} rows"
        call |= {
            "validation data": ", ".join([rows, *map(" ".join, validation.items())]),
            "a run to go on with": self.run.resumed,
            "the list of callbacks": list(told.by_name),
            "the list of metrics": [metric.name for metric in self.metrics],
            "what the optimizer updates": f"{sizes} numbers",
            **data,
        }
        together.begin(self, ranks, call)
        self._asked = together.Asked()

    def _beginning(
        self, told: CallbackList, resume: PathLike | None, settings: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, RunState, np.random.Generator]:
        """What `fit` begins with, when all of it fits: nothing is taken over yet.

        The state in the file to resume, if there is one; the run so far; and a copy of the
        trainer's generator as it is, or was, when the call began.
        """

        def read() -> dict[str, Any] | None:
            path = told.file_to_resume(resume)
            return None if path is None else checkpoint.read(path, self)

        state = read() if self.ranks is None else self.ranks.from_first(read)
        saved = self.run if state is None else RunState.from_state(state)
        rng = copy.deepcopy(self.rng)
        if saved.resumed:
            saved.check_repeats(settings, told.by_name)
            told.check_state_dict(saved.callback_states, saved.required, self.model)
            rng.bit_generator.state = saved.rng_begin
        return state, saved, rng

    def _check_data(
        self,
        train: Dataset,
        batch_size: int,
        drop_last: bool,
        held_out: Dataset | None,
        validation_batch_size: int,
    ) -> None:
        """Refuse batches that are too small for a layer, or for two of them to be alike."""
        if train.rows is not None:
            check_batches(self.model, train.rows, batch_size, drop_last)
        if held_out is not None and held_out.rows is not None:
            check_even_batches(
                self.model, held_out.rows, validation_batch_size, "fit: validation: "
            )
            check_weighed(held_out.weight)

    def _check_run(
        self, told: CallbackList, validated: bool, epochs: int, updates: int | None
    ) -> None:
        """Refuse callbacks and schedules that would fail before the run is over."""
        told.check_run(self, validated, epochs, updates)
        if updates and not told.may_end_early:
            self.optimizer.check_schedules(self.optimizer.steps + updates - 1)

    def _begin(
        self,
        told: CallbackList,
        state: dict[str, Any] | None,
        settings: dict[str, Any],
        data: dict[str, Any],
        rng_begin: Mapping[str, Any],
        rng_now: Mapping[str, Any],
    ) -> RunState:
        """Make the run the trainer's: the one in the file, the one that was loaded, or a new one.

        The generator was in the state `rng_begin`, and after the validation split in `rng_now`.
        """
        if state is not None:
            self._restore(state)
        self._place = None
        if self.run.resumed:
            warn_of_differences(self.run.setup, data)
        else:
            self.rng.bit_generator.state = rng_now
            setup = description(self.model, self.loss, self.optimizer, self.penalties) | data
            self.run = self.run.following(settings, setup, rng_begin)
        self._callbacks, self.run.required = told, told.required
        return self.run

    def _batches_left(
        self, data: Dataset, batch_size: int, shuffle: bool, drop_last: bool, accumulate: int
    ) -> Generator[Batch | SharedBatch, None, None]:
        """The batches that are left in the epoch that begins or goes on."""
        run, bits = self.run, self.rng.bit_generator
        now = bits.state
        if not run.under_way:
            run.rng_epoch = now
        bits.state = run.rng_epoch
        order = data.draw(self.rng, shuffle)
        if run.under_way:  # the order was drawn again, and the run goes on from its own state
            bits.state = now
        else:
            run.take_order(order, data.rows)
        skip = run.step if run.under_way else 0
        if self.ranks is not None:
            return data.shared_batches(self.ranks, batch_size, order, drop_last, skip, accumulate)
        return data.batches(batch_size, order, drop_last, skip, accumulate)

    def _forward(
        self,
        x: Any,
        y: Any,
        weight: np.ndarray | None,
        share: Share | None = None,
        number: int = 0,
    ) -> Measured:
        """What the batch gave; the loss with its terms goes to `last_loss` and must be finite.

        `number` counts the batches of this update.
        """
        drawn = [generator.bit_generator.state for generator in self._generators]
        measured = self._loss_of(self.loss, x, y, weight, share)
        terms = measured.terms
        if share is not None:
            measured = self._whole(measured, share)
        self.run.last_loss = value = measured.value + terms.total
        if not math.isfinite(value):
            batches = self.run.settings["accumulate"] if self.run.settings else 1
            where = first_non_finite(self.model, x, drawn, terms.values, share)
            raise NonFiniteLossError(
                f"the loss is {value} in epoch {self.epoch + 1}, "
                f"batch {self.step * batches + number + 1}: {where}; "
                "a smaller learning rate or clip_norm may help"
            )
        return measured

    def _loss_of(
        self, loss: Loss, x: Any, y: Any, weight: np.ndarray | None, share: Share | None = None
    ) -> Measured:
        """The loss of a batch, or of a share, with what layers and penalties add to it."""
        forward = self.model.forward
        with loss_terms() as terms:
            y_hat = forward(x) if share is None else share.run(forward, x)
            prediction, weight = masked(y_hat, weight)
        value = loss(prediction, y, weight)
        self._penalized.add_terms(terms)
        return Measured(value, loss, prediction, y, weight, terms)

    def _whole(self, measured: Measured, share: Share) -> Measured:
        """What all ranks' shares of a batch gave together."""
        loss, terms = measured.loss, measured.terms
        value = together.whole_loss(share, loss, terms, self.run, self._asked)
        return measured._replace(value=value, counted=share.weight > 0)

    def _sum_gradients(self, ranks: Ranks) -> None:
        """Put the sum over all ranks into every gradient.

        Not earlier, layer by layer: MPI moves messages while it is called, and not while backward
        computes, so that nothing would be gained (`python -m benchmarks parallel` measures it).
        """
        for vector in self.optimizer.flat_gradients():
            ranks.sum(vector)

    def agree(self, saves: bool, alike: bool) -> None:
        """In parallel, let all ranks know what the callbacks of each have asked for at a moment.

        Args:
            saves: whether those of this rank have asked for a file.
            alike: whether those of the others certainly asked for the same.
        """
        if self.ranks is None:
            return
        if not alike:
            saves = together.agree(self.ranks, self.run, self._asked, saves)
        if saves:  # rank 0 alone writes, and needs what the others have measured
            self._gather()

    def _gather(self) -> None:
        """In parallel, inside an epoch, give rank 0 what the metrics of all have gathered."""
        if self.ranks is not None and self.run.under_way:
            self.measures.gather(self.ranks)

    def _results(self, measures: Measures, ranks: Ranks | None) -> dict[str, Any]:
        """What was measured, by all ranks."""
        if ranks is None:
            return measures.results()
        measures.gather(ranks)
        return ranks.from_first(measures.results)

    def _measure(
        self,
        data: Dataset,
        batch_size: int,
        ranks: Ranks | None = None,
        stop: Callable[[int, Callable[[], float]], bool] = lambda rows, loss: False,
    ) -> dict[str, Any]:
        """Loss and metrics over data that is checked already.

        After each batch `stop` is told its rows, and what computes the loss so far.

        It works with copies of the loss and the metrics: another thread may be training.
        """
        measures, loss = self.measures.fresh(), copy.deepcopy(self.loss)
        passed: Generator[Batch | SharedBatch, None, None] = (
            data.batches(batch_size) if ranks is None else data.shared_batches(ranks, batch_size)
        )
        with self.model.evaluation(), closing(passed) as batches, suppress(Ended):
            for batch in batches:
                measured = self._loss_of(loss, *batch)
                if isinstance(batch, SharedBatch):
                    measured = self._whole(measured, batch.share)
                measures.add(*measured)
                if stop(batch.rows, measures.loss):
                    break
        return self._results(measures, ranks)

    def parts_of_a_run(self) -> list[object]:
        """What no other `fit` may use at the same time, for it keeps something between calls."""
        losses = [self.loss, *self.loss.parts.values()]
        return [*self.model.named_layers().values(), *losses, *self.metrics]

    def _threads_kept(self, *data: Dataset | None) -> AbstractContextManager[None]:
        """A context in which no other thread changes the bits of what this one computes.

        Where layers switch OpenBLAS's number of threads for their products, it is 1 all the time
        if batches are loaded: a thread of the user's may be multiplying matrices for them.
        """
        loads = any(each is not None and each.loads for each in data)
        layers = self.model.named_layers().values() if loads else ()
        return blas_kept(at_one=any(layer.splits_products for layer in layers))

    @contextmanager
    def _training_mode(self) -> Iterator[None]:
        """Training mode (layers that were put in eval mode one by one stay there)."""
        if not self.model.training:
            self.model.train()
        layers = self.model.named_layers().values()
        # containers set their children's flags; one call into C puts all of them back: see finally
        needed = [{"needs_input_grad": layer.needs_input_grad} for layer in layers]
        restored = map(dict.update, map(vars, layers), needed)
        self._generators = [g for _, g in self.model.named_parts(np.random.Generator)]
        try:
            self.model.needs_input_grad = False  # nothing lies below the first layer
            self.optimizer.zero_grad()
            yield
        except BaseException:  # between a forward and its backward
            self.model.clear_saved()
            self.loss.clear_saved()
            raise
        finally:
            list(restored)  # as a loop, Ctrl-C could come in its middle

    # -- files -----------------------------------------------------------------------------------

    @checked
    def save(self, path: PathLike, keep: int = 1) -> None:
        """Write the whole state of the training to a file; see `Checkpoint` to do it regularly.

        It holds model, optimizer, generators, measures, history, the callbacks' state and the
        place inside the epoch. The file takes the place of an older one only when it is complete
        and on the disk. In a callback it is written when all callbacks have handled the moment
        (in `on_validation_end`, at the end of the epoch). After an interrupted `fit` it is the
        place of the interruption, so that the run can go on from there. In parallel rank 0 alone
        writes it, and in a callback it does not matter whether the others ask for it too.

        Args:
            path: where to; used as it is, so give it the ending `.npz`.
            keep: how many files to keep, older ones as "run.1.npz", "run.2.npz", … (default 1).

        Raises:
            TypeError: when a callback or metric remembers what no file can hold.
            CheckpointError: when the file cannot be written; the old one is unchanged then.
            RuntimeError: when a `fit` is training the model in another thread, or runs this code
                but not as a callback's moment: the file would hold the middle of a step.
        """
        thread = training_thread(self.model)
        if thread is None:
            self.write(path, keep)
        elif self._callbacks.telling and in_this_thread(thread):
            self._callbacks.ask_for(path, keep)
        else:
            raise RuntimeError(
                "save: fit is in the middle of a step, and a file of that could not be resumed; "
                "save in a callback, which waits for the step to end: callbacks=[nn.Checkpoint("
                f"{os.fspath(path)!r}, every_steps=…)]"
            )

    def write(self, path: PathLike, keep: int) -> None:
        """What `save` does at the end of a moment, or when there is no run; on rank 0 alone."""
        if self.rank:
            return
        state = checkpoint.capture(self)
        place = self._place
        if place is not None and place["optimizer"]["state"]["steps"] == self.optimizer.steps:
            state = place  # nothing was trained since
        try:
            checkpoint.write(path, state, keep)
        except TypeError:
            checkpoint.check_savable(self)  # says more about it
            raise

    @checked
    def load(self, path: PathLike) -> None:
        """Take over everything from a file of `save`; the next `fit` goes on with the saved call.

        Args:
            path: the file.

        Raises:
            FileNotFoundError: when there is no such file.
            CheckpointError: when it is damaged or does not fit; nothing has changed then.
            RuntimeError: when a `fit` is training the model.
        """
        if training_thread(self.model) is not None:
            raise RuntimeError(
                "load: fit is training this model; set trainer.stop_training = True in a callback "
                "and load when fit has returned, or begin with fit(..., resume=path)"
            )
        self._restore(checkpoint.read(path, self))
        self._callbacks, self._place = CallbackList(), None

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over a state that was checked; what the script has otherwise is said first."""
        saved = RunState.from_state(state).setup
        warn_of_differences(
            saved, description(self.model, self.loss, self.optimizer, self.penalties)
        )
        checkpoint.restore(self, state)

    def callback_states(self) -> dict[str, dict[str, Any]]:
        """What the callbacks of the run remember, by name, and those that a file told of."""
        states = {**self.run.callback_states, **self._callbacks.state_dict()}
        return {name: state for name, state in states.items() if state}

    def _take_up(self) -> None:
        """Give the callbacks what a file says that they remember: from here on the run goes on."""
        self._check_savable()
        self._callbacks.load_state_dict(self.run.callback_states)
        self.run.callback_states = {}
        self.run.resumed = False

    def _check_savable(self) -> None:
        """Find out now what would keep a `Checkpoint` from its files later."""
        if self._callbacks.saves:
            checkpoint.check_savable(self)

    def fingerprint(self) -> dict[str, Any]:
        """What two runs must have in common to be the same: compare them with `==`.

        Returns:
            `seed` (of `nn.seed`, when the trainer was made), versions, `blas`, `simd`, `cores`,
            `threads`, `blas_threads`, completed `steps`, and SHA-256 hashes of the weights and of
            the order in which all epochs so far took the rows.
        """
        return {
            "seed": self.run.seed,
            **environment(),
            "steps": self.optimizer.steps,
            "weights": weights_hash(self.model),
            "data_order": self.run.order_hash,
        }

    @property
    def validated(self) -> bool:
        """Whether the last epoch had validation data."""
        return any(name.startswith("val_") for name in self.results)


def _groups(
    batches: Iterator[Batch | SharedBatch], size: int
) -> Iterator[tuple[Batch | SharedBatch, ...]]:
    """The batches of each update; the last group may be smaller."""
    if size == 1:
        return ((batch,) for batch in batches)  # zip would hold one batch more
    return iter(lambda: tuple(itertools.islice(batches, size)), ())
