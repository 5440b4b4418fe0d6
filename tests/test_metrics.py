"""Metrics over uneven batches equal a direct computation over all data at once."""

import inspect
import math

import numpy as np
import pytest

import nnlite as nn

IGNORED = -100
ROWS, CLASSES, STEPS = 53, 7, 4
CUTS = [(0, 20), (20, 21), (21, 50), (50, ROWS)]
PUBLIC = {
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value) and issubclass(value, nn.Metric) and value is not nn.Metric
} - {"OutputMetric"}  # which hands on to another one: test_outputs.py
weighted = pytest.mark.parametrize("weighted", [False, True])


def fed(metric, prediction, target, weight=None):
    for start, stop in CUTS:
        rows = slice(start, stop)
        metric.update(prediction[rows], target[rows], None if weight is None else weight[rows])
    return metric.result()


def weights(wanted, shape=ROWS):
    return np.random.default_rng(9).uniform(0, 2, shape) if wanted else None


def or_ones(weight, shape=ROWS):
    return np.ones(shape) if weight is None else weight


def multiclass(shape=(ROWS,), classes=CLASSES):
    """Scores that are right more often than chance, and integer classes."""
    rng = np.random.default_rng(1)
    target = rng.integers(0, classes, shape)
    return rng.standard_normal((*shape, classes)) + 1.5 * np.eye(classes)[target], target


def binary(shape):
    rng = np.random.default_rng(2)
    target = rng.integers(0, 2, shape)
    return rng.standard_normal(shape) + target, target


def top_k(k):
    def share(scores, target, weight):
        ranked = np.argsort(-scores, axis=-1)[..., :k]
        return np.average((ranked == target[..., None]).any(axis=-1), weights=weight)

    return share


def confusion(guess, target, weight, classes):
    return np.array(
        [
            [weight[(target == actual) & (guess == taken)].sum() for taken in range(classes)]
            for actual in range(classes)
        ]
    )


def per_class(guess, target, weight, k):
    """Precision, recall and F1 of class k, from their definitions."""
    hits = weight[(guess == k) & (target == k)].sum()
    taken, there = weight[guess == k].sum(), weight[target == k].sum()
    precision = hits / taken if taken else 0
    recall = hits / there if there else 0
    both = precision + recall
    return np.array([precision, recall, 2 * precision * recall / both if both else 0])


def macro(position):
    def share(scores, target, weight):
        guess, classes = scores.argmax(axis=-1), range(scores.shape[-1])
        return np.mean([per_class(guess, target, weight, k)[position] for k in classes])

    return share


def chances(scores):
    p = np.exp(scores)
    return p / p.sum(axis=-1, keepdims=True)


def log_loss(scores, target, weight):
    p = np.take_along_axis(chances(scores), target[:, None], axis=1)[:, 0]
    return np.average(-np.log(p), weights=weight)


def perplexity(scores, target, weight):
    return math.exp(log_loss(scores, target, weight))


def pairs_in_order(scores, target, weight):
    """The share of pairs (one row of the class, one of others) in which the first scores higher."""
    areas = []
    for p, there in zip(chances(scores).T, np.eye(scores.shape[1])[target].T > 0, strict=True):
        above = (p[there, None] > p[~there]) + 0.5 * (p[there, None] == p[~there])
        areas.append(np.average(above, weights=weight[there, None] * weight[~there]))
    return np.mean(areas)


def precision_of_those_there(scores, target, weight):
    """At the score of each row of a class, the precision of all that score as high."""
    areas = []
    for p, there in zip(chances(scores).T, np.eye(scores.shape[1])[target].T > 0, strict=True):
        taken = p >= p[there, None]  # (there, R)
        precision = (taken * there * weight).sum(axis=1) / (taken * weight).sum(axis=1)
        areas.append(np.average(precision, weights=weight[there]))
    return np.mean(areas)


def confusion_of_scores(scores, target, weight):
    return confusion(scores.argmax(axis=-1), target, weight, scores.shape[-1])


