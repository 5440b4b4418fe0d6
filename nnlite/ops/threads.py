"""Parts of a batch, or of a long vector, on several cores at once.

A matrix product brings threads of its own, but copies, sums and small products run on one core,
and two pools of threads on the same cores slow each other down. So while parts of a batch are
worked on here, each in one thread, the threads of OpenBLAS (the library that NumPy's wheels ship)
are switched off. There are as many parts as OpenBLAS had threads, and with another library, or
with OPENBLAS_NUM_THREADS=1, everything stays in the caller's thread.

The parts depend on nothing but the number of threads, so results are the same in every run.

OpenBLAS's own threads wait for their next product by spinning, 2²⁶ ticks of the processor (26 ms)
before they sleep. One product of a `Linear` so takes half a core from all that runs here in the
rest of a training step, and from every other process: two threads were no faster than one. They
are told to sleep after 2¹⁹ ticks (0.2 ms), so that the products that follow each other in a layer
find them awake, and the update of the weights has the cores for itself. A user's
OPENBLAS_THREAD_TIMEOUT is left as it is.
"""

from __future__ import annotations

import contextvars
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")

SMALL = 1 << 17  # values; waking a thread costs about as much as copying these
SPIN = ("OPENBLAS_THREAD_TIMEOUT", "19")  # as a power of two
RESTART = ("openblas_read_env", "blas_thread_shutdown_")
BLOCK = 1 << 18  # values; 1 MB of float32
_busy = threading.Lock()


def over_parts(work: Callable[[slice], Result], items: int, values: int) -> list[Result]:
    """`work(part)` for each part of so many items, at the same time where that pays; in order.

    Args:
        work: takes a slice of the items, and must not write where another part does.
        items: their number: the images of a batch, the values of a vector.
        values: about how many values are moved for all of them; 0 keeps them in one thread.
    """
    with _single_threaded_blas(items > 1 and values > SMALL) as threads:
        count = min(threads, items)
        if count <= 1:
            return [work(slice(0, items))]
        parts = [slice(items * i // count, items * (i + 1) // count) for i in range(count)]
        workers = zip(parts[1:], _workers(count - 1), strict=True)
        others = [_start(work, part, jobs) for part, jobs in workers]
        outcomes = [_outcome(work, parts[0]), *(other.get() for other in others)]
        for _, error in outcomes:
            if error is not None:
                raise error
        return [result for result, _ in outcomes]


def over_blocks(work: Callable[[slice], None], items: int, values: int) -> None:
    """`work(block)` for blocks of the items that fit into a core's cache, in several threads.

    A chain of elementwise passes then reads memory once. Blocks are no smaller than they need be:
    for every NumPy call, threads wait for each other a few microseconds.
    """
    step = max(1, BLOCK * items // max(1, values))

    def each(part: slice) -> None:
        for start in range(part.start, part.stop, step):
            work(slice(start, min(start + step, part.stop)))

    over_parts(each, items, values)


@contextmanager
def _single_threaded_blas(wanted: bool) -> Iterator[int]:
    """OpenBLAS on one thread; gives the number it had, or 1 where it is left alone."""
    functions = _openblas() if wanted else None
    if functions is None or not _busy.acquire(blocking=False):
        yield 1
        return
    read, write = functions
    try:
        threads = read()
        write(1)
        try:
            yield threads
        finally:
            write(threads)
    finally:
        _busy.release()


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The OpenBLAS beside NumPy, if it is there."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            return ctypes.CDLL(str(path))
    return None


@functools.cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """How to read and write the number of threads of the OpenBLAS beside NumPy, if it is there."""
    library = _library()
    for name in ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads"):
        if hasattr(library, name.format("set")):
            return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None


def let_idle_threads_sleep() -> None:
    """Tell OpenBLAS's threads not to spin for long; they read this when they are started.

    So they are started anew, as OpenBLAS does it itself after a fork. With other threads about,
    which may be in the middle of a product, all is left as it is.
    """
    functions, library, (name, value) = _openblas(), _library(), SPIN
    restart: list[Any] = [getattr(library, each, None) for each in RESTART]
    if functions is None or None in restart or name in os.environ or threading.active_count() > 1:
        return
    read, write = functions
    threads = read()
    if threads > 1:
        os.environ[name] = value
        for step in restart:
            step()
        write(threads)  # starts them
        del os.environ[name]


Outcome = tuple[Any, BaseException | None]


def _outcome(work: Callable[[slice], Any], part: slice) -> Outcome:
    """What the work returns, or what it raises."""
    try:
        return work(part), None
    except BaseException as error:  # raised again in the caller's thread
        return None, error


def _start(
    work: Callable[[slice], Any], part: slice, jobs: SimpleQueue[Callable[[], None]]
) -> SimpleQueue[Outcome]:
    """Hand the work to a thread; its outcome comes through the queue that is returned."""
    done: SimpleQueue[Outcome] = SimpleQueue()
    # NumPy's error state belongs to the context, so that each thread needs a copy of it.
    context = contextvars.copy_context()
    jobs.put(lambda: done.put(context.run(_outcome, work, part)))
    return done


@functools.cache
def _workers(count: int) -> list[SimpleQueue[Callable[[], None]]]:
    """The queues of so many threads. (An executor's futures cost 70 µs more for each call.)"""
    queues: list[SimpleQueue[Callable[[], None]]] = [SimpleQueue() for _ in range(count)]
    for jobs in queues:
        threading.Thread(target=_serve, args=(jobs,), name="nnlite", daemon=True).start()
    return queues


def _serve(jobs: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        jobs.get()()  # no variable, which would keep the arrays of the last job


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _busy
    _workers.cache_clear()
    _busy = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

let_idle_threads_sleep()
