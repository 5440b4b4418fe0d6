"""Callbacks: code that runs at fixed moments of `fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnlite.training.trainer import Trainer


class Callback:
    """Override the moments you need; each is called with the trainer, in the order given to `fit`.

    A callback reads the trainer's `model`, `optimizer`, `epoch` (whole epochs of this `fit`),
    `step` (updates in this epoch), `last_loss` and `history`, and ends the run early by setting
    `trainer.stop_training = True`.
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each update of the weights."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """After the validation data was evaluated; not called without validation data."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After an epoch; `trainer.history` holds its row."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, early stops and Ctrl-C included; not after an error."""
