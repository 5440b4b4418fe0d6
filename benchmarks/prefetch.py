"""How much of the time to load a batch disappears behind the step on the one before."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

import nnlite as nn
from nnlite.data import prefetch

LOAD, STEP = 0.005, 0.010  # seconds
BATCHES = 50

Work = Callable[[], None]


def seconds(work: Work) -> float:
    """How long it takes, once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeated(work: Work, length: float) -> Work:
    """The same work as often as it fits into so many seconds on a quiet machine."""
    times = max(1, round(length / min(seconds(work) for _ in range(50))))

    def repeat() -> None:
        for _ in range(times):
            work()

    return repeat


def training_step() -> Work:
    """A small model's updates on one batch."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    loss, optimizer = nn.CrossEntropyLoss(), nn.SGD(model.parameters())
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 64), np.float32), rng.integers(0, 10, 64)

    def update() -> None:
        optimizer.zero_grad()
        loss(model.forward(x), y)
        model.backward(loss.backward())
        optimizer.step()

    return repeated(update, STEP)


def loads() -> dict[str, Work]:
    """A load that waits, as for a disk, and one that computes, as a decoder does."""
    values = np.random.default_rng(0).random(20_000)
    return {
        "waits": lambda: time.sleep(LOAD),
        "computes": repeated(lambda: values.copy().sort(), LOAD),
    }


def hidden_share(load: Work, rounds: int) -> tuple[float, float]:
    """The median share of the loading time that prefetching hides; and a step's ms alone."""
    step = training_step()

    def source() -> Iterator[None]:
        for _ in range(BATCHES):
            load()
            yield

    def walk(items: Iterable[None]) -> None:
        for _ in items:
            step()

    steps, shares = [], []
    for _ in range(rounds):
        alone = seconds(lambda: walk([None] * BATCHES))
        plain = seconds(lambda: walk(source()))
        ahead = seconds(lambda: walk(prefetch(source())))
        steps.append(alone / BATCHES * 1e3)
        shares.append((plain - ahead) / (plain - alone))
    return statistics.median(shares), statistics.median(steps)
