"""Optimizers: how gradients become updates."""

from typing import TYPE_CHECKING

from nnlite.core.habits import missing_in
from nnlite.optimizers.adafactor import Adafactor
from nnlite.optimizers.adam import Adam, Adamax, AdamW, NAdam, NAdamW, RAdam, RAdamW
from nnlite.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from nnlite.optimizers.asgd import ASGD
from nnlite.optimizers.base import Optimizer
from nnlite.optimizers.lamb import LAMB
from nnlite.optimizers.lion import Lion
from nnlite.optimizers.muon import Muon
from nnlite.optimizers.rprop import Rprop
from nnlite.optimizers.sgd import SGD

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

__all__ = [
    "ASGD",
    "LAMB",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "NAdamW",
    "Optimizer",
    "RAdam",
    "RAdamW",
    "RMSprop",
    "Rprop",
]
