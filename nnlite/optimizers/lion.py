"""Lion: only the sign of the momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import lion_step
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class Lion(Optimizer):
    """Evolved sign momentum: every weight moves by the same amount, lr.

    Rule         u = sign(β₁ m + (1 − β₁) g);  w ← w − lr (u + λ w);  m ← β₂ m + (1 − β₂) g
    Args         betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.99))
                 the others: see `Optimizer`; lr (default 1e-4) is 3 to 10 times smaller than
                     Adam's, and the weight decay λ is decoupled
    Source       Chen et al. 2023, algorithm 2
    """

    decoupled: ClassVar[bool] = True
    state: ClassVar = {"m": "exp_avg"}

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm, clip_value, maximize, betas=betas)

    def rule(self, options: Options) -> dict[str, str]:
        """The sign of one mean, and another mean to keep."""
        return {
            "u": "u = sign(β₁ m + (1 − β₁) g)",
            "m": "m ← β₂ m + (1 − β₂) g",
            "w": "w ← w − lr u",
        }

    def update(
        self, w: Array, g: Array, m: Array, a: Array, lr: float, betas: tuple[float, float]
    ) -> None:
        """One step of size lr along the sign."""
        beta1, beta2 = betas
        lion_step(w, g, m, a, beta1, beta2, lr)
