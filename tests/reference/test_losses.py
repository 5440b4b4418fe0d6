"""Losses return PyTorch's values and gradients, in every reduction and with sample weights."""

import numpy as np
import pytest
from cases import LOSSES, LossCase
from cases.kinds import all_of, each
from cases.losses import WEIGHT, classes, ignoring, normal, rows

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")
F = torch.nn.functional

CLASS_WEIGHT = torch.tensor(WEIGHT)
POS_WEIGHT = [0.5, 3.0]

CASES = {name: case for name, case in LOSSES.items() if not name.endswith(" sum")} | {
    "CrossEntropyLoss soft time": LossCase(nn.CrossEntropyLoss, normal(2, 5, 4), rows(2, 5, 4)),
    "CrossEntropyLoss soft smoothed weighted": LossCase(
        lambda: nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1), normal(6, 4), rows(6, 4)
    ),
    "CrossEntropyLoss time smoothed ignoring": LossCase(
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
        normal(2, 5, 4),
        ignoring(classes(4, 2, 5), -100),
    ),
    "BCEWithLogitsLoss weighted by column": LossCase(
        lambda: nn.BCEWithLogitsLoss(pos_weight=np.array(POS_WEIGHT)),
        normal(6, 2),
        classes(2, 6, 2),
    ),
}


def by_class(function, **options):
    """PyTorch has the classes on axis 1, and soft targets with them."""

    def loss(p, t, reduction):
        t = t.movedim(-1, 1) if t.ndim == p.ndim else t
        return function(p.movedim(-1, 1), t, reduction=reduction, **options)

    return loss


def with_logits(pos_weight):
    return lambda p, t, reduction: F.binary_cross_entropy_with_logits(
        p, t.to(p.dtype), pos_weight=torch.tensor(pos_weight), reduction=reduction
    )


def huber(delta):
    return lambda p, t, reduction: F.huber_loss(p, t, delta=delta, reduction=reduction)


def poisson(log_input, full=False):
    return lambda p, t, reduction: F.poisson_nll_loss(p, t, log_input, full, reduction=reduction)


def plain(function, **options):
    """One of PyTorch's losses as it is, with its inputs in a tuple where there are several."""
    return lambda p, t, reduction: function(*all_of(p), t, reduction=reduction, **options)


def gaussian(full=False):
    return lambda p, t, reduction: F.gaussian_nll_loss(p[0], t, p[1], full, reduction=reduction)


def cosine(margin=0.0):
    def loss(p, t, reduction):
        a, b = (each.reshape(-1, each.shape[-1]) for each in p)  # PyTorch takes (N, D) alone
        found = F.cosine_embedding_loss(a, b, t.reshape(-1), margin, reduction=reduction)
        return found.reshape(t.shape) if reduction == "none" else found

    return loss


def triplet(**options):
    return lambda p, t, reduction: F.triplet_margin_loss(*p, reduction=reduction, **options)


def soft_margin(p, t, reduction):
    return F.soft_margin_loss(p, torch.where(t == 1, 1.0, -1.0), reduction=reduction)


def floats(function, **options):
    return lambda p, t, reduction: function(p, t.to(p.dtype), reduction=reduction, **options)


def quantile(*q):
    q = torch.tensor(q)
    return lambda p, t, reduction: reduce(torch.maximum(q * (t - p), (q - 1) * (t - p)), reduction)


def overlap(smooth, jaccard=False):
    def loss(p, t, reduction):
        axes = tuple(range(1, p.ndim - 1))
        both, sizes = (p * t).sum(axes), p.sum(axes) + t.sum(axes)
        ratio = (both if jaccard else 2 * both) + smooth
        ratio = ratio / ((sizes - both if jaccard else sizes) + smooth)
        return reduce(1 - ratio.mean(-1), reduction)

    return loss


