"""Losses on the difference between prediction and target."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.losses.base import Loss, Reduction


class MSELoss(Loss):
    """Mean squared error.

    Forward      ℓ = d²,  d = p − t
    Backward     dℓ/dp = 2 d
    Shapes       prediction and target alike
    Args         reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ; nothing is broadcast
    Source       standard result
    """

    decision_threshold = 0.5  # between targets 0 and 1
    derivation: ClassVar = {"forward": "ℓ = (p − t)²", "prediction": "dℓ/dp = 2 (p − t)"}

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        d = prediction - target
        return d * d, d

    def derivative(self, d: np.ndarray) -> np.ndarray:
        return 2 * d


class MAELoss(Loss):
    """Mean absolute error.

    Forward      ℓ = |p − t|
    Backward     dℓ/dp = sign(p − t), and 0 where they are equal
    Shapes       prediction and target alike
    Args         reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ; nothing is broadcast
    Source       standard result
    """

    decision_threshold = 0.5  # between targets 0 and 1
    derivation: ClassVar = {"forward": "ℓ = |p − t|", "prediction": "dℓ/dp = sign(p − t)"}

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        d = prediction - target
        return np.abs(d), d

    def derivative(self, d: np.ndarray) -> np.ndarray:
        return np.sign(d)


class HuberLoss(Loss):
    """Squared near zero, absolute beyond δ: outliers pull with bounded force.

    Forward      ℓ = ½ d² for |d| ≤ δ, δ (|d| − ½ δ) beyond,  d = p − t
                 with c = min(|d|, δ) both are c (|d| − ½ c)
    Backward     dℓ/dp = d clipped to [−δ, δ]
    Shapes       prediction and target alike
    Args         delta: δ > 0 (default 1)
                 reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when δ is not positive, or the shapes differ
    Source       Huber 1964
    """

    decision_threshold = 0.5  # between targets 0 and 1
    derivation: ClassVar = {
        "forward": "ℓ = c (|d| − ½ c),  c = min(|d|, δ),  d = p − t",
        "prediction": "dℓ/dp = clip(p − t, −δ, δ)",
    }

    def __init__(self, delta: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.delta = delta

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        d = prediction - target
        size = np.abs(d)
        c = np.minimum(size, float(self.delta))  # a NumPy scalar would turn float32 into float64
        return c * (size - 0.5 * c), d

    def derivative(self, d: np.ndarray) -> np.ndarray:
        delta = float(self.delta)
        return np.clip(d, -delta, delta)


class LogCoshLoss(Loss):
    """A smooth absolute error.

    Forward      ℓ = log cosh d = log(1 + 2 sinh²(a/2)) + |d| − a,  d = p − t,  a = min(|d|, 80)
                 since cosh a = 1 + 2 sinh²(a/2): that keeps its digits near d = 0; beyond 80 the
                 curve is straight, and sinh² might overflow
    Backward     dℓ/dp = tanh d
    Shapes       prediction and target alike
    Args         reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ; nothing is broadcast
    Source       standard result; as in Keras
    """

    decision_threshold = 0.5  # between targets 0 and 1
    derivation: ClassVar = {
        "forward": "ℓ = log cosh(p − t)",
        "prediction": "dℓ/dp = tanh(p − t)",
    }

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        d = prediction - target
        size = np.abs(d)
        a = np.minimum(size, 80)
        s = np.sinh(0.5 * a)
        return np.log1p(2 * s * s) + (size - a), d

    def derivative(self, d: np.ndarray) -> np.ndarray:
        return np.tanh(d)


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts under a Poisson distribution, up to log t!.

    Forward      ℓ = eᵖ − t p                  with log_input: the model predicts log λ
                 ℓ = p − t log(p + ε)          without: it predicts the rate λ itself
    Backward     dℓ/dp = eᵖ − t    or    dℓ/dp = 1 − t/λ = (λ − t)/λ,  λ = p + ε
    Shapes       prediction and target alike
    Args         log_input: whether p is log λ (default True)
                 eps: ε, keeps the logarithm finite (default 1e-8)
                 reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: for negative targets, negative rates (without log_input), or when
                 the shapes differ; for ε < 0
    Source       standard result; as PyTorch's, full=False
    """

    def __init__(
        self, log_input: bool = True, eps: float = 1e-8, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.eps = eps

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        if self.log_input:
            return {"forward": "ℓ = eᵖ − t p", "prediction": "dℓ/dp = (eᵖ − t)"}
        return {"forward": "ℓ = p − t log(p + ε)", "prediction": "dℓ/dp = (1 − t / (p + ε))"}

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Targets are counts and must not be negative, nor may a rate be."""
        target = super().check(prediction, target)
        if target.min() < 0:
            raise ValueError(f"{self!r}: targets are counts and cannot be negative")
        if not self.log_input and prediction.min() < 0:
            raise ValueError(
                f"{self!r}: a rate cannot be negative; end the model in Softplus, "
                "or let it predict the logarithm (log_input=True)"
            )
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        if self.log_input:
            rate = np.exp(prediction)
            return rate - target * prediction, rate, target
        rate = prediction + float(self.eps)  # a NumPy scalar would turn float32 into float64
        return prediction - target * np.log(rate), rate, target

    def derivative(self, rate: np.ndarray, target: np.ndarray) -> np.ndarray:
        d = rate - target
        return d if self.log_input else d / rate
