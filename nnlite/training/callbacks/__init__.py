"""Callbacks: code that runs at fixed moments of `fit`."""

from nnlite.training.callbacks.averaging import EMA, SWA, Lookahead
from nnlite.training.callbacks.base import Callback
from nnlite.training.callbacks.live import LivePlot
from nnlite.training.callbacks.logging import CSVLogger, JSONLogger
from nnlite.training.callbacks.monitor import EarlyStopping, ReduceLROnPlateau
from nnlite.training.callbacks.saving import Checkpoint
from nnlite.training.callbacks.simple import LambdaCallback, TimeLimit

__all__ = [
    "EMA",
    "SWA",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "JSONLogger",
    "LambdaCallback",
    "LivePlot",
    "Lookahead",
    "ReduceLROnPlateau",
    "TimeLimit",
]
