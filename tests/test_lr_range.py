"""The learning rate range test: finds where a model learns, and leaves everything as it was."""

import copy

import numpy as np
import pytest

import nnlite as nn


def trainer(optimizer=nn.SGD, **options):
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 3))
    made = optimizer(model.parameters(), **options)
    return nn.Trainer(model, nn.CrossEntropyLoss(), made, rng=0)


X, Y = nn.data.blobs(200, rng=0)


def everything(t):
    return (
        t.model.state_dict(), t.optimizer.state_dict(), t.optimizer.lr, t.optimizer.lr_scale,
        t.rng.bit_generator.state, t.model[2].rng.bit_generator.state, t.model.training,
        [p.grad.copy() for p in t.model.parameters()], t.history.to_dict(), t.last_loss,
    )  # fmt: skip


def test_a_quadratic_bowl_turns_at_its_stability_limit():
    """L = ½ h w² under SGD shrinks for lr < 2/h and explodes beyond: w ← (1 − lr h) w."""
    h = 10.0
    x, y = np.full((64, 1), np.sqrt(h / 2), np.float32), np.zeros((64, 1), np.float32)
    model = nn.Linear(1, 1, bias=False)
    t = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    found = nn.lr_range_test(t, x, y, min_lr=1e-4, max_lr=100.0, steps=200)
    assert found.lrs[-1] > 2 / h
    assert found.lrs[-1] < 100
    assert found.losses[np.searchsorted(found.lrs, 0.9 / h)] < 0.1 * found.losses[0]
    assert 1e-3 < found.suggestion < 2 / h


@pytest.mark.parametrize("optimizer", [nn.SGD, nn.Adam])
def test_the_suggestion_trains(optimizer):
    t = trainer(optimizer)
    found = nn.lr_range_test(t, X, Y, max_lr=10.0)
    assert len(found.lrs) == len(found.losses) == len(found.smoothed) <= 100
    assert found.lrs[0] == pytest.approx(1e-6)
    np.testing.assert_allclose(np.diff(np.log(found.lrs)), np.log(1e7) / 99)
    t.optimizer.lr = found.suggestion
    history = t.fit(X, Y, 20, verbose=False)
    assert history["loss"][-1] < 0.3 * found.losses[0]


def test_nothing_is_changed():
    t = trainer(nn.Adam)
    t.fit(X, Y, 1, verbose=False)
    t.optimizer.lr_scale = 0.5
    t.model.eval()
    before, twin = everything(t), copy.deepcopy(t)
    nn.lr_range_test(t, X, Y, max_lr=1e3)
    np.testing.assert_equal(everything(t), before)
    for one in (t, twin):
        one.fit(X, Y, 1, verbose=False)
    np.testing.assert_equal(everything(t), everything(twin))


def test_it_repeats():
    t = trainer()
    first, second = (nn.lr_range_test(t, X, Y) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)


def test_running_means_have_no_bias():
    found = nn.training.lr_range.LRRange(np.geomspace(1, 10, 5), np.full(5, 3.0))
    np.testing.assert_allclose(found.smoothed, 3.0)


def test_batches_may_be_larger_than_the_data():
    assert len(nn.lr_range_test(trainer(), X[:7], Y[:7], steps=20, batch_size=32).lrs) == 20


def test_gradients_that_cannot_be_clipped_end_the_test():
    t = trainer(nn.SGD, clip_norm=1.0)
    assert len(nn.lr_range_test(t, X, Y, max_lr=1e30).lrs) >= 3


def test_padded_sequences_are_measured_without_their_padding():
    def losses(beyond):
        x = np.linspace(-1, 1, 120, dtype=np.float32).reshape(20, 3, 2)
        y = np.ones((20, 3), int)
        x[:, 2], y[:, 2] = beyond, 0
        model = nn.Sequential(nn.GRU(2, 4, rng=0), nn.Linear(4, 2, rng=1))
        t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), 0.1), rng=0)
        return nn.lr_range_test(t, nn.Padded(x, np.full(20, 2)), y, steps=20).losses

    np.testing.assert_array_equal(losses(beyond=0), losses(beyond=7))


def test_layers_in_eval_mode_stay_there():
    norm = nn.BatchNorm1d(2)
    model = nn.Sequential(norm, nn.Linear(2, 3, rng=0))
    norm.eval()
    t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), 0.1), rng=0)
    x = X * 3 + 5
    expected = t.loss(model(x), Y)
    found = nn.lr_range_test(t, x, Y, batch_size=len(X))
    assert found.losses[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"min_lr": 0}, ValueError, "expected 0 < min_lr < max_lr, got 0"),
        ({"min_lr": 2.0}, ValueError, r"got 2\.0 and 1\.0"),
        ({"steps": 5}, ValueError, "steps must be a whole number ≥ 10"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"x": X[:, :1]}, ValueError, r"Linear\(2, 16\)"),
        ({"min_lr": 1e20, "max_lr": 1e30}, RuntimeError, "try a min_lr below"),
    ],
)
def test_bad_arguments(arguments, error, match):
    with pytest.raises(error, match=match):
        nn.lr_range_test(trainer(), **{"x": X, "y": Y, **arguments})


def test_the_plot(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    path = tmp_path / "range.png"
    nn.lr_range_test(trainer(), X, Y).plot(str(path))
    assert path.stat().st_size > 5000
    assert not matplotlib.pyplot.get_fignums()
