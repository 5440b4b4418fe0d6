"""nnlite: the loop that `Trainer` runs, without its bookkeeping."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import nnlite as nn
from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE, MOMENTUM

if os.environ.get("NNLITE_ENGINE") == "numba":
    import numba  # noqa: F401  # without it NumPy would go on, under the other one's name

BUILD: dict[str, Callable[..., Any]] = {
    "linear": nn.Linear,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "dropout": nn.Dropout,
    "conv": lambda i, o, k, s, p, g: nn.Conv2d(i, o, k, s, p, groups=g),
    "maxpool": lambda k: nn.MaxPool2d(k),
    "batchnorm": lambda c: nn.BatchNorm2d(c),
    "flatten": nn.Flatten,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "last": nn.LastStep,
    "embedding": nn.Embedding,
    "transformer": nn.TransformerLayer,
}
OPTIMIZERS: dict[str, Callable[..., nn.Optimizer]] = {
    "adam": nn.Adam,
    "adamw": nn.AdamW,
    "sgd": nn.SGD,
    "sgd momentum": partial(nn.SGD, momentum=MOMENTUM),
}


def build(workload: workloads.Workload) -> nn.Layer:
    """The model with the workload's weights."""
    model = nn.Sequential(*(BUILD[kind](*sizes) for kind, *sizes in workload.layers))
    for parameter, value in zip(model.parameters(), workloads.weights(workload), strict=True):
        parameter.data = value
    return model


def training(workload: workloads.Workload) -> Callable[[], float]:
    """One step of the six-step loop."""
    model, (x, y) = build(workload), workloads.data(workload)
    loss = nn.CrossEntropyLoss()
    optimizer = OPTIMIZERS[workload.optimizer](model.parameters(), lr=LEARNING_RATE)
    model.needs_input_grad = False

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model.forward(x), y)
        model.backward(loss.backward())
        optimizer.step()
        return value

    return step


def inference(workload: workloads.Workload) -> Callable[[], np.ndarray]:
    """Forward in eval mode, keeping nothing."""
    model, (x, _) = build(workload).eval(), workloads.data(workload)

    def predict() -> np.ndarray:
        with nn.inference():
            return model(x)

    return predict
