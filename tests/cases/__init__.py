"""One row for every configuration of every layer and loss; all of them run through the contract."""

from cases.attention import LAYERS as ATTENTION
from cases.convolution import LAYERS as CONVOLUTION
from cases.core import LAYERS as CORE
from cases.kinds import MEMORY_ORDERS, LayerCase, LossCase, layer_input, layer_of
from cases.losses import LOSSES
from cases.normalization import LAYERS as NORMALIZATION
from cases.pooling import LAYERS as POOLING
from cases.sequences import LAYERS as SEQUENCES

LAYERS: dict[str, LayerCase] = {
    **CORE,
    **CONVOLUTION,
    **POOLING,
    **NORMALIZATION,
    **SEQUENCES,
    **ATTENTION,
}

# What runs by default; the slow run has every row.
FIRST = set({type(layer_of(case)): name for name, case in reversed(LAYERS.items())}.values())
SAMPLE = FIRST | set([*LAYERS][::3])  # of each class the first row, and every third of the others

__all__ = [
    "FIRST",
    "LAYERS",
    "LOSSES",
    "MEMORY_ORDERS",
    "SAMPLE",
    "LayerCase",
    "LossCase",
    "layer_input",
    "layer_of",
]
