"""One pass through time, and the layouts of its arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nnlite.core.padded import Padded

States = tuple[np.ndarray, ...]


class Run(NamedTuple):
    """One pass through time: what the steps write and backward reads."""

    x: np.ndarray  # (N, T, D)
    gates: np.ndarray  # (T, gates, H, N): before `step` W_ih x_t + b, afterwards the gates
    states: States  # each (T + 1, H, N), the initial one first
    kept: np.ndarray  # (T, H, N): one more value that a cell needs; (T, 0, N) for a cell without
    padding: np.ndarray | None  # (T, N), True beyond the end; None when all sequences fill T


def side_by_side(steps: np.ndarray) -> np.ndarray:
    """(T, H, N) as (H, T·N)."""
    return steps.transpose(1, 0, 2).reshape(steps.shape[1], -1)


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
