"""Small callbacks: functions as moments, and a limit on time."""

from __future__ import annotations

import time
from collections.abc import Callable

from nnlite.training.callbacks.base import Callback
from nnlite.training.state import Training

Moment = Callable[["Training"], object]


class LambdaCallback(Callback):
    """A callback from functions, each called with the trainer: `LambdaCallback(on_step_end=f)`.

    Args:
        on_fit_begin, on_epoch_begin, on_step_end, on_wait, on_validation_end, on_epoch_end,
            on_interrupt, on_fit_end: what to do at that moment (default None: nothing).
    """

    def __init__(
        self,
        on_fit_begin: Moment | None = None,
        on_epoch_begin: Moment | None = None,
        on_step_end: Moment | None = None,
        on_wait: Moment | None = None,
        on_validation_end: Moment | None = None,
        on_epoch_end: Moment | None = None,
        on_interrupt: Moment | None = None,
        on_fit_end: Moment | None = None,
    ) -> None:
        moments = {name: moment for name, moment in locals().items() if name.startswith("on_")}
        for name, moment in moments.items():
            if moment is not None:
                setattr(self, name, moment)
        self._given = [name for name, moment in moments.items() if moment is not None]

    def __repr__(self) -> str:
        return f"LambdaCallback({', '.join(self._given)})"


class TimeLimit(Callback):
    """End `fit` after so many seconds, with the step in hand, as Ctrl-C does.

    It looks at the clock after each step, and now and then while `fit` validates or waits for
    `nn.data.prefetch`.

    A run that was resumed has the whole time again, so that it fits jobs of limited length.

    Args:
        seconds: > 0, counted from the beginning of `fit`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_fit_begin(self, trainer: Training) -> None:
        """Start the clock."""
        self._end = time.monotonic() + self.seconds

    def on_step_end(self, trainer: Training) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._end:
            trainer.interrupted = True

    on_wait = on_step_end
