"""The history in a file, epoch by epoch."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnlite.core.checks import check_place, warn
from nnlite.files.atomic import PathLike, atomic_write
from nnlite.training.callbacks.base import Callback
from nnlite.training.history import History
from nnlite.training.state import Training


class Logger(Callback):
    """Write the whole history after every epoch.

    So the file is complete at every moment, and a resumed run continues it without a gap and
    without a row that is there twice.

    Args:
        path: the file, replaced by each run that is not resumed.

    Warns:
        ModelWarning: once a run, when the file cannot be written, as on a full disk.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def text(self, history: History) -> str:
        """What the file holds."""
        raise NotImplementedError

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Find a wrong path now, not after an epoch."""
        if trainer.rank == 0:
            check_place(repr(self), self.path)

    def on_fit_begin(self, trainer: Training) -> None:
        """No write has failed yet."""
        self._failed = False

    def on_epoch_end(self, trainer: Training) -> None:
        """Write the file anew, on one of several ranks; a full disk ends no run."""
        if trainer.rank:
            return
        text = self.text(trainer.history)
        try:
            with atomic_write(self.path) as file:
                file.write(text.encode())
        except OSError as error:
            if not self._failed:
                warn(
                    f"{self!r} could not write: {error.strerror or error}. The training goes on, "
                    "and after each epoch the whole history is tried again"
                )
            self._failed = True


class CSVLogger(Logger):
    """The history as comma-separated values: a header, then a row per epoch; no matrices.

    Args:
        path: the file, replaced by each run that is not resumed.
    """

    def text(self, history: History) -> str:
        """Epochs, 1 first, and the numbers, all digits."""
        names = [n for n, values in history.items() if all(isinstance(v, float) for v in values)]
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["epoch", *names])
        for epoch in range(history.epochs):
            writer.writerow([epoch + 1, *(history[name][epoch] for name in names)])
        return table.getvalue()


class JSONLogger(Logger):
    """The history as lines of JSON, one object per epoch; matrices as lists, NaN as null,
    and as text what JSON does not know.

    Args:
        path: the file, replaced by each run that is not resumed.
    """

    def text(self, history: History) -> str:
        """One line per epoch, 1 first."""
        rows = (
            {
                "epoch": epoch + 1,
                **{name: _plain(values[epoch]) for name, values in history.items()},
            }
            for epoch in range(history.epochs)
        )
        return "".join(json.dumps(row, allow_nan=False, default=str) + "\n" for row in rows)


def _plain(value: Any) -> Any:
    """In JSON's types."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
