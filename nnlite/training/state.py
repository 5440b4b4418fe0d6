"""All that a run of `fit` is, beside what it trains: this is what resuming resumes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from nnlite.core.forms import ANYTHING, COUNT, PLAIN, REAL, STRING, Maybe, Plain, Table, check_form
from nnlite.core.kinds import (
    EXACT,
    PART,
    SHOWN,
    Either,
    Flag,
    Nothing,
    Number,
    Range,
    Whole,
    at_least,
    printable,
)
from nnlite.core.ranks import Ranks
from nnlite.files.atomic import PathLike
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalty
from nnlite.metrics import Metric
from nnlite.optimizers.base import Optimizer
from nnlite.training.history import History
from nnlite.training.measures import Measures

# What a file holds of a run: in its section "trainer", and since the last call of `fit` in "call".
GENERATOR = ANYTHING  # each is compared with the one that will take its state
SETTINGS = {
    "rows": Either([Whole(Range(1, EXACT)), Nothing()]),
    "batch_size": Whole(at_least(1)),
    "validation_split": Number(PART),
    "shuffle": Flag(),
    "drop_last": Flag(),
    "accumulate": Whole(at_least(1)),
}
TRAINER = {
    "seed": Whole(Range(0, math.inf)),
    "epoch": COUNT,
    "step": COUNT,
    "last_loss": REAL,
    "stop_training": Flag(),
    "history": Table([Plain(arrays=True)]),
    "order_hash": STRING,
    "rng": GENERATOR,
    "measures": ANYTHING,  # see Measures
}
CALL = {
    "settings": SETTINGS,
    "setup": Maybe(Table(PLAIN)),  # older files have none
    "rng_begin": GENERATOR,
    "rng_epoch": GENERATOR,
    "begun": Flag(),
    "finished": Flag(),
    "required": [STRING],
    "callbacks": Table(Table(ANYTHING)),  # see Callback
}
KEPT = ("seed", "epoch", "step", "last_loss", "stop_training", "order_hash")


@dataclass
class RunState:
    """One run: what was asked for, how far it has come, and what it has recorded.

    Attributes:
        seed: of `nn.seed`, when the trainer was made.
        settings: what decides which rows are in which batch; a resumed run must have the same.
            None before the first `fit`.
        setup: the `description` of the script at the run's beginning: callbacks may change lr.
        rng_begin: the state of the trainer's generator before it drew the validation split.
        rng_epoch: the same before it drew this epoch's order.
        epoch: whole epochs so far.
        step: updates in the epoch that runs, or ran last.
        under_way: whether an epoch is under way: its order is drawn and `on_epoch_begin` was
            handled.
        finished: whether `on_fit_end` was handled, and not because of an interruption.
        last_loss: of the last batch.
        results: what the last epoch measured, from validation on; as in the history.
        history: one row per epoch.
        order_hash: of the order of all rows so far, earlier runs' too.
        stop_training: set True by a callback to end the run after the step in hand.
        interrupted: the same for an end from outside (Ctrl-C, a time limit).
        best_restored: whether a callback has ended the run with the best weights.
        callback_states: what a file says that callbacks remember, until they are there.
        required: the callbacks without which a run from a file must not go on.
        resumed: whether it comes from a file and has not gone on yet.
    """

    seed: int
    settings: dict[str, Any] | None = None
    setup: dict[str, Any] = field(default_factory=dict)
    rng_begin: Mapping[str, Any] = field(default_factory=dict)
    rng_epoch: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    step: int = 0
    under_way: bool = False
    finished: bool = False
    last_loss: float = math.nan
    results: dict[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    order_hash: str = ""
    stop_training: bool = False
    interrupted: bool = False
    best_restored: bool = False
    callback_states: dict[str, dict[str, Any]] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    resumed: bool = False

    def following(
        self, settings: dict[str, Any], setup: dict[str, Any], rng: Mapping[str, Any]
    ) -> RunState:
        """The next run of the same trainer, whose generator is in the state `rng`."""
        return RunState(
            self.seed,
            settings,
            setup,
            rng_begin=rng,
            rng_epoch=rng,
            order_hash=self.order_hash,
            last_loss=self.last_loss,
            step=self.step,
        )

    def take_order(self, order: np.ndarray | None, rows: int | None) -> None:
        """Add an epoch's order to the hash of all of them."""
        digest = hashlib.sha256(self.order_hash.encode())
        digest.update(str(rows).encode())
        if order is not None:
            digest.update(order.data)
        self.order_hash = digest.hexdigest()

    # -- to and from a file ----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Its sections "trainer" and "call" of a file."""
        trainer = {name: getattr(self, name) for name in KEPT}
        trainer["history"] = self.history.to_dict()
        if self.settings is None:
            return {"trainer": trainer, "call": None}
        call = {
            "settings": self.settings,
            "setup": self.setup,
            "rng_begin": self.rng_begin,
            "rng_epoch": self.rng_epoch,
            "begun": self.under_way,
            "finished": self.finished,
            "required": self.required,
            "callbacks": self.callback_states,
        }
        return {"trainer": trainer, "call": call}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """A run that waits to be continued.

        Raises:
            ValueError, TypeError: when it is not what `state_dict` returned.
        """
        trainer, call = state["trainer"], state["call"]
        check_form("trainer", trainer, TRAINER)
        history = History(trainer["history"])
        if {history.epochs, *map(len, history.values())} != {trainer["epoch"]}:
            raise ValueError(
                f"trainer: after {trainer['epoch']} epochs there must be as many rows of history"
            )
        kept = {name: trainer[name] for name in KEPT}
        if call is None:
            return cls(**kept, history=history)
        check_form("call", call, CALL)
        return cls(
            **kept,
            history=history,
            settings=dict(call["settings"]),
            setup=dict(call.get("setup", {})),
            rng_begin=call["rng_begin"],
            rng_epoch=call["rng_epoch"],
            under_way=call["begun"],
            finished=call["finished"],
            required=list(call["required"]),
            callback_states={name: dict(own) for name, own in call["callbacks"].items()},
            resumed=True,
        )

    def check_repeats(self, settings: dict[str, Any], callbacks: Mapping[str, Any]) -> None:
        """Refuse to continue with something else than what was saved.

        Args:
            settings: this call's.
            callbacks: this call's, by name.

        Raises:
            ValueError: for other settings, or when a required callback is missing.
        """
        for name, value in (self.settings or {}).items():
            if settings.get(name) != value:
                raise ValueError(
                    f"fit: the saved run had {name}={value}, so it cannot go on with "
                    f"{settings.get(name)}; repeat the saved call's arguments"
                )
        missing = [name for name in self.required if name not in callbacks]
        if missing:
            raise ValueError(
                "fit: the saved run had callbacks that are missing here: "
                f"{printable(', '.join(missing), SHOWN)}"
            )

    def check_place(self, steps: int) -> None:
        """Refuse to continue behind the end of an epoch.

        Args:
            steps: how many updates an epoch has; 0 where that is not known.

        Raises:
            ValueError: when the saved run was further in its epoch.
        """
        if self.resumed and self.under_way and steps and self.step > steps:
            raise ValueError(
                f"fit: the saved run was at step {self.step} of its epoch, which has {steps}; the "
                "file is damaged, take an older copy"
            )


class Training(Protocol):
    """The trainer as those see it that it calls: callbacks, checkpoints, the test of rates."""

    model: Layer
    loss: Loss
    optimizer: Optimizer
    metrics: Sequence[Metric]
    penalties: Sequence[Penalty]
    measures: Measures
    rng: np.random.Generator
    run: RunState
    epoch: int
    step: int
    last_loss: float
    results: dict[str, Any]
    history: History
    stop_training: bool
    interrupted: bool
    best_restored: bool
    ranks: Ranks | None

    @property
    def validated(self) -> bool:
        """Whether the last epoch had validation data."""

    @property
    def rank(self) -> int:
        """The number of this process among those that train together; only 0 writes."""

    def save(self, path: PathLike, keep: int = 1) -> None:
        """Write everything to a file; in a callback, when the moment is over."""

    def write(self, path: PathLike, keep: int) -> None:
        """Write everything to a file, now."""

    def agree(self, saves: bool, alike: bool) -> None:
        """In parallel, let all ranks know what the callbacks of each have asked for."""

    def callback_states(self) -> dict[str, dict[str, Any]]:
        """What the callbacks of the run remember, by name."""
