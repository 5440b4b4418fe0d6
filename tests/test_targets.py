"""Metrics read targets as the loss does in a trainer, and by their options alone."""

import copy
import math
import re

import numpy as np
import pytest

import nnlite as nn
from nnlite.training.feeding.weights import balanced, of_classes

# predictions that no model would give, and rows that do not count, are what is tested here
pytestmark = pytest.mark.filterwarnings("ignore::nnlite.core.checks.ModelWarning")

LABELS = np.array([[1, 1, 0], [1, 1, 0]])
SCORES = np.where(LABELS > 0, 2.0, -2.0)
BINARY = [nn.Accuracy, nn.Precision, nn.Recall, nn.F1]
CHANCES = [nn.LogLoss, nn.Perplexity, nn.AUROC, nn.AveragePrecision]
REGRESSION = [
    nn.R2, nn.ExplainedVariance, nn.MeanAbsoluteError, nn.MeanSquaredError,
    nn.MeanAbsolutePercentageError,
]  # fmt: skip


class Given(nn.Layer):
    """The predictions themselves, so that a trainer measures what a test says."""

    accepts_padded = True

    def __init__(self):
        self.shift = nn.Parameter(0.0)

    def forward(self, x):
        return x

    def backward(self, grad_output):
        return None


class Seen(nn.Metric):
    """A user's metric, which keeps the batches that it was given."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.batches = []

    def update(self, prediction, target, sample_weight=None):
        self.batches.append((prediction, target, sample_weight))

    def result(self):
        return tuple(np.concatenate(part) for part in list(zip(*self.batches, strict=True))[:2])


def trainer(loss, *metrics):
    model = Given()
    return nn.Trainer(model, loss, nn.SGD(model.parameters(), lr=0.1), metrics=metrics)


def measured(loss, metric, prediction, target, weight=None, batch_size=2):
    """The metric of a trainer's epoch, which is that of `evaluate`."""
    data = prediction if isinstance(prediction, nn.Padded) else np.asarray(prediction, np.float32)
    t = trainer(loss, metric)
    history = t.fit(
        data, target, batch_size=batch_size, sample_weight=weight, shuffle=False, verbose=False
    )
    result = t.evaluate(data, target, batch_size=batch_size, sample_weight=weight)[metric.name]
    np.testing.assert_array_equal(result, history[metric.name][0])
    return result


def alone(metric, prediction, target, weight=None):
    metric.update(prediction, target, weight)
    return metric.result()


# -- labels, with a binary loss ------------------------------------------------------------------


@pytest.mark.parametrize("make", BINARY)
@pytest.mark.parametrize(
    ("loss", "prediction", "target"),
    [
        (nn.BCEWithLogitsLoss(), SCORES, LABELS),
        (nn.BCEWithLogitsLoss(pos_weight=5.0), SCORES, LABELS),
        (nn.BCEWithLogitsLoss(), SCORES, np.where(LABELS > 0, 0.9, 0.1)),
        (nn.BCELoss(), np.where(LABELS > 0, 0.6, 0.4), LABELS),
        (nn.BCELoss(), np.where(LABELS > 0, 0.6, 0.4), np.where(LABELS > 0, 0.9, 0.1)),
        (nn.HingeLoss(), SCORES, 2 * LABELS - 1),
        (nn.HingeLoss(), SCORES, LABELS),
    ],
)
@pytest.mark.parametrize("columns", [slice(None), slice(1, 3), slice(0, 1), 0])
def test_labels_of_a_binary_loss(make, loss, prediction, target, columns):
    assert measured(loss, make(), prediction[:, columns], target[:, columns]) == 1


@pytest.mark.parametrize("make", BINARY)
def test_labels_alone(make):
    assert alone(make(multi_label=True), SCORES, LABELS) == 1
    assert alone(make(multi_label=True), SCORES, np.where(LABELS > 0, 0.9, 0.1)) == 1
    assert alone(make(0.5, multi_label=True), np.where(LABELS > 0, 0.6, 0.4), LABELS) == 1
    assert alone(make(), SCORES[:, :1], np.where(LABELS > 0, 0.9, 0.1)[:, :1]) == 1


