"""What a safe save costs over `numpy.savez`, sync and rename of the same arrays."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import nnlite as nn


def cost_of_saving(width: int, rounds: int) -> tuple[float, float, float]:
    """(bytes, seconds of a checkpoint, in times numpy's): the median over rounds, in turns.

    The checkpoint of a three-layer model and Adam: weights and two moments each.
    """
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    optimizer = nn.Adam(model.parameters())
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer)
    x = np.ones((2, width), np.float32)
    trainer.fit(x, x, epochs=1, verbose=False)
    arrays = model.state_dict()
    for index, state in enumerate(optimizer.state_dict()["parameters"]):
        arrays |= {f"{index}.{name}": v for name, v in state.items() if name != "steps"}

    with tempfile.TemporaryDirectory() as folder:

        def ours() -> None:
            trainer.save(Path(folder, "ours.npz"))

        def numpys() -> None:
            with Path(folder, "numpys.tmp").open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            Path(folder, "numpys.tmp").replace(Path(folder, "numpys.npz"))

        times: dict[str, list[float]] = {"ours": [], "numpys": []}
        for number in range(4 * rounds):
            for run in (ours, numpys) if number % 2 else (numpys, ours):
                start = time.perf_counter()
                run()
                times[run.__name__].append(time.perf_counter() - start)
        size = Path(folder, "ours.npz").stat().st_size
    pairs = zip(times["ours"], times["numpys"], strict=True)
    return size, statistics.median(times["ours"]), statistics.median(a / b for a, b in pairs)
