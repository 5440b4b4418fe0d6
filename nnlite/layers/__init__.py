"""Layers: each computes y from x, and its own gradients."""

from typing import TYPE_CHECKING

from nnlite.core.habits import missing_in
from nnlite.layers.activations.elementwise import Elementwise, Lambda
from nnlite.layers.activations.rectifiers import (
    CELU,
    ELU,
    SELU,
    Hardshrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Softshrink,
    Threshold,
)
from nnlite.layers.activations.smooth import (
    GELU,
    GLU,
    LogSigmoid,
    Mish,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from nnlite.layers.activations.softmax import LogSoftmax, Softmax, Softmin
from nnlite.layers.base import Layer
from nnlite.layers.containers.branches import Add, Concat, Residual
from nnlite.layers.containers.parallel import Join, Parallel
from nnlite.layers.containers.sequential import Sequential
from nnlite.layers.containers.weights import SpectralNorm, WeightNorm
from nnlite.layers.convolution.conv import Conv1d, Conv2d
from nnlite.layers.convolution.transpose import ConvTranspose1d, ConvTranspose2d
from nnlite.layers.dropout import ChannelDropout, Dropout, GaussianNoise
from nnlite.layers.embedding import Embedding
from nnlite.layers.linear import Linear
from nnlite.layers.normalization.affine import Affine
from nnlite.layers.normalization.channels import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
)
from nnlite.layers.normalization.features import LayerNorm, RMSNorm
from nnlite.layers.normalization.response import LocalResponseNorm
from nnlite.layers.pooling.borders import (
    CircularPad1d,
    CircularPad2d,
    ConstantPad1d,
    ConstantPad2d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReplicationPad1d,
    ReplicationPad2d,
    ZeroPad1d,
    ZeroPad2d,
)
from nnlite.layers.pooling.resize import Upsample1d, Upsample2d
from nnlite.layers.pooling.unpooling import MaxUnpool1d, MaxUnpool2d
from nnlite.layers.pooling.whole import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
)
from nnlite.layers.pooling.windows import (
    AvgPool1d,
    AvgPool2d,
    LPPool1d,
    LPPool2d,
    MaxPool1d,
    MaxPool2d,
)
from nnlite.layers.sequences.attention import MultiHeadAttention
from nnlite.layers.sequences.bidirectional import Bidirectional
from nnlite.layers.sequences.decoding import decoding
from nnlite.layers.sequences.grouped import GroupedQueryAttention
from nnlite.layers.sequences.gru import GRU
from nnlite.layers.sequences.lstm import LSTM
from nnlite.layers.sequences.over_time import LastStep, MeanOverTime
from nnlite.layers.sequences.placed import (
    ALiBiAttention,
    RotaryAttention,
    SlidingWindowAttention,
)
from nnlite.layers.sequences.positional import LearnedPositionalEmbedding, PositionalEncoding
from nnlite.layers.sequences.rnn import RNN
from nnlite.layers.sequences.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerLayer,
)
from nnlite.layers.shape import Flatten, Identity, Permute, Reshape
from nnlite.layers.terms import ActivityRegularization, GaussianSample

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "ALiBiAttention",
    "ActivityRegularization",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "Add",
    "Affine",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bidirectional",
    "ChannelDropout",
    "CircularPad1d",
    "CircularPad2d",
    "Concat",
    "ConstantPad1d",
    "ConstantPad2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GaussianSample",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "GroupedQueryAttention",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hardshrink",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "Join",
    "LPPool1d",
    "LPPool2d",
    "Lambda",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEmbedding",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MeanOverTime",
    "Mish",
    "MultiHeadAttention",
    "PReLU",
    "Parallel",
    "Permute",
    "PositionalEncoding",
    "RMSNorm",
    "RReLU",
    "ReLU",
    "ReLU6",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "Reshape",
    "Residual",
    "RotaryAttention",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SlidingWindowAttention",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "SpectralNorm",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerLayer",
    "Upsample1d",
    "Upsample2d",
    "WeightNorm",
    "ZeroPad1d",
    "ZeroPad2d",
    "decoding",
]
