"""Adam and its relatives: a running mean of the gradient over its running size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import adam_step, nadam_step, running_mean, running_square
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule

MOMENTS = {"m": "m ← β₁ m + (1 − β₁) g", "v": "v ← β₂ v + (1 − β₂) g²"}


class Adam(Optimizer):
    """Adaptive moment estimation.

    Rule         m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²
                 m̂ = m / (1 − β₁ᵏ);  v̂ = v / (1 − β₂ᵏ), since both began at zero
                 w ← w − lr m̂ / (√v̂ + ε)
                 AMSGrad: the largest v so far in place of v
    Args         betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-8)
                 amsgrad: whether v may not shrink (default False)
                 the others: see `Optimizer`; lr is 1e-3 by default
    Source       Kingma & Ba 2015, algorithm 1; AMSGrad: Reddi et al. 2018, algorithm 2
    """

    state: ClassVar = {"m": "exp_avg", "v": "exp_avg_sq"}
    fading: ClassVar = ("m",)
    state_if: ClassVar = {"amsgrad": {"v_max": "max_exp_avg_sq"}}

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
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            betas=betas, eps=eps, amsgrad=amsgrad,
        )  # fmt: skip

    def rule(self, options: Options) -> dict[str, str]:
        """Of AMSGrad, with v_max in the place of v."""
        lines = {**MOMENTS}
        if options["amsgrad"]:
            lines["v_max"] = "v_max ← max(v_max, v)"
        v = "v_max" if options["amsgrad"] else "v"
        lines["w"] = f"w ← w − lr m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁ᵏ),  v̂ = {v} / (1 − β₂ᵏ)"
        return lines

    def update(
        self, w: Array, g: Array, m: Array, v: Array, v_max: Array | None, a: Array,
        lr: float, betas: tuple[float, float], eps: float, k: int,
    ) -> None:  # fmt: skip
        """One step along m̂ / √v̂."""
        corrected_step(w, g, m, v, v_max, a, lr, betas, eps, k)


def corrected_step(
    w: Array, g: Array, m: Array, v: Array, v_max: Array | None, a: Array,
    lr: float, betas: tuple[float, float], eps: float, k: int,
) -> None:  # fmt: skip
    """Adam's step number k: in place, m and v move on, and w along m̂ / (√v̂ + ε)."""
    beta1, beta2 = betas
    # m̂ / (√v̂ + ε) = c/(1 − β₁ᵏ) · m / (√v + ε c) with c = √(1 − β₂ᵏ): one pass less
    c = math.sqrt(1 - beta2**k)
    adam_step(w, g, m, v, v_max, a, beta1, beta2, eps * c, lr * c / (1 - beta1**k))


class AdamW(Adam):
    """Adam with decoupled weight decay: the weights shrink by themselves, not through m and v.

    Rule         w ← w − lr λ w, then Adam's rule
    Args         those of `Adam`, with weight_decay λ = 0.01 by default
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
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas, eps, weight_decay, amsgrad, clip_norm, clip_value, maximize
        )


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean size: the limit p → ∞ of its p-norm.

    Rule         m ← β₁ m + (1 − β₁) g;  u ← max(β₂ u, |g| + ε)
                 w ← w − lr m̂ / u,  m̂ = m / (1 − β₁ᵏ)
                 because v = (1 − β₂ᵖ) Σⱼ β₂^(p (k − j)) |gⱼ|ᵖ has v^(1/p) → maxⱼ β₂^(k − j) |gⱼ|;
                 u needs no correction: a maximum does not lean towards the zero it began at
    Args         betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε, keeps u from 0 (default 1e-8)
                 the others: see `Optimizer`; lr is 2e-3 by default
    Source       Kingma & Ba 2015, algorithm 2; the place of ε is PyTorch's
    """

    state: ClassVar = {"m": "exp_avg", "u": "exp_inf"}
    fading: ClassVar = ("m",)

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize, betas=betas, eps=eps
        )

    def rule(self, options: Options) -> dict[str, str]:
        """The mean over the maximum."""
        return {
            "m": MOMENTS["m"],
            "u": "u ← max(β₂ u, |g| + ε)",
            "w": "w ← w − lr m̂ / u,  m̂ = m / (1 − β₁ᵏ)",
        }

    def update(
        self, w: Array, g: Array, m: Array, u: Array, a: Array,
        lr: float, betas: tuple[float, float], eps: float, k: int,
    ) -> None:  # fmt: skip
        """One step along m̂ / u."""
        beta1, beta2 = betas
        running_mean(m, g, beta1, a)
        np.abs(g, out=a)
        a += eps
        u *= beta2
        np.maximum(u, a, out=u)
        np.divide(m, u, out=a)
        a *= lr / (1 - beta1**k)
        w -= a


