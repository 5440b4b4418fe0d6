"""A child process that holds one framework and one workload, and works when it is told to.

Called as `python -m benchmarks.worker FRAMEWORK MODE`; reads a workload's name, then commands, a
line each, and answers each with a line of JSON. Behind nnlite's name may stand an engine's.
"""

from __future__ import annotations

import importlib
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workloads import ALL


def burst(run: Callable[[], Any], seconds: float) -> float:
    """Seconds per step, from as many calls as fit the time (at least 3)."""
    calls, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds or calls < 3:
        run()
        calls += 1
    return (now - start) / calls / getattr(run, "steps", 1)


def fast_step(
    run: Callable[[], Any], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds that one step in ten stays below, of as many as fit the time (at least 3)."""
    times = [clock()]
    while times[-1] - times[0] < seconds or len(times) < 4:
        run()
        times.append(clock())
    steps = sorted(after - before for before, after in itertools.pairwise(times))
    return steps[len(steps) // 10]


def main(framework: str, mode: str) -> None:
    """Answer commands until the input ends."""
    run: Callable[[], Any]
    try:
        name = framework.partition(" ")[0]
        module = importlib.import_module(f"benchmarks.frameworks.{name}")
    except ImportError as error:
        answer({"absent": f"{framework} is not installed ({error.name})"})
        return
    package = sys.modules.get("numpy" if name == "limit" else name)
    answer({name: str(getattr(package, f"__{name}__", "")) for name in ("version", "file")})
    workload = None
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            if command == "workload":
                workload = ALL[argument]
                run = getattr(module, mode)(workload)
                answer({})
            elif command == "burst":
                answer({"seconds": burst(run, float(argument))})
            elif command == "first":
                start = time.perf_counter()
                run()
                answer({"seconds": time.perf_counter() - start})
            elif command == "fast":
                seconds, clock = argument.split()
                answer({"seconds": fast_step(run, float(seconds), getattr(time, clock))})
            elif command == "losses":
                checked = getattr(module, "checked", module.training)(workload.without_dropout())
                answer({"losses": [checked() for _ in range(int(argument))]})
            elif command == "memory":
                answer({"peak": peak_memory()})
        except NotImplementedError as error:
            answer({"absent": str(error)})


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes.

    On Linux not from `getrusage`, where a child begins with its parent's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def answer(values: dict[str, Any]) -> None:
    """One line of JSON."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
