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


def several(*draws):
    return lambda rng: tuple(draw(rng) for draw in draws)


def signs(*shape):
    return lambda rng: rng.choice([-1.0, 1.0], shape)


def bits(*shape):
    return lambda rng: rng.integers(0, 2, shape).astype(np.float64)


def labels(*rows_):
    return lambda rng: np.array(rows_)


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
    "PoissonNLLLoss full": LossCase(
        lambda: nn.PoissonNLLLoss(full=True), normal(6, 2), classes(5, 6, 2)
    ),
    "PoissonNLLLoss full rate": LossCase(
        lambda: nn.PoissonNLLLoss(log_input=False, full=True),
        uniform(0.5, 3, 6, 2),
        classes(5, 6, 2),
    ),
    "SoftMarginLoss": LossCase(nn.SoftMarginLoss, normal(6, 2), signs(6, 2)),
    "SoftMarginLoss 0 and 1": LossCase(nn.SoftMarginLoss, normal(8, 1), classes(2, 8, 1)),
    "QuantileLoss": LossCase(nn.QuantileLoss, normal(6, 2), normal(6, 2)),
    "QuantileLoss high": LossCase(lambda: nn.QuantileLoss(0.9), normal(6, 2), normal(6, 2)),
    "QuantileLoss several": LossCase(
        lambda: nn.QuantileLoss([0.1, 0.5, 0.9]), normal(6, 3), normal(6, 3)
    ),
    "GaussianNLLLoss": LossCase(
        nn.GaussianNLLLoss, several(normal(6, 2), uniform(0.3, 2, 6, 2)), normal(6, 2)
    ),
    "GaussianNLLLoss shared": LossCase(
        lambda: nn.GaussianNLLLoss(full=True),
        several(normal(6, 2), uniform(0.3, 2, 6, 1)),
        normal(6, 2),
    ),
    "HingeEmbeddingLoss": LossCase(nn.HingeEmbeddingLoss, uniform(0, 2, 8), signs(8)),
    "HingeEmbeddingLoss margin": LossCase(
        lambda: nn.HingeEmbeddingLoss(0.7), uniform(0, 2, 6, 2), signs(6, 2)
    ),
    "MarginRankingLoss": LossCase(nn.MarginRankingLoss, several(normal(8), normal(8)), signs(8)),
    "MarginRankingLoss margin": LossCase(
        lambda: nn.MarginRankingLoss(0.5), several(normal(6, 2), normal(6, 2)), signs(6, 2)
    ),
    "MarginRankingLoss ties": LossCase(
        lambda: nn.MarginRankingLoss(0.5),
        several(normal(6), normal(6)),
        labels(-1.0, 0.0, 1.0, 0.0, 1.0, -1.0),
    ),
    "CosineEmbeddingLoss": LossCase(
        nn.CosineEmbeddingLoss, several(normal(8, 3), normal(8, 3)), signs(8)
    ),
    "CosineEmbeddingLoss margin": LossCase(
        lambda: nn.CosineEmbeddingLoss(0.3), several(normal(4, 2, 3), normal(4, 2, 3)), signs(4, 2)
    ),
    "TripletMarginLoss": LossCase(
        nn.TripletMarginLoss, several(*[normal(8, 3)] * 3), uniform(0, 1, 8)
    ),
    "TripletMarginLoss margin": LossCase(
        lambda: nn.TripletMarginLoss(margin=2.0, p=3.0, eps=0.01),
        several(*[normal(8, 3)] * 3),
        uniform(0, 1, 8),
    ),
    "TripletMarginLoss swap": LossCase(
        lambda: nn.TripletMarginLoss(swap=True), several(*[normal(8, 3)] * 3), uniform(0, 1, 8)
    ),
    "MultiMarginLoss": classification(nn.MultiMarginLoss),
    "MultiMarginLoss squared": classification(lambda: nn.MultiMarginLoss(p=2, margin=0.7)),
    "MultiMarginLoss weighted": classification(lambda: nn.MultiMarginLoss(weight=WEIGHT)),
    "MultiMarginLoss squared weighted": classification(
        lambda: nn.MultiMarginLoss(2, weight=WEIGHT)
    ),
    "MultiLabelMarginLoss": LossCase(
        nn.MultiLabelMarginLoss,
        normal(5, 4),
        labels([0, 2, -1, 1], [3, -1, -1, -1], [-1, 0, 1, 2], [1, 1, 3, -1], [0, 1, 2, 3]),
    ),
    "MultiLabelSoftMarginLoss": LossCase(
        nn.MultiLabelSoftMarginLoss, normal(6, 4), classes(2, 6, 4)
    ),
    "MultiLabelSoftMarginLoss weighted": LossCase(
        lambda: nn.MultiLabelSoftMarginLoss(WEIGHT), normal(6, 4), uniform(0, 1, 6, 4)
    ),
    "DiceLoss": LossCase(nn.DiceLoss, uniform(0, 1, 4, 3, 5, 2), bits(4, 3, 5, 2)),
    "DiceLoss smooth": LossCase(
        lambda: nn.DiceLoss(0.1), uniform(0, 1, 4, 7, 1), uniform(0, 1, 4, 7, 1)
    ),
    "JaccardLoss": LossCase(nn.JaccardLoss, uniform(0, 1, 4, 3, 5, 2), bits(4, 3, 5, 2)),
    "JaccardLoss smooth": LossCase(
        lambda: nn.JaccardLoss(0.1), uniform(0, 1, 4, 7, 1), uniform(0, 1, 4, 7, 1)
    ),
    "CTCLoss": LossCase(
        nn.CTCLoss,
        log_rows(4, 6, 4),
        labels([1, 2, 3], [2, 2, -1], [3, -1, -1], [-1, -1, -1]),
    ),
    "CTCLoss blank": LossCase(
        lambda: nn.CTCLoss(blank=3), log_rows(3, 6, 4), labels([1, 2, 0], [2, 2, 2], [0, 0, -1])
    ),
    "CTCLoss zero infinity": LossCase(
        lambda: nn.CTCLoss(zero_infinity=True), log_rows(2, 3, 3), labels([1, 1, 1], [1, 2, -1])
    ),
    "FocalLoss": classification(nn.FocalLoss),
    "FocalLoss time": LossCase(nn.FocalLoss, normal(2, 5, 4), classes(4, 2, 5)),
    "FocalLoss gamma": classification(lambda: nn.FocalLoss(gamma=0.5)),
    "FocalLoss plain": classification(lambda: nn.FocalLoss(gamma=0.0)),
    "FocalLoss weighted": classification(lambda: nn.FocalLoss(weight=WEIGHT)),
}

for name in (
    "MSELoss",
    "BCELoss",
    "HingeLoss",
    "KLDivLoss",
    "FocalLoss",
    "CTCLoss",
    "GaussianNLLLoss",
):
    row = LOSSES[name]
    LOSSES[f"{name} sum"] = row._replace(make=lambda make=row.make: make(reduction="sum"))
