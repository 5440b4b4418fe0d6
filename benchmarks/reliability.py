"""Does a run survive what can happen to it? Processes are really killed and files really damaged.

`python -m benchmarks.reliability FOLDER` is the training process that gets killed: it resumes from
the folder's checkpoint if there is one, and prints a hash of its weights when it is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nnlite as nn
from benchmarks.turns import ROOT
from nnlite.files.tree import encode
from nnlite.training import checkpoint

EPOCHS = 10  # of 3 updates each


def run(folder: Path, width: int = 64) -> nn.Trainer:
    """A training with everything that has a state, saved at every step."""
    nn.seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)
    model = nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3),
    )  # fmt: skip
    optimizer = nn.AdamW(model.parameters(), lr=0.01, clip_norm=1.0)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])
    callbacks = [
        nn.EMA(0.9),
        nn.ReduceLROnPlateau(patience=1),
        nn.EarlyStopping(patience=100),
        nn.CSVLogger(folder / "log.csv"),
        nn.Checkpoint(folder / "run.npz", every_steps=1, keep=2),
    ]
    trainer.fit(  # 80 rows, 5 batches, 3 updates in each epoch
        x, y, epochs=EPOCHS, batch_size=16, accumulate=2, validation_split=0.2,
        callbacks=callbacks, resume="auto", verbose=False,
    )  # fmt: skip
    return trainer


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.reliability", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )


class Kills(NamedTuple):
    """How it went."""

    killed: int  # before the run was over
    while_writing: int  # with a half-written file left behind
    same: int  # ended with the weights of the run that was never killed


def kills(count: int, folder: Path, seed: int = 0) -> Kills:
    """Kill a training at random moments, resume it, and compare the weights it ends with."""
    (folder / "whole").mkdir()
    process = _start(folder / "whole")
    assert process.stdout is not None
    ready = process.stdout.readline()
    begun = time.perf_counter()
    expected = process.communicate()[0]
    duration = time.perf_counter() - begun
    rng = np.random.default_rng(seed)
    killed = while_writing = same = 0
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        process = _start(place)
        assert process.stdout is not None
        assert process.stdout.readline() == ready
        time.sleep(rng.uniform(0, duration))
        process.kill()
        killed += process.wait() == -9
        process.communicate()
        while_writing += any(place.glob(".*.tmp"))
        for name in place.glob("*.npz"):
            with np.load(name) as file:  # every file is whole at every moment
                assert all(file[part] is not None for part in file.files)
        same += _start(place).communicate()[0] == ready + expected
        assert not list(place.glob(".*.tmp"))
        same_log = (place / "log.csv").read_text() == (folder / "whole/log.csv").read_text()
        assert same_log
    return Kills(killed, while_writing, same)


def content(trainer: nn.Trainer) -> tuple[str, list[bytes]]:
    """Everything that a checkpoint of the trainer would hold."""
    arrays: dict[str, np.ndarray] = {}
    tree = encode(checkpoint.capture(trainer), "", arrays)
    return json.dumps(tree), [array.tobytes() for array in arrays.values()]


class Damages(NamedTuple):
    """What loading damaged files did."""

    refused: int  # CheckpointError that names the file, nothing changed
    harmless: int  # loaded, with equal content


def damages(count: int, folder: Path, seed: int = 0) -> Damages:
    """Flip or cut bytes of a checkpoint at random places, and load it."""
    (folder / "first").mkdir()
    (folder / "second").mkdir()
    run(folder / "first", width=8)
    whole = (folder / "first/run.npz").read_bytes()
    trainer = run(folder / "second", width=8)
    trainer.load(folder / "first/run.npz")
    original = content(trainer)
    trainer.train_step(np.ones((4, 8), np.float32), np.zeros(4, np.int64))
    trainer.save(folder / "mine.npz")
    mine = content(trainer)
    path = folder / "damaged.npz"
    rng = np.random.default_rng(seed)
    refused = harmless = 0
    for _ in range(count):
        damaged = bytearray(whole)
        at = int(rng.integers(len(whole)))
        kind = rng.integers(4)
        if kind < 2:
            damaged[at] ^= int(rng.integers(1, 256))
        elif kind == 2:
            del damaged[at:]
        else:
            del damaged[at : at + int(rng.integers(1, 100))]
        path.write_bytes(damaged)
        try:
            trainer.load(path)
        except nn.CheckpointError as error:
            refused += path.name in str(error)
        else:
            harmless += 1
            assert content(trainer) == original
            trainer.load(folder / "mine.npz")
        assert content(trainer) == mine
    return Damages(refused, harmless)


if __name__ == "__main__":
    print("ready", flush=True)
    print(run(Path(sys.argv[1])).fingerprint()["weights"])