class NAdam(Optimizer):
    """Adam with Nesterov's look-ahead.

    Rule         m, v as in Adam;  μₖ = β₁ (1 − ½ 0.96^(k ψ));  Πₖ = μ₁ μ₂ … μₖ
                 w ← w − lr ( (1 − μₖ)/(1 − Πₖ) g + μₖ₊₁/(1 − Πₖ₊₁) m ) / (√v̂ + ε)
    Args         betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-8)
                 momentum_decay: ψ ≥ 0 (default 4e-3)
                 the others: see `Optimizer`; lr is 2e-3 by default
    Source       Dozat 2016, algorithm 2
    """

    state: ClassVar = {"m": "exp_avg", "v": "exp_avg_sq"}
    fading: ClassVar = ("m",)
    scratch: ClassVar = ("a", "b")

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
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            betas=betas, eps=eps, momentum_decay=momentum_decay,
        )  # fmt: skip
        self._products: dict[tuple[float, float], tuple[int, float]] = {}

    def rule(self, options: Options) -> dict[str, str]:
        """With μ of this step and μ′ of the next."""
        return {
            **MOMENTS,
            "Π": "Π ← Π μ,  μ = β₁ (1 − ½ 0.96^(k ψ)),  Π = 1 before the first step",
            "w": "w ← w − lr ((1 − μ) g / (1 − Π) + μ′ m / (1 − Π μ′)) / (√v̂ + ε),  "
            "μ′ = β₁ (1 − ½ 0.96^((k + 1) ψ)),  v̂ = v / (1 − β₂ᵏ)",
        }

    def update(
        self, w: Array, g: Array, m: Array, v: Array, a: Array, b: Array,
        lr: float, betas: tuple[float, float], eps: float, momentum_decay: float, k: int,
    ) -> None:  # fmt: skip
        """One step along a mix of the gradient and the mean ahead."""
        (beta1, beta2), psi = betas, momentum_decay
        mu, mu_next = _momentum(beta1, psi, k), _momentum(beta1, psi, k + 1)
        product = self._product(beta1, psi, k)
        nadam_step(
            w, g, m, v, a, b, beta1, beta2, eps, 1 / math.sqrt(1 - beta2**k),
            rate_g=lr * (1 - mu) / (1 - product), rate_m=lr * mu_next / (1 - product * mu_next),
        )  # fmt: skip

    def rule_numbers(self, options: Options, k: int) -> dict[str, float]:
        """Π before the step."""
        return {"Π": self._product(options["betas"][0], options["momentum_decay"], k - 1)}

    def _product(self, beta1: float, psi: float, k: int) -> float:
        """Πₖ; the last one is kept, so that each step adds one factor."""
        done, product = self._products.get((beta1, psi), (0, 1.0))
        if done > k:
            done, product = 0, 1.0
        for step in range(done + 1, k + 1):
            product *= _momentum(beta1, psi, step)
            if product == 0:  # and stays so, however far it is to k
                break
        self._products[beta1, psi] = (k, product)
        return product


def _momentum(beta1: float, psi: float, k: int) -> float:
    """μₖ = β₁ (1 − ½ 0.96^(k ψ))."""
    return beta1 * (1 - 0.5 * 0.96 ** (k * psi))


class NAdamW(NAdam):
    """NAdam with decoupled weight decay, as AdamW has it.

    Rule         w ← w − lr λ w, then NAdam's rule
    Args         those of `NAdam`, with weight_decay λ = 0.01 by default
    Source       Loshchilov & Hutter 2019, section 3; PyTorch's `decoupled_weight_decay=True`
    """

    decoupled: ClassVar[bool] = True

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.01,
        momentum_decay: float = 4e-3,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            betas,
            eps,
            weight_decay,
            momentum_decay,
            clip_norm,
            clip_value,
            maximize,
        )


class RAdam(Optimizer):
    """Adam that trusts v only once its variance is known well enough, a built-in warm-up.

    Rule         m, v, m̂ as in Adam;  ρ∞ = 2/(1 − β₂) − 1;  ρ = ρ∞ − 2 k β₂ᵏ/(1 − β₂ᵏ)
                 ρ > 5:  w ← w − lr r m̂ √(1 − β₂ᵏ)/(√v + ε),
                         r = √( (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ) )
                 else:   w ← w − lr m̂
    Args         betas: (β₁, β₂), each in [0, 1) (default (0.9, 0.999))
                 eps: ε (default 1e-8)
                 the others: see `Optimizer`; lr is 1e-3 by default
    Source       Liu et al. 2020, algorithm 2
    """

    state: ClassVar = {"m": "exp_avg", "v": "exp_avg_sq"}
    fading: ClassVar = ("m",)

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize, betas=betas, eps=eps
        )

    def rule(self, options: Options) -> dict[str, str]:
        """Both cases in one line: r is 0 while ρ ≤ 5."""
        return {
            **MOMENTS,
            "w": "w ← w − lr m̂ ([ρ ≤ 5] + r √(1 − β₂ᵏ) / (√v + ε)),  m̂ = m / (1 − β₁ᵏ),  "
            "r = √([ρ > 5] (ρ − 4) (ρ − 2) ρ_max / ((ρ_max − 4) (ρ_max − 2) ρ)),  "
            "ρ = ρ_max − 2 k β₂ᵏ / (1 − β₂ᵏ),  ρ_max = 2 / (1 − β₂) − 1",
        }

    def update(
        self, w: Array, g: Array, m: Array, v: Array, a: Array,
        lr: float, betas: tuple[float, float], eps: float, k: int,
    ) -> None:  # fmt: skip
        """One step along m̂, rectified."""
        beta1, beta2 = betas
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * k * beta2**k / (1 - beta2**k)
        rate = lr / (1 - beta1**k)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            rectified = rate * r * math.sqrt(1 - beta2**k)
            adam_step(w, g, m, v, None, a, beta1, beta2, eps, rectified)
            return
        running_mean(m, g, beta1, a)
        running_square(v, g, beta2, a)
        w -= np.multiply(m, rate, out=a)


class RAdamW(RAdam):
    """RAdam with decoupled weight decay, as AdamW has it.

    Rule         w ← w − lr λ w, then RAdam's rule
    Args         those of `RAdam`, with weight_decay λ = 0.01 by default
    Source       Loshchilov & Hutter 2019, section 3; PyTorch's `decoupled_weight_decay=True`
    """

    decoupled: ClassVar[bool] = True

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Schedule = 0.01,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, clip_norm, clip_value, maximize)
