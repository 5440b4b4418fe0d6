"""Parts of a batch in several threads: the same results, errors and settings as in one."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import nullcontext

import numpy as np
import pytest

import nnlite as nn
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

    for products in (False, True):
        parts = threads.over_parts(work, 10, threads.SMALL + 1, products)
        assert parts == [slice(0, 4), slice(4, 7), slice(7, 10)]
        assert threading.main_thread().name in names
        assert len(names) > 1
        assert library.written == [1, 3] * products  # without products it is left alone


def test_little_work_stays_in_one_thread(library):
    assert threads.over_parts(lambda part: part, 10, threads.SMALL) == [slice(0, 10)]
    assert threads.over_parts(lambda part: part, 1, 10 * threads.SMALL) == [slice(0, 1)]
    assert threads.over_parts(lambda part: part, 0, 10 * threads.SMALL) == [slice(0, 0)]
    assert library.written == []


def test_two_at_once_share_the_work_and_one_of_them_switches(library):
    inside, leave, theirs = threading.Event(), threading.Event(), []

    def slow(part):
        inside.set()
        assert leave.wait(10)

    def other():
        theirs.extend(threads.over_parts(lambda part: part, 10, 10 * threads.SMALL, True))

    first = threading.Thread(target=threads.over_parts, args=(slow, 10, 10 * threads.SMALL, True))
    first.start()
    assert inside.wait(10)
    other()
    assert theirs == [slice(0, 4), slice(4, 7), slice(7, 10)]
    assert library.written == [1]
    leave.set()
    first.join()
    assert library.written == [1, 3]


@pytest.mark.parametrize("at_one", [False, True])
def test_only_who_keeps_the_number_switches_it(library, at_one):
    def split():
        assert len(threads.over_parts(lambda part: part, 10, 10 * threads.SMALL, True)) == 3

    with threads.blas_kept(at_one):
        assert library.written == [1] * at_one
        other = threading.Thread(target=split)
        other.start()
        other.join()
        assert library.written == [1] * at_one
        split()
        assert library.written == ([1] if at_one else [1, 3])
        with threads.blas_kept(True):  # a run inside a run's callback
            assert library.written == ([1] if at_one else [1, 3, 1])
        library.written.clear()
    assert library.written == [3] * at_one
    split()
    assert library.written == [3] * at_one + [1, 3]
    assert not threads._keepers


def test_whoever_comes_to_keep_the_number_waits_until_it_is_restored(library):
    inside, leave = threading.Event(), threading.Event()

    def slow(part):
        inside.set()
        assert leave.wait(10)

    first = threading.Thread(target=threads.over_parts, args=(slow, 10, 10 * threads.SMALL, True))
    first.start()
    assert inside.wait(10)
    threading.Timer(0.05, leave.set).start()
    with threads.blas_kept(True):
        assert library.written == [1, 3, 1]
    first.join()


def test_a_part_that_has_not_begun_can_be_cancelled():
    done = []
    job = threads._Job(done.append, slice(0, 1))
    assert job.cancelled()
    job.run()
    assert done == []
    job = threads._Job(done.append, slice(0, 1))
    job.run()
    assert not job.cancelled()
    assert done == [slice(0, 1)]
    assert job.wait() == (None, None)


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(threads, "thread_functions", lambda: None)
    assert threads.over_parts(lambda part: part, 10, 10 * threads.SMALL) == [slice(0, 10)]


@pytest.mark.parametrize("failing", [0, 1])
def test_errors_arrive_and_settings_are_restored(library, failing):
    def work(part):
        if (part.start > 0) == failing:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        threads.over_parts(work, 10, 10 * threads.SMALL, products=True)
    assert library.written == [1, 3]
    assert not threads._present


def test_inside_each_other_only_the_outer_one_splits(library):
    def work(part):
        return threads.over_parts(lambda part: part, 10, 10 * threads.SMALL)

    assert threads.over_parts(work, 3, 10 * threads.SMALL, True) == [[slice(0, 10)]] * 3
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


def tells_when_threads_sleep():
    """Whether NumPy brings an OpenBLAS with threads, whose inner functions can be called."""
    library = runtime.library()
    return hasattr(library, "openblas_thread_timeout") and threads.thread_functions()[0]() > 1


def test_nothing_is_left_in_the_environment():
    code = "import os, nnlite; print(os.environ.get('OPENBLAS_THREAD_TIMEOUT', 'none'))"
    for extra, left in (({}, "none"), ({runtime.SPIN[0]: "21"}, "21")):
        env = {key: text for key, text in os.environ.items() if key != runtime.SPIN[0]} | extra
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env,
            timeout=60,
        )  # fmt: skip
        assert run.stdout.strip() == left


@pytest.mark.parametrize(
    ("before", "soon"),
    [
        ("", True),
        (ANOTHER_THREAD, True),
        ("import numpy", True),
        (f"import numpy\n{ANOTHER_THREAD}", False),
    ],
    ids=["first", "with another thread", "after NumPy", "after NumPy with another thread"],
)
def test_idle_threads_of_openblas_sleep_soon(before, soon):
    if not tells_when_threads_sleep():
        pytest.skip("NumPy brings no OpenBLAS that tells when its threads sleep")
    code = f"{before}\nfrom nnlite.core.runtime import library\nimport nnlite\n"
    name, value = runtime.SPIN
    env = {key: text for key, text in os.environ.items() if key != name}
    timeout = subprocess.run(
        [sys.executable, "-c", f"{code}print(library().openblas_thread_timeout())"],
        capture_output=True, text=True, check=True, env=env, timeout=60,
    ).stdout  # fmt: skip
    assert (int(timeout) == int(value)) == soon


def test_one_variable_leaves_the_process_as_it_is():
    if not tells_when_threads_sleep():
        pytest.skip("NumPy brings no OpenBLAS that tells when its threads sleep")
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
    assert timeouts[0].strip() == runtime.SPIN[1] != timeouts[1].strip()


def test_no_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)
    monkeypatch.setattr(threads, "thread_functions", lambda: (lambda: 5, lambda count: None))
    for items in (5, 2, 3, 4, 9):
        assert len(threads.over_parts(lambda part: part, items, 1)) == min(items, 5)
    assert len(threads._workers(4)) == 4
    assert threads._workers.cache_info().currsize <= 3  # of this test and those before


@pytest.fixture
def two_threads(monkeypatch):
    """OpenBLAS with two threads, and all work in parts."""
    if threads.thread_functions() is None:
        pytest.skip("NumPy brings no OpenBLAS here")
    read, write = threads.thread_functions()
    before = read()
    write(2)
    monkeypatch.setattr(threads, "SMALL", 0)
    yield read
    write(before)


@pytest.fixture
def alarm():
    """`setitimer` raises KeyboardInterrupt, as Ctrl-C does, in the middle of anything."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("no timers here")
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


