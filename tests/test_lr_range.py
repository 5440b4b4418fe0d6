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


LRS = np.geomspace(1e-6, 10, 100)


def curve(losses, lrs=LRS):
    return nn.training.lr_range.LRRange(lrs[: len(losses)], np.asarray(losses, float))


def valley(lowest, lrs=LRS):
    """From 2.3 down to 0.3 at the rate `lowest`, and up steeply beyond, as losses do."""
    away = np.log10(lrs / lowest)
    return 2.3 - 2 * np.exp(-(away**2)) + 10 * np.maximum(away, 0) ** 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_means_have_no_bias(count):
    found = curve(np.full(count, 3.0), np.geomspace(1, 10, count))
    np.testing.assert_allclose(found.smoothed, 3.0)


@pytest.mark.parametrize("steps", [50, 100, 300])
def test_the_smoothed_loss_is_the_mean_within_a_factor_of_two(steps):
    lrs = np.geomspace(1e-6, 10, steps)
    losses = np.random.default_rng(0).standard_normal(steps)
    near = np.abs(np.log(lrs[:, None] / lrs)) < np.log(2) + 0.5 * np.log(lrs[1] / lrs[0])
    np.testing.assert_allclose(curve(losses, lrs).smoothed, (near @ losses) / near.sum(axis=1))


@pytest.mark.parametrize("steps", [50, 100, 300])
@pytest.mark.parametrize("lowest", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_a_tenth_of_the_rate_of_the_lowest_loss_is_suggested(steps, lowest, noise):
    lrs = np.geomspace(1e-6, 10, steps)
    losses = valley(lowest, lrs) + noise * np.random.default_rng(0).standard_normal(steps)
    found = curve(losses[: np.searchsorted(losses > 8, True)], lrs)
    assert lowest / 40 < found.suggestion < lowest / 5


def test_a_loss_that_rose_and_falls_again_does_not_count():
    """As Adam's does beyond its limit: the steepest fall of all is the one from a spike."""
    losses = valley(1e-2)
    losses[65:] = np.resize([6.0, 2.5], 35)
    assert 1e-4 < curve(losses).suggestion < 2e-3


def test_a_loss_that_falls_to_the_end_suggests_a_tenth_of_it():
    losses = np.linspace(2.3, 0.3, 100)
    assert curve(losses).suggestion == pytest.approx(LRS[-1] / 10)
    assert curve(-1 - np.arange(100)).suggestion == pytest.approx(1.0)  # losses below 0 too


NOISE = 0.3 * np.random.default_rng(0).standard_normal(100)


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (np.full(100, 0.1), "did not fall between lr 1e-06 and 10 .*a larger max_lr if it stayed"),
        (2.3 + NOISE, r"with noise of 0\.\d+\).*a larger batch_size if it is noisy"),
        (2.3 + np.linspace(0, 9, 100), "a smaller min_lr"),
        (2.3 + np.linspace(0, 9, 100) + NOISE, "a smaller min_lr"),
        (2.3 - np.linspace(0, 0.01, 100), r"from 2\.3 to 2\.29 at best"),
        (
            np.r_[np.linspace(2.3, 0.3, 12), np.full(88, 3.0)],
            "lowest at lr .*e-06, and a tenth of it.* try a smaller min_lr",
        ),
        ([2.3, 2.3, 2.3], "did not fall"),
        ([2.3, 2.0, 1.0], "a smaller min_lr"),
    ],
    ids=["level", "noise", "rising", "noisily rising", "hardly", "at once", "short", "short fall"],
)
def test_nothing_is_suggested_where_nothing_was_found(losses, words):
    with pytest.raises(ValueError, match=f"^lr_range_test: the loss .*{words}"):
        curve(losses).suggestion  # noqa: B018


@pytest.mark.parametrize("optimizer", [nn.Adam, nn.SGD])
@pytest.mark.parametrize("seed", [0, 9, 17, 34, 37])
def test_digits_train_at_the_suggestion(optimizer, seed):
    x, y = nn.data.load_digits()
    nn.seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    t = nn.Trainer(
        model, nn.CrossEntropyLoss(), optimizer(model.parameters()), metrics=[nn.Accuracy()]
    )
    found = nn.lr_range_test(t, x, y)
    assert found.lrs[0] < found.suggestion < found.lrs[found.smoothed.argmin()]
    t.optimizer.lr = found.suggestion
    assert t.fit(x, y, 3, verbose=False)["accuracy"][-1] > 0.85


def test_losses_that_are_not_finite_end_the_test():
    class Fails(nn.MSELoss):
        def __init__(self, calls):
            self.calls = calls

        def function(self, prediction, target):
            self.calls -= 1
            values, *saved = super().function(prediction, target)
            return values if self.calls >= 0 else values * np.nan, *saved

    def found(calls):
        model = nn.Linear(2, 1, rng=0)
        t = nn.Trainer(model, Fails(calls), nn.SGD(model.parameters()), rng=0)
        return nn.lr_range_test(t, X, X[:, :1])

    assert len(found(40).losses) == 40
    with pytest.raises(RuntimeError, match="shot up after 2 steps; try a min_lr below 1e-06"):
        found(2)


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
        ({"min_lr": 0}, ValueError, "min_lr must be a number > 0, got 0"),
        ({"min_lr": 20.0}, ValueError, r"got 20\.0 and 10\.0"),
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
    pytest.importorskip("matplotlib")
    path = tmp_path / "range.png"
    for found in (nn.lr_range_test(trainer(), X, Y), curve(np.full(100, 0.1))):
        found.plot(path=path)
        assert path.stat().st_size > 5000
        path.unlink()