def ctc(**options):
    """In double precision; PyTorch's own gradient is right only behind a log-softmax."""

    def loss(p, t, reduction):
        frames, labels_ = torch.full((len(p),), p.shape[1]), (t >= 0).sum(1)
        log_p = p.double().log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(log_p, t.clamp(0), frames, labels_, reduction=reduction, **options)

    return loss


def reduce(values, reduction, divisor=None):
    if reduction == "none":
        return values
    total = values.sum()
    return total if reduction == "sum" else total / (values.numel() if divisor is None else divisor)


def log_cosh(p, t, reduction):
    return reduce(torch.log(torch.cosh(p - t)), reduction)


def hinge(p, t, reduction):
    return reduce(torch.clamp(1 - torch.where(t == 1, 1, -1) * p, min=0), reduction)


def focal(gamma=2.0, weight=None):
    weight = torch.ones(4) if weight is None else weight

    def loss(p, t, reduction):
        q = F.softmax(p, -1).gather(-1, t[..., None])[..., 0]
        values = -weight[t] * (1 - q) ** gamma * torch.log(q)
        return reduce(values, reduction, weight[t].sum())

    return loss


def kl_div(log_target=False):
    def loss(p, t, reduction):
        reduction = "batchmean" if reduction == "mean" else reduction
        return F.kl_div(p, t, reduction=reduction, log_target=log_target)

    return loss


cross_entropy = by_class(F.cross_entropy)
nll = by_class(F.nll_loss)

