"""Rows of the dense layers, activations and containers."""

from typing import ClassVar

import numpy as np

import nnlite as nn
from cases.kinds import LayerCase
from nnlite.core.padded import data_and_lengths, ended


def activation(make, *kinks, shape=(3, 5)):
    return LayerCase(make, shape, kinks, whole_range=True)


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


class Halves(nn.Layer):
    """The first two features and the others: (N, …, C) as a tuple of two."""

    equations: ClassVar = {"forward": "y = (x₁, x₂)", "input": "dL/dx = [G₁, G₂]"}
    accepts_padded = True

    def forward(self, x):
        data, lengths = data_and_lengths(x)
        self.save_for_backward()
        return tuple(ended(half, lengths) for half in (data[..., :2], data[..., 2:]))

    def backward(self, grad_output):
        self.saved()
        return np.concatenate(grad_output, axis=-1)


LAYERS: dict[str, LayerCase] = {
    "Linear": LayerCase(lambda: nn.Linear(4, 3), (5, 4)),
    "Linear batch 1": LayerCase(lambda: nn.Linear(4, 3), (1, 4)),
    "Linear no bias": LayerCase(lambda: nn.Linear(4, 3, bias=False), (5, 4)),
    "Linear 1 to 1": LayerCase(lambda: nn.Linear(1, 1), (2, 1)),
    "Linear time": LayerCase(lambda: nn.Linear(4, 3), (2, 7, 4)),
    "Linear initializers": LayerCase(
        lambda: nn.Linear(
            4, 3, weight_init=nn.initializers.He(), bias_init=nn.initializers.Constant(0.5)
        ),
        (5, 4),
    ),
    "Identity": LayerCase(nn.Identity, (3, 4), moves_only=True),
    "Flatten": LayerCase(nn.Flatten, (3, 2, 5), moves_only=True),
    "Flatten rows": LayerCase(nn.Flatten, (3, 5), moves_only=True),
    "Reshape": LayerCase(lambda: nn.Reshape(3, 4), (2, 12), moves_only=True),
    "Reshape inferred": LayerCase(lambda: nn.Reshape(-1, 2), (2, 3, 4), moves_only=True),
    "Permute": LayerCase(lambda: nn.Permute(3, 1, 2), (2, 3, 4, 5), moves_only=True),
    "Dropout": LayerCase(lambda: nn.Dropout(0.3), (4, 6), by_sample=False),
    "Dropout eval": LayerCase(lambda: nn.Dropout(0.3), (4, 6), training=False),
    "Dropout 0": LayerCase(lambda: nn.Dropout(0.0), (4, 6)),
    "Elementwise": LayerCase(lambda: Cube(), (3, 5)),
    "Lambda": LayerCase(lambda: nn.Lambda(np.square, lambda g, x: 2 * x * g), (3, 5)),
    "ReLU": activation(nn.ReLU, 0),
    "ReLU large": LayerCase(nn.ReLU, (2, 40_000), (0,), by_difference=False),
    "LeakyReLU": activation(nn.LeakyReLU, 0),
    "LeakyReLU steep": LayerCase(lambda: nn.LeakyReLU(1.5), (3, 5), (0,)),
    "PReLU": activation(nn.PReLU, 0),
    "PReLU per channel": LayerCase(lambda: nn.PReLU(5), (2, 3, 5), (0,)),
    "RReLU": LayerCase(nn.RReLU, (3, 5), (0,), by_sample=False),
    "RReLU eval": LayerCase(nn.RReLU, (3, 5), (0,), training=False, whole_range=True),
    "RReLU bounds": LayerCase(lambda: nn.RReLU(-0.5, 1.5), (3, 5), (0,), by_sample=False),
    "Threshold": activation(lambda: nn.Threshold(0.5, -2.0), 0.5),
    "Hardshrink": activation(nn.Hardshrink, -0.5, 0.5),
    "Hardshrink lambd": activation(lambda: nn.Hardshrink(2.0), -2, 2),
    "Softshrink": activation(nn.Softshrink, -0.5, 0.5),
    "Softshrink lambd": activation(lambda: nn.Softshrink(1.0), -1, 1),
    "ReLU6": activation(nn.ReLU6, 0, 6),
    "ELU": activation(nn.ELU, 0),
    "ELU alpha": activation(lambda: nn.ELU(0.5), 0),
    "SELU": activation(nn.SELU, 0),
    "CELU": activation(nn.CELU, 0),
    "CELU alpha": activation(lambda: nn.CELU(0.3), 0),
    "GELU": activation(nn.GELU),
    "GELU tanh": activation(lambda: nn.GELU("tanh")),
    "SiLU": activation(nn.SiLU),
    "Mish": activation(nn.Mish),
    "Sigmoid": activation(nn.Sigmoid),
    "HardSigmoid": activation(nn.HardSigmoid, -3, 3),
    "HardSwish": activation(nn.HardSwish, -3, 3),
    "Tanh": activation(nn.Tanh),
    "Tanhshrink": activation(nn.Tanhshrink),
    "HardTanh": activation(nn.HardTanh, -1, 1),
    "HardTanh bounds": activation(lambda: nn.HardTanh(-0.5, 2), -0.5, 2),
    "Softplus": activation(nn.Softplus),
    "Softplus beta": activation(lambda: nn.Softplus(3.0)),
    "Softsign": activation(nn.Softsign, 0),
    "LogSigmoid": activation(nn.LogSigmoid),
    "Softmax": activation(nn.Softmax),
    "Softmax axis": LayerCase(lambda: nn.Softmax(axis=1), (2, 4, 3)),
    "Softmin": LayerCase(nn.Softmin, (3, 5)),
    "Softmin axis": LayerCase(lambda: nn.Softmin(axis=1), (2, 4, 3)),
    "LogSoftmax": LayerCase(nn.LogSoftmax, (3, 5)),
    "LogSoftmax axis": LayerCase(lambda: nn.LogSoftmax(axis=1), (2, 4, 3)),
    "GLU": LayerCase(nn.GLU, (3, 6)),
    "GLU axis": LayerCase(lambda: nn.GLU(axis=1), (2, 4, 3)),
    "Sequential": LayerCase(mlp, (5, 4)),
    "Sequential empty": LayerCase(nn.Sequential, (5, 4), moves_only=True),
    "Sequential nested": LayerCase(
        lambda: nn.Sequential(nn.Flatten(), mlp(), nn.Sequential(nn.Dropout(0.5), nn.Sigmoid())),
        (3, 2, 2),
        by_sample=False,
    ),
    "Residual": LayerCase(lambda: nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.Tanh())), (3, 4)),
    "Residual shortcut": LayerCase(lambda: nn.Residual(mlp(), nn.Linear(4, 3)), (3, 4)),
    "Concat": LayerCase(lambda: nn.Concat(nn.Linear(4, 2), nn.Identity(), mlp()), (3, 4)),
    "Parallel": LayerCase(
        lambda: nn.Sequential(Halves(), nn.Parallel(nn.Linear(2, 3), mlp()), nn.Join()), (3, 5, 6)
    ),
    "Join": LayerCase(lambda: nn.Sequential(Halves(), nn.Join()), (3, 4, 5), moves_only=True),
    "Concat one": LayerCase(lambda: nn.Concat(nn.Linear(4, 2)), (3, 4)),
    "Add": LayerCase(lambda: nn.Add(nn.Linear(4, 3), mlp(), nn.Linear(4, 3)), (3, 4)),
    "Add one": LayerCase(lambda: nn.Add(nn.Identity()), (3, 4), moves_only=True),
}


class Cube(nn.Elementwise):
    """y = x³, as a user would write it."""

    equations: ClassVar = {"forward": "y = x³", "input": "dL/dx = 3 G ⊙ x²"}

    def function(self, x):
        return x**3, x

    def derivative(self, x):
        return 3 * x * x