def test_labels_with_mistakes():
    scores = SCORES * [[1, 1, 1], [-1, 1, -1]]  # two of six are wrong
    for result in (
        lambda metric: measured(nn.BCEWithLogitsLoss(), metric(), scores, LABELS, batch_size=1),
        lambda metric: alone(metric(multi_label=True), scores, LABELS),
    ):
        assert result(nn.Accuracy) == pytest.approx(4 / 6)
        assert result(nn.Precision) == pytest.approx((1 + 1 + 0) / 3)
        assert result(nn.Recall) == pytest.approx((1 / 2 + 1 + 0) / 3)
        assert result(nn.F1) == pytest.approx((2 / 3 + 1 + 0) / 3)
        np.testing.assert_array_equal(
            result(nn.ConfusionMatrix),
            [[[0, 0], [1, 1]], [[0, 0], [0, 2]], [[1, 1], [0, 0]]],
        )


@pytest.mark.parametrize("weight", [[1.0, 3.0], [[1, 1, 0], [2, 1, 1]]])
def test_weights_of_labels(weight):
    scores = SCORES * [[1, 1, -1], [-1, 1, 1]]
    weight = np.array(weight, np.float32)
    w = weight.reshape(2, -1) * np.ones((2, 3))
    right = (scores > 0) == LABELS
    expected = (w * right).sum() / w.sum()
    assert measured(nn.BCEWithLogitsLoss(), nn.Accuracy(), scores, LABELS, weight) == expected
    recall = (w * right)[:, :2].sum(axis=0) / w[:, :2].sum(axis=0)
    result = measured(nn.BCEWithLogitsLoss(), nn.Recall(), scores, LABELS, weight)
    # the third label is never there: taken for it, 0; of weight 0, left out
    assert result == pytest.approx(recall.sum() / (2 if w[0, 2] == 0 else 3))


def test_probabilities_are_read_as_probabilities():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, (100, 1))
    p = np.where(rng.random((100, 1)) < 0.03, 1 - target, target) * 0.8 + 0.1
    expected = np.mean((p > 0.5) == target)
    assert 0.9 < expected < 1
    assert measured(nn.BCELoss(), nn.Accuracy(), p, target, batch_size=30) == expected


def test_a_threshold_of_its_own_goes_before_the_losses():
    scores = np.array([[0.2], [0.7], [3.0]])
    target = np.array([[0], [0], [1]])
    assert measured(nn.BCEWithLogitsLoss(), nn.Accuracy(), scores, target) == 1 / 3
    assert measured(nn.BCEWithLogitsLoss(), nn.Accuracy(1.0), scores, target) == 1
    assert measured(nn.BCELoss(), nn.Accuracy(0.0), scores / 4, target) == 1 / 3


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.MAELoss(), nn.HuberLoss(), nn.LogCoshLoss()])
def test_predictions_on_the_scale_of_the_target_are_split_where_it_is(loss):
    assert measured(loss, nn.Accuracy(), [[0.1], [0.4], [0.8]], np.array([[0], [0], [1]])) == 1
    rows = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert measured(loss, nn.Accuracy(), rows, np.eye(2)) == 0.5


def test_one_class_per_row_beside_a_binary_loss_by_option():
    scores = np.array([[3.0, 2.0, -1.0], [1.0, -1.0, 2.0]])
    target = np.eye(3)[[0, 2]]
    assert measured(nn.BCEWithLogitsLoss(), nn.Accuracy(), scores, target) == 4 / 6
    assert measured(nn.BCEWithLogitsLoss(), nn.Accuracy(multi_label=False), scores, target) == 1
    assert measured(nn.BCEWithLogitsLoss(), nn.TopKAccuracy(1), scores, target) == 1
    with pytest.raises(ValueError, match="it needs one class per row"):
        measured(nn.BCEWithLogitsLoss(), nn.TopKAccuracy(1), scores, np.ones((2, 3)))


# -- classes -------------------------------------------------------------------------------------


def classes(shape=(8,), ignored=0):
    """Scores that are right where the class is not the ignored one, and wrong there."""
    target = np.resize([0, 1, 0, 2, 0, 0, 1, 0], shape)
    scores = np.eye(3)[np.where(target == 0, 1, target)] * 4 - 2
    return scores, np.where(target == 0, ignored, target)


