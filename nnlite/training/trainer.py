"""The trainer: one call of `fit` from its arguments to its history, and files to go on from."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.checks import check_instances, check_whole, is_number
from nnlite.files.atomic import PathLike
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.metrics import Metric
from nnlite.optimizers.base import Optimizer
from nnlite.random import as_generator, root_entropy
from nnlite.training import checkpoint
from nnlite.training.call import Call
from nnlite.training.callbacks import Callback
from nnlite.training.callbacks.monitor import check_validation
from nnlite.training.callbacks.saving import file_to_resume
from nnlite.training.class_weight import ClassWeight
from nnlite.training.fingerprint import environment, weights_hash
from nnlite.training.history import History
from nnlite.training.interrupt import Interrupt
from nnlite.training.progress import progress
from nnlite.training.run import Run
from nnlite.training.samples import Samples, check_batches
from nnlite.training.saver import Saver
from nnlite.training.steps import Steps
from nnlite.training.stream import Stream, as_feed, validation_feed


class Trainer(Steps):
    """Trains a model: `Trainer(model, loss, optimizer).fit(x, y, epochs=10)`.

    Args:
        model: the layer to train, usually a `Sequential`.
        loss: what to minimise.
        optimizer: what updates the model's parameters.
        metrics: what else to measure (default: nothing).
        rng: a generator or seed for shuffling and splitting (default: see `nn.seed`).

    Attributes:
        history: what the last `fit` recorded.
        epoch, step: whole epochs of this `fit`, and updates in the epoch that runs.
        last_loss: the loss of the last batch.
        results: what the last epoch measured, from validation on; as in the history.
        stop_training: a callback sets it True to end `fit` after the step that runs.
        interrupted: the same for an end from outside (Ctrl-C, a time limit): a checkpoint of the
            run goes on from there, while a run that stopped is over.
        best_restored: whether a callback has ended `fit` with the best weights.
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        metrics: Sequence[Metric] = (),
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(model, loss, optimizer, metrics)
        self.rng = as_generator(rng)
        self.history = History()
        self.results: dict[str, Any] = {}
        self.seed = root_entropy()
        self.order_hash = ""  # of the order of all rows so far
        self.stop_training = self.interrupted = self.best_restored = False
        self.saver = Saver(self)

    # -- the whole run ---------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
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
                `__len__` and `__getitem__`. Floating x is cast to the model's dtype. Or x alone, a
                generator function: `x(rng)` is called for each epoch and yields (x, y) or (x, y,
                sample_weight); what it draws comes from `rng`, and `batch_size` and `shuffle` are
                its own affair.
            epochs: how many passes (default 1).
            batch_size: samples per batch (default 32).
            validation_data: (x, y), (x, y, sample_weight) or a generator function, to evaluate
                after each epoch.
            validation_split: instead, the share of the data to set aside for that, drawn at
                random (default 0: none).
            callbacks: called at their moments, in this order.
            sample_weight: one weight per sample (default: all 1).
            class_weight: weights by class, a mapping or a list; they multiply the sample weights,
                in validation too.
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
        """
        for name, value in (
            ("epochs", epochs),
            ("batch_size", batch_size),
            ("accumulate", accumulate),
        ):
            check_whole(f"fit: {name}", value)
        check_instances("fit: callbacks", callbacks, Callback)
        if not is_number(validation_split) or not 0 <= validation_split < 1:
            raise ValueError(
                f"fit: validation_split must be a share in [0, 1), got {validation_split!r}"
            )
        if validation_data is not None and validation_split:
            raise ValueError("fit: give validation_data or validation_split, not both")
        parts = self.model, self.loss
        train = as_feed(*parts, x, y, sample_weight, class_weight, measures=self.measures)
        if isinstance(train, Stream) and (validation_split or drop_last):
            raise ValueError("fit: validation_split and drop_last need data with a length")
        held_out = validation_feed(*parts, validation_data, class_weight, self.measures)
        settings = {
            "rows": train.rows,
            "batch_size": batch_size,
            "validation_split": validation_split,
            "shuffle": shuffle,
            "drop_last": drop_last,
            "accumulate": accumulate,
        }
        call, state = self._call(settings, list(callbacks), resume)
        drawn = copy.deepcopy(self.rng)
        drawn.bit_generator.state = call.rng_begin
        if isinstance(train, Samples):
            if validation_split:
                train, held_out = train.split(validation_split, drawn)
            check_batches(self.model, train.rows, batch_size, drop_last)
        if held_out is None:
            check_validation(callbacks)

        # nothing has changed until here
        if state is not None:
            checkpoint.restore(self, state)
        if not call.resumed:
            self.history, self.epoch, self.stop_training = History(), 0, False
            self.rng.bit_generator.state = drawn.bit_generator.state
        self.call = call
        self.saver.reset()
        call.callbacks, call.resumed = callbacks, False
        if call.finished and (self.stop_training or self.epoch >= epochs):
            call.take_over()
            return self.history
        self.interrupted = self.best_restored = False
        rows = train.rows or 0  # unknown for a stream
        used = rows - (rows % batch_size if drop_last else 0)
        done = call.begun * self.step * accumulate * batch_size
        with (
            self.training_mode(),
            # a run that diverges is stopped by its loss, with the place; see `steps.py`
            np.errstate(over="ignore", invalid="ignore"),
            Interrupt() as interrupt,
            progress(verbose, epochs, used, done) as display,
        ):
            Run(self, call, train, held_out, display, interrupt).go(epochs)
        if self.interrupted and verbose:
            by = "Ctrl-C" if interrupt.requested else "a callback"
            steps = math.ceil(used / (batch_size * accumulate))
            where = f"in epoch {self.epoch + 1}, after step {self.step} of {steps}"
            print(f"stopped by {by} {where if call.begun else f'after epoch {self.epoch}'}")
        return self.history

    def _call(
        self, settings: dict[str, Any], callbacks: list[Callback], resume: PathLike | None
    ) -> tuple[Call, dict[str, Any] | None]:
        """The call to work on, a new one or one that was saved; and the state to restore first."""
        state, saved = None, self.call if self.call is not None and self.call.resumed else None
        path = file_to_resume(resume, callbacks)
        if path is not None:
            state = checkpoint.read(path, self)
            saved = None if state["call"] is None else Call.from_state(state["call"])
        if saved is not None:
            saved.check(settings, callbacks)
            return saved, state
        now = self.rng.bit_generator.state if state is None else state["trainer"]["rng"]
        return Call(settings, rng_begin=now, rng_epoch=now), state

    # -- files -----------------------------------------------------------------------------------

    def save(self, path: PathLike, keep: int = 1) -> None:
        """Write the whole state of the training to a file; see `Checkpoint` to do it regularly.

        It holds model, optimizer, generators, measures, history, the callbacks' state and the
        place inside the epoch. The file takes the place of an older one only when it is complete
        and on the disk. In a callback it is written when all callbacks have handled the moment
        (in `on_validation_end`, at the end of the epoch). After an interrupted `fit` it is the
        place of the interruption, so that the run can go on from there.

        Args:
            path: where to; used as it is, so give it the ending `.npz`.
            keep: how many files to keep, older ones as "run.1.npz", "run.2.npz", … (default 1).

        Raises:
            TypeError: when a callback or metric remembers what no file can hold.
            CheckpointError: when the file cannot be written; the old one is unchanged then.
        """
        self.saver.save(path, keep)

    def load(self, path: PathLike) -> None:
        """Take over everything from a file of `save`; the next `fit` goes on with the saved call.

        Args:
            path: the file.

        Raises:
            FileNotFoundError: when there is no such file.
            CheckpointError: when it is damaged or does not fit; nothing has changed then.
        """
        state = checkpoint.read(path, self)
        checkpoint.restore(self, state)
        self.call = None if state["call"] is None else Call.from_state(state["call"])
        self.saver.reset()

    def fingerprint(self) -> dict[str, Any]:
        """What two runs must have in common to be the same: compare them with `==`.

        Returns:
            `seed` (of `nn.seed`, when the trainer was made), versions, `blas`, `cores`, `threads`,
            completed `steps`, and SHA-256 hashes of the weights and of the order in which all
            epochs so far took the rows.
        """
        return {
            "seed": self.seed,
            **environment(),
            "steps": self.optimizer.steps,
            "weights": weights_hash(self.model),
            "data_order": self.order_hash,
        }

    @property
    def validated(self) -> bool:
        """Whether the last epoch had validation data."""
        return any(name.startswith("val_") for name in self.results)
