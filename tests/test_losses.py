"""Every row of the loss table keeps the loss contract, and bad targets are refused."""

import inspect

import numpy as np
import pytest
from cases import LOSSES, MEMORY_ORDERS
from cases.kinds import all_of, each, loss_check

import nnlite as nn

every_loss = pytest.mark.parametrize("case", LOSSES.values(), ids=LOSSES.keys())
PUBLIC = {
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value) and issubclass(value, nn.Loss)
} - {"Loss", "Losses"}  # which is tried in test_outputs.py
STEP = 1e-6
KINKED = (nn.HuberLoss, nn.HingeLoss, nn.MAELoss)


def drawn(case, dtype=np.float64):
    rng = np.random.default_rng(0)
    prediction, target = case.prediction(rng), case.target(rng)
    prediction = each(lambda p: p.astype(dtype), prediction)
    return prediction, target.astype(dtype) if target.dtype.kind == "f" else target


def slopes(loss, prediction, target, weight):
    """Central differences of the loss, entry by entry."""
    moved = each(np.copy, prediction)

    def of(p):
        numeric = np.empty_like(p)
        for index in np.ndindex(p.shape):
            before, ends = p[index], []
            for step in (STEP, -STEP):
                p[index] = before + step
                ends.append(loss(moved, target, weight))
            p[index] = before
            numeric[index] = (ends[0] - ends[1]) / (2 * STEP)
        return numeric

    return each(of, moved)


def assert_slopes(gradient, numeric):
    for mine, slope in zip(all_of(gradient), all_of(numeric), strict=True):
        assert np.abs(mine - slope).max() <= 1e-6 * max(1e-2, np.abs(slope).max())


def samples(prediction):
    return len(all_of(prediction)[0])


def apart(case):
    """The row's loss with its elements kept apart."""
    loss = case.make()
    loss.reduction = "none"
    return loss


def test_every_public_loss_has_a_row():
    assert {name.split()[0] for name in LOSSES} == PUBLIC


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_the_slope_of_the_returned_number(case, weighted):
    loss, (prediction, target) = case.make(), drawn(case)
    weight = np.random.default_rng(1).uniform(0, 2, samples(prediction)) if weighted else None
    if isinstance(loss, KINKED):
        prediction = prediction + 1e-3  # off the kinks
    loss(prediction, target, weight)
    gradient = loss.backward()
    numeric = slopes(loss, prediction, target, weight)
    assert_slopes(gradient, numeric)


@every_loss
def test_dtype_purity_and_the_slot(case):
    loss = case.make()
    for dtype in (np.float32, np.float64):
        prediction, target = drawn(case, dtype)
        for array in (*all_of(prediction), target):
            array.flags.writeable = False
        value = loss(prediction, target)
        gradient = loss.backward()
        assert type(value) is float
        assert type(gradient) is type(prediction)
        for mine, p in zip(all_of(gradient), all_of(prediction), strict=True):
            assert (mine.dtype, mine.shape) == (dtype, p.shape)
        with pytest.raises(RuntimeError, match=type(loss).__name__):
            loss.backward()
    with nn.inference():
        loss(prediction, target)
    with pytest.raises(RuntimeError, match="inference"):
        loss.backward()


@every_loss
@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_the_order_in_memory_does_not_matter(case, order):
    loss, (prediction, target) = case.make(), drawn(case)
    value = loss(prediction, target)
    gradient = loss.backward()
    assert loss(each(order, prediction), order(target)) == pytest.approx(value, rel=1e-12)
    for mine, expected in zip(all_of(loss.backward()), all_of(gradient), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-15)


@every_loss
def test_numpy_scalars_as_arguments_do_not_promote(case):
    loss, (prediction, target) = case.make(), drawn(case, np.float32)
    for name, value in vars(loss).items():
        if type(value) is float:
            setattr(loss, name, np.float64(value))
    assert type(loss(prediction, target)) is float
    assert {d.dtype for d in all_of(loss.backward())} == {np.dtype(np.float32)}


