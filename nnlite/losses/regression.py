"""Losses on the difference between prediction and target."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

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
                 with full, plus log t! ≈ t log t − t + ½ log 2πt where t > 1 (Stirling)
    Backward     dℓ/dp = eᵖ − t    or    dℓ/dp = 1 − t/λ = (λ − t)/λ,  λ = p + ε
    Shapes       prediction and target alike
    Args         log_input: whether p is log λ (default True)
                 eps: ε, keeps the logarithm finite (default 1e-8)
                 reduction: "mean" (over all values, default), "sum" or "none"
                 full: whether to add the term that only the target decides (default False)
    Raises       ValueError: for negative targets, negative rates (without log_input), or when
                 the shapes differ; for ε < 0
    Source       standard result; as PyTorch's
    """

    def __init__(
        self,
        log_input: bool = True,
        eps: float = 1e-8,
        reduction: Reduction = "mean",
        full: bool = False,
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.eps = eps
        self.full = full

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        more, meaning = "", ""
        if self.full:
            more, meaning = " + [t > 1] (s log s − s + ½ log(2 π s))", ",  s = max(t, 1)"
        if self.log_input:
            return {"forward": f"ℓ = eᵖ − t p{more}{meaning}", "prediction": "dℓ/dp = (eᵖ − t)"}
        return {
            "forward": f"ℓ = p − t log(p + ε){more}{meaning}",
            "prediction": "dℓ/dp = (1 − t / (p + ε))",
        }

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Targets are counts and must not be negative, nor may a rate be."""
        target = super().check(prediction, target)
        if target.min() < 0:
            raise ValueError(
                f"{self!r}: targets are counts and cannot be negative, got {target.min():.4g}"
            )
        if not self.log_input and prediction.min() < 0:
            raise ValueError(
                f"{self!r}: a rate cannot be negative, got {prediction.min():.4g}; end the "
                "model in Softplus, or let it predict the logarithm (log_input=True)"
            )
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        if self.log_input:
            rate = np.exp(prediction)
            values = rate - target * prediction
        else:
            rate = prediction + float(self.eps)  # a NumPy scalar would turn float32 into float64
            values = prediction - target * np.log(rate)
        if self.full:
            t = np.maximum(target, 1)
            stirling = t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t)
            values = values + np.where(target > 1, stirling, 0)
        return values, rate, target

    def derivative(self, rate: np.ndarray, target: np.ndarray) -> np.ndarray:
        d = rate - target
        return d if self.log_input else d / rate


class GaussianNLLLoss(Loss):
    """Negative log-likelihood under a normal distribution whose variance is predicted as well.

    Forward      ℓ = ½ (log v + d²/v),  d = μ − t,  v = max(σ², ε); with full, + ½ log 2π
    Backward     dℓ/dμ = d/v        dℓ/dσ² = ½ (1/v − d²/v²) = ½ (v − d²)/v²
                 The bound ε is not differentiated: a variance below it has the slope at ε, so that
                 it can grow again. Where σ² stands for several values, its gradient is their sum
    Shapes       prediction a tuple (μ, σ²), μ in the target's shape, σ² too or with size 1 along
                 some axes
    Args         full: whether to add the constant (default False)
                 eps: ε > 0 (default 1e-6)
                 reduction: "mean" (over all values, default), "sum" or "none"
    Raises       TypeError: when the prediction is not a tuple
                 ValueError: when the shapes differ, or a variance is negative
    Source       Nix & Weigend 1994; as PyTorch's

    A variance is positive: let the model predict it through `Softplus`.
    """

    decision_threshold = 0.5  # between targets 0 and 1
    takes_several = True
    _shared: tuple[int, ...] = ()  # the axes along which the last call's variances were shared

    def __init__(
        self, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        more = " + ½ log(2 π)" if self.full else ""
        added = "Σ " if self._shared else ""
        return {
            "forward": f"ℓ = ½ (log v + (μ − t)² / v){more},  v = max(σ², ε)",
            "mean": "dℓ/dμ = (μ − t) / v",
            "variance": f"dℓ/dσ² = {added}½ (v − (μ − t)²) / v²",
        }

    def check(self, prediction: Any, target: np.ndarray) -> np.ndarray:
        """The variances must fit the means, and not be negative."""
        variance = prediction[1] if isinstance(prediction, tuple) and len(prediction) == 2 else None
        if isinstance(variance, np.ndarray) and isinstance(prediction[0], np.ndarray):
            shape = prediction[0].shape
            fits = variance.ndim == len(shape) and all(
                size in (1, full) for size, full in zip(variance.shape, shape, strict=True)
            )
            if fits:
                prediction = prediction[0], np.broadcast_to(variance, shape)
        mean, variance = self.check_several(prediction, "mean, variance")
        if variance.min() < 0:
            raise ValueError(
                f"{self!r}: a variance cannot be negative, got {variance.min():.4g}; let the model "
                "predict it through Softplus"
            )
        return super().check(mean, target)

    def function(self, prediction: Any, target: np.ndarray) -> tuple[Any, ...]:
        mean, variance = prediction
        self._shared = tuple(
            axis for axis, size in enumerate(variance.shape) if size < mean.shape[axis]
        )
        d, v = mean - target, np.maximum(variance, float(self.eps))
        values = 0.5 * (np.log(v) + d * d / v)
        if self.full:
            values = values + 0.5 * math.log(2 * math.pi)
        return values, d, v

    def derivative(self, d: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
        return d / v, 0.5 * (v - d * d) / (v * v)

    def backward(self, grad_output: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """(dL/dμ, dL/dσ²), the second one summed over the values that share a variance."""
        d_mean, d_variance = super().backward(grad_output)
        if self._shared:
            d_variance = d_variance.sum(axis=self._shared, keepdims=True)
        return d_mean, d_variance

    def for_metrics(
        self, prediction: Any, target: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Metrics are given the means."""
        return prediction[0], target, sample_weight


class QuantileLoss(Loss):
    """Pulls the prediction to a quantile of the targets: too low and too high cost differently.

    Forward      ℓ = max(q d, (q − 1) d),  d = t − p
    Backward     dℓ/dp = −q where p < t,  1 − q where p > t,  and 0 where they are equal
                 The mean slope is 0 where a share q of the targets lies below p
    Shapes       prediction and target alike
    Args         q: the quantile, between 0 and 1; a number, or one for each entry of the last axis
                 (default 0.5: half the absolute error, for the median)
                 reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, q's too, or q leaves (0, 1)
    Source       Koenker & Bassett 1978
    """

    derivation: ClassVar = {
        "forward": "ℓ = max(q (t − p), (q − 1) (t − p))",
        "prediction": "dℓ/dp = ([p > t] − q [p ≠ t])",
    }

    def __init__(self, q: float | ArrayLike = 0.5, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.q = q

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """One quantile, or one for each entry of the last axis."""
        target = super().check(prediction, target)
        shape = np.asarray(self.q).shape
        if shape not in ((), prediction.shape[-1:]):
            raise ValueError(
                f"{self!r}: q must be a number or have shape {prediction.shape[-1:]}, got {shape}"
            )
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        q, d = np.asarray(self.q, prediction.dtype), target - prediction
        return np.maximum(q * d, (q - 1) * d), d, q

    def derivative(self, d: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (d < 0) - q * (d != 0)
