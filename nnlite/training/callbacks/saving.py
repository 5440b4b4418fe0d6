"""Checkpoints while the training goes on."""

from __future__ import annotations

from typing import Any

from nnlite.core.checks import check_place, warn
from nnlite.files.atomic import PathLike, no_place_before
from nnlite.training.callbacks.monitor import Mode, Monitor
from nnlite.training.state import Training


class Checkpoint(Monitor):
    """Save the whole training to a file, from which `fit(..., resume="auto")` continues it.

    It only asks for a save: the trainer writes the file when every callback has handled the
    moment. The file is replaced as a whole, so there is a complete one at every moment. A run that
    Ctrl-C or a time limit ends is saved as well, at the step where it ended. When a file cannot be
    written, as on a full disk, the last one stays, a `ModelWarning` says so, and the run goes on.

    Args:
        path: the file, such as "run.npz".
        every_steps: save whenever so many updates more are done (default None).
        every_epochs: save after so many epochs (default None: after every epoch, unless
            `every_steps` is given).
        best_only: save only when `monitor` has improved (default False).
        keep: how many files to keep: the newest has the path's own name, older ones are
            "run.1.npz", "run.2.npz", … (default 1).
        monitor: for `best_only`, what to watch (default "val_loss").
        mode: "min", "max" or "auto" (default "auto": by the metric).
    """

    def __init__(
        self,
        path: PathLike,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        best_only: bool = False,
        keep: int = 1,
        monitor: str = "val_loss",
        mode: Mode = "auto",
    ) -> None:
        super().__init__(monitor, mode, min_delta=0.0)
        if every_steps is not None and (every_epochs is not None or best_only):
            raise ValueError(
                "Checkpoint: every_steps goes with neither every_epochs nor best_only, which "
                "look at the ends of epochs"
            )
        self.path = path
        self.every_steps = every_steps
        self.every_epochs = every_epochs
        self.best_only = best_only
        self.keep = keep

    @property
    def watches(self) -> bool:
        """Only to save the best."""
        return self.best_only

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Find a wrong path now, not after an hour; and a run too short for a file."""
        if trainer.rank == 0:
            check_place(repr(self), self.path)
            problem = no_place_before(self.path, self.keep)
            if problem:
                raise ValueError(f"{self!r}: {problem}")
        if updates is None:
            return
        every, before, after = self.every_epochs or 1, 0, epochs
        if self.every_steps is not None:
            before = trainer.optimizer.steps
            every, after = self.every_steps, before + updates
        if before // every == after // every:
            warn(
                f"{self!r} will save nothing unless the run is interrupted: it is over after "
                f"{epochs} epochs, which are {updates} updates"
            )

    def on_step_end(self, trainer: Training) -> None:
        """Ask, every so many updates."""
        if self.every_steps is not None and trainer.optimizer.steps % self.every_steps == 0:
            trainer.save(self.path, self.keep)

    def on_epoch_end(self, trainer: Training) -> None:
        """Ask, every so many epochs."""
        due = self.every_steps is None and trainer.epoch % (self.every_epochs or 1) == 0
        if due and (not self.best_only or self._improved(trainer)):
            trainer.save(self.path, self.keep)

    def on_interrupt(self, trainer: Training) -> None:
        """Ask for the place where the run was interrupted."""
        if not self.best_only:
            trainer.save(self.path, self.keep)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, when it is needed."""
        return {"best": self.best} if self.best_only else {}

    def _improved(self, trainer: Training) -> bool:
        value = self.measured(trainer)
        improved = self.better(trainer, value, self.best)
        if improved:
            self.best = value
        return improved
