"""Which inputs matter: gradients with respect to x, plain, smoothed and integrated."""

import numpy as np
import pytest

import nnlite as nn

X = np.random.default_rng(0).standard_normal((5, 4))


def model():
    nn.seed(0)
    net = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)
    )
    return net.astype(np.float64)


def test_saliency_is_the_slope_of_the_chosen_output():
    net, h = model(), 1e-5
    for output in (None, 1, [0, 2, 1, 1, 0]):
        found = nn.saliency(net, X, output)
        chosen = net.predict(X).argmax(axis=1) if output is None else output
        for i in range(4):
            move = h * np.eye(4)[i]
            slope = (net.predict(X + move) - net.predict(X - move)) / (2 * h)
            picked = slope[np.arange(5), chosen]
            np.testing.assert_allclose(found[:, i], picked, rtol=1e-6, atol=1e-9)


def test_a_linear_model_has_its_weights_for_a_gradient_however_it_is_averaged():
    net = nn.Linear(4, 3)
    expected = np.broadcast_to(net.weight.data[:, 2], (5, 4))
    x = X.astype(np.float32)
    np.testing.assert_array_equal(nn.saliency(net, x, 2), expected)
    np.testing.assert_allclose(nn.smooth_grad(net, x, 2, samples=3), expected, rtol=1e-6)
    parts = nn.integrated_gradients(net, x, 2, baseline=x[0], steps=3)
    np.testing.assert_allclose(parts, (x - x[0]) * expected, rtol=1e-5, atol=1e-7)


def test_smooth_grad_is_the_mean_slope_over_normal_noise():
    """Of y = x², 2 (x + ε) has mean 2x and deviation 2σ/√n, σ = noise · range."""
    net = nn.Sequential(
        nn.Lambda(np.square, lambda g, x: 2 * x * g),
        nn.Lambda(lambda x: x[:, :1], lambda g, x: np.pad(g, ((0, 0), (0, 1)))),
    )
    wide = np.array([[3.0, 5.0], [-1.0, 1.0]])  # a range of 2 in each row
    draws = np.array(
        [nn.smooth_grad(net, wide, noise=0.25, samples=1, rng=k)[:, 0] for k in range(2000)]
    )
    np.testing.assert_allclose(draws.mean(axis=0), 2 * wide[:, 0], atol=0.1)
    np.testing.assert_allclose(draws.std(axis=0), 2 * 0.25 * 2, rtol=0.06)
    first, again = (nn.smooth_grad(net, wide, rng=7) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(nn.smooth_grad(net, wide, noise=0.0), nn.saliency(net, wide))


def test_integrated_gradients_are_complete():
    net, baseline = model(), np.full(4, 0.3)
    parts = nn.integrated_gradients(net, X, 1, baseline=baseline, steps=200)
    change = net.predict(X)[:, 1] - net.predict(np.broadcast_to(baseline, X.shape))[:, 1]
    np.testing.assert_allclose(parts.sum(axis=1), change, rtol=1e-4, atol=1e-6)
    rough = nn.integrated_gradients(net, X, 1, baseline=baseline, steps=1)
    middle = (X - baseline) * nn.saliency(net, (X + baseline) / 2, 1)
    np.testing.assert_allclose(rough, middle, rtol=1e-12)


def test_the_model_is_left_as_it_is():
    net = model()
    net.train()
    state, draws = net.state_dict(), net[3].rng.bit_generator.state
    nn.smooth_grad(net, X, samples=2)
    assert net.training
    assert net[3].rng.bit_generator.state == draws
    assert all((net.state_dict()[path] == old).all() for path, old in state.items())
    assert not any(p.has_grad for p in net.parameters())


def test_many_rows_one_output_and_sequences():
    net = nn.Sequential(nn.Linear(4, 1), nn.Reshape())
    many = np.random.default_rng(1).standard_normal((600, 4))
    np.testing.assert_allclose(
        nn.saliency(net, many), np.broadcast_to(net[0].weight.data.T, (600, 4))
    )
    rnn = nn.Sequential(nn.GRU(2, 3), nn.LastStep())
    x = np.random.default_rng(2).standard_normal((2, 5, 2)).astype(np.float32)
    g = nn.saliency(rnn, nn.Padded(x, [5, 3]), 0)
    np.testing.assert_allclose(g[1:, :3], nn.saliency(rnn, x[1:, :3], 0), rtol=1e-5)
    assert not g[1, 3:].any()
    for way in (nn.smooth_grad, nn.integrated_gradients):
        assert not way(rnn, nn.Padded(x, [5, 3]), 0)[1, 3:].any()


@pytest.mark.parametrize(
    ("x", "options", "error", "words"),
    [
        (
            X,
            {"output": 3},
            ValueError,
            "saliency: output must be from 0 to 2, for 3 outputs, got 3",
        ),
        (X, {"output": -1}, ValueError, "from 0 to 2"),
        (X, {"output": [0, 1]}, ValueError, "one number, or one for each of 5 rows, got"),
        (X, {"output": 1.0}, TypeError, "output must be whole numbers, got 1.0"),
        (X * np.nan, {}, ValueError, "x is not finite"),
        (X[:0], {}, ValueError, "x is empty"),
        (X.astype(int), {}, TypeError, "x must hold floats, got dtype int64; whole numbers have"),
        ((X, X), {}, TypeError, "expected x as one array, got a tuple of 2"),
    ],
)
def test_what_makes_no_sense_is_refused(x, options, error, words):
    with pytest.raises(error, match=words):
        nn.saliency(model(), x, **options)


def test_outputs_and_baselines_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"one row of outputs .* got \(2, 3, 4\) for 2 rows; end it"
    ):
        nn.saliency(nn.Identity(), np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"baseline must be a number, or broadcast to x \(5, 4\)"):
        nn.integrated_gradients(model(), X, baseline=np.ones(3))
    with pytest.raises(TypeError, match="baseline must be an array, got 'black'"):
        nn.integrated_gradients(model(), X, baseline="black")
