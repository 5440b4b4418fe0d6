"""Schedules: the learning rate, or another option of an optimizer, as a function of the step.

A schedule is called with the number of completed steps k, 0 first, and returns the value for the
next step; any function of k will do, these are the usual ones:

    nn.SGD(parameters, lr=nn.CosineSchedule(0.1, steps=1000))
    nn.SGD(parameters, lr=0.1, momentum=nn.OneCycleSchedule(0.85, 1000, div_factor=0.85 / 0.95))

They hold no state: a run that resumes at step k goes on where it was. Steps are updates, not
epochs; an epoch has ⌈samples / (batch_size · accumulate)⌉ of them. `lr` stands for whatever is
scheduled: momentum and weight decay take schedules too.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from nnlite.core.construction import Constructed
from nnlite.core.habits import missing_in
from nnlite.core.kinds import number_of, shown

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

__all__ = [
    "ChainedSchedule",
    "ConstantSchedule",
    "CosineSchedule",
    "CyclicSchedule",
    "ExponentialSchedule",
    "InverseSqrtSchedule",
    "MultiStepSchedule",
    "OneCycleSchedule",
    "PolynomialSchedule",
    "SequentialSchedule",
    "StepSchedule",
    "WarmupSchedule",
]


class ConstantSchedule(Constructed):
    """The same value at every step: something to warm up to.

    Rule         lr
    Args         lr: the value, > 0
    Raises       ValueError: when lr is not positive
    Source       standard result
    """

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def __call__(self, k: int) -> float:
        """The value, whatever k is."""
        return self.lr


class StepSchedule(Constructed):
    """A staircase: times γ after every `step_size` steps.

    Rule         lr γ^⌊k / step_size⌋
    Args         lr: the first value, > 0
                 step_size: steps between two drops, ≥ 1
                 gamma: γ > 0 (default 0.1)
    Raises       ValueError: for arguments out of range
    Source       standard result
    """

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1) -> None:
        self.lr = lr
        self.step_size = step_size
        self.gamma = gamma

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        return self.lr * self.gamma ** (k // self.step_size)


class MultiStepSchedule(Constructed):
    """A staircase with drops where you say: times γ at each milestone.

    Rule         lr γ^(number of milestones ≤ k)
    Args         lr: the first value, > 0
                 milestones: the steps with a drop, increasing
                 gamma: γ > 0 (default 0.1)
    Raises       ValueError: for arguments out of range
    Source       standard result
    """

    def __init__(self, lr: float, milestones: Sequence[int], gamma: float = 0.1) -> None:
        _check_milestones(self, milestones)
        self.lr = lr
        self.milestones = milestones
        self.gamma = gamma

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        return self.lr * self.gamma ** bisect.bisect_right(self.milestones, k)


class ExponentialSchedule(Constructed):
    """The same factor at every step.

    Rule         lr γᵏ
    Args         lr: the first value, > 0
                 gamma: γ > 0
    Raises       ValueError: for arguments out of range
    Source       standard result
    """

    def __init__(self, lr: float, gamma: float) -> None:
        self.lr = lr
        self.gamma = gamma

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        return self.lr * self.gamma**k


class PolynomialSchedule(Constructed):
    """From lr down to `min_lr` along a power of the time left; with power 1, a straight line.

    Rule         min_lr + (lr − min_lr) (1 − k / steps)^power, and min_lr from k = steps on
    Args         lr: the first value, > 0
                 steps: how long it takes, ≥ 1
                 power: > 0 (default 1)
                 min_lr: the last value, 0 ≤ min_lr ≤ lr (default 0)
    Raises       ValueError: for arguments out of range
    Source       standard result
    """

    def __init__(self, lr: float, steps: int, power: float = 1.0, min_lr: float = 0.0) -> None:
        _check_min_lr(self, min_lr, lr)
        self.lr = lr
        self.steps = steps
        self.power = power
        self.min_lr = min_lr

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        left = 1 - min(k / self.steps, 1)
        return self.min_lr + (self.lr - self.min_lr) * left**self.power


class CosineSchedule(Constructed):
    """From lr down to `min_lr` along half a cosine; with `restarts`, again and again.

    Rule         min_lr + ½ (lr − min_lr) (1 + cos(π k / steps)), and min_lr from k = steps on
                 with restarts, k counts from the last one, and each period lasts `growth` times
                 as long as the one before: steps, steps · growth, steps · growth², …
    Args         lr: the first value, > 0
                 steps: how long the (first) way down takes, ≥ 1
                 min_lr: the last value, 0 ≤ min_lr ≤ lr (default 0)
                 restarts: whether to jump back to lr at the end of a period (default False)
                 growth: how periods grow, a whole number ≥ 1 (default 1)
    Raises       ValueError: for arguments out of range, or a growth without restarts
    Source       Loshchilov & Hutter 2017, "SGDR", equation 5
    """

    def __init__(
        self, lr: float, steps: int, min_lr: float = 0.0, restarts: bool = False, growth: int = 1
    ) -> None:
        _check_min_lr(self, min_lr, lr)
        if growth > 1 and not restarts:
            raise ValueError(f"CosineSchedule: growth={growth} needs restarts=True")
        self.lr = lr
        self.steps = steps
        self.min_lr = min_lr
        self.restarts = restarts
        self.growth = growth

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        period = self.steps
        if self.restarts and self.growth == 1:
            k %= period
        elif self.restarts:
            while k >= period:
                k -= period
                period *= self.growth
        return _cosine(self.lr, self.min_lr, min(k / period, 1))


class WarmupSchedule(Constructed):
    """Another schedule after a straight way up to its first value.

    Rule         k < steps: schedule(0) (start_factor + (1 − start_factor) k / steps)
                 after that: schedule(k − steps)
    Args         schedule: what follows; for a constant rate, `ConstantSchedule(lr)`
                 steps: how long the way up takes, ≥ 1
                 start_factor: where it begins, as a share of schedule(0), in [0, 1] (default 1/3)
    Raises       ValueError: for arguments out of range
                 TypeError: when the schedule is not callable
    Source       Goyal et al. 2017, section 2.2; the default is PyTorch's
    """

    def __init__(
        self, schedule: Callable[[int], float], steps: int, start_factor: float = 1 / 3
    ) -> None:
        self.schedule = schedule
        self.steps = steps
        self.start_factor = start_factor

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        if k >= self.steps:
            return self.schedule(k - self.steps)
        share = self.start_factor + (1 - self.start_factor) * k / self.steps
        return _value(self, self.schedule, 0) * share


class SequentialSchedule(Constructed):
    """One schedule after another.

    Rule         schedules[i](k − milestones[i − 1]) from k = milestones[i − 1] on (the first from
                 0 on): each begins at its own step 0
    Args         schedules: at least one
                 milestones: at which steps the second and all others begin, increasing; one less
                     than there are schedules
    Raises       ValueError: for milestones that do not increase, or are too many or too few
                 TypeError: for a schedule that is not callable
    Source       standard result; PyTorch's `SequentialLR`
    """

    def __init__(
        self, schedules: Sequence[Callable[[int], float]], milestones: Sequence[int]
    ) -> None:
        if not schedules:
            raise ValueError("SequentialSchedule: there are no schedules to follow")
        _check_milestones(self, milestones)
        if len(milestones) != len(schedules) - 1:
            raise ValueError(
                f"SequentialSchedule: {len(schedules)} schedules need {len(schedules) - 1} "
                f"milestones between them, got {milestones}"
            )
        self.schedules = schedules
        self.milestones = milestones

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        index = bisect.bisect_right(self.milestones, k)
        start = self.milestones[index - 1] if index else 0
        return self.schedules[index](k - start)


class ChainedSchedule(Constructed):
    """Several schedules at the same time: their values are multiplied.

    Rule         schedules[0](k) · schedules[1](k) · …
    Args         schedules: at least one; give the learning rate to one of them, and 1 to the
                     others, which are factors then:
                     `ChainedSchedule([CosineSchedule(0.1, 1000), ExponentialSchedule(1, 0.999)])`
    Raises       ValueError: when there is none
                 TypeError: for one that is not callable
    Source       standard result; PyTorch's `ChainedScheduler`
    """

    def __init__(self, schedules: Sequence[Callable[[int], float]]) -> None:
        if not schedules:
            raise ValueError("ChainedSchedule: there are no schedules to multiply")
        self.schedules = schedules

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        return math.prod(_value(self, schedule, k) for schedule in self.schedules)


class CyclicSchedule(Constructed):
    """Up and down in straight lines, again and again.

    Rule         min_lr + h (max_lr − min_lr) t, with t from 0 up to 1 in `step_size_up` steps and
                 back to 0 in `step_size_down`, and a height h by mode:
                 "triangular" 1, "triangular2" ½^(cycles before this one), "exp_range" γᵏ
    Args         min_lr: the lowest value, 0 ≤ min_lr ≤ max_lr
                 max_lr: the highest value, > 0
                 step_size_up: steps of the way up, ≥ 1 (default 2000)
                 step_size_down: steps of the way down (default None: as many)
                 mode: as above (default "triangular")
                 gamma: γ > 0, for "exp_range" (default 1)
    Raises       ValueError: for arguments out of range, or a gamma for another mode
    Source       Smith 2017, "Cyclical Learning Rates", section 3.1; PyTorch's `CyclicLR`

    Momentum goes the other way with the same steps and a schedule of one's own:
    `lambda k: 0.9 - 0.1 * cycle(k)`, with `cycle = CyclicSchedule(0, 1, step_size_up)`.
    """

    def __init__(
        self,
        min_lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
    ) -> None:
        if min_lr > max_lr:
            raise ValueError(
                f"CyclicSchedule: min_lr must be at most max_lr={max_lr}, got {min_lr}"
            )
        if gamma != 1 and mode != "exp_range":
            raise ValueError(f'CyclicSchedule: gamma={gamma} needs mode="exp_range", got {mode!r}')
        self.min_lr = min_lr
        self.max_lr = max_lr
        self.step_size_up = step_size_up
        self.step_size_down = step_size_down
        self.mode = mode
        self.gamma = gamma

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        cycle, place = divmod(k, up + down)
        share = place / up if place <= up else (up + down - place) / down
        heights = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**k}
        return self.min_lr + heights[self.mode] * (self.max_lr - self.min_lr) * share


class OneCycleSchedule(Constructed):
    """Up to `max_lr`, then down to almost nothing, over the whole of a run.

    Rule         with u = pct_start · steps − 1 and e = steps − 1:
                 k ≤ u:  from max_lr / div_factor up to max_lr, at share k / u of the way
                 k > u:  down to max_lr / (div_factor · final_div_factor), at share (k − u)/(e − u)
                 in three phases, down to where it began until k = 2u, and on from there:
                 k > 2u: from max_lr / div_factor, at share (k − 2u)/(e − 2u)
                 along half a cosine or a straight line; the last value is kept
    Args         max_lr: the largest value, > 0
                 steps: how many updates the run has, ≥ 2
                 pct_start: the share of the way up, 0 < pct_start < 1, at least one step of it
                     (default 0.3)
                 anneal_strategy: "cos" or "linear" (default "cos")
                 div_factor: max_lr over the first value (default 25)
                 final_div_factor: the first value over the last (default 1e4)
                 three_phase: whether the way down is as long as the way up, and a third one
                     follows; pct_start is at most one half then (default False)
    Raises       ValueError: for arguments out of range
    Source       Smith & Topin 2018, "Super-Convergence", with three phases; the form is PyTorch's

    Momentum goes the other way, from 0.95 to 0.85 and back:
    `OneCycleSchedule(0.85, steps, div_factor=0.85 / 0.95, final_div_factor=1)`.
    """

    def __init__(
        self,
        max_lr: float,
        steps: int,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if pct_start < 1 / steps:
            raise ValueError(
                f"OneCycleSchedule: pct_start must be below 1 and at least one of {steps} steps, "
                f"got {pct_start}"
            )
        if three_phase and pct_start > 0.5:
            raise ValueError(
                "OneCycleSchedule: with three phases, the way up takes pct_start of the steps and "
                f"the way down as many, so it must be at most 0.5, got {pct_start}"
            )
        self.max_lr = max_lr
        self.steps = steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        top, end = self.pct_start * self.steps - 1, self.steps - 1
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        way = _cosine if self.anneal_strategy == "cos" else _line
        if k < top:
            return way(first, self.max_lr, k / top)
        if not self.three_phase:
            return way(self.max_lr, last, min((k - top) / (end - top), 1))
        if k < 2 * top:
            return way(self.max_lr, first, (k - top) / top)
        return way(first, last, min((k - 2 * top) / (end - 2 * top), 1))


class InverseSqrtSchedule(Constructed):
    """Slower and slower: with 1 / √k in the long run.

    Rule         lr / √(1 + k / steps)
                 behind a warm-up of as many steps: lr √(steps / K) at step K of the whole
    Args         lr: the first value, > 0
                 steps: after so many it is down to lr / √2, ≥ 1
    Raises       ValueError: for arguments out of range
    Source       Vaswani et al. 2017, "Attention Is All You Need", equation 3, without the warm-up:
                 `WarmupSchedule(InverseSqrtSchedule(lr, steps), steps, start_factor=0)` has both
    """

    def __init__(self, lr: float, steps: int) -> None:
        self.lr = lr
        self.steps = steps

    def __call__(self, k: int) -> float:
        """The value for the step after k completed ones."""
        return self.lr / math.sqrt(1 + k / self.steps)


def _cosine(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _line(start: float, end: float, share: float) -> float:
    """From start to end in a straight line."""
    return start + (end - start) * share


def _check_min_lr(owner: object, min_lr: float, lr: float) -> None:
    if min_lr > lr:
        raise ValueError(f"{type(owner).__name__}: min_lr must be at most lr={lr}, got {min_lr}")


def _check_milestones(owner: object, milestones: Sequence[int]) -> None:
    if list(milestones) != sorted(set(milestones)):
        raise ValueError(f"{type(owner).__name__}: milestones must increase, got {milestones}")


def _value(owner: object, schedule: Callable[[int], float], k: int) -> float:
    """What a schedule inside another one gives at step k."""
    value = schedule(k)
    if number_of(value) is None:
        raise ValueError(
            f"{type(owner).__name__}: schedule must return a number, got {shown(value)} at step {k}"
        )
    return value
