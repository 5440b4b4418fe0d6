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
from nnlite.layers.channelnorm import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm2d
from nnlite.layers.containers import Add, Concat, Join, Parallel, Residual, Sequential
from nnlite.layers.conv import Conv1d, Conv2d
from nnlite.layers.conv_transpose import ConvTranspose1d, ConvTranspose2d
from nnlite.layers.decoding import decoding
from nnlite.layers.dropout import ChannelDropout, Dropout, GaussianNoise
from nnlite.layers.elementwise import Elementwise, Lambda
from nnlite.layers.embedding import Embedding
from nnlite.layers.featurenorm import LayerNorm, RMSNorm
from nnlite.layers.globalpooling import (
    AdaptiveAvgPool2d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
)
from nnlite.layers.linear import Linear
from nnlite.layers.over_time import LastStep, MeanOverTime
from nnlite.layers.pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
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
from nnlite.layers.recurrent import GRU, LSTM, RNN, Bidirectional
from nnlite.layers.resize import Upsample2d, ZeroPad2d
from nnlite.layers.shape import Flatten, Identity, Permute, Reshape
from nnlite.layers.softmax import LogSoftmax, Softmax
from nnlite.layers.transformer import TransformerLayer

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bidirectional",
    "ChannelDropout",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "InstanceNorm2d",
    "Join",
    "Lambda",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEmbedding",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MeanOverTime",
    "Mish",
    "MultiHeadAttention",
    "PReLU",
    "Parallel",
    "Permute",
    "PositionalEncoding",
    "RMSNorm",
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
    "TransformerLayer",
    "Upsample2d",
    "ZeroPad2d",
    "decoding",
]
