"""One row for every configuration of every layer and loss; all of them run through the contract."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

import nnlite as nn


class LayerCase(NamedTuple):
    make: Callable[[], nn.Layer]
    shape: tuple[int, ...]
    kinks: tuple[float, ...] = ()  # inputs stay away from these
    training: bool = True
    by_sample: bool = True  # whether each sample is treated by itself
    by_difference: bool = True  # False where another row differs only in size, and this is large
    whole_range: bool = False  # safe for every float
    moves_only: bool = False  # does no arithmetic, so takes integers too


class LossCase(NamedTuple):
    make: Callable[[], nn.Loss]
    prediction: Callable[[np.random.Generator], np.ndarray]
    target: Callable[[np.random.Generator], np.ndarray]


def activation(make, *kinks, shape=(3, 5)):
    return LayerCase(make, shape, kinks, whole_range=True)


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


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
    "HardTanh": activation(nn.HardTanh, -1, 1),
    "HardTanh bounds": activation(lambda: nn.HardTanh(-0.5, 2), -0.5, 2),
    "Softplus": activation(nn.Softplus),
    "Softplus beta": activation(lambda: nn.Softplus(3.0)),
    "Softsign": activation(nn.Softsign, 0),
    "LogSigmoid": activation(nn.LogSigmoid),
    "Softmax": activation(nn.Softmax),
    "Softmax axis": LayerCase(lambda: nn.Softmax(axis=1), (2, 4, 3)),
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


def normal(*shape):
    return lambda rng: rng.standard_normal(shape)


def uniform(low, high, *shape):
    return lambda rng: rng.uniform(low, high, shape)


def classes(count, *shape):
    return lambda rng: rng.integers(0, count, shape)


def rows(*shape):
    def draw(rng):
        p = rng.uniform(0.1, 1, shape)
        return p / p.sum(axis=-1, keepdims=True)

    return draw


def log_rows(*shape):
    return lambda rng: np.log(rows(*shape)(rng))


def ignoring(draw, index):
    def with_ignored(rng):
        target = draw(rng)
        target[0] = index
        return target

    return with_ignored


def classification(make, count=4):
    return LossCase(make, normal(6, count), classes(count, 6))


WEIGHT = [0.5, 2.0, 1.0, 0.0]

LOSSES: dict[str, LossCase] = {
    "MSELoss": LossCase(nn.MSELoss, normal(5, 3), normal(5, 3)),
    "MSELoss row": LossCase(nn.MSELoss, normal(5), normal(5)),
    "MAELoss": LossCase(nn.MAELoss, normal(5, 3), normal(5, 3)),
    "HuberLoss": LossCase(nn.HuberLoss, normal(5, 3), normal(5, 3)),
    "HuberLoss delta": LossCase(lambda: nn.HuberLoss(0.3), normal(5, 3), normal(5, 3)),
    "LogCoshLoss": LossCase(nn.LogCoshLoss, normal(5, 3), normal(5, 3)),
    "BCELoss": LossCase(nn.BCELoss, uniform(0.05, 0.95, 6, 1), uniform(0, 1, 6, 1)),
    "BCEWithLogitsLoss": LossCase(nn.BCEWithLogitsLoss, normal(6, 2), classes(2, 6, 2)),
    "BCEWithLogitsLoss weighted": LossCase(
        lambda: nn.BCEWithLogitsLoss(pos_weight=3.0), normal(6, 2), classes(2, 6, 2)
    ),
    "CrossEntropyLoss": classification(nn.CrossEntropyLoss),
    "CrossEntropyLoss time": LossCase(nn.CrossEntropyLoss, normal(2, 5, 4), classes(4, 2, 5)),
    "CrossEntropyLoss soft": LossCase(nn.CrossEntropyLoss, normal(6, 4), rows(6, 4)),
    "CrossEntropyLoss soft weighted": LossCase(
        lambda: nn.CrossEntropyLoss(WEIGHT), normal(6, 4), rows(6, 4)
    ),
    "CrossEntropyLoss weighted": classification(lambda: nn.CrossEntropyLoss(WEIGHT)),
    "CrossEntropyLoss smoothed": classification(lambda: nn.CrossEntropyLoss(label_smoothing=0.1)),
    "CrossEntropyLoss smoothed weighted ignoring": LossCase(
        lambda: nn.CrossEntropyLoss(WEIGHT, 2, label_smoothing=0.1),
        normal(6, 4),
        ignoring(classes(4, 6), 2),
    ),
    "CrossEntropyLoss ignoring": LossCase(
        nn.CrossEntropyLoss, normal(6, 4), ignoring(classes(4, 6), -100)
    ),
    "CrossEntropyLoss sum": classification(lambda: nn.CrossEntropyLoss(reduction="sum")),
    "NLLLoss": LossCase(nn.NLLLoss, log_rows(6, 4), classes(4, 6)),
    "NLLLoss weighted": LossCase(lambda: nn.NLLLoss(WEIGHT), log_rows(6, 4), classes(4, 6)),
    "NLLLoss ignoring": LossCase(nn.NLLLoss, log_rows(6, 4), ignoring(classes(4, 6), -100)),
    "KLDivLoss": LossCase(nn.KLDivLoss, log_rows(6, 4), rows(6, 4)),
    "HingeLoss": LossCase(nn.HingeLoss, normal(8, 1), lambda rng: classes(2, 8, 1)(rng) * 2 - 1),
    "HingeLoss 0 and 1": LossCase(nn.HingeLoss, normal(8, 1), classes(2, 8, 1)),
    "PoissonNLLLoss": LossCase(nn.PoissonNLLLoss, normal(6, 2), classes(5, 6, 2)),
    "PoissonNLLLoss rate": LossCase(
        lambda: nn.PoissonNLLLoss(log_input=False), uniform(0.5, 3, 6, 2), classes(5, 6, 2)
    ),
    "FocalLoss": classification(nn.FocalLoss),
    "FocalLoss gamma": classification(lambda: nn.FocalLoss(gamma=0.5)),
    "FocalLoss plain": classification(lambda: nn.FocalLoss(gamma=0.0)),
    "FocalLoss weighted": classification(lambda: nn.FocalLoss(weight=WEIGHT)),
}

for name in ("MSELoss", "BCELoss", "HingeLoss", "KLDivLoss", "FocalLoss"):
    row = LOSSES[name]
    LOSSES[f"{name} sum"] = row._replace(make=lambda make=row.make: make(reduction="sum"))


def layer_input(case: LayerCase, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """An input for the row, at least 0.05 from every kink."""
    x = 2 * np.random.default_rng(seed).standard_normal(case.shape)
    for kink in case.kinks:
        near = np.abs(x - kink) < 0.05
        x[near] = kink + 0.05 * np.where(x[near] < kink, -1, 1)
    return x.astype(dtype)


def layer_of(case: LayerCase, dtype=np.float64) -> nn.Layer:
    return case.make().astype(dtype).train(case.training)
