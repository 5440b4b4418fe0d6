"""Training steps of this tree beside those of another revision: is anything slower than it was?

Both trees run this tree's workloads, each in a process of its own, in bursts that take turns: old,
new, new, old in every round, so that a machine that drifts favours neither. The time of a burst is
what its fastest tenth of steps stays below, which nobody has interrupted. Where a process finds its
memory moves times by some percent for as long as it lives, so every workload is run by several
pairs of processes.

With one thread, the time is that which the process had the processor for, so that other programs
disturb little. With several it is the clock's, since threads that wait use the processor too; that
takes a machine with nothing else to do.
"""

from __future__ import annotations

import io
import math
import shutil
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import workloads
from benchmarks.frameworks import THREADS
from benchmarks.report import duration, table
from benchmarks.turns import OURS, ROOT, Child
from benchmarks.workloads import Workload

MAIN = [
    *[*workloads.TABLE, workloads.SGD, *workloads.SEQUENCES],
    *[*workloads.ATTENTION, *workloads.CONVOLUTIONS],
]


class Plan(NamedTuple):
    """How long to measure."""

    chosen: list[Workload]
    pairs: int  # of processes, for each workload
    rounds: int  # of four bursts, for each pair
    seconds: float  # per burst
    threads: int = THREADS  # of the matrix products

    def burst(self, child: Child) -> float:
        """Seconds of a step."""
        return child.fast_step(
            self.seconds, "process_time" if self.threads == 1 else "perf_counter"
        )


THOROUGH = Plan(list(workloads.ALL.values()), pairs=9, rounds=3, seconds=0.2)
QUICK = Plan(MAIN, pairs=5, rounds=2, seconds=0.1)


class Comparison(NamedTuple):
    """One workload: seconds per step before and now, and now/before of every round, by pair."""

    before: float
    now: float
    ratios: list[list[float]]

    @property
    def ratio(self) -> float:
        """The median over all rounds."""
        return statistics.median(each for pair in self.ratios for each in pair)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles: half of the rounds lie no farther apart."""
        low, _, high = statistics.quantiles([each for pair in self.ratios for each in pair], n=4)
        return (high - low) / 2

    @property
    def between_pairs(self) -> tuple[float, float]:
        """The smallest and the largest median of a pair of processes."""
        medians = [statistics.median(pair) for pair in self.ratios]
        return min(medians), max(medians)


@contextmanager
def side_by_side(revision: str) -> Iterator[tuple[Path, Path]]:
    """Temporary folders with that revision's nnlite and this tree's, and the same benchmarks.

    Their paths are of the same length: where that is all that differs, memory is laid out alike.
    """
    command = ["git", "archive", "--format=tar", revision, "nnlite"]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True)
    if archive.returncode:
        raise ValueError(f"git knows no nnlite at {revision!r}: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        old, new = (Path(folder).resolve() / name for name in ("old", "new"))
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(old, filter="data")
        compiled = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "nnlite", new / "nnlite", ignore=compiled)
        for root in (old, new):
            shutil.copytree(ROOT / "benchmarks", root / "benchmarks", ignore=compiled)
        yield old, new


def compare(workload: Workload, roots: tuple[Path, Path], plan: Plan) -> Comparison:
    """Let the two trees take turns on one workload."""
    before, now, ratios = [], [], []
    for _ in range(plan.pairs):
        with ExitStack() as processes:
            pair = []
            for root in roots:
                child = Child(OURS, "training", root, plan.threads)
                processes.callback(child.close)
                if not Path(child.file).is_relative_to(root):
                    raise RuntimeError(f"expected nnlite from {root}, got {child.file}")
                child.ask(f"workload {workload.name}")
                plan.burst(child)  # warms caches
                pair.append(child)
            ratios.append([])
            for _ in range(plan.rounds):
                a, b = pair
                steps = [plan.burst(child) for child in (a, b, b, a)]
                before += [steps[0], steps[3]]
                now += [steps[1], steps[2]]
                ratios[-1].append(math.sqrt(steps[1] * steps[2] / (steps[0] * steps[3])))
    return Comparison(statistics.median(before), statistics.median(now), ratios)


def against(revision: str, plan: Plan) -> dict[str, float]:
    """Print every workload's ratio new/old and its spread; returns the ratios by workload."""
    found: dict[str, Comparison] = {}
    rows = []
    with side_by_side(revision) as roots:
        for workload in plan.chosen:
            try:
                one = compare(workload, roots, plan)
            except RuntimeError as error:  # a layer of that revision may have other parameters
                print(f"{workload.name}: {error}", flush=True)
                continue
            found[workload.name] = one
            low, high = one.between_pairs
            times = f"{one.ratio:.3f} ± {one.spread:.3f}"
            print(f"{workload.name}: {times}", flush=True)
            rows.append(
                [
                    *[workload.name, duration(one.before), duration(one.now), times],
                    f"{low:.3f} … {high:.3f}",
                ]
            )
    print("\n" + table(["workload", revision, "this tree", "new/old", "pairs"], rows))
    slowest = max(found, key=lambda name: found[name].ratio)
    print(
        f"\ngeometric mean {statistics.geometric_mean(one.ratio for one in found.values()):.3f}, "
        f"at most {found[slowest].ratio:.3f} ({slowest}); half of the rounds of a workload lie "
        f"within ± {max(one.spread for one in found.values()):.3f} or less"
    )
    return {name: one.ratio for name, one in found.items()}
