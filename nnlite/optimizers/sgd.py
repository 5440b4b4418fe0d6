"""Gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import gradient_step, momentum_step
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class SGD(Optimizer):
    """Stochastic gradient descent.

    Rule         b ← μ b + (1 − τ) g (b = g in the first step);  w ← w − lr b
                 with Nesterov's look-ahead, w ← w − lr (g + μ b)
                 without momentum, w ← w − lr g
    Args         momentum: μ, 0 ≤ μ < 1, or a schedule (default 0)
                 dampening: τ ≥ 0 (default 0)
                 nesterov: whether to look ahead (default False)
                 the others: see `Optimizer`; lr is 1e-3 by default
    Raises       ValueError: Nesterov without momentum or with dampening
    Source       Polyak 1964; Nesterov 1983; Sutskever et al. 2013; the form is PyTorch's
    """

    state_if: ClassVar = {"momentum": {"b": "momentum_buffer"}}
    fading: ClassVar = ("b",)

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        momentum: float | Schedule = 0.0,
        dampening: float = 0.0,
        weight_decay: float | Schedule = 0.0,
        nesterov: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            momentum=momentum, dampening=dampening, nesterov=nesterov,
        )  # fmt: skip

    def check_options(self, options: Options) -> None:
        """Nesterov's form is only defined without dampening, with momentum."""
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening 0")

    def rule(self, options: Options) -> dict[str, str]:
        """Without momentum, or with b."""
        if options["momentum"] == 0:
            return {"w": "w ← w − lr g"}
        share = " (1 − τ [k > 1])" if options["dampening"] else ""
        way = "(g + μ b)" if options["nesterov"] else "b"
        return {"b": f"b ← μ b +{share} g", "w": f"w ← w − lr {way}"}

    def update(
        self, w: Array, g: Array, b: Array | None, a: Array,
        lr: float, momentum: float, dampening: float, nesterov: bool, k: int,
    ) -> None:  # fmt: skip
        """One step down the gradient."""
        if b is None:
            gradient_step(w, g, a, lr)
            return
        # with a schedule, b is there even in a step for which it gives momentum 0
        first = k == 1  # b, still 0, becomes g
        momentum_step(w, g, b, a, momentum, 1.0 if first else 1 - dampening, nesterov, lr)
