"""The options of a group of parameters, as the numbers they are at one step."""

from __future__ import annotations

from nnlite.core.kinds import NOT_NEGATIVE, PART, REFUSED, Number
from nnlite.optimizers.groups import Options

# The options that may be schedules, and what these may return; lr may be 0 for a while.
SCHEDULED = {
    "lr": Number(NOT_NEGATIVE),
    "weight_decay": Number(NOT_NEGATIVE),
    "momentum": Number(PART),
}


def options_now(optimizer: str, group: Options, step: int, lr_scale: float) -> Options:
    """The group's options as numbers: what its schedules say for this step.

    Raises:
        ValueError: when a schedule gives what its option does not allow.
    """
    options = {**group}
    for name, kind in SCHEDULED.items():
        schedule = options.get(name)
        if not callable(schedule):
            continue
        try:
            value = schedule(step)
        except OverflowError:  # of one that grows and grows
            value = float("inf")
        if (taken := kind.take(value)) is REFUSED:
            raise kind.refusal(f"{optimizer}: {name} schedule at step {step}", value)
        options[name] = float(taken)
    options["lr"] *= lr_scale
    return options
