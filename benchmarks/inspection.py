"""What it costs to look inside."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nnlite as nn
from benchmarks import workloads
from benchmarks.frameworks.nnlite import build
from benchmarks.turns import ROOT


def seconds(run: Callable[[], Any], rounds: int) -> float:
    """The median time of one call."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def time_of_check(rounds: int) -> float:
    """Checking a layer of 10,100 parameters on a batch of 16."""
    nn.seed(0)
    layer = nn.Linear(100, 100)
    x = np.random.default_rng(0).standard_normal((16, 100))
    return seconds(lambda: nn.check_gradients(layer, x), rounds)


def cost_of_trace(workload: workloads.Workload, rounds: int) -> float:
    """A trace in times a plain forward, loss and backward of the same model."""
    model, (x, y) = build(workload), workloads.data(workload)
    loss = nn.CrossEntropyLoss()

    def plain() -> None:
        model.zero_grad()
        loss(model.forward(x), y)
        model.backward(loss.backward())

    return statistics.median(
        seconds(lambda: nn.trace(model, loss, x, y), 1) / seconds(plain, 5)
        for _ in range(4 * rounds)
    )


def page_of_lenet() -> tuple[int, float | None]:
    """Bytes of the page of a LeNet on 4 digits; seconds until it answers to keys in Chromium."""
    sys.path.append(str(ROOT / "tests"))
    from browser import CHROMIUM, Browser

    nn.seed(0)
    x, y = nn.data.load_digits()
    model = nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(64, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    adam = nn.Adam(model.parameters())
    images = x[:4].reshape(-1, 8, 8, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lenet.html"
        nn.trace(model, nn.CrossEntropyLoss(), images, y[:4], optimizer=adam).to_html(path)
        if CHROMIUM is None:
            return path.stat().st_size, None
        with Browser() as browser:
            times = []
            for _ in range(5):
                browser.open(path)
                times.append(
                    browser.run(
                        "performance.timing.domInteractive - performance.timing.navigationStart"
                    )
                )
        return path.stat().st_size, statistics.median(times) / 1000


def shares_of_corpora() -> dict[str, float]:
    """What check_gradients makes of the right and the wrong layers and losses of the tests."""
    sys.path.append(str(ROOT / "tests"))
    from corpora.judge import RIGHT, WRONG, false_alarms, judged

    alarms = len(false_alarms(RIGHT))
    start = time.perf_counter()
    missed, unnamed = judged(WRONG)
    spent = time.perf_counter() - start
    return {
        "right": len(RIGHT),
        "false alarms": alarms,
        "wrong": len(WRONG),
        "caught": 1 - len(missed) / len(WRONG),
        "named": 1 - (len(missed) + len(unnamed)) / len(WRONG),
        "seconds": spent / len(WRONG),
    }
