"""How each operator is read: one small function for each kind, in the rooms that layers have."""

from nnlite.interop.onnx.imports import (  # noqa: F401  # each registers its functions
    activations,
    affine,
    convolution,
    normalization,
    numbers,
    pieces,
    pooling,
    sequences,
    shapes,
    tables,
)
from nnlite.interop.onnx.imports.reading import READS

__all__ = ["READS"]
