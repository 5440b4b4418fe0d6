"""Loading the next batches while the model works on this one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from queue import SimpleQueue
from typing import Any, TypeVar

from nnlite.core.arguments import checked
from nnlite.core.kinds import shown

Item = TypeVar("Item")

_END = object()


class _Failed:
    """An exception on its way from the loading thread to the one that uses the items."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


@checked
def prefetch(source: Iterable[Item], ahead: int = 2) -> Generator[Item, None, None]:
    """The items of a slow source, loaded by a thread of its own, in their order.

        def stream(rng):
            return nn.data.prefetch(read_images(paths, rng))

        trainer.fit(stream, epochs=10)

    NumPy, files and decoders let other threads run meanwhile; pure Python code does not. The
    thread starts with the first item and ends with the last one, with an error, with `close()`,
    and when the iterator is dropped (a `break`, Ctrl-C): it finishes the item in hand, then
    closes the source. An error of the source is raised where its item would have come.

    Args:
        source: what to walk through, such as a generator; only that thread touches it.
        ahead: how many items may wait (default 2).

    Returns:
        A generator over the items.

    Raises:
        ValueError: when `ahead` is not a whole number ≥ 1; at the call.
        TypeError: when the source cannot be walked through; at the call.
    """
    try:
        items = iter(source)
    except TypeError:
        raise TypeError(
            f"prefetch: source must be something to walk through, such as a generator, "
            f"got {shown(source)}"
        ) from None
    return _walk(items, ahead)


def _walk(items: Iterator[Item], ahead: int) -> Generator[Item, None, None]:
    """What the reader's side does."""
    waiting: SimpleQueue[Any] = SimpleQueue()
    room = threading.Semaphore(ahead)
    stop = threading.Event()
    thread = threading.Thread(
        target=_load, args=(items, waiting, room, stop), name="nnlite-prefetch", daemon=True
    )
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            room.release()
            yield item
    finally:
        stop.set()
        room.release()  # wakes the thread if it waits
        if not sys.is_finalizing():  # by then threads stand still, and never end
            thread.join()


def _load(
    items: Any, waiting: SimpleQueue[Any], room: threading.Semaphore, stop: threading.Event
) -> None:
    """What the thread does: one item after another, as long as there is room and a reader."""
    try:
        with closing(items) if hasattr(items, "close") else nullcontext():
            while room.acquire() and not stop.is_set():
                item = next(items, _END)
                if item is _END:
                    break
                waiting.put(item)
        waiting.put(_END)
    except BaseException as error:  # Ctrl-C and exits, too: they belong to the reader
        waiting.put(_Failed(error))
