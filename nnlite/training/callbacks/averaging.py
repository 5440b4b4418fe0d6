"""Averages of weights over time, which often generalise better than the last ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import warn
from nnlite.core.forms import COUNT, Arrays
from nnlite.core.parameter import Buffer, Parameter
from nnlite.files.model import misfits
from nnlite.layers.base import Layer
from nnlite.layers.structure import arrays
from nnlite.ops.moments import running_mean
from nnlite.training.callbacks.base import Callback
from nnlite.training.state import Training


def _floating(model: Layer) -> dict[str, Parameter | Buffer]:
    """What can be averaged: floating parameters and buffers."""
    return {path: part for path, part in arrays(model).items() if part.dtype.kind == "f"}


class _Average(Callback):
    """What the averages share: their values, and that `fit` ends with them."""

    required: ClassVar[bool] = True
    remembers: ClassVar = {"average": Arrays(), "count": COUNT}

    def __init__(self) -> None:
        self.average: dict[str, np.ndarray] = {}
        self.count = 0

    def averaged(self, model: Layer) -> dict[str, Parameter | Buffer]:
        """What is averaged, by path."""
        return _floating(model)

    def on_fit_begin(self, trainer: Training) -> None:
        """Nothing averaged yet; the parts are found once, and not at every step."""
        self._parts = self.averaged(trainer.model)
        self.average = {}
        self.count = 0

    def check_fits(self, state: dict[str, Any], model: Layer) -> None:
        """The average of another model is none of this one."""
        problems = misfits(self.averaged(model), state["average"])
        if problems:
            raise ValueError(
                f"{self!r}: the average in the file is of another model: {problems[0]}"
            )

    def put_in(self) -> None:
        """Write the average into the model."""
        for path, mean in self.average.items():
            self._parts[path].data = mean

    def on_fit_end(self, trainer: Training) -> None:
        """End with the average, unless the best weights were restored."""
        if not trainer.best_restored:
            self.put_in()


class _Follower(_Average):
    """An average that begins with the weights as they are."""

    def on_fit_begin(self, trainer: Training) -> None:
        """Begin with the weights as they are."""
        super().on_fit_begin(trainer)
        self.average = {path: part.data.copy() for path, part in self._parts.items()}


class EMA(_Follower):
    """An exponential moving average of the weights, updated after every step.

    Rule         a₀ = w₀,  aₜ = dₜ aₜ₋₁ + (1 − dₜ) wₜ,  dₜ = min(decay, (1 + t) / (10 + t))
                 after step t = 1, 2, …; dₜ rises with t, so that the untrained w₀ is soon
                 forgotten: its share Π dₜ falls as t⁻⁹ until the decay is reached, by a decay of
                 0.999 after 9,000 steps. Until then the average is over about the last t/9 steps.
    Args         decay: the largest dₜ, 0 ≤ decay < 1 (default 0.999); the average is then over
                 about the last 1/(1 − decay) steps
    Raises       ValueError: for a decay out of range
    Source       TensorFlow's `ExponentialMovingAverage` with `num_updates`

    The average is in the model while it is validated (and while best weights are taken), and when
    `fit` ends, unless it ends with restored best weights. Running statistics are averaged too.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay

    def on_step_end(self, trainer: Training) -> None:
        """One step of the average."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for path, part in self._parts.items():
            running_mean(self.average[path], part.data, decay)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """As what will be taken over."""
        super().check_state_dict(self._counted(state))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on."""
        super().load_state_dict(self._counted(state))

    def _counted(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state; a file from before there was a count is of a decay that did not rise."""
        risen = math.ceil(9 / (1 - self.decay))  # steps after which dₜ is the decay
        return {"count": risen, **state} if isinstance(state, dict) else state

    @contextmanager
    def around_validation(self, trainer: Training) -> Iterator[None]:
        """The average in the model's place, and afterwards the weights again."""
        weights = {path: part.data.copy() for path, part in self._parts.items()}
        self.put_in()
        try:
            yield
        finally:
            for path, part in self._parts.items():
                part.data = weights[path]


class SWA(_Average):
    """Stochastic weight averaging: the plain mean of the weights at the ends of epochs.

    `fit` ends with the mean, unless it ends with restored best weights. Running statistics are
    averaged too. Source: Izmailov et al. 2018, algorithm 1.

    Args:
        start: after how many epochs of a `fit` to begin (default 0).

    Warns:
        ModelWarning: when `fit` ends before there is anything to average.
    """

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self.start = start

    def check_fits(self, state: dict[str, Any], model: Layer) -> None:
        """Before the first epoch that counts there is no average."""
        if state["count"] or state["average"]:
            super().check_fits(state, model)

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Say now that there will be nothing to average."""
        self._told = epochs <= self.start
        if self._told:
            warn(
                f"{self!r}: nothing will be averaged: fit is over after {epochs} epochs; choose a "
                "smaller start"
            )

    def on_fit_end(self, trainer: Training) -> None:
        """End with the mean, or say that there is none."""
        super().on_fit_end(trainer)
        if not (self.count or self._told or trainer.interrupted or trainer.best_restored):
            warn(
                f"{self!r}: nothing was averaged, and the weights are those of the last step: "
                f"fit ended after {trainer.epoch} epochs; choose a smaller start"
            )

    def on_epoch_end(self, trainer: Training) -> None:
        """Add the weights to the mean."""
        if trainer.epoch <= self.start:
            return
        self.count += 1
        for path, part in self._parts.items():
            mean = self.average.setdefault(path, np.zeros_like(part.data))
            mean += (part.data - mean) / self.count


class Lookahead(_Follower):
    """Slow weights behind the optimizer's fast ones: k steps forward, one step back.

    Rule         φ = w at first;  after every k steps φ ← φ + α (w − φ), and w ← φ
    Args         k: how often, ≥ 1 (default 5)
                 alpha: α, 0 < α ≤ 1 (default 0.5); with 1 nothing changes
    Raises       ValueError: for arguments out of range
    Source       Zhang et al. 2019, "Lookahead Optimizer", algorithm 1

    Any optimizer goes with it; its momentum is kept when the weights go back. `fit` ends with the
    slow weights, unless it ends with restored best weights.
    """

    def __init__(self, k: int = 5, alpha: float = 0.5) -> None:
        super().__init__()
        self.k = k
        self.alpha = alpha

    def averaged(self, model: Layer) -> dict[str, Parameter | Buffer]:
        """The parameters: running statistics are those of the last batches."""
        return {path: p for path, p in model.named_parameters().items() if p.dtype.kind == "f"}

    def on_step_end(self, trainer: Training) -> None:
        """After k steps, one step of the slow weights, and back to them."""
        self.count += 1
        if self.count % self.k:
            return
        for path, part in self._parts.items():
            slow = self.average[path]
            slow += self.alpha * (part.data - slow)
        self.put_in()
