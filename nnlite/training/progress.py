"""What `fit` shows: one line per epoch, and in a terminal or notebook a bar below them."""

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
        self.done = done  # of the first epoch, before a resumed run began

    def begin_epoch(self, epoch: int) -> None:
        """Epoch number `epoch`, 0 first, begins."""

    def advance(self, samples: int, loss: Callable[[], float]) -> None:
        """A step on so many samples is done; `loss` computes the epoch's loss so far."""

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """An epoch is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """The run is over."""


class Lines(Progress):
    """One plain line per epoch."""

    def begin_epoch(self, epoch: int) -> None:
        """Starts the clock."""
        self._epoch = epoch
        self._start = time.perf_counter()
        self._trained = 0

    def advance(self, samples: int, loss: Callable[[], float]) -> None:
        """Counts."""
        self._trained += samples

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """Prints the epoch's numbers."""
        texts = [f"{name} {format_value(v)}" for name, v in numbers_only(values).items()]
        print("  ".join([f"epoch {self._number()}", *texts, self._rate()]), flush=True)

    def _number(self) -> str:
        return f"{self._epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"

    def _rate(self) -> str:
        rate = self._trained / max(time.perf_counter() - self._start, 1e-9)
        return f"{rate:,.0f} samples/s"


class Bar(Lines):
    """The same lines, and below them a tqdm bar over the samples of the epoch that runs."""

    def __init__(self, epochs: int, samples: int, done: int = 0) -> None:
        super().__init__(epochs, samples, done)
        # Imported here: tqdm would add a third to the time of `import nnlite`.
        self._tqdm: Any = import_module("tqdm.auto" if in_notebook() else "tqdm").tqdm
        self._bar: Any = None

    def begin_epoch(self, epoch: int) -> None:
        """A new bar, which vanishes when the epoch's line stands in its place."""
        super().begin_epoch(epoch)
        self._shown = 0.0
        self._bar = self._tqdm(
            total=self.samples or None,
            initial=self.done,
            desc=f"epoch {self._number()}",
            bar_format="{desc}  {percentage:3.0f}%|{bar}|" if self.samples else "{desc}  {n:,}",
            dynamic_ncols=True,
            leave=False,
        )
        self.done = 0

    def advance(self, samples: int, loss: Callable[[], float]) -> None:
        """Moves the bar; the loss and the rate follow ten times a second."""
        super().advance(samples, loss)
        self._bar.update(samples)
        now = time.perf_counter()
        if now - self._shown > REFRESH:
            self._shown = now
            text = f"epoch {self._number()}  loss {format_value(loss())}  {self._rate()}"
            self._bar.set_description_str(text, refresh=False)

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """The epoch's line, in the place of its bar."""
        self._bar.close()
        super().end_epoch(values)

    def __exit__(self, *error: object) -> None:
        """Takes the bar of an epoch that did not end away."""
        if self._bar is not None:
            self._bar.close()


def progress(verbose: bool, epochs: int, samples: int, done: int = 0) -> Progress:
    """The kind that fits where the output goes."""
    if not verbose:
        return Progress(epochs, samples, done)
    return (Bar if in_notebook() or in_terminal() else Lines)(epochs, samples, done)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    return "ipykernel" in sys.modules


def in_terminal() -> bool:
    """Whether both go to a terminal: the lines, to standard output, and the bar, to the errors."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def numbers_only(values: Mapping[str, Any]) -> dict[str, float]:
    """What fits on a line: no matrices."""
    return {name: value for name, value in values.items() if isinstance(value, float)}
