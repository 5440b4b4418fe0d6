"""The training loop: batches in, updates out, and a record of how it went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from nnlite.checks import check_whole
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.metrics import Metric
from nnlite.optimizers.base import Optimizer
from nnlite.padded import masked
from nnlite.random import as_generator
from nnlite.training.callbacks import Callback
from nnlite.training.diagnosis import first_non_finite
from nnlite.training.history import History
from nnlite.training.interrupt import Interrupt
from nnlite.training.progress import Progress, progress
from nnlite.training.samples import ClassWeight, Samples


class Trainer:
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
        stop_training: a callback sets it True to end `fit` after the step that runs.
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        metrics: Sequence[Metric] = (),
        rng: np.random.Generator | int | None = None,
    ) -> None:
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"Trainer: two metrics have the same name, got {names}")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = list(metrics)
        self.rng = as_generator(rng)
        self.history = History()
        self.epoch = 0
        self.step = 0
        self.last_loss = math.nan
        self.stop_training = False

    # -- one step --------------------------------------------------------------------------------

    def train_step(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
        """One step of the loop on one batch; returns the loss."""
        prediction, weight = self._forward(x, y, weight)
        grad = self.loss.backward()  # 1. compute the loss gradient
        self.model.backward(grad)  # 2. to 5. through every layer, last to first
        self.optimizer.step()  # 6. update the weights
        self.optimizer.zero_grad()
        self._measure(prediction, y, weight)
        return self.last_loss

    def _accumulated_step(self, group: list[Samples]) -> None:
        """One update from several batches, exactly as if they were one.

        The gradient of a mean over all is Σ Dᵦ gᵦ / Σ Dᵦ, with Dᵦ each batch's own divisor.
        """
        total = 0.0
        for x, y, weight in group:
            prediction, weight = self._forward(x, y, weight)
            grad = self.loss.backward()
            self.model.backward(grad * self.loss.denominator)
            total += self.loss.denominator
            self._measure(prediction, y, weight)
        mean = self.loss.reduction == "mean"
        self.optimizer.step(grad_scale=1 / total if mean and total else 1.0)
        self.optimizer.zero_grad()

    def _forward(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Prediction and weights without padding; the loss goes to `last_loss`, finite."""
        prediction, weight = masked(self.model.forward(x), weight)
        self.last_loss = self.loss(prediction, y, weight)
        if not math.isfinite(self.last_loss):
            raise FloatingPointError(
                f"the loss is {self.last_loss} in epoch {self.epoch + 1}, step {self.step + 1}: "
                f"{first_non_finite(self.model, x)}; a smaller learning rate or clip_norm may help"
            )
        return prediction, weight

    # -- measuring -------------------------------------------------------------------------------

    def _reset(self) -> None:
        self._loss_total = self._loss_weight = 0.0
        for metric in self.metrics:
            metric.reset()

    def _measure(self, prediction: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> None:
        self._loss_total += self.last_loss * self.loss.denominator
        self._loss_weight += self.loss.denominator
        for metric in self.metrics:
            metric.update(prediction, y, weight)

    def _results(self) -> dict[str, Any]:
        """Loss and metrics since `_reset`."""
        loss = self._loss_total / self._loss_weight if self._loss_weight else 0.0
        return {"loss": loss, **{metric.name: metric.result() for metric in self.metrics}}

    def evaluate(
        self, x: Any, y: Any, batch_size: int = 256, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Loss and metrics over all of `x` and `y`, in eval mode; nothing is changed.

        Args:
            x, y: inputs and targets.
            batch_size: how many samples at a time (default 256).
            sample_weight: one weight per sample (default: all 1).

        Raises:
            TypeError, ValueError: when the data does not fit the model or the loss.
        """
        return self._evaluate(
            Samples.checked(self.model, self.loss, x, y, sample_weight), batch_size
        )

    def _evaluate(self, samples: Samples, batch_size: int) -> dict[str, Any]:
        self._reset()
        with self.model.evaluation():
            for x, y, weight in samples.batches(batch_size):
                prediction, weight = masked(self.model(x), weight)
                self.last_loss = self.loss(prediction, y, weight)
                self._measure(prediction, y, weight)
        return self._results()

    # -- the whole run ---------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int,
        batch_size: int = 32,
        validation_data: Sequence[Any] | None = None,
        validation_split: float = 0.0,
        callbacks: Sequence[Callback] = (),
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        accumulate: int = 1,
        verbose: bool = True,
    ) -> History:
        """Train for `epochs` more passes over the data.

        Args:
            x, y: inputs and targets, one row per sample. Floating x is cast to the model's dtype.
            epochs: how many passes.
            batch_size: samples per batch (default 32).
            validation_data: (x, y) or (x, y, sample_weight) to evaluate after each epoch.
            validation_split: instead, the share of the data to set aside for that, drawn at
                random (default 0: none).
            callbacks: called at their moments, in this order.
            sample_weight: one weight per sample (default: all 1).
            class_weight: weights by class, a mapping or a list; they multiply the sample weights,
                in validation too.
            shuffle: whether each epoch has an order of its own (default True).
            drop_last: whether to leave out a last batch that is not full (default False).
            accumulate: how many batches make one update, exact for uneven ones (default 1).
            verbose: whether to show progress (default True).

        Returns:
            The history. Ctrl-C ends the run after the step in hand and returns it too, with the
            whole epochs so far.

        Raises:
            TypeError, ValueError: when the data does not fit; nothing has changed then.
            FloatingPointError: when the loss is not finite: names epoch, step and first layer.
        """
        for name, value in (
            ("epochs", epochs),
            ("batch_size", batch_size),
            ("accumulate", accumulate),
        ):
            check_whole(f"fit: {name}", value)
        if validation_data is not None and validation_split:
            raise ValueError("fit: give validation_data or validation_split, not both")
        train = Samples.checked(self.model, self.loss, x, y, sample_weight, class_weight)
        held_out = self._validation_data(validation_data, class_weight)
        if validation_split:
            train, held_out = train.split(validation_split, self.rng)
        self._check_batches(len(train.x), batch_size, drop_last)

        self.history, self.epoch, self.stop_training = History(), 0, False
        used = len(train.x) - (len(train.x) % batch_size if drop_last else 0)
        with (
            self._training_mode(),
            Interrupt() as interrupt,
            progress(verbose, epochs, used) as display,
        ):
            run = _Run(self, callbacks, display, interrupt)
            run.call("on_fit_begin")
            while self.epoch < epochs and not self.stop_training:
                feed = train.batches(batch_size, shuffle, drop_last, self.rng)
                self._train_epoch(groups_of(accumulate, feed), run)
                if interrupt.requested:
                    break
                self._finish_epoch(held_out, batch_size, run)
            run.call("on_fit_end")
        if interrupt.requested and verbose:
            print(f"stopped by Ctrl-C in epoch {self.epoch + 1}, after step {self.step}")
        return self.history

    def _train_epoch(self, feed: Iterator[list[Samples]], run: _Run) -> None:
        """One pass over the data, one update for each group of batches."""
        run.display.begin_epoch(self.epoch)
        run.call("on_epoch_begin")
        self._reset()
        self.step = 0
        for group in feed:
            if len(group) == 1:
                self.train_step(*group[0])
            else:
                self._accumulated_step(group)
            self.step += 1
            run.call("on_step_end")
            run.display.advance(sum(len(batch.x) for batch in group), self._results)
            if run.interrupt.requested or self.stop_training:
                break

    def _finish_epoch(self, held_out: Samples | None, batch_size: int, run: _Run) -> None:
        """Evaluate and write down what the epoch measured."""
        row = {**self._results(), "lr": self.optimizer.current_lr}
        if held_out is not None:
            measured = self._evaluate(held_out, max(batch_size, 256))
            row |= {f"val_{name}": value for name, value in measured.items()}
            run.call("on_validation_end")
        self.history.append(row)
        self.epoch += 1
        run.display.end_epoch(row)
        run.call("on_epoch_end")

    def _validation_data(
        self, data: Sequence[Any] | None, class_weight: ClassWeight | None
    ) -> Samples | None:
        if data is None:
            return None
        if len(data) not in (2, 3):
            raise ValueError(
                f"fit: validation_data must be (x, y) or (x, y, sample_weight), got {len(data)}"
            )
        x, y, weight = (*data, None)[:3]
        return Samples.checked(self.model, self.loss, x, y, weight, class_weight, "validation ")

    def _check_batches(self, samples: int, batch_size: int, drop_last: bool) -> None:
        """Refuse sizes that leave no batch, or a last one that a layer cannot train on."""
        if drop_last and samples < batch_size:
            raise ValueError(
                f"fit: {samples} samples with batch_size={batch_size} and drop_last leave no batch"
            )
        last = samples % batch_size or batch_size
        if drop_last or last >= batch_size:
            last = batch_size
        for path, layer in self.model.named_layers().items():
            if last < layer.min_batch:
                raise ValueError(
                    f"fit: the last batch would have {last} of {batch_size} samples, but layer "
                    f"{path}, {layer!r}, needs {layer.min_batch}; set drop_last=True or another "
                    "batch_size"
                )

    @contextmanager
    def _training_mode(self) -> Iterator[None]:
        """Training mode (layers that were put in eval mode one by one stay there)."""
        if not self.model.training:
            self.model.train()
        needed = self.model.needs_input_grad
        self.model.needs_input_grad = False  # nothing lies below the first layer
        try:
            self.optimizer.zero_grad()
            yield
        finally:
            self.model.needs_input_grad = needed


class _Run(NamedTuple):
    """What goes with one call of `fit`."""

    trainer: Trainer
    callbacks: Sequence[Callback]
    display: Progress
    interrupt: Interrupt

    def call(self, moment: str) -> None:
        """Tell every callback, in order."""
        for callback in self.callbacks:
            getattr(callback, moment)(self.trainer)


def groups_of(size: int, feed: Iterator[Samples]) -> Iterator[list[Samples]]:
    """The batches of each update; the last group may be smaller."""
    return iter(lambda: list(itertools.islice(feed, size)), [])
