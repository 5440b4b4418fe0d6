"""Weights computed from others: what is trained, kept and refused."""

import copy

import numpy as np
import pytest

import nnlite as nn


@pytest.mark.parametrize("wrap", [nn.WeightNorm, nn.SpectralNorm])
def test_only_what_the_weight_is_computed_from_is_trained(wrap, tmp_path):
    nn.seed(0)
    model = nn.Sequential(wrap(nn.Linear(4, 6)), nn.Tanh(), wrap(nn.Linear(6, 1)))
    assert not any(path.endswith(".weight") for path in model.named_parameters())
    x = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True) / 4
    trainer = nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters(), lr=0.01))
    history = trainer.fit(x, y, epochs=20, verbose=False)
    assert history["loss"][-1] < history["loss"][0] / 2
    nn.save_model(model, tmp_path / "model.npz")
    for other in (nn.load_model(tmp_path / "model.npz"), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert nn.clone(model).state_dict().keys() == model.state_dict().keys()


def test_a_wrapped_weight_is_at_first_the_same():
    inner = nn.Conv2d(2, 3, 3)
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 2)).astype(np.float32)
    y = inner(x)
    np.testing.assert_allclose(nn.WeightNorm(inner)(x), y, rtol=1e-4, atol=1e-6)


def test_the_largest_singular_value_becomes_one():
    layer = nn.SpectralNorm(nn.Linear(5, 4, bias=False), n_power_iterations=50)
    weight = layer(np.eye(5, dtype=np.float32))
    assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, rel=1e-5)


def test_weights_that_cannot_be_wrapped_are_refused():
    inner = nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"has no parameter 'w' of its own; .*: weight, bias"):
        nn.WeightNorm(inner, name="w")
    with pytest.raises(ValueError, match="expected an input with axis 2"):
        nn.WeightNorm(inner, axis=2)
    nn.WeightNorm(inner)
    with pytest.raises(ValueError, match="has no parameter 'weight' of its own"):
        nn.SpectralNorm(inner)
    zero = nn.Linear(4, 3, weight_init=nn.initializers.Constant(0))
    with pytest.raises(ValueError, match="all weights of an output are 0"):
        nn.WeightNorm(zero)(np.ones((1, 4), np.float32))


def test_in_eval_mode_the_gradient_of_a_spectral_norm_is_the_slope():
    layer = nn.SpectralNorm(nn.Linear(4, 3), rng=0).astype(np.float64).eval()
    rng = np.random.default_rng(0)
    layer.original.data += rng.standard_normal((4, 3))  # u and v are those of other weights
    x, g, change = (rng.standard_normal(shape) for shape in ((5, 4), (5, 3), (4, 3)))
    layer(x)
    layer.backward(g)
    values = []
    for step in (1e-6, -2e-6):
        layer.original.data += step * change
        values.append((layer(x) * g).sum())
    slope = (values[0] - values[1]) / 2e-6
    assert (layer.original.grad * change).sum() == pytest.approx(slope, rel=1e-7)
