"""Loading the next batches while the model works on this one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from typing import Any, TypeVar

from nnlite.core.arguments import checked
from nnlite.core.kinds import shown
from nnlite.core.waiting import Channel, ended_by

Item = TypeVar("Item")

PATIENCE = 1.0  # seconds for the thread to end when nobody reads on

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
    closes the source; nobody waits for that longer than a second. An error of the source is raised
    where its item would have come. While `fit` waits for an item, Ctrl-C and `TimeLimit` end it.

    Where the source multiplies matrices, the last bits depend on OpenBLAS's number of threads. A
    run of `fit` keeps that number, so that its source computes the same bits whenever it comes. In
    a loop of your own, convolutions and normalizations per channel switch it for moments; if such
    bits matter there, set OPENBLAS_NUM_THREADS=1 before NumPy is imported.

    Args:
        source: what to walk through, such as a generator; only that thread touches it.
        ahead: how many items may wait (default 2).

    Returns:
        A generator over the items.

    Raises:
        ValueError: when `ahead` is not a whole number ≥ 1; at the call.
        TypeError: when the source cannot be walked through; at the call.
        RuntimeError: when another process, a fork, goes on with the iterator: the thread stayed
            behind.
    """
    try:
        items = iter(source)
    except TypeError:
        raise TypeError(
            f"prefetch: source must be something to walk through, such as a generator, "
            f"got {shown(source)}"
        ) from None
    return _walk(items, ahead)


class _Loader:
    """What the two threads share."""

    def __init__(self, items: Iterator[Any], ahead: int) -> None:
        self.items = items
        self.loaded = Channel()
        self.room = Channel()  # one entry for each item that may be loaded
        for _ in range(ahead):
            self.room.put(None)
        self.stopped = False  # whether nobody reads on

    def load(self) -> None:
        """What the thread does: one item after another, while there is room and a reader."""
        items: Any = self.items
        try:
            with (
                ended_by(lambda: self.stopped),
                closing(items) if hasattr(items, "close") else nullcontext(),
            ):
                while self.room.take() is None and not self.stopped:
                    item = next(items, _END)
                    if item is _END:
                        break
                    self.loaded.put(item)
            self.loaded.put(_END)
        except BaseException as error:  # Ctrl-C and exits, too: they belong to the reader
            self.loaded.put(_Failed(error))


def _walk(items: Iterator[Item], ahead: int) -> Generator[Item, None, None]:
    """What the reader's side does."""
    loader, process = _Loader(items, ahead), os.getpid()
    thread = threading.Thread(target=loader.load, name="nnlite-prefetch", daemon=True)
    try:
        thread.start()
        while True:
            if os.getpid() != process:
                raise RuntimeError(
                    f"prefetch: this iterator belongs to process {process}, and its thread did not "
                    f"come along into the fork {os.getpid()}; call prefetch anew there"
                )
            item = loader.loaded.take()
            if item is _END:
                break
            if isinstance(item, _Failed):
                raise item.error
            loader.room.put(None)
            yield item
    finally:
        loader.stopped = True  # first of all: Ctrl-C may come again
        loader.room.put(None)  # wakes the thread if it waits
        # while the interpreter shuts down, threads stand still, and never end
        if thread.is_alive() and not sys.is_finalizing():
            thread.join(PATIENCE)
