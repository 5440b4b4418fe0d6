"""Parts of a batch, or of a long vector, on several cores at once.

A matrix product brings threads of its own, but copies, sums and small products run on one core,
and two pools of threads on the same cores slow each other down. So while parts with matrix products
in them are worked on here, each in one thread, the threads of OpenBLAS (the library that NumPy's
wheels ship) are switched off. There are as many parts as OpenBLAS had threads, and with another
library, or with OPENBLAS_NUM_THREADS=1, everything stays in the caller's thread.

The parts depend on nothing but the number of threads. But the last bits of a matrix product depend
on how many threads it runs in, and OpenBLAS has one such number for the whole process. So at any
time one thread at most may switch it: the one that keeps it (`blas_kept`; every run of `fit` does),
or if there is none, the first that comes here. Others work on the same parts one after the other,
under the number that they find. So what a run of `fit` computes does not depend on what other
threads do with nnlite, unless they run a `fit` too.

Ctrl-C may come at any moment, and must not leave OpenBLAS switched off, nor anybody waiting. Python
raises it (and hands over to another thread) where a function of Python begins, where a loop jumps
back, and *after* a call into C has done its work. So what is undone in a `finally` here is its
first call, and a call into C; and what it undoes is begun inside the `try`. Those who are here
stand in lists, because append and remove are such calls.
"""

from __future__ import annotations

import _thread
import contextvars
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from nnlite.core.runtime import thread_functions

Result = TypeVar("Result")

SMALL = 1 << 17  # values; waking a thread costs about as much as copying these
BLOCK = 1 << 18  # values; 1 MB of float32


