"""Layers: each computes y from x, and its own gradients."""

from nnlite.layers.activations import (
    GELU,
    GLU,
    LogSigmoid,
    Mish,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from nnlite.layers.attention import MultiHeadAttention
from nnlite.layers.base import Layer
from nnlite.layers.containers import Add, Concat, Residual, Sequential
from nnlite.layers.decoding import decoding
from nnlite.layers.dropout import Dropout
from nnlite.layers.elementwise import Elementwise, Lambda
from nnlite.layers.linear import Linear
from nnlite.layers.positional import LearnedPositionalEmbedding, PositionalEncoding
from nnlite.layers.rectifiers import (
    CELU,
    ELU,
    SELU,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
)
from nnlite.layers.shape import Flatten, Identity, Permute, Reshape
from nnlite.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Add",
    "Concat",
    "Dropout",
    "Elementwise",
    "Flatten",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "Lambda",
    "Layer",
    "LeakyReLU",
    "LearnedPositionalEmbedding",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiHeadAttention",
    "PReLU",
    "Permute",
    "PositionalEncoding",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "decoding",
]
