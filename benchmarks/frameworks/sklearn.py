"""scikit-learn's MLPClassifier, through `fit`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE

STEPS = 50  # batches of one call of fit


def build(workload: workloads.Workload, steps: int) -> Any:
    """The classifier, or an error where it has no such model."""
    kinds = {kind[0] for kind in workload.layers}
    if kinds - {"linear", "relu"} or workload.optimizer != "adam":
        raise NotImplementedError("MLPClassifier has no such model")
    if workload.classes == 2:
        raise NotImplementedError("MLPClassifier gives two classes a single output")
    hidden = tuple(kind[2] for kind in workload.layers if kind[0] == "linear")[:-1]
    return MLPClassifier(
        hidden, alpha=0, batch_size=workload.batch, learning_rate_init=LEARNING_RATE,
        max_iter=steps, shuffle=False, tol=0, n_iter_no_change=10_000, random_state=0,
    )  # fmt: skip


def training(workload: workloads.Workload) -> Callable[[], float]:
    """One `fit` over 50 batches, two epochs."""
    x, y = workloads.data(workload)
    model = build(workload, 2)
    many = np.tile(x, (STEPS, 1)), np.tile(y, STEPS)

    def run() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(*many)
        return float(model.loss_)

    run.steps = 2 * STEPS  # type: ignore[attr-defined]
    return run


def checked(workload: workloads.Workload) -> Callable[[], float]:
    """One step from the workload's weights and its loss, for the comparison of losses."""
    x, y = workloads.data(workload)
    model = build(workload, 1)
    model.partial_fit(x, y, classes=np.arange(workload.classes))
    drawn = workloads.weights(workload)
    model.coefs_, model.intercepts_ = drawn[0::2], drawn[1::2]
    model._optimizer = AdamOptimizer([*drawn[0::2], *drawn[1::2]], LEARNING_RATE)

    def run() -> float:
        model.partial_fit(x, y)
        return float(model.loss_)

    return run


def inference(workload: workloads.Workload) -> Callable[[], Any]:
    """`predict_proba`."""
    x, y = workloads.data(workload)
    model = build(workload, 1)
    model.partial_fit(x, y, classes=np.arange(workload.classes))
    return lambda: model.predict_proba(x)
