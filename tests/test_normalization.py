"""Normalizations by their definition, running statistics, noise, and what is refused."""

import numpy as np
import pytest

import nnlite as nn


def drawn(*shape, dtype=np.float64):
    return np.random.default_rng(5).normal(3, 2, shape).astype(dtype)


@pytest.mark.parametrize(
    ("layer", "shape", "split", "axes"),
    [
        (nn.BatchNorm1d(4), (6, 4), (6, 4), 0),
        (nn.BatchNorm1d(4), (6, 5, 4), (6, 5, 4), (0, 1)),
        (nn.BatchNorm2d(4), (6, 5, 3, 4), (6, 5, 3, 4), (0, 1, 2)),
        (nn.LayerNorm(4), (6, 5, 4), (6, 5, 4), -1),
        (nn.GroupNorm(3, 12), (6, 5, 3, 12), (6, 5, 3, 3, 4), (1, 2, 4)),
        (nn.GroupNorm(12, 12), (6, 5, 12), (6, 5, 12), 1),
        (nn.InstanceNorm2d(4), (6, 5, 3, 4), (6, 5, 3, 4), (1, 2)),
    ],
)
def test_mean_0_and_variance_1_over_the_axes(layer, shape, split, axes):
    x = drawn(*shape)
    grouped = x.reshape(split)
    mean, var = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
    expected = ((grouped - mean) / np.sqrt(var + 1e-5)).reshape(shape)
    np.testing.assert_allclose(layer.astype(np.float64)(x), expected, rtol=1e-10, atol=1e-12)


def test_rms_norm_does_not_centre():
    x = drawn(3, 5)
    y = nn.RMSNorm(5, eps=0.0).astype(np.float64)(x)
    np.testing.assert_allclose((y * y).mean(axis=-1), 1)
    np.testing.assert_allclose(y, x / np.sqrt((x * x).mean(axis=-1, keepdims=True)))


@pytest.mark.parametrize("offset", [1e3, -1e5])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3, momentum=1.0), nn.InstanceNorm2d(3)])
def test_normalization_is_right_far_from_zero(layer, offset):
    rng = np.random.default_rng(0)
    x = (offset + rng.standard_normal((8, 32, 32, 3))).astype(np.float32)
    g = rng.standard_normal(x.shape).astype(np.float32)
    exact = layer.astype(np.float64)
    expected, d_expected = exact(x.astype(np.float64)), exact.backward(g.astype(np.float64))
    rounding = abs(offset) * np.finfo(np.float32).eps  # of x itself
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=4 * rounding)
    np.testing.assert_allclose(layer.backward(g), d_expected, rtol=0, atol=4 * rounding)
    for mine, theirs in zip(layer.buffers(), exact.buffers(), strict=True):
        np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-6)


def test_running_statistics_follow_the_batches_unbiased():
    layer = nn.BatchNorm1d(3, momentum=0.25).astype(np.float64)
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(2, 3, (5, 3))
        layer(x)
        mean += 0.25 * (x.mean(0) - mean)
        var += 0.25 * (x.var(0, ddof=1) - var)
    np.testing.assert_allclose(layer.running_mean.data, mean)
    np.testing.assert_allclose(layer.running_var.data, var)
    before = layer.running_mean.data.copy()
    y = layer.eval()(x)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5))
    np.testing.assert_array_equal(layer.running_mean.data, before)
    assert set(layer.state_dict()) == {"weight", "bias", "running_mean", "running_var"}


def test_eval_backward_is_that_of_its_forward_though_statistics_move():
    layer, x = nn.BatchNorm1d(3).astype(np.float64).eval(), drawn(6, 3)
    y = layer(x)
    expected = layer.backward(y), layer.weight.grad.copy()
    layer.zero_grad()
    layer(x)
    layer.running_mean.data += 1
    layer.running_var.data *= 4
    np.testing.assert_array_equal(layer.backward(y), expected[0])
    np.testing.assert_array_equal(layer.weight.grad, expected[1])


