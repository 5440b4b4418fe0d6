"""Rows of the losses."""

import numpy as np

import nnlite as nn
from cases.kinds import LossCase


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
    "NLLLoss time": LossCase(nn.NLLLoss, log_rows(2, 5, 4), classes(4, 2, 5)),
    "NLLLoss weighted": LossCase(lambda: nn.NLLLoss(WEIGHT), log_rows(6, 4), classes(4, 6)),
    "NLLLoss ignoring": LossCase(nn.NLLLoss, log_rows(6, 4), ignoring(classes(4, 6), -100)),
    "KLDivLoss": LossCase(nn.KLDivLoss, log_rows(6, 4), rows(6, 4)),
    "KLDivLoss of logarithms": LossCase(
        lambda: nn.KLDivLoss(log_target=True), log_rows(6, 4), log_rows(6, 4)
    ),
    "HingeLoss": LossCase(nn.HingeLoss, normal(8, 1), lambda rng: classes(2, 8, 1)(rng) * 2 - 1),
    "HingeLoss 0 and 1": LossCase(nn.HingeLoss, normal(8, 1), classes(2, 8, 1)),
    "PoissonNLLLoss": LossCase(nn.PoissonNLLLoss, normal(6, 2), classes(5, 6, 2)),
    "PoissonNLLLoss rate": LossCase(
        lambda: nn.PoissonNLLLoss(log_input=False), uniform(0.5, 3, 6, 2), classes(5, 6, 2)
    ),
    "FocalLoss": classification(nn.FocalLoss),
    "FocalLoss time": LossCase(nn.FocalLoss, normal(2, 5, 4), classes(4, 2, 5)),
    "FocalLoss gamma": classification(lambda: nn.FocalLoss(gamma=0.5)),
    "FocalLoss plain": classification(lambda: nn.FocalLoss(gamma=0.0)),
    "FocalLoss weighted": classification(lambda: nn.FocalLoss(weight=WEIGHT)),
}

for name in ("MSELoss", "BCELoss", "HingeLoss", "KLDivLoss", "FocalLoss"):
    row = LOSSES[name]
    LOSSES[f"{name} sum"] = row._replace(make=lambda make=row.make: make(reduction="sum"))
