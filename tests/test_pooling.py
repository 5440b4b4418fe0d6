"""Pooling and resizing against plain loops, ties, and what is refused."""

import math

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of

import nnlite as nn
from nnlite.ops import threads


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def pool_by_loops(layer, x, g):
    """(y, dL/dx) of a pooling layer, window by window, channel by channel."""
    n, *_, channels = x.shape
    images = x.reshape(n, -1, x.shape[-2], channels)  # a sequence is an image of height 1
    two = x.ndim == 4
    kernel = pair(layer.kernel_size) if two else (1, layer.kernel_size)
    stride = layer.kernel_size if layer.stride is None else layer.stride
    stride = pair(stride) if two else (1, stride)
    padding = [pair(p) for p in (pair(layer.padding) if two else (0, layer.padding))]
    gaps = getattr(layer, "dilation", 1)
    gaps = pair(gaps) if two else (1, gaps)
    size = images.shape[1:3]
    count = []
    for s, k, step, (p, after), gap in zip(size, kernel, stride, padding, gaps, strict=True):
        steps = (s + p + after - (k - 1) * gap - 1) / step
        outputs = (math.ceil(steps) if layer.ceil_mode else math.floor(steps)) + 1
        while (outputs - 1) * step >= s + p:
            outputs -= 1
        count.append(outputs)
    y, d_x = np.zeros((n, *count, channels)), np.zeros(images.shape)
    g = g.reshape(y.shape)
    for index in np.ndindex(y.shape):
        b, i, j, c = index
        begin = [i * stride[0] - padding[0][0], j * stride[1] - padding[1][0]]
        inside, padded = [], 0
        for a in (begin[0] + k * gaps[0] for k in range(kernel[0])):
            for e in (begin[1] + k * gaps[1] for k in range(kernel[1])):
                if 0 <= a < size[0] and 0 <= e < size[1]:
                    inside.append((b, a, e, c))
                padded += a < size[0] + padding[0][1] and e < size[1] + padding[1][1]
        if isinstance(layer, (nn.MaxPool1d, nn.MaxPool2d)):
            best = max(inside, key=lambda place: images[place])  # the first of equals
            y[index] = images[best]
            d_x[best] += g[index]
        else:
            divisor = padded if layer.count_include_pad else len(inside)
            divisor = layer.divisor_override or divisor
            y[index] = sum(images[place] for place in inside) / divisor
            for place in inside:
                d_x[place] += g[index] / divisor
    return y.reshape(n, *count[0 if two else 1 :], channels), d_x.reshape(x.shape)


POOLS = [name for name in LAYERS if name.startswith(("MaxPool", "AvgPool"))]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("block", [threads.BLOCK, 8])
@pytest.mark.parametrize("name", POOLS)
def test_pooling_is_what_loops_compute(name, block, ties, monkeypatch):
    monkeypatch.setattr(threads, "BLOCK", block)
    layer, x = layer_of(LAYERS[name]), layer_input(LAYERS[name])
    if ties:
        x = np.round(x / 3) + 0.0
    y = layer(x)
    g = np.random.default_rng(3).standard_normal(y.shape)
    expected, d_expected = pool_by_loops(layer, x, g)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.backward(g), d_expected, rtol=1e-12, atol=1e-12)


def test_ties_go_to_the_first_maximum_in_reading_order():
    x = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32).reshape(1, 2, 2, 1)
    for layer in (nn.MaxPool2d(2), nn.GlobalMaxPool2d()):
        y = layer(x)
        np.testing.assert_array_equal(layer.backward(np.ones_like(y)).ravel(), [0, 1, 0, 0])


def test_padding_is_never_the_maximum():
    x = np.full((1, 4, 1), -np.inf, np.float32)
    layer = nn.MaxPool1d(2, 2, padding=1)
    layer(x)
    g = np.array([1, 2, 3], np.float32).reshape(1, 3, 1)
    np.testing.assert_array_equal(layer.backward(g).ravel(), [1, 2, 0, 3])
    layer = nn.MaxPool2d(2, 2, padding=1)
    layer(x.reshape(1, 2, 2, 1))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 2, 2, 1), np.float32)), 1)
    layer = nn.MaxPool2d(3, 2, padding=1)
    layer(x.reshape(1, 2, 2, 1))
    np.testing.assert_array_equal(layer.backward(g[:, :1, None]).ravel(), [1, 0, 0, 0])


GLOBAL = [name for name in LAYERS if name.startswith("Global")]


@pytest.mark.parametrize("name", [n for n in POOLS + GLOBAL if "batch 1" not in n])
def test_an_empty_batch_has_no_outputs(name):
    layer, shape = layer_of(LAYERS[name]), LAYERS[name].shape
    y = layer(np.zeros((0, *shape[1:])))
    assert len(y) == 0
    assert layer.backward(y).shape == (0, *shape[1:])


