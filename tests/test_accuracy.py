"""Every activation and loss, and its derivative, to the last bits over the whole range."""

import inspect

import numpy as np
import pytest
from cases import LAYERS as CONTRACT
from cases.accuracy import LAYERS, LOSSES, worst_ulps

import nnlite as nn

ROWS = LAYERS | LOSSES
OF_MANY_NUMBERS = {  # losses that are no function of one number
    "CTCLoss", "CosineEmbeddingLoss", "DiceLoss", "GaussianNLLLoss", "JaccardLoss", "Losses",
    "MarginRankingLoss", "MultiLabelMarginLoss", "MultiMarginLoss", "TripletMarginLoss",
}  # fmt: skip
EXTREMES = [1e-30, 20.0, 90.0, 1e30, 1e-40, np.inf]
ELEMENTWISE = {
    name: case
    for name, case in CONTRACT.items()
    if isinstance(case.make(), nn.Elementwise) and not name.startswith("Elementwise")
    if case.by_sample  # not those that draw
}


def test_every_activation_and_loss_has_a_row():
    public = {n for n, value in vars(nn).items() if inspect.isclass(value) and n in nn.__all__}
    losses = {n for n in public if issubclass(getattr(nn, n), nn.Loss)} - {"Loss"}
    layers = {n for n in public if issubclass(getattr(nn, n), nn.Layer)}
    activations = {n for n in layers if issubclass(getattr(nn, n), nn.Elementwise)}
    activations |= {n for n in layers if ".activations." in getattr(nn, n).__module__}
    assert {name.split()[0] for name in LAYERS} == activations - {"Elementwise", "Lambda"}
    assert {name.split()[0] for name in LOSSES} == losses - OF_MANY_NUMBERS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_within_a_few_ulps(row, dtype):
    of_value, of_derivative = worst_ulps(row, dtype)
    assert of_value <= row.ulps
    assert of_derivative <= row.ulps


@pytest.mark.parametrize("name", LAYERS)
def test_extremes(name):
    row = LAYERS[name]
    x = np.array([*EXTREMES, *(-v for v in EXTREMES)], np.float32)
    if "Softmax" in name or "softmax" in name:
        x = x[x < np.inf]  # ∞ − ∞; but −∞ is a score that is left out
    if "Softmin" in name:
        x = x[x > -np.inf]  # and so is ∞, as a cost
    y, d = row.run(x)
    finite = np.isfinite(x)
    tiny = np.finfo(np.float32).tiny
    with np.errstate(over="ignore", invalid="ignore"):
        exact = row.function(x.astype(np.float64)), row.derivative(x.astype(np.float64))
    for ours, expected in zip((y, d), exact, strict=True):
        np.testing.assert_allclose(ours[finite], expected[finite], rtol=1e-5, atol=tiny)
    # at ±∞ what the function tends to: ±∞, or what it is far out
    far = row.run(np.copysign(np.float32(3e38), x[~finite]))
    for ours, limit in zip((y, d), far, strict=True):
        beyond = ours[~finite]
        np.testing.assert_array_equal(np.where(np.isinf(beyond), limit, beyond), limit)
        assert (np.abs(limit[np.isinf(beyond)]) > 1e30).all()


@pytest.mark.parametrize("name", LAYERS)
def test_nan_stays_nan(name):
    y, _ = LAYERS[name].run(np.array([1, np.nan, 100], np.float32))
    assert np.isnan(y).tolist() == [False, True, False]


@pytest.mark.parametrize("case", ELEMENTWISE.values(), ids=ELEMENTWISE.keys())
def test_a_single_number(case):
    layer = case.make().train(case.training)
    for value in (-0.7, 0.7, 4.0):
        x = np.array(value, np.float32)
        y = layer(x)
        d = layer.backward(np.ones_like(x))
        assert isinstance(y, np.ndarray)
        assert isinstance(d, np.ndarray)
        assert (y.shape, d.shape, y.dtype, d.dtype) == ((), (), np.float32, np.float32)
        assert y == layer(x[None])[0]
        assert d == layer.backward(np.ones(1, np.float32))[0]


def test_a_single_number_through_prelu():
    layer = nn.PReLU()
    y = layer(np.array(-2, np.float32))
    d = layer.backward(np.ones_like(y))
    assert (y.shape, y, d.shape, d, layer.weight.grad) == ((), -0.5, (), 0.25, -2)


@pytest.mark.parametrize("cls", [nn.Softmax, nn.Softmin, nn.LogSoftmax])
def test_nothing_to_sum_to_one(cls):
    with pytest.raises(ValueError, match=r"at least one value along axis -1, got \(3, 0\)"):
        cls()(np.ones((3, 0), np.float32))
    layer = cls()
    assert layer.backward(layer(np.ones((0, 3), np.float32))).shape == (0, 3)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("cls", [nn.Softmax, nn.Softmin, nn.LogSoftmax])
def test_tails_along_any_axis(cls, axis):
    x = np.moveaxis(np.random.default_rng(0).standard_normal((3, 2, 4)) * 20, -1, axis)
    g = np.random.default_rng(1).standard_normal(x.shape)
    layer, last = cls(axis=axis), cls()
    y, d = layer(x), layer.backward(g)
    np.testing.assert_allclose(np.moveaxis(y, axis, -1), last(np.moveaxis(x, axis, -1)), 1e-14)
    np.testing.assert_allclose(
        np.moveaxis(d, axis, -1), last.backward(np.moveaxis(g, axis, -1)), 1e-12
    )


@pytest.mark.parametrize("z", [-20, -60, -86])
def test_a_sigmoid_that_is_all_wrong_recovers(z):
    sigmoid, loss = nn.Sigmoid(), nn.BCELoss()
    p = sigmoid(np.array([z], np.float32))
    assert loss(p, np.array([1.0])) == pytest.approx(-z)
    assert sigmoid.backward(loss.backward()) == pytest.approx(-1)


def test_certain_probabilities_have_pytorchs_slope():
    loss = nn.BCELoss()
    assert loss(np.array([0.0, 1.0], np.float32), np.array([1.0, 0.0])) == 100
    np.testing.assert_allclose(loss.backward(), [-0.5e12, 0.5e12], rtol=1e-6)


def test_a_class_that_is_nearly_certain_still_has_a_gradient():
    scores = np.array([[np.log(1e9), 0, -np.inf]], np.float32)
    for loss in (nn.CrossEntropyLoss(), nn.FocalLoss(gamma=0)):
        assert loss(scores, np.array([0])) == pytest.approx(1e-9, rel=1e-5)
        np.testing.assert_allclose(loss.backward(), [[-1e-9, 1e-9, 0]], rtol=1e-5)


def test_impossible_classes_without_a_share_add_nothing_to_the_divergence():
    loss = nn.KLDivLoss()
    assert loss(np.array([[0, -np.inf]], np.float32), np.array([[1.0, 0.0]])) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_nan_are_nan(name):
    values, _ = LOSSES[name].run(np.array([0.5, np.nan], np.float32))
    assert np.isnan(values).tolist() == [False, True]
