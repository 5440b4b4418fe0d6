"""Prefetching: the same items in the same order, and no thread left behind, whatever happens."""

import importlib
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import nnlite as nn
from nnlite.core import waiting
from nnlite.data import batches, prefetch
from nnlite.ops import threads
from nnlite.training.callbacks import simple

PATIENCE = 10  # seconds until a test gives up waiting


def loaders():
    return [t for t in threading.enumerate() if t.name == "nnlite-prefetch"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """Both are longer where somebody waits for them."""
    monkeypatch.setattr(waiting, "INTERVAL", 0.01)
    monkeypatch.setattr(importlib.import_module("nnlite.data.prefetch"), "PATIENCE", 0.1)


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not loaders()


class Source:
    """Counts up, and writes down what was loaded, by whom, and whether it was closed."""

    def __init__(self, count=10, fails_at=None):
        self.count = count
        self.fails_at = fails_at
        self.loaded = []
        self.threads = set()
        self.closed = threading.Event()
        self.more = threading.Condition()

    def __iter__(self):
        try:
            for item in range(self.count):
                if item == self.fails_at:
                    raise OSError(f"disk error at {item}")
                with self.more:
                    self.loaded.append(item)
                    self.threads.add(threading.current_thread())
                    self.more.notify_all()
                yield item
        finally:
            self.closed.set()

    def wait_for(self, count):
        with self.more:
            assert self.more.wait_for(lambda: len(self.loaded) >= count, PATIENCE)


@pytest.mark.parametrize("ahead", [1, 2, 5, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_all_items_in_order(count, ahead):
    source = Source(count)
    assert list(prefetch(source, ahead)) == list(range(count))
    assert source.closed.is_set()
    assert threading.main_thread() not in source.threads
    assert len(source.threads) <= 1


def test_any_iterable_will_do():
    assert list(prefetch([1, 2, 3])) == [1, 2, 3]
    assert list(prefetch(iter("abc"))) == ["a", "b", "c"]
    assert list(prefetch(x for x in (None, False))) == [None, False]
    x = np.arange(10)
    np.testing.assert_array_equal(np.concatenate(list(prefetch(batches(x, batch_size=4)))), x)


@pytest.mark.parametrize("ahead", [1, 3])
def test_items_are_loaded_ahead_but_no_further(ahead):
    source = Source(100)
    items = prefetch(source, ahead)
    assert not loaders()  # nothing happens before the first item is asked for
    for taken in range(1, 6):
        next(items)
        source.wait_for(taken + ahead)
        assert len(source.loaded) == taken + ahead
    items.close()
    assert len(source.loaded) <= 5 + ahead + 1
    assert source.closed.is_set()


def test_an_error_comes_where_its_item_would_have():
    source = Source(10, fails_at=4)
    items = prefetch(source, 8)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="disk error at 4") as caught:
        next(items)
    assert source.closed.is_set()
    assert any(entry.name == "__iter__" for entry in caught.traceback)  # where it really happened
    assert list(items) == []


def test_an_error_while_closing_is_not_lost():
    def source():
        try:
            yield 1
        finally:
            raise OSError("cannot close")

    with pytest.raises(OSError, match="cannot close"):
        list(prefetch(source()))


@pytest.mark.parametrize("how", ["break", "error", "close", "drop"])
def test_leaving_early_ends_the_thread(how):
    source = Source(1000)
    items = prefetch(source)
    if how == "break":
        for item in items:
            if item == 3:
                break
        del items
    elif how == "error":
        with pytest.raises(KeyError):
            use_and_fail(source)
        next(items)
        items.close()
    elif how == "close":
        next(items)
        items.close()
        items.close()
    else:
        next(items)
        del items
    assert source.closed.wait(PATIENCE)
    assert not loaders()


def use_and_fail(source):
    for item in prefetch(source):
        if item == 3:
            raise KeyError(item)


def test_ctrl_c_while_waiting_for_a_slow_item():
    began, let_go = threading.Event(), threading.Event()
    closed = []

    def slow():
        try:
            yield 0
            began.set()
            let_go.wait(PATIENCE)
            yield 1
        finally:
            closed.append(True)

    def press():
        began.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        let_go.set()

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in prefetch(slow(), 1):
            pass
    presser.join()
    assert closed == [True]


@pytest.fixture
def stuck():
    """A stream whose third batch never comes, until the test is over."""
    let_go = threading.Event()

    def stream(rng):
        def items():
            yield from stuck_no_more(rng)
            let_go.wait()

        return prefetch(items())

    yield stream
    let_go.set()
    for thread in loaders():
        thread.join(PATIENCE)


def flowing(rng):
    return prefetch((rng.standard_normal((4, 3)).astype(np.float32), [0, 1, 0, 1]) for _ in "ab")


def trainer():
    nn.seed(0)
    model = nn.Linear(3, 2)
    return nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))


