"""The options of a group of parameters: their ranges, and the numbers they are at one step."""

from __future__ import annotations

import math

from nnlite.checks import in_range
from nnlite.optimizers.groups import Options

# Options that must be ≥ 0 and below a limit, wherever a rule has them.
RANGES = {
    "weight_decay": (math.inf, "a number ≥ 0"),
    "eps": (math.inf, "a number ≥ 0"),
    "momentum": (1, "a number in [0, 1)"),
}
SCHEDULED = ("weight_decay", "momentum")  # may be a schedule, as lr may


def require(optimizer: str, name: str, value: object, ok: bool, wanted: str) -> None:
    """Raise a ValueError that names the option, unless `ok`."""
    if not ok:
        raise ValueError(f"{optimizer}: {name} must be {wanted}, got {value!r}")


def check_common(optimizer: str, options: Options) -> None:
    """Refuse the options that several rules have, when they are out of range."""
    lr = options["lr"]
    if not callable(lr):
        wanted = "a number > 0 or a function of the step"
        require(optimizer, "lr", lr, in_range(lr) and lr > 0, wanted)
    for name, (below, wanted) in RANGES.items():
        value = options.get(name, 0)
        if not (callable(value) and name in SCHEDULED):
            require(optimizer, name, value, in_range(value, 0, below), wanted)
    if "betas" in options:
        betas = options["betas"]
        pair = isinstance(betas, tuple | list) and len(betas) == 2
        ok = pair and all(in_range(beta, 0, 1) for beta in betas)
        require(optimizer, "betas", betas, ok, "two numbers, each in [0, 1)")


def options_now(optimizer: str, group: Options, step: int, lr_scale: float) -> Options:
    """The group's options as numbers: what its schedules say for this step.

    Raises:
        ValueError: when a schedule gives what its option does not allow.
    """
    lr = group["lr"]
    if callable(lr):
        lr = lr(step)
        require(optimizer, f"lr schedule at step {step}", lr, in_range(lr), "a number ≥ 0")
    options = {**group, "lr": float(lr) * lr_scale}
    for name in SCHEDULED:
        if callable(options.get(name)):
            value, (below, wanted) = options[name](step), RANGES[name]
            where = f"{name} schedule at step {step}"
            require(optimizer, where, value, in_range(value, 0, below), wanted)
            options[name] = float(value)
    return options