def test_maximum_of_what_is_not_a_number_is_not_a_number():
    x = np.full((1, 4, 4, 1), np.nan, np.float32)
    assert np.isnan(nn.MaxPool2d(3, 2, 1)(x)).all()


@pytest.mark.parametrize("size", [(5, 7), (4, 6), (1, 1), (7, 9)])
def test_adaptive_pooling_is_what_loops_compute(size):
    x = np.random.default_rng(0).standard_normal((2, 5, 7, 3))
    y = nn.AdaptiveAvgPool2d(size)(x)
    for i, j in np.ndindex(size):
        rows = slice(i * 5 // size[0], math.ceil((i + 1) * 5 / size[0]))
        columns = slice(j * 7 // size[1], math.ceil((j + 1) * 7 / size[1]))
        np.testing.assert_allclose(y[:, i, j], x[:, rows, columns].mean(axis=(1, 2)))


def test_upsampling_keeps_a_ramp_inside():
    x = np.arange(6.0).reshape(1, 1, 6, 1)
    y = nn.Upsample2d((1, 2), "bilinear")(x).ravel()
    np.testing.assert_allclose(y[1:-1], np.arange(0.25, 5, 0.5))
    np.testing.assert_array_equal(nn.Upsample2d((1, 2))(x).ravel(), np.repeat(np.arange(6.0), 2))


@pytest.mark.parametrize("layer", [nn.Upsample2d((2, 3), "bilinear"), nn.AdaptiveAvgPool2d((3, 2))])
def test_multiply_adds(layer):
    x = np.zeros((2, 4, 5, 3), np.float32)
    y = layer(x)
    rows = y.shape[1] * 4 * 5  # A_H X for each sample and channel
    columns = y.shape[1] * 5 * y.shape[2]
    assert layer.multiply_adds(x.shape, y.shape) == 2 * 3 * (rows + columns)


def test_repetition_multiplies_nothing():
    assert nn.Upsample2d(2).multiply_adds((2, 4, 5, 3), (2, 8, 10, 3)) == 0


def test_zero_padding_takes_integers():
    y = nn.ZeroPad2d((1, 2, 0, 3))(np.ones((1, 2, 2, 1), np.int32))
    assert y.shape == (1, 5, 5, 1)
    assert y.dtype == np.int32
    assert y[0, :2, 1:3].all()
    assert y.sum() == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be a whole number ≥ 1"),
        (lambda: nn.MaxPool2d((2, 2, 2)), r"tuple of 2, got \(2, 2, 2\)"),
        (lambda: nn.AvgPool1d(2, 0), "AvgPool1d: stride must be a whole number ≥ 1 .*, got 0"),
        (lambda: nn.AvgPool1d(2.0), "AvgPool1d: kernel_size"),
        (lambda: nn.MaxPool1d(3, padding=2), "padding must be at most half of kernel_size"),
        (lambda: nn.MaxPool1d(3, padding=(3, 0)), "at least one value less on each side"),
        (lambda: nn.AvgPool1d(1, padding=(1, 0)), "at least one value less on each side"),
        (lambda: nn.MaxPool2d(3, padding=(1, 1, 1)), r"\(height, width\), each a number or a pair"),
        (lambda: nn.MaxPool1d(3, dilation=0), "dilation must be a whole number ≥ 1"),
        (
            lambda: nn.AvgPool2d(3, divisor_override=0),
            "divisor_override must be a whole number ≥ 1",
        ),
        (lambda: nn.LPPool1d(0.5, 2), "norm_type must be a number ≥ 1"),
        (lambda: nn.AdaptiveMaxPool2d((2, 0)), "output_size must be a whole number ≥ 1"),
        (lambda: nn.MaxUnpool2d((2, 2, 2)), r"tuple of 2, got \(2, 2, 2\)"),
        (lambda: nn.MaxPool1d(3, padding=-1), "padding must be a whole number ≥ 0"),
        (lambda: nn.MaxPool2d(2, 2, 0, 1), "MaxPool2d: ceil_mode must be True or False, got 1"),
        (
            lambda: nn.AvgPool1d(2, count_include_pad=None),
            "count_include_pad must be True or False",
        ),
        (lambda: nn.AdaptiveAvgPool2d(0), "output_size must be a whole number ≥ 1"),
        (lambda: nn.Upsample2d(0), "scale_factor must be a number > 0"),
        (lambda: nn.Upsample2d((1, 2, 3)), r"Upsample2d: scale_factor must .* or a tuple of 2"),
        (lambda: nn.Upsample1d((2, 2)), "Upsample1d: scale_factor must be a number > 0"),
        (lambda: nn.Upsample2d(2, "cubic"), 'mode must be "nearest", "bilinear" or "bicubic"'),
        (lambda: nn.Upsample2d(), "either scale_factor or size, got neither"),
        (lambda: nn.Upsample1d(2, size=4), "either scale_factor or size, got both"),
        (lambda: nn.Upsample2d(size=(1, 0)), "size must be a whole number ≥ 1"),
        (lambda: nn.Upsample2d(2, align_corners=True), "align_corners means nothing for mode"),
        (lambda: nn.ZeroPad2d((1, 2)), "tuple of 4"),
        (lambda: nn.ZeroPad2d(-1), "padding must be a whole number ≥ 0"),
        (lambda: nn.ReflectionPad1d((1, 2, 3)), "ReflectionPad1d: padding must .* tuple of 2"),
        (lambda: nn.ConstantPad2d(1, "0"), "value must be a number"),
    ],
)
def test_sizes_that_mean_nothing(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.MaxPool2d(2), (4, 6, 3), r"expected \(N, H, W, C\), channels last, got \(4, 6, 3\)"),
        (nn.MaxPool1d(2), (4, 6), r"MaxPool1d\(2\): expected \(N, L, C\)"),
        (nn.GlobalAvgPool1d(), (4, 6, 5, 3), r"expected \(N, L, C\)"),
        (nn.GlobalMaxPool2d(), (4, 3), r"expected \(N, H, W, C\)"),
        (nn.GlobalMaxPool2d(), (4, 0, 3, 2), r"expected \(N, H, W, C\) with something in it"),
        (nn.Upsample2d(0.3), (1, 9, 3, 1), "nothing would be left of 3 values"),
        (nn.Upsample1d(2), (4, 3, 3, 1), r"expected \(N, L, C\)"),
        (nn.Upsample2d(2), (4, 3), r"expected \(N, H, W, C\)"),
        (nn.AdaptiveAvgPool2d(2), (4, 3, 3), r"expected \(N, H, W, C\)"),
        (nn.ReflectionPad1d((1, 3)), (2, 3, 1), r"3 values along axis 1 .* at most 2, got .*3"),
        (nn.ReflectionPad2d((0, 0, 3, 0)), (2, 3, 5, 1), r"3 values along axis 1 .* at most 2"),
        (nn.CircularPad2d((4, 0, 0, 0)), (2, 5, 3, 1), r"3 values along axis 2 .* at most 3"),
        (nn.ReplicationPad1d(1), (2, 0, 1), r"0 values along axis 1 .* at most 0"),
        (nn.CircularPad1d(1), (4, 3, 3, 3), r"expected \(N, L, C\)"),
        (nn.ZeroPad2d(2), (4, 3, 3), r"expected \(N, H, W, C\)"),
        (nn.MaxPool2d(5), (1, 4, 6, 3), "kernel is larger than the input"),
        (nn.AvgPool2d((1, 9), padding=(0, 1)), (1, 4, 6, 3), "kernel of 9 meets 6 values and 2"),
        (nn.AvgPool1d(9, ceil_mode=True), (1, 0, 3), r"with something in it, got \(1, 0, 3\)"),
        (nn.MaxPool2d(2), (4, 6, 3), r"a single sample needs its batch axis: x\[None\]"),
        (nn.ZeroPad2d(2), (3, 3, 1), r"a single sample needs its batch axis: x\[None\]"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(shape, np.float32))


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool1d(2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_infinite_gradient_goes_to_the_maximum_alone(layer, dtype):
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 3)[: 2 + layer.spatial]).astype(dtype)
    g = np.full_like(layer(x), np.inf)
    d_x = layer.backward(g)
    assert np.isin(d_x, [0, np.inf]).all()
    layer(x)
    np.testing.assert_array_equal(d_x > 0, layer.backward(np.ones_like(g)) > 0)


