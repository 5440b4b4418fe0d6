"""Callbacks that watch one number: stop when it no longer improves, or lower the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from nnlite.core.checks import warn
from nnlite.core.forms import COUNT, REAL_OR_NONE, Arrays
from nnlite.core.kinds import Either, Nothing, number_of
from nnlite.files.model import misfits
from nnlite.layers.base import Layer
from nnlite.layers.structure import arrays
from nnlite.training.callbacks.base import Callback
from nnlite.training.state import Training

Mode = Literal["auto", "min", "max"]


class Monitor(Callback):
    """The base of callbacks that watch one number of each epoch.

    Args:
        monitor: its name, as in the history.
        mode: "min", "max", or "auto": what is better for the metric of that name (a smaller loss).
        min_delta: how much better it has to be to count, ≥ 0.
    """

    _warned: bool = False
    remembers: ClassVar[Mapping[str, Any]] = {"best": REAL_OR_NONE}

    def __init__(self, monitor: str, mode: Mode, min_delta: float) -> None:
        self.monitor = monitor
        self.mode = mode
        self.min_delta = min_delta
        self.best: float | None = None

    @property
    def watches(self) -> bool:
        """Whether it looks at the number at all."""
        return True

    def on_fit_begin(self, trainer: Training) -> None:
        """Forget earlier runs."""
        self.best = None
        self._warned = False

    def measured(self, trainer: Training) -> float:
        """The epoch's value.

        Raises:
            ValueError: when there is no such number.

        Warns:
            ModelWarning: once, when it is NaN and never was anything else.
        """
        value = number_of(trainer.results.get(self.monitor))
        if value is None:
            there = [name for name, v in trainer.results.items() if number_of(v) is not None]
            raise ValueError(f"{self!r}: {self.monitor!r} was not measured; there are {there}")
        if math.isnan(value) and self.best is None and not self._warned:
            self._warned = True
            warn(
                f"{self!r}: {self.monitor!r} is NaN from the start, and NaN never counts as "
                "better: look for what makes it NaN, or watch another number with monitor="
            )
        return value

    def better(self, trainer: Training, value: float, than: float | None) -> bool:
        """Whether a value is better than another by `min_delta`; NaN never is."""
        if than is None:
            return not math.isnan(value)
        larger = self.mode == "max" or (self.mode == "auto" and self._larger_is_better(trainer))
        return value > than + self.min_delta if larger else value < than - self.min_delta

    def _larger_is_better(self, trainer: Training) -> bool:
        name = self.monitor.removeprefix("val_")
        return any(metric.name == name and metric.larger_is_better for metric in trainer.metrics)


class EarlyStopping(Monitor):
    """Stop when a number no longer improves, and end with the weights that were best.

    The best weights are taken when the number is measured: of an average of weights (`EMA`),
    while that is in the model. `fit` always ends with them, however it ends.

    Args:
        monitor: what to watch (default "val_loss").
        min_delta: the least improvement that counts (default 0).
        patience: how many epochs without one are allowed: the run stops after `patience` of them,
            or after the first with 0 (default 0).
        mode: "min", "max" or "auto" (default "auto": by the metric).
        baseline: a value that must be beaten too; until it is, epochs count as not improved
            (default None).
    """

    required: ClassVar[bool] = True
    remembers: ClassVar = {
        **Monitor.remembers,
        "wait": COUNT,
        "best_weights": Either([Arrays(), Nothing()]),
    }

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.baseline = baseline
        self.wait = 0
        self.best_weights: dict[str, Any] | None = None

    def check_fits(self, state: dict[str, Any], model: Layer) -> None:
        """Best weights of another model cannot be put back."""
        best = state["best_weights"]
        problems = [] if best is None else misfits(arrays(model), best)
        if problems:
            raise ValueError(f"{self!r}: the best weights are of another model: {problems[0]}")

    def on_fit_begin(self, trainer: Training) -> None:
        """Nothing is best yet."""
        super().on_fit_begin(trainer)
        self.wait = 0
        self.best_weights = None

    def on_validation_end(self, trainer: Training) -> None:
        """Look while the weights that were validated are in the model."""
        self._look(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        """Look now when there was no validation."""
        if not trainer.validated:
            self._look(trainer)

    def on_fit_end(self, trainer: Training) -> None:
        """Put the best weights back."""
        if self.best_weights is not None:
            trainer.model.load_state_dict(self.best_weights)
            trainer.best_restored = True

    def _look(self, trainer: Training) -> None:
        value = self.measured(trainer)
        self.wait += 1
        if self.better(trainer, value, self.best):
            self.best = value
            self.best_weights = trainer.model.state_dict()
            if self.baseline is None or self.better(trainer, value, self.baseline):
                self.wait = 0
        if self.wait >= max(self.patience, 1):
            trainer.stop_training = True


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by a factor when a number no longer improves.

    It changes `optimizer.lr_scale`, so that it works on top of any schedule.

    Args:
        monitor: what to watch (default "val_loss").
        factor: between 0 and 1 (default 0.1).
        patience: how many epochs without improvement are allowed (default 10).
        min_delta: the least improvement that counts (default 1e-4).
        mode: "min", "max" or "auto" (default "auto": by the metric).
        cooldown: how many epochs to wait after a reduction before counting again (default 0).
        min_lr: a learning rate that is not gone below (default 0).
    """

    required: ClassVar[bool] = True
    remembers: ClassVar = {**Monitor.remembers, "wait": COUNT, "cooling": COUNT}

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: Mode = "auto",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.wait = 0
        self.cooling = 0

    def on_fit_begin(self, trainer: Training) -> None:
        """Begin to count."""
        super().on_fit_begin(trainer)
        self.wait = self.cooling = 0

    def on_epoch_end(self, trainer: Training) -> None:
        """Count, and reduce when it is time."""
        value = self.measured(trainer)
        if self.cooling:
            self.cooling -= 1
            self.wait = 0
        if self.better(trainer, value, self.best):
            self.best = value
            self.wait = 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= max(self.patience, 1):
                self._reduce(trainer)

    def _reduce(self, trainer: Training) -> None:
        optimizer = trainer.optimizer
        lr = optimizer.current_lr
        if lr > self.min_lr:
            optimizer.lr_scale *= max(self.factor, self.min_lr / lr)
            self.cooling = self.cooldown
            self.wait = 0