@every_loss
def test_weights_of_one_change_nothing_and_zero_leaves_out(case):
    loss, (prediction, target) = case.make(), drawn(case)
    plain = loss(prediction, target)
    assert loss(prediction, target, np.ones(samples(prediction))) == pytest.approx(plain)
    half = np.arange(samples(prediction)) % 2
    chosen = loss(each(lambda p: p[half == 1], prediction), target[half == 1])
    divisor = loss.denominator
    assert loss(prediction, target, half) == pytest.approx(chosen)
    assert loss.denominator == pytest.approx(divisor)
    loss(prediction, target, half)
    assert not any(d[half == 0].any() for d in all_of(loss.backward()))


@every_loss
def test_nothing_that_counts_gives_zero(case):
    loss, (prediction, target) = case.make(), drawn(case)
    assert loss(prediction, target, np.zeros(samples(prediction))) == 0
    assert not any(d.any() for d in all_of(loss.backward()))


@every_loss
def test_batches_add_up_to_the_whole(case):
    loss, (prediction, target) = case.make(), drawn(case)
    whole = loss(prediction, target) * loss.denominator
    parts = 0.0
    for part in (slice(0, 1), slice(1, None)):
        value = loss(each(lambda p, part=part: p[part], prediction), target[part])
        parts += value * loss.denominator
    assert parts == pytest.approx(whole)


@every_loss
def test_repr_and_docstring(case):
    loss = case.make()
    if not isinstance(getattr(loss, "weight", None), np.ndarray):
        assert repr(eval(repr(loss), vars(nn))) == repr(loss)
    for heading in ("Forward ", "Backward ", "Shapes ", "Args ", "Source "):
        assert f"\n{heading}" in inspect.cleandoc(type(loss).__doc__)


@every_loss
def test_elements_apart_are_those_of_the_sum(case):
    loss, whole, (prediction, target) = apart(case), case.make(), drawn(case)
    whole.reduction = "sum"
    weight = np.random.default_rng(1).uniform(0, 2, samples(prediction))
    plain = loss(prediction, target)
    assert isinstance(plain, np.ndarray)
    assert plain.dtype == np.float64
    assert plain.sum() == pytest.approx(whole(prediction, target))
    weighted = loss(prediction, target, weight)
    wide = weight.reshape(-1, *[1] * (plain.ndim - 1))
    np.testing.assert_allclose(weighted, wide * plain)
    assert loss.denominator == 1
    gradient = loss.backward(np.ones(plain.shape))
    whole(prediction, target, weight)
    for mine, expected in zip(all_of(gradient), all_of(whole.backward()), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-15)


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_elements_apart(case, weighted):
    rng = np.random.default_rng(1)
    loss, (prediction, target) = apart(case), drawn(case)
    if isinstance(loss, KINKED):
        prediction = prediction + 1e-3
    weight = rng.uniform(0, 2, samples(prediction)) if weighted else None
    upstream = rng.standard_normal(loss(prediction, target, weight).shape)
    gradient = loss.backward(upstream)

    def number(*given):
        return (upstream * loss(*given)).sum()

    numeric = slopes(number, prediction, target, weight)
    assert_slopes(gradient, numeric)


@every_loss
def test_elements_apart_belong_to_the_caller_and_keep_their_dtype(case):
    for dtype in (np.float32, np.float64):
        loss, (prediction, target) = apart(case), drawn(case, dtype)
        first = loss(prediction, target)
        ones = np.ones(first.shape)  # float64: what G is made of does not decide
        expected = loss.backward(ones)
        again = loss(prediction, target)
        again[...] = 7
        for mine, first_one in zip(all_of(loss.backward(ones)), all_of(expected), strict=True):
            np.testing.assert_array_equal(mine, first_one)
            assert (first.dtype, mine.dtype) == (dtype, dtype)


def test_shapes_of_elements_apart():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, 5, 4)).astype(np.float32)
    assert nn.CrossEntropyLoss(reduction="none")(scores, rng.integers(0, 4, (2, 5))).shape == (2, 5)
    assert nn.MSELoss("none")(scores, scores).shape == (2, 5, 4)
    assert nn.KLDivLoss("none")(scores, np.abs(scores)).shape == (2, 5, 4)


