"""What it costs to begin: imports, memory, and the time until something has been learned."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from benchmarks.frameworks import THREADS
from benchmarks.turns import COMPILED, OURS, ROOT, Child
from benchmarks.workloads import Workload

IMPORTS = {
    "numpy + tqdm": "import numpy, tqdm",
    "nnlite": "import nnlite",
    "torch": "import torch",
    "jax": "import jax",
    "sklearn": "import sklearn.neural_network",
}

OUR_SPIRALS = """
import nnlite as nn
nn.set_engine("ENGINE")
nn.seed(0)
x, y = nn.data.spirals(600)
model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), lr=1e-2))
trainer.fit(x, y, epochs=100, verbose=False)
accuracy = (model.predict(x).argmax(1) == y).mean()
"""

SPIRALS = {
    "nnlite": OUR_SPIRALS.replace("ENGINE", "numpy"),
    "nnlite numba": "import numba" + OUR_SPIRALS.replace("ENGINE", "numba"),
    "torch": """
import torch
from torch import nn
import numpy as np
rng = np.random.default_rng(0)
y = np.repeat(np.arange(3), 200)
t = np.tile(np.linspace(0, 1, 200), 3)
a = 4 * t + 2 * np.pi * y / 3 + 0.1 * rng.standard_normal(600)
x = torch.tensor(np.stack([t * np.sin(a), t * np.cos(a)], 1), dtype=torch.float32)
y = torch.tensor(y)
model = nn.Sequential(
    nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(100):
    for rows in torch.randperm(600).split(32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
accuracy = (model(x).argmax(1) == y).float().mean()
""",
}


def seconds_of(code: str) -> float:
    """A fresh interpreter's time for the code, its own start included."""
    threads = {f"{name}_NUM_THREADS": str(THREADS) for name in ("OMP", "OPENBLAS", "MKL")}
    env = {**os.environ, **threads}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled, once
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=ROOT,
        env=env,
        stderr=subprocess.PIPE,
    )
    return time.perf_counter() - start


def take_turns(codes: dict[str, str], rounds: int, ours: str) -> dict[str, tuple[float, float]]:
    """(median seconds, median over the rounds of the time in times `ours`), for what can run."""
    able = dict(codes)
    for name, code in codes.items():
        try:
            seconds_of(code)  # fills the caches of the file system, too
        except subprocess.CalledProcessError:
            del able[name]
    runs = [{name: seconds_of(code) for name, code in able.items()} for _ in range(rounds)]
    return {
        name: (
            statistics.median(run[name] for run in runs),
            statistics.median(run[name] / run[ours] for run in runs),
        )
        for name in able
    }


def peak_memory(workload: Workload, frameworks: Sequence[str]) -> dict[str, int]:
    """The largest resident memory of a process that trains the workload for a second, in bytes."""
    peaks = {}
    for framework in frameworks:
        child = Child(framework, "training")
        if not child.absent and not child.ask(f"workload {workload.name}").get("absent"):
            child.ask("burst 1")
            peaks[framework] = child.ask("memory")["peak"]
        child.close()
    return peaks


def first_steps(workload: Workload) -> dict[str, float]:
    """Seconds of the first training step in a new process; Numba's import is a part of it.

    The compiled engine's with an empty folder for its cache, in which it leaves what it compiles,
    and once more with that; and a later step of each engine.
    """
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for framework, state in ((OURS, ""), (COMPILED, ", cold"), (COMPILED, ", warm")):
            child = Child(framework, "training", environment={"NUMBA_CACHE_DIR": folder})
            if not child.absent:
                child.ask(f"workload {workload.name}")
                found[f"{framework}{state}"] = child.ask("first")["seconds"]
                found[f"{framework}, later"] = child.fast_step(0.2)
            child.close()
    return found
