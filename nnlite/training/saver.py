"""When a trainer's files are written: at once, or at the end of the moment that runs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nnlite.checks import check_whole
from nnlite.files.atomic import PathLike
from nnlite.training import checkpoint

if TYPE_CHECKING:
    from nnlite.training.trainer import Trainer


class Saver:
    """Writes a trainer's state to files.

    Attributes:
        requested: files to write when the moment is handled, and how many to keep of each.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.requested: dict[PathLike, int] = {}
        self._place: dict[str, Any] | None = None  # where the last fit was interrupted
        self._later = False

    def reset(self) -> None:
        """Forget the last `fit`."""
        self.requested, self._place = {}, None

    def save(self, path: PathLike, keep: int) -> None:
        """Write a file, or inside `later` take note to do so."""
        check_whole("save: keep", keep)
        if self._later:
            self.requested[path] = keep
            return
        state, place = checkpoint.capture(self.trainer), self._place
        steps = self.trainer.optimizer.steps
        if place is not None and place["optimizer"]["state"]["steps"] == steps:
            state = place  # nothing was trained since
        checkpoint.write(path, state, keep)

    @contextmanager
    def later(self) -> Iterator[None]:
        """A context in which `save` only takes note."""
        self._later = True
        try:
            yield
        finally:
            self._later = False

    def write_requested(self) -> None:
        """Write the files that were asked for in the meantime."""
        while self.requested:
            self.save(*self.requested.popitem())

    def keep_place(self) -> None:
        """Remember everything as it is now, before the end of `fit` exchanges weights."""
        self._place = copy.deepcopy(checkpoint.capture(self.trainer))
