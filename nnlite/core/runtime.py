"""All that nnlite changes about the process it runs in, and the one way to forbid it.

Two things, once, when nnlite is imported; with NNLITE_RUNTIME=0 in the environment neither:

- *Freed memory stays with the process* (glibc on Linux). A step frees what it has allocated, and
  by default glibc returns blocks of some megabytes to the system at once; the next step then gets
  them back page by page, which can cost as much as the arithmetic (9,000 page faults and 30 of
  80 ms for one transformer layer). Up to 256 MB of free memory are kept; what the process needs
  at its peak does not change. MALLOC_* variables of the user's rule.
- *Idle threads of OpenBLAS sleep* (the library of matrix products that NumPy's wheels ship, on
  Linux and macOS). They wait for their next product by spinning, 2²⁶ ticks of the processor
  (26 ms) before they sleep. One product of a `Linear` so takes half a core from all that runs in
  several threads in the rest of a training step, and from every other process: two threads were no
  faster than one. They are told to sleep after 2¹⁹ ticks (0.2 ms), so that the products that follow
  each other in a layer find them awake, and the update of the weights has the cores for itself. A
  user's OPENBLAS_THREAD_TIMEOUT is left as it is. They read it when NumPy is imported, so this
  module is imported before it. Where a program has imported NumPy before nnlite, they are started
  anew, unless other threads are alive, as in a notebook, or NumPy (from 2.5 on) hides how; there,
  import nnlite first, or set OPENBLAS_THREAD_TIMEOUT=19.

Besides, `ops/threads.py` sets OpenBLAS to one thread while threads of ours are at work.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPT_OUT = "NNLITE_RUNTIME"
TRIM, MMAP = -1, -3  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
KEPT = 256 << 20  # bytes of free memory that stay
LARGEST = 32 << 20  # bytes; the largest block that glibc takes from memory it has kept
SPIN = ("OPENBLAS_THREAD_TIMEOUT", "19")  # as a power of two
RESTART = ("openblas_read_env", "blas_thread_shutdown_")


def set_up() -> None:
    """Both, unless NNLITE_RUNTIME=0."""
    if os.environ.get(OPT_OUT) != "0":
        keep_freed_memory()
        let_idle_threads_sleep()


def keep_freed_memory() -> None:
    """Keep the C library from giving arrays back to the system after every training step."""
    if not sys.platform.startswith("linux") or any(
        name.startswith("MALLOC_") for name in os.environ
    ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP, LARGEST)
        mallopt(TRIM, KEPT)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The OpenBLAS beside NumPy, if it is there."""
    import numpy as np

    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            return ctypes.CDLL(str(path))
    return None


@functools.cache
def thread_functions() -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """How to read and write the number of threads of the OpenBLAS beside NumPy, if it is there.

    No other thread of Python runs meanwhile, so that looking who may write it and writing it are
    one (and it takes half the time).
    """
    beside = library()
    found = None if beside is None else ctypes.PyDLL(beside._name)
    for name in ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads"):
        if hasattr(found, name.format("set")):
            return getattr(found, name.format("get")), getattr(found, name.format("set"))
    return None


def let_idle_threads_sleep() -> None:
    """Tell OpenBLAS's threads not to spin for long; they read this when they are started."""
    name, value = SPIN
    if sys.platform == "win32" or name in os.environ:  # on Windows they sleep anyway
        return
    os.environ[name] = value
    try:
        if "numpy" in sys.modules:
            _start_threads_anew()
        else:
            import numpy  # noqa: F401
    finally:
        del os.environ[name]


def _start_threads_anew() -> None:
    """As OpenBLAS does it itself after a fork.

    With other threads about, which may be in the middle of a product, all is left as it is
    (`sys._current_frames` knows those too that `threading` has not started).
    """
    functions, found = thread_functions(), library()
    restart: list[Any] = [getattr(found, each, None) for each in RESTART]
    if functions is None or None in restart or len(sys._current_frames()) > 1:
        return
    read, write = functions
    threads = read()
    if threads > 1:
        for function in restart:
            function()
        write(threads)  # starts them


set_up()
