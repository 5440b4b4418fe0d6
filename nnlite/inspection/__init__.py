"""Looking at layers from outside: are the gradients right, and what does a model do and cost?"""

from nnlite.inspection import plot
from nnlite.inspection.audit import Audit, audit
from nnlite.inspection.check_optimizer import (
    OptimizerError,
    OptimizerReport,
    check_optimizer,
)
from nnlite.inspection.formula_sheet import formula_sheet
from nnlite.inspection.gradcheck import check_gradients
from nnlite.inspection.jacobian import Jacobian, jacobian
from nnlite.inspection.profile import Profile, ProfileRow, profile
from nnlite.inspection.record import Trace, TraceStep
from nnlite.inspection.report import GradientError, GradientReport
from nnlite.inspection.saliency import integrated_gradients, saliency, smooth_grad
from nnlite.inspection.summary import summary
from nnlite.inspection.trace import trace

__all__ = [
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
]
