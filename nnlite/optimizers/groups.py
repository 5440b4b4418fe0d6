"""What optimizers are given to train: parameters, in groups with options of their own.

Some options may be schedules: `options_now` has the numbers they are at one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nnlite.core.kinds import NOT_NEGATIVE, PART, REFUSED, Number, shown
from nnlite.core.parameter import Parameter

Schedule = Callable[[int], float]
Options = Mapping[str, Any]
Group = Options

# The options that may be schedules, and what these may return; lr may be 0 for a while.
SCHEDULED = {
    "lr": Number(NOT_NEGATIVE),
    "weight_decay": Number(NOT_NEGATIVE),
    "momentum": Number(PART),
}


def as_groups(optimizer: str, parameters: Any, defaults: Options) -> list[dict[str, Any]]:
    """Groups with all their options; a plain list of parameters is one group.

    Args:
        optimizer: its name, for errors.
        parameters: as the optimizer was given them.
        defaults: the options of a group that does not set them.
    """
    items = _listed(f"{optimizer}: parameters", parameters)
    if not items or not all(isinstance(item, Mapping) for item in items):
        items = [{"params": items}]
    return [_group(optimizer, item, defaults) for item in items]


def _group(optimizer: str, given: Group, defaults: Options) -> dict[str, Any]:
    known = ["params", *defaults]
    for name in given:
        if name not in known:
            from difflib import get_close_matches  # here: it takes 3 ms, and errors are rare

            close = get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there are {known}"
            raise ValueError(f"{optimizer}: a group has no option {name!r}{hint}")
    if "params" not in given:
        raise ValueError(f'{optimizer}: a group needs "params", got {sorted(given)}')
    params = _listed(f'{optimizer}: a group\'s "params"', given["params"])
    return {**defaults, **given, "params": params}


def _listed(name: str, values: Any) -> list[Any]:
    """What is there to walk through, as a list.

    Raises:
        TypeError: for anything else; says how to get the list that was meant.
    """
    single = isinstance(values, Parameter)
    model = hasattr(values, "parameters")  # a Sequential's items would be its layers
    no_list = single or model or isinstance(values, np.ndarray | Mapping | type)
    if isinstance(values, Iterable) and not no_list:
        return list(values)
    if single or (isinstance(values, Mapping) and "params" in values):
        hint = "; wrap it in [ ]"
    elif model:
        hint = "; pass its parameters: model.parameters()"
    elif isinstance(values, Mapping):  # named_parameters(), or a state_dict
        hint = "; pass model.parameters()"
    else:
        hint = "; add ()" if callable(values) else ""
    raise TypeError(f"{name} must be a list of Parameters, got {shown(values)}{hint}")


def members_of(
    optimizer: str, groups: list[dict[str, Any]]
) -> list[tuple[Parameter, dict[str, Any]]]:
    """Each parameter with its group.

    Raises:
        TypeError: for what is no `Parameter`, or one of integers.
        ValueError: when there is none, or one twice.
    """
    members = [(p, group) for group in groups for p in group["params"]]
    for parameter, _ in members:
        if not isinstance(parameter, Parameter):
            raise TypeError(
                f"{optimizer}: expected Parameters, got {type(parameter).__name__}; "
                "pass model.parameters()"
            )
        if parameter.dtype.kind != "f":
            raise TypeError(f"{optimizer}: cannot train integers, got {parameter!r}")
    if not members:
        raise ValueError(f"{optimizer}: there are no parameters to train")
    if len({id(p) for p, _ in members}) < len(members):
        raise ValueError(f"{optimizer}: the same parameter is there twice")
    return members


def options_now(optimizer: str, group: Options, step: int, lr_scale: float) -> Options:
    """The group's options as numbers: what its schedules say for this step.

    Raises:
        ValueError: when a schedule gives what its option does not allow.
    """
    options = {**group}
    for name in SCHEDULED:
        if callable(options.get(name)):
            options[name] = _scheduled(optimizer, name, options[name], step)
    options["lr"] *= lr_scale
    return options


def _scheduled(optimizer: str, name: str, schedule: Schedule, step: int) -> float:
    kind = SCHEDULED[name]
    try:
        value = schedule(step)
    except OverflowError:  # of one that grows and grows
        value = float("inf")
    if (taken := kind.take(value)) is REFUSED:
        raise kind.refusal(f"{optimizer}: {name} schedule at step {step}", value)
    return float(taken)
