"""The moments of `fit` at which code of yours can run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from nnlite.core.construction import Constructed, check_remembered, remembered
from nnlite.core.forms import ANYTHING, Table, check_form
from nnlite.layers.base import Layer
from nnlite.training.state import Training


class Callback(Constructed):
    """Override the moments you need; each is called with the trainer, in the order given to `fit`.

    A callback reads the trainer's `model`, `optimizer`, `epoch` (whole epochs of this `fit`),
    `step` (updates in this epoch), `last_loss`, `results` and `history`, and ends the run early by
    setting `trainer.stop_training = True`. In parallel each rank has its callbacks, which must act
    alike; `trainer.rank` is 0 on the one that prints and writes.

    What it remembers between moments is part of a checkpoint: every attribute that is neither a
    constructor argument nor begins with `_` is saved, and set again, after `on_fit_begin`, when
    the run is resumed. Numbers, strings, arrays, generators, and lists, tuples and dictionaries of
    them can be saved.

    Attributes:
        required: whether a run that had it cannot be resumed without it, because it would end
            with other weights (default False).
        remembers: what a file may hold of what is remembered, as forms by name (see
            `core/forms.py`); what is not named must be of the same kind as it is now.
    """

    required: ClassVar[bool] = False
    remembers: ClassVar[Mapping[str, Any]] = {}

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Refuse, before `fit` has changed anything, what could only fail later.

        Args:
            trainer: what is about to train.
            epochs, updates: how many there will be at most; None where it is not known.

        Raises:
            ValueError: says what is wrong, and what to do.
        """

    def on_fit_begin(self, trainer: Training) -> None:
        """Before the first epoch, of a resumed run too."""

    def on_epoch_begin(self, trainer: Training) -> None:
        """Before the first batch of an epoch."""

    def on_step_end(self, trainer: Training) -> None:
        """After each update of the weights."""

    def on_wait(self, trainer: Training) -> None:
        """About ten times a second while `fit` validates or waits for `nn.data.prefetch`, and
        between the batches of a stream that a resumed run leaves out.

        Not in parallel, where no rank can end the run while it waits.
        """

    def on_validation_end(self, trainer: Training) -> None:
        """After the validation data was evaluated, with the weights that were; `results` is there.

        Not called without validation data.
        """

    def on_epoch_end(self, trainer: Training) -> None:
        """After an epoch; `trainer.history` holds its row."""

    def on_interrupt(self, trainer: Training) -> None:
        """When Ctrl-C or a time limit ends the run early, before `on_fit_end`."""

    def on_fit_end(self, trainer: Training) -> None:
        """After the last epoch, early stops and Ctrl-C included; not after an error."""

    def around_validation(self, trainer: Training) -> AbstractContextManager[None]:
        """A context in which validation and `on_validation_end` run; nothing unless overridden."""
        return nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """What has to survive in a checkpoint."""
        return {name: v for name, v in remembered(self).items() if not name.startswith("_")}

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse a state that `load_state_dict` must not take over.

        Raises:
            ValueError, TypeError: when it holds a constructor argument, a name that begins with
                `_` or is the class's, or a value of another kind than the one remembered now; or
                when it lacks what the class says it remembers.
        """
        check_form(f"{self!r}: the state", state, Table(ANYTHING))
        hidden = [name for name in state if name.startswith("_")]
        if hidden:
            raise ValueError(f"{self!r}: a state must not hold {hidden[0]!r}")
        check_remembered(self, state)
        missing = [n for n in self.state_dict() if n in self.remembers and n not in state]
        if missing:
            raise ValueError(f"{self!r}: the state has no {', '.join(missing)}")

    def check_fits(self, state: dict[str, Any], model: Layer) -> None:
        """Refuse a state, checked by itself, that is not of this model; nothing unless overridden.

        Raises:
            ValueError: says what differs.
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: when `check_state_dict` refuses it; nothing has changed then.
        """
        self.check_state_dict(state)
        vars(self).update(state)
