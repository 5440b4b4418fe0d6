"""Runs in TensorBoard: curves, histograms, filters. `tensorboardX` writes the files."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nnlite.core.checks import warn
from nnlite.files.atomic import PathLike
from nnlite.inspection.plot.images import filter_tiles, first_filters
from nnlite.layers.structure import unwatch, watch
from nnlite.plotting.tiles import colored, mosaic
from nnlite.training.callbacks import Callback
from nnlite.training.curves import quantities
from nnlite.training.history import History
from nnlite.training.state import Training

BINS = 64  # of a histogram
PIXELS = 400  # about the width of an image: TensorBoard enlarges by blurring


class TensorBoardLogger(Callback):
    """Write a run for TensorBoard, which shows it while it goes on; needs the extra `tensorboard`.

        trainer.fit(x, y, epochs=20, callbacks=[nn.TensorBoardLogger("runs/first")])
        # in a shell: tensorboard --logdir runs

    Steps are epochs, counted from 1 as in the history. There are

    - scalars: every number of the history, under its own name (`loss`, `val_loss`, `lr`, …); the
      custom scalars show training and validation in one chart,
    - histograms: the weights at the end of an epoch, under their paths, `weights/0.weight`, and the
      gradients of the loss of the epoch's first batch, `gradients/0.weight`,
    - images: the filters of the first convolution, or of the first `Linear` that takes square
      images; the matrices of the history, rows as shares.

    A resumed run goes on where it was: what was written of later epochs, before the run was cut
    short, is hidden. So is what an earlier run has left in the folder.

    Args:
        folder: of this run alone, made if it is not there; others go beside it, so that TensorBoard
            compares them.
        every_epochs: how often histograms and images are written (default 1).

    Raises:
        ImportError: at the beginning of `fit`, without the extra.
        ValueError: then, too, when there can be no such folder.

    Warns:
        ModelWarning: once a run, when nothing can be written, as on a full disk; the training goes
            on, and scalars that are missing are written as soon as there is room.

    Other trackers need no class of their own:

        def numbers(trainer):
            return {n: v for n, v in trainer.results.items() if isinstance(v, float)}

        nn.LambdaCallback(on_epoch_end=lambda t: mlflow.log_metrics(numbers(t), step=t.epoch))
        nn.LambdaCallback(on_epoch_end=lambda t: wandb.log(numbers(t), step=t.epoch))
    """

    def __init__(self, folder: PathLike, every_epochs: int = 1) -> None:
        self.folder = folder
        self.every_epochs = every_epochs

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Find a missing extra, or a folder that cannot be, now and not after an epoch."""
        _check_extra()
        problem = _no_folder(Path(self.folder)) if trainer.rank == 0 else ""
        if problem:
            raise ValueError(f"{self!r}: {problem}")

    def on_fit_begin(self, trainer: Training) -> None:
        """Make the folder; nothing is written yet."""
        try:
            if trainer.rank == 0:
                os.makedirs(self.folder, exist_ok=True)
        except OSError as error:  # as below /proc
            raise ValueError(
                f"{self!r}: the folder cannot be made ({error.strerror or error}); name another one"
            ) from error
        self._path = ""  # of this run's file, once there is one
        self._failed = False
        self._written: int | None = None  # epochs whose scalars are in the folder
        self._gradients: dict[str, np.ndarray] = {}

    def on_epoch_begin(self, trainer: Training) -> None:
        """Listen for the gradients of the first batch."""
        if self._written is None:
            self._written = trainer.epoch
        if self._is_due(trainer.epoch + 1):
            model = trainer.model
            parameters = model.named_parameters()

            def note(grad_output: Any, d_x: Any) -> None:
                self._gradients = {path: p.grad.copy() for path, p in parameters.items()}
                if trainer.ranks is not None:  # each has those of its rows
                    for grad in self._gradients.values():
                        trainer.ranks.sum(grad)
                unwatch(model)

            watch(model, after_backward=note)

    def on_epoch_end(self, trainer: Training) -> None:
        """Write the epoch, and those before that could not be written; on one of several ranks."""
        epoch = trainer.epoch
        if trainer.rank:
            return
        if self._written is None:  # resumed inside an epoch
            self._written = epoch - 1
        records = [] if self._path else list(_beginning(self._written + 1, trainer.history))
        for earlier in range(self._written + 1, epoch + 1):
            records += [
                _record(step=earlier, summary=s) for s in _scalars(trainer.history, earlier)
            ]
        if self._is_due(epoch):
            records += [_record(step=epoch, summary=s) for s in self._looks(trainer)]
        try:
            self._append(b"".join(records))
            self._written = epoch
        except OSError as error:
            if not self._failed:
                warn(
                    f"{self!r} could not write: {error.strerror or error}. The training goes on, "
                    "and after each epoch the scalars that are missing are tried again"
                )
            self._failed = True

    def _append(self, records: bytes) -> None:
        """Add whole records to the run's file, or nothing."""
        path = self._path
        if not path:
            now = time.time_ns()
            name = f"events.out.tfevents.{now // 10**9}.{socket.gethostname()}.{now % 10**9:09}"
            path = os.path.join(os.fspath(self.folder), name)
        with open(path, "ab", buffering=0) as file:
            size = file.tell()
            if file.write(records) < len(records):  # of a full disk the last bytes
                file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        self._path = path

    def _is_due(self, epoch: int) -> bool:
        return (epoch - 1) % self.every_epochs == 0

    def _looks(self, trainer: Training) -> Iterator[Any]:
        """Histograms and images of this epoch."""
        model = trainer.model
        weights = {path: p.data for path, p in model.named_parameters().items()}
        for kind, arrays in (("weights", weights), ("gradients", self._gradients)):
            for path, values in arrays.items():
                finite = values[np.isfinite(values)]
                if finite.size:
                    yield _summaries().histogram(f"{kind}/{path}", finite, BINS)
        try:
            tiles, columns = filter_tiles(first_filters(model))
        except ValueError:  # none, or no images
            pass
        else:
            yield _image("filters", mosaic(tiles, columns))
        for name, column in trainer.history.items():
            matrix = column[-1]
            if isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.size:
                sums = matrix.sum(axis=1, keepdims=True)
                yield _image(name, matrix / np.where(sums == 0, 1, sums))


