"""Convolution against loops, every algorithm against the direct one, and input it refuses."""

import itertools
import tracemalloc

import numpy as np
import pytest
from cases.convolution import LAYERS

import nnlite as nn
from nnlite.ops import convolution, threads
from nnlite.ops.convolution import geometry as geometries
from nnlite.ops.convolution import winograd
from nnlite.ops.convolution.geometry import Geometry

GEOMETRIES = {
    name: case.make()._geometry for name, case in LAYERS.items() if name.startswith("Conv2d")
}


def loops(x, w, grad_output, geometry):
    """(y, dL/dx, dL/dw), each product by itself."""
    _, height, width, channels = x.shape
    (s, t), (d, e) = geometry.stride, geometry.dilation
    (top, _), (left, _) = geometry.padding
    groups = geometry.groups
    inputs, outputs = channels // groups, w.shape[-1] // groups
    y, d_x, d_w = np.zeros_like(grad_output), np.zeros_like(x), np.zeros_like(w)
    for n, i, j in itertools.product(*map(range, grad_output.shape[:3])):
        for k, m in itertools.product(*map(range, geometry.kernel)):
            row, column = s * i + d * k - top, t * j + e * m - left
            if not (0 <= row < height and 0 <= column < width):
                continue
            for group in range(groups):
                of_x = slice(group * inputs, (group + 1) * inputs)
                of_y = slice(group * outputs, (group + 1) * outputs)
                g, part = grad_output[n, i, j, of_y], w[k, m, :, of_y]
                y[n, i, j, of_y] += x[n, row, column, of_x] @ part
                d_x[n, row, column, of_x] += part @ g
                d_w[k, m, :, of_y] += np.outer(x[n, row, column, of_x], g)
    return y, d_x, d_w


