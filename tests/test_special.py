"""The special functions behind the activations, against the standard library's."""

import math

import numpy as np
import pytest

from nnlite.ops.softmax import log_softmax, softmax
from nnlite.ops.special import (
    expm1_negative,
    normal_tail,
    relu,
    sigmoid,
    sigmoid_and_rest,
    softplus,
    times_derivative,
)

X = np.concatenate([np.linspace(-8, 8, 4001), [0.0, -0.0, 0.46875, 4.0, 1e-300, 1e300, -1e300]])


@pytest.mark.parametrize(
    ("ours", "exact", "relative", "absolute"),
    [
        (
            lambda x: normal_tail(np.minimum(np.abs(x), 38))[0],
            lambda v: math.erfc(min(abs(v), 38) * math.sqrt(0.5)) / 2,
            1e-13,
            0,
        ),
        (softplus, lambda v: max(v, 0) + math.log1p(math.exp(-abs(v))), 1e-15, 0),
        (sigmoid, lambda v: math.exp(min(v, 700)) / (1 + math.exp(min(v, 700))), 5e-16, 0),
        (
            lambda x: sigmoid_and_rest(x)[0],
            lambda v: 1 / (1 + math.exp(min(-v, 709))),
            5e-16,
            1e-300,
        ),
        (
            lambda x: sigmoid_and_rest(x)[1],
            lambda v: 1 / (1 + math.exp(min(v, 709))),
            5e-16,
            1e-300,
        ),
        (expm1_negative, lambda v: math.expm1(min(v, 0)), 1e-15, 0),
        (relu, lambda v: max(v, 0), 0, 0),
    ],
)
def test_double_precision(ours, exact, relative, absolute):
    expected = np.array([exact(v) for v in X])
    np.testing.assert_allclose(ours(X), expected, rtol=relative, atol=absolute)


def test_the_normal_tail_in_float32():
    a = np.linspace(0, 13, 9001).astype(np.float32)
    tail, density = normal_tail(a)
    assert tail.dtype == density.dtype == np.float32
    expected = np.array([math.erfc(float(v) * math.sqrt(0.5)) / 2 for v in a])
    # rounding a² alone is worth a²/2 · 2⁻²⁴
    assert (np.abs(tail / expected - 1) < 5e-7 + 1e-7 * a * a).all()


def test_softmax_of_huge_values():
    x = np.array([[1e300, -1e300, 1e300], [0, 0, -700]])
    np.testing.assert_allclose(softmax(x), [[0.5, 0, 0.5], [0.5, 0.5, 0]], atol=1e-15)
    np.testing.assert_allclose(np.exp(log_softmax(x[1:])), softmax(x[1:]))


@pytest.mark.parametrize("shape", [(3, 5), (300, 500)], ids=["small", "large"])
def test_a_derivative_may_be_a_number_a_row_or_a_mask(shape):
    g = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    row = g[0] + 1
    for derivative in (lambda x: 2.0, lambda x: row, lambda x: x > 0, lambda x: x * 2):
        np.testing.assert_array_equal(times_derivative(g, derivative, (g,)), g * derivative(g))
    counts = np.ones(shape, np.int64)
    found = times_derivative(g, lambda n: n.astype(np.float32), (counts,))
    assert found.dtype == np.float32
    for saved in ((), (3.0,), (row,)):  # nothing to cut into parts
        found = times_derivative(g, lambda *saved: sum(saved), saved)
        np.testing.assert_array_equal(found, g * np.asarray(sum(saved), np.float32))
