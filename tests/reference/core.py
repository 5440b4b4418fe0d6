"""The dense layers, activations and containers in PyTorch, one function per row of the cases.

Each is called with the input and then the layer's parameters, in nnlite's layouts.
"""

import torch
from torch.nn import functional as F


def linear(x, weight, bias=None):
    return F.linear(x, weight.T, bias)


def mlp(x, w1, b1, w2, b2):
    return linear(torch.tanh(linear(x, w1, b1)), w2, b2)


def identity(x):
    return x


def rows(x):
    return x.flatten(1)


def per_channel(x, weight):
    return F.prelu(x.movedim(-1, 1), weight).movedim(1, -1)


def with_shortcut(x, *weights):
    return mlp(x, *weights[:4]) + linear(x, *weights[4:])


def concat(x, weight, bias, *weights):
    return torch.cat([linear(x, weight, bias), x, mlp(x, *weights)], -1)


def parallel(x, weight, bias, *weights):
    return torch.cat([linear(x[..., :2], weight, bias), mlp(x[..., 2:], *weights)], -1)


def add(x, w1, b1, *weights):
    return linear(x, w1, b1) + mlp(x, *weights[:4]) + linear(x, *weights[4:])


REFERENCE = {
    "Linear": linear,
    "Linear batch 1": linear,
    "Linear no bias": linear,
    "Linear 1 to 1": linear,
    "Linear time": linear,
    "Linear initializers": linear,
    "Identity": identity,
    "Flatten": rows,
    "Flatten rows": rows,
    "Reshape": lambda x: x.reshape(-1, 3, 4),
    "Reshape inferred": lambda x: x.reshape(len(x), -1, 2),
    "Permute": lambda x: x.permute(0, 3, 1, 2),
    "Dropout eval": lambda x: F.dropout(x, 0.3, training=False),
    "Dropout 0": lambda x: F.dropout(x, 0.0),
    "Elementwise": lambda x: x**3,
    "Lambda": torch.square,
    "ReLU": F.relu,
    "ReLU large": F.relu,
    "LeakyReLU": F.leaky_relu,
    "LeakyReLU steep": lambda x: F.leaky_relu(x, 1.5),
    "PReLU": F.prelu,
    "PReLU per channel": per_channel,
    "RReLU eval": F.rrelu,
    "Threshold": lambda x: F.threshold(x, 0.5, -2.0),
    "Hardshrink": F.hardshrink,
    "Hardshrink lambd": lambda x: F.hardshrink(x, 2.0),
    "Softshrink": F.softshrink,
    "Softshrink lambd": lambda x: F.softshrink(x, 1.0),
    "ReLU6": F.relu6,
    "ELU": F.elu,
    "ELU alpha": lambda x: F.elu(x, 0.5),
    "SELU": F.selu,
    "CELU": F.celu,
    "CELU alpha": lambda x: F.celu(x, 0.3),
    "GELU": F.gelu,
    "GELU tanh": lambda x: F.gelu(x, approximate="tanh"),
    "SiLU": F.silu,
    "Mish": F.mish,
    "Sigmoid": torch.sigmoid,
    "HardSigmoid": F.hardsigmoid,
    "HardSwish": F.hardswish,
    "Tanh": torch.tanh,
    "Tanhshrink": F.tanhshrink,
    "HardTanh": F.hardtanh,
    "HardTanh bounds": lambda x: F.hardtanh(x, -0.5, 2.0),
    "Softplus": F.softplus,
    "Softplus beta": lambda x: F.softplus(x, 3.0),
    "Softsign": F.softsign,
    "LogSigmoid": F.logsigmoid,
    "Softmax": lambda x: F.softmax(x, -1),
    "Softmax axis": lambda x: F.softmax(x, 1),
    "Softmin": lambda x: F.softmin(x, -1),
    "Softmin axis": lambda x: F.softmin(x, 1),
    "LogSoftmax": lambda x: F.log_softmax(x, -1),
    "LogSoftmax axis": lambda x: F.log_softmax(x, 1),
    "GLU": F.glu,
    "GLU axis": lambda x: F.glu(x, 1),
    "Sequential": mlp,
    "Sequential empty": identity,
    "Residual": lambda x, w, b: torch.tanh(linear(x, w, b)) + x,
    "Residual shortcut": with_shortcut,
    "Concat": concat,
    "Concat one": linear,
    "Parallel": parallel,
    "Join": identity,
    "Add": add,
    "Add one": identity,
}
# PyTorch draws other masks and slopes from the same seed.
WITHOUT_COUNTERPART = {"Dropout", "RReLU", "RReLU bounds", "Sequential nested"}
# PyTorch's gradient cancels where x is large.
IN_DOUBLE = {"Softsign", "Softmax", "Tanhshrink"}
