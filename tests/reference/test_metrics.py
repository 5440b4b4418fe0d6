"""Metrics return scikit-learn's numbers: weighted, over uneven batches, with ties, at the edges."""

import itertools
import math
import warnings

import numpy as np
import pytest

import nnlite as nn
from nnlite.training.feeding.weights import of_classes

sklearn = pytest.importorskip("sklearn.metrics")
class_weights = pytest.importorskip("sklearn.utils.class_weight")

N, C = 97, 5
CUTS = [0, 40, 41, 90, N]
AVERAGES = ["macro", "micro", "weighted"]
weighted = pytest.mark.parametrize("weight", [None, "rows"])
averages = pytest.mark.parametrize("average", AVERAGES)
seeds = pytest.mark.parametrize("seed", range(3))
shares = pytest.mark.parametrize(
    ("make", "reference"),
    [
        (nn.Precision, sklearn.precision_score),
        (nn.Recall, sklearn.recall_score),
        (nn.F1, sklearn.f1_score),
    ],
)
areas = pytest.mark.parametrize(
    ("make", "reference"),
    [(nn.AUROC, sklearn.roc_auc_score), (nn.AveragePrecision, sklearn.average_precision_score)],
)


def fed(metric, prediction, target, weight=None):
    """The result after uneven batches, with a checkpoint between the second and the third."""
    for start, stop in itertools.pairwise(CUTS):
        rows = slice(start, stop)
        metric.update(prediction[rows], target[rows], None if weight is None else weight[rows])
        if start == CUTS[1]:
            state, metric = metric.state_dict(), nn.clone(metric)
            metric.load_state_dict(state)
    return metric.result()


def of_rows(weight, seed):
    """Weights, some of them 0."""
    if weight is None:
        return None
    w = np.random.default_rng(seed + 50).uniform(0, 3, N)
    w[::7] = 0
    return w


def softmax(x):
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def classes(seed, count=C):
    rng = np.random.default_rng(seed)
    target = np.concatenate([np.arange(count), rng.integers(0, count, N - count)])
    return rng.standard_normal((N, count)) + np.eye(count)[target], target


def labels(seed, count=C):
    """Scores and labels (N, count), ever rarer; scores have ties."""
    rng = np.random.default_rng(seed)
    target = (rng.random((N, count)) < np.linspace(0.6, 0.05, count)).astype(int)
    return np.round(rng.standard_normal((N, count)) + target, 1), target


def close(result, expected):
    assert isinstance(result, float)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


# -- averages ------------------------------------------------------------------------------------


@shares
@averages
@weighted
@seeds
@pytest.mark.parametrize("count", [2, 3, 40])  # of 40 classes, some are never predicted
def test_shares_of_classes(make, reference, average, weight, seed, count):
    (scores, target), w = classes(seed, count), of_rows(weight, seed)
    result = fed(make(average=average), scores, target, w)
    kept = np.ones(N, bool) if w is None else w > 0  # what weighs 0 is no row
    expected = reference(
        target[kept], scores.argmax(axis=1)[kept], average=average, zero_division=0,
        sample_weight=None if w is None else w[kept],
    )  # fmt: skip
    close(result, expected)


@shares
@averages
@weighted
@seeds
@pytest.mark.parametrize("count", [2, 5])
def test_shares_of_labels(make, reference, average, weight, seed, count):
    (scores, target), w = labels(seed, count), of_rows(weight, seed)
    target[:, -1] = 0
    scores[:, -1] = -1  # neither there nor predicted, and counts all the same
    expected = reference(target, scores > 0, average=average, zero_division=0, sample_weight=w)
    close(fed(make(average=average, multi_label=True), scores, target, w), expected)


@shares
@averages
def test_shares_of_a_single_label(make, reference, average):
    scores, target = labels(0, 1)
    expected = reference(target[:, 0], scores[:, 0] > 0, average=average)
    close(fed(make(average=average), scores, target), expected)
    close(fed(make(), scores, target), reference(target[:, 0], scores[:, 0] > 0))


