"""The whole state of a training run, to and from a file.

A run that was resumed from it is bit for bit the one that was not interrupted: it holds the model
(parameters, buffers, every generator), the optimizer's state and options, the trainer's generator,
measures and history, the state of every callback, and the place inside the epoch.
"""

from __future__ import annotations

import os
from typing import Any

from nnlite.core.forms import ANYTHING, REAL, STRING, Real, Table, check_form
from nnlite.core.kinds import Either, Flag, Nothing
from nnlite.files import archive
from nnlite.files.archive import CheckpointError
from nnlite.files.atomic import PathLike
from nnlite.files.model import (
    MODEL,
    check_generator,
    check_model_state,
    model_state,
    restore_model_state,
)
from nnlite.files.tree import encode
from nnlite.layers.base import completed
from nnlite.optimizers.base import Optimizer
from nnlite.training.state import RunState, Training

KIND = "checkpoint"
CHECKPOINT = {
    "model": MODEL,
    "optimizer": {
        "class": STRING,
        "state": ANYTHING,  # see Optimizer
        "groups": [Table(Either([REAL, Flag()]))],
        "current_lr": Real(0),
        "grad_norm": Either([Real(0), Nothing()]),
    },
    "trainer": ANYTHING,  # see RunState
    "call": ANYTHING,
}


def capture(trainer: Training) -> dict[str, Any]:
    """Everything, with the model's own arrays, not copies."""
    run = trainer.run.state_dict()
    run["trainer"] |= {
        "rng": trainer.rng.bit_generator.state,
        "measures": trainer.measures.state_dict(),
    }
    if run["call"] is not None:
        run["call"]["callbacks"] = trainer.callback_states()
    return {
        "model": model_state(trainer.model),
        "optimizer": _optimizer_state(trainer.optimizer),
        **run,
    }


def check_savable(trainer: Training) -> None:
    """Refuse callbacks and metrics that remember what no file can hold.

    Raises:
        TypeError: names the callback or the metric, its attribute, and what to do.
    """
    metrics = {metric.name: metric.state_dict() for metric in trainer.metrics}
    for kind, states in (("callback", trainer.callback_states()), ("metric", metrics)):
        for owner, state in states.items():
            for name, value in state.items():
                try:
                    encode(value, name, {})
                except (TypeError, RecursionError) as error:
                    what = error if isinstance(error, TypeError) else f"{name}: it holds itself"
                    raise TypeError(
                        f"the {kind} {owner} cannot be saved: {what}; call it _{name} to leave it "
                        "out of checkpoints, or keep numbers, strings, arrays, generators, or "
                        "lists, tuples and dictionaries of them"
                    ) from error


def write(path: PathLike, state: dict[str, Any], keep: int) -> None:
    """Put a state into a file, and keep the ones before under other names."""
    archive.write(path, KIND, state, keep)


def read(path: PathLike, trainer: Training) -> dict[str, Any]:
    """The state in a file, when it fits the trainer; the trainer is not touched.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when the file is damaged, or of other models, optimizers or metrics.
    """
    state = archive.read(path, KIND)
    try:
        _check(trainer, state)
    except Exception as error:
        raise CheckpointError(
            f"{os.fspath(path)} does not fit this trainer: {archive.reason(error)}"
        ) from error
    return state


def _check(trainer: Training, state: dict[str, Any]) -> None:
    """Look at all that `restore` will use, so that it cannot fail halfway."""
    check_form("checkpoint", state, CHECKPOINT)
    _complete(trainer, state)
    check_model_state(trainer.model, state["model"])
    _check_optimizer(trainer.optimizer, state["optimizer"])
    run = RunState.from_state(state)
    for rng in (state["trainer"]["rng"], *([run.rng_begin, run.rng_epoch] if run.settings else [])):
        check_generator(trainer.rng, rng)
    measures = state["trainer"]["measures"]
    trainer.measures.check_state_dict(measures)
    unknown = measures.get("parts", {}).keys() - trainer.loss.parts.keys()
    if unknown:
        raise ValueError(f"it holds the sums of losses {sorted(unknown)}, which this loss has not")


def _complete(trainer: Training, state: dict[str, Any]) -> None:
    """Put what is younger than the file into the state: zeros, which were never updated."""
    model, own = state["model"], trainer.model.named_parameters()
    check_form("the model", model, MODEL)
    given, model["arrays"] = model["arrays"], completed(trainer.model, model["arrays"])
    young = {id(own[path]) for path in model["arrays"].keys() - given.keys()}
    members = [p for group in trainer.optimizer.groups for p in group["params"]]
    optimizer = state["optimizer"]["state"]
    new = sum(id(p) in young for p in members)
    if new and len(optimizer["parameters"]) == len(members) - new:
        kept = iter(optimizer["parameters"])
        optimizer["parameters"] = [{"steps": 0} if id(p) in young else next(kept) for p in members]


def restore(trainer: Training, state: dict[str, Any]) -> None:
    """Put a checked state into the trainer and what it trains."""
    restore_trained(trainer, state)
    trainer.measures.load_state_dict(state["trainer"]["measures"])
    trainer.run = RunState.from_state(state)


def restore_trained(trainer: Training, state: dict[str, Any]) -> None:
    """Put the model, the optimizer and the trainer's generator of a checked state into these."""
    restore_model_state(trainer.model, state["model"])
    _restore_optimizer(trainer.optimizer, state["optimizer"])
    trainer.rng.bit_generator.state = state["trainer"]["rng"]


def _optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """State, and the options that are plain values: a callback may have changed them."""
    groups = [
        {name: value for name, value in group.items() if isinstance(value, bool | float | int)}
        for group in optimizer.groups
    ]
    return {
        "class": type(optimizer).__name__,
        "state": optimizer.live_state(),
        "groups": groups,
        "current_lr": optimizer.current_lr,
        "grad_norm": optimizer.grad_norm,
    }


def _check_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    kind = type(optimizer).__name__
    if state["class"] != kind:
        raise ValueError(f"it holds the state of {state['class']}, not of {kind}")
    if len(state["groups"]) != len(optimizer.groups):
        raise ValueError(f"{len(state['groups'])} groups of options for {len(optimizer.groups)}")
    for group, options in zip(optimizer.groups, state["groups"], strict=True):
        optimizer.checked_options(group, options)
    optimizer.check_state_dict(state["state"])


def _restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    optimizer.load_state_dict(state["state"])
    for group, options in zip(optimizer.groups, state["groups"], strict=True):
        group.update(optimizer.checked_options(group, options))
    optimizer.current_lr, optimizer.grad_norm = state["current_lr"], state["grad_norm"]
