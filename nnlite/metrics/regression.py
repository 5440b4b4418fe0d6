"""Metrics of regression, on predictions and targets of the same shape."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.core.forms import REAL, Array
from nnlite.core.kinds import Either
from nnlite.metrics.base import Mean, Metric, numbers, spread

PER_OUTPUT = Either([REAL, Array("f")])


class MeanAbsoluteError(Mean):
    """Mean of |prediction − target| over all values."""

    larger_is_better: ClassVar[bool] = False

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        prediction, target = alike(self, prediction, target)
        weight = spread(self, sample_weight, target.shape)
        self._add(np.abs(prediction - target), weight)


class R2(Metric):
    """The share of the target's variance that is explained, 1 − Σ (t − p)² / Σ (t − t̄)².

    With several outputs, the mean over those that have any weight. Each of the N rows is a sample;
    where weights (N, T) tell steps apart, as beside padding, each step is one. 1 is perfect, 0 is
    as good as the constant mean.
    """

    remembers: ClassVar = dict.fromkeys(("_weight", "_mean", "_spread", "_error"), PER_OUTPUT)

    def __init__(self) -> None:
        self.reset()

    def check_state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        shapes = [np.shape(value) for value in super().check_state_dict(state).values()]
        if len(set(shapes)) > 1:
            raise ValueError(f"{self!r}: the state is of several shapes, {shapes}")
        return state

    def reset(self) -> None:
        self._weight: Any = 0.0
        self._mean: Any = 0.0
        self._spread: Any = 0.0
        self._error: Any = 0.0

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch; mean and spread are merged as in Chan, Golub & LeVeque 1979."""
        p, t = alike(self, prediction, target)
        weight = spread(self, sample_weight, t.shape)
        w = np.ones(t.shape) if weight is None else weight.astype(np.float64)
        axes = 1 if sample_weight is None else np.ndim(sample_weight)
        outputs = t.shape[max(1, min(axes, t.ndim - 1)) :]
        t, p, w = (a.reshape(-1, *outputs) for a in (t, p, w))
        added = w.sum(axis=0)
        if np.shape(self._weight) not in ((), outputs):
            raise ValueError(
                f"{self!r}: there were outputs {np.shape(self._weight)} in the batches before, and "
                f"now there are {outputs}; call reset() in between"
            )
        total = self._weight + added
        mean = (w * t).sum(axis=0) / np.where(added > 0, added, 1)
        some = np.where(total > 0, total, 1)  # an output may have no weight yet
        shift = mean - self._mean
        self._spread = (
            self._spread
            + (w * (t - mean) ** 2).sum(axis=0)
            + shift**2 * self._weight * added / some
        )
        self._mean = self._mean + shift * added / some
        self._error = self._error + (w * (t - p) ** 2).sum(axis=0)
        self._weight = total

    def result(self) -> float:
        """The mean over outputs; NaN for a constant target, and as long as nothing counts."""
        counts = np.asarray(self._weight) > 0
        total, error = np.asarray(self._spread)[counts], np.asarray(self._error)[counts]
        if total.size == 0 or not (total > 0).all():
            return float("nan")
        return float(np.mean(1 - error / total))


def alike(metric: Metric, prediction: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of the same shape, for nothing is broadcast; the target in double precision.

    Raises:
        TypeError, ValueError: names the metric.
    """
    prediction = numbers(metric, "prediction", prediction)
    target = numbers(metric, "target", target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"{metric!r}: prediction and target must have the same shape, got "
            f"{prediction.shape} and {target.shape}"
        )
    return prediction, target.astype(np.float64, copy=False)
