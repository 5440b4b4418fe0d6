"""The trainer, and what it is made of."""

from nnlite.training.callbacks import Callback
from nnlite.training.history import History
from nnlite.training.lr_range import lr_range_test
from nnlite.training.trainer import Trainer

__all__ = ["Callback", "History", "Trainer", "lr_range_test"]
