"""Looking at layers from outside: are the gradients right, and what does a model cost?"""

from nnlite.inspection.gradcheck import check_gradients
from nnlite.inspection.report import GradientError, GradientReport
from nnlite.inspection.summary import summary

__all__ = ["GradientError", "GradientReport", "check_gradients", "summary"]