def test_constants_that_integers_cannot_hold_are_refused():
    images = np.ones((1, 2, 2, 1), np.uint8)
    assert nn.ConstantPad2d(1, 255)(images).dtype == np.uint8
    for value in (0.5, 256, -1):
        with pytest.raises(ValueError, match=rf"ConstantPad2d.* uint8 cannot hold value={value}"):
            nn.ConstantPad2d(1, value)(images)


def test_a_border_may_be_wider_than_what_it_copies():
    x = np.arange(1.0, 4).reshape(1, 3, 1)
    assert nn.ReplicationPad1d((4, 1))(x).ravel().tolist() == [1, 1, 1, 1, 1, 2, 3, 3]
    assert nn.ReflectionPad1d(2)(x).ravel().tolist() == [3, 2, 1, 2, 3, 2, 1]
    assert nn.CircularPad1d((3, 2))(x).ravel().tolist() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_maxima_come_back_where_they_were():
    x = np.array([[1.0, 4.0, 2.0, 0.0, 3.0, 3.0]]).reshape(1, 6, 1)
    y, places = nn.MaxPool1d(2, return_indices=True)(x)
    assert places.ravel().tolist() == [1, 2, 4]
    assert nn.MaxUnpool1d(2)((y, places)).ravel().tolist() == [0, 4, 2, 0, 3, 0]
    assert nn.MaxUnpool1d(2, output_size=8)((y, places)).shape == (1, 8, 1)