@pytest.mark.parametrize("at_one", [None, False, True])
def test_interrupts_leave_nobody_waiting_and_openblas_as_it_was(two_threads, alarm, at_one):
    x, hits = np.ones(1000), 0

    def work():
        for _ in range(10):
            threads.over_parts(lambda part: x[part].sum(), 1000, 1000, products=True)

    for attempt in range(800):
        try:
            alarm(1e-4 + 1e-6 * (attempt % 50))
            while True:
                with nullcontext() if at_one is None else threads.blas_kept(at_one):
                    work()
        except KeyboardInterrupt:
            hits += 1
        assert two_threads() == 2
        assert not threads._present
        assert not threads._keepers
    assert hits == 800
    assert sum(threads.over_parts(lambda part: x[part].sum(), 1000, 1000)) == 1000


def conv_net():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 3),
    )  # fmt: skip


def digits(rng, n=32):
    return rng.standard_normal((n, 10, 10, 4)).astype(np.float32), rng.integers(0, 3, n)


@pytest.mark.parametrize("what", ["predict", "evaluate", "check_gradients", "fit"])
def test_after_an_interrupt_everything_is_as_it_was(two_threads, alarm, what):
    rng = np.random.default_rng(0)
    x, y = digits(rng)
    model, small = conv_net(), nn.Sequential(nn.Conv2d(4, 1, 3), nn.Flatten(), nn.Linear(4, 2))
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=1e-9))
    work = {
        "predict": lambda: model.predict(x, batch_size=16),
        "evaluate": lambda: trainer.evaluate(x, y, batch_size=16),
        "check_gradients": lambda: nn.check_gradients(small, x[:2, :4, :4], raises=False),
        "fit": lambda: trainer.fit(x, y, batch_size=16, validation_split=0.5, verbose=False),
    }[what]
    layers = [*model.named_layers().values(), *small.named_layers().values()]

    def flags():
        return [(layer.training, layer.needs_input_grad) for layer in layers]

    work()
    began = time.perf_counter()
    work()
    length, before = time.perf_counter() - began, flags()
    for _ in range(8 if what == "check_gradients" else 25):
        expected = model.predict(x)
        try:
            alarm(max(1e-5, rng.uniform(0, length)))
            work()
            alarm(0)
        except KeyboardInterrupt:
            pass
        assert two_threads() == 2
        assert not threads._present
        assert not threads._keepers
        assert flags() == before
        assert all(layer._slot is None for layer in layers)
        assert trainer.loss._slot is None
        if what != "fit":
            np.testing.assert_array_equal(model.predict(x), expected)


def test_what_a_run_computes_does_not_depend_on_who_predicts_meanwhile(two_threads):
    x, y = digits(np.random.default_rng(0), 128)

    def weights(predicting):
        nn.seed(0)
        model, other = conv_net(), conv_net()
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
        over, errors = threading.Event(), []

        def predict(net):
            try:
                while not over.is_set():
                    assert np.isfinite(net.predict(x)).all()
                    assert net.training
            except BaseException as error:
                errors.append(error)

        others = [
            threading.Thread(target=predict, args=([model, other][i % 2],))
            for i in range(predicting)
        ]
        for thread in others:
            thread.start()
        trainer.fit(x, y, epochs=2, verbose=False)
        over.set()
        for thread in others:
            thread.join()
        assert errors == []
        buffers = [buffer.data.tobytes() for buffer in model.buffers()]
        return trainer.fingerprint()["weights"], buffers, model.predict(x).tobytes()

    alone = weights(0)
    assert weights(16) == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_run_can_predict(two_threads):
    x, y = digits(np.random.default_rng(0))
    model = conv_net()
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))
    codes = []

    def fork(trainer):
        expected = model.predict(x)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if two_threads() == 2 and (model.predict(x) == expected).all():
                    code = 0
            finally:
                os._exit(code)
        codes.append(exit_code(child))

    trainer.fit(x, y, callbacks=[nn.LambdaCallback(on_step_end=fork)], verbose=False)
    assert codes == [0]

    # from another thread than the one that keeps the number, and has switched it
    inside, leave = threading.Event(), threading.Event()

    def slow(part):
        inside.set()
        assert leave.wait(10)

    other = threading.Thread(target=threads.over_parts, args=(slow, 2, 1, True))
    other.start()
    assert inside.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0 if two_threads() == 2 and not threads._present else 1)
    assert exit_code(child) == 0
    leave.set()
    other.join()


def exit_code(child):
    """That of a process, which is killed when it takes too long."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"
