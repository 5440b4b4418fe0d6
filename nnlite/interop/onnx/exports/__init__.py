"""How each layer is written: one small function for each kind, in the rooms that layers have."""

from nnlite import layers as nn
from nnlite.interop.onnx.exports import (  # noqa: F401  # each registers its functions
    activations,
    affine,
    attention,
    borders,
    containers,
    convolution,
    normalization,
    pooling,
    resizing,
    sequences,
)
from nnlite.interop.onnx.registry import REFUSALS, export

REFUSALS |= {
    nn.Layer: "nnlite does not know what its forward computes",
    nn.Elementwise: "nnlite does not know what its function computes",
    nn.Lambda: "a file cannot hold a function of Python; write a layer in its place",
}

__all__ = ["export"]