CLASSIFICATION = {
    "Accuracy": (nn.Accuracy, top_k(1)),
    "TopKAccuracy": (nn.TopKAccuracy, top_k(5)),
    "TopKAccuracy 1": (lambda: nn.TopKAccuracy(1), top_k(1)),
    "TopKAccuracy 2": (lambda: nn.TopKAccuracy(k=2), top_k(2)),
    "TopKAccuracy all": (lambda: nn.TopKAccuracy(CLASSES), top_k(CLASSES)),
    "ConfusionMatrix": (nn.ConfusionMatrix, confusion_of_scores),
    "Precision": (nn.Precision, macro(0)),
    "Recall": (nn.Recall, macro(1)),
    "F1": (nn.F1, macro(2)),
    "LogLoss": (nn.LogLoss, log_loss),
    "Perplexity": (nn.Perplexity, perplexity),
    "AUROC": (nn.AUROC, pairs_in_order),
    "AveragePrecision": (nn.AveragePrecision, precision_of_those_there),
}
REGRESSION = {
    "ExplainedVariance", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "R2",
}  # fmt: skip
BINARY = {"Precision": 0, "Recall": 1, "F1": 2}
each = pytest.mark.parametrize(
    ("make", "direct"), CLASSIFICATION.values(), ids=CLASSIFICATION.keys()
)
every = pytest.mark.parametrize("name", sorted(PUBLIC))
of_classes = pytest.mark.parametrize("name", sorted(PUBLIC - REGRESSION))


def data_for(name):
    if name in REGRESSION:
        return regression((ROWS,))
    return multiclass()


def regression(shape, dtype=np.float64):
    rng = np.random.default_rng(3)
    target = rng.normal(5, 2, shape)
    return (target + rng.standard_normal(shape)).astype(dtype), target.astype(dtype)


def test_every_public_metric_is_covered():
    covered = {name.split()[0] for name in CLASSIFICATION}
    assert covered | REGRESSION == PUBLIC


@each
@weighted
def test_uneven_batches_equal_the_whole(make, direct, weighted):
    (scores, target), weight = multiclass(), weights(weighted)
    expected = direct(scores, target, or_ones(weight))
    np.testing.assert_allclose(fed(make(), scores, target, weight), expected, rtol=1e-12)


@each
@weighted
def test_one_hot_targets_are_the_same(make, direct, weighted):
    (scores, target), weight = multiclass(), weights(weighted)
    one_hot = np.eye(CLASSES, dtype=np.float32)[target]
    expected = direct(scores, target, or_ones(weight))
    np.testing.assert_allclose(fed(make(), scores, one_hot, weight), expected, rtol=1e-12)


@each
@pytest.mark.parametrize("weight_shape", [None, (ROWS,), (ROWS, STEPS)])
def test_time_axis(make, direct, weight_shape):
    scores, target = multiclass((ROWS, STEPS))
    weight = weights(weight_shape, weight_shape)
    spread = np.ones((ROWS, STEPS))
    if weight is not None:
        spread = spread * (weight if weight.ndim == 2 else weight[:, None])
    expected = direct(scores.reshape(-1, CLASSES), target.ravel(), spread.ravel())
    np.testing.assert_allclose(fed(make(), scores, target, weight), expected, rtol=1e-12)


@each
def test_time_axis_with_one_hot_targets(make, direct):
    scores, target = multiclass((ROWS, STEPS))
    expected = direct(scores.reshape(-1, CLASSES), target.ravel(), np.ones(target.size))
    np.testing.assert_allclose(fed(make(), scores, np.eye(CLASSES)[target]), expected, rtol=1e-12)


@each
@weighted
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, STEPS)])
def test_ignored_rows_are_left_out(make, direct, weighted, shape):
    (scores, target), weight = multiclass(shape), weights(weighted, shape)
    ignored = np.random.default_rng(4).random(shape) < 0.3
    ignored[20] = True  # a whole batch
    marked = np.where(ignored, IGNORED, target)
    expected = direct(scores[~ignored], target[~ignored], or_ones(weight, shape)[~ignored])
    np.testing.assert_allclose(fed(make(), scores, marked, weight), expected, rtol=1e-12)


