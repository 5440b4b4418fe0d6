"""Lion: only the sign of the momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.optimizers.adaptive import running_mean
from nnlite.optimizers.base import Optimizer, Vectors
from nnlite.optimizers.groups import Group, Options, Schedule


class Lion(Optimizer):
    """Evolved sign momentum: every weight moves by the same amount, lr.

    Rule         u = sign(β₁ m + (1 − β₁) g);  w ← w − lr (u + λ w);  m ← β₂ m + (1 − β₂) g
    Args         parameters: what to train
                 lr: learning rate or schedule, 3 to 10 times smaller than Adam's (default 1e-4)
                 betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.99))
                 weight_decay: λ, decoupled (default 0)
                 clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Chen et al. 2023, algorithm 2
    """

    decoupled: ClassVar[bool] = True

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm, clip_value, betas=betas)

    def state_names(self, options: Options) -> tuple[str, ...]:
        """The momentum m."""
        return ("exp_avg",)

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step of size lr along the sign."""
        w, g, (m,), (a,) = vectors
        beta1, beta2 = options["betas"]
        np.subtract(g, m, out=a)
        a *= 1 - beta1
        a += m
        np.sign(a, out=a)
        a *= options["lr"]
        w -= a
        running_mean(m, g, beta2, a)
