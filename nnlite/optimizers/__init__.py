"""Optimizers: how gradients become updates."""

from nnlite.optimizers.adam import Adam, AdamW, NAdam, RAdam
from nnlite.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from nnlite.optimizers.base import Optimizer
from nnlite.optimizers.lion import Lion
from nnlite.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
]
