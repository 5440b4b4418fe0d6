"""Training processes that are killed, or told to end, at random moments, and resumed.

Each case starts a run in a process of its own, ends it from outside, and starts it again until it
gets through: every second one by SIGKILL, the others by Ctrl-C (once, or twice, which does not wait
for the step's end) or SIGTERM (which ends the process, or which the script turns into an exit).
Half of them wait until a file is being written. A case is

    killed, signalled      the run was ended like that, and resumed
    ... while writing      the same, with a file half written
    other bits             what a checkpoint would hold in the end, or the log, is not what it is
                           when nobody ends the run; or a file was not whole meanwhile
    left over              temporary files lie about in the end
    hang, crash            a process stood still, or ended with an error
"""

from __future__ import annotations

import faulthandler
import functools
import math
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nnlite as nn
from benchmarks.reliability import runs
from benchmarks.reliability.mutations import chosen
from benchmarks.reliability.outcomes import Outcome
from nnlite.files import archive

SIGNALS = ("SIGTERM", "SIGTERM, handled", "Ctrl-C", "Ctrl-C twice")
SECONDS = 10  # for a run of a tenth of a second
AGAIN = "resumed again and again"


# -- the process that is ended ---------------------------------------------------------------------


def _train(setup: str, folder: Path) -> None:
    """Train, or go on; a run that gets to its end leaves a hash of all that it is."""
    run = runs.make(setup, folder)
    files = nn.Checkpoint(folder / "run.npz", every_steps=1, keep=2)
    run.fit(files, nn.CSVLogger(folder / "log.csv"), resume="auto")
    if not run.trainer.interrupted:
        (folder / "end").write_bytes(runs.content(run.trainer))


def _start(setup: str, folder: Path, way: str) -> int:
    """The same in a process of its own, which begins with all that this one has imported."""
    # a signal before the child is ready would end the parent's code in it, and clear the folder
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with warnings.catch_warnings():  # Python 3.12 warns of other threads; here they only wait
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return child
    try:
        try:
            error = (folder / "error").open("a")
            faulthandler.enable(error)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if way == "SIGTERM, handled":
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _train(setup, folder)
        except (KeyboardInterrupt, SystemExit):
            pass
        except BaseException:
            traceback.print_exc(file=error)
            error.flush()
    finally:  # whatever comes in between: nothing of the parent's goes on here
        os._exit(0)


def _over(child: int) -> bool:
    """Whether a process has ended."""
    return os.waitpid(child, os.WNOHANG)[0] != 0


def _wait(child: int) -> None:
    """Wait for the end of a process; one that stands still says where, and ends."""
    limit = time.monotonic() + SECONDS
    while not _over(child):
        time.sleep(1e-3)
        if time.monotonic() > limit:
            os.kill(child, signal.SIGABRT)
            limit = math.inf


def _left_alone(setup: str, folder: Path) -> None:
    """The process, until it ends by itself."""
    _wait(_start(setup, folder, ""))


def _ended(setup: str, folder: Path, way: str, delay: float, aimed: bool) -> str:
    """End the process after so many seconds, aimed: in the next file; how far it had come."""
    child = _start(setup, folder, way)
    time.sleep(delay)
    ended = False
    while aimed and not ended and not _temporary(folder):
        time.sleep(1e-4)
        ended = _over(child)
    writing = bool(_temporary(folder))
    if not ended:
        number = signal.SIGINT if way.startswith("Ctrl-C") else getattr(signal, way.split(",")[0])
        os.kill(child, number)
        if way == "Ctrl-C twice":
            time.sleep(1e-3)
            os.kill(child, number)
        _wait(child)
        if way in ("SIGKILL", "SIGTERM"):
            writing = bool(_temporary(folder))  # what it left half written
    if (folder / "end").exists():
        return "too late"
    kind = "killed" if way == "SIGKILL" else "signalled"
    return f"{kind} while writing" if writing else kind


def _temporary(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


# -- one case --------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """What a run that nobody ends comes to."""

    end: bytes  # a hash of all that it is
    log: str
    seconds: float


@functools.cache
def _uninterrupted(setup: str) -> Expected:
    """Of a set-up, once for all cases."""
    with tempfile.TemporaryDirectory() as place:
        folder, begun = Path(place), time.perf_counter()
        _left_alone(setup, folder)
        seconds = time.perf_counter() - begun
        end, log = (folder / "end").read_bytes(), (folder / "log.csv").read_text()
        return Expected(end, log, seconds)


def case(number: int) -> Outcome:
    """End a run, resume it, and compare what comes out."""
    rng = np.random.default_rng([2, number])
    way = chosen(rng, SIGNALS) if number % 2 else "SIGKILL"
    setup = [*runs.SETUPS][number // 2 % len(runs.SETUPS)]
    delay, aimed = rng.uniform(0, _uninterrupted(setup).seconds), rng.random() < 0.5
    while True:
        with tempfile.TemporaryDirectory() as place:
            kind = _ended(setup, Path(place), way, delay, aimed)
            if kind != "too late":
                kind, text = _resumed(setup, Path(place), way, kind, rng)
                return Outcome(setup, kind, f"{way} after {delay:.4f} s{text}")
        delay /= 2


def _resumed(
    setup: str, folder: Path, way: str, kind: str, rng: np.random.Generator
) -> tuple[str, str]:
    """What comes out at last, and what there is to add."""
    expected = _uninterrupted(setup)
    for _ in range(2 if setup == AGAIN else 0):
        _ended(setup, folder, way, rng.uniform(0, expected.seconds), rng.random() < 0.5)
    for path in folder.glob("run*.npz"):
        archive.read(path, "checkpoint")
    _left_alone(setup, folder)
    error = (folder / "error").read_text()
    if error:
        return "hang" if error.startswith("Fatal Python error: Aborted") else "crash", f": {error}"
    if (folder / "end").read_bytes() != expected.end:
        return "other bits", ": weights, optimizer, history, callbacks or generators"
    if (folder / "log.csv").read_text() != expected.log:
        return "other bits", ": the log"
    left = [path.name for path in folder.glob(".*")]
    return ("left over", f": {left}") if left else (kind, "")
