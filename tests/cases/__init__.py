"""One row for every configuration of every layer and loss; all of them run through the contract."""

from cases.convolution import LAYERS as CONVOLUTION
from cases.core import LAYERS as CORE
from cases.kinds import LayerCase, LossCase, layer_input, layer_of
from cases.losses import LOSSES
from cases.normalization import LAYERS as NORMALIZATION
from cases.pooling import LAYERS as POOLING

LAYERS: dict[str, LayerCase] = {**CORE, **CONVOLUTION, **POOLING, **NORMALIZATION}

__all__ = ["LAYERS", "LOSSES", "LayerCase", "LossCase", "layer_input", "layer_of"]
