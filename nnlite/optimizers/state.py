"""What an optimizer remembers of one parameter: its step count and arrays of its shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nnlite.core.checks import check_whole
from nnlite.core.parameter import Parameter


def copied_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same in memory of its own."""
    return {name: np.copy(value) if name != "steps" else value for name, value in state.items()}


def checked_state(
    where: str, state: Mapping[str, Any], parameter: Parameter, names: Iterable[str]
) -> dict[str, Any]:
    """A copy of a saved state, when it has what the rule keeps for this parameter.

    Args:
        where: the beginning of error messages.
        state: "steps" and the arrays; before the first step there may be none.
        parameter: what the state belongs to.
        names: the rule's names of arrays.

    Raises:
        ValueError: when the step count or the arrays are others, or do not fit the parameter.
    """
    steps = check_whole(f"{where}: steps", state.get("steps"), least=0)  # type: ignore[arg-type]
    arrays = {name: np.array(value) for name, value in state.items() if name != "steps"}
    if set(arrays) != set(names) and (arrays or steps):
        raise ValueError(f"{where} needs {sorted(names)}, got {sorted(arrays)}")
    for name, array in arrays.items():
        if array.shape != parameter.shape:
            raise ValueError(
                f"{where}: {name} has shape {array.shape} instead of {parameter.shape}"
            )
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{where}: {name} does not hold numbers (dtype {array.dtype})")
    return {"steps": steps, **arrays}