def test_a_batch_of_one_value_has_no_variance():
    for layer, shape in ((nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(3), (1, 1, 1, 3))):
        x = np.ones(shape, np.float32)
        with pytest.raises(ValueError, match="more than one value per channel, got"):
            layer(x)
        assert not layer.running_mean.data.any()
        assert layer.eval()(x).shape == shape
    assert nn.BatchNorm1d(3)(drawn(1, 2, 3, dtype=np.float32)).shape == (1, 2, 3)


def test_fit_reports_a_last_batch_of_one_before_the_first_update():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = model[0].weight.data.copy()
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    x, y = np.ones((9, 2), np.float32), np.ones((9, 3), np.float32)
    with pytest.raises(ValueError, match=r"BatchNorm1d\(3\), needs 2; set drop_last=True"):
        trainer.fit(x, y, epochs=1, batch_size=4, verbose=False)
    np.testing.assert_array_equal(model[0].weight.data, before)
    trainer.fit(x, y, epochs=1, batch_size=4, drop_last=True, verbose=False)


def test_fit_takes_a_last_batch_of_one_sequence_when_told():
    model = nn.Sequential(nn.BatchNorm1d(3))
    model[0].min_batch = 1
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    x = drawn(5, 4, 3, dtype=np.float32)
    trainer.fit(x, x, epochs=1, batch_size=4, verbose=False)
    assert model[0].running_mean.data.any()


def test_summary_of_a_single_sample():
    table = nn.summary(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout()), 2)
    assert [row.parameters for row in table.rows] == [15, 9, 6, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features must be a whole number ≥ 1, got 0"),
        (lambda: nn.GroupNorm(1, 2.0), "GroupNorm: num_channels must be a whole number"),
        (lambda: nn.BatchNorm1d(3, momentum=1.5), r"a number in \[0, 1\] or None, got 1.5"),
        (lambda: nn.BatchNorm1d(3, bias=None), "bias must be True or False, got None"),
        (lambda: nn.LayerNorm(()), "LayerNorm: num_features"),
        (lambda: nn.RMSNorm((3, 0)), "RMSNorm: num_features must be a whole number ≥ 1"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size must be a whole number ≥ 1"),
        (lambda: nn.LocalResponseNorm(3, k=0), "LocalResponseNorm: k must be a number > 0"),
        (lambda: nn.BatchNorm2d(3, eps=-1), "BatchNorm2d: eps must be a number ≥ 0, got -1"),
        (lambda: nn.LayerNorm(3, eps="a"), "LayerNorm: eps must be a number ≥ 0, got 'a'"),
        (lambda: nn.GroupNorm(4, 6), "num_groups must divide num_channels, got 4 and 6"),
        (lambda: nn.GroupNorm(0, 6), "num_groups must be a whole number ≥ 1"),
        (lambda: nn.LayerNorm(-2), "LayerNorm: num_features"),
        (lambda: nn.ChannelDropout(1.0), "ChannelDropout: p must be"),
        (lambda: nn.ChannelDropout(None), r"p must be a number in \[0, 1\), got None"),
        (lambda: nn.ActivityRegularization(-0.1), "l1 must be a number ≥ 0, got -0.1"),
        (lambda: nn.ActivityRegularization(l2="a"), "l2 must be a number ≥ 0, got 'a'"),
        (lambda: nn.GaussianSample(-1), "beta must be a number ≥ 0, got -1"),
        (lambda: nn.GaussianNoise(-0.1), "std must be a number ≥ 0, got -0.1"),
        (lambda: nn.GaussianNoise(float("nan")), "std must be a number ≥ 0, got nan"),
    ],
)
def test_arguments_that_mean_nothing(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm2d(3), (2, 3, 8, 9), r"channels come last here: .*\(0, 2, 3, 1\)"),
        (nn.BatchNorm1d(3), (2, 3, 8), r"or \(N, L, 3\), got .*x.transpose\(0, 2, 1\)"),
        (nn.BatchNorm2d(3), (2, 3), r"BatchNorm2d\(3\): expected \(N, H, W, 3\), got \(2, 3\)"),
        (nn.BatchNorm1d(3), (2, 4, 4, 3), r"expected \(N, 3\) or \(N, L, 3\)"),
        (nn.BatchNorm1d(3), (0, 3), r"nothing to normalize in an input of \(0, 3\)$"),
        (nn.BatchNorm2d(3), (5, 4, 3), r"needs its batch axis: x\[None\]"),
        (nn.BatchNorm2d(3), (2, 3, 5), r"got \(2, 3, 5\)$"),
        (nn.LayerNorm(3), (2, 3, 8, 9), r"channels come last here: x.transpose\(0, 2, 3, 1\)"),
        (nn.LayerNorm(3), (2, 4), r"LayerNorm\(3\): expected \(N, …, 3\), got \(2, 4\)"),
        (nn.RMSNorm(3), (3,), r"expected \(N, …, 3\), got \(3,\)"),
        (nn.GroupNorm(3, 3), (5, 3), "more than one value per sample and group"),
        (nn.GroupNorm(1, 3), (5, 4), r"expected \(N, …, 3\)"),
        (nn.InstanceNorm2d(3), (5, 1, 1, 3), "more than one position"),
        (nn.InstanceNorm2d(3), (5, 4, 3), r"expected \(N, H, W, 3\)"),
        (nn.GaussianSample(), (5, 3), r"expected \(N, …, 2K\), K means and K .* got \(5, 3\)"),
        (nn.ChannelDropout(), (5, 4), r"expected \(N, L, C\) or \(N, H, W, C\)"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(shape, np.float32))