def test_of_values_with_the_same_place_the_last_one_stays_and_has_the_gradient():
    layer = nn.MaxUnpool1d(2)
    x = np.array([[[5.0], [6.0]]]), np.array([[[3], [3]]])
    assert layer(x).ravel().tolist() == [0, 0, 0, 6]
    d_x, d_indices = layer.backward(np.ones((1, 4, 1)))
    assert d_x.ravel().tolist() == [0, 1]
    assert d_indices is None


def test_what_pooling_left_goes_around_layers_that_know_nothing_of_it():
    nn.seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.MaxPool2d(2, return_indices=True),
        nn.Parallel(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh()), nn.Identity()),
        nn.MaxUnpool2d(2),
        nn.Conv2d(3, 1, 3, padding=1),
    ).astype(np.float64)
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 1))
    assert nn.check_gradients(model, x).ok
    assert model.predict(x).shape == x.shape


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((1, 2, 1)), TypeError, r"expected \(values, indices\), as MaxPool1d returns"),
        ((np.ones((1, 2, 1)),) * 2, TypeError, "whole numbers as indices, got float64"),
        ((np.ones((1, 2, 1)), np.zeros((1, 3, 1), int)), ValueError, "one index for each value"),
        (
            (np.ones((1, 2, 1)), np.array([[[0], [4]]])),
            ValueError,
            "from 0 to 3, .* 0 to 4; output",
        ),
    ],
)
def test_unpooling_needs_values_and_their_places(x, error, message):
    with pytest.raises(error, match=message):
        nn.MaxUnpool1d(2)(x)


@pytest.mark.parametrize(
    "layer", [nn.MaxPool1d(2, return_indices=True), nn.AdaptiveMaxPool1d(2, return_indices=True)]
)
def test_indices_have_no_gradient(layer):
    y, _ = layer(np.arange(4.0).reshape(1, 4, 1))
    with pytest.raises(TypeError, match=r"backward expected \(dL/dy, None\), got ndarray"):
        layer.backward(np.ones_like(y))


def test_of_equal_values_adaptive_pooling_takes_the_first_in_reading_order():
    x = np.array([[0.0, 1.0], [1.0, 0.0]]).reshape(1, 2, 2, 1)
    layer = nn.AdaptiveMaxPool2d(1)
    np.testing.assert_array_equal(layer.backward(layer(x)).ravel(), [0, 1, 0, 0])


def test_windows_of_gaps_alone_are_refused():
    with pytest.raises(ValueError, match=r"window 0 along axis 1 .* lies in the padding alone"):
        nn.MaxPool1d(2, padding=2, dilation=3)(np.ones((1, 1, 1), np.float32))


def test_norms_of_nothing_have_no_gradient():
    layer = nn.LPPool1d(2, 2)
    y = layer(np.array([0.0, 0, 3, 4]).reshape(1, 4, 1))
    assert y.ravel().tolist() == [0, 5]
    np.testing.assert_allclose(layer.backward(np.ones_like(y)).ravel(), [0, 0, 0.6, 0.8])


def test_unpooling_to_nothing_is_refused():
    x = np.ones((1, 1, 1)), np.zeros((1, 1, 1), int)
    with pytest.raises(ValueError, match=r"the padding leaves nothing of the sizes \(1,\)"):
        nn.MaxUnpool1d(2, padding=1)(x)


def test_the_nearest_value_is_found_where_the_step_is_no_binary_fraction():
    for size, count in ((2, 98), (3, 147), (7, 7 * 49), (98, 2), (5, 103)):
        x = np.arange(float(size)).reshape(1, size, 1)
        expected = [i * size // count for i in range(count)]
        assert nn.Upsample1d(size=count)(x).ravel().tolist() == expected


@pytest.mark.parametrize("layer", [nn.ZeroPad1d((0, 2)), nn.ReplicationPad1d((0, 2))])
def test_the_equations_of_a_border_on_one_side_have_no_zeros(layer):
    assert "−0" not in layer.equations["forward"]
    assert "+0" not in layer.equations["input"]