@pytest.mark.parametrize("ignored", [0, -1, -100, 255])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.FocalLoss, nn.NLLLoss])
@pytest.mark.parametrize("shape", [(8,), (2, 4), (2, 2, 2)])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_rows_that_the_loss_ignores(loss, ignored, shape, batch_size):
    scores, target = classes(shape, ignored)
    loss = loss(ignore_index=ignored)
    for metric, expected in (
        (nn.Accuracy(), 1), (nn.TopKAccuracy(1), 1), (nn.F1(), 1), (nn.Recall(), 1),
        (nn.Precision(), 1), (nn.ConfusionMatrix(), np.diag([0, 2, 1])),
    ):  # fmt: skip
        result = measured(loss, metric, scores, target, batch_size=batch_size)
        np.testing.assert_array_equal(result, expected)
        own = copy.copy(metric)
        own.ignore_index = ignored
        own.reset()
        np.testing.assert_array_equal(alone(own, scores, target), expected)


@pytest.mark.parametrize("shape", [(8,), (2, 4)])
def test_ignored_rows_beside_weights(shape):
    scores, target = classes(shape, -1)
    scores[..., 0] += 10 * (target == 2)
    for weight in (np.arange(1.0, shape[0] + 1), np.arange(1.0, 9).reshape(shape)):
        w = weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)) * np.ones(shape)
        expected = w[target == 1].sum() / w[target > 0].sum()
        result = measured(
            nn.CrossEntropyLoss(ignore_index=-1), nn.Accuracy(), scores, target, weight
        )
        assert result == pytest.approx(expected)


def test_a_class_of_weight_0_does_not_count():
    scores, target = classes()
    assert measured(nn.CrossEntropyLoss(), nn.Accuracy(), scores, target) == 3 / 8
    assert measured(nn.CrossEntropyLoss([0, 1, 5]), nn.Accuracy(), scores, target) == 1
    assert measured(nn.CrossEntropyLoss([1, 1, 5]), nn.Accuracy(), scores, target) == 3 / 8


def test_rows_of_an_ignored_class_count():
    scores, target = classes()
    rows = np.eye(3)[target]  # only integer classes can be ignored
    loss = nn.CrossEntropyLoss(ignore_index=0)
    assert loss(scores, rows) > 0
    assert loss.denominator == 8
    assert measured(loss, nn.Accuracy(), scores, rows) == 3 / 8
    assert measured(loss, nn.TopKAccuracy(1), scores, rows) == 3 / 8


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.KLDivLoss()])
def test_soft_rows_are_of_their_largest_class(loss):
    log_p = np.log([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
    target = np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.5, 0.25, 0.25]])
    assert measured(loss, nn.Accuracy(), log_p, target) == pytest.approx(2 / 3)
    assert measured(loss, nn.TopKAccuracy(2), log_p, target) == pytest.approx(2 / 3)
    assert measured(loss, nn.Accuracy(), log_p[None], target[None]) == pytest.approx(2 / 3)


def test_log_probabilities_as_labels_are_split_at_one_half():
    log_p, target = np.log([[0.6, 0.3, 0.1]]), np.array([[1.0, 0.0, 0.0]])
    assert measured(nn.KLDivLoss(), nn.Accuracy(multi_label=True), log_p, target) == 1


# -- nothing counts ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*BINARY, nn.TopKAccuracy, *CHANCES])
def test_the_result_is_nan_where_nothing_counts(make):
    scores = np.zeros((4, 3))
    loss = nn.CrossEntropyLoss()
    assert math.isnan(measured(loss, make(), scores, np.full(4, -100)))
    assert math.isnan(measured(loss, make(), scores, np.arange(4) % 3, np.zeros(4)))
    assert math.isnan(alone(make(), scores, np.full(4, -100)))
    assert math.isnan(alone(make(), scores, np.arange(4) % 3, np.zeros(4)))
    assert math.isnan(alone(make(), scores[:0], np.zeros(0, int)))


@pytest.mark.parametrize("make", REGRESSION)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
def test_regression_without_weight_is_nan(make, shape):
    target = np.arange(math.prod(shape), dtype=float).reshape(shape)
    assert math.isnan(measured(nn.MSELoss(), make(), target, target, np.zeros(4)))


