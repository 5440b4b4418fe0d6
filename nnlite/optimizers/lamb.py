"""LAMB: Adam, with steps as long as each parameter is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import running_mean, running_square
from nnlite.optimizers.adam import MOMENTS
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class LAMB(Optimizer):
    """Layerwise adaptive moments, for large batches: each parameter moves by the share lr of it.

    Rule         m, v, m̂, v̂ as in Adam;  u = m̂ / (√v̂ + ε) + λ w
                 w ← w − lr (‖w‖ / ‖u‖) u, of each parameter by itself; the quotient is 1 where
                 one of the norms is 0, as at the first step of a bias
    Args         betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-6)
                 the others: see `Optimizer`; lr is 1e-3 by default. The weight decay λ turns the
                     step and does not lengthen it: it is neither L2 nor decoupled
    Source       You et al. 2020, algorithm 2, with φ(z) = z
    """

    own_decay: ClassVar[bool] = True
    whole: ClassVar[bool] = True
    state: ClassVar = {"m": "exp_avg", "v": "exp_avg_sq"}
    fading: ClassVar = ("m",)
    scratch: ClassVar = ("a", "u")

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize, betas=betas, eps=eps
        )

    def rule(self, options: Options) -> dict[str, str]:
        """Adam's direction, in the length of w."""
        decay = " + λ w" if options["weight_decay"] != 0 else ""
        return {
            **MOMENTS,
            "w": "w ← w − lr q u,  q = ‖w‖ / ‖u‖,  but 1 where one is 0,  "
            f"u = m̂ / (√v̂ + ε){decay},  m̂ = m / (1 − β₁ᵏ),  v̂ = v / (1 − β₂ᵏ)",
        }

    def update(
        self, w: Array, g: Array, m: Array, v: Array, a: Array, u: Array,
        lr: float, betas: tuple[float, float], eps: float, weight_decay: float, k: int,
    ) -> None:  # fmt: skip
        """One step along u, as long as lr ‖w‖."""
        beta1, beta2 = betas
        running_mean(m, g, beta1, a)
        running_square(v, g, beta2, a)
        c = math.sqrt(1 - beta2**k)
        np.sqrt(v, out=a)
        a += eps * c
        np.divide(m, a, out=u)
        u *= c / (1 - beta1**k)
        if weight_decay:
            u += np.multiply(w, weight_decay, out=a)
        length, way = float(np.linalg.norm(w)), float(np.linalg.norm(u))
        u *= lr * length / way if length and way else lr
        w -= u
