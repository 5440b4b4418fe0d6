"""nnlite: neural networks on NumPy, every gradient written out by hand.

    import nnlite as nn

    nn.seed(0)
    x, y = nn.data.load_digits()
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    trainer.fit(x, y, epochs=5, validation_split=0.2)
    model.predict(x[:3]).argmax(axis=-1)

Where to begin:

- a layer and its derivation      help(nn.Linear), help(nn.Softmax), help(nn.LSTM)
- a layer of one's own            help(nn.Layer), then nn.check_gradients(layer, x)
- an optimizer of one's own       help(nn.Optimizer), then nn.check_optimizer(rule)
- all arguments of a training     help(nn.Trainer.fit)
- what one step computed          nn.trace(model, loss, x, y)
- all formulas on one page        nn.formula_sheet("formulas.html")
- what is unhealthy in a training nn.audit(model, loss, x, y)
- pictures                        history.plot(), audit.plot(), nn.plot.filters(model)
- data, shapes and costs          nn.data, nn.summary(model, 64)
- files, and runs that resume     nn.save_model, nn.load_model, nn.Checkpoint
- pipelines and grid searches     nnlite.interop.sklearn
- weights of other libraries      nn.interop.load_torch, to_torch, load_keras, save_safetensors
- ONNX files                      nn.interop.save_onnx, nn.interop.load_onnx
- several processes or machines   help(nn.parallel.MPI)
- losses, metrics, optimizers, schedules, initializers: the modules of these names

Data is batch first and channels last: (N, D), (N, T, D), (N, H, W, C). Defaults are PyTorch's for
layers, losses and optimizers, and Keras's for `fit`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nnlite.core import runtime  # noqa: F401  # isort: skip  # before anything imports NumPy

from nnlite import data, initializers, interop, losses, metrics, optimizers
from nnlite.core import VERSION, random
from nnlite.core.checks import ModelWarning
from nnlite.core.construction import clone
from nnlite.core.padded import Padded, pad_sequences
from nnlite.core.parameter import Buffer, Parameter
from nnlite.core.random import seed
from nnlite.core.slot import inference
from nnlite.core.terms import loss_terms
from nnlite.layers import *  # noqa: F403
from nnlite.layers import __all__ as _layers
from nnlite.losses import *  # noqa: F403
from nnlite.losses import __all__ as _losses
from nnlite.metrics import *  # noqa: F403
from nnlite.metrics import __all__ as _metrics
from nnlite.ops.engine import engine, set_engine
from nnlite.optimizers import *  # noqa: F403
from nnlite.optimizers import __all__ as _optimizers
from nnlite.optimizers import schedules
from nnlite.optimizers.schedules import *  # noqa: F403
from nnlite.optimizers.schedules import __all__ as _schedules

__version__ = VERSION

if TYPE_CHECKING:
    from nnlite import parallel
    from nnlite.files import *  # noqa: F403
    from nnlite.inspection import *  # noqa: F403
    from nnlite.inspection.audit_callback import GradientAudit  # noqa: F401
    from nnlite.interop.tensorboard import TensorBoardLogger  # noqa: F401
    from nnlite.training import *  # noqa: F403

# These are imported when they are first asked for: a program that only runs a model, or looks
# for a layer's documentation, starts in three quarters of the time.
_PLACES = {
    "nnlite.files": ["CheckpointError", "load_model", "save_model"],
    "nnlite.inspection": [
        "Audit",
        "GradientError",
        "GradientReport",
        "Jacobian",
        "OptimizerError",
        "OptimizerReport",
        "Profile",
        "ProfileRow",
        "Trace",
        "TraceStep",
        "audit",
        "check_gradients",
        "check_optimizer",
        "formula_sheet",
        "integrated_gradients",
        "jacobian",
        "plot",
        "profile",
        "saliency",
        "smooth_grad",
        "summary",
        "trace",
    ],
    "nnlite.inspection.audit_callback": ["GradientAudit"],
    "nnlite.interop.tensorboard": ["TensorBoardLogger"],
    "nnlite.training": [
        "CSVLogger",
        "Callback",
        "Checkpoint",
        "EMA",
        "EarlyStopping",
        "History",
        "JSONLogger",
        "LambdaCallback",
        "LivePlot",
        "Lookahead",
        "NonFiniteLossError",
        "ReduceLROnPlateau",
        "SWA",
        "TimeLimit",
        "Trainer",
        "fit_lbfgs",
        "lr_range_test",
    ],
}
_LATER = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The names above; each import happens once."""
    if name == "parallel":
        return import_module("nnlite.parallel")
    if name not in _LATER:
        from nnlite.core.habits import in_package

        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{in_package(name)}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted([*__all__, "__version__"])


__all__ = [
    "Buffer",
    "ModelWarning",
    "Padded",
    "Parameter",
    "clone",
    "data",
    "engine",
    "inference",
    "initializers",
    "interop",
    "loss_terms",
    "losses",
    "metrics",
    "optimizers",
    "pad_sequences",
    "parallel",
    "random",
    "schedules",
    "seed",
    "set_engine",
    *_LATER,
    *_layers,
    *_losses,
    *_metrics,
    *_optimizers,
    *_schedules,
]
