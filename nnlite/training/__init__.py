"""The trainer, its callbacks, and what they are made of."""

from nnlite.training.callbacks import *  # noqa: F403
from nnlite.training.callbacks import __all__ as _callbacks
from nnlite.training.diagnosis import NonFiniteLossError
from nnlite.training.history import History
from nnlite.training.lbfgs import fit_lbfgs
from nnlite.training.lr_range import lr_range_test
from nnlite.training.trainer import Trainer

__all__ = ["History", "NonFiniteLossError", "Trainer", "fit_lbfgs", "lr_range_test", *_callbacks]
