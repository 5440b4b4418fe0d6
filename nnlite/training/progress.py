"""What `fit` shows: one line per epoch, and in a terminal or notebook a bar with them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Self, TextIO

from nnlite.training.history import format_value

REFRESH = 0.1  # seconds between two looks of a bar
SILENCE = 60.0  # seconds after which a log says how far the epoch is
SHORTEST = 6  # characters of a bar that leaves room for the time and the rate
COLUMNS = 80  # of a bar in a notebook, and of a terminal that does not tell
GAP = "  "
ERASE = "\x1b[J"  # from the cursor to the end of the screen


class Progress:
    """Nothing to see; the base of what shows something.

    Args:
        epochs: how many there are.
        samples: in an epoch; 0 when unknown.
        done: of the first epoch, before a resumed run began (default 0).
        lr: the learning rate at the beginning (default 0).
    """

    def __init__(self, epochs: int, samples: int, done: int = 0, lr: float = 0.0) -> None:
        self.epochs = epochs
        self.samples = samples
        self.done = done
        self.lr = lr

    def begin_epoch(self, epoch: int) -> None:
        """Epoch number `epoch`, 0 first, begins."""

    def begin_validation(self, samples: int) -> None:
        """The epoch's validation begins, on so many samples; 0 when unknown."""

    def advance(self, samples: int, loss: Callable[[], float]) -> None:
        """So many more samples are done; `loss` computes the loss so far."""

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """An epoch is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """The run is over."""


class Lines(Progress):
    """One plain line per epoch, and one in each minute of a long epoch that says how far it is.

    In a terminal a line has what matters most, as far as it fits.
    """

    def __init__(self, epochs: int, samples: int, done: int = 0, lr: float = 0.0) -> None:
        super().__init__(epochs, samples, done, lr)
        self._lr_changes = False
        self._interval = SILENCE

    def begin_epoch(self, epoch: int) -> None:
        """Starts the clock."""
        self._epoch = f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
        self._rate = ""
        self._begin("loss", self.samples, self.done)
        self.done = 0

    def begin_validation(self, samples: int) -> None:
        """Keeps the rate of training, and starts the clock anew."""
        self._rate = self._rate_now()
        self._begin("val_loss", samples, 0)

    def _begin(self, name: str, total: int, done: int) -> None:
        """A pass over the data begins, of which so many samples are done."""
        self._name, self._total = name, total
        self._seen = self._before = done
        self._start = self._shown = time.perf_counter()

    def advance(self, samples: int, loss: Callable[[], float]) -> None:
        """Counts, and shows how far it is when it is time to."""
        self._seen += samples
        now = time.perf_counter()
        if now - self._shown > self._interval:
            self._shown = now
            self._show(loss())

    def end_epoch(self, values: Mapping[str, Any]) -> None:
        """Prints the epoch's numbers; the learning rate once it has changed."""
        numbers = numbers_only(values)
        self._lr_changes = self._lr_changes or numbers.get("lr") != self.lr
        if not self._lr_changes:
            numbers.pop("lr", None)
        texts = {name: f"{name} {format_value(value)}" for name, value in numbers.items()}
        texts[""] = self._rate or self._rate_now()
        shown = [GAP + text for text in texts.values()]
        if in_terminal(sys.stdout):
            first = [texts[name] for name in sorted(texts, key=precedence)]
            kept = fitting(first, columns(sys.stdout) - len(self._epoch))
            shown = [text for text in shown if text in kept]
        self._print("".join([self._epoch, *shown]))

    def _show(self, loss: float | None) -> None:
        """Show how far it is; the loss is None before the first batch."""
        self._print(GAP.join([self._epoch, *self._status(loss)]))

    def _print(self, line: str) -> None:
        print(line, flush=True)

    def _status(self, loss: float | None) -> list[str]:
        """How much is done, the loss, the time it took and will take, and the rate."""
        seconds = time.perf_counter() - self._start
        done, clock = f"{self._seen:,} samples", format_time(seconds)
        if self._total:
            done = f"{self._seen / self._total:4.0%}"
            new, left = self._seen - self._before, self._total - self._seen
            clock += f"<{format_time(seconds * left / new) if new else '?'}"
        value = "-" if loss is None else format_value(loss)
        return [done, f"{self._name} {value}", clock, self._rate_now()]

    def _rate_now(self) -> str:
        seconds = time.perf_counter() - self._start
        return f"{(self._seen - self._before) / max(seconds, 1e-9):,.0f} samples/s"


