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
from nnlite.layers.base import Layer
from nnlite.layers.containers import Add, Concat, Residual, Sequential
from nnlite.layers.dropout import Dropout
from nnlite.layers.elementwise import Elementwise, Lambda
from nnlite.layers.embedding import Embedding
from nnlite.layers.linear import Linear
from nnlite.layers.over_time import LastStep, MeanOverTime
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
from nnlite.layers.recurrent import GRU, LSTM, RNN, Bidirectional
from nnlite.layers.shape import Flatten, Identity, Permute, Reshape
from nnlite.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "Add",
    "Bidirectional",
    "Concat",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "Lambda",
    "LastStep",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MeanOverTime",
    "Mish",
    "PReLU",
    "Permute",
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
]