REFERENCE = {
    "MSELoss": lambda p, t, reduction: F.mse_loss(p, t, reduction=reduction),
    "MSELoss row": lambda p, t, reduction: F.mse_loss(p, t, reduction=reduction),
    "MAELoss": lambda p, t, reduction: F.l1_loss(p, t, reduction=reduction),
    "HuberLoss": huber(1.0),
    "HuberLoss delta": huber(0.3),
    "LogCoshLoss": log_cosh,
    "BCELoss": lambda p, t, reduction: F.binary_cross_entropy(p, t, reduction=reduction),
    "BCEWithLogitsLoss": with_logits(1.0),
    "BCEWithLogitsLoss weighted": with_logits(3.0),
    "BCEWithLogitsLoss weighted by column": with_logits(POS_WEIGHT),
    "CrossEntropyLoss": cross_entropy,
    "CrossEntropyLoss time": cross_entropy,
    "CrossEntropyLoss soft": cross_entropy,
    "CrossEntropyLoss soft time": cross_entropy,
    "CrossEntropyLoss soft weighted": by_class(F.cross_entropy, weight=CLASS_WEIGHT),
    "CrossEntropyLoss soft smoothed weighted": by_class(
        F.cross_entropy, weight=CLASS_WEIGHT, label_smoothing=0.1
    ),
    "CrossEntropyLoss weighted": by_class(F.cross_entropy, weight=CLASS_WEIGHT),
    "CrossEntropyLoss smoothed": by_class(F.cross_entropy, label_smoothing=0.1),
    "CrossEntropyLoss smoothed weighted ignoring": by_class(
        F.cross_entropy, weight=CLASS_WEIGHT, ignore_index=2, label_smoothing=0.1
    ),
    "CrossEntropyLoss time smoothed ignoring": by_class(F.cross_entropy, label_smoothing=0.1),
    "CrossEntropyLoss ignoring": cross_entropy,
    "NLLLoss": nll,
    "NLLLoss time": nll,
    "NLLLoss weighted": by_class(F.nll_loss, weight=CLASS_WEIGHT),
    "NLLLoss ignoring": nll,
    "KLDivLoss": kl_div(),
    "KLDivLoss of logarithms": kl_div(True),
    "HingeLoss": hinge,
    "HingeLoss 0 and 1": hinge,
    "PoissonNLLLoss": poisson(True),
    "PoissonNLLLoss rate": poisson(False),
    "PoissonNLLLoss full": poisson(True, full=True),
    "PoissonNLLLoss full rate": poisson(False, full=True),
    "SoftMarginLoss": soft_margin,
    "SoftMarginLoss 0 and 1": soft_margin,
    "QuantileLoss": quantile(0.5),
    "QuantileLoss high": quantile(0.9),
    "QuantileLoss several": quantile(0.1, 0.5, 0.9),
    "GaussianNLLLoss": gaussian(),
    "GaussianNLLLoss shared": gaussian(full=True),
    "HingeEmbeddingLoss": plain(F.hinge_embedding_loss),
    "HingeEmbeddingLoss margin": plain(F.hinge_embedding_loss, margin=0.7),
    "MarginRankingLoss": plain(F.margin_ranking_loss),
    "MarginRankingLoss margin": plain(F.margin_ranking_loss, margin=0.5),
    "MarginRankingLoss ties": plain(F.margin_ranking_loss, margin=0.5),
    "CosineEmbeddingLoss": cosine(),
    "CosineEmbeddingLoss margin": cosine(0.3),
    "TripletMarginLoss": triplet(),
    "TripletMarginLoss margin": triplet(margin=2.0, p=3.0, eps=0.01),
    "TripletMarginLoss swap": triplet(swap=True),
    "MultiMarginLoss": plain(F.multi_margin_loss),
    "MultiMarginLoss squared": plain(F.multi_margin_loss, p=2, margin=0.7),
    "MultiMarginLoss weighted": plain(F.multi_margin_loss, weight=CLASS_WEIGHT),
    "MultiMarginLoss squared weighted": plain(F.multi_margin_loss, p=2, weight=CLASS_WEIGHT),
    "MultiLabelMarginLoss": plain(F.multilabel_margin_loss),
    "MultiLabelSoftMarginLoss": floats(F.multilabel_soft_margin_loss),
    "MultiLabelSoftMarginLoss weighted": floats(F.multilabel_soft_margin_loss, weight=CLASS_WEIGHT),
    "DiceLoss": overlap(1.0),
    "DiceLoss smooth": overlap(0.1),
    "JaccardLoss": overlap(1.0, jaccard=True),
    "JaccardLoss smooth": overlap(0.1, jaccard=True),
    "CTCLoss": ctc(),
    "CTCLoss blank": ctc(blank=3),
    "CTCLoss zero infinity": ctc(zero_infinity=True),
    "FocalLoss": focal(),
    "FocalLoss time": focal(),
    "FocalLoss gamma": focal(0.5),
    "FocalLoss plain": focal(0.0),
    "FocalLoss weighted": focal(weight=CLASS_WEIGHT),
}
every_loss = pytest.mark.parametrize("name", REFERENCE)


def drawn(name):
    rng = np.random.default_rng(0)
    prediction, target = (draw(rng) for draw in CASES[name][1:])
    target = target.astype(np.float32) if target.dtype.kind == "f" else target
    return each(lambda p: p.astype(np.float32), prediction), target


def tracked(prediction):
    return each(lambda p: torch.tensor(p, requires_grad=True), prediction)


def assert_gradients(loss, prediction, p, *grad_output):
    """The loss's gradients against PyTorch's; those of CTC behind the log-softmax inside `ctc`."""
    gradient = loss.backward(*grad_output)
    if isinstance(loss, nn.CTCLoss):
        log_softmax = nn.LogSoftmax()
        log_softmax(prediction)
        gradient = log_softmax.backward(gradient)
    for mine, tensor in zip(all_of(gradient), all_of(p), strict=True):
        assert_close(mine, tensor.grad, "gradients")


def compare(loss, prediction, target, reference, sample_weight=None):
    """The value and its gradient against `reference(prediction, target)`, both as tensors."""
    p = tracked(prediction)
    value, expected = loss(prediction, target, sample_weight), reference(p, torch.tensor(target))
    expected.backward()
    assert_close(np.float32(value), expected.float(), "losses")
    assert_gradients(loss, prediction, p)


