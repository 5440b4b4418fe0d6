"""ASGD: gradient descent, and the mean of where it has been."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import running_mean
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class ASGD(Optimizer):
    """Averaged stochastic gradient descent, with a rate that falls as its theory asks.

    Rule         η = lr / (1 + λ₀ lr (k − 1))^α;  w ← w − η (g + λ₀ w)
                 x ← x + μ (w − x),  μ = 1 / max(1, k − 1 − t₀)
                 so that x is w up to step t₀ + 2, and the mean of all w after that: the noise of
                 single steps averages out, and x is as near to the lowest point as any method gets
    Args         lambd: λ₀ ≥ 0, a weight decay that the falling rate goes with (default 1e-4)
                 alpha: α > 0, how fast the rate falls (default 0.75)
                 t0: t₀ ≥ 0, after how many steps to average (default 1e6)
                 the others: see `Optimizer`; lr is 1e-2 by default
    Source       Polyak & Juditsky 1992, section 2; the rate is Bottou's, the form PyTorch's

    The mean is "ax" in the state, `optimizer.state_dict()["parameters"]`, in the parameters' order.
    """

    state: ClassVar = {"x": "ax"}

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            lambd=lambd, alpha=alpha, t0=t0,
        )  # fmt: skip

    def rule(self, options: Options) -> dict[str, str]:
        """The step, and the mean of the weights."""
        return {
            "w": "w ← w − η (g + λ₀ w),  η = lr / (1 + λ₀ lr (k − 1))^α",
            "x": "x ← x + (w − x) / max(1, k − 1 − t₀)",
        }

    def update(
        self, w: Array, g: Array, x: Array, a: Array,
        lr: float, lambd: float, alpha: float, t0: float, k: int,
    ) -> None:  # fmt: skip
        """One step down, and one towards the mean."""
        rate = lr / (1 + lambd * lr * (k - 1)) ** alpha
        w *= 1 - lambd * rate
        w -= np.multiply(g, rate, out=a)
        seen = k - 1 - t0
        if seen <= 1:  # μ = 1
            np.copyto(x, w)
        else:
            running_mean(x, w, 1 - 1 / seen, a)
