"""Metrics of predicted probabilities: log loss, and what reads scores as probabilities at all."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from nnlite.metrics.base import Mean
from nnlite.metrics.classification import IGNORED, Read, Reading
from nnlite.ops.softmax import at_classes, log_softmax
from nnlite.ops.special import softplus

LOG_HALF = -math.log(2)  # the threshold of losses that take log-probabilities


class ProbabilityMetric(Reading):
    """What metrics share that need to know whether scores are logits or probabilities.

    Args:
        from_logits: whether scores are logits, or log-probabilities of classes (True), or
            probabilities (False). Default None: as the Trainer's loss says; alone True, and rows
            of classes that look like probabilities are refused.
        multi_label, ignore_index: how to read, see `ClassMetric`.
    """

    def __init__(
        self,
        from_logits: bool | None = None,
        multi_label: bool | None = None,
        ignore_index: int = IGNORED,
    ) -> None:
        self.from_logits = from_logits
        super().__init__(multi_label, ignore_index)

    def read_scores(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[Read, bool]:
        """((scores, actual, weights), whether they are logits); rows that weigh 0 are taken out.

        Raises:
            TypeError, ValueError: names the metric, when shapes or targets do not fit, and for rows
                of classes that are not what they are said to be.
        """
        scores, actual, weight = self.read(prediction, target, sample_weight)
        if weight is not None and not weight.all():  # padding may hold anything
            kept = weight > 0 if weight.ndim == 1 else (weight > 0).any(axis=1)
            scores, actual, weight = scores[kept], actual[kept], weight[kept]
        multi_label, threshold = self._loss_reads
        logits = self.from_logits
        if logits is None and (multi_label, threshold) != (None, None):
            logits = threshold != 0.5
            if threshold == LOG_HALF and scores.shape == actual.shape:
                # as labels, log-probabilities are no logits; above 0 they are refused as p > 1
                scores, logits = np.exp(np.minimum(scores, 1)), False
        if scores.shape != actual.shape and logits is not True and len(scores):
            total = scores.sum(axis=1, dtype=float)
            like = (np.abs(total - 1) < 1e-3) & (scores.min(axis=1) >= 0)
            if logits is None and like.all():
                raise ValueError(
                    f"{self!r}: the rows of predictions sum to 1: write from_logits=False for "
                    "probabilities, or from_logits=True if they are logits all the same"
                )
            if logits is False and not like.all():
                row = int(np.argmin(like))
                raise ValueError(
                    f"{self!r}: probabilities must be ≥ 0 and sum to 1 in each row, got one from "
                    f"{scores[row].min():.4g} on that sums to {total[row]:.4g}; for logits write "
                    "from_logits=True"
                )
        return (scores, actual, weight), logits is not False


class LogLoss(ProbabilityMetric, Mean):
    """Mean of −log p, where p is the probability predicted for what the target says.

    Of classes p = softmax(logits) at the row's class; of labels p = σ(logit) where the label is
    there and 1 − σ(logit) where it is not, and the mean is over all of them.

    Probabilities are clipped to [ε, 1 − ε], with ε the machine epsilon of their dtype, as
    scikit-learn does; logits need no clipping, and keep the tails. Soft targets count as their
    largest class, as in all metrics.

    Args:
        from_logits: whether scores are logits, or log-probabilities of classes (True), or
            probabilities (False). Default None: as the Trainer's loss says; alone True, and rows
            of classes that look like probabilities are refused.
        multi_label, ignore_index: how to read, see `ClassMetric`.

    Raises:
        ValueError: in `update`, for probabilities outside [0, 1], or rows that do not sum to 1.
    """

    larger_is_better: ClassVar[bool] = False

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        (scores, actual, weight), logits = self.read_scores(prediction, target, sample_weight)
        of_labels = scores.shape == actual.shape
        if logits:
            scores = scores.astype(np.float64)
            if of_labels:
                loss = softplus(np.where(actual, -scores, scores))
            else:
                loss = -at_classes(log_softmax(scores), actual)[0]
        else:
            if scores.size and not (scores.min() >= 0 and scores.max() <= 1):  # NaN is not
                raise ValueError(
                    f"{self!r}: probabilities must lie in [0, 1], got {scores.min():.4g} to "
                    f"{scores.max():.4g}; for logits write from_logits=True"
                )
            dtype = np.result_type(scores, np.float32)
            eps = float(np.finfo(dtype).eps)
            scores = scores.astype(dtype, copy=False)
            p = np.where(actual, scores, 1 - scores) if of_labels else at_classes(scores, actual)[0]
            loss = -np.log(np.clip(p.astype(np.float64), eps, 1 - eps))
        self._add(loss, weight)


class Perplexity(LogLoss):
    """e to the mean of −log p: among how many classes, all as likely, the model still wavers.

    1 is perfect, and C that of a guess among C classes. In language models p is that of each
    token (N, T), with logits (N, T, C); padding does not count.

    Args:
        from_logits, multi_label, ignore_index: see `LogLoss`.
    """

    def result(self) -> float:
        """The perplexity; NaN as long as nothing counts, and inf where it is beyond all floats."""
        try:
            return math.exp(super().result())
        except OverflowError:
            return math.inf
