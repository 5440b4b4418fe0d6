"""How whoever waits for data learns that what needs it shall end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERVAL = 0.1  # seconds between two looks


class Ended(BaseException):
    """Raised where data is waited for, and on through the source that waits, to end a run early.

    As Ctrl-C would be: `finally` runs, and `except Exception` lets it through.
    """


class _Asked(threading.local):
    """What this thread's waiting depends on."""

    ends: Callable[[], bool] | None = None


_asked = _Asked()


@contextmanager
def ended_by(ends: Callable[[], bool]) -> Iterator[None]:
    """A context in which this thread waits no longer once `ends()`; it is asked while it waits."""
    before = _asked.ends
    try:
        _asked.ends = ends
        yield
    finally:
        _asked.ends = before


def check_ended() -> None:
    """Where something else than a `Channel` takes long.

    Raises:
        Ended: when this thread shall not wait any longer.
    """
    if _asked.ends is not None and _asked.ends():
        raise Ended


class Channel:
    """Things on their way from one thread to another one, in order.

    A `SimpleQueue` will not do: when a signal comes just as its timeout runs out, it may wait
    forever (seen in Python 3.11).
    """

    def __init__(self) -> None:
        self._things: deque[Any] = deque()
        self._news = threading.Lock()  # free when something was put since the last look
        self._news.acquire()

    def put(self, thing: Any) -> None:
        """Send something."""
        self._things.append(thing)
        if self._news.locked():
            self._news.release()

    def take(self) -> Any:
        """The next thing, when it comes.

        Raises:
            Ended: when this thread shall not wait any longer.
        """
        while True:
            if self._things:
                return self._things.popleft()
            if not self._news.acquire(timeout=INTERVAL):
                check_ended()
