"""The layouts of the arrays of one pass through time."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.padded import Padded
from nnlite.ops.recurrence import States


def level_of(states: States, level: int) -> States:
    """One layer's part of the states of a stack, (1, N, H) of (num_layers, N, H)."""
    return tuple(each[level : level + 1] for each in states)


def apart(label: str, grad_output: Any, with_state: bool) -> tuple[Any, Any]:
    """(dL/dy, dL/dstate) of what backward was given; the second is None without a state."""
    if not with_state:
        return grad_output, None
    if not isinstance(grad_output, tuple) or len(grad_output) != 2:
        raise TypeError(
            f"{label}: with return_state, backward expected (dL/dy, dL/dstate or None), "
            f"got {type(grad_output).__name__}"
        )
    return grad_output


def padding_of(x: np.ndarray | Padded) -> np.ndarray | None:
    """(T, N), True beyond each sequence's end; None when there is no such place."""
    if not isinstance(x, Padded) or (x.lengths == x.shape[1]).all():
        return None
    return np.ascontiguousarray(~x.mask.T)