def arrays(geometry, shape, outputs, dtype=np.float64):
    """Random x, w and dL/dy."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    w = rng.standard_normal((*geometry.kernel, shape[-1] // geometry.groups, outputs))
    g = rng.standard_normal((shape[0], *geometry.out_size(shape[1:3]), outputs))
    return x.astype(dtype), w.astype(dtype), g.astype(dtype)


def run(name, x, w, g, geometry):
    """(y, dL/dx, dL/dw, dL/db) by one algorithm, with a bias of 0.5."""
    algorithm = convolution.ALGORITHMS[name]
    bias = np.full(w.shape[-1], 0.5, x.dtype)
    d_w, d_b, d_x = algorithm.gradients(x, g, w, geometry, True, True)
    alone, none, nothing = algorithm.gradients(x, g, w, geometry, False, False)
    assert none is nothing is None
    np.testing.assert_allclose(alone, d_w, rtol=1e-4, atol=1e-4 * np.abs(d_w).max())
    return algorithm.forward(x, w, bias, geometry), d_x, d_w, d_b


def assert_close(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def able(w, geometry):
    return [
        name
        for name, algorithm in convolution.ALGORITHMS.items()
        if algorithm.applies(w.shape, geometry)
    ]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_algorithm_against_loops(name):
    case, geometry = LAYERS[name], GEOMETRIES[name]
    x, w, g = arrays(geometry, case.shape, case.make().out_channels)
    y, *gradients = loops(x, w, g, geometry)
    expected = y + 0.5, *gradients, g.sum(axis=(0, 1, 2))
    for algorithm in able(w, geometry):
        assert_close(run(algorithm, x, w, g, geometry), expected, 1e-12)


@pytest.mark.parametrize("work", [1, 200, 1500])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_small_work_buffers_change_nothing(name, work, monkeypatch):
    case, geometry = LAYERS[name], GEOMETRIES[name]
    x, w, g = arrays(geometry, case.shape, case.make().out_channels)
    expected = run("direct", x, w, g, geometry)
    monkeypatch.setattr(geometries, "WORK", work)
    for algorithm in able(w, geometry):
        assert_close(run(algorithm, x, w, g, geometry), expected, 1e-12)


@pytest.mark.parametrize("work", [1, 9 << 15])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_threads_change_nothing(name, work, monkeypatch):
    case, geometry = LAYERS[name], GEOMETRIES[name]
    x, w, g = arrays(geometry, (5, *case.shape[1:]), case.make().out_channels)
    expected = run("direct", x, w, g, geometry)
    monkeypatch.setattr(geometries, "WORK", work)
    monkeypatch.setattr(threads, "SMALL", 0)
    monkeypatch.setattr(threads, "thread_functions", lambda: (lambda: 3, lambda count: None))
    for algorithm in able(w, geometry):
        found, again = (run(algorithm, x, w, g, geometry) for _ in range(2))
        assert_close(found, expected, 1e-12)
        for a, b in zip(found, again, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("algorithm", "shape"),
    [
        *itertools.product(
            ["direct", "depthwise", "winograd"], [(64, 16, 16, 32), (1, 128, 128, 32)]
        ),
        *itertools.product(["direct", "depthwise"], [(1, 1, 40_000, 32), (1, 2, 20_000, 32)]),
    ],
)
def test_work_memory_is_bounded(algorithm, shape, monkeypatch):
    monkeypatch.setattr(threads, "thread_functions", lambda: None)
    groups = 32 if algorithm == "depthwise" else 1
    geometry = Geometry((3, 3), padding=((1, 1), (1, 1)), groups=groups)
    x, w, g = arrays(geometry, shape, 32, np.float32)
    run(algorithm, x[:1], w, g[:1], geometry)
    tracemalloc.start()
    results = run(algorithm, x, w, g, geometry)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Winograd's gradients share steps, and so keep two chains of buffers at the same time.
    buffers = 8 if algorithm == "winograd" else 6
    assert peak < sum(a.nbytes for a in results) + buffers * 4 * geometries.WORK


@pytest.mark.parametrize("algorithm", convolution.ALGORITHMS)
def test_arrays_in_any_memory_order(algorithm):
    kernel = (1, 1) if algorithm == "pointwise" else (3, 3)
    groups = {"depthwise": 6, "winograd": 1}.get(algorithm, 2)
    geometry = Geometry(kernel, groups=groups)
    x, w, g = arrays(geometry, (2, 8, 7, 6), 6)
    expected = run(algorithm, x, w, g, geometry)
    channels_first = [a.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1) for a in (x, g)]
    turned = w.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0)
    found = run(algorithm, channels_first[0], turned, channels_first[1], geometry)
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (14, 13), (31, 4)])
@pytest.mark.parametrize("padding", [((1, 1), (1, 1)), ((2, 2), (0, 3)), ((3, 0), (4, 1))])
@pytest.mark.parametrize("work", [1, 20_000, 1 << 19])
@pytest.mark.parametrize("m", winograd.POINTS)
def test_winograd_in_float32(m, size, padding, work, monkeypatch):
    monkeypatch.setattr(winograd, "POINTS", {m: winograd.POINTS[m]})
    geometry = Geometry((3, 3), padding=padding)
    x, w, g = arrays(geometry, (3, *(n + 2 for n in size), 48), 32, np.float32)
    expected = run("direct", *(a.astype(np.float64) for a in (x, w, g)), geometry)
    monkeypatch.setattr(geometries, "WORK", work)
    found = run("winograd", x, w, g, geometry)
    assert {a.dtype for a in found} == {np.dtype(np.float32)}
    assert_close(found, expected, 5e-6)
    d_x = winograd.input_gradient(g, w, x.shape[1:3], geometry)
    np.testing.assert_array_equal(d_x, found[1])


def test_an_empty_batch_has_no_outputs():
    layer = nn.Conv2d(3, 4, 3, padding=1)
    assert layer(np.zeros((0, 5, 6, 3), np.float32)).shape == (0, 5, 6, 4)


@pytest.mark.parametrize(
    ("size", "m", "multiplications"),
    [((2, 2), 2, 16), ((4, 4), 4, 36), ((6, 6), 2, 144), ((7, 7), 4, 144), ((14, 3), 4, 144)],
)
def test_tiles_are_chosen_for_few_multiplications(size, m, multiplications):
    tiling = winograd.tiling(size)
    assert (tiling.m, tiling.multiplications) == (m, multiplications)


def test_choice_of_algorithm():
    def choice(layer, size=(16, 16), dtype=np.float32):
        shape, geometry = layer.weight.shape, layer._geometry
        return convolution.choose_algorithm(
            shape, geometry.out_size(size), geometry, np.dtype(dtype)
        )

    assert choice(nn.Conv2d(8, 8, 5)) == "direct"
    assert choice(nn.Conv2d(8, 8, 1, stride=2)) == "pointwise"
    assert choice(nn.Conv2d(8, 8, 5, groups=8)) == "depthwise"
    assert choice(nn.Conv2d(32, 64, 3, padding=1)) == "winograd"
    assert choice(nn.Conv2d(32, 64, 3, padding=1), dtype=np.float64) == "direct"
    assert choice(nn.Conv2d(32, 64, 3, padding=1), size=(5, 5)) == "direct"
    assert choice(nn.Conv2d(32, 64, 3, padding=1), size=(6, 6)) == "winograd"
    assert choice(nn.Conv2d(16, 64, 3, padding=1)) == "winograd"
    assert choice(nn.Conv2d(16, 64, 3, padding=1), size=(9, 9)) == "direct"
    assert choice(nn.Conv2d(8, 64, 3, padding=1)) == "direct"
    assert choice(nn.Conv2d(32, 32, 3, padding=1), size=(4, 4000)) == "direct"
    assert choice(nn.Conv2d(32, 64, 3, padding=1, stride=2)) == "direct"


@pytest.mark.parametrize("cls", [nn.Conv2d, nn.ConvTranspose2d])
def test_multiply_adds(cls):
    layer = cls(4, 6, 3, groups=2, stride=2)
    x = np.zeros((2, 7, 7, 4), np.float32)
    positions = 2 * 3 * 3 if cls is nn.Conv2d else 2 * 7 * 7
    assert layer.multiply_adds(x.shape, layer(x).shape) == positions * 9 * 4 * 6 // 2


@pytest.mark.parametrize("cls", [nn.Conv1d, nn.ConvTranspose2d])
def test_an_initializer_of_another_shape_is_refused(cls):
    with pytest.raises(ValueError, match="expected values of shape"):
        cls(3, 4, 2, bias_init=lambda shape, rng: np.zeros(3))
    with pytest.raises(TypeError, match="weight_init must be an initializer"):
        cls(3, 4, 2, weight_init=nn.initializers.He)


def test_lists_are_taken_as_tuples():
    listed = nn.Conv2d(3, 4, [3, 2], padding=[1, (0, 2)])
    assert listed._geometry == nn.Conv2d(3, 4, (3, 2), padding=(1, (0, 2)))._geometry


def test_first_values_are_pytorchs():
    weight = nn.Conv2d(16, 64, 3, groups=4, rng=0).weight.data
    bound = 1 / np.sqrt(9 * 4)
    assert 0.99 * bound < np.abs(weight).max() <= bound
    weight = nn.ConvTranspose1d(16, 64, 5, rng=0).weight.data
    bound = 1 / np.sqrt(5 * 64)
    assert 0.99 * bound < np.abs(weight).max() <= bound


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be a whole number ≥ 1 .*, got 0"),
        (lambda: nn.Conv2d(3, 4, 2.5), "kernel_size must be a whole number"),
        (
            lambda: nn.Conv2d(3, 4, (3, 3, 3)),
            r"kernel_size must be a whole number ≥ 1 or a tuple of 2, got \(3, 3, 3\)",
        ),
        (
            lambda: nn.Conv2d(3, 4, 3, stride=0),
            "Conv2d: stride must be a whole number ≥ 1 .*, got 0",
        ),
        (lambda: nn.Conv1d(3, 4, 3, dilation=0), "Conv1d: dilation must be .* got 0"),
        (lambda: nn.Conv1d(3, 4, (3, 3)), r"Conv1d: kernel_size must be .* got \(3, 3\)"),
        (lambda: nn.Conv2d(0, 4, 3), "Conv2d: in_channels must be"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "Conv2d: groups must be"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups must divide the channels, got 4 groups for"),
        (lambda: nn.Conv2d(6, 4, 3, groups=3), "in_channels=6 and out_channels=4"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "padding must be a whole number ≥ 0 .*, got -1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), '"same" or "valid", got \'full\''),
        (lambda: nn.Conv2d(3, 4, 3, padding=(1, 1, 1)), "each a number or a pair, got"),
        (lambda: nn.Conv2d(3, 4, 3, padding=[1, 1, 1]), "each a number or a pair, got"),
        (lambda: nn.Conv2d(3, 4, 3, padding=((1, 1, 1), 1)), "or a tuple of 2, got"),
        (lambda: nn.Conv1d(3, 4, 3, padding=(1, 1, 1)), "or a tuple of 2, got"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "needs a stride of 1"),
        (
            lambda: nn.Conv2d(3, 4, 3, padding=np.array([1, 1])),
            r"or a tuple of them .*, got array\(2,\)",
        ),
        (lambda: nn.Conv2d(3, 4, 3, algorithm="fast"), 'algorithm must be "auto", "direct"'),
        (lambda: nn.Conv2d(3, 4, 3, algorithm=["direct"]), 'algorithm must be "auto", "direct"'),
        (lambda: nn.Conv2d(3, 4, 3, algorithm="pointwise"), "for kernels of size 1"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, algorithm="winograd"), "for kernels of 3×3 with"),
        (lambda: nn.Conv2d(4, 4, 3, algorithm="depthwise"), "for as many groups as channels"),
        (
            lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=2),
            "ConvTranspose2d: output_padding must be smaller than the stride, or than the dilation",
        ),
    ],
)
def test_constructors_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Conv2d(3, 4, 3), (2, 8, 8), r"expected \(N, H, W, 3\), got \(2, 8, 8\)"),
        (nn.Conv2d(3, 4, 3), (8, 8, 3), r"needs its batch axis: x\[None\]"),
        (nn.Conv2d(1, 4, 3), (9, 8, 8), r"a single channel needs its axis: x\[..., None\]"),
        (nn.Conv1d(1, 4, 3), (9, 8), r"a single channel needs its axis: x\[..., None\]"),
        (nn.Conv2d(3, 4, 3), (3, 8, 8), r"in a batch: x.transpose\(1, 2, 0\)\[None\]"),
        (nn.Conv2d(3, 4, 3), (2, 3, 8, 8), r"channels come last here: x.transpose\(0, 2, 3, 1\)"),
        (nn.Conv1d(3, 4, 3), (2, 3, 8), r"channels come last here: x.transpose\(0, 2, 1\)"),
        (nn.ConvTranspose1d(3, 4, 3), (2, 8, 4), r"expected \(N, L, 3\), got \(2, 8, 4\)"),
        (nn.Conv2d(3, 4, 5, padding=1), (2, 8, 2, 3), "spans 5×5, .* padded input of 10×4"),
        (nn.Conv1d(3, 4, 3, dilation=4), (2, 8, 3), "spans 9, .* padded input of 8"),
        (nn.Conv2d(3, 4, 1), (2, 0, 2, 3), "no output is left"),
        (nn.ConvTranspose2d(3, 4, 2, padding=1), (2, 1, 1, 3), "size would be 0×0"),
        (nn.ConvTranspose1d(3, 4, 2), (2, 0, 3), "no output is left"),
    ],
)
def test_inputs_that_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message) as error:
        layer(np.zeros(shape, np.float32))
    assert str(error.value).startswith(f"{layer!r}: ")


@pytest.mark.parametrize("make", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_axis_added_by_none(make, stride):
    layer = make(1, 1, 3, stride).astype(np.float64)
    grey = np.random.default_rng(0).standard_normal((2, 6, 7))
    whole = np.empty((2, 6, 7, 1))  # the same values, with the strides of its shape
    whole[..., 0] = grey
    results = []
    for x in (whole, grey[..., None]):
        layer.zero_grad()
        y = layer(x)
        g = np.random.default_rng(1).standard_normal(y.shape[:-1])
        d_x = layer.backward(g[..., None])
        results.append((y, d_x, layer.weight.grad.copy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
