"""L-BFGS finds minima that are known, and leaves alone what it must."""

import copy
import sys

import numpy as np
import pytest

import nnlite as nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = X @ RNG.standard_normal((3, 2)) + 0.1 * RNG.standard_normal((40, 2))


def net(*layers):
    with nn.random.scope(0):
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), *layers, nn.Linear(8, 2))


def loss_of(model, loss=None, x=X, y=Y):
    loss = loss or nn.MSELoss()
    return loss(model.astype(np.float64).forward(x), y)


def test_least_squares_to_the_bottom():
    model = nn.Linear(3, 2).astype(np.float64)
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, tol=1e-10)
    expected, *_ = np.linalg.lstsq(np.hstack([X, np.ones((40, 1))]), Y, rcond=None)
    np.testing.assert_allclose(model.weight.data, expected[:3], atol=1e-7)
    np.testing.assert_allclose(model.bias.data, expected[3], atol=1e-7)


def test_ridge_has_a_closed_form():
    """Σ (X w − y)² / 80 + ½ λ w² has its minimum where (XᵀX / 40 + λ) w = Xᵀ y / 40."""
    model = nn.Linear(3, 2, bias=False).astype(np.float64)
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, weight_decay=0.3, tol=1e-10)
    expected = np.linalg.solve(X.T @ X / 40 + 0.3 * np.eye(3), X.T @ Y / 40)
    np.testing.assert_allclose(model.weight.data, expected, atol=1e-7)


def test_terms_of_layers_count():
    """Σ (X w − y)² / 80 + λ Σ (X w)² / 40 is least squares with w (1 + 2λ) in the place of w."""
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ActivityRegularization(l2=0.3))
    model = model.astype(np.float64)
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, tol=1e-10)
    expected = np.linalg.lstsq(X, Y, rcond=None)[0] / 1.6
    np.testing.assert_allclose(model[0].weight.data, expected, atol=1e-7)


def test_sample_weights_count_rows():
    twice, weighted = (nn.Linear(3, 2).astype(np.float64) for _ in range(2))
    nn.fit_lbfgs(twice, nn.MSELoss(), np.vstack([X, X[:5]]), np.vstack([Y, Y[:5]]), tol=1e-10)
    weights = np.where(np.arange(40) < 5, 2.0, 1.0)
    nn.fit_lbfgs(weighted, nn.MSELoss(), X, Y, sample_weight=weights, tol=1e-10)
    np.testing.assert_allclose(weighted.weight.data, twice.weight.data, atol=1e-7)


def test_a_network_ends_where_the_gradient_is_zero():
    model, x, y = net(), X.astype(np.float32), (Y[:, 0] > 0).astype(np.int64)
    loss = nn.CrossEntropyLoss()
    history = nn.fit_lbfgs(model, loss, x, y, weight_decay=1e-2, max_iter=500)
    losses = history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert all(p.dtype == np.float32 for p in model.parameters())
    twin = copy.deepcopy(model).astype(np.float64)
    loss(twin.forward(x.astype(np.float64)), y)
    twin.backward(loss.backward())
    for p in twin.parameters():
        assert np.abs(p.grad + 1e-2 * p.data).max() < 2e-5
    penalty = 0.005 * sum((p.data**2).sum() for p in twin.parameters())
    assert losses[-1] == pytest.approx(loss(twin.forward(X), y) + penalty, rel=1e-6)


def test_an_optimizer_goes_on_from_there():
    model = net()
    optimizer = nn.Adam(model.parameters(), lr=1e-3)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer, rng=0)
    x, y = X.astype(np.float32), Y.astype(np.float32)
    trainer.fit(x, y, 2, verbose=False)
    state = optimizer.state_dict()
    first = trainer.evaluate(x, y)["loss"]
    with pytest.warns(nn.ModelWarning, match="fit_lbfgs: no minimum after 30 steps .*max_iter"):
        nn.fit_lbfgs(model, nn.MSELoss(), x, y, max_iter=30)
    np.testing.assert_equal(optimizer.state_dict(), state)
    assert not any(p.grad.any() for p in model.parameters())
    second = trainer.evaluate(x, y)["loss"]
    assert second < 0.5 * first
    trainer.fit(x, y, 1, verbose=False)
    assert model.training


