"""Initializers: moments, bounds, fans, orthogonality, seeds."""

import inspect
import math

import numpy as np
import pytest

import nnlite as nn
from nnlite import initializers as init

LINEAR = (400, 500)
CONV = (3, 5, 40, 300)  # fan_in 600, fan_out 4500
TRUNCATED_STD = 0.8796256610342398  # of N(0, 1) between −2 and 2

MOMENTS = {
    "zeros": (init.Zeros(), LINEAR, 0, 0),
    "constant": (init.Constant(0.3), LINEAR, 0.3, 0),
    "normal": (init.Normal(), LINEAR, 0, 0.01),
    "normal shifted": (init.Normal(std=2, mean=-3), LINEAR, -3, 2),
    "uniform": (init.Uniform(), LINEAR, 0, 0.1 / math.sqrt(12)),
    "uniform shifted": (init.Uniform(1, 4), LINEAR, 2.5, 3 / math.sqrt(12)),
    "truncated": (init.TruncatedNormal(), LINEAR, 0, 0.01 * TRUNCATED_STD),
    "truncated shifted": (init.TruncatedNormal(2, mean=5), LINEAR, 5, 2 * TRUNCATED_STD),
    "orthogonal": (init.Orthogonal(gain=2), LINEAR, 0, 2 / math.sqrt(500)),
}
SCALED = {
    (init.Glorot, LINEAR): 2 / 900,
    (init.Glorot, CONV): 2 / 5100,
    (init.He, LINEAR): 2 / 400,
    (init.He, CONV): 2 / 600,
    (init.LeCun, LINEAR): 1 / 400,
    (init.LeCun, CONV): 1 / 600,
}
PUBLIC = [
    value
    for value in vars(init).values()
    if inspect.isclass(value)
    and issubclass(value, init.Initializer)
    and value.__module__ == init.__name__
    and value.draw is not init.Initializer.draw
    and not value.__name__.startswith("_")
]
scaled = pytest.mark.parametrize(
    ("kind", "shape", "variance"), [(*key, value) for key, value in SCALED.items()]
)
every = pytest.mark.parametrize("kind", PUBLIC)
spreading = pytest.mark.parametrize(
    "kind", [kind for kind in PUBLIC if kind not in (init.Zeros, init.Constant)]
)


def made(kind):
    return kind(0.5) if kind is init.Constant else kind()


def assert_moments(values, mean, std):
    assert abs(values.mean() - mean) <= 5 * std / math.sqrt(values.size) + 1e-12
    assert values.std() == pytest.approx(std, rel=0.01, abs=1e-12)


def test_every_public_initializer_is_covered():
    covered = {type(initializer) for initializer, *_ in MOMENTS.values()}
    assert covered | {kind for kind, _ in SCALED} == set(PUBLIC)


@pytest.mark.parametrize(
    ("initializer", "shape", "mean", "std"), MOMENTS.values(), ids=MOMENTS.keys()
)
def test_mean_and_standard_deviation(initializer, shape, mean, std):
    assert_moments(initializer(shape, rng=0), mean, std)


@scaled
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_scaled_variance(kind, shape, variance, distribution, gain):
    values = kind(distribution, gain)(shape, rng=0)
    assert_moments(values, 0, gain * math.sqrt(variance))


@scaled
def test_scaled_uniform_reaches_its_bound_and_no_further(kind, shape, variance):
    bound = math.sqrt(3 * variance)
    largest = np.abs(kind()(shape, rng=0)).max()
    assert 0.999 * bound < largest <= bound


@scaled
def test_scaled_normal_has_tails(kind, shape, variance):
    values = kind("normal")(shape, rng=0)
    beyond = np.mean(np.abs(values) > 2 * math.sqrt(variance))
    assert beyond == pytest.approx(0.0455, rel=0.1)


def test_uniform_fills_its_interval():
    values = init.Uniform(-1, 3)(LINEAR, rng=0)
    assert -1 <= values.min() < -0.999
    assert 2.999 < values.max() < 3


def test_truncated_normal_reaches_two_deviations_and_no_further():
    values = init.TruncatedNormal(std=0.5, mean=1)(LINEAR, rng=0)
    assert 0.99 < np.abs(values - 1).max() <= 1


@pytest.mark.parametrize("shape", [(), (0,), (1,)])
def test_truncated_normal_of_few_values(shape):
    assert np.shape(init.TruncatedNormal()(shape, rng=0)) == shape


