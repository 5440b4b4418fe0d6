"""Ctrl-C that lets the step in hand finish."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from nnlite.training.state import RunState


class Interrupt:
    """A context in which the first Ctrl-C only asks the run to end; a second one raises at once.

    Args:
        run: the first Ctrl-C sets its `interrupted`.

    Attributes:
        requested: whether there was one.

    Signal handlers belong to the main thread, so elsewhere it does nothing; neither does it where
    the signal is ignored, as in a background job.
    """

    def __init__(self, run: RunState) -> None:
        self.run = run
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> Interrupt:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = self.run.interrupted = True

    def __exit__(self, *error: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
