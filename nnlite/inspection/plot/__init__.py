"""Pictures of models: `nn.plot.filters(model)`. What holds numbers draws itself: `history.plot()`.

All of them need matplotlib (`pip install "nnlite[plot]"`), draw on axes of yours (`ax=`), into a
file (`path=`) or on the screen, and leave the model as it is.
"""

from nnlite.inspection.plot.activation import activation
from nnlite.inspection.plot.boundary import decision_boundary
from nnlite.inspection.plot.images import feature_maps, filters
from nnlite.inspection.plot.surface import loss_surface

__all__ = ["activation", "decision_boundary", "feature_maps", "filters", "loss_surface"]