def test_padding_has_no_elements():
    padded = nn.Padded(np.ones((2, 3, 1)), [3, 1])
    loss = nn.MSELoss("none")
    np.testing.assert_array_equal(loss(padded, np.zeros((2, 3, 1)))[..., 0], padded.mask)
    gradient = loss.backward(np.ones((2, 3, 1)))
    np.testing.assert_array_equal(gradient[..., 0], 2.0 * padded.mask)


def test_gradients_of_elements_that_do_not_fit():
    loss, p = nn.MSELoss("none"), np.ones((3, 2))
    for grad_output, error, words in (
        (None, ValueError, r"gradient of the elements \(3, 2\)"),
        (np.ones(3), ValueError, r"shape of the losses, \(3, 2\), got \(3,\)"),
        (1.0, ValueError, r"got \(\)"),
        (np.full((3, 2), "a"), TypeError, "numeric"),
    ):
        loss(p, p)
        with pytest.raises(error, match=words):
            loss.backward(grad_output)
    mean = nn.MSELoss()
    mean(p, p)
    with pytest.raises(ValueError, match=r'only with reduction="none"'):
        mean.backward(np.ones((3, 2)))


def test_triplets_need_no_target():
    loss, rng = nn.TripletMarginLoss(), np.random.default_rng(0)
    triplets = tuple(rng.standard_normal((3, 5, 2)))
    assert loss(triplets) == loss(triplets, None) == loss(triplets, np.arange(5)) > 0


def test_equal_vectors_have_finite_gradients():
    zeros = np.zeros((2, 3), np.float32)
    for loss, inputs in (
        (nn.TripletMarginLoss(eps=0), (zeros, zeros, zeros)),
        (nn.CosineEmbeddingLoss(), (zeros, zeros)),
    ):
        assert np.isfinite(loss(inputs, np.ones(2)))
        assert all(np.isfinite(d).all() for d in loss.backward())


def test_a_variance_below_its_bound_can_grow_again():
    loss, mean = nn.GaussianNLLLoss(eps=0.1), np.zeros((2, 1))
    loss((mean, mean + 0.01), mean + 1)
    assert (loss.backward()[1] < 0).all()


def test_a_quantile_has_no_slope_where_it_is_met():
    loss, p = nn.QuantileLoss(0.9, reduction="sum"), np.array([1.0, 2.0, 3.0])
    loss(p, np.array([1.0, 1.0, 4.0]))
    np.testing.assert_allclose(loss.backward(), [0, 0.1, -0.9])


def test_padded_means_and_variances():
    means, lengths = np.zeros((2, 3, 1)), [3, 1]
    loss, both = nn.GaussianNLLLoss(), (nn.Padded(means, lengths), nn.Padded(means + 1, lengths))
    value = loss(both, means + np.arange(3)[:, None])
    assert value == pytest.approx((0 + 1 + 4 + 0) / 2 / 4)
    for gradient in loss.backward():
        assert not gradient[1, 1:].any()


def test_what_needs_one_number_refuses_elements_apart():
    model, loss = nn.Sequential(nn.Linear(2, 1)), nn.MSELoss("none")
    x, y = np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)
    words = r"one number is needed; give it reduction=\"mean\" or \"sum\""
    with pytest.raises(ValueError, match=f"Trainer: .*{words}"):
        nn.Trainer(model, loss, nn.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match=words):
        nn.trace(model, loss, x, y)
    with pytest.raises(ValueError, match=words):
        nn.profile(model, loss, x, y)
    with pytest.raises(ValueError, match=f"fit_lbfgs: .*{words}"):
        nn.fit_lbfgs(model, loss, x, y)


@every_loss
def test_check_gradients_finds_every_loss_right(case):
    rng = np.random.default_rng(0)
    prediction, target = case.prediction(rng), case.target(rng)
    assert nn.check_gradients(*loss_check(prediction), case.make(), target).ok