@each
def test_weight_zero_is_as_good_as_ignored(make, direct):
    scores, target = multiclass()
    kept = np.arange(ROWS) % 3 > 0
    result = fed(make(), scores, target, kept.astype(np.float32))
    expected = direct(scores[kept], target[kept], np.ones(kept.sum()))
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1), (ROWS, STEPS, 1)])
@pytest.mark.parametrize("threshold", [0.0, 0.5, -0.3])
@pytest.mark.parametrize("name", ["Accuracy", "ConfusionMatrix", *BINARY])
@weighted
def test_binary_scores_with_a_threshold(shape, threshold, name, weighted):
    (scores, target), weight = binary(shape), weights(weighted, shape)
    spread = or_ones(weight, shape).ravel()
    guess, actual = (scores.ravel() > threshold).astype(int), target.ravel()
    if name == "Accuracy":
        expected = np.average(guess == actual, weights=spread)
    elif name == "ConfusionMatrix":
        expected = confusion(guess, actual, spread, 2)
    else:
        expected = per_class(guess, actual, spread, 1)[BINARY[name]]
    result = fed(getattr(nn, name)(threshold=threshold), scores, target, weight)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_binary_targets_of_any_dtype(dtype):
    scores, target = binary((ROWS, 1))
    assert fed(nn.F1(), scores, target.astype(dtype)) == fed(nn.F1(), scores, target)


def test_binary_rows_may_be_ignored():
    scores, target = binary((ROWS, 1))
    kept = np.arange(ROWS) % 4 > 0
    marked = np.where(kept[:, None], target, IGNORED)
    expected = np.mean((scores > 0)[kept] == target[kept])
    assert fed(nn.Accuracy(), scores, marked) == pytest.approx(expected, rel=1e-12)


def test_a_score_at_the_threshold_is_class_0():
    metric = nn.Accuracy(threshold=0.5)
    metric.update(np.array([0.5, 0.75]), np.array([0, 1]))
    assert metric.result() == 1


@pytest.mark.parametrize("name", BINARY)
def test_two_classes_report_class_1(name):
    scores, target = multiclass(classes=2)
    expected = per_class(scores.argmax(axis=-1), target, np.ones(ROWS), 1)[BINARY[name]]
    assert fed(getattr(nn, name)(), scores, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("Precision", [1, 1 / 3, 0, 0]),
        ("Recall", [1 / 2, 1, 0, 0]),
        ("F1", [2 / 3, 2 / 4, 0, 0]),
    ],
)
def test_a_class_never_there_or_never_taken_counts_as_0(name, shares):
    metric = getattr(nn, name)()
    metric.update(np.eye(4)[[0, 2, 1, 1, 1]], np.array([0, 0, 1, 3, 3]))
    assert metric.result() == pytest.approx(np.mean(shares), rel=1e-12)


def test_confusion_matrix_has_actual_rows_and_a_copy_as_result():
    metric = nn.ConfusionMatrix()
    metric.update(np.eye(3)[[1, 1, 2]], np.array([0, 0, 2]))
    expected = [[0, 2, 0], [0, 0, 0], [0, 0, 1]]
    np.testing.assert_array_equal(metric.result(), expected)
    metric.result()[:] = 99
    np.testing.assert_array_equal(metric.result(), expected)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_1_is_refused(k):
    with pytest.raises(ValueError, match=f"TopKAccuracy: k must be a whole number ≥ 1, got {k}"):
        nn.TopKAccuracy(k)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 3), (ROWS, STEPS, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@weighted
def test_mean_absolute_error(shape, dtype, weighted):
    (prediction, target), weight = regression(shape, dtype), weights(weighted)
    rows = np.abs(prediction - target).reshape(ROWS, -1).mean(axis=1, dtype=np.float64)
    expected = np.average(rows, weights=weight)
    result = fed(nn.MeanAbsoluteError(), prediction, target, weight)
    assert result == pytest.approx(expected, rel=1e-12 if dtype == np.float64 else 1e-6)


def test_mean_absolute_error_with_a_weight_per_value():
    (prediction, target), weight = regression((ROWS, 3)), weights(True, (ROWS, 3))
    expected = np.average(np.abs(prediction - target), weights=weight)
    result = fed(nn.MeanAbsoluteError(), prediction, target, weight)
    assert result == pytest.approx(expected, rel=1e-12)


def explained(prediction, target, weight):
    """R² of each output, then the mean."""
    weight = weight.reshape(-1, *[1] * (target.ndim - 1))
    mean = (weight * target).sum(axis=0) / weight.sum()
    error = (weight * (target - prediction) ** 2).sum(axis=0)
    return np.mean(1 - error / (weight * (target - mean) ** 2).sum(axis=0))


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1), (ROWS, 3), (ROWS, STEPS, 2)])
@pytest.mark.parametrize("offset", [0, 1e4])
@weighted
def test_r2_merged_over_batches_is_that_of_the_whole(shape, offset, weighted):
    (prediction, target), weight = regression(shape), weights(weighted)
    prediction, target = prediction + offset, target + offset
    expected = explained(prediction, target, or_ones(weight))
    whole = nn.R2()
    whole.update(prediction, target, weight)
    assert whole.result() == pytest.approx(expected, rel=1e-9)
    assert fed(nn.R2(), prediction, target, weight) == pytest.approx(expected, rel=1e-9)


