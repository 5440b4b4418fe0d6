"""Keras on JAX, through `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "jax"
import keras

from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE, MOMENTUM, check_kinds

STEPS, OF_IMAGES = 50, 4  # batches of one call of fit; those of images take up to a second each
BUILD: dict[str, Callable[..., Any]] = {
    "linear": lambda i, o: keras.layers.Dense(o),
    "relu": keras.layers.ReLU,
    "gelu": lambda: keras.layers.Activation("gelu"),
    "dropout": keras.layers.Dropout,
    "conv": lambda i, o, k, s, p, g: keras.layers.Conv2D(o, k, s, "same", groups=g),
    "maxpool": keras.layers.MaxPooling2D,
    "batchnorm": lambda c: keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    "flatten": keras.layers.Flatten,
    # no GRU: with nnlite's formula, it has a second bias
    "lstm": lambda i, h: keras.layers.LSTM(h, return_sequences=True),
    "last": lambda: keras.layers.Lambda(lambda x: x[:, -1]),
    "embedding": keras.layers.Embedding,
}
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8),
    "adamw": lambda: keras.optimizers.AdamW(LEARNING_RATE, weight_decay=0.01, epsilon=1e-8),
    "sgd": lambda: keras.optimizers.SGD(LEARNING_RATE),
    "sgd momentum": lambda: keras.optimizers.SGD(LEARNING_RATE, MOMENTUM),
}


def build(workload: workloads.Workload) -> Any:
    """The compiled model with the workload's weights."""
    check_kinds(workload, BUILD, OPTIMIZERS)
    whole = workload.layers[0][0] == "embedding"
    model = keras.Sequential(
        [
            keras.layers.Input(workload.x_shape, dtype="int32" if whole else "float32"),
            *(BUILD[kind](*sizes) for kind, *sizes in workload.layers),
        ]
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Activation):
            layer.activation = lambda x: keras.activations.gelu(x, approximate=False)
    drawn = iter(workloads.weights(workload))
    for variable in model.trainable_variables:
        variable.assign(next(drawn))
    model.compile(
        OPTIMIZERS[workload.optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def training(workload: workloads.Workload) -> Callable[[], float]:
    """One `fit` over 50 batches, or a few of images."""
    model, (x, y) = build(workload), workloads.data(workload)
    steps = STEPS if x.ndim < 4 else OF_IMAGES
    many = np.tile(x, (steps, *[1] * (x.ndim - 1))), np.tile(y, steps)

    def run() -> float:
        history = model.fit(*many, batch_size=workload.batch, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    run.steps = steps  # type: ignore[attr-defined]
    return run


def checked(workload: workloads.Workload) -> Callable[[], float]:
    """One step and its loss, for the comparison of losses."""
    model, (x, y) = build(workload), workloads.data(workload)
    return lambda: float(model.train_on_batch(x, y))


def inference(workload: workloads.Workload) -> Callable[[], Any]:
    """`predict_on_batch`."""
    model, (x, _) = build(workload), workloads.data(workload)
    return lambda: model.predict_on_batch(x)
