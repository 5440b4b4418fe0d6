"""The loop over time of recurrent layers, there and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from nnlite.ops.engine import twin

States = tuple[np.ndarray, ...]


class Run(NamedTuple):
    """One pass through time: what the steps write and backward reads."""

    x: np.ndarray  # (N, T, D)
    gates: np.ndarray  # (T, gates, H, N): before `step` W_ih x_t + b, afterwards the gates
    states: States  # each (T + 1, H, N), the initial one first; other sizes by `state_sizes`
    kept: np.ndarray  # (T, H, N): one more value that a cell needs; (T, 0, N) for a cell without
    padding: np.ndarray | None  # (T, N), True beyond the end; None when all sequences fill T


class Cell(Protocol):
    """One step of each direction, as a recurrent layer has them (see `layers/sequences`)."""

    gate_scales: ClassVar[tuple[float, ...]]
    keeps_more: ClassVar[bool]

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The features of each state."""

    def step(self, t: int, run: Run, weight: np.ndarray) -> None:
        """From states[t] and gates[t] to states[t + 1], and the gates' values into gates[t]."""

    def backward_step(self, t: int, d_states: States, run: Run) -> tuple[States, np.ndarray]:
        """From the gradient of the states after step t to that of the states before it, and A_t."""


@twin
def steps(
    cell: Cell,
    x: np.ndarray,
    start: Sequence[np.ndarray | float],
    padding: np.ndarray | None,
    weight_ih: np.ndarray,
    bias: np.ndarray | None,
    weight_hh: np.ndarray,
) -> Run:
    """s_t = cell(s_{t−1}, W_ih x_t + b), t = 1 … T; a sequence that has ended keeps its state.

    The inputs' share of all steps is one product, before the loop. What belongs to a gate is
    multiplied by its scale, −1 for σ(a) = 1 / (1 + e⁻ᵃ).

    Args:
        cell: with the step that is taken.
        x: (N, T, D).
        start: the initial states, each (H, N), or a number.
        padding: (T, N), True beyond the end; None when all sequences fill T.
        weight_ih: (D, gates·H).
        bias: (gates·H,), or None.
        weight_hh: (H, gates·H), or as high as the first state.
    """
    (count, length, _), dtype = x.shape, np.result_type(x, weight_ih)
    hidden = weight_hh.shape[1] // len(cell.gate_scales)
    scales = np.repeat(np.array(cell.gate_scales, dtype), hidden)[:, None]  # (gates·H, 1)
    # (T, gates·H, N)
    projected = np.multiply(weight_ih.T, scales, order="C") @ x.transpose(1, 2, 0)
    if bias is not None:
        projected += bias[:, None] * scales
    weight = np.multiply(weight_hh.T, scales, order="C")
    run = Run(
        x,
        projected.reshape(length, len(cell.gate_scales), hidden, count),
        tuple(np.empty((length + 1, size, count), dtype) for size in cell.state_sizes),
        np.empty((length, hidden if cell.keeps_more else 0, count), dtype),
        padding,
    )
    for states, first in zip(run.states, start, strict=True):
        states[0] = first
    with np.errstate(over="ignore"):  # eᶻ of a closed gate
        for t in range(length):
            cell.step(t, run, weight)
            if padding is not None:
                for states in run.states:
                    np.copyto(states[t + 1], states[t], where=padding[t])
    return run


@twin
def steps_back(
    cell: Cell, run: Run, d_y: np.ndarray | None, d_states: States, weight_hh: np.ndarray
) -> States:
    """δ_t = G_t + (∂s_{t+1}/∂s_t)ᵀ δ_{t+1}, t = T … 1; A_t takes the place of the gates.

    Args:
        cell: with the step that is taken.
        run: what `steps` returned.
        d_y: (N, T, H), each G_t; None when only the last states were put out.
        d_states: of the final states, each (H, N).
        weight_hh: W_hh (H, gates·H), which `backward_step` knows from its layer.

    Returns:
        The gradients of the initial states, each (H, N).
    """
    if d_y is not None:
        d_steps = np.empty(run.states[0][1:].shape, d_y.dtype)  # (T, H, N)
        within = True if run.padding is None else ~run.padding.T[:, :, None]
        np.multiply(d_y, within, out=d_steps.transpose(2, 0, 1))
    for t in reversed(range(len(run.gates))):
        if d_y is not None:
            d_states = (d_states[0] + d_steps[t], *d_states[1:])
        if run.padding is None:
            d_states, run.gates[t] = cell.backward_step(t, d_states, run)
        else:  # a sequence that has ended passed its state on as it was
            ended = run.padding[t]
            live = tuple(d * ~ended for d in d_states)
            before, run.gates[t] = cell.backward_step(t, live, run)
            d_states = tuple(b + d * ended for b, d in zip(before, d_states, strict=True))
    return d_states


@twin
def weight_grads(
    run: Run, d_a: np.ndarray, direct: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ_t x_tᵀ A_t, Σ_t h_{t−1}ᵀ A_t and Σ_t Σₙ A_t, where a_t = x_t W_ih + h_{t−1} W_hh + b.

    Args:
        run: the pass.
        d_a: A_t of all steps side by side, (gates·H, T·N).
        direct: of how many of the gates' features, from the first on, a_t has that term of h_{t−1}.

    Returns:
        dL/dW_ih (D, gates·H), dL/dW_hh (H, direct) and dL/db (gates·H,).
    """
    rows = run.x.transpose(1, 0, 2).reshape(-1, run.x.shape[2])  # (T·N, D)
    h = side_by_side(run.states[0][:-1])  # (H, T·N), h_0 … h_{T−1}
    return (d_a @ rows).T, h @ d_a[:direct].T, d_a.sum(axis=1)


def side_by_side(steps: np.ndarray) -> np.ndarray:
    """(T, H, N) as (H, T·N); a view of arrays that are (T, N, H) in memory."""
    if steps.strides[1] == steps.itemsize:
        return steps.transpose(0, 2, 1).reshape(-1, steps.shape[1]).T
    return steps.transpose(1, 0, 2).reshape(steps.shape[1], -1)