@pytest.mark.parametrize("make", [nn.Precision, nn.Recall, nn.F1])
def test_a_label_that_is_neither_there_nor_taken(make):
    assert alone(make(), np.full(3, -1.0), np.zeros(3)) == 0
    scores, target = SCORES.copy(), LABELS.copy()
    assert alone(make(multi_label=True), scores[:, 1:], target[:, 1:]) == 1
    assert alone(make(multi_label=True), scores[:, 2:], target[:, 2:]) == 0


# -- padding -------------------------------------------------------------------------------------


def padded(values, lengths, fill):
    values = np.array(values, np.float32)
    for row, length in enumerate(lengths):
        values[row, length:] = fill
    return values


LENGTHS = np.array([3, 1, 4])


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_padding_does_not_count_in_regression(fill):
    rng = np.random.default_rng(0)
    target = padded(rng.standard_normal((3, 4, 2)), LENGTHS, fill)
    prediction = padded(target + rng.standard_normal((3, 4, 2)), LENGTHS, -fill)
    weight = np.array([1.0, 2.0, 0.5])
    mask = np.arange(4) < LENGTHS[:, None]
    p, t, w = prediction[mask], target[mask], np.repeat(weight, LENGTHS)
    for metric in REGRESSION:
        for own, flat in ((None, None), (weight, w)):
            result = measured(
                nn.MSELoss(), metric(), nn.Padded(prediction, LENGTHS), target, own, batch_size=2
            )
            assert result == pytest.approx(alone(metric(), p, t, flat), rel=1e-5)


@pytest.mark.parametrize(
    "make", [*BINARY, lambda: nn.TopKAccuracy(2), nn.ConfusionMatrix, *CHANCES]
)
def test_padding_does_not_count_in_classification(make):
    rng = np.random.default_rng(0)
    scores, target = rng.standard_normal((3, 4, 3)).astype(np.float32), rng.integers(0, 3, (3, 4))
    target[0, 0] = -1
    mask = (np.arange(4) < LENGTHS[:, None]) & (target >= 0)
    expected = alone(make(), scores[mask], target[mask])
    loss = nn.CrossEntropyLoss(ignore_index=-1)
    result = measured(loss, make(), nn.Padded(scores, LENGTHS), target)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_padding_of_rows_need_not_be_one_hot():
    target = np.eye(3)[[[0, 1, 2, 0]] * 3] * (np.arange(4) < LENGTHS[:, None])[..., None]
    prediction = nn.Padded(target.astype(np.float32), LENGTHS)
    assert measured(nn.CrossEntropyLoss(), nn.Accuracy(), prediction, target) == 1
    weight = prediction.mask.astype(np.float32)
    assert alone(nn.Accuracy(), prediction.data, target, weight) == 1


# -- probabilities -------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 6)])
@pytest.mark.parametrize(
    ("loss", "given"),
    [
        (nn.CrossEntropyLoss(), lambda scores: scores),
        (nn.CrossEntropyLoss(ignore_index=1), lambda scores: scores),
        (nn.NLLLoss(), log_softmax),
        (nn.BCEWithLogitsLoss(), lambda scores: scores),
        (nn.BCELoss(), sigmoid),
    ],
)
def test_log_loss_is_the_loss_of_a_trainer(loss, given, weight):
    scores = np.random.default_rng(0).standard_normal((6, 3))
    target = np.array([0, 1, 2, 1, 1, 2])
    if loss.multi_label:
        target = np.random.default_rng(1).integers(0, 2, (6, 3))
    t = trainer(loss, nn.LogLoss(), nn.Perplexity())
    result = t.evaluate(given(scores), target, batch_size=4, sample_weight=weight)
    assert result["log_loss"] == pytest.approx(result["loss"], rel=1e-6)
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]), rel=1e-6)


