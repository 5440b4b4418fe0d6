"""Parts of a batch in several threads: the same results, errors and settings as in one."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from nnlite.core import runtime
from nnlite.ops import threads


class Library:
    """Stands in for OpenBLAS."""

    def __init__(self, count):
        self.count = count
        self.written = []

    def write(self, count):
        self.written.append(count)

    def functions(self):
        return lambda: self.count, self.write


@pytest.fixture
def library(monkeypatch):
    library = Library(3)
    monkeypatch.setattr(threads, "thread_functions", library.functions)
    return library


def test_parts_come_in_order_and_cover_the_batch(library):
    names = set()

    def work(part):
        names.add(threading.current_thread().name)
        return part

    parts = threads.over_parts(work, 10, threads.SMALL + 1)
    assert parts == [slice(0, 4), slice(4, 7), slice(7, 10)]
    assert threading.main_thread().name in names
    assert len(names) > 1
    assert library.written == [1, 3]


def test_little_work_stays_in_one_thread(library):
    assert threads.over_parts(lambda part: part, 10, threads.SMALL) == [slice(0, 10)]
    assert threads.over_parts(lambda part: part, 1, 10 * threads.SMALL) == [slice(0, 1)]
    assert threads.over_parts(lambda part: part, 0, 10 * threads.SMALL) == [slice(0, 0)]
    assert library.written == []


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(threads, "thread_functions", lambda: None)
    assert threads.over_parts(lambda part: part, 10, 10 * threads.SMALL) == [slice(0, 10)]


@pytest.mark.parametrize("failing", [0, 1])
def test_errors_arrive_and_settings_are_restored(library, failing):
    def work(part):
        if (part.start > 0) == failing:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        threads.over_parts(work, 10, 10 * threads.SMALL)
    assert library.written == [1, 3]
    assert not threads._busy.locked()


def test_inside_each_other_only_the_outer_one_splits(library):
    def work(part):
        return threads.over_parts(lambda part: part, 10, 10 * threads.SMALL)

    assert threads.over_parts(work, 3, 10 * threads.SMALL) == [[slice(0, 10)]] * 3
    assert library.written == [1, 3]


@pytest.mark.usefixtures("library")
def test_the_error_state_of_numpy_reaches_the_threads():
    def work(part):
        return np.ones(1, np.float32) / np.zeros(1, np.float32)

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.over_parts(work, 10, 10 * threads.SMALL)
    with np.errstate(divide="ignore"):
        assert len(threads.over_parts(work, 10, 10 * threads.SMALL)) == 3


@pytest.mark.usefixtures("library")
def test_threads_keep_nothing_of_their_work():
    def use(x):
        threads.over_parts(lambda part: x[part] + 1, 12, 10 * threads.SMALL)
        return weakref.ref(x)

    kept = use(np.zeros(12))
    deadline = time.monotonic() + 10  # a thread lets go after it has handed over the result
    while kept() is not None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert kept() is None


def test_openblas_of_this_numpy():
    found = threads.thread_functions()
    if found is None:
        pytest.skip("NumPy brings no OpenBLAS here")
    read, write = found
    before = read()
    write(1)
    assert read() == 1
    write(before)
    assert read() == before


ANOTHER_THREAD = """
import _thread, time
def nap(): time.sleep(60)
_thread.start_new_thread(nap, ())
time.sleep(0.1)
"""


@pytest.mark.parametrize("before", ["", ANOTHER_THREAD], ids=["alone", "with another thread"])
def test_idle_threads_of_openblas_sleep_soon(before):
    library = runtime.library()
    if not hasattr(library, "openblas_thread_timeout") or threads.thread_functions()[0]() == 1:
        pytest.skip("NumPy brings no OpenBLAS with threads here")
    code = f"{before}\nfrom nnlite.core.runtime import library\nimport nnlite\n"
    name, value = runtime.SPIN
    env = {key: text for key, text in os.environ.items() if key != name}
    timeout = subprocess.run(
        [sys.executable, "-c", f"{code}print(library().openblas_thread_timeout())"],
        capture_output=True, text=True, check=True, env=env, timeout=60,
    ).stdout  # fmt: skip
    assert (int(timeout) == int(value)) == (before == "")


def test_one_variable_leaves_the_process_as_it_is():
    code = (
        "from nnlite.core import runtime\n"
        "print(runtime.thread_functions() and runtime.library().openblas_thread_timeout())"
    )
    timeouts = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={**os.environ, **extra}, timeout=60,
        ).stdout
        for extra in ({}, {runtime.OPT_OUT: "0"})
    ]  # fmt: skip
    functions = threads.thread_functions()
    if functions is None or functions[0]() == 1:
        pytest.skip("NumPy brings no OpenBLAS with threads here")
    assert timeouts[0].strip() == runtime.SPIN[1] != timeouts[1].strip()


def test_no_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)
    monkeypatch.setattr(threads, "thread_functions", lambda: (lambda: 5, lambda count: None))
    for items in (5, 2, 3, 4, 9):
        assert len(threads.over_parts(lambda part: part, items, 1)) == min(items, 5)
    assert len(threads._workers(4)) == 4
    assert threads._workers.cache_info().currsize <= 3  # of this test and those before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_interrupts_leave_nobody_waiting(monkeypatch):
    if threads.thread_functions() is None:
        pytest.skip("NumPy brings no OpenBLAS here")
    read, write = threads.thread_functions()
    before = read()
    write(2)
    monkeypatch.setattr(threads, "SMALL", 0)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    x, hits = np.ones(1000), 0
    try:
        for attempt in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + 1e-6 * (attempt % 50))
                while True:
                    threads.over_parts(lambda part: x[part].sum(), 1000, 1000)
            except KeyboardInterrupt:
                hits += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert hits == 400
        assert sum(threads.over_parts(lambda part: x[part].sum(), 1000, 1000)) == 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        write(before)