def _check_extra() -> None:
    """Refuse to begin without what writes.

    Raises:
        ImportError: says how to get it.
    """
    try:
        import_module("tensorboardX")
        import_module("PIL")
    except ImportError as error:
        raise ImportError(
            'TensorBoardLogger needs an extra: python -m pip install "nnlite[tensorboard]"'
        ) from error


def _no_folder(folder: Path) -> str:
    """Why there can be no such folder, or none to write to; empty where there can."""
    above = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not above.is_dir():
        return f"{above} is no folder; name another one"
    if not os.access(above, os.W_OK | os.X_OK):
        return f"you may not write into the folder {above}; name another one"
    return ""


def _beginning(first: int, history: History) -> Iterator[bytes]:
    """What hides all that was written before of the epoch `first` and later ones; the charts."""
    yield _record(file_version="brain.Event:2")
    log = _events().SessionLog
    yield _record(step=first, session_log=log(status=log.START))
    pairs = [name for name in quantities(history) if {name, f"val_{name}"} <= history.keys()]
    charts = {name: ["Multiline", [f"^(val_)?{name}$"]] for name in pairs}  # of tags that match
    if pairs:
        yield _record(summary=_summaries().custom_scalars({"curves": charts}))


def _record(**fields: Any) -> bytes:
    """An event as it stands in a file: its length and its bytes, with a checksum behind each."""
    checksum = import_module("tensorboardX.record_writer").masked_crc32c
    data = _events().Event(wall_time=time.time(), **fields).SerializeToString()
    size = struct.pack("<Q", len(data))
    return b"".join(
        part for each in (size, data) for part in (each, struct.pack("<I", checksum(each)))
    )


def _scalars(history: History, epoch: int) -> Iterator[Any]:
    """The numbers of one epoch, counted from 1."""
    for name, values in history.items():
        if isinstance(values[epoch - 1], float):
            yield _summaries().scalar(name, values[epoch - 1])


def _image(name: str, image: np.ndarray) -> Any:
    """An image of values, enlarged so that its pixels can be seen."""
    times = max(PIXELS // max(image.shape[:2]), 1)
    pixels = colored(image).repeat(times, axis=0).repeat(times, axis=1)
    return _summaries().image(name, pixels, dataformats="HWC")


def _events() -> Any:
    """The records of a file."""
    return import_module("tensorboardX.proto.event_pb2")


def _summaries() -> Any:
    """What makes records of values."""
    return import_module("tensorboardX.summary")