def test_frozen_and_tied_parameters():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Linear(3, 2))
    model[2].weight = model[0].weight
    model[3].weight.trainable = False
    frozen = model[3].weight.data.copy()
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, weight_decay=0.01, max_iter=1000)
    np.testing.assert_array_equal(model[3].weight.data, frozen)
    assert model[2].weight is model[0].weight
    for p in model.parameters():
        p.trainable = False
    with pytest.raises(ValueError, match="no parameters to train"):
        nn.fit_lbfgs(model, nn.MSELoss(), X, Y)


def test_running_statistics_follow():
    model = net(nn.BatchNorm1d(8))
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, tol=1e-2)
    hidden = model[1].forward(model[0].forward(X.astype(np.float32)))
    np.testing.assert_allclose(model[2].running_mean.data, hidden.mean(axis=0), atol=1e-4)


def test_padded_sequences_and_states():
    rng = np.random.default_rng(1)
    x = nn.Padded(rng.standard_normal((12, 5, 3)), rng.integers(1, 6, 12))
    model = nn.Sequential(nn.GRU(3, 4, stateful=True), nn.LastStep(), nn.Linear(4, 2))
    losses = nn.fit_lbfgs(model, nn.MSELoss(), x, Y[:12], weight_decay=0.01, max_iter=500)["loss"]
    assert losses[-1] < losses[0]


def test_layers_that_draw_are_refused():
    model = net(nn.Dropout(0.5))
    before, state = model.state_dict(), model[2].rng.bit_generator.state
    with pytest.raises(ValueError, match=r"fit_lbfgs: Dropout\(\) at '2' draws random"):
        nn.fit_lbfgs(model, nn.MSELoss(), X, Y)
    np.testing.assert_equal(model.state_dict(), before)
    assert model[2].rng.bit_generator.state == state
    model[2].eval()
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, weight_decay=0.01, max_iter=1000)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"x": lambda rng: iter([(X, Y)]), "y": None}, ValueError, "not a generator function"),
        ({"x": X[:, :2]}, ValueError, "expected"),
        ({"y": Y[:3]}, ValueError, "40"),
        ({"tol": 0}, ValueError, "tol must be a number > 0"),
        ({"max_iter": 0}, ValueError, "max_iter must be a whole number ≥ 1"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be"),
        ({"loss": "mse"}, TypeError, r"write nn.MSELoss\(\)"),
    ],
)
def test_bad_arguments(arguments, error, match):
    given = {"model": net(), "loss": nn.MSELoss(), "x": X, "y": Y}
    with pytest.raises(error, match=match):
        nn.fit_lbfgs(**given | arguments)


def test_a_loss_that_is_not_finite():
    model = net()
    model[0].weight.data = np.full((3, 8), np.nan)
    with pytest.raises(nn.NonFiniteLossError, match=r"parameter 0\.weight holds values"):
        nn.fit_lbfgs(model, nn.MSELoss(), X, Y)


def test_an_interrupted_search_keeps_its_last_weights(monkeypatch):
    lbfgs = sys.modules["nnlite.training.lbfgs"]
    model, loss = net().astype(np.float64), nn.MSELoss()
    start, plain, calls = loss_of(model), lbfgs._Problem.value_and_gradient, []

    def interrupted(problem, w):
        calls.append(w)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return plain(problem, w)

    monkeypatch.setattr(lbfgs._Problem, "value_and_gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nn.fit_lbfgs(model, loss, X, Y)
    assert loss_of(model) < 0.5 * start


def test_weights_are_kept_when_the_statistics_are_interrupted(monkeypatch):
    lbfgs = sys.modules["nnlite.training.lbfgs"]
    model = net().astype(np.float64)
    start = loss_of(model)

    def interrupted(problem):
        raise KeyboardInterrupt

    monkeypatch.setattr(lbfgs._Problem, "settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nn.fit_lbfgs(model, nn.MSELoss(), X, Y, tol=0.1)
    assert loss_of(model) < 0.5 * start


def test_at_the_bottom_there_is_nothing_to_do():
    model = nn.Linear(3, 2).astype(np.float64)
    nn.fit_lbfgs(model, nn.MSELoss(), X, Y, tol=1e-8)
    assert len(nn.fit_lbfgs(model, nn.MSELoss(), X, Y, tol=1e-7)["loss"]) == 1


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r'pip install "nnlite\[lbfgs\]"'):
        nn.fit_lbfgs(net(), nn.MSELoss(), X, Y)