def press(waits, times=1):
    """Ctrl-C, from another thread, each time once the main thread is waiting (anew)."""

    def wait_and_press():
        for _ in range(times):
            waits.clear()
            assert waits.wait(PATIENCE)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=wait_and_press)
    thread.start()
    return thread


class Clock:
    """Stands still but while `fit` waits: then an hour passes at every look."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def go_on(self, trainer):
        self.now += 3600


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(simple, "time", clock)
    return clock


@pytest.mark.parametrize("where", ["training", "accumulation", "validation"])
@pytest.mark.parametrize("how", ["ctrl-c", "time limit"])
def test_a_run_that_waits_for_a_stuck_source_ends_in_order(stuck, where, how, clock, capsys):
    t, moments, waits = trainer(), [], threading.Event()
    note = nn.LambdaCallback(
        on_wait=clock.go_on if how == "time limit" else lambda t: waits.set(),
        on_interrupt=lambda t: moments.append("interrupt"),
        on_fit_end=lambda t: moments.append("end"),
    )
    callbacks = [note, nn.TimeLimit(1)] if how == "time limit" else [note]
    source, held_out = (flowing, stuck) if where == "validation" else (stuck, None)
    accumulate = 3 if where == "accumulation" else 1
    presser = press(waits) if how == "ctrl-c" else None
    handler = signal.getsignal(signal.SIGINT)
    history = t.fit(source, epochs=2, validation_data=held_out, callbacks=callbacks,
                    accumulate=accumulate)  # fmt: skip
    if presser is not None:
        presser.join()
    assert signal.getsignal(signal.SIGINT) is handler
    assert history.epochs == 0
    assert t.interrupted
    assert moments == ["interrupt", "end"]
    assert t.optimizer.steps == (0 if where == "accumulation" else 2)  # no part of an update
    by = "Ctrl-C" if how == "ctrl-c" else "a callback"
    told = capsys.readouterr().out
    assert f"stopped by {by} in epoch 1" in told
    assert "of 0" not in told  # how many steps a stream has is not known


def test_a_run_that_a_stuck_source_ended_goes_on(stuck, tmp_path, clock):
    whole = trainer()
    whole.fit(flowing, epochs=2, verbose=False)
    first = trainer()
    callbacks = [nn.LambdaCallback(on_wait=clock.go_on), nn.TimeLimit(1)]
    first.fit(stuck, epochs=2, callbacks=callbacks, verbose=False)
    first.save(tmp_path / "run.npz")
    second = trainer()
    second.load(tmp_path / "run.npz")
    second.fit(stuck_no_more, epochs=2, verbose=False)
    assert second.optimizer.steps == 4


def stuck_no_more(rng):
    for _ in range(2):
        yield rng.standard_normal((4, 3)).astype(np.float32), rng.integers(0, 2, 4)


def test_a_second_ctrl_c_raises_while_waiting(stuck):
    t = trainer()
    handler = signal.getsignal(signal.SIGINT)
    waits = threading.Event()
    presser = press(waits, 2)

    def keep_waiting(t):  # as if the first one were not looked at
        waits.set()
        t.interrupted = False

    with pytest.raises(KeyboardInterrupt):
        t.fit(stuck, callbacks=[nn.LambdaCallback(on_wait=keep_waiting)], verbose=False)
    presser.join()
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_at_the_end_of_an_interval_lets_nobody_wait_forever(monkeypatch):
    monkeypatch.setattr(waiting, "INTERVAL", 0.002)
    handler = signal.signal(signal.SIGALRM, lambda *signal: None)
    try:
        for attempt in range(300):
            signal.setitimer(signal.ITIMER_REAL, 0.0021 - 1e-6 * attempt)
            with waiting.ended_by(lambda: True), pytest.raises(waiting.Ended):
                waiting.Channel().take()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_a_source_inside_a_source_ends_too():
    inner, outer = Source(1000), []

    def around():
        try:
            yield from prefetch(inner)
        finally:
            outer.append("closed")

    items = prefetch(around())
    next(items)
    items.close()
    assert inner.closed.wait(PATIENCE)
    assert outer == ["closed"]


def test_closing_waits_no_longer_than_its_patience():
    began, let_go = threading.Event(), threading.Event()

    def source():
        yield 0
        began.set()
        let_go.wait()

    items = prefetch(source())
    next(items)
    assert began.wait(PATIENCE)
    closer = threading.Thread(target=items.close)
    closer.start()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    (thread,) = loaders()  # until the source lets go
    let_go.set()
    thread.join(PATIENCE)


def product(rng):
    """Batches from a product of matrices and long sums, whose last bits become large ones."""
    m, v = rng.standard_normal((300, 300)), rng.standard_normal(100_000)
    for _ in range(3):
        v += 1e-3
        x = np.empty((16, 10, 10, 4), np.float32)
        x[..., :3] = (m @ m).sum(axis=0).reshape(10, 10, 3) * 1e10 % 1
        x[..., 3] = np.reshape([v.dot(v[::-1]) * 1e9 % 1 for _ in range(10)], (10, 1))
        x += rng.random(x.shape, np.float32)
        yield x, rng.integers(0, 3, 16)


def loaded_ahead(rng):
    return prefetch(product(rng))


@pytest.mark.parametrize("convolution", [True, False])
def test_bits_do_not_depend_on_the_thread_that_loads(convolution, tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)

    def run(source, stop_at=None, resume=None):
        nn.seed(0)
        below = [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()] * convolution
        model = nn.Sequential(*below, nn.Flatten(), nn.Linear(400, 64), nn.Linear(64, 3))
        t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))

        def stop(t):
            t.interrupted = t.optimizer.steps == stop_at

        callbacks = [nn.LambdaCallback(on_step_end=stop)]
        t.fit(source, callbacks=callbacks, resume=resume, verbose=False)
        if stop_at is not None:
            t.save(tmp_path / "run.npz")
        return t.fingerprint()["weights"], t.evaluate(source)

    plain = run(product)
    assert [run(loaded_ahead) for _ in range(5)] == [plain] * 5
    run(loaded_ahead, stop_at=2)
    assert run(loaded_ahead, resume=tmp_path / "run.npz") == plain


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_cannot_go_on_and_is_told_so():
    code = """
