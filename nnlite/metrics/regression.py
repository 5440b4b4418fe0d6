"""Metrics of regression, on predictions and targets of the same shape."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.core.forms import REAL, Array
from nnlite.core.kinds import Either
from nnlite.metrics.base import Mean, Metric, numbers, spread

PER_OUTPUT = Either([REAL, Array("f")])


class MeanError(Mean):
    """The mean over all values of what `error` makes of each."""

    larger_is_better: ClassVar[bool] = False

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        prediction, target = alike(self, prediction, target)
        weight = spread(self, sample_weight, target.shape)
        self._add(self.error(prediction - target, target), weight)

    def error(self, difference: np.ndarray, target: np.ndarray) -> np.ndarray:
        """What each value adds, in double precision."""
        raise NotImplementedError


class MeanAbsoluteError(MeanError):
    """Mean of |prediction − target| over all values."""

    def error(self, difference: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.abs(difference)


class MeanSquaredError(MeanError):
    """Mean of (prediction − target)² over all values."""

    def error(self, difference: np.ndarray, target: np.ndarray) -> np.ndarray:
        return difference**2


class MeanAbsolutePercentageError(MeanError):
    """Mean of |prediction − target| / max(|target|, ε) over all values: 0.1 is 10 %.

    The ε is 2⁻⁵², as in scikit-learn: a target of 0 that is missed makes the mean huge. Use
    `MeanAbsoluteError` where targets come close to 0.
    """

    def error(self, difference: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.abs(difference) / np.maximum(np.abs(target), np.finfo(np.float64).eps)


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
        self._add_error(t - p, w, added)
        self._mean, self._spread = self._with(self._mean, self._spread, t, w, added)
        self._weight = self._weight + added

    def merge(self, state: dict[str, Any]) -> None:
        added = state["_weight"]
        self._merge_error(state, added)
        self._mean, self._spread = self._joined(
            self._mean, self._spread, state["_mean"], state["_spread"], added
        )
        self._weight = self._weight + added

    def _add_error(self, error: np.ndarray, w: np.ndarray, added: np.ndarray) -> None:
        """Add Σ w (t − p)² of a batch (R, outputs)."""
        self._error = self._error + (w * error**2).sum(axis=0)

    def _merge_error(self, state: dict[str, Any], added: Any) -> None:
        """Add the same of another process, where `added` is the weight of what it saw."""
        self._error = self._error + state["_error"]

    def _with(
        self, mean: Any, spread: Any, values: np.ndarray, w: np.ndarray, added: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The mean, and Σ w (value − mean)², of what was there before and a batch together."""
        own = (w * values).sum(axis=0) / np.where(added > 0, added, 1)
        within = (w * (values - own) ** 2).sum(axis=0)
        return self._joined(mean, spread, own, within, added)

    def _joined(
        self, mean: Any, spread: Any, own: Any, within: Any, added: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, given the mean and the spread of what is added."""
        total = self._weight + added
        some = np.where(total > 0, total, 1)  # an output may have no weight yet
        shift = own - mean
        between = shift**2 * self._weight * added / some
        return mean + shift * added / some, spread + within + between

    def result(self) -> float:
        """The mean over outputs; NaN for a constant target, and as long as nothing counts."""
        counts = np.asarray(self._weight) > 0
        total, error = np.asarray(self._spread)[counts], np.asarray(self._error)[counts]
        # of a constant, the mean's rounding leaves a trace of a spread
        trace = (np.asarray(self._weight) * (1e-14 * np.asarray(self._mean)) ** 2)[counts]
        if total.size == 0 or not (total > trace).all():
            return float("nan")
        return float(np.mean(1 - error / total))


class ExplainedVariance(R2):
    """The share of the target's variance that is explained, 1 − Var(t − p) / Var(t).

    It is `R2` without what a constant shift of all predictions costs. With several outputs, the
    mean over those that have any weight, and rows count as they do there. 1 is perfect. A constant
    target has no variance to explain: the result is NaN (scikit-learn says 1 for a perfect
    prediction there, and 0 for another).
    """

    remembers: ClassVar = {**R2.remembers, "_bias": PER_OUTPUT}

    def reset(self) -> None:
        super().reset()
        self._bias: Any = 0.0  # the mean of t − p

    def _add_error(self, error: np.ndarray, w: np.ndarray, added: np.ndarray) -> None:
        """Merge Σ w (t − p − mean)² of a batch (R, outputs)."""
        self._bias, self._error = self._with(self._bias, self._error, error, w, added)

    def _merge_error(self, state: dict[str, Any], added: Any) -> None:
        """The spreads, about a mean of both."""
        self._bias, self._error = self._joined(
            self._bias, self._error, state["_bias"], state["_error"], added
        )


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