@pytest.mark.parametrize("make", CHANCES)
def test_probabilities_of_a_trainer_and_logits_are_the_same(make):
    rng = np.random.default_rng(0)
    scores, bits, number = rng.standard_normal((9, 3)), rng.integers(0, 2, (9, 3)), np.arange(9) % 3
    expected = alone(make(multi_label=True), scores, bits)
    assert measured(nn.BCEWithLogitsLoss(), make(), scores, bits) == pytest.approx(expected)
    assert measured(nn.BCELoss(), make(), sigmoid(scores), bits) == pytest.approx(expected)
    expected = alone(make(), scores, number)
    assert measured(nn.CrossEntropyLoss(), make(), scores, number) == pytest.approx(expected)
    assert measured(nn.NLLLoss(), make(), log_softmax(scores), number) == pytest.approx(expected)
    p, rows = np.exp(log_softmax(scores)), np.eye(3)[number]
    assert measured(nn.MSELoss(), make(), p, rows) == pytest.approx(expected)
    log_p, one = np.log(sigmoid(scores)), make(multi_label=True)
    expected_of_labels = alone(make(multi_label=True), scores, rows)
    assert measured(nn.KLDivLoss(), one, log_p, rows) == pytest.approx(expected_of_labels)
    option = make(from_logits=True)  # of its own, goes before the loss's
    assert measured(nn.MSELoss(), option, scores, rows) == pytest.approx(expected)


def test_several_averages_beside_each_other():
    scores, target = classes()
    metrics = [nn.F1(average="macro"), nn.F1(average="micro"), nn.AUROC(), nn.AUROC("micro")]
    result = trainer(nn.CrossEntropyLoss(), *metrics).evaluate(scores, target)
    assert list(result) == ["loss", "f1_macro", "f1_micro", "auroc", "auroc_micro"]


def test_predictions_that_are_no_probabilities_are_refused_before_the_first_update():
    t = trainer(nn.MSELoss(), nn.LogLoss())
    words = r"LogLoss\(\): probabilities must lie in \[0, 1\], got 1\.5 to 1\.5; .*from_logits=True"
    with pytest.raises(ValueError, match=words):
        t.fit(np.array([[1.5], [0.5]], np.float32), np.array([[1.0], [0.0]]), verbose=False)
    assert t.optimizer.steps == 0


# -- alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*BINARY, nn.ConfusionMatrix])
@pytest.mark.parametrize(
    "target", [LABELS, np.zeros((2, 3)), np.array([[1, 1, -1], [1, 0, 0]]), LABELS * 0.9 + 0.05]
)
def test_rows_that_are_not_of_one_class_are_refused_alone(make, target):
    metric = make()
    with pytest.raises(ValueError, match=r"one-hot or sum to 1.*; for labels set multi_label=True"):
        metric.update(SCORES, target)
    metric = make(multi_label=False)  # told so, it takes the largest
    metric.update(SCORES, target)


def test_top_k_refuses_rows_of_many_classes():
    with pytest.raises(ValueError, match=r"^TopKAccuracy\(k=1\): .*it needs one class per row"):
        nn.TopKAccuracy(1).update(SCORES, LABELS)


@pytest.mark.parametrize("target", [[[2.0], [0.0]], [[-1.0], [1.0]], [[np.nan], [0.0]]])
def test_targets_that_are_no_labels(target):
    with pytest.raises(ValueError, match="labels must be 0 and 1, or between"):
        nn.Accuracy().update(np.zeros((2, 1)), np.array(target))


def test_classes_that_are_no_whole_numbers():
    with pytest.raises(ValueError, match="classes must be whole numbers"):
        nn.Accuracy().update(np.zeros((2, 3)), np.array([0.5, 1.0]))
    assert alone(nn.Accuracy(), np.eye(3), np.array([0.0, 1.0, 2.0])) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": "0.5"}, "threshold must be a number or None, got '0.5'"),
        ({"multi_label": 1}, "multi_label must be True or False or None, got 1"),
        ({"ignore_index": 0.5}, "ignore_index must be a whole number, got 0.5"),
    ],
)
def test_options_are_checked(options, words):
    for make in (*BINARY, nn.ConfusionMatrix, *CHANCES):
        if "threshold" not in options or make not in CHANCES:
            with pytest.raises(ValueError, match=f"^{make.__name__}: {re.escape(words)}$"):
                make(**options)
    with pytest.raises(ValueError, match=r"^TopKAccuracy: ignore_index must be"):
        nn.TopKAccuracy(ignore_index=0.5)