def test_check_gradients_finds_wrong_gradients_of_several_inputs():
    class Half(nn.MarginRankingLoss):
        def derivative(self, *saved):
            d_a, d_b = super().derivative(*saved)
            return d_a, 0.5 * d_b

    rng = np.random.default_rng(0)
    layer, x = loss_check((rng.standard_normal(8), rng.standard_normal(8)))
    target = np.array([1, -1] * 4)
    with pytest.raises(nn.GradientError, match="Half"):
        nn.check_gradients(layer, x, Half(), target)
    with pytest.raises(TypeError, match=r"takes a tuple of arrays, and Identity.* returns ndarray"):
        nn.check_gradients(nn.Identity(), x, nn.MarginRankingLoss(), target)


def test_check_gradients_of_elements_apart():
    model, loss = nn.Sequential(nn.Linear(2, 1)), nn.MSELoss("none")
    x, y = np.ones((3, 2)), np.zeros((3, 1))
    assert nn.check_gradients(model, x, loss, y).ok

    class Half(nn.MSELoss):
        def derivative(self, d):
            return d

    assert not nn.check_gradients(model, x, Half("none"), y, raises=False).ok


def test_one_hot_equals_classes():
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    by_class = loss(logits, target), loss.backward()
    by_row = loss(logits, np.eye(4, dtype=np.int64)[target]), loss.backward()
    assert by_row[0] == pytest.approx(by_class[0])
    np.testing.assert_allclose(by_row[1], by_class[1], atol=1e-15)


def test_softmax_then_cross_entropy_collapses():
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    loss = nn.CrossEntropyLoss()
    loss(logits, target)
    p = nn.Softmax()(logits)
    np.testing.assert_allclose(loss.backward(), (p - np.eye(4)[target]) / 6, atol=1e-15)


@pytest.mark.parametrize("scale", [1e4, 1e30])
@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.FocalLoss])
def test_huge_logits_stay_finite(make, scale):
    logits = np.array([[scale, -scale, 0], [0, 0, 0]], np.float32)
    loss = make()
    assert np.isfinite(loss(logits, np.array([1, 0])))
    assert np.isfinite(loss.backward()).all()


@pytest.mark.parametrize(
    "make",
    [nn.CrossEntropyLoss, nn.NLLLoss, nn.FocalLoss,
     lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
     lambda: nn.CrossEntropyLoss(weight=[0, 1, 1], ignore_index=9)],
)  # fmt: skip
def test_ignored_rows_may_hold_anything(make):
    loss = make()
    scores = np.array([[-np.inf, 0, 1], [-1, -2, -3]], np.float32)
    target = np.array([0 if loss.weight else loss.ignore_index, 2])
    assert loss(scores, target) == pytest.approx(make()(scores[1:], target[1:]))
    gradient = loss.backward()
    assert not gradient[0].any()
    assert gradient[1].any()


def test_zero_shares_of_impossible_classes_count_nothing():
    loss = nn.CrossEntropyLoss()
    scores = np.array([[-np.inf, 0, 1]], np.float32)
    assert loss(scores, np.array([[0, 0, 1.0]])) == pytest.approx(loss(scores, np.array([2])))


@pytest.mark.parametrize("base", [nn.CrossEntropyLoss, nn.NLLLoss, nn.FocalLoss])
def test_a_class_loss_of_ones_own_saves_what_it_likes(base):
    class Score(base):
        def function(self, prediction, target):
            return -np.take_along_axis(prediction, target[:, None], -1)[:, 0], target, target

        def derivative(self, target, again):
            return -np.eye(3)[target]

    loss = Score()
    assert loss(np.eye(3), np.array([0, 2, 2])) == pytest.approx(-2 / 3)
    assert loss.denominator == 3
    np.testing.assert_allclose(loss.backward(), -np.eye(3)[[0, 2, 2]] / 3)


def test_a_function_that_forgets_the_tuple():
    class Half(nn.Loss):
        def function(self, prediction, target):
            return prediction - target

    with pytest.raises(TypeError, match=r"Half\(\): function must return a tuple.*got ndarray"):
        Half()(np.ones(3), np.ones(3))


def test_huge_binary_logits_stay_finite():
    logits = np.array([[1e30], [-1e30]], np.float32)
    loss = nn.BCEWithLogitsLoss()
    assert np.isfinite(loss(logits, np.array([[0], [1]])))
    assert np.isfinite(loss.backward()).all()


