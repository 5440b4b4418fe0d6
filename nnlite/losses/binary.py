"""Losses for two classes, one prediction each."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.losses.base import Loss, Reduction
from nnlite.ops.special import bend, relu, sigmoid_and_rest


class BCELoss(Loss):
    """Binary cross entropy of probabilities.

    Forward      ℓ = −t log p − (1 − t) log(1 − p), with each logarithm at least −100
    Backward     dℓ/dp = −t/p + (1 − t)/(1 − p) = (p − t) / (p (1 − p))
                 where p (1 − p) is 0, and for p whose 1/p would overflow, 1e-12 stands for it
    Shapes       prediction and target alike; p and t between 0 and 1
    Args         reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, or p or t leaves [0, 1]
    Source       standard result; both bounds as in PyTorch, which
                 applies the second to every p (1 − p) < 1e-12

    On scores use `BCEWithLogitsLoss`: it is exact where a sigmoid has rounded to 0 or 1.
    """

    multi_label = True
    decision_threshold = 0.5
    derivation: ClassVar = {
        "forward": "ℓ = −t log p − (1 − t) log(1 − p)",
        "prediction": "dℓ/dp = (p − t) / (p (1 − p))",
    }

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Both must be probabilities."""
        target = check_targets(self, super().check(prediction, target))
        check_unit(self, "prediction", prediction, "; for scores use BCEWithLogitsLoss")
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        with np.errstate(divide="ignore"):  # log 0 = −∞
            log_p, log_not_p = np.log(prediction), np.log1p(-prediction)
        values = target * np.maximum(log_p, -100) + (1 - target) * np.maximum(log_not_p, -100)
        return -values, prediction, target

    def derivative(self, p: np.ndarray, target: np.ndarray) -> np.ndarray:
        variance = p * (1 - p)
        return (p - target) / np.where(variance < np.finfo(p.dtype).tiny, 1e-12, variance)


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of scores: sigmoid and logarithm in one, exact for every score.

    Forward      ℓ = −c t log σ(z) − (1 − t) log(1 − σ(z))
                 = c t max(−z, 0) + (1 − t) max(z, 0) + (c t + 1 − t) log(1 + e^−|z|)
                 since −log σ(z) = log(1 + e⁻ᶻ) = max(−z, 0) + log(1 + e^−|z|): nothing cancels
    Backward     dℓ/dz = (1 − t) σ(z) − c t (1 − σ(z)), which for c = 1 is σ(z) − t
                 with 1 − σ(z) = 1 / (1 + eᶻ), exact where σ(z) is near 1
    Shapes       prediction and target alike; t between 0 and 1
    Args         pos_weight: c, how much a positive counts against a negative; a number, or one
                 for each entry of the last axis (default None: 1)
                 reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, pos_weight's too, or t leaves [0, 1]
    Source       standard result
    """

    multi_label = True
    decision_threshold = 0.0

    def __init__(
        self, pos_weight: float | np.ndarray | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.pos_weight = pos_weight

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        if self.pos_weight is None:
            return {
                "forward": "ℓ = −t log σ(z) − (1 − t) log(1 − σ(z))",
                "prediction": "dℓ/dz = (σ(z) − t)",
            }
        return {
            "forward": "ℓ = −c t log σ(z) − (1 − t) log(1 − σ(z))",
            "prediction": "dℓ/dz = ((1 − t) σ(z) − c t (1 − σ(z)))",
        }

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Targets must be probabilities; pos_weight is one number, or has the last axis's size."""
        target = super().check(prediction, target)
        shape = np.asarray(self.pos_weight).shape
        if shape not in ((), prediction.shape[-1:]):
            raise ValueError(
                f"{self!r}: pos_weight must be a number or have shape {prediction.shape[-1:]}, "
                f"got {shape}"
            )
        return check_targets(self, target)

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        positive = target  # c t
        if self.pos_weight is not None:
            positive = target * np.asarray(self.pos_weight, prediction.dtype)
        negative = 1 - target
        above = relu(prediction)  # max(z, 0), and max(−z, 0) = max(z, 0) − z
        values = positive * (above - prediction) + negative * above
        values += (positive + negative) * bend(prediction)
        return values, prediction, positive, negative

    def derivative(self, z: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        s, rest = sigmoid_and_rest(z)
        return negative * s - positive * rest


class _SignLoss(Loss):
    """What losses on t = ±1 share; targets 0 and 1 stand for −1 and 1."""

    multi_label = True
    decision_threshold = 0.0
    _from_zero: bool = False  # whether the last call's targets were 0 and 1

    def printed_sign(self) -> tuple[str, str]:
        """What the sign is called in the equations, and what they say of it."""
        return ("s", ",  s = 2t − 1") if self._from_zero else ("t", "")

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The targets as −1 and 1."""
        target = super().check(prediction, target)
        positive = target == 1
        self._from_zero = not (positive | (target == -1)).all()
        if not self._from_zero:
            return target
        if (positive | (target == 0)).all():
            return 2 * target - 1
        raise ValueError(
            f"{self!r}: targets must be −1 and 1, or 0 and 1, got {target.min():.4g} to "
            f"{target.max():.4g}"
        )

    def for_metrics(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Metrics are given 0 for −1."""
        return prediction, np.maximum(target, 0), sample_weight


class HingeLoss(_SignLoss):
    """The margin loss of support vector machines.

    Forward      ℓ = max(1 − t p, 0),  t = ±1
    Backward     dℓ/dp = −t where t p < 1, 0 beyond the margin
    Shapes       prediction and target alike; targets −1 and 1, or 0 and 1, which stand for them
    Args         reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, or for other targets
    Source       Cortes & Vapnik 1995; 0 and 1 taken as −1 and 1 as in Keras
    """

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        s, meaning = self.printed_sign()
        return {
            "forward": f"ℓ = max(1 − {s} p, 0){meaning}",
            "prediction": f"dℓ/dp = −{s} [{s} p < 1]{meaning}",
        }

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        value = np.maximum(1 - target * prediction, 0)
        return value, value, target

    def derivative(self, value: np.ndarray, target: np.ndarray) -> np.ndarray:
        return -target * (value > 0)


class SoftMarginLoss(_SignLoss):
    """The margin loss without a kink: logistic regression on targets −1 and 1.

    Forward      ℓ = log(1 + e^(−t p)) = max(−t p, 0) + log(1 + e^−|p|)
    Backward     dℓ/dp = −t σ(−t p)
    Shapes       prediction and target alike; targets −1 and 1, or 0 and 1, which stand for them
    Args         reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, or for other targets
    Source       standard result; as PyTorch's
    """

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        s, meaning = self.printed_sign()
        return {
            "forward": f"ℓ = log(1 + e^(−{s} p)){meaning}",
            "prediction": f"dℓ/dp = −{s} σ(−{s} p){meaning}",
        }

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        z = target * prediction
        return relu(z) - z + bend(z), z, target  # max(−z, 0) = max(z, 0) − z

    def derivative(self, z: np.ndarray, target: np.ndarray) -> np.ndarray:
        _, rest = sigmoid_and_rest(z)
        return -target * rest


def check_signs(loss: Loss, target: np.ndarray) -> np.ndarray:
    """Refuse targets that are not −1 or 1."""
    if not (np.abs(target) == 1).all():
        hint = "; for 0 and 1 write 2 * y - 1" if np.isin(target, (0, 1)).all() else ""
        raise ValueError(
            f"{loss!r}: targets must be −1 and 1, got {target.min():.4g} to {target.max():.4g}"
            f"{hint}"
        )
    return target


def check_targets(loss: Loss, target: np.ndarray) -> np.ndarray:
    """Refuse targets that are not between 0 and 1."""
    low, high = float(target.min()), float(target.max())
    if low >= 0 and high <= 1:
        return target
    hint = ""
    if np.array_equal(target, np.round(target)):
        known = {(-1.0, 1.0): "; write (y + 1) / 2", (1.0, 2.0): "; write y - 1"}
        hint = known.get((low, high), "; for several classes use CrossEntropyLoss")
    return check_unit(loss, "target", target, hint)


def check_unit(loss: Loss, name: str, value: np.ndarray, hint: str = "") -> np.ndarray:
    """Refuse what is not between 0 and 1."""
    low, high = float(value.min()), float(value.max())
    if low < 0 or high > 1:
        raise ValueError(f"{loss!r}: {name} must be in [0, 1], got {low:.4g} to {high:.4g}{hint}")
    return value