class Bar(Lines):
    """The same lines, and below them a bar over the samples of the epoch, then of its validation.

    The cursor waits at the bar's beginning: there the terminal writes its ^C, which the next look
    replaces, and from there on all can be erased when a window made narrower has broken the bar
    into several lines.
    """

    def __init__(self, epochs: int, samples: int, done: int = 0, lr: float = 0.0) -> None:
        super().__init__(epochs, samples, done, lr)
        # Imported here: tqdm would add a third to the time of `import nnlite`.
        self._meter = import_module("tqdm").tqdm.format_meter
        self._interval = REFRESH

    def _begin(self, name: str, total: int, done: int) -> None:
        super()._begin(name, total, done)
        self._show(None)

    def _show(self, loss: float | None) -> None:
        done, value, *texts = self._status(loss)
        begin, end, width = f"{self._epoch}{GAP}{done}", f"{GAP}{value}", self._width()
        room = width - len(begin) - len(end)
        if self._total:
            room -= len("||")
            end += "".join(fitting(texts, room - SHORTEST))
            bar = self._meter(
                self._seen,
                self._total,
                0,
                ncols=max(width - len(f"{begin}||{end}"), 1),
                bar_format="{bar}",
                ascii=not can_write(sys.stderr, "█"),
            )
            self._draw(f"{begin}|{bar}|{end}"[:width])
        else:
            self._draw(f"{begin}{end}{''.join(fitting(texts, room))}"[:width])

    def _print(self, line: str) -> None:
        """In the bar's place."""
        self._draw("")
        super()._print(line)

    def _width(self) -> int:
        return columns(sys.stderr)

    def _draw(self, text: str) -> None:
        """Show a text in the bar's place."""
        if sys.platform == "win32":  # not every console there knows how to erase
            text = text.ljust(self._width())
            sys.stderr.write(f"\r{text}\r")
        else:
            # not from the screen's very beginning, or tmux keeps it for scrolling back
            sys.stderr.write(f"\r{text or ' '}{ERASE}\r")
        sys.stderr.flush()

    def __exit__(self, *error: object) -> None:
        """Takes the bar of an epoch that did not end away."""
        self._draw("")


class NotebookBar(Bar):
    """The bar in a notebook: one output above the lines, which needs no widgets; last, the time."""

    def __init__(self, epochs: int, samples: int, done: int = 0, lr: float = 0.0) -> None:
        super().__init__(epochs, samples, done, lr)
        display = import_module("IPython.display").display
        self._output = display({"text/plain": ""}, raw=True, display_id=True)
        self._begun, self._ended = time.perf_counter(), 0

    def _print(self, line: str) -> None:
        self._ended += 1
        Lines._print(self, line)

    def _width(self) -> int:
        return COLUMNS

    def _draw(self, text: str) -> None:
        self._output.update({"text/plain": text}, raw=True)

    def __exit__(self, *error: object) -> None:
        """Says how long the run took, in the bar's place."""
        seconds = time.perf_counter() - self._begun
        self._draw(f"{self._ended} of {self.epochs} epochs in {format_time(seconds)}")


def progress(verbose: bool, epochs: int, samples: int, done: int = 0, lr: float = 0.0) -> Progress:
    """The kind that fits where the output goes."""
    kind: type[Progress]
    if not verbose:
        kind = Progress
    elif in_notebook():
        kind = NotebookBar
    else:  # the lines go to standard output, the bar to the errors
        kind = Bar if in_terminal(sys.stdout) and in_terminal(sys.stderr) else Lines
    return kind(epochs, samples, done, lr)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    if "ipykernel" not in sys.modules:
        return False
    shell = import_module("IPython").get_ipython()
    return getattr(shell, "kernel", None) is not None


def in_terminal(stream: TextIO | None) -> bool:
    """Whether what is written there is seen in a terminal."""
    return stream is not None and stream.isatty()


def columns(stream: TextIO) -> int:
    """How many characters a line of a terminal takes: one less than it is wide."""
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        width = 0
    return (width or COLUMNS) - 1


def can_write(stream: TextIO, text: str) -> bool:
    """Whether the stream's encoding has all of the text's characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def fitting(texts: Sequence[str], room: int) -> list[str]:
    """The first ones that fit into so many characters, each with a gap before it."""
    kept = []
    for text in texts:
        room -= len(GAP) + len(text)
        if room < 0:
            break
        kept.append(GAP + text)
    return kept


def precedence(name: str) -> int:
    """0 for the number of an epoch that matters most; "" is the rate."""
    order = {"loss": 0, "val_loss": 1, "lr": 4, "": 5}
    return order.get(name, 2 if name.startswith("val_") else 3)


def format_time(seconds: float) -> str:
    """00:07, 12:30, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def numbers_only(values: Mapping[str, Any]) -> dict[str, float]:
    """What fits on a line: no matrices."""
    return {name: value for name, value in values.items() if isinstance(value, float)}