def test_channel_dropout_drops_whole_channels():
    layer = nn.ChannelDropout(0.25)
    y = layer(np.ones((40, 5, 6, 50), np.float32))
    channels = y[:, 0, 0]
    np.testing.assert_array_equal(y, np.broadcast_to(channels[:, None, None], y.shape))
    assert set(np.unique(channels)) == {np.float32(0), np.float32(4 / 3)}
    assert (channels == 0).mean() == pytest.approx(0.25, abs=0.04)


def test_gaussian_noise_has_the_promised_spread():
    noise = nn.GaussianNoise(0.5)(np.zeros((200, 200)))
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.02)


def test_without_running_statistics_eval_mode_takes_the_batch():
    layer = nn.BatchNorm1d(3, track_running_stats=False)
    x = np.random.default_rng(0).normal(3, 2, (8, 3))
    y = layer.astype(np.float64)(x)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(layer.astype(np.float64).eval()(x), y)
    assert layer.buffers() == []
    with pytest.raises(ValueError, match=r"one value has no variance\. Use a larger batch$"):
        layer.eval()(np.ones((1, 3), np.float32))


def test_a_sample_of_one_position_is_normalized_by_running_statistics():
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    layer(np.random.default_rng(0).standard_normal((4, 5, 2)).astype(np.float32))
    one = np.ones((3, 1, 2), np.float32)
    assert layer.eval()(one).shape == one.shape
    with pytest.raises(ValueError, match="needs more than one position"):
        layer.train()(one)


def test_without_affine_the_bias_goes_without_saying():
    assert repr(nn.InstanceNorm2d(4)) == "InstanceNorm2d(4)"
    assert repr(nn.LayerNorm(4, affine=False)) == "LayerNorm(4, affine=False)"
    assert repr(nn.GroupNorm(2, 4, bias=False)) == "GroupNorm(2, 4, bias=False)"


def test_features_of_several_axes_are_normalized_as_one():
    x = np.random.default_rng(0).normal(3, 2, (4, 2, 5))
    y = nn.LayerNorm((2, 5)).astype(np.float64)(x).reshape(4, 10)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=1), 1, rtol=1e-5)
    assert nn.LayerNorm((2, 5)).weight.shape == (2, 5)
    with pytest.raises(ValueError, match=r"expected \(N, …, 2, 5\), got \(4, 5, 2\)"):
        nn.LayerNorm((2, 5))(x.transpose(0, 2, 1))
