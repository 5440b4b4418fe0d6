"""Prefetching: the same items in the same order, and no thread left behind, whatever happens."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from nnlite.data import batches, prefetch

PATIENCE = 10  # seconds until a test gives up waiting


def loaders():
    return [t for t in threading.enumerate() if t.name == "nnlite-prefetch"]


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
