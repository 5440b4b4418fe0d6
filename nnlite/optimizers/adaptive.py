"""A step size for every weight, from the size of its past gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.optimizers.base import Optimizer, Vectors
from nnlite.optimizers.groups import Group, Options, Schedule


class Adagrad(Optimizer):
    """Steps shrink with all squared gradients so far.

    Rule         s ← s + g²;  w ← w − lrₖ g / (√s + ε),  lrₖ = lr / (1 + (k − 1) lr_decay)
    Args         parameters: what to train
                 lr: learning rate or schedule (default 1e-2)
                 lr_decay: ≥ 0 (default 0)
                 initial_accumulator_value: first s, ≥ 0 (default 0)
                 eps: ε (default 1e-10)
                 weight_decay, clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Duchi et al. 2011, figure 1
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float | Schedule = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value,
            lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value, eps=eps,
        )  # fmt: skip

    def state_names(self, options: Options) -> tuple[str, ...]:
        """The sum s."""
        return ("sum",)

    def _fresh_state(self, parameter: Parameter, options: Options) -> dict[str, Any]:
        return {"sum": np.full_like(parameter.data, options["initial_accumulator_value"])}

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step, scaled by 1/√s."""
        w, g, (s,), (a,) = vectors
        s += np.multiply(g, g, out=a)
        np.sqrt(s, out=a)
        a += options["eps"]
        np.divide(g, a, out=a)
        a *= options["lr"] / (1 + (k - 1) * options["lr_decay"])
        w -= a


class Adadelta(Optimizer):
    """Steps in the units of the weights: past updates over past gradients.

    Rule         v ← ρ v + (1 − ρ) g²;  d = g √(u + ε) / √(v + ε);  u ← ρ u + (1 − ρ) d²
                 w ← w − lr d
    Args         parameters: what to train
                 lr: learning rate or schedule (default 1)
                 rho: ρ, 0 ≤ ρ < 1 (default 0.9)
                 eps: ε (default 1e-6)
                 weight_decay, clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Zeiler 2012, algorithm 1
    """

    scratch_arrays: ClassVar[int] = 2

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm, clip_value, rho=rho, eps=eps)

    def state_names(self, options: Options) -> tuple[str, ...]:
        """The running squares v of gradients and u of updates."""
        return ("square_avg", "acc_delta")

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step in the weights' own units."""
        w, g, (v, u), (a, d) = vectors
        rho, eps = options["rho"], options["eps"]
        running_square(v, g, rho, a)
        np.sqrt(np.add(u, eps, out=d), out=d)
        d /= np.sqrt(np.add(v, eps, out=a), out=a)
        d *= g
        running_square(u, d, rho, a)
        w -= np.multiply(d, options["lr"], out=a)


class RMSprop(Optimizer):
    """Steps shrink with the running size of the gradients.

    Rule         v ← α v + (1 − α) g²;  d = g / (√v + ε);  w ← w − lr d
                 centered: √(v − m²) instead of √v, with m ← α m + (1 − α) g
                 with momentum: b ← μ b + d;  w ← w − lr b
    Args         parameters: what to train
                 lr: learning rate or schedule (default 1e-2)
                 alpha: α, 0 ≤ α < 1 (default 0.99)
                 eps: ε (default 1e-8)
                 momentum: μ, 0 ≤ μ < 1, or a schedule (default 0)
                 centered: whether to use the variance in place of the square (default False)
                 weight_decay, clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, equations 38 to 45
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.0,
        momentum: float | Schedule = 0.0,
        centered: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value,
            alpha=alpha, eps=eps, momentum=momentum, centered=centered,
        )  # fmt: skip

    def state_names(self, options: Options) -> tuple[str, ...]:
        """The running square v, and where asked for the running mean m and the momentum b."""
        names = ["square_avg"]
        names += ["grad_avg"] if options["centered"] else []
        names += ["momentum_buffer"] if options["momentum"] else []
        return tuple(names)

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step, scaled by 1/√v."""
        w, g, (v, *rest), (a,) = vectors
        running_square(v, g, options["alpha"], a)
        if options["centered"]:
            m = rest.pop(0)
            running_mean(m, g, options["alpha"], a)
            np.multiply(m, m, out=a)
            np.subtract(v, a, out=a)
            np.maximum(a, 0, out=a)  # rounding may leave a variance of zero just below it
            np.sqrt(a, out=a)
        else:
            np.sqrt(v, out=a)
        a += options["eps"]
        np.divide(g, a, out=a)
        if rest:  # there is a momentum, even where a schedule gives 0
            (b,) = rest
            b *= options["momentum"]
            b += a
            np.copyto(a, b)
        a *= options["lr"]
        w -= a


def running_mean(mean: np.ndarray, g: np.ndarray, keep: float, scratch: np.ndarray) -> None:
    """Mean ← keep · mean + (1 − keep) · g, as mean + (1 − keep)(g − mean)."""
    np.subtract(g, mean, out=scratch)
    scratch *= 1 - keep
    mean += scratch


def running_square(square: np.ndarray, g: np.ndarray, keep: float, scratch: np.ndarray) -> None:
    """Square ← keep · square + (1 − keep) · g²."""
    square *= keep
    np.multiply(g, g, out=scratch)
    scratch *= 1 - keep
    square += scratch
