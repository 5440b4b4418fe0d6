"""Losses for several labels in one row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from nnlite.losses.base import Loss, Reduction
from nnlite.losses.binary import check_targets
from nnlite.ops.special import bend, relu, sigmoid_and_rest


class MultiLabelMarginLoss(Loss):
    """The hinge for several labels: each of their scores above each other score by 1.

    Forward      ℓ = 1/C Σ_{k∈t} Σ_{j∉t} h_kj,  h_kj = max(1 − x_k + xⱼ, 0)
    Backward     dℓ/dxⱼ = 1/C Σ_{k∈t} [h_kj > 0] for j ∉ t
                 dℓ/dx_k = −1/C Σ_{j∉t} [h_kj > 0] for k ∈ t
    Shapes       prediction (N, C); target (N, S) integers: a row's labels, and where they are fewer
                 than S, −1 after the last one; what follows is not looked at
    Args         reduction: "mean" (over rows, default), "sum" or "none"
    Raises       TypeError: when labels are not integers
                 ValueError: for a label out of range, or shapes that differ
    Source       as PyTorch's
    """

    derivation: ClassVar = {
        "forward": "ℓ = Σ_{k∈t} Σ_{j∉t} h_kj / C,  h_kj = max(1 − x_k + xⱼ, 0)",
        "prediction": "dℓ/dx = (Σ_{k∈t} [h_kj > 0] [j ∉ t] − [k ∈ t] Σ_{j∉t} [h_kj > 0]) / C",
    }

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Labels in range, −1 from where a row's end."""
        target = self.check_arrays(prediction, target)
        if prediction.ndim != 2 or target.ndim != 2 or len(prediction) != len(target):
            raise ValueError(
                f"{self!r}: expected scores (N, C) and labels (N, S), got {prediction.shape} and "
                f"{target.shape}"
            )
        if target.dtype.kind not in "iu":
            raise TypeError(
                f"{self!r}: labels must be integers, got dtype {target.dtype}; for rows of 0 and 1 "
                "use MultiLabelSoftMarginLoss or BCEWithLogitsLoss"
            )
        target = np.where(np.logical_or.accumulate(target == -1, axis=1), -1, target)
        outside = (target < -1) | (target >= prediction.shape[1])
        if outside.any():
            row, place = (int(i) for i in np.argwhere(outside)[0])
            raise ValueError(
                f"{self!r}: label {target[row, place]} of row {row} is outside "
                f"0 … {prediction.shape[1] - 1}; −1 ends a row"
            )
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        there = target >= 0  # (N, S)
        labels = np.where(there, target, 0)
        among = np.zeros(prediction.shape, bool)  # j ∈ t, (N, C)
        rows = np.broadcast_to(np.arange(len(target))[:, None], target.shape)
        among[rows[there], target[there]] = True
        right = np.take_along_axis(prediction, labels, 1)
        h = np.maximum(1 - right[:, :, None] + prediction[:, None, :], 0)  # (N, S, C)
        h *= there[:, :, None] & ~among[:, None, :]
        return h.sum(axis=(1, 2)) / prediction.shape[1], h, rows, labels

    def derivative(self, h: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        slope = (h > 0) / np.asarray(h.shape[2], h.dtype)
        gradient = slope.sum(axis=1)
        np.subtract.at(gradient, (rows, labels), slope.sum(axis=2))  # a label may come twice
        return gradient


class MultiLabelSoftMarginLoss(Loss):
    """Binary cross entropy of scores, averaged over the labels of each row.

    Forward      ℓ = −1/C Σⱼ cⱼ (tⱼ log σ(zⱼ) + (1 − tⱼ) log(1 − σ(zⱼ)))
    Backward     dℓ/dzⱼ = cⱼ/C (σ(zⱼ) − tⱼ)
                 as (1 − t) σ(z) − t (1 − σ(z)), exact where σ(z) is near 1, too
    Shapes       prediction and target (N, …, C); t between 0 and 1
    Args         weight: c, one per label (default None: all 1)
                 reduction: "mean" (over rows, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, weight's too, or t leaves [0, 1]
    Source       standard result; as PyTorch's
    """

    multi_label = True
    decision_threshold = 0.0

    def __init__(self, weight: ArrayLike | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.weight = weight

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        c = "" if self.weight is None else "c "
        return {
            "forward": f"ℓ = −Σⱼ {c}(t log σ(z) + (1 − t) log(1 − σ(z))) / C",
            "prediction": f"dℓ/dz = {c}(σ(z) − t) / C",
        }

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Targets must be probabilities, and the weights one for each label."""
        target = super().check(prediction, target)
        labels = prediction.shape[-1] if prediction.ndim > 1 else 0
        if labels == 0:
            raise ValueError(f"{self!r}: expected scores (N, …, C), got {prediction.shape}")
        if self.weight is not None and len(np.asarray(self.weight)) != labels:
            raise ValueError(
                f"{self!r}: weight has {len(np.asarray(self.weight))} entries for {labels} labels"
            )
        return check_targets(self, target)

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        weight = np.asarray(1 if self.weight is None else self.weight, prediction.dtype)
        above = relu(prediction)  # max(z, 0): see BCEWithLogitsLoss
        values = target * (above - prediction) + (1 - target) * above + bend(prediction)
        return (weight * values).mean(axis=-1), prediction, target, weight

    def derivative(self, z: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
        s, rest = sigmoid_and_rest(z)
        return weight / z.shape[-1] * ((1 - target) * s - target * rest)
