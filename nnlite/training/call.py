"""One call of `fit`: what was asked for, and how far it has come. This is what resuming resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from nnlite.training.callbacks import Callback
from nnlite.training.callbacks.base import blamed


@dataclass
class Call:
    """One call of `fit`.

    Attributes:
        settings: what decides which rows are in which batch; a resumed call must have the same.
        rng_begin: the trainer's generator before it drew the validation split.
        rng_epoch: the same before it drew this epoch's order.
        begun: whether an epoch is under way: its order is drawn and `on_epoch_begin` was handled.
        finished: whether `on_fit_end` was handled, and not because of an interruption.
        callbacks: those of the call.
        states: for callbacks that are not there yet, what a file says they remember.
        required: those of them without which the call must not go on.
        resumed: whether it comes from a file and has not gone on yet.
    """

    settings: dict[str, Any]
    rng_begin: Mapping[str, Any]
    rng_epoch: Mapping[str, Any]
    begun: bool = False
    finished: bool = False
    callbacks: Sequence[Callback] = ()
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    resumed: bool = False

    def state_dict(self) -> dict[str, Any]:
        """All of it for a file."""
        states = dict(self.states)
        for name, callback in named(self.callbacks).items():
            with blamed(callback, "state_dict"):
                states[name] = callback.state_dict()
        return {
            "settings": self.settings,
            "rng_begin": self.rng_begin,
            "rng_epoch": self.rng_epoch,
            "begun": self.begun,
            "finished": self.finished,
            "required": self.required
            or [name for name, callback in named(self.callbacks).items() if callback.required],
            "callbacks": {name: state for name, state in states.items() if state},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """A call that waits to be continued.

        Raises:
            KeyError, TypeError: when it is not what `state_dict` returned.
        """
        begun, finished = bool(state["begun"]), bool(state["finished"])
        return cls(
            dict(state["settings"]),
            state["rng_begin"],
            state["rng_epoch"],
            begun,
            finished,
            required=list(state["required"]),
            states={name: dict(own) for name, own in state["callbacks"].items()},
            resumed=True,
        )

    def check(self, settings: dict[str, Any], callbacks: Sequence[Callback]) -> None:
        """Refuse to continue with something else than what was saved.

        Raises:
            ValueError: for other settings, or when a required callback is missing.
        """
        for name, value in self.settings.items():
            if settings.get(name) != value:
                raise ValueError(
                    f"fit: the saved run had {name}={value}, so it cannot go on with "
                    f"{settings.get(name)}; repeat the saved call's arguments"
                )
        there = named(callbacks)
        missing = [name for name in self.required if name not in there]
        if missing:
            raise ValueError(
                f"fit: the saved run had callbacks that are missing here: {', '.join(missing)}"
            )

    def take_over(self) -> None:
        """Give the callbacks what they remember."""
        for name, callback in named(self.callbacks).items():
            if name in self.states:
                with blamed(callback, "load_state_dict"):
                    callback.load_state_dict(self.states.pop(name))
        self.states, self.required = {}, []


def named(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by class name, and number where there are several of a class."""
    names: dict[str, Callback] = {}
    for callback in callbacks:
        kind = type(callback).__name__
        number = sum(type(other).__name__ == kind for other in names.values())
        names[f"{kind} {number + 1}" if number else kind] = callback
    return names
