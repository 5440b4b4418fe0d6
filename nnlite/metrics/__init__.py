"""Streaming metrics: fed batch by batch, right for an uneven last batch too.

`update(prediction, target, sample_weight)` adds a batch, `result()` is the value over all since
`reset()`. Most keep sums; the areas under curves (`AUROC`, `AveragePrecision`) keep all scores.
"""

from typing import TYPE_CHECKING

from nnlite.core.habits import missing_in
from nnlite.metrics.base import Metric
from nnlite.metrics.classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopKAccuracy,
)
from nnlite.metrics.output import OutputMetric
from nnlite.metrics.probabilities import LogLoss, Perplexity
from nnlite.metrics.ranking import AUROC, AveragePrecision
from nnlite.metrics.regression import (
    R2,
    ExplainedVariance,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
)

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

__all__ = [
    "AUROC",
    "F1",
    "R2",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "ExplainedVariance",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "Metric",
    "OutputMetric",
    "Perplexity",
    "Precision",
    "Recall",
    "TopKAccuracy",
]