class _Keeper:
    """Somebody to whom the number of OpenBLAS's threads belongs for longer than a few parts."""

    __slots__ = ("at_one", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread  # which alone may switch
        self.at_one = False  # whether it is one thread all the time


_present: list[object] = []  # one object for each call under way; the first has the threads
_keepers: list[_Keeper] = []  # the first one keeps the number
_threads = 0  # OpenBLAS's, when last seen while nobody had switched them off


class _Place(threading.local):
    """Whether this thread is working on a part."""

    inside = False


_place = _Place()


def over_parts(
    work: Callable[[slice], Result], items: int, values: int, products: bool = False
) -> list[Result]:
    """`work(part)` for each part of so many items, at the same time where that pays; in order.

    Args:
        work: takes a slice of the items, and must not write where another part does.
        items: their number: the images of a batch, the values of a vector.
        values: about how many values are moved for all of them; 0 keeps them in one thread.
        products: whether the work calls BLAS, which is then on one thread (default False).
    """
    global _threads
    # while the interpreter shuts down, its threads no longer run
    shared = items > 1 and values > SMALL and not _place.inside and not sys.is_finalizing()
    functions = thread_functions() if shared else None
    if functions is None:
        return [work(slice(0, items))]
    read, write = functions
    me, present, before = threading.get_ident(), object(), 0
    try:
        _present.append(present)
        first = _present[0] is present
        keeper = _keepers[0] if _keepers else None
        at_one = keeper is not None and keeper.at_one
        if _present == [present] and not at_one:
            _threads = read()
        threads = _threads or read()
        count = min(threads, items)
        if count == 1:
            return [work(slice(0, items))]
        _place.inside = True
        may_switch = first if keeper is None else keeper.thread == me
        if products and may_switch and not at_one:
            before = read()
            write(1)
        parts = list(evenly(slice(0, items), count))
        if first and (may_switch or at_one or not products):
            return _at_once(work, parts, _workers(threads - 1))
        return [work(part) for part in parts]
    finally:
        _place.inside = False
        try:
            if before:
                write(before)
        finally:
            if present in _present:  # not so after a fork
                _present.remove(present)


@contextmanager
def blas_kept(at_one: bool) -> Iterator[None]:
    """Let nobody else switch the number of OpenBLAS's threads, unless somebody keeps it already.

    Args:
        at_one: whether it shall be 1 all the time. Then code of others, in threads of their own,
            computes the same bits whenever it comes: what prefetches batches is such code.
    """
    global _threads
    functions = thread_functions()
    if functions is None:
        yield
        return
    read, write = functions
    own, before = _Keeper(threading.get_ident()), 0
    try:
        _keepers.append(own)
        earlier = list(_present)
        while any(present in _present for present in earlier):  # it may have switched
            time.sleep(1e-4)
        keeper = _keepers[0]
        if at_one and keeper.thread == own.thread and not keeper.at_one:
            before = _threads = read()
            keeper.at_one = True
            write(1)
        yield
    finally:
        try:
            if before:
                keeper.at_one = False
                write(before)
        finally:
            if own in _keepers:
                _keepers.remove(own)


def evenly(items: slice, count: int) -> Iterator[slice]:
    """So many parts of the items, in order; the first ones may have one item more."""
    start, size = items.start, items.stop - items.start
    for i in range(count):
        stop = start + size // count + (i < size % count)
        yield slice(start, stop)
        start = stop


def over_blocks(
    work: Callable[[slice], None], items: int, values: int, products: bool = False
) -> None:
    """`work(block)` for blocks of the items that fit into a core's cache, in several threads.

    A chain of elementwise passes then reads memory once. Blocks are no smaller than they need be:
    for every NumPy call, threads wait for each other a few microseconds. `products` as above.
    """
    at_once = max(1, BLOCK * items // max(1, values))

    def each(part: slice) -> None:
        for block in evenly(part, -(-(part.stop - part.start) // at_once)):
            work(block)

    over_parts(each, items, values, products)


def _at_once(
    work: Callable[[slice], Result], parts: list[slice], queues: list[SimpleQueue[_Job]]
) -> list[Result]:
    """The first part in this thread, each of the others in one of its own."""
    others = [_Job(work, part) for part in parts[1:]]
    try:
        for job, jobs in zip(others, queues, strict=False):  # there may be more threads
            jobs.put(job)
        outcomes = [_outcome(work, parts[0]), *(job.wait() for job in others)]
    except BaseException:  # Ctrl-C: not before all threads are done with the arrays
        for job in others:
            if not job.cancelled():
                job.wait()
        raise
    for _, error in outcomes:
        if error is not None:
            try:
                raise error
            finally:  # its traceback holds this frame, and so the arrays
                del outcomes, error
    return [result for result, _ in outcomes]


def blas_threads() -> int | None:
    """How many threads a product of matrices may take; None where OpenBLAS is not NumPy's."""
    functions = thread_functions()
    if functions is None:
        return None
    return _threads if _switched() and _threads else functions[0]()


def _switched() -> bool:
    """Whether OpenBLAS's threads may be switched off now."""
    return bool(_present) or any(keeper.at_one for keeper in _keepers)


Outcome = tuple[Any, BaseException | None]


def _outcome(work: Callable[[slice], Any], part: slice) -> Outcome:
    """What the work returns, or what it raises."""
    try:
        return work(part), None
    except BaseException as error:  # raised again in the caller's thread
        return None, error


class _Job:
    """A part for another thread, and its outcome.

    Once that is there it stays, however often it is asked for: Ctrl-C between its arrival and its
    use must not leave anybody waiting for it a second time.
    """

    __slots__ = ("_begun", "_context", "_outcome", "_part", "_ready", "_work")

    def __init__(self, work: Callable[[slice], Any], part: slice) -> None:
        self._work = work
        self._part = part
        # NumPy's error state belongs to the context, so that each thread needs a copy of it.
        self._context = contextvars.copy_context()
        self._outcome: Outcome | None = None
        self._begun, self._ready = threading.Lock(), threading.Lock()
        self._ready.acquire()

    def run(self) -> None:
        """What the other thread does."""
        if self._begun.acquire(blocking=False):
            self._outcome = self._context.run(_outcome, self._work, self._part)
            self._ready.release()

    def cancelled(self) -> bool:
        """Whether it had not begun yet, and now never will: Ctrl-C may come before it is put."""
        return self._begun.acquire(blocking=False)

    def wait(self) -> Outcome:
        """The outcome, as soon as it is there."""
        if self._outcome is None:
            self._ready.acquire()
        assert self._outcome is not None
        return self._outcome


@functools.cache
def _workers(count: int) -> list[SimpleQueue[_Job]]:
    """The queues of so many threads. (An executor's futures cost 70 µs more for each call.)"""
    queues: list[SimpleQueue[_Job]] = [SimpleQueue() for _ in range(count)]
    for jobs in queues:
        # threading.Thread would wait for its beginning, and Ctrl-C in that wait breaks its lock
        _thread.start_new_thread(_serve, (jobs,))
    return queues


def _serve(jobs: SimpleQueue[_Job]) -> None:
    _place.inside = True
    while True:
        jobs.get().run()  # no variable, which would keep the arrays of the last job


def _forget() -> None:
    """A forked process has none of its parent's threads but the one that forked."""
    me, functions = threading.get_ident(), thread_functions()
    switched = _switched()
    _workers.cache_clear()
    _present.clear()
    _keepers[:] = [keeper for keeper in _keepers if keeper.thread == me]
    if functions and switched and not any(keeper.at_one for keeper in _keepers):
        functions[1](_threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
