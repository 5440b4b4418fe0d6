"""A run of 30 steps in which something happens to the last rank: `… HOW FOLDER` by MPI."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import parallel_runs

import nnlite as nn


class Happens(nn.Callback):
    """At step 12 of a run that was not resumed."""

    def __init__(self, how):
        self.how = how
        self._first = None

    def on_step_end(self, trainer):
        steps = trainer.optimizer.steps
        self._first = self._first or steps
        if self.how == "waits":
            if steps == 1 and trainer.rank == 1:
                print("process", os.getpid(), flush=True)
            time.sleep(0.05)
        if steps == 12 and trainer.rank == 1:
            print("now", flush=True)
            getattr(self, self.how, lambda weight: None)(trainer.model[0].weight)

    def raises(self, weight):
        raise KeyError("a key that is missing")

    def exits(self, weight):
        sys.exit(0)

    def is_killed(self, weight):
        os.kill(os.getpid(), signal.SIGKILL)

    def is_nan(self, weight):
        weight.data = np.full(weight.shape, np.nan)

    def drifts(self, weight):
        weight.data += 1e-7


def main(how, folder):
    parallel = nn.parallel.MPI()
    if how == "go_on":
        parallel_runs.long_run(parallel, folder, parallel_runs.Break(13))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    last = parallel.rank == 1
    if last and how in ("raises_outside", "has_other_data"):
        print("now", flush=True)
    if how == "has_other_data":
        x = x + parallel.rank
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2), nn.Softmax())
    trainer = nn.Trainer(
        model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()), parallel=parallel
    )
    if last and how == "raises_outside":
        1 / 0  # noqa: B018
    happens = Happens(how)
    checkpoint = nn.Checkpoint(Path(folder) / "run.npz", every_steps=5)
    trainer.fit(x, y, epochs=3, batch_size=10, callbacks=[happens, checkpoint], resume="auto")
    print(f"finished at step {trainer.optimizer.steps}, with the first step {happens._first}\n")
    print(f"in {trainer.fingerprint()['blas_threads']} threads")


if __name__ == "__main__":
    main(*sys.argv[1:])
