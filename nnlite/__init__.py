"""nnlite: neural networks on NumPy, every gradient written out by hand."""

from nnlite import data, initializers, losses, metrics, optimizers, schedules
from nnlite.clone import clone
from nnlite.files import CheckpointError, load_model, save_model
from nnlite.inspection import *  # noqa: F403
from nnlite.inspection import __all__ as _inspection
from nnlite.inspection.audit_callback import GradientAudit
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
from nnlite.schedules import *  # noqa: F403
from nnlite.schedules import __all__ as _schedules
from nnlite.slot import inference
from nnlite.training import *  # noqa: F403
from nnlite.training import __all__ as _training

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "CheckpointError",
    "GradientAudit",
    "Padded",
    "Parameter",
    "clone",
    "data",
    "inference",
    "initializers",
    "load_model",
    "losses",
    "metrics",
    "optimizers",
    "save_model",
    "schedules",
    "seed",
    *_inspection,
    *_layers,
    *_losses,
    *_metrics,
    *_optimizers,
    *_schedules,
    *_training,
]