import itertools, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from nnlite.data import prefetch
items = prefetch(itertools.count())
next(items)
child = os.fork()
if child == 0:
    try:
        next(items)
    except RuntimeError as error:
        print(error)
    print(list(prefetch(range(3))))
else:
    os.waitpid(child, 0)
    print(next(items))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    error, anew, here = done.stdout.splitlines()
    assert "belongs to process" in error
    assert "call prefetch anew there" in error
    assert (anew, here, done.stderr) == ("[0, 1, 2]", "1", "")


def test_a_process_ends_with_a_source_that_is_stuck():
    code = """
import threading
import numpy as np
import nnlite as nn

def stream(rng):
    def items():
        yield np.ones((4, 3), np.float32), np.zeros(4, int)
        threading.Event().wait()
    return nn.data.prefetch(items())

model = nn.Linear(3, 2)
trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))
trainer.fit(stream, callbacks=[nn.TimeLimit(0.1)], verbose=False)
print(trainer.optimizer.steps)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_process_ends_with_a_loader_under_way():
    code = (
        "import itertools\n"
        "from nnlite.data import prefetch\n"
        "items = prefetch(itertools.count())\n"
        "print(next(items))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_several_loaders_side_by_side():
    pairs = zip(prefetch(range(100)), prefetch(prefetch(range(100)), 5), strict=True)
    assert all(a == b for a, b in pairs)


@pytest.mark.parametrize("ahead", [0, -1, 1.5, True])
def test_bad_sizes_are_refused_at_the_call(ahead):
    with pytest.raises(ValueError, match="ahead must be a whole number ≥ 1"):
        prefetch([], ahead)


def test_what_cannot_be_walked_through_is_refused_at_the_call():
    with pytest.raises(TypeError, match="source must be something to walk through"):
        prefetch(3)
