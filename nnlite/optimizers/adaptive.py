"""A step size for every weight, from the size of its past gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import adadelta_step, adagrad_step, rms_step
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class Adagrad(Optimizer):
    """Steps shrink with all squared gradients so far.

    Rule         s ← s + g²;  w ← w − lrₖ g / (√s + ε),  lrₖ = lr / (1 + (k − 1) lr_decay)
    Args         lr_decay: ≥ 0 (default 0)
                 initial_accumulator_value: first s, ≥ 0 (default 0)
                 eps: ε (default 1e-10)
                 the others: see `Optimizer`; lr is 1e-2 by default
    Source       Duchi et al. 2011, figure 1
    """

    state: ClassVar = {"s": "sum"}

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
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value, eps=eps,
        )  # fmt: skip

    def first_state(self, parameter: Parameter, options: Options) -> dict[str, Array]:
        """Before the first step, s is `initial_accumulator_value`."""
        return {"sum": np.full_like(parameter.data, options["initial_accumulator_value"])}

    def rule(self, options: Options) -> dict[str, str]:
        """With a learning rate that falls by itself, if it does."""
        lr = "lr / (1 + (k − 1) lr_decay)" if options["lr_decay"] else "lr"
        return {"s": "s ← s + g²", "w": f"w ← w − {lr} g / (√s + ε)"}

    def update(
        self, w: Array, g: Array, s: Array, a: Array, lr: float, lr_decay: float, eps: float, k: int
    ) -> None:
        """One step, scaled by 1/√s."""
        adagrad_step(w, g, s, a, eps, lr / (1 + (k - 1) * lr_decay))


class Adadelta(Optimizer):
    """Steps in the units of the weights: past updates over past gradients.

    Rule         v ← ρ v + (1 − ρ) g²;  d = g √(u + ε) / √(v + ε);  u ← ρ u + (1 − ρ) d²
                 w ← w − lr d
    Args         rho: ρ, 0 ≤ ρ < 1 (default 0.9)
                 eps: ε (default 1e-6)
                 the others: see `Optimizer`; lr is 1 by default
    Source       Zeiler 2012, algorithm 1
    """

    state: ClassVar = {"v": "square_avg", "u": "acc_delta"}
    scratch: ClassVar = ("a", "d")

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize, rho=rho, eps=eps
        )

    def rule(self, options: Options) -> dict[str, str]:
        """The step d, in the units of w."""
        return {
            "v": "v ← ρ v + (1 − ρ) g²",
            "d": "d = g √(u + ε) / √(v + ε)",
            "u": "u ← ρ u + (1 − ρ) d²",
            "w": "w ← w − lr d",
        }

    def update(
        self, w: Array, g: Array, v: Array, u: Array, a: Array, d: Array,
        lr: float, rho: float, eps: float,
    ) -> None:  # fmt: skip
        """One step in the weights' own units."""
        adadelta_step(w, g, v, u, a, d, rho, eps, lr)


class RMSprop(Optimizer):
    """Steps shrink with the running size of the gradients.

    Rule         v ← α v + (1 − α) g²;  d = g / (√v + ε);  w ← w − lr d
                 centered: √(v − m²) instead of √v, with m ← α m + (1 − α) g
                 with momentum: b ← μ b + d;  w ← w − lr b
    Args         alpha: α, 0 ≤ α < 1 (default 0.99)
                 eps: ε (default 1e-8)
                 momentum: μ, 0 ≤ μ < 1, or a schedule (default 0)
                 centered: whether to use the variance in place of the square (default False)
                 the others: see `Optimizer`; lr is 1e-2 by default
    Source       Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, equations 38 to 45
    """

    state: ClassVar = {"v": "square_avg"}
    state_if: ClassVar = {"centered": {"m": "grad_avg"}, "momentum": {"b": "momentum_buffer"}}
    fading: ClassVar = ("m", "b")

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
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            alpha=alpha, eps=eps, momentum=momentum, centered=centered,
        )  # fmt: skip

    def rule(self, options: Options) -> dict[str, str]:
        """Without momentum, or with b."""
        lines = {"v": "v ← α v + (1 − α) g²"}
        if options["centered"]:
            lines["m"] = "m ← α m + (1 − α) g"
        lines["d"] = f"d = g / ({'√(v − m²)' if options['centered'] else '√v'} + ε)"
        if options["momentum"] == 0:
            return {**lines, "w": "w ← w − lr d"}
        return {**lines, "b": "b ← μ b + d", "w": "w ← w − lr b"}

    def update(
        self, w: Array, g: Array, v: Array, m: Array | None, b: Array | None, a: Array,
        lr: float, alpha: float, eps: float, momentum: float,
    ) -> None:  # fmt: skip
        """One step, scaled by 1/√v."""
        # with a schedule, b is there even in a step for which it gives momentum 0
        rms_step(w, g, v, m, b, a, alpha, eps, momentum, lr)
