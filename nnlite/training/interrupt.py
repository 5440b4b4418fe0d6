"""Ctrl-C that lets the step in hand finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol


class Interrupted(Protocol):
    """What is told of Ctrl-C: a run, or one of the ranks of a run."""

    interrupted: bool


class Interrupt:
    """What Ctrl-C does during a run: it asks the run to end, and a second one raises at once.

    Args:
        run: the first Ctrl-C sets its `interrupted`.

    Attributes:
        requested: whether there was one.
        previous: what Ctrl-C did before.
        over: whether it does so again.
    """

    def __init__(self, run: Interrupted) -> None:
        self.run = run
        self.requested = False
        self.previous: Any = signal.getsignal(signal.SIGINT)
        self.over = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """What Python calls for the signal."""
        if self.requested or self.over:
            signal.signal(signal.SIGINT, self.previous)
        if self.over:  # an interrupt kept `interruptible` from restoring it
            signal.raise_signal(signal.SIGINT)
        elif self.requested:
            raise KeyboardInterrupt
        else:
            self.requested = self.run.interrupted = True


@contextmanager
def interruptible(run: Interrupted) -> Iterator[Interrupt]:
    """A context in which the first Ctrl-C only asks the run to end; a second one raises at once.

    Signal handlers belong to the main thread, so elsewhere it does nothing; neither does it where
    the signal is ignored, as in a background job.
    """
    interrupt = Interrupt(run)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or interrupt.previous in (signal.SIG_IGN, None):
        yield interrupt
        return
    try:
        signal.signal(signal.SIGINT, interrupt.handle)
        yield interrupt
    finally:
        interrupt.over = True
        if signal.getsignal(signal.SIGINT) == interrupt.handle:  # not so after a second Ctrl-C
            signal.signal(signal.SIGINT, interrupt.previous)
