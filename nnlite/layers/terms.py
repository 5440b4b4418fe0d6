"""Layers that add a term to the loss: a penalty on activations, and the KL divergence of a VAE.

The term counts inside `nn.loss_terms()`, where `Trainer` runs the model; see `core/terms.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.padded import Padded, data_and_lengths, ended, within
from nnlite.core.random import Rng, as_generator
from nnlite.core.ranks import drawn
from nnlite.core.reading import Reading
from nnlite.core.terms import loss_terms
from nnlite.layers.base import Layer


class ActivityRegularization(Layer):
    """Keep what passes small or sparse: the identity, with a penalty on x in the loss.

    Forward      y = x, and inside `nn.loss_terms()` the loss has one term more,
                 P = (λ₁ Σ |x| + λ₂ Σ x²) / N
    Backward     dL/dx = G + c (λ₁ sign x + 2 λ₂ x) / N,  c = dL/dP, which is 1 as a rule, and 0
                 outside `nn.loss_terms()`; sign 0 = 0, one of the slopes that |x| has there
    Shapes       any, y like x; `Padded` sequences, whose padding does not count
    Saves        x
    Args         l1: λ₁ ≥ 0, which makes many values exactly 0 behind a ReLU (default 0)
                 l2: λ₂ ≥ 0, which keeps them small (default 0)
    Raises       ValueError: when λ₁ or λ₂ is negative, or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Keras's layer of this name; Glorot et al. 2011, "Deep Sparse Rectifier Neural
                 Networks", section 3.2

    P is a mean over the N rows of the batch, whatever their sample weights. In the history it is
    the column `activity`, and part of `loss`; in validation too.
    """

    term = "activity"
    accepts_padded = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = l1
        self.l2 = l2

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        slopes = ["λ₁ sign x"] * (self.l1 > 0) + ["2 λ₂ x"] * (self.l2 > 0)
        term = f" + c ({' + '.join(slopes)}) / N,  c = dL/dP" if slopes else ""
        return {"forward": "y = x", "input": f"dL/dx = G{term}"}

    def reading(self, x: Any = None, lengths: Any = None, terms: Any = None) -> Reading:
        return Reading(values={"c": 0.0 if terms is None else terms.grad})

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        self.check_floating(data)
        data = within(data, lengths)
        terms = loss_terms.current()
        if terms is not None:
            terms.add(self.term, self._penalty(data) / max(len(data), 1))
        self.save_for_backward(data, lengths, terms)
        return ended(data, lengths)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        x, lengths, terms = self.saved()
        self.check_grad_output(grad_output, x.shape)
        d_x = within(grad_output, lengths)
        if terms is not None:
            c = terms.grad / max(len(x), 1)
            d_x = d_x + c * self.l1 * np.sign(x) + c * 2 * self.l2 * x
        return d_x

    def _penalty(self, x: np.ndarray) -> float:
        return float(self.l1 * np.abs(x).sum() + self.l2 * np.square(x).sum())


class GaussianSample(Layer):
    """Draw from a normal distribution whose mean and variance the layers before have computed.

    The middle of a variational autoencoder: an encoder gives a mean μ and u = log σ² of each code,
    a decoder turns the code back. Drawing from N(μ, σ²) has no slope; with the draw written as
    μ + σ ε, ε from N(0, 1), it has one in μ and in σ (the reparameterization trick).

    Forward      y = μ + s ⊙ ε,  [μ, u] = x, s = √eᵘ; in eval mode y = μ. Inside
                 `nn.loss_terms()` the loss has one term more, β times the divergence of N(μ, σ²)
                 from N(0, 1), a mean over the N rows:
                 P = β/2N Σ (μ² + eᵘ − u − 1)
                 because KL = ∫ q log q − ∫ q log p, where ∫ q log q = −½ (log 2π + u + 1) and
                 ∫ q log p = −½ (log 2π + μ² + eᵘ), for each entry of the code
    Backward     with c = dL/dP, which is 1 as a rule, and 0 outside `nn.loss_terms()`
                 dL/dμ = G + c β μ / N
                 dL/du = ½ G ⊙ ε ⊙ s + c β (eᵘ − 1) / 2N
                 because ∂y/∂u = ε ∂s/∂u and s = e^(u/2)  ⇒  ∂s/∂u = s/2
                 dL/dx = [dL/dμ, dL/du]
    Shapes       x (N, …, 2K) → y (N, …, K), means first, then logarithms of variances; `Padded`
                 sequences, whose padding does not count
    Saves        μ, u, s, ε (None in eval mode)
    Args         beta: β ≥ 0, the weight of the divergence (default 1: the paper's bound, for a
                 loss that is a sum over the values of a row. Beside a loss that is their mean,
                 over D values, the same bound has β = 1/D)
                 rng: a generator or seed for ε (default: see `nn.seed`)
    Raises       ValueError: when β is negative, x's last axis odd, or G not in y's shape
                 TypeError: when x does not hold floats
    Source       Kingma & Welling 2014, "Auto-Encoding Variational Bayes", section 2.4 and
                 appendix B; β: Higgins et al. 2017, "beta-VAE"

    In the history P is the column `kl`, and part of `loss`; in validation too.
    """

    term = "kl"
    accepts_padded = True

    def __init__(self, beta: float = 1.0, rng: Rng = None) -> None:
        self.beta = beta
        self.rng = as_generator(rng)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        term_mean, term_u = " + c β μ / N", " + c β (eᵘ − 1) / (2 N)"
        if self.training:
            return {
                "forward": "y = μ + s ⊙ ε,  [μ, u] = x, s = √eᵘ",
                "input": f"dL/dx = [G{term_mean}, ½ G ⊙ ε ⊙ s{term_u}],  c = dL/dP",
            }
        return {
            "forward": "y = μ,  [μ, u] = x",
            "input": f"dL/dx = [G{term_mean}, 0 G{term_u}],  c = dL/dP",
        }

    def reading(
        self, mean: Any = None, u: Any = None, s: Any = None, noise: Any = None,
        lengths: Any = None, terms: Any = None,
    ) -> Reading:  # fmt: skip
        c = 0.0 if terms is None else terms.grad
        return Reading(values={"μ": mean, "u": u, "s": s, "ε": noise, "c": c})

    def forward(self, x: np.ndarray | Padded) -> Any:
        data, lengths = data_and_lengths(x)
        self.check_floating(data)
        leading = 1 if lengths is None else 2
        if data.ndim <= leading or data.shape[-1] % 2:
            axes = ", ".join(["N", "T"][:leading])
            raise ValueError(
                f"{self!r}: expected ({axes}, …, 2K), K means and K logarithms of variances, got "
                f"{data.shape}"
            )
        mean, u = np.split(within(data, lengths), 2, axis=-1)  # each (N, …, K)
        y, s, noise = mean, None, None
        if self.training:
            s = np.exp(0.5 * u)
            # the same for every dtype
            noise = drawn(self.rng.standard_normal, mean.shape, np.float32)
            noise = noise.astype(mean.dtype, copy=False)
            y = mean + s * noise
        terms = loss_terms.current()
        if terms is not None:
            divergence = 0.5 * float((np.square(mean) + (np.expm1(u) - u)).sum())
            terms.add(self.term, self.beta * divergence / max(len(mean), 1))
        self.save_for_backward(mean, u, s, noise, lengths, terms)
        return ended(y, lengths)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        mean, u, s, noise, lengths, terms = self.saved()
        self.check_grad_output(grad_output, mean.shape)
        d_mean = within(grad_output, lengths)
        d_u = np.zeros_like(u) if noise is None else 0.5 * d_mean * noise * s
        if terms is not None:
            c = terms.grad * self.beta / max(len(mean), 1)
            d_mean = d_mean + c * mean
            d_u = d_u + c * 0.5 * np.expm1(u)
        return np.concatenate([d_mean, d_u], axis=-1)
