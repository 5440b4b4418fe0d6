"""What `fit` shows: a bar in a terminal or notebook, one line per epoch in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Self

from nnlite.training.history import format_value

REFRESH = 0.1  # seconds between two updates of the numbers behind the bar


class Progress:
    """Nothing to see; the base of what shows something."""

    def __init__(self, epochs: int, samples: int, done: int = 0) -> None:
        self.epochs = epochs
        self.samples = samples  # in an epoch; 0 when unknown
        self.done = done  # before a resumed run began

    def begin_epoch(self, epoch: int) -> None:
        """Epoch number `epoch`, 0 first, begins."""

    def advance(self, samples: int, values: Callable[[], Mapping[str, Any]]) -> None:
        """A step on so many samples is done; `values` computes the epoch's numbers so far."""

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """An epoch is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """The run is over."""


class Bar(Progress):
    """A tqdm bar over all samples of all epochs."""

    def __init__(self, epochs: int, samples: int, done: int = 0) -> None:
        super().__init__(epochs, samples, done)
        # Imported here: tqdm would add a third to the time of `import nnlite`.
        tqdm = import_module("tqdm.auto" if in_notebook() else "tqdm").tqdm
        total = epochs * samples or None  # None: unknown
        self._bar = tqdm(total=total, initial=done, unit=" samples", dynamic_ncols=True)
        self._shown = 0.0

    def begin_epoch(self, epoch: int) -> None:
        """Names the epoch."""
        self._bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)

    def advance(self, samples: int, values: Callable[[], Mapping[str, Any]]) -> None:
        """Moves the bar; the numbers follow ten times a second."""
        self._bar.update(samples)
        now = time.perf_counter()
        if now - self._shown > REFRESH:
            self._shown = now
            self._show(values())

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """Shows the epoch's final numbers."""
        self._show(values)

    def _show(self, values: Mapping[str, Any]) -> None:
        numbers = {name: format_value(v) for name, v in numbers_only(values).items()}
        self._bar.set_postfix(numbers, refresh=False)

    def __exit__(self, *error: object) -> None:
        """Leaves the bar as it stands."""
        self._bar.refresh()
        self._bar.close()


class Lines(Progress):
    """One plain line per epoch, for log files and pipes."""

    def begin_epoch(self, epoch: int) -> None:
        """Starts the clock."""
        self._epoch = epoch
        self._start = time.perf_counter()
        self._trained = 0

    def advance(self, samples: int, values: Callable[[], Mapping[str, Any]]) -> None:
        """Counts."""
        self._trained += samples

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """Prints the epoch's numbers."""
        rate = self._trained / max(time.perf_counter() - self._start, 1e-9)
        number = f"{self._epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
        texts = [f"{name} {format_value(v)}" for name, v in numbers_only(values).items()]
        print("  ".join([f"epoch {number}", *texts, f"{rate:,.0f} samples/s"]), flush=True)


def progress(verbose: bool, epochs: int, samples: int, done: int = 0) -> Progress:
    """The kind that fits where the output goes."""
    if not verbose:
        return Progress(epochs, samples, done)
    interactive = in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
    return (Bar if interactive else Lines)(epochs, samples, done)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    return "ipykernel" in sys.modules


def numbers_only(values: Mapping[str, Any]) -> dict[str, float]:
    """What fits on a line: no matrices."""
    return {name: value for name, value in values.items() if isinstance(value, float)}
