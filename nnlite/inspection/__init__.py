"""Looking at layers from outside: are the gradients right, and what does a model do and cost?"""

from nnlite.inspection.audit import Audit, audit
from nnlite.inspection.gradcheck import check_gradients
from nnlite.inspection.jacobian import Jacobian, jacobian
from nnlite.inspection.report import GradientError, GradientReport
from nnlite.inspection.summary import summary
from nnlite.inspection.trace import Trace, TraceStep, trace

__all__ = [
    "Audit",
    "GradientError",
    "GradientReport",
    "Jacobian",
    "Trace",
    "TraceStep",
    "audit",
    "check_gradients",
    "jacobian",
    "summary",
    "trace",
]
