"""Looking at layers from outside: gradient checks and summaries."""

from nnlite.inspection.gradcheck import GradientError, GradientRow, check_gradients
from nnlite.inspection.summary import Summary, summary

__all__ = ["GradientError", "GradientRow", "Summary", "check_gradients", "summary"]
