"""Losses on how far two regions overlap, for images of which each pixel is told a class."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.losses.base import Loss, Reduction
from nnlite.losses.binary import check_targets, check_unit


class _Overlap(Loss):
    """What losses on regions share; the sums I, P and T run over a sample's positions."""

    decision_threshold = 0.5

    def __init__(self, smooth: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.smooth = smooth

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Probabilities with an axis of classes, and regions in the same shape."""
        target = super().check(prediction, target)
        if prediction.ndim < 3:
            raise ValueError(
                f"{self!r}: expected (N, …, C), images with the classes on the last axis, got "
                f"{prediction.shape}"
            )
        end = "; for scores end the model in Sigmoid(), or in Softmax() for classes"
        check_unit(self, "prediction", prediction, end)
        return check_targets(self, target)

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        positions = tuple(range(1, prediction.ndim - 1))
        both, p, t = (
            each.sum(axis=positions, keepdims=True)
            for each in (prediction * target, prediction, target)
        )
        over, under = self._fraction(both, p, t)  # (N, 1, …, C)
        return 1 - (over / under).mean(axis=-1).reshape(len(over)), target, over, under

    def _fraction(
        self, both: np.ndarray, p: np.ndarray, t: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator of how far the regions overlap."""
        raise NotImplementedError


class DiceLoss(_Overlap):
    """1 minus the Dice coefficient, twice the overlap over the sum of both sizes.

    Forward      ℓ = 1 − 1/C Σⱼ (2 I + s) / (P + T + s),  I = Σ p t,  P = Σ p,  T = Σ t,
                 the sums over all positions of a sample, for each class j
    Backward     with U = P + T + s, the quotient rule gives
                 dℓ/dp = −1/C (2 t / U − (2 I + s) / U²) = 1/C ((2 I + s) / U − 2 t) / U
    Shapes       prediction (N, …, C), probabilities; target alike, 0 and 1 (one-hot for classes)
    Args         smooth: s, keeps ℓ and its gradient bounded where a class is absent
                 (default 1)
                 reduction: "mean" (over samples, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, or p or t leaves [0, 1]
    Source       Milletari et al. 2016, without the squares below
    """

    derivation: ClassVar = {
        "forward": "ℓ = 1 − Σⱼ (2 Σₚ p t + s) / (Σₚ p + Σₚ t + s) / C",
        "prediction": "dℓ/dp = ((2 Σₚ p t + s) / U − 2 t) / U / C,  U = Σₚ p + Σₚ t + s",
    }

    def _fraction(
        self, both: np.ndarray, p: np.ndarray, t: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        smooth = float(self.smooth)
        return 2 * both + smooth, p + t + smooth

    def derivative(self, target: np.ndarray, over: np.ndarray, under: np.ndarray) -> np.ndarray:
        return (over / under - 2 * target) / (under * target.shape[-1])


class JaccardLoss(_Overlap):
    """1 minus the Jaccard index, the intersection of two regions over their union.

    Forward      ℓ = 1 − 1/C Σⱼ (I + s) / (P + T − I + s),  I = Σ p t,  P = Σ p,  T = Σ t,
                 the sums over all positions of a sample, for each class j
    Backward     with U = P + T − I + s and ∂U/∂p = 1 − t, the quotient rule gives
                 dℓ/dp = −1/C (t / U − (I + s) (1 − t) / U²) = 1/C ((I + s) / U (1 − t) − t) / U
    Shapes       prediction (N, …, C), probabilities; target alike, 0 and 1 (one-hot for classes)
    Args         smooth: s, keeps ℓ and its gradient bounded where a class is absent
                 (default 1)
                 reduction: "mean" (over samples, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, or p or t leaves [0, 1]
    Source       Rahman & Wang 2016
    """

    derivation: ClassVar = {
        "forward": "ℓ = 1 − Σⱼ (Σₚ p t + s) / (Σₚ p + Σₚ t − Σₚ p t + s) / C",
        "prediction": "dℓ/dp = ((Σₚ p t + s) / U · (1 − t) − t) / U / C,  "
        "U = Σₚ p + Σₚ t − Σₚ p t + s",
    }

    def _fraction(
        self, both: np.ndarray, p: np.ndarray, t: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        smooth = float(self.smooth)
        return both + smooth, p + t - both + smooth

    def derivative(self, target: np.ndarray, over: np.ndarray, under: np.ndarray) -> np.ndarray:
        return (over / under * (1 - target) - target) / (under * target.shape[-1])
