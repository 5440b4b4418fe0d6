"""Rprop: only the sign of each slope, and a step size for every weight that learns from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class Rprop(Optimizer):
    """Resilient backpropagation: steps grow while a slope keeps its sign, and shrink when it turns.

    Rule         s ← clip(η₊ s, s_min, s_max) where sign(g) = p,  clip(η₋ s, s_min, s_max) where
                     sign(g) = −p, and as it was where one of both is 0; s = lr at first
                 p ← sign(g), but 0 where the sign has turned: that weight waits for one step
                 w ← w − s p
    Args         lr: the first step size of every weight; what it is later makes no difference
                     (default 1e-2)
                 etas: (η₋, η₊), 0 < η₋ < 1 < η₊ (default (0.5, 1.2))
                 step_sizes: (s_min, s_max), > 0, in order (default (1e-6, 50))
                 the others: see `Optimizer`
    Raises       ValueError: for etas or step_sizes out of order
    Source       Riedmiller & Braun 1993; without its way back, Igel & Hüsken 2000, "iRprop−"

    A sign of a small batch is noise: Rprop is for gradients of all data at once.
    """

    state: ClassVar = {"p": "prev", "s": "step_size"}
    scratch: ClassVar = ("a", "b")

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            etas=etas, step_sizes=step_sizes,
        )  # fmt: skip

    def check_options(self, options: Options) -> None:
        """Shrinking must shrink, growing must grow, and there must be sizes between the ends."""
        (shrink, grow), (least, most) = options["etas"], options["step_sizes"]
        if not shrink < 1 < grow:
            raise ValueError(f"Rprop: etas must be below and above 1, got ({shrink}, {grow})")
        if not least <= most:
            raise ValueError(f"Rprop: step_sizes must be in order, got ({least}, {most})")

    def rule(self, options: Options) -> dict[str, str]:
        """The step sizes, the signs to go by, the step."""
        return {
            "s": "s ← clip(([k = 1] lr + [k > 1] s) ([h = 0] + η₊ [h > 0] + η₋ [h < 0]), "
            "s_min, s_max),  h = p sign(g)",
            "p": "p ← sign(g) [h ≥ 0]",
            "w": "w ← w − s p",
        }

    def update(
        self, w: Array, g: Array, p: Array, s: Array, a: Array, b: Array, lr: float,
        etas: tuple[float, float], step_sizes: tuple[float, float], k: int,
    ) -> None:  # fmt: skip
        """One step by the sizes s, against the slope."""
        shrink, grow = etas
        if k == 1:
            s.fill(lr)
        np.sign(g, out=a)
        np.multiply(p, a, out=b)  # h: 1 where the sign is as it was, −1 where it has turned
        np.minimum(b, 0, out=p)
        b -= p
        b *= grow - 1  # 1 + (η₊ − 1) max(h, 0)
        b += 1
        s *= b
        np.multiply(p, 1 - shrink, out=b)  # 1 + (1 − η₋) min(h, 0)
        b += 1
        s *= b
        np.clip(s, *step_sizes, out=s)
        p += 1
        p *= a
        w -= np.multiply(s, p, out=b)