def test_another_number_of_classes_needs_a_reset():
    for metric in (nn.F1(), nn.ConfusionMatrix()):
        metric.update(np.eye(3), np.arange(3))
        with pytest.raises(ValueError, match=r"number of classes.*call reset"):
            metric.update(np.eye(4), np.arange(4))
        metric.reset()
        metric.update(np.eye(4), np.arange(4))


# -- averages as scikit-learn's ------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.Precision, nn.Recall, nn.F1])
def test_classes_that_occur_nowhere_are_left_out_of_the_mean(make):
    scores = np.eye(5)[[0, 2, 4, 2]]
    assert alone(make(), scores, np.array([0, 2, 4, 2])) == 1
    assert measured(nn.CrossEntropyLoss(), make(), scores, np.array([0, 2, 4, 2])) == 1


@pytest.mark.parametrize(
    ("make", "of_classes", "of_labels"),
    [  # scikit-learn's, average="macro", zero_division=0; without weights and with
        (
            nn.Precision,
            (0.5833333333333333, 0.5757575757575757),
            (0.7222222222222222, 0.703030303030303),
        ),
        (nn.Recall, (0.5625, 0.5441176470588235), (0.7777777777777777, 0.7222222222222222)),
        (
            nn.F1,
            (0.5571428571428572, 0.5416666666666667),
            (0.7111111111111111, 0.5676328502415459),
        ),
    ],
)
def test_macro_averages_are_scikit_learns(make, of_classes, of_labels):
    target, guess = np.array([0, 0, 0, 3, 3, 5, 5, 5, 5, 0]), [0, 3, 1, 3, 3, 5, 0, 5, 5, 0]
    weight = np.array([1, 2, 0.5, 1, 3, 1, 1, 2, 0.25, 0.75])
    for w, expected in zip((None, weight), of_classes, strict=True):
        assert alone(make(), np.eye(7)[guess], target, w) == pytest.approx(expected, rel=1e-12)
    target = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [1, 0, 1]])
    scores = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1]]) - 0.5
    weight = np.array([1, 2, 0.5, 3])
    for w, expected in zip((None, weight), of_labels, strict=True):
        result = alone(make(multi_label=True), scores, target, w)
        assert result == pytest.approx(expected, rel=1e-12)


# -- memory and older states ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.Precision, nn.Recall, nn.F1])
def test_memory_is_that_of_the_classes(make):
    metric = make()
    metric.update(np.eye(4, 10_000), np.arange(4))
    assert metric.result() == 1
    sizes = [value.nbytes for value in metric.state_dict().values() if hasattr(value, "nbytes")]
    assert sum(sizes) == 3 * 8 * 10_000


@pytest.mark.parametrize("make", [nn.Precision, nn.Recall, nn.F1])
@pytest.mark.parametrize("number", [2, 3])
def test_states_that_held_a_matrix_are_taken_over(make, number):
    rng = np.random.default_rng(0)
    scores, target = rng.standard_normal((2, 30, number)), rng.integers(0, number, (2, 30))
    matrix, expected, metric = nn.ConfusionMatrix(), make(), make()
    matrix.update(scores[0], target[0])
    metric.load_state_dict({"_counts": matrix.result()})
    expected.update(scores[0], target[0])
    assert metric.result() == expected.result()
    for each in (metric, expected):
        each.update(scores[1], target[1])
    assert metric.result() == expected.result()
    metric.load_state_dict({"_counts": np.zeros((0, 0))})
    assert math.isnan(metric.result())
    metric.update(scores[0], target[0])


@pytest.mark.parametrize("make", [nn.Precision, nn.Recall, nn.F1])
def test_states_that_did_not_tell_labels_apart_are_taken_over(make):
    metric, other = make(multi_label=True), make(multi_label=True)
    metric.update(SCORES[:1], LABELS[:1])
    state = metric.state_dict()
    del state["_of_labels"]
    other.load_state_dict(state)
    for each in (metric, other):
        each.update(-SCORES[1:], LABELS[1:])
    assert other.result() == metric.result()


def test_the_loss_is_not_part_of_a_metrics_state():
    metric = nn.Accuracy()
    measured(nn.BCELoss(), metric, np.full((2, 1), 0.25), np.array([[0], [1]]))
    assert metric.state_dict() == {"_total": 1.0, "_weight": 2.0}
    assert metric.threshold is None
    assert repr(metric) == "Accuracy()"


