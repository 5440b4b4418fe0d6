"""Sums of rows: right for every number of them, and no less exact when there are many."""

import numpy as np
import pytest

import nnlite as nn
from nnlite.ops.products import LONG, RUN, sum_rows


@pytest.mark.parametrize("n", [0, 1, RUN, LONG, LONG + 1, 10 * RUN + 7, LONG * RUN + 5])
@pytest.mark.parametrize("before", [(), (3,), (0,)])
def test_sums_of_rows(n, before):
    g = np.random.default_rng(0).standard_normal((*before, n, 2))
    np.testing.assert_allclose(sum_rows(g), g.sum(axis=-2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(1, 4), (100_000, 1)),
        (nn.Conv1d(1, 4, 3), (1, 50_000, 1)),
        (nn.Conv2d(1, 4, 3), (16, 64, 64, 1)),
        (nn.Conv2d(1, 4, 3, padding=1), (64, 32, 32, 1)),
        (nn.ConvTranspose1d(1, 4, 4, stride=2), (4, 20_000, 1)),
    ],
)
def test_bias_gradients_of_many_places_do_not_drift(layer, shape):
    y = layer(np.ones(shape, np.float32))
    layer.backward(np.full(y.shape, 0.1, np.float32))
    exact = y.size // 4 * np.float64(np.float32(0.1))
    np.testing.assert_allclose(layer.bias.grad, exact, rtol=2e-6)


def test_the_mean_of_a_large_image_does_not_drift():
    x = np.full((1, 512, 512, 3), 0.1, np.float32)
    np.testing.assert_allclose(nn.GlobalAvgPool2d()(x), 0.1, rtol=2e-6)
