"""Streaming metrics: fed batch by batch, right for an uneven last batch too.

A metric keeps running sums, never a mean of batch means. `update(prediction, target,
sample_weight)` adds a batch, `result()` is the value over all since `reset()`.

Classification metrics read scores with the classes on the last axis, (N, …, C), against integer
classes (N, …) or one-hot rows; and single scores, (N,) or (N, 1), against 0 and 1 of the same
shape, where `threshold` decides. Rows whose class is `IGNORED` are left out.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nnlite.construction import Constructed

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "ConfusionMatrix",
    "MeanAbsoluteError",
    "Metric",
    "Precision",
    "Recall",
    "TopKAccuracy",
]

IGNORED = -100  # as the default `ignore_index` of the losses


class Metric(Constructed):
    """A number about predictions and targets, gathered batch by batch."""

    @property
    def name(self) -> str:
        """The key in histories: the class's name in snake_case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} must define reset")

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def result(self) -> Any:
        """The value over all batches since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} must define result")


class _Mean(Metric):
    """A weighted mean of one value per element: Σ w value / Σ w."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Both sums at zero."""
        self._total = self._weight = 0.0

    def _add(self, values: np.ndarray, sample_weight: np.ndarray | None) -> None:
        if sample_weight is None:
            self._total += float(values.sum())
            self._weight += values.size
        else:
            weight = _spread(sample_weight, values.shape)
            self._total += float((values * weight).sum())
            self._weight += float(weight.sum())

    def result(self) -> float:
        """The mean; NaN before the first batch."""
        return self._total / self._weight if self._weight else float("nan")


class Accuracy(_Mean):
    """The share of rows whose class is right.

    Args:
        threshold: for single scores, what counts as class 1 (default 0: logits; 0.5 for
            probabilities).
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        guess, actual, weight = decide(prediction, target, sample_weight, self.threshold)
        self._add(guess == actual, weight)


class TopKAccuracy(_Mean):
    """The share of rows whose class is among the k highest scores.

    Args:
        k: how many scores count (default 5).
    """

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"TopKAccuracy: k must be at least 1, got {k}")
        self.k = k

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        classes = prediction.shape[-1]
        _, actual, weight = decide(prediction, target, sample_weight)
        if prediction.shape == np.shape(target):
            target = target.argmax(axis=-1)
        scores = prediction.reshape(-1, classes)[np.ravel(target) != IGNORED]
        own = np.take_along_axis(scores, actual[:, None], axis=-1)
        self._add((scores > own).sum(axis=-1) < self.k, weight)


class _Counts(Metric):
    """How often each class was taken for each class: what the metrics below are ratios of.

    Args:
        threshold: for single scores, what counts as class 1 (default 0: logits; 0.5 for
            probabilities).
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """No counts."""
        self._counts = np.zeros((0, 0))

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        single = prediction.ndim == 1 or prediction.shape[-1] == 1
        classes = 2 if single else prediction.shape[-1]
        guess, actual, weight = decide(prediction, target, sample_weight, self.threshold)
        if len(self._counts) == 0:
            self._counts = np.zeros((classes, classes))
        np.add.at(self._counts, (actual, guess), 1.0 if weight is None else weight)


class ConfusionMatrix(_Counts):
    """How often each class (row) was taken for each class (column), an array (C, C).

    Args:
        threshold: for single scores, what counts as class 1 (default 0: logits; 0.5 for
            probabilities).
    """

    def result(self) -> np.ndarray:
        """The counts (sums of weights, where weights were given)."""
        return self._counts.copy()


class _PerClass(_Counts):
    """A share per class: of class 1 where there are two classes, else the plain mean over all."""

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        """The share of each class, given what was rightly found, taken for it, really there."""
        raise NotImplementedError

    def result(self) -> float:
        """The share; 0 for classes where it is not defined, NaN before the first batch."""
        if len(self._counts) == 0:
            return float("nan")
        counts = self._counts
        share = self.share(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))
        return float(share[1] if len(share) == 2 else share.mean())


class Precision(_PerClass):
    """Of what was taken for a class, the share that is of it.

    With two classes that of class 1, with more the mean over classes (macro average).
    """

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Hits / taken."""
        return _ratio(hits, taken)


class Recall(_PerClass):
    """Of what is of a class, the share that was found.

    With two classes that of class 1, with more the mean over classes (macro average).
    """

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Hits / there."""
        return _ratio(hits, there)


class F1(_PerClass):
    """The harmonic mean of precision and recall, 2 hits / (taken + there).

    With two classes that of class 1, with more the mean over classes (macro average).
    """

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        """2 hits / (taken + there)."""
        return _ratio(2 * hits, taken + there)


class MeanAbsoluteError(_Mean):
    """Mean of |prediction − target| over all values."""

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        self._add(np.abs(prediction - target), sample_weight)


class R2(Metric):
    """The share of the target's variance that is explained, 1 − Σ (t − p)² / Σ (t − t̄)².

    With several outputs, the mean over them. 1 is perfect, 0 is as good as the constant mean.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """No batches."""
        self._weight: Any = 0.0
        self._mean: Any = 0.0
        self._spread: Any = 0.0
        self._error: Any = 0.0

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch; mean and spread are merged as in Chan, Golub & LeVeque 1979."""
        t = np.asarray(target, np.float64)
        one = np.ones(len(t)) if sample_weight is None else sample_weight
        w = _spread(one, t.shape).astype(np.float64)
        added = w.sum(axis=0)
        total = self._weight + added
        if not np.all(total > 0):
            return
        mean = (w * t).sum(axis=0) / np.where(added > 0, added, 1)
        shift = mean - self._mean
        self._spread = (
            self._spread
            + (w * (t - mean) ** 2).sum(axis=0)
            + shift**2 * self._weight * added / total
        )
        self._mean = self._mean + shift * added / total
        self._error = self._error + (w * (t - prediction) ** 2).sum(axis=0)
        self._weight = total

    def result(self) -> float:
        """The mean over outputs; NaN for a constant target."""
        if not np.all(np.asarray(self._spread) > 0):
            return float("nan")
        return float(np.mean(1 - self._error / self._spread))


def decide(
    prediction: np.ndarray,
    target: np.ndarray,
    sample_weight: np.ndarray | None = None,
    threshold: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(predicted classes, actual classes, weights), flat and without ignored rows."""
    target = np.asarray(target)
    if prediction.ndim > 1 and prediction.shape[-1] > 1:
        guess = prediction.argmax(axis=-1)
        actual = target.argmax(axis=-1) if target.shape == prediction.shape else target
    else:
        guess, actual = (prediction > threshold).astype(np.int64), target
    if guess.shape != actual.shape:
        raise ValueError(
            f"predictions {prediction.shape} do not fit targets {target.shape}: expected integer "
            "classes without the last axis, or rows of the same shape"
        )
    weight = None if sample_weight is None else _spread(sample_weight, guess.shape).ravel()
    guess, actual = guess.ravel(), actual.ravel().astype(np.int64)
    kept = actual != IGNORED
    if not kept.all():
        guess, actual = guess[kept], actual[kept]
        weight = None if weight is None else weight[kept]
    return guess, actual, weight


def _spread(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weights on the leading axes, the same along the others."""
    weight = np.asarray(weight)
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
