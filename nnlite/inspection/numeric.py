"""Slopes by differences: what a gradient should be, from forward alone.

Every entry of an array is moved by ±h and the change of the objective is the slope,

    (L(w + h) − L(w − h)) / 2h  =  dL/dw + O(h²)

Where an array has too many entries, random directions v are moved along instead, which must give
⟨dL/dw, v⟩: an error in any entry shows in all of them. At a kink, where the slope depends on the
side, whatever lies between the two sides is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

STEP = 1e-5
TOLERANCE = 1e-6
SMALLEST = 1e-4  # below this, a gradient is compared absolutely: differences round off at 1e-11
ENTRIES = 600  # arrays of up to so many values are checked entry by entry
DIRECTIONS = 6
SAMPLED = 60  # entries of a larger array that are looked at besides

Objective = Callable[[], float]
Move = Callable[[float], None]  # moves an array to a distance from where it was


class Slope(NamedTuple):
    """One comparison: where, what backward says, and what forward does."""

    where: tuple[int, ...]
    analytic: float
    numeric: float
    error: float = 0.0


def worst_slope(data: np.ndarray, grad: np.ndarray, objective: Objective) -> Slope:
    """Where a gradient differs most from the slopes of an objective that reads `data`."""
    indices = _indices(data)
    moves = [_along_entry(data, index) for index in indices]
    analytic = [float(grad[index]) for index in indices]
    worst = _worst(indices, analytic, moves, objective)
    if data.size <= ENTRIES or worst.error > TOLERANCE:
        return worst
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(data.shape) for _ in range(DIRECTIONS)]
    moves = [_along_direction(data, v) for v in directions]
    analytic = [float((grad * v).sum()) for v in directions]
    whole = _worst([()] * DIRECTIONS, analytic, moves, objective)
    return whole if whole.error > TOLERANCE else worst


def _worst(
    indices: list[tuple[int, ...]], analytic: list[float], moves: list[Move], objective: Objective
) -> Slope:
    numeric = [difference(move, objective) for move in moves]
    scale = max([SMALLEST, *map(abs, numeric)])
    worst = Slope((), 0.0, 0.0)
    for index, ours, slope, move in zip(indices, analytic, numeric, moves, strict=True):
        error = abs(ours - slope) / scale
        if not error <= TOLERANCE and _between_the_sides(move, objective, ours, scale):
            continue
        error = error if np.isfinite(error) else np.inf
        if error >= worst.error:
            worst = Slope(index, ours, slope, error)
    return worst


def difference(move: Move, objective: Objective, step: float = STEP) -> float:
    """(L(+h) − L(−h)) / 2h."""
    move(step)
    above = objective()
    move(-step)
    below = objective()
    move(0.0)
    return (above - below) / (2 * step)


def _between_the_sides(move: Move, objective: Objective, ours: float, scale: float) -> bool:
    """Whether there is a kink here, and the gradient one of its slopes or between them."""
    step = STEP / 10
    here = objective()
    move(step)
    right = (objective() - here) / step
    move(-step)
    left = (here - objective()) / step
    move(0.0)
    low, high = sorted((left, right))
    slack = 1e-4 * scale
    return high - low > 10 * slack and low - slack <= ours <= high + slack


def _along_entry(data: np.ndarray, index: tuple[int, ...]) -> Move:
    value = data[index].item()

    def move(distance: float) -> None:
        data[index] = value + distance

    return move


def _along_direction(data: np.ndarray, v: np.ndarray) -> Move:
    start = data.copy()

    def move(distance: float) -> None:
        np.add(start, distance * v, out=data)

    return move


def _indices(data: np.ndarray) -> list[tuple[int, ...]]:
    """All indices of a small array, some of a large one."""
    if data.size <= ENTRIES:
        return list(np.ndindex(data.shape))
    chosen = np.random.default_rng(0).choice(data.size, SAMPLED, replace=False)
    return [tuple(int(i) for i in np.unravel_index(flat, data.shape)) for flat in chosen]


def jacobian_by_differences(data: np.ndarray, outputs: Callable[[], np.ndarray]) -> np.ndarray:
    """∂y/∂data, (y.size, data.size): each column is the change of all outputs."""
    columns = []
    for index in np.ndindex(data.shape):
        move = _along_entry(data, index)
        move(STEP)
        above = outputs().copy()
        move(-STEP)
        below = outputs().copy()
        move(0.0)
        columns.append((above - below).ravel() / (2 * STEP))
    return np.stack(columns, axis=1)
