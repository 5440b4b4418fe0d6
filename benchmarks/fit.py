"""What the trainer's bookkeeping costs over a bare loop that does the same updates."""

from __future__ import annotations

import contextlib
import io
import statistics
import time

import numpy as np

import nnlite as nn
from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE
from benchmarks.frameworks.nnlite import build

BATCHES = 200


def cost_of_fit(workload: workloads.Workload, rounds: int) -> float:
    """The median over rounds of fit's time in times the bare loop's, an epoch of 200 batches.

    fit shuffles, measures the accuracy and shows its progress; the loop walks the same batches.
    """
    x, y = workloads.data(workload)
    x, y = np.tile(x, (BATCHES, 1)), np.tile(y, BATCHES)
    model = build(workload)
    loss = nn.CrossEntropyLoss()
    optimizer = nn.Adam(model.parameters(), lr=LEARNING_RATE)
    trainer = nn.Trainer(model, loss, optimizer, metrics=[nn.Accuracy()], rng=0)

    def loop() -> None:
        model.needs_input_grad = False
        for x_batch, y_batch in nn.data.batches(x, y, batch_size=workload.batch):
            optimizer.zero_grad()
            loss(model.forward(x_batch), y_batch)
            model.backward(loss.backward())
            optimizer.step()

    def fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.fit(x, y, epochs=1, batch_size=workload.batch)

    ratios = []
    for _ in range(4 * rounds):
        times = []
        for run in (fit, loop):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)
