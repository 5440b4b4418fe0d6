"""Frameworks that take turns: each in a process of its own, in bursts, round after round.

In one process the thread pools of two frameworks spin against each other and slow both; and on a
shared machine the speed itself drifts. So every round gives each framework one burst, ratios are
formed within the round, and the median of the rounds is reported.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.frameworks import THREADS
from benchmarks.workloads import Workload

ROOT = Path(__file__).parent.parent
OURS, COMPILED = "nnlite", "nnlite numba"
# How far the first ten losses may differ, relative. Keras and scikit-learn add Adam's ε before
# the bias correction of v, not after, which shows in the fourth digit; other work shows in all.
TOLERANCE = 5e-3


# Idle threads wait for work by spinning, OpenBLAS's for 26 ms. Beside them a burst would begin with
# one core less, and a product in two threads takes ten times as long then.
PAUSE = 0.1  # seconds


class Child:
    """One framework in its process, which runs the code in `root`; "nnlite numba" is an engine."""

    def __init__(
        self,
        framework: str,
        mode: str,
        root: Path = ROOT,
        threads: int = THREADS,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.framework = framework
        engine = framework.partition(" ")[2] or "numpy"
        limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", framework, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=root,
            env={**os.environ, **limits, "NNLITE_ENGINE": engine, **environment},
        )
        first = self._answer()
        self.version = first.get("version", "")
        self.file = first.get("file", "")
        self.absent = first.get("absent")

    def ask(self, command: str) -> dict[str, Any]:
        """Send one command and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def burst(self, seconds: float) -> float:
        """Seconds per step, when the threads of whoever was before have stopped to spin."""
        time.sleep(PAUSE)
        return self.ask(f"burst {seconds}")["seconds"]

    def fast_step(self, seconds: float, clock: str = "perf_counter") -> float:
        """Seconds of a step that nobody interrupts, from one burst, by a clock of `time`."""
        time.sleep(PAUSE)
        return self.ask(f"fast {seconds} {clock}")["seconds"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.framework} process ended without an answer")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


class Result(NamedTuple):
    """One framework on one workload: seconds per step and times nnlite's, or why not."""

    seconds: float
    ratio: float
    difference: float  # the largest relative difference of the first ten losses from nnlite's
    absent: str = ""


def compare(
    workload: Workload, children: list[Child], rounds: int, seconds: float, losses: bool = True
) -> dict[str, Result]:
    """Let the children take turns on one workload; nnlite's own child is among them."""
    results: dict[str, Result] = {}
    ready: list[Child] = []
    for child in children:
        reason = child.absent or child.ask(f"workload {workload.name}").get("absent")
        if reason:
            results[child.framework] = Result(float("nan"), float("nan"), 0.0, reason)
        else:
            ready.append(child)
    for child in ready:
        child.burst(seconds / 2)  # compiles, warms caches
    measured: list[dict[str, float]] = [
        {child.framework: child.burst(seconds) for child in ready} for _ in range(rounds)
    ]
    traces = {
        child.framework: child.ask("losses 10")["losses"]
        for child in ready
        if losses and child.framework != "limit"
    }
    for child in ready:
        name = child.framework
        results[name] = Result(
            statistics.median(each[name] for each in measured),
            statistics.median(each[name] / each[OURS] for each in measured),
            difference(traces[name], traces[OURS]) if name in traces else 0.0,
        )
        if results[name].difference > TOLERANCE:
            raise RuntimeError(
                f"{name} does other work on {workload.name}: its first losses differ by "
                f"{results[name].difference:.1e}: {traces[name]} instead of {traces[OURS]}"
            )
    return results


def difference(losses: list[float], ours: list[float]) -> float:
    """The largest relative difference."""
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses, ours, strict=True))