@shares
@averages
def test_shares_of_labels_that_are_nowhere(make, reference, average):
    scores, target = np.full((N, C), -1.0), np.zeros((N, C), int)
    expected = reference(target, scores > 0, average=average, zero_division=0)
    close(fed(make(average=average, multi_label=True), scores, target), expected)


# -- areas under curves --------------------------------------------------------------------------


@areas
@weighted
@seeds
@pytest.mark.parametrize("digits", [0, 1, 15])  # many ties, some, none
def test_area_of_one_label(make, reference, weight, seed, digits):
    rng, w = np.random.default_rng(seed), of_rows(weight, seed)
    target = rng.integers(0, 2, N)
    scores = np.round(rng.standard_normal(N) + target, digits)
    expected = reference(target, scores, sample_weight=w)
    for average in AVERAGES:
        close(fed(make(average), scores, target, w), expected)
    close(fed(make(), scores[:, None], target[:, None], w), expected)
    p = 1 / (1 + np.exp(-scores))
    close(fed(make(from_logits=False), p, target, w), expected)
    logits = np.stack([-scores, scores], axis=1) + rng.standard_normal((N, 1)).round(1)
    if digits == 15:
        close(fed(make(), logits, target, w), expected)
    close(fed(make(from_logits=False), np.stack([1 - p, p], axis=1), target, w), expected)


@averages
@weighted
@seeds
def test_auroc_of_classes_is_that_of_probabilities_against_the_rest(average, weight, seed):
    (scores, target), w = classes(seed), of_rows(weight, seed)
    expected = sklearn.roc_auc_score(
        target, softmax(scores), average=average, multi_class="ovr", sample_weight=w
    )
    close(fed(nn.AUROC(average), scores, target, w), expected)
    close(fed(nn.AUROC(average), scores, np.eye(C)[target], w), expected)
    close(fed(nn.AUROC(average, from_logits=False), softmax(scores), target, w), expected)


@averages
@weighted
@seeds
def test_average_precision_of_classes(average, weight, seed):
    (scores, target), w = classes(seed), of_rows(weight, seed)
    p = softmax(scores)
    p = np.round(p, 1) + (1 - np.round(p, 1).sum(axis=1, keepdims=True)) / C  # ties
    p = np.abs(p) / np.abs(p).sum(axis=1, keepdims=True)
    expected = sklearn.average_precision_score(target, p, average=average, sample_weight=w)
    close(fed(nn.AveragePrecision(average, from_logits=False), p, target, w), expected)


@areas
@averages
@weighted
@seeds
def test_areas_of_labels(make, reference, average, weight, seed):
    (scores, target), w = labels(seed), of_rows(weight, seed)
    target[1] = 1
    expected = reference(target, scores, average=average, sample_weight=w)
    close(fed(make(average, multi_label=True), scores, target, w), expected)


@areas
@seeds
def test_areas_of_labels_some_of_which_are_ignored(make, reference, seed):
    scores, target = labels(seed)
    kept = np.random.default_rng(seed).random((N, C)) < 0.7
    target[1], kept[1] = 1, True
    each = [reference(target[kept[:, c], c], scores[kept[:, c], c]) for c in range(C)]
    marked = np.where(kept, target, -100)
    close(fed(make(multi_label=True), scores, marked), np.mean(each))
    expected = reference(target[kept], scores[kept])
    close(fed(make("micro", multi_label=True), scores, marked), expected)


@areas
@averages
@pytest.mark.parametrize("there", [0, 1, "one never"])
def test_areas_at_the_edges(make, reference, average, there):
    """All there, nothing there, or one label that never is."""
    scores, target = labels(0)
    if there == "one never":
        target[:, 2] = 0
    else:
        target[:] = there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not defined
        expected = reference(target, scores, average=average)
        single = reference(target[:, 2], scores[:, 2])
    np.testing.assert_allclose(fed(make(average, multi_label=True), scores, target), expected)
    np.testing.assert_allclose(fed(make(), scores[:, 2], target[:, 2]), single)