def counts(loss, values, target):
    """What each element adds to the divisor of the mean."""
    each = torch.ones_like(values)
    if isinstance(loss, nn.KLDivLoss):
        return each / values.shape[-1]
    if target.shape == values.shape and getattr(loss, "ignore_index", None) is not None:
        kept = target != loss.ignore_index
        weight = torch.ones(4) if loss.weight is None else torch.tensor(loss.weight)
        each = weight[torch.where(kept, target, 0)] * kept
    return each


def test_every_row_has_a_counterpart():
    assert CASES.keys() == REFERENCE.keys()


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradient(name, reduction):
    loss = CASES[name].make()
    loss.reduction = reduction
    compare(loss, *drawn(name), lambda p, t: REFERENCE[name](p, t, reduction))


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sample_weight(name, reduction):
    loss, (prediction, target) = CASES[name].make(), drawn(name)
    loss.reduction = reduction
    size = len(all_of(prediction)[0])
    weight = np.random.default_rng(1).uniform(0, 2, size).astype(np.float32)

    def weighted(p, t):
        values = REFERENCE[name](p, t, "none")
        if isinstance(loss, nn.CTCLoss) and reduction == "mean":
            values = values / (t >= 0).sum(1).clamp(1)
        w = torch.tensor(weight).reshape(-1, *[1] * (values.ndim - 1)).expand_as(values)
        return reduce(w * values, reduction, (w * counts(loss, values, t)).sum())

    compare(loss, prediction, target, weighted, weight)


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_elements_apart(name, weighted):
    rng = np.random.default_rng(1)
    loss, (prediction, target) = CASES[name].make(), drawn(name)
    loss.reduction = "none"
    size = len(all_of(prediction)[0])
    weight = rng.uniform(0, 2, size).astype(np.float32) if weighted else None
    p = tracked(prediction)
    expected = REFERENCE[name](p, torch.tensor(target), "none")
    if weighted:
        expected = expected * torch.tensor(weight).reshape(-1, *[1] * (expected.ndim - 1))
    values = loss(prediction, target, weight)
    assert values.shape == tuple(expected.shape)
    upstream = rng.standard_normal(values.shape).astype(np.float32)
    expected.backward(torch.tensor(upstream))
    assert_close(values, expected.float(), "losses")
    assert_gradients(loss, prediction, p, upstream)


@pytest.mark.parametrize(
    ("loss", "reference", "prediction"),
    [
        (nn.MarginRankingLoss(), F.margin_ranking_loss, (np.ones(4), np.ones(4))),
        (nn.HingeEmbeddingLoss(), F.hinge_embedding_loss, np.ones(4)),
        (nn.CosineEmbeddingLoss(), F.cosine_embedding_loss,
         (np.tile([1, 0], (4, 1)), np.tile([0, 1], (4, 1)))),
    ],
)  # fmt: skip
def test_at_the_margin_itself(loss, reference, prediction):
    prediction = each(lambda p: p.astype(np.float32), prediction)
    target = np.array([1, -1, 1, -1], np.float32)
    compare(loss, prediction, target, lambda p, t: reference(*all_of(p), t))


def test_certain_probabilities():
    prediction = np.array([0, 1, 0, 1, 0, 1], np.float32)[:, None]
    target = np.array([0, 0, 1, 1, 0.5, 0.5], np.float32)[:, None]
    compare(nn.BCELoss(), prediction, target, F.binary_cross_entropy)


@pytest.mark.parametrize("size", [30, 1e4])
def test_large_scores(size):
    scores = size * np.array([[1, -1, 0], [-1, 0, 1]], np.float32)
    compare(nn.CrossEntropyLoss(), scores, np.array([1, 2]), F.cross_entropy)
    target = np.eye(3, dtype=np.float32)[[1, 2]]
    compare(nn.BCEWithLogitsLoss(), scores, target, F.binary_cross_entropy_with_logits)