def test_certain_probabilities_stay_finite():
    loss = nn.BCELoss()
    assert loss(np.array([0.0, 1.0], np.float32), np.array([1.0, 0.0])) == 100
    assert np.isfinite(loss.backward()).all()


floats, column = np.zeros(3), np.zeros((3, 1))
scores, label = np.zeros((3, 4)), np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "error", "words"),
    [
        (nn.MSELoss(), column, floats, ValueError, r"target\[:, None\]"),
        (nn.MSELoss(), floats, column, ValueError, r"target\[:, 0\]"),
        (nn.MSELoss(), scores, floats, ValueError, "same shape"),
        (nn.MSELoss(), floats.astype(int), floats, TypeError, "floats"),
        (nn.MSELoss(), [0.0], floats, TypeError, "floats, got list"),
        (nn.MSELoss(), floats, np.array(["a", "b", "c"]), TypeError, "numeric"),
        (nn.MSELoss(), floats, np.array([1, None, 2]), TypeError, "numeric"),
        (nn.MSELoss(), np.zeros((0, 2)), np.zeros((0, 2)), ValueError, "empty"),
        (nn.BCELoss(), column + 1.5, column, ValueError, "BCEWithLogitsLoss"),
        (nn.BCELoss(), column, column - 1, ValueError, "target"),
        (nn.BCEWithLogitsLoss(), column, column + 2, ValueError, "target must"),
        (nn.HingeLoss(), column, column + 2, ValueError, "or 0 and 1, got 2 to 2$"),
        (nn.PoissonNLLLoss(), column, column - 1, ValueError, "negative, got -1$"),
        (nn.PoissonNLLLoss(log_input=False), column - 1, column, ValueError, "got -1; .*Softplus"),
        (nn.KLDivLoss(), scores, scores - 1, ValueError, "got -1; .*log_target=True"),
        (nn.SoftMarginLoss(), column, column + 2, ValueError, "targets must be"),
        (nn.HingeEmbeddingLoss(), column, column, ValueError, r"−1 and 1, .*2 \* y - 1"),
        (nn.HingeEmbeddingLoss(), column, column + 3, ValueError, "got 3 to 3$"),
        (nn.QuantileLoss([0.1, 0.9]), scores, scores, ValueError, r"shape \(4,\), got \(2,\)"),
        (nn.MarginRankingLoss(), column, column, TypeError, r"tuple of 2 arrays, \(a, b\), got nd"),
        (nn.MarginRankingLoss(), (column, column), column + 2, ValueError, "or 0 for no order"),
        (nn.MarginRankingLoss(), (column,), column, TypeError, "got tuple of 1"),
        (nn.MarginRankingLoss(), (column, floats), column, ValueError, "same shape"),
        (
            nn.MarginRankingLoss(),
            (column, column),
            floats,
            ValueError,
            "same shape",
        ),
        (nn.MarginRankingLoss(), (floats, floats.astype("f4")), floats, TypeError, "same dtype"),
        (nn.MarginRankingLoss(), (label, label), floats, TypeError, "floats"),
        (nn.CosineEmbeddingLoss(), (scores, scores), scores, ValueError, "same shape"),
        (nn.TripletMarginLoss(), (scores, scores), None, TypeError, r"3 arrays, \(a, p, n\)"),
        (nn.GaussianNLLLoss(), (scores, scores[:1, :2]), scores, ValueError, "same shape"),
        (nn.GaussianNLLLoss(), (scores, scores - 1), scores, ValueError, "Softplus"),
        (nn.GaussianNLLLoss(), scores, scores, TypeError, "mean, variance"),
        (nn.MultiMarginLoss(), scores, label + 4, ValueError, "class 4 at row 0"),
        (nn.MultiMarginLoss(weight=[1, 2]), scores, label, ValueError, "2 entries for 4"),
        (nn.MultiLabelMarginLoss(), scores, label[:, None] + 4, ValueError, "label 4 of row 0"),
        (nn.MultiLabelMarginLoss(), scores, label, ValueError, r"labels \(N, S\)"),
        (nn.MultiLabelMarginLoss(), scores, scores, TypeError, "MultiLabelSoftMarginLoss"),
        (nn.MultiLabelSoftMarginLoss([1, 2]), scores, scores, ValueError, "2 entries for 4"),
        (nn.MultiLabelSoftMarginLoss(), scores, scores + 2, ValueError, "target must"),
        (nn.DiceLoss(), scores, scores, ValueError, r"\(N, …, C\)"),
        (nn.DiceLoss(), scores[None] + 2, scores[None], ValueError, r"Sigmoid\(\)"),
        (nn.JaccardLoss(), scores[None], scores[None] + 2, ValueError, "target must"),
        (
            nn.BCEWithLogitsLoss(np.ones(5)),
            np.zeros((4, 1)),
            np.zeros((4, 1)),
            ValueError,
            r"a number or have shape \(1,\), got \(5,\)",
        ),
        (nn.BCEWithLogitsLoss(np.ones((3, 4))), scores, scores, ValueError, r"shape \(4,\)"),
        (nn.CrossEntropyLoss(), scores, scores - 1, ValueError, "soft targets must be ≥ 0"),
        (nn.CrossEntropyLoss(), scores, scores * np.nan, ValueError, "≥ 0, got nan"),
        (nn.CrossEntropyLoss(), scores, label + 4, ValueError, "class 4 at row 0"),
        (nn.CrossEntropyLoss(), scores, np.array([0, 1, -1]), ValueError, "class -1 at row 2"),
        (nn.CrossEntropyLoss(), scores, floats, TypeError, r"astype\(np.int64\)"),
        (nn.CrossEntropyLoss(), scores, label[:, None], ValueError, r"targets \(3,\)"),
        (nn.CrossEntropyLoss(), scores, label[:2], ValueError, r"targets \(3,\)"),
        (nn.CrossEntropyLoss(), column, label, ValueError, "BCEWithLogitsLoss"),
        (nn.CrossEntropyLoss(), floats, label, ValueError, "at least 2 classes"),
        (nn.CrossEntropyLoss([1.0, 2.0]), scores, label, ValueError, "2 entries for 4 classes"),
        (nn.NLLLoss(), scores, label + 9, ValueError, "class 9"),
        (nn.FocalLoss(), scores, floats, TypeError, "integers"),
    ],
)
def test_bad_targets_are_refused(loss, prediction, target, error, words):
    with pytest.raises(error, match=words):
        loss(prediction, target)
    with pytest.raises(RuntimeError):
        loss.backward()


