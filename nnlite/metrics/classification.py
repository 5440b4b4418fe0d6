"""Metrics of classifiers, which read scores and classes.

Scores have the classes on the last axis, (N, …, C), against integer classes (N, …) or one-hot
rows; single scores, (N,) or (N, 1), stand against 0 and 1 of the same shape, and `threshold`
decides. Rows whose class is `IGNORED` are left out.
"""

from __future__ import annotations

import numpy as np

from nnlite.checks import check_whole
from nnlite.metrics.base import Mean, Metric, spread

IGNORED = -100  # as the default `ignore_index` of the losses


class Accuracy(Mean):
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
        guess, actual, weight = decide(self, prediction, target, sample_weight, self.threshold)
        self._add(guess == actual, weight)


class TopKAccuracy(Mean):
    """The share of rows whose class is among the k highest scores.

    Args:
        k: how many scores count (default 5).
    """

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = check_whole("TopKAccuracy: k", k)

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        prediction, target = np.asarray(prediction), np.asarray(target)
        if is_single(prediction):
            raise ValueError(f"{self!r}: expected scores (N, …, C), got shape {prediction.shape}")
        _, actual, weight = decide(self, prediction, target, sample_weight)
        if prediction.shape == target.shape:
            target = target.argmax(axis=-1)
        scores = prediction.reshape(-1, prediction.shape[-1])[np.ravel(target) != IGNORED]
        own = np.take_along_axis(scores, actual[:, None], axis=-1)
        # Ahead of the own class: what is not below it (NaN too), and of equals the earlier ones.
        earlier = np.arange(scores.shape[1]) < actual[:, None]
        ahead = ~(scores <= own) | ((scores == own) & earlier)
        self._add(ahead.sum(axis=-1) < self.k, weight)


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
        prediction = np.asarray(prediction)
        classes = 2 if is_single(prediction) else prediction.shape[-1]
        guess, actual, weight = decide(self, prediction, target, sample_weight, self.threshold)
        if len(self._counts) == 0:
            self._counts = np.zeros((classes, classes))
        if len(self._counts) != classes:
            raise ValueError(
                f"{self!r}: {classes} classes after batches with {len(self._counts)}; "
                "call reset() in between"
            )
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


def decide(
    metric: Metric,
    prediction: np.ndarray,
    target: np.ndarray,
    sample_weight: np.ndarray | None = None,
    threshold: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(predicted classes, actual classes, weights), flat and without ignored rows.

    Raises:
        ValueError: names the metric, when shapes or classes do not fit.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if is_single(prediction):
        classes = 2
        guess, actual = (prediction > threshold).astype(np.int64), target
    else:
        classes = prediction.shape[-1]
        guess = prediction.argmax(axis=-1)
        actual = target.argmax(axis=-1) if target.shape == prediction.shape else target
    if guess.shape != actual.shape:
        raise ValueError(
            f"{metric!r}: predictions {prediction.shape} do not fit targets {target.shape}: "
            "expected integer classes without the last axis, or rows of the same shape"
        )
    weight = None if sample_weight is None else spread(sample_weight, guess.shape).ravel()
    guess, actual = guess.ravel(), actual.ravel().astype(np.int64, copy=False)
    # argmin and argmax find both ends in a fraction of the time that min and max take.
    if len(actual) and (
        actual.item(actual.argmin()) < 0 or actual.item(actual.argmax()) >= classes
    ):
        kept = actual != IGNORED
        guess, actual = guess[kept], actual[kept]
        weight = None if weight is None else weight[kept]
        if len(actual) and not 0 <= actual.min() <= actual.max() < classes:
            raise ValueError(
                f"{metric!r}: targets from {actual.min()} to {actual.max()} are not classes "
                f"0 … {classes - 1}"
            )
    return guess, actual, weight


def is_single(prediction: np.ndarray) -> bool:
    """Whether there is one score per row instead of one per class."""
    return prediction.ndim == 1 or prediction.shape[-1] == 1


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