# -- users' own ----------------------------------------------------------------------------------


def test_a_users_metric_sees_what_counts():
    def seen(loss, prediction, target):
        t = trainer(loss, Seen())
        return t.evaluate(np.asarray(prediction, np.float32), target, batch_size=1)["seen"]

    scores, target = classes((2, 4), -1)
    prediction, actual = seen(nn.CrossEntropyLoss(ignore_index=-1), scores, target)
    np.testing.assert_array_equal(actual, [1, 2, 1])
    np.testing.assert_array_equal(prediction, scores[target > 0])
    np.testing.assert_array_equal(seen(nn.HingeLoss(), SCORES, 2 * LABELS - 1)[1], LABELS)
    soft = np.where(LABELS > 0, 0.9, 0.1)
    np.testing.assert_array_equal(seen(nn.BCEWithLogitsLoss(), SCORES, soft)[1], soft)


def test_a_batch_of_which_nothing_counts_is_not_shown():
    t = trainer(nn.CrossEntropyLoss(), Seen())
    target = np.array([-100, -100, 1])
    _, seen = t.evaluate(np.eye(3, dtype=np.float32), target, batch_size=2)["seen"]
    np.testing.assert_array_equal(seen, [1])
    assert t.evaluate(np.eye(3, dtype=np.float32)[:2], target[:2])["seen"] == ()


class Untold(nn.Loss):
    """A user's loss, which says nothing to metrics."""

    def function(self, prediction, target):
        d = prediction - target
        return d * d, d

    def derivative(self, d):
        return 2 * d


class Halves(Untold):
    """A user's loss that does, and counts only targets ≥ 0."""

    multi_label = True
    decision_threshold = 0.5

    def counts(self, prediction, target):
        return (target >= 0).astype(prediction.dtype)

    def function(self, prediction, target):
        d = (prediction - target) * (target >= 0)
        return d * d, d


def test_a_users_loss_says_how_to_read_or_nothing():
    assert measured(Untold(), nn.Accuracy(), [[-0.1], [0.2]], np.array([[0], [1]])) == 1
    with pytest.raises(ValueError, match="set multi_label=True"):
        measured(Untold(), nn.Accuracy(), SCORES, LABELS)
    p = np.where(LABELS > 0, 0.6, 0.4)
    assert measured(Halves(), nn.Accuracy(), p, LABELS) == 1


def test_single_values_that_a_loss_does_not_count_weigh_0():
    p, target = np.where(LABELS > 0, 0.6, 0.4), np.array([[1, 1, -100], [0, 1, 0]])
    assert measured(Halves(), nn.Accuracy(), p, target) == 4 / 5
    weight = np.array([1.0, 3.0])
    assert measured(Halves(), nn.Accuracy(), p, target, weight) == (2 + 6) / (2 + 9)


def test_an_own_update_of_a_built_in_metric_is_called():
    class Flipped(nn.Accuracy):
        def update(self, prediction, target, sample_weight=None):
            super().update(-prediction, target, sample_weight)

    assert measured(nn.BCEWithLogitsLoss(), Flipped(), -SCORES, LABELS) == 1


def test_evaluating_tells_only_copies():
    metric = nn.Accuracy()
    before = copy.deepcopy(vars(metric))
    t = trainer(nn.BCELoss(), metric)
    t.evaluate(np.full((2, 1), 0.25, np.float32), np.array([[0], [1]]))
    assert vars(metric) == before


def test_sums_are_in_double_precision():
    metric = nn.Accuracy()
    weight = np.full(4, 1e8, np.float32)
    weight[1:] = 1
    metric.update(np.eye(2)[[0, 0, 0, 0]], np.zeros(4, int), weight)
    metric.update(np.eye(2)[[0]], np.ones(1, int), np.array([1], np.float32))
    assert metric.result() == (1e8 + 3) / (1e8 + 4)


# -- class weights -------------------------------------------------------------------------------


