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
}
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
}
BINARY = {"Precision": 0, "Recall": 1, "F1": 2}
each = pytest.mark.parametrize(
    ("make", "direct"), CLASSIFICATION.values(), ids=CLASSIFICATION.keys()
)
every = pytest.mark.parametrize("name", sorted(PUBLIC))
of_classes = pytest.mark.parametrize("name", sorted(PUBLIC - {"MeanAbsoluteError", "R2"}))


def data_for(name):
    if name in ("MeanAbsoluteError", "R2"):
        return regression((ROWS,))
    return multiclass()


def regression(shape, dtype=np.float64):
    rng = np.random.default_rng(3)
    target = rng.normal(5, 2, shape)
    return (target + rng.standard_normal(shape)).astype(dtype), target.astype(dtype)


def test_every_public_metric_is_covered():
    covered = {name.split()[0] for name in CLASSIFICATION}
    assert covered | {"MeanAbsoluteError", "R2"} == PUBLIC


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


def test_r2_of_a_constant_target_is_nan():
    metric = nn.R2()
    metric.update(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert math.isnan(metric.result())


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


@pytest.mark.parametrize("name", ["Accuracy", "ConfusionMatrix", *BINARY])
@pytest.mark.parametrize(("prediction", "target"), [((5, 1), (5,)), ((5,), (5, 1)), ((5,), (4,))])
def test_single_scores_need_targets_of_their_shape(name, prediction, target):
    with pytest.raises(ValueError, match="do not fit targets"):
        getattr(nn, name)().update(np.zeros(prediction), np.zeros(target, int))


@pytest.mark.parametrize("name", ["MeanAbsoluteError", "R2"])
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
