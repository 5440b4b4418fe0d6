"""Threads that stand for the processes of a training, so that a test needs no MPI."""

import contextvars
import copy
import threading

import numpy as np

from nnlite.core.ranks import Ranks


class Threads(Ranks):
    """Ranks that are threads of one process, and meet at a barrier."""

    def __init__(self, rank, size, barrier, given):
        self.rank, self.size = rank, size
        self.barrier, self.given = barrier, given

    def all_of(self, value):
        self.given[self.rank] = copy.deepcopy(value)
        self.barrier.wait(10)
        values = list(self.given)
        self.barrier.wait(10)
        return values

    def sum(self, values):
        values[...] = np.sum(self.all_of(values), axis=0)

    def each(self, values):
        return np.array(self.all_of(values))

    def gather(self, value):
        values = self.all_of(value)
        return values if self.rank == 0 else None

    def from_first(self, make):
        return self.all_of(make() if self.rank == 0 else None)[0]


def in_threads(size, work):
    """What `work(ranks)` returns on each of so many ranks."""
    barrier, given = threading.Barrier(size), [None] * size
    results = [None] * size

    def run(rank):
        try:
            results[rank] = work(Threads(rank, size, barrier, given))
        except BaseException as error:
            results[rank] = error
            barrier.abort()

    contexts = [contextvars.copy_context() for _ in range(size)]
    threads = [
        threading.Thread(target=context.run, args=(run, rank))
        for rank, context in enumerate(contexts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [r for r in results if isinstance(r, BaseException)]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    assert not errors
    return results
