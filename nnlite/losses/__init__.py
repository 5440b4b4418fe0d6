"""Losses: one number that says how wrong a prediction is, and its gradient."""

from typing import TYPE_CHECKING

from nnlite.core.habits import missing_in
from nnlite.losses.base import Loss
from nnlite.losses.binary import BCELoss, BCEWithLogitsLoss, HingeLoss, SoftMarginLoss
from nnlite.losses.classification import (
    CrossEntropyLoss,
    FocalLoss,
    KLDivLoss,
    MultiMarginLoss,
    NLLLoss,
)
from nnlite.losses.ctc import CTCLoss
from nnlite.losses.embedding import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    TripletMarginLoss,
)
from nnlite.losses.multilabel import MultiLabelMarginLoss, MultiLabelSoftMarginLoss
from nnlite.losses.penalties import L1Penalty, L2Penalty, Penalty
from nnlite.losses.regression import (
    GaussianNLLLoss,
    HuberLoss,
    LogCoshLoss,
    MAELoss,
    MSELoss,
    PoissonNLLLoss,
    QuantileLoss,
)
from nnlite.losses.segmentation import DiceLoss, JaccardLoss
from nnlite.losses.several import Losses

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "JaccardLoss",
    "KLDivLoss",
    "L1Penalty",
    "L2Penalty",
    "LogCoshLoss",
    "Loss",
    "Losses",
    "MAELoss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "Penalty",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]
