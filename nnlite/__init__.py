"""nnlite: neural networks on NumPy, every gradient written out by hand."""

from nnlite import data, initializers, losses, metrics, optimizers
from nnlite.inspection import GradientError, check_gradients, summary
from nnlite.layers import *  # noqa: F403
from nnlite.layers import __all__ as _layers
from nnlite.losses import *  # noqa: F403
from nnlite.losses import __all__ as _losses
from nnlite.metrics import *  # noqa: F403
from nnlite.metrics import __all__ as _metrics
from nnlite.optimizers import *  # noqa: F403
from nnlite.optimizers import __all__ as _optimizers
from nnlite.padded import Padded
from nnlite.parameter import Buffer, Parameter
from nnlite.random import seed
from nnlite.slot import inference
from nnlite.training import Callback, History, Trainer

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "Callback",
    "GradientError",
    "History",
    "Padded",
    "Parameter",
    "Trainer",
    "check_gradients",
    "data",
    "inference",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "seed",
    "summary",
    *_layers,
    *_losses,
    *_metrics,
    *_optimizers,
]