@pytest.mark.parametrize(
    ("weight", "error"),
    [(np.ones(2), ValueError), (np.ones((3, 2)), ValueError), (1.0, ValueError),
     (np.array(["a", "b", "c"]), TypeError), (np.array([1, -1, 1]), ValueError),
     (np.array([1, np.nan, 1]), ValueError)],
)  # fmt: skip
def test_bad_weights_are_refused(weight, error):
    with pytest.raises(error, match="sample_weight"):
        nn.MSELoss()(floats, floats, weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.MSELoss("each"),
        lambda: nn.HuberLoss(0),
        lambda: nn.PoissonNLLLoss(eps=-1),
        lambda: nn.HuberLoss(float("nan")),
        lambda: nn.CrossEntropyLoss(label_smoothing=1.5),
        lambda: nn.CrossEntropyLoss(weight=[1, -1]),
        lambda: nn.FocalLoss(gamma=-1),
        lambda: nn.BCEWithLogitsLoss(pos_weight=-1),
        lambda: nn.QuantileLoss(1.0),
        lambda: nn.QuantileLoss([0.5, 0]),
        lambda: nn.TripletMarginLoss(margin=0),
        lambda: nn.TripletMarginLoss(p=0.5),
        lambda: nn.MultiMarginLoss(p=3),
        lambda: nn.GaussianNLLLoss(eps=0),
        lambda: nn.DiceLoss(smooth=-1),
        lambda: nn.CTCLoss(blank=-1),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match=r"must be|weight"):
        make()
