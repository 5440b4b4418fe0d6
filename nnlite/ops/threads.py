"""Parts of a batch, or of a long vector, on several cores at once.

A matrix product brings threads of its own, but copies, sums and small products run on one core,
and two pools of threads on the same cores slow each other down. So while parts of a batch are
worked on here, each in one thread, the threads of OpenBLAS (the library that NumPy's wheels ship)
are switched off. There are as many parts as OpenBLAS had threads, and with another library, or
with OPENBLAS_NUM_THREADS=1, everything stays in the caller's thread.

The parts depend on nothing but the number of threads, so results are the same in every run. When
two threads of the program come here at once, the second one works on the same parts, one after
the other.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from nnlite.core.runtime import thread_functions

Result = TypeVar("Result")

SMALL = 1 << 17  # values; waking a thread costs about as much as copying these
BLOCK = 1 << 18  # values; 1 MB of float32
_busy = threading.Lock()  # held while parts are worked on in several threads
_switch = threading.Lock()  # held while OpenBLAS's threads are switched off
_count = 1  # how many there were when they last were


class _Place(threading.local):
    """Whether this thread is working on a part."""

    inside = False


_place = _Place()


def over_parts(work: Callable[[slice], Result], items: int, values: int) -> list[Result]:
    """`work(part)` for each part of so many items, at the same time where that pays; in order.

    Args:
        work: takes a slice of the items, and must not write where another part does.
        items: their number: the images of a batch, the values of a vector.
        values: about how many values are moved for all of them; 0 keeps them in one thread.
    """
    # while the interpreter shuts down, its threads no longer run
    shared = items > 1 and values > SMALL and not _place.inside and not sys.is_finalizing()
    with _single_threaded_blas(shared) as (threads, alone):
        count = min(threads, items)
        if count <= 1:
            return [work(slice(0, items))]
        parts = list(evenly(slice(0, items), count))
        if not alone:
            return [work(part) for part in parts]
        workers = zip(parts[1:], _workers(threads - 1), strict=False)  # there may be more
        others: list[_Pending] = []
        try:
            for part, jobs in workers:
                others.append(_start(work, part, jobs))
            outcomes = [_outcome(work, parts[0]), *(other.wait() for other in others)]
        except BaseException:  # Ctrl-C: not before all threads are done with the arrays
            for other in others:
                other.wait()
            raise
        for _, error in outcomes:
            if error is not None:
                try:
                    raise error
                finally:  # its traceback holds this frame, and so the arrays
                    del outcomes, error
        return [result for result, _ in outcomes]


def evenly(items: slice, count: int) -> Iterator[slice]:
    """So many parts of the items, in order; the first ones may have one item more."""
    start, size = items.start, items.stop - items.start
    for i in range(count):
        stop = start + size // count + (i < size % count)
        yield slice(start, stop)
        start = stop


def over_blocks(work: Callable[[slice], None], items: int, values: int) -> None:
    """`work(block)` for blocks of the items that fit into a core's cache, in several threads.

    A chain of elementwise passes then reads memory once. Blocks are no smaller than they need be:
    for every NumPy call, threads wait for each other a few microseconds.
    """
    at_once = max(1, BLOCK * items // max(1, values))

    def each(part: slice) -> None:
        for block in evenly(part, -(-(part.stop - part.start) // at_once)):
            work(block)

    over_parts(each, items, values)


@contextmanager
def _single_threaded_blas(wanted: bool) -> Iterator[tuple[int, bool]]:
    """OpenBLAS on one thread, unless another one of ours has done so already.

    Gives the number of threads that it had, 1 where it is left alone, and whether they are ours.
    """
    global _count
    functions = thread_functions() if wanted else None
    if functions is None:
        yield 1, False
        return
    read, write = functions
    alone = False
    try:
        with _switch:
            alone = _busy.acquire(blocking=False)
            if alone:
                _count = read()
                write(1)
            threads = _count
        _place.inside = True
        yield threads, alone
    finally:
        _place.inside = False
        if alone:
            write(_count)
            _busy.release()


def blas_threads() -> int | None:
    """How many threads a product of matrices may take; None where OpenBLAS is not NumPy's."""
    functions = thread_functions()
    if functions is None:
        return None
    with _switch:
        return _count if _busy.locked() else functions[0]()


Outcome = tuple[Any, BaseException | None]


def _outcome(work: Callable[[slice], Any], part: slice) -> Outcome:
    """What the work returns, or what it raises."""
    try:
        return work(part), None
    except BaseException as error:  # raised again in the caller's thread
        return None, error


class _Pending:
    """The outcome of a part that another thread works on.

    Once it is there it stays, however often it is asked for: Ctrl-C between its arrival and its
    use must not leave anybody waiting for it a second time.
    """

    __slots__ = ("_outcome", "_ready")

    def __init__(self) -> None:
        self._outcome: Outcome | None = None
        self._ready = threading.Lock()
        self._ready.acquire()

    def finish(self, outcome: Outcome) -> None:
        """Said by the thread that has done the work."""
        self._outcome = outcome
        self._ready.release()

    def wait(self) -> Outcome:
        """The outcome, as soon as it is there."""
        if self._outcome is None:
            self._ready.acquire()
        assert self._outcome is not None
        return self._outcome


def _start(
    work: Callable[[slice], Any], part: slice, jobs: SimpleQueue[Callable[[], None]]
) -> _Pending:
    """Hand the work to a thread."""
    pending = _Pending()
    # NumPy's error state belongs to the context, so that each thread needs a copy of it.
    context = contextvars.copy_context()
    jobs.put(lambda: pending.finish(context.run(_outcome, work, part)))
    return pending


@functools.cache
def _workers(count: int) -> list[SimpleQueue[Callable[[], None]]]:
    """The queues of so many threads. (An executor's futures cost 70 µs more for each call.)"""
    queues: list[SimpleQueue[Callable[[], None]]] = [SimpleQueue() for _ in range(count)]
    for jobs in queues:
        threading.Thread(target=_serve, args=(jobs,), name="nnlite", daemon=True).start()
    return queues


def _serve(jobs: SimpleQueue[Callable[[], None]]) -> None:
    _place.inside = True
    while True:
        jobs.get()()  # no variable, which would keep the arrays of the last job


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _busy, _switch
    _workers.cache_clear()
    _busy, _switch = threading.Lock(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
