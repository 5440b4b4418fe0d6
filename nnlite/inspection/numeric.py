"""Slopes by differences: what a gradient should be, from forward alone.

Every entry of an array is moved by ±h, and so is the array as a whole along random directions v.
What the outputs change by, weighed with the upstream gradient G, is the slope,

    Σ G ⊙ (y(w + h v) − y(w − h v)) / 2h  =  ⟨dL/dw, v⟩ + O(h²)

Most gradients agree with it at once. Where one does not, that may be the fault of the difference:
h was too large for a curve, too small for the precision of floats, or reached over a kink. So the
slope is measured again with steps from 10⁻³ to 10⁻⁸ of what moves, each with an estimate of its
error, and the best of them counts.

At a kink or a tie the slopes to the left and to the right differ however small h is. Right is
whatever lies between them, or between slopes close by, output by output. A tie shows where all
entries move together: a maximum of equal values then has a slope, which all their shares must add
up to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

STEP = 1e-5
TOLERANCE = 1e-6
LARGEST_STEP, SMALLEST_STEP = 1e-3, 1e-8  # of what moves, when a difference is measured again
ROUGH = 1e-3  # a difference whose error may be larger than this part of the slope tells nothing
ROUND_OFF = 4 * float(np.finfo(np.float64).eps)  # of one output, relative to its size
ENTRIES = 600  # arrays of up to so many values are checked entry by entry
SAMPLED = 60  # entries of a larger array that are looked at
DIRECTIONS = 6  # in which an array is moved besides
AROUND = 16  # points close to a kink
SUSPECTS = 24  # differences that are measured again
ENOUGH = 8  # of them, if all are wrong

Outputs = Callable[[], np.ndarray]  # all outputs in one vector, always a new one
Move = Callable[[float], None]  # moves an array to a distance from where it was


class Verdict(IntEnum):
    """What came of one comparison, the worse the larger."""

    RIGHT = 0
    KINK = 1  # left and right differ, and the gradient is between them
    UNSURE = 2  # the differences are too rough to tell
    OUTSIDE = 3  # at a kink, and not between the two sides
    WRONG = 4


class Slope(NamedTuple):
    """One comparison: where, what backward says, and what forward does.

    `where` is an index, or None where all entries moved along a direction.
    """

    where: tuple[int, ...] | None
    analytic: float
    numeric: float
    error: float = 0.0
    verdict: Verdict = Verdict.RIGHT


class Compared(NamedTuple):
    """The worst of all comparisons of one array, and whether there are kinks among them."""

    worst: Slope
    kinks: bool


class Direction(NamedTuple):
    """A way to move an array, and the slope that backward says there is along it."""

    where: tuple[int, ...] | None
    analytic: float
    way: tuple[int, ...] | np.ndarray  # the index of one entry, or a v for all of them
    sizes: tuple[float, float]  # of the array's entries, and of what matters to this move

    def steps(self) -> list[float]:
        """From 10⁻³ of what is usual in the array to 10⁻⁸ of what matters, by tens."""
        usual, least = self.sizes
        step, steps = LARGEST_STEP * usual, []
        while step > 0.9 * SMALLEST_STEP * max(least, 1e-8 * usual):
            steps.append(step)
            step /= 10
        return steps


def compare(
    data: np.ndarray,
    grad: np.ndarray,
    outputs: Outputs,
    upstream: np.ndarray,
    by_entry: bool = True,
    ties: bool = False,
) -> Compared:
    """Hold a gradient against the slopes of ⟨upstream, outputs⟩, whose `outputs` read `data`.

    Args:
        data: what is moved.
        grad: what backward says.
        outputs: all that depends on `data`.
        upstream: dL/d(outputs).
        by_entry: whether to move entries one by one at once (default True), or only when a move
            of all of them shows that something is wrong.
        ties: whether there are equal values, so that what is the slope at points close by is right
            (default False).
    """
    with np.errstate(all="ignore"):  # a step may leave where the outputs are defined
        if not by_entry and data.size > 1:
            whole = _compare(_directions(data, grad), data, outputs, upstream, ties)
            if whole.worst.verdict == Verdict.RIGHT and not whole.kinks:
                return whole
        directions = [*_entries(data, grad), *_directions(data, grad)]
        return _compare(directions, data, outputs, upstream, ties)


def _compare(
    directions: list[Direction],
    data: np.ndarray,
    outputs: Outputs,
    upstream: np.ndarray,
    ties: bool,
) -> Compared:
    measured = [_Measured(d, data, outputs, upstream) for d in directions]
    quick = [m.difference(STEP * d.sizes[0]) for m, d in zip(measured, directions, strict=True)]
    scale = max((abs(slope) for slope, _ in quick if np.isfinite(slope)), default=0.0)
    slopes, suspects = [], []
    for m, d, (slope, noise) in zip(measured, directions, quick, strict=True):
        error = _relative(d.analytic - slope, scale, noise)
        if error <= TOLERANCE and (noise <= ROUGH * scale or d.analytic == slope):
            slopes.append(Slope(d.where, d.analytic, slope, error))
        else:
            suspects.append((d.where is None, error, m))
    suspects.sort(key=lambda suspect: suspect[:2], reverse=True)  # directions, then the worst
    again: list[Slope] = []
    for _, _, m in suspects[:SUSPECTS]:
        again.append(m.verdict(scale, ties))
        if len(again) >= ENOUGH and all(slope.verdict == Verdict.WRONG for slope in again):
            break
    slopes += again
    if not slopes:
        return Compared(Slope((), 0.0, 0.0), False)
    worst = max(slopes, key=lambda slope: (slope.verdict, slope.where is not None, slope.error))
    kinks = any(slope.verdict in (Verdict.KINK, Verdict.OUTSIDE) for slope in slopes)
    if worst.verdict == Verdict.KINK:  # nothing is wrong: what was compared exactly is shown
        worst = max(slopes, key=lambda slope: slope.error)
    return Compared(worst, kinks)


def _relative(difference: float, scale: float, noise: float) -> float:
    """A difference relative to the largest slope, or to what rounding alone may amount to."""
    error = abs(difference) / max(scale, noise / TOLERANCE, 1e-300)
    return float(error) if np.isfinite(error) else np.inf


class _Sides(NamedTuple):
    """What moving by ±h shows: the slopes of all outputs, times their upstream gradient."""

    central: float
    left: np.ndarray
    right: np.ndarray
    noise: float

    @property
    def gap(self) -> float:
        """By how much the two sides differ."""
        return float(np.abs(self.right - self.left).sum())


class _Measured:
    """The slope along one direction, by one difference or by many."""

    def __init__(
        self, direction: Direction, data: np.ndarray, outputs: Outputs, upstream: np.ndarray
    ) -> None:
        self.direction = direction
        self.data = data
        self.outputs = outputs
        self.upstream = upstream
        self.move = moving(data, direction.way)

    def _at(self, distance: float) -> np.ndarray:
        """All outputs there; NaN where there are none, as for the logarithm of less than 0."""
        self.move(distance)
        try:
            return self.outputs()
        except (ValueError, ArithmeticError, RuntimeWarning):
            return np.full(self.upstream.shape, np.nan)
        finally:
            self.move(0.0)

    def difference(self, step: float) -> tuple[float, float]:
        """The slope, and the part of it that may be rounding."""
        above, below = self._at(step), self._at(-step)
        slope = float(self.upstream @ (above - below)) / (2 * step)
        return slope, self._noise(above, step)

    def _noise(self, outputs: np.ndarray, step: float) -> float:
        return ROUND_OFF * float(np.abs(self.upstream) @ np.abs(outputs)) / step

    def _sides(self, here: np.ndarray, step: float) -> _Sides:
        above, below = self._at(step), self._at(-step)
        right, left = (self.upstream * d / step for d in (above - here, here - below))
        return _Sides(float((left + right).sum()) / 2, left, right, self._noise(here, step))

    def verdict(self, scale: float, ties: bool) -> Slope:
        """What many steps say of a slope that one step does not confirm."""
        where, ours = self.direction[:2]
        here = self._at(0.0)
        sides = [self._sides(here, h) for h in self.direction.steps()]
        sides = [s for s in sides if np.isfinite(s.central)]
        if len(sides) < 2 or not np.isfinite(ours):
            verdict = Verdict.UNSURE if np.isfinite(ours) else Verdict.WRONG
            return Slope(where, ours, np.nan, np.inf, verdict)
        error, slope = min(
            (abs(large.central - small.central) + small.noise, small.central)
            for large, small in pairwise(sides)
        )
        scale = max(scale, abs(slope))
        rough = error > ROUGH * max(scale, abs(ours))
        verdict = Verdict.UNSURE if rough else Verdict.WRONG
        if abs(ours - slope) <= TOLERANCE * scale + 2 * error:
            verdict = Verdict.RIGHT
        elif _contradicted(slope, sides, scale):
            verdict = Verdict.UNSURE
        elif (kink := _kink(sides)) is not None:
            return self._between(kink, slope, scale)
        elif verdict == Verdict.WRONG and ties:
            return self._between(sides[-1], slope, scale)
        relative = _relative(ours - slope, scale, error if verdict != Verdict.WRONG else 0)
        return Slope(where, ours, slope, relative, verdict)

    def _between(self, kink: _Sides, slope: float, scale: float) -> Slope:
        """Whether the gradient is between the slopes of both sides, or of points around."""
        where, ours = self.direction[:2]
        low, high = np.minimum(kink.left, kink.right), np.maximum(kink.left, kink.right)
        slack = 1e-4 * max(scale, kink.gap) + kink.noise
        if not low.sum() - slack <= ours <= high.sum() + slack:
            for around in self._around():
                low, high = np.fmin(low, around), np.fmax(high, around)
        if low.sum() - slack <= ours <= high.sum() + slack:
            return Slope(where, ours, ours, 0.0, Verdict.KINK)
        return Slope(where, ours, slope, _relative(ours - slope, scale, 0), Verdict.OUTSIDE)

    def _around(self) -> Iterator[np.ndarray]:
        """The slopes of the outputs, times their upstream gradients, at points close by."""
        here, (usual, _) = self.data.copy(), self.direction.sizes
        rng = np.random.default_rng(8)
        for _ in range(AROUND):
            self.data[...] = here + 1e-5 * usual * rng.standard_normal(here.shape)
            nearby = _Measured(self.direction, self.data, self.outputs, self.upstream)
            yield nearby._sides(nearby._at(0.0), 1e-8 * usual).right
        self.data[...] = here


def _contradicted(slope: float, sides: list[_Sides], scale: float) -> bool:
    """Whether what seems to be the slope is left again by smaller steps, by more than rounding."""
    smaller = next(at for at, side in enumerate(sides) if side.central == slope)
    return any(
        abs(side.central - slope) > ROUGH * max(scale, abs(side.central)) + 1000 * side.noise
        for side in sides[smaller + 1 :]
    )


def _kink(sides: list[_Sides]) -> _Sides | None:
    """The smallest of three steps, by tens, at which left and right differ by the same.

    Where there is a curve they differ by a tenth each time, where there is rounding by ten times.
    """
    for large, middle, small in list(zip(sides, sides[1:], sides[2:], strict=False))[::-1]:
        gaps = large.gap, middle.gap, small.gap
        if small.gap > 20 * small.noise and max(gaps) < 2 * min(gaps):
            return small
    return None


# -- directions ------------------------------------------------------------------------------------


def _entries(data: np.ndarray, grad: np.ndarray) -> list[Direction]:
    """All entries of a small array, some of a large one."""
    usual, spread = _sizes(data)
    return [
        Direction(
            index, float(grad[index]), index, (usual, min(abs(data[index].item()) or usual, spread))
        )
        for index in _indices(data)
    ]


def _directions(data: np.ndarray, grad: np.ndarray) -> list[Direction]:
    """Ways to move all entries at once: equally, and at random, by 1 in all."""
    if data.size < 2:
        return []
    rng = np.random.default_rng(0)
    ways = [np.ones(data.shape), *(rng.standard_normal(data.shape) for _ in range(DIRECTIONS))]
    ways = [way / np.sqrt(data.size) for way in ways]
    usual, spread = _sizes(data)
    least = min(spread, float(np.abs(data[data != 0]).min(initial=np.inf)))
    return [Direction(None, float((grad * v).sum()), v, (usual, least)) for v in ways]


def _sizes(data: np.ndarray) -> tuple[float, float]:
    """How large the entries are, and how far apart, which may be much less."""
    usual = float(np.sqrt(np.mean(data * data))) if data.size else 0.0
    return usual or 1.0, (float(data.std()) if data.size else 0.0) or usual or 1.0


def moving(data: np.ndarray, way: tuple[int, ...] | np.ndarray) -> Move:
    """How to move one entry, or all along a direction, from where they are now."""
    if isinstance(way, tuple):
        value = data[way].item()

        def move(distance: float) -> None:
            data[way] = value + distance
    else:
        start = data.copy()

        def move(distance: float) -> None:
            np.add(start, distance * way, out=data)

    return move


def _indices(data: np.ndarray) -> list[tuple[int, ...]]:
    """All indices of a small array, some of a large one."""
    if data.size <= ENTRIES:
        return list(np.ndindex(data.shape))
    chosen = np.random.default_rng(0).choice(data.size, SAMPLED, replace=False)
    return [tuple(int(i) for i in np.unravel_index(flat, data.shape)) for flat in chosen]


def jacobian_by_differences(
    data: np.ndarray, outputs: Callable[[], np.ndarray], places: np.ndarray | None = None
) -> np.ndarray:
    """∂y/∂data, (y.size, data.size): each column is the change of all outputs.

    With `places` there are only the columns of these entries, counted in memory order.
    """
    columns = []
    usual = float(np.sqrt(np.mean(data * data))) or 1.0
    for place in range(data.size) if places is None else places:
        where = np.unravel_index(place, data.shape)
        move, size = moving(data, where), abs(data[where].item())

        def column(step: float, move: Move = move) -> np.ndarray:
            try:
                move(step)
                above = outputs().copy()
                move(-step)
                below = outputs().copy()
            finally:
                move(0.0)
            return np.asarray(above - below).ravel() / (2 * step)

        found = column(STEP * usual)
        if 0 < size < 0.01 * usual:  # a step of the usual size may be too large for its curve
            closer = column(STEP * size)
            if not np.abs(closer - found).max() <= ROUGH * np.abs(closer).max():  # or NaN
                found = closer
        columns.append(found)
    return np.stack(columns, axis=1)