# -- probabilities -------------------------------------------------------------------------------


@weighted
@seeds
@pytest.mark.parametrize("scale", [1, 30])  # clipped probabilities too
def test_log_loss(weight, seed, scale):
    (scores, target), w = classes(seed), of_rows(weight, seed)
    p = softmax(scores * scale)
    p[0] = np.eye(C)[0]
    p[1] = np.eye(C)[0]  # wrong, and certain
    expected = sklearn.log_loss(target, p, sample_weight=w, labels=np.arange(C))
    close(fed(nn.LogLoss(from_logits=False), p, target, w), expected)
    p = softmax(scores)
    expected = sklearn.log_loss(target, p, sample_weight=w, labels=np.arange(C))
    for logits in (scores, np.log(p)):
        close(fed(nn.LogLoss(from_logits=True), logits, target, w), expected)
        close(fed(nn.Perplexity(from_logits=True), logits, target, w), math.exp(expected))


@weighted
@seeds
def test_log_loss_of_labels_is_the_mean_over_them(weight, seed):
    (scores, target), w = labels(seed), of_rows(weight, seed)
    p = 1 / (1 + np.exp(-scores))
    each = [
        sklearn.log_loss(target[:, c], p[:, c], sample_weight=w, labels=[0, 1]) for c in range(C)
    ]
    close(fed(nn.LogLoss(multi_label=True), scores, target, w), np.mean(each))
    close(fed(nn.LogLoss(multi_label=True, from_logits=False), p, target, w), np.mean(each))
    close(fed(nn.LogLoss(), scores[:, 0], target[:, 0], w), each[0])
    close(fed(nn.LogLoss(from_logits=False), p[:, :1], target[:, :1], w), each[0])


def test_log_loss_of_one_class_only():
    p, target = np.linspace(0, 1, N), np.ones(N, int)
    expected = sklearn.log_loss(target, p, labels=[0, 1])
    close(fed(nn.LogLoss(from_logits=False), p, target), expected)


# -- regression ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (nn.MeanAbsoluteError, sklearn.mean_absolute_error),
        (nn.MeanSquaredError, sklearn.mean_squared_error),
        (nn.MeanAbsolutePercentageError, sklearn.mean_absolute_percentage_error),
        (nn.R2, sklearn.r2_score),
        (nn.ExplainedVariance, sklearn.explained_variance_score),
    ],
)
@weighted
@seeds
@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 3)])
def test_regression(make, reference, weight, seed, shape):
    rng, w = np.random.default_rng(seed), of_rows(weight, seed)
    target = rng.normal(5, 2, shape)
    prediction = target + rng.normal(1, 1, shape)
    expected = reference(target, prediction, sample_weight=w)
    close(fed(make(), prediction, target, w), expected)


def test_percentages_of_a_target_of_0():
    prediction, target = np.arange(3.0), np.array([0.0, 0.0, 4.0])
    metric = nn.MeanAbsolutePercentageError()
    metric.update(prediction, target)
    close(metric.result(), sklearn.mean_absolute_percentage_error(target, prediction))


# -- class weights -------------------------------------------------------------------------------


@seeds
def test_balanced_class_weights(seed):
    rng = np.random.default_rng(seed)
    y = rng.choice([0, 1, 3], N, p=[0.7, 0.2, 0.1])  # class 2 does not occur
    expected = class_weights.compute_sample_weight("balanced", y)
    for target in (y, np.eye(4)[y]):
        result = of_classes(target, np.zeros((N, 4)), "balanced", None)
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    y = (y > 0).astype(np.float32)[:, None]
    expected = class_weights.compute_sample_weight("balanced", y[:, 0])
    result = of_classes(y, np.zeros((N, 1)), "balanced", None)
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-12)