def test_r2_of_sorted_batches_and_of_batches_without_weight():
    prediction, target = regression((ROWS,))
    order = np.argsort(target)
    prediction, target = prediction[order], target[order]
    weight = np.ones(ROWS)
    weight[:20] = weight[50:] = 0
    assert fed(nn.R2(), prediction, target) == pytest.approx(
        explained(prediction, target, np.ones(ROWS)), rel=1e-12
    )
    assert fed(nn.R2(), prediction, target, weight) == pytest.approx(
        explained(prediction[20:50], target[20:50], np.ones(30)), rel=1e-12
    )


@pytest.mark.parametrize(
    ("prediction", "expected"), [([1, 2, 6], 1), ([3, 3, 3], 0), ([-1, -2, -6], 1 - 164 / 14)]
)
def test_r2_at_its_landmarks(prediction, expected):
    metric = nn.R2()
    metric.update(np.array(prediction, float), np.array([1.0, 2.0, 6.0]))
    assert metric.result() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("make", [nn.R2, nn.ExplainedVariance])
@pytest.mark.parametrize("value", [3.0, 0.0, 0.1, 1e6 / 3])
def test_a_constant_target_has_no_variance_to_explain(make, value):
    prediction = np.random.default_rng(0).standard_normal(ROWS)
    assert math.isnan(fed(make(), prediction, np.full(ROWS, value)))
    assert math.isnan(fed(make(), np.full(ROWS, value), np.full(ROWS, value)))


@weighted
@pytest.mark.parametrize("offset", [0, 1e4])
def test_explained_variance_is_r2_where_the_mean_error_is_none(weighted, offset):
    (prediction, target), weight = regression((ROWS, 3)), weights(weighted)
    bias = np.average(prediction - target, axis=0, weights=weight)
    expected = explained(prediction - bias, target, or_ones(weight))
    result = fed(nn.ExplainedVariance(), prediction + offset, target + offset / 2, weight)
    assert result == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (nn.Accuracy, "accuracy"),
        (nn.TopKAccuracy, "top_k_accuracy"),
        (nn.ConfusionMatrix, "confusion_matrix"),
        (nn.Precision, "precision"),
        (nn.Recall, "recall"),
        (nn.F1, "f1"),
        (nn.MeanAbsoluteError, "mean_absolute_error"),
        (nn.R2, "r2"),
        (lambda: nn.F1(average="macro"), "f1_macro"),
        (nn.AUROC, "auroc"),
        (lambda: nn.AUROC("weighted"), "auroc_weighted"),
        (nn.AveragePrecision, "average_precision"),
        (nn.LogLoss, "log_loss"),
        (nn.Perplexity, "perplexity"),
        (nn.MeanSquaredError, "mean_squared_error"),
        (nn.MeanAbsolutePercentageError, "mean_absolute_percentage_error"),
        (nn.ExplainedVariance, "explained_variance"),
    ],
)
def test_names_are_in_snake_case(make, expected):
    assert make().name == expected