def test_balanced_class_weights():
    y, scores = np.array([0, 0, 0, 2, -1, 2]), np.zeros((6, 4))
    weights = balanced(y, scores, ignore_index=-1)
    assert weights == {0: 5 / (2 * 3), 2: 5 / (2 * 2)}
    by_sample = of_classes(y, scores, "balanced", -1)
    np.testing.assert_allclose(by_sample, [5 / 6, 5 / 6, 5 / 6, 5 / 4, 1, 5 / 4])
    mask = np.array([1, 0, 0, 1, 1, 1], bool)
    assert balanced(y, scores, -1, mask) == {0: 3 / 2, 2: 3 / 4}
    one_hot = balanced(np.eye(4)[[0, 0, 3]], np.zeros((3, 4)))
    assert one_hot == {0: 3 / 4, 3: 3 / 2}
    assert balanced(np.array([[0.0], [1], [1]]), np.zeros((3, 1))) == {0: 3 / 2, 1: 3 / 4}
    assert balanced(np.array([[-1], [1], [1]]), np.zeros((3, 1))) == {0: 3 / 2, 1: 3 / 4}


def test_fit_balances_classes():
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    y = np.array([0, 0, 0, 2, 1, 2])
    options = {"verbose": False, "shuffle": False}
    losses = [
        trainer(nn.CrossEntropyLoss()).fit(x, y, class_weight=weight, **options)["loss"]
        for weight in ("balanced", {0: 2 / 3, 1: 2.0, 2: 1.0})
    ]
    assert losses[0] == losses[1]
    with pytest.raises(ValueError, match=r'a mapping, or "balanced", got \'balance\''):
        trainer(nn.CrossEntropyLoss()).fit(x, y, class_weight="balance", **options)


@pytest.mark.parametrize("key", [-1, 0])
def test_class_weights_of_labels_minus_1_and_1(key):
    y = np.array([[-1.0], [1], [1]])
    for rows in (slice(3), slice(1, 3)):  # a batch may hold 1 only
        result = of_classes(y[rows], np.zeros((3, 1))[rows], {key: 4.0, 1: 2.0}, None)
        np.testing.assert_array_equal(result, [[4.0], [2.0], [2.0]][rows])
    np.testing.assert_array_equal(of_classes(y, np.zeros((3, 1)), [4, 2], None), [[4], [2], [2]])


def test_class_weights_of_rows_whose_class_is_ignored_as_an_integer():
    rows = np.eye(3)[[0, 1, 2]]
    np.testing.assert_array_equal(of_classes(rows, np.zeros((3, 3)), [2, 3, 4], 0), [2, 3, 4])
    np.testing.assert_array_equal(
        of_classes(np.arange(3), np.zeros((3, 3)), [2, 3, 4], 0), [1, 3, 4]
    )


def test_balanced_weights_of_training_are_those_of_validation():
    x = np.eye(4, dtype=np.float32)
    y, one_class = np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1])
    options = {"epochs": 1, "verbose": False}
    losses = [
        trainer(nn.CrossEntropyLoss()).fit(
            x, y, validation_data=(x, y_held_out), class_weight=weight, **options
        )["val_loss"]
        for weight in ("balanced", {0: 2 / 3, 1: 2.0})
        for y_held_out in (y[::-1], one_class)
    ]
    assert losses[:2] == losses[2:]


def test_balanced_weights_of_padded_sequences_count_real_steps():
    x = nn.Padded(np.zeros((2, 3, 4), np.float32), [1, 3])
    y = np.array([[1, 0, 0], [0, 0, 1]])  # of real steps two of each class
    losses = [
        trainer(nn.CrossEntropyLoss()).fit(x, y, epochs=1, verbose=False, class_weight=weight)
        for weight in ("balanced", {0: 1.0, 1: 1.0})
    ]
    assert losses[0]["loss"] == losses[1]["loss"]


def test_a_stream_cannot_be_balanced():
    with pytest.raises(ValueError, match="needs all targets at once; for a generator function"):
        trainer(nn.CrossEntropyLoss()).fit(lambda rng: iter(()), class_weight="balanced")


def test_metrics_are_asked_about_what_is_real_of_padded_targets():
    nn.seed(0)
    model = nn.Sequential(nn.Linear(4, 3))
    x = nn.Padded(np.zeros((1, 3, 4), np.float32), [2])
    y = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 0]]], np.float32)  # the last step is padding
    t = nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters()), metrics=[nn.Accuracy()])
    assert t.fit(x, y, epochs=1, verbose=False)["accuracy"][0] in (0.0, 0.5, 1.0)
