"""Running statistics, and ties of maxima, as in PyTorch."""

import functools

import numpy as np
import pytest
from cases import LAYERS

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")
pooling = pytest.importorskip("reference.pooling")


def tracking(norm):
    return functools.partial(norm, track_running_stats=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.3}, {"momentum": 1.0}, {"momentum": 0.0}, {"affine": False, "eps": 0.1}],
)
@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (nn.BatchNorm1d, torch.nn.BatchNorm1d, (6, 3)),
        (nn.BatchNorm1d, torch.nn.BatchNorm1d, (4, 7, 3)),
        (nn.BatchNorm2d, torch.nn.BatchNorm2d, (4, 5, 6, 3)),
        (nn.BatchNorm2d, torch.nn.BatchNorm2d, (1, 5, 6, 3)),
        (tracking(nn.InstanceNorm1d), tracking(torch.nn.InstanceNorm1d), (4, 7, 3)),
        (tracking(nn.InstanceNorm2d), tracking(torch.nn.InstanceNorm2d), (4, 5, 6, 3)),
    ],
)
def test_running_statistics(ours, theirs, shape, options):
    layer, module = ours(3, **options), theirs(3, **options)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.normal(2, 3, shape).astype(np.float32)
        layer(x)
        module(torch.tensor(x).movedim(-1, 1))
    assert_close(layer.running_mean.data, module.running_mean, "running_mean")
    assert_close(layer.running_var.data, module.running_var, "running_var")
    x = rng.normal(2, 3, shape).astype(np.float32)
    expected = module.eval()(torch.tensor(x).movedim(-1, 1)).movedim(1, -1)
    assert_close(layer.eval()(x), expected, "outputs in eval mode")


@pytest.mark.parametrize("name", [n for n in pooling.REFERENCE if "Max" in n])
def test_ties(name):
    case = LAYERS[name]
    x = np.random.default_rng(0).integers(0, 2, case.shape).astype(np.float32)
    layer = case.make()
    y, expected, d_expected = layer(x), *pooling.tied(name, x)
    assert_close(y, expected, "outputs")
    g = np.arange(1, y.size + 1, dtype=np.float32).reshape(y.shape)
    assert_close(layer.backward(g), d_expected, "gradients of input")


def test_running_statistics_of_all_batches_alike():
    layer, module = nn.BatchNorm1d(3, momentum=None), torch.nn.BatchNorm1d(3, momentum=None)
    rng = np.random.default_rng(0)
    for count in range(1, 5):
        x = rng.normal(2, 3, (6, 3)).astype(np.float32)
        layer(x)
        module(torch.tensor(x))
        assert layer.num_batches_tracked.data == module.num_batches_tracked == count
        assert_close(layer.running_mean.data, module.running_mean, "running_mean")
        assert_close(layer.running_var.data, module.running_var, "running_var")
    assert_close(layer.eval()(x), module.eval()(torch.tensor(x)), "outputs in eval mode")
