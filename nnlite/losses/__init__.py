"""Losses: one number that says how wrong a prediction is, and its gradient."""

from nnlite.losses.base import Loss
from nnlite.losses.binary import BCELoss, BCEWithLogitsLoss, HingeLoss
from nnlite.losses.classification import CrossEntropyLoss, FocalLoss, KLDivLoss, NLLLoss
from nnlite.losses.penalties import L1Penalty, L2Penalty, Penalty
from nnlite.losses.regression import HuberLoss, LogCoshLoss, MAELoss, MSELoss, PoissonNLLLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Penalty",
    "L2Penalty",
    "LogCoshLoss",
    "Loss",
    "MAELoss",
    "MSELoss",
    "NLLLoss",
    "Penalty",
    "PoissonNLLLoss",
]