@every
def test_reset_forgets_all_batches(name):
    metric, (prediction, target) = getattr(nn, name)(), data_for(name)
    fresh = metric.result()
    expected = fed(metric, prediction, target)
    fed(metric, prediction[::-1], target)
    assert not np.array_equal(metric.result(), expected)
    metric.reset()
    np.testing.assert_array_equal(metric.result(), fresh)
    np.testing.assert_array_equal(fed(metric, prediction, target), expected)


@every
def test_nothing_seen_yet(name):
    result = getattr(nn, name)().result()
    assert np.size(result) == 0 if name == "ConfusionMatrix" else math.isnan(result)


@every
def test_result_may_be_read_between_batches(name):
    prediction, target = data_for(name)
    metric, other = getattr(nn, name)(), getattr(nn, name)()
    for start, stop in CUTS:
        metric.update(prediction[start:stop], target[start:stop])
        metric.result()
    np.testing.assert_array_equal(metric.result(), fed(other, prediction, target))


@every
def test_results_are_plain_numbers_and_inputs_stay(name):
    prediction, target = data_for(name)
    prediction.flags.writeable = target.flags.writeable = False
    result = fed(getattr(nn, name)(), prediction, target)
    assert isinstance(result, np.ndarray if name == "ConfusionMatrix" else float)


def test_ignored_rows_alone_leave_the_mean_undefined():
    metric = nn.Accuracy()
    metric.update(np.eye(3), np.full(3, IGNORED))
    assert math.isnan(metric.result())


@of_classes
@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        ((5, 3), (4,)),
        ((5, 3), (5, 2)),
        ((5, 3), (5, 1)),
        ((5, 4, 3), (5,)),
        ((5, 4, 3), (5, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name, prediction, target):
    metric = getattr(nn, name)()
    with pytest.raises(ValueError, match="do not fit targets") as caught:
        metric.update(np.zeros(prediction), np.zeros(target, int))
    assert f"predictions {prediction} do not fit targets {target}" in str(caught.value)
    assert np.size(metric.result()) == 0 or np.isnan(metric.result())


@pytest.mark.parametrize(
    "name", ["Accuracy", "ConfusionMatrix", *BINARY, "LogLoss", "AUROC", "AveragePrecision"]
)
@pytest.mark.parametrize(("prediction", "target"), [((5, 1), (5,)), ((5,), (5, 1)), ((5,), (4,))])
def test_single_scores_need_targets_of_their_shape(name, prediction, target):
    with pytest.raises(ValueError, match="do not fit targets"):
        getattr(nn, name)().update(np.zeros(prediction), np.zeros(target, int))


@pytest.mark.parametrize("name", sorted(REGRESSION))
@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        ((5,), (4,)),
        ((5, 2), (5, 3)),
        ((5, 1), (5,)),
        ((5,), (5, 1)),
    ],
)
def test_regression_shapes_that_do_not_fit_are_refused(name, prediction, target):
    with pytest.raises(ValueError, match="shape"):
        getattr(nn, name)().update(np.zeros(prediction), np.zeros(target))


@every
@pytest.mark.parametrize("rows", [ROWS - 1, ROWS + 1])
def test_weights_of_another_length_are_refused(name, rows):
    prediction, target = data_for(name)
    with pytest.raises(ValueError, match="broadcast"):
        getattr(nn, name)().update(prediction, target, np.ones(rows))


@pytest.mark.parametrize("name", ["ConfusionMatrix", "TopKAccuracy"])
def test_a_negative_class_is_no_class(name):
    metric = getattr(nn, name)(1)
    with pytest.raises((ValueError, IndexError)):
        metric.update(np.array([[0.0, 0.0, 1.0]]), np.array([-1]))


def test_scores_that_are_nan_are_not_right():
    metric = nn.TopKAccuracy(1)
    metric.update(np.full((4, 3), np.nan), np.array([0, 1, 2, 0]))
    assert not metric.result() > 0.5


@pytest.mark.parametrize("method", ["reset", "result"])
def test_a_metric_says_what_it_lacks(method):
    class Half(nn.Metric):
        pass

    with pytest.raises(NotImplementedError, match=f"Half must define {method}"):
        getattr(Half(), method)()


