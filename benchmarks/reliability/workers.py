"""Cases in processes of their own: what dies or stands still there is a case like any other."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryFile

from benchmarks.frameworks import THREADS
from benchmarks.reliability.outcomes import Outcome, Subject
from benchmarks.turns import ROOT

SECONDS = 30  # that one case may take before it counts as standing still
MEMORY = 4 << 30  # bytes that a worker may have


def outcomes(subject: Subject, cases: int, workers: int = os.cpu_count() or 1) -> list[Outcome]:
    """The outcomes of a subject's cases 0, 1, …, in order."""
    shares = [range(first, cases, workers) for first in range(workers)]
    found: dict[int, Outcome] = {}
    with ThreadPoolExecutor(workers) as pool:
        for share, done in zip(
            shares, pool.map(lambda s: [*_ask(subject.module, s)], shares), strict=True
        ):
            found.update(zip(share, done, strict=True))
    return [found[number] for number in range(cases)]


def _ask(module: str, share: range) -> Iterator[Outcome]:
    """The outcomes of some cases; a worker that ends before its time has a successor."""
    limits = {f"{name}_NUM_THREADS": str(THREADS) for name in ("OMP", "OPENBLAS", "MKL")}
    while share:
        numbers = [str(n) for n in (share.start, share.stop, share.step)]
        command = [
            sys.executable,
            "-m",
            "benchmarks.reliability.workers",
            module,
            str(SECONDS),
            *numbers,
        ]
        with (
            TemporaryFile("w+") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
                env={**os.environ, **limits},
            ) as process,
        ):  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                yield Outcome(*json.loads(line))
                share = share[1:]
            code = process.wait()
            errors.seek(0)
            said = errors.read()
        if share:
            kind = "hang" if said.startswith("Timeout") else "crash"
            yield Outcome("lost", kind, f"exit code {code}; {said[-2000:]}")
            share = share[1:]


def main(module: str, seconds: str, *numbers: str) -> None:
    """Answer a line of JSON for each case of a range, none of which may take longer."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    case = importlib.import_module(module).case
    for number in range(*map(int, numbers)):
        faulthandler.dump_traceback_later(float(seconds), exit=True)
        print(json.dumps(case(number)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
