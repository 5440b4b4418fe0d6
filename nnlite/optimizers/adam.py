"""Adam and its relatives: a running mean of the gradient over its running size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.optimizers.adaptive import running_mean, running_square
from nnlite.optimizers.base import Optimizer, Vectors
from nnlite.optimizers.groups import Group, Options, Schedule


class _Moments(Optimizer):
    """What the family shares: the running mean m of the gradient and v of its square."""

    def state_names(self, options: Options) -> tuple[str, ...]:
        """The moments m and v."""
        return ("exp_avg", "exp_avg_sq")

    def moments(
        self, g: np.ndarray, m: np.ndarray, v: np.ndarray, a: np.ndarray, options: Options
    ) -> None:
        """M ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g²."""
        beta1, beta2 = options["betas"]
        running_mean(m, g, beta1, a)
        running_square(v, g, beta2, a)


class Adam(_Moments):
    """Adaptive moment estimation.

    Rule         m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
                 m̂ = m / (1 − β₁ᵏ);  v̂ = v / (1 − β₂ᵏ), since both began at zero
                 w ← w − lr m̂ / (√v̂ + ε)
                 AMSGrad: the largest v so far in place of v
    Args         parameters: what to train
                 lr: learning rate or schedule (default 1e-3)
                 betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-8)
                 weight_decay: L2 decay (default 0)
                 amsgrad: whether v may not shrink (default False)
                 clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Kingma & Ba 2015, algorithm 1; AMSGrad: Reddi et al. 2018, algorithm 2
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.0,
        amsgrad: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value,
            betas=betas, eps=eps, amsgrad=amsgrad,
        )  # fmt: skip

    def state_names(self, options: Options) -> tuple[str, ...]:
        """The moments, and for AMSGrad the largest v."""
        names = super().state_names(options)
        return (*names, "max_exp_avg_sq") if options["amsgrad"] else names

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step along m̂ / √v̂."""
        w, g, (m, v, *largest), (a,) = vectors
        self.moments(g, m, v, a, options)
        if largest:
            v = np.maximum(largest[0], v, out=largest[0])
        beta1, beta2 = options["betas"]
        # m̂ / (√v̂ + ε) = c/(1 − β₁ᵏ) · m / (√v + ε c) with c = √(1 − β₂ᵏ): one pass less
        c = math.sqrt(1 - beta2**k)
        np.sqrt(v, out=a)
        a += options["eps"] * c
        np.divide(m, a, out=a)
        a *= options["lr"] * c / (1 - beta1**k)
        w -= a


class AdamW(Adam):
    """Adam with decoupled weight decay: the weights shrink by themselves, not through m and v.

    Rule         w ← w − lr λ w, then Adam's rule
    Args         those of `Adam`, with weight_decay λ = 0.01 by default
    Raises       ValueError: for options out of range
    Source       Loshchilov & Hutter 2019, algorithm 2
    """

    decoupled: ClassVar[bool] = True

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.01,
        amsgrad: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad, clip_norm, clip_value)


class NAdam(_Moments):
    """Adam with Nesterov's look-ahead.

    Rule         m, v as in Adam;  μₖ = β₁ (1 − ½ 0.96^(k ψ));  Πₖ = μ₁ μ₂ … μₖ
                 w ← w − lr ( (1 − μₖ)/(1 − Πₖ) g + μₖ₊₁/(1 − Πₖ₊₁) m ) / (√v̂ + ε)
    Args         parameters: what to train
                 lr: learning rate or schedule (default 2e-3)
                 betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-8)
                 weight_decay: L2 decay (default 0)
                 momentum_decay: ψ ≥ 0 (default 4e-3)
                 clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Dozat 2016, algorithm 2
    """

    scratch_arrays: ClassVar[int] = 2

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.0,
        momentum_decay: float = 4e-3,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value,
            betas=betas, eps=eps, momentum_decay=momentum_decay,
        )  # fmt: skip
        self._products: dict[tuple[float, float], tuple[int, float]] = {}

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step along a mix of the gradient and the mean ahead."""
        w, g, (m, v), (a, b) = vectors
        self.moments(g, m, v, a, options)
        (beta1, beta2), psi = options["betas"], options["momentum_decay"]
        mu, mu_next = _momentum(beta1, psi, k), _momentum(beta1, psi, k + 1)
        product = self._product(beta1, psi, k)
        np.sqrt(v, out=a)
        a *= 1 / math.sqrt(1 - beta2**k)
        a += options["eps"]
        np.multiply(g, options["lr"] * (1 - mu) / (1 - product), out=b)
        b /= a
        w -= b
        np.multiply(m, options["lr"] * mu_next / (1 - product * mu_next), out=b)
        b /= a
        w -= b

    def _product(self, beta1: float, psi: float, k: int) -> float:
        """Πₖ; the last one is kept, so that each step adds one factor."""
        done, product = self._products.get((beta1, psi), (0, 1.0))
        if done > k:
            done, product = 0, 1.0
        for step in range(done + 1, k + 1):
            product *= _momentum(beta1, psi, step)
        self._products[beta1, psi] = (k, product)
        return product


def _momentum(beta1: float, psi: float, k: int) -> float:
    """μₖ = β₁ (1 − ½ 0.96^(k ψ))."""
    return beta1 * (1 - 0.5 * 0.96 ** (k * psi))


class RAdam(_Moments):
    """Adam that trusts v only once its variance is known well enough, a built-in warm-up.

    Rule         m, v, m̂ as in Adam;  ρ∞ = 2/(1 − β₂) − 1;  ρ = ρ∞ − 2 k β₂ᵏ/(1 − β₂ᵏ)
                 ρ > 5:  w ← w − lr r m̂ √(1 − β₂ᵏ)/(√v + ε),
                         r = √( (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ) )
                 else:   w ← w − lr m̂
    Args         parameters: what to train
                 lr: learning rate or schedule (default 1e-3)
                 betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-8)
                 weight_decay: L2 decay (default 0)
                 clip_norm, clip_value: see `Optimizer`
    Raises       ValueError: for options out of range
    Source       Liu et al. 2020, algorithm 2
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, clip_norm, clip_value, betas=betas, eps=eps)

    def update(self, vectors: Vectors, options: Options, k: int) -> None:
        """One step along m̂, rectified."""
        w, g, (m, v), (a,) = vectors
        self.moments(g, m, v, a, options)
        beta1, beta2 = options["betas"]
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * k * beta2**k / (1 - beta2**k)
        rate = options["lr"] / (1 - beta1**k)
        if rho <= 5:
            w -= np.multiply(m, rate, out=a)
            return
        r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        np.sqrt(v, out=a)
        a += options["eps"]
        np.divide(m, a, out=a)
        a *= rate * r * math.sqrt(1 - beta2**k)
        w -= a