def test_repr_is_the_call():
    assert repr(nn.TopKAccuracy()) == "TopKAccuracy()"
    assert repr(nn.Accuracy(0.5)) == "Accuracy(threshold=0.5)"


@every
def test_lists_are_taken_as_arrays(name):
    make = getattr(nn, name)
    ours, ref = make(), make()
    prediction, target = data_for(name)
    ours.update(prediction.tolist(), target.tolist())
    ref.update(prediction, target)
    np.testing.assert_allclose(ours.result(), ref.result())


def test_top_k_takes_one_hot_lists():
    metric = nn.TopKAccuracy(1)
    metric.update([[0.0, 1.0], [1.0, 0.0]], [[0, 1], [0, 1]])
    assert metric.result() == 0.5


# -- averages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("average", "expected"),
    [("macro", (4 / 5 + 2 / 3) / 2), ("micro", 3 / 4), ("weighted", (3 * 4 / 5 + 2 / 3) / 4)],
)
def test_averages_of_two_classes_are_over_both_where_asked_for(average, expected):
    guess, target = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    metric = nn.F1(average=average)
    for row in range(4):
        metric.update(np.eye(2)[guess[row : row + 1]], target[row : row + 1])
    assert metric.result() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [*BINARY, "AUROC", "AveragePrecision"])
def test_another_average_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name}: average must be .*got 'samples'"):
        getattr(nn, name)(average="samples")


def test_labels_that_are_nowhere_count_in_the_macro_average_alone():
    scores = target = np.array([[1, 0, 0], [1, 1, 0]])
    for average, expected in (("auto", 1), ("macro", 2 / 3), ("micro", 1), ("weighted", 1)):
        metric = nn.F1(threshold=0.5, multi_label=True, average=average)
        metric.update(scores, target)
        state, other = metric.state_dict(), nn.clone(metric)
        other.load_state_dict(state)
        assert other.result() == metric.result() == pytest.approx(expected, rel=1e-12)


# -- probabilities and ranks ---------------------------------------------------------------------

of_chances = pytest.mark.parametrize("name", ["LogLoss", "Perplexity", "AUROC", "AveragePrecision"])
areas = pytest.mark.parametrize("name", ["AUROC", "AveragePrecision"])


@of_chances
def test_rows_that_look_like_probabilities_are_asked_about(name):
    (scores, target), make = multiclass(), getattr(nn, name)
    with pytest.raises(ValueError, match=rf"^{name}\(\): .* sum to 1: write from_logits=False"):
        make().update(chances(scores), target)
    fed(make(from_logits=True), chances(scores), target)
    result = fed(make(from_logits=False), chances(scores), target)
    assert result == pytest.approx(fed(make(), scores, target), rel=1e-12)


@of_chances
@pytest.mark.parametrize("row", [[0.5, 0.4, 0.3], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]])
def test_rows_that_are_no_probabilities_are_refused(name, row):
    metric = getattr(nn, name)(from_logits=False)
    with pytest.raises(ValueError, match=r"must be ≥ 0 and sum to 1 .*write from_logits=True"):
        metric.update(np.array([[0.2, 0.3, 0.5], row]), np.array([0, 1]))
    metric.update(np.array([[0.2, 0.3, 0.5], row]), np.array([0, 1]), np.array([1.0, 0.0]))


@pytest.mark.parametrize("p", [-0.1, 1.5, np.nan])
def test_a_probability_outside_its_range_is_refused(p):
    with pytest.raises(ValueError, match=r"^LogLoss\(from_logits=False\): .* lie in \[0, 1\]"):
        nn.LogLoss(from_logits=False).update(np.array([0.5, p]), np.array([0, 1]))


def test_logits_keep_the_tails_of_the_log_loss():
    metric = nn.LogLoss()
    metric.update(np.array([90.0, -1000.0], np.float32), np.array([0, 1]))
    assert metric.result() == (90 + 1000) / 2
    metric.reset()
    metric.update(np.array([[0.0, 90.0, -5.0]], np.float32), np.array([0]))
    assert metric.result() == pytest.approx(90, rel=1e-12)


