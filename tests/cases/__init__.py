"""One row for every configuration of every layer and loss; all of them run through the contract."""

from cases.core import LAYERS as CORE
from cases.kinds import LayerCase, LossCase, layer_input, layer_of
from cases.losses import LOSSES
from cases.sequences import LAYERS as SEQUENCES

LAYERS: dict[str, LayerCase] = {**CORE, **SEQUENCES}

__all__ = ["LAYERS", "LOSSES", "LayerCase", "LossCase", "layer_input", "layer_of"]