@pytest.mark.parametrize("gain", [1.0, 1.7])
@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (3, 3, 2, 5), (2, 1, 2, 9), (1, 4)])
def test_orthogonal_rows_or_columns(shape, gain):
    values = init.Orthogonal(gain)(shape, rng=0)
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1])
    shorter = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(shorter, gain**2 * np.eye(min(matrix.shape)), atol=1e-12)


def test_orthogonal_is_uniform_over_rotations():
    rng = np.random.default_rng(0)
    draws = np.array([init.Orthogonal()((2, 2), rng) for _ in range(2000)])
    assert np.abs(draws.mean(axis=0)).max() < 0.1
    assert np.mean(np.linalg.det(draws) > 0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 10), (64, 10)),
        ((1, 7), (1, 7)),
        ((5, 3, 8), (15, 40)),
        ((3, 3, 16, 32), (144, 288)),
        ((2, 3, 4, 5), (24, 30)),
        ((5, 5, 1, 6), (25, 150)),
    ],
)
def test_fans(shape, expected):
    assert init.fans(shape) == expected


@pytest.mark.parametrize("shape", [(), (5,)])
def test_fans_need_two_axes(shape):
    with pytest.raises(ValueError, match="at least 2 axes, got shape") as caught:
        init.fans(shape)
    assert str(caught.value).endswith(f"got shape {shape}")


@pytest.mark.parametrize("kind", [init.Glorot, init.He, init.LeCun, init.Orthogonal])
def test_a_vector_has_no_fans(kind):
    with pytest.raises(ValueError, match=r"at least 2 axes, got shape \(5,\)"):
        kind()((5,))


@every
@pytest.mark.parametrize("shape", [(2, 3), (3, 3, 2, 4)])
def test_shape_and_dtype(kind, shape):
    values = made(kind)(shape, rng=0)
    assert values.shape == shape
    assert values.dtype == np.float64


@spreading
def test_a_seed_repeats_the_values(kind):
    initializer = kind()
    first, again = initializer((4, 5), rng=3), initializer((4, 5), rng=3)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, initializer((4, 5), rng=np.random.default_rng(3)))
    assert not np.array_equal(first, initializer((4, 5), rng=4))


@spreading
def test_the_root_seed_repeats_the_values_in_order(kind):
    def two():
        nn.seed(7)
        return kind()((4, 5)), kind()((4, 5))

    first, second = two()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal((first, second), two())


@spreading
def test_a_generator_moves_on(kind):
    rng = np.random.default_rng(0)
    assert not np.array_equal(kind()((4, 5), rng), kind()((4, 5), rng))


@pytest.mark.parametrize("value", [0, -1.0, math.nan])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda value: init.Normal(std=value), "std"),
        (lambda value: init.TruncatedNormal(std=value), "std"),
        (lambda value: init.Glorot(gain=value), "gain"),
        (lambda value: init.He(gain=value), "gain"),
        (lambda value: init.LeCun(gain=value), "gain"),
        (lambda value: init.Orthogonal(gain=value), "gain"),
    ],
)
def test_a_scale_must_be_positive(make, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number > 0, got {value}"):
        make(value)


@pytest.mark.parametrize("kind", [init.Glorot, init.He, init.LeCun])
def test_an_unknown_distribution_is_refused(kind):
    with pytest.raises(ValueError, match='"uniform" or "normal", got \'cauchy\''):
        kind("cauchy")


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0.5, -0.5)])
def test_bounds_in_the_wrong_order_are_refused(low, high):
    with pytest.raises(ValueError, match=f"low must not be above high, got {low} and {high}"):
        init.Uniform(low, high)


@pytest.mark.parametrize("rng", ["0", 1.5, True, [0]])
def test_what_is_not_a_generator_is_refused(rng):
    with pytest.raises(
        TypeError, match=r"rng must be a numpy Generator, .*, an integer seed ≥ 0 or None"
    ):
        init.Normal()((2, 2), rng=rng)


def test_a_subclass_without_draw_says_so():
    class Half(init.Initializer):
        pass

    with pytest.raises(NotImplementedError, match=r"Half must define draw\(shape, rng\)"):
        Half()((2, 2))


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [
        (init.Zeros(), "Zeros()"),
        (init.Constant(2), "Constant(2)"),
        (init.Normal(mean=1), "Normal(mean=1)"),
        (init.He("normal", gain=2), "He(distribution='normal', gain=2)"),
    ],
)
def test_repr_is_the_call(initializer, expected):
    assert repr(initializer) == expected