def test_the_log_loss_is_summed_in_double_precision():
    scores, target = multiclass()
    scores = scores.astype(np.float32)
    expected = log_loss(scores.astype(np.float64), target, np.ones(ROWS))
    assert fed(nn.LogLoss(), scores, target) == pytest.approx(expected, rel=1e-12)
    expected = np.log1p(np.exp(scores[:, 0] * np.where(target > 0, -1.0, 1.0))).mean()
    assert fed(nn.LogLoss(), scores[:, 0], target > 0) == pytest.approx(expected, rel=1e-12)


def test_perplexity_is_how_many_classes_it_wavers_among():
    metric = nn.Perplexity()
    metric.update(np.zeros((2, 4, 8)), np.arange(8).reshape(2, 4))
    assert metric.result() == pytest.approx(8, rel=1e-12)
    metric.update(np.array([[0.0, 1e6]]), np.array([0]))
    assert metric.result() == math.inf


@areas
def test_equal_scores_enter_together(name):
    target = np.array([1, 0, 1, 0])
    for order in (slice(None), slice(None, None, -1)):
        metric = getattr(nn, name)()
        metric.update(np.zeros(4)[order], target[order])
        assert metric.result() == 0.5


def test_classes_are_ranked_far_out_in_the_tail():
    """Probabilities of 1 − 1e-9 and less are all 1 in float32."""
    scores = np.array([[0, 0, 25], [0, 0, 24], [0, 0, 23], [0, 22, 0], [21, 0, 0]], np.float32)
    metric = nn.AUROC()
    metric.update(scores, np.array([2, 2, 0, 1, 0]))
    assert metric.result() == pytest.approx((5 / 6 + 1 + 1) / 3, rel=1e-6)


@areas
def test_batches_that_are_changed_afterwards_do_not_matter(name):
    scores, target = multiclass()
    metric, other = getattr(nn, name)(), getattr(nn, name)()
    for start, stop in CUTS:
        batch = scores[start:stop].copy(), target[start:stop].copy(), np.ones(stop - start)
        metric.update(*batch)
        for array in batch:
            array[:] = 0
    assert metric.result() == fed(other, scores, target)


@areas
def test_what_is_kept_is_as_large_as_the_docstring_says(name):
    metric = getattr(nn, name)()
    scores = np.random.default_rng(0).standard_normal((1000, 10)).astype(np.float32)
    for rows in np.split(scores, 10):
        metric.update(rows, np.arange(100) % 10)
    state = metric.state_dict()
    assert sum(array.nbytes for array in state.values()) == 56_000


@areas
def test_scores_that_are_nan_have_no_rank(name):
    metric = getattr(nn, name)()
    metric.update(np.array([0.5, np.nan, 1.0]), np.array([0, 1, 1]))
    assert math.isnan(metric.result())


@areas
def test_another_number_of_classes_is_refused(name):
    metric = getattr(nn, name)()
    metric.update(2 * np.eye(3), np.arange(3))
    for scores, target in ((2 * np.eye(4), np.arange(4)), (np.zeros(3), np.zeros(3))):
        with pytest.raises(ValueError, match=r"the number of classes is another.*call reset"):
            metric.update(scores, target)


@areas
@pytest.mark.parametrize(
    "change",
    [
        {"_weights": np.ones(2)},
        {"_weights": -np.ones(3)},
        {"_weights": np.full(3, np.nan)},
        {"_actual": np.array([0, 1, 3])},
        {"_actual": np.array([-1, 1, 2])},
        {"_actual": np.zeros((3, 2), bool)},
        {"_scores": np.zeros((4, 3))},
        {"_scores": np.zeros(3), "_actual": np.array([0, 1, 2])},
        {"_scores": [1.0]},
        {"_scores": np.zeros((3, 3), int)},
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_together_is_refused(name, change):
    metric = getattr(nn, name)()
    metric.update(2 * np.eye(3), np.arange(3))
    before = metric.result()
    with pytest.raises(ValueError, match=rf"^{name}\(\)"):
        metric.load_state_dict({**metric.state_dict(), **change})
    assert metric.result() == before
