"""nnlite: neural networks on NumPy, every gradient written out by hand."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nnlite import data, initializers, losses, metrics, optimizers, schedules
from nnlite.checks import ModelWarning
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

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nnlite.cloning import clone  # noqa: F401
    from nnlite.files import *  # noqa: F403
    from nnlite.inspection import *  # noqa: F403
    from nnlite.inspection.audit_callback import GradientAudit  # noqa: F401
    from nnlite.training import *  # noqa: F403

# These are imported when they are first asked for: a program that only runs a model, or looks
# for a layer's documentation, starts in three quarters of the time.
_PLACES = {
    "nnlite.cloning": ["clone"],
    "nnlite.files": ["CheckpointError", "load_model", "save_model"],
    "nnlite.inspection": [
        "Audit",
        "GradientError",
        "GradientReport",
        "Jacobian",
        "Profile",
        "ProfileRow",
        "Trace",
        "TraceStep",
        "audit",
        "check_gradients",
        "jacobian",
        "profile",
        "summary",
        "trace",
    ],
    "nnlite.inspection.audit_callback": ["GradientAudit"],
    "nnlite.training": [
        "CSVLogger",
        "Callback",
        "Checkpoint",
        "EMA",
        "EarlyStopping",
        "History",
        "JSONLogger",
        "LambdaCallback",
        "NonFiniteLossError",
        "ReduceLROnPlateau",
        "SWA",
        "TimeLimit",
        "Trainer",
        "lr_range_test",
    ],
}
_LATER = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The names above; each import happens once."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """What is there, imported or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "Buffer",
    "ModelWarning",
    "Padded",
    "Parameter",
    "data",
    "inference",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "schedules",
    "seed",
    *_LATER,
    *_layers,
    *_losses,
    *_metrics,
    *_optimizers,
    *_schedules,
]
