"""Callbacks: each does what it says, in its moment, and the errors say which one it was."""

import csv
import json
import math
import time

import numpy as np
import pytest

import nnlite as nn
from nnlite.core import waiting

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def new(lr=0.1, metrics=()):
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    return nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters(), lr=lr),
                      metrics=metrics, rng=0)  # fmt: skip


def fit(trainer, *callbacks, epochs=1, **options):
    return trainer.fit(X, Y, epochs, callbacks=callbacks, **{"verbose": False, **options})


def weights(trainer):
    return trainer.model.state_dict()


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


class Scripted(nn.Metric):
    """Returns given values, one per evaluation."""

    larger_is_better = False

    def __init__(self, values):
        self.values = values
        self.used = values if isinstance(values, Values) else Values(values)

    def reset(self):
        pass

    def update(self, prediction, target, sample_weight=None):
        pass

    def result(self):
        return self.used.next()

    def __deepcopy__(self, memo):
        return Scripted(self.used)

    def state_dict(self):
        return {}


class Values:
    """Numbers for the validations; training results are not counted."""

    def __init__(self, values):
        self.values = list(values)
        self.calls = 0

    def next(self):
        self.calls += 1
        return float(self.values[self.calls // 2 - 1]) if self.calls % 2 == 0 else 0.0


def scripted(values, **options):
    """A trainer whose `val_scripted` takes the given values."""
    return new(metrics=[Scripted(values)], **options)


def test_an_exception_says_which_callback():
    bad = nn.LambdaCallback(on_epoch_end=lambda t: {}["gone"])
    with pytest.raises(KeyError, match=r"in on_epoch_end of the callback LambdaCallback\(on_epoch"):
        fit(new(), nn.EMA(), bad)


@pytest.mark.parametrize("place", ["around_validation", "state_dict", "load_state_dict"])
def test_an_exception_beside_the_moments_says_so_too(place, tmp_path):
    class Counts(nn.Callback):
        def __init__(self):
            self.steps = 0

        def on_step_end(self, trainer):
            self.steps += 1

    def run(callback):
        saving = nn.Checkpoint(tmp_path / "run.npz")
        fit(new(), saving, callback, epochs=2, resume="auto", validation_data=(X, Y))

    if place == "load_state_dict":
        run(Counts())
    callback = type("Counts", (Counts,), {place: lambda *_: 1 / 0})()
    with pytest.raises(ZeroDivisionError) as error:
        run(callback)
    assert error.value.__notes__ == [f"in {place} of the callback Counts()"]


def test_callbacks_print_as_their_call():
    assert repr(nn.EarlyStopping(patience=3)) == "EarlyStopping(patience=3)"
    assert repr(nn.LambdaCallback(on_step_end=print)) == "LambdaCallback(on_step_end)"
    assert repr(nn.Checkpoint("run.npz", every_steps=5)) == "Checkpoint('run.npz', every_steps=5)"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: nn.EarlyStopping(patience=-1), "patience must be a whole number ≥ 0"),
        (lambda: nn.EarlyStopping(min_delta=-1), "min_delta must be a number ≥ 0"),
        (lambda: nn.EarlyStopping(mode="low"), "mode must be"),
        (lambda: nn.ReduceLROnPlateau(factor=1.0), r"factor must be a number in \(0, 1\)"),
        (lambda: nn.ReduceLROnPlateau(min_lr=math.nan), "min_lr must be a number ≥ 0"),
        (lambda: nn.EMA(1.0), r"decay must be a number in \[0, 1\)"),
        (lambda: nn.SWA(-1), "start must be a whole number"),
        (lambda: nn.Lookahead(0), "k must be a whole number ≥ 1"),
        (lambda: nn.Lookahead(alpha=0), r"alpha must be a number in \(0, 1\]"),
        (lambda: nn.TimeLimit(0), "seconds must be a number > 0"),
        (lambda: nn.Checkpoint("x", every_steps=0), "every_steps must be a whole number"),
        (lambda: nn.Checkpoint("x", every_epochs=0), "every_epochs must be a whole number"),
        (lambda: nn.Checkpoint("x", keep=0), "keep must be a whole number"),
        (lambda: nn.Checkpoint("x", every_steps=1, best_only=True), "goes with neither"),
    ],
)
def test_bad_arguments_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_a_lambda_must_be_callable():
    with pytest.raises(TypeError, match="on_step_end must be callable or None, got 3"):
        nn.LambdaCallback(on_step_end=3)


# -- watching ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([3, 2, 1, 2, 3, 4, 5], {"patience": 2}, 5, 3),
        ([3, 2, 1, 2, 3, 4, 5], {}, 4, 3),
        ([3, 2, 1, 2, 0, 4, 5], {"patience": 2}, 7, 5),
        ([3, 2.9, 2.8, 2.7], {"patience": 2, "min_delta": 0.5}, 3, 1),
        ([3, math.nan, 2, math.nan, math.nan, 1], {"patience": 2}, 5, 3),
        ([1, 2, 3, 2, 1], {"patience": 2, "mode": "max"}, 5, 3),
        ([3, 2, 1, 0.5], {"patience": 2, "baseline": 0.1}, 2, 2),
        ([3, 2, 1, 0.5], {"patience": 2, "baseline": 2.5}, 4, 4),
    ],
)
def test_early_stopping(values, options, epochs, best):
    trainer = scripted(values)
    seen = []
    record = nn.LambdaCallback(on_epoch_end=lambda t: seen.append(weights(t)))
    stopping = nn.EarlyStopping("val_scripted", **options)
    history = fit(trainer, stopping, record, epochs=len(values), validation_data=(X, Y))
    assert history.epochs == epochs
    assert_equal(weights(trainer), seen[best - 1])


@pytest.mark.parametrize(
    "callback",
    [
        nn.EarlyStopping("val_scripted", patience=4),
        nn.ReduceLROnPlateau("val_scripted"),
        nn.Checkpoint("gone.npz", best_only=True, monitor="val_scripted"),
    ],
    ids=lambda c: type(c).__name__,
)
def test_a_number_that_is_nan_from_the_start_is_told_once(callback, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for values in ([math.nan, math.nan, 2], [math.nan] * 3):  # each run tells it anew
        match = r"\('?.*val_scripted.*\): 'val_scripted' is NaN from the start.*with monitor="
        with pytest.warns(nn.ModelWarning, match=match) as told:
            fit(scripted(values), callback, epochs=3, validation_data=(X, Y))
        (warning,) = told
        assert warning.filename == __file__
        assert callback.best == (None if math.isnan(values[-1]) else 2)


def test_a_number_that_becomes_nan_is_not_told():
    fit(scripted([3, math.nan]), nn.EarlyStopping("val_scripted", patience=2),
        epochs=2, validation_data=(X, Y))  # fmt: skip


def test_a_second_fit_begins_to_watch_anew():
    stopping = nn.EarlyStopping("loss")
    trainer = new()
    fit(trainer, stopping, epochs=3)
    first = stopping.best
    fit(trainer, stopping, epochs=1)
    assert stopping.best < first
    assert stopping.wait == 0


def test_what_is_better_is_known_from_the_metric():
    trainer = new(metrics=[nn.Accuracy(), nn.MeanAbsoluteError()])
    for name, larger in (
        ("val_accuracy", True), ("accuracy", True), ("val_loss", False),
        ("mean_absolute_error", False),
    ):  # fmt: skip
        assert nn.EarlyStopping(name).better(trainer, 2.0, 1.0) == larger
        assert nn.EarlyStopping(name, mode="min").better(trainer, 1.0, 2.0)


def test_a_number_that_was_not_measured_is_named():
    match = r"'acc', which is not measured; there are \['loss', 'lr'\]"
    with pytest.raises(ValueError, match=match):
        fit(new(), nn.EarlyStopping("acc"))


def test_terms_of_the_loss_can_be_watched():
    model = nn.Sequential(nn.Linear(5, 2), nn.ActivityRegularization(l2=0.1))
    optimizer = nn.SGD(model.parameters(), lr=0.0001)
    penalties = [nn.L2Penalty(0.1)]
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, penalties=penalties)
    watchers = [nn.EarlyStopping("val_activity"), nn.EarlyStopping("l2_penalty")]
    history = fit(trainer, *watchers, epochs=3, validation_data=(X, Y))
    assert [w.best for w in watchers] == [min(history[w.monitor]) for w in watchers]


WATCHERS = [nn.EarlyStopping(), nn.ReduceLROnPlateau(), nn.Checkpoint("run.npz", best_only=True)]


@pytest.mark.parametrize("callback", WATCHERS, ids=lambda c: type(c).__name__)
def test_what_needs_validation_says_so_before_the_first_step(callback):
    trainer = new()
    before = trainer.model.state_dict()
    match = r"'val_loss', which needs validation_data or validation_split; .* monitor='loss'"
    with pytest.raises(ValueError, match=match):
        fit(trainer, callback)
    for path, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(value, before[path])


@pytest.mark.parametrize(
    ("values", "options", "scales"),
    [
        ([3, 2, 2, 2, 2], {"patience": 1}, [1, 1, 0.1, 0.01, 0.001]),
        ([3, 2, 2, 2, 2], {"patience": 2}, [1, 1, 1, 0.1, 0.1]),
        ([3, 3, 3, 3, 3, 3], {"patience": 1, "cooldown": 2}, [1, 0.1, 0.1, 0.01, 0.01, 0.001]),
        ([3, 3, 3, 3], {"patience": 1, "factor": 0.5, "min_lr": 0.04}, [1, 0.5, 0.4, 0.4]),
        ([3, 2.99999, 2.9, 2.9], {"patience": 1, "factor": 0.5}, [1, 0.5, 0.5, 0.25]),
    ],
)
def test_reduce_lr_on_plateau(values, options, scales):
    trainer = scripted(values)
    seen = []
    record = nn.LambdaCallback(on_epoch_end=lambda t: seen.append(t.optimizer.lr_scale))
    plateau = nn.ReduceLROnPlateau("val_scripted", **options)
    fit(trainer, plateau, record, epochs=len(values), validation_data=(X, Y))
    np.testing.assert_allclose(seen, scales)


# -- averages ----------------------------------------------------------------------------------


class Steps(nn.Callback):
    """Writes down the weights after each step, and those that were validated."""

    def __init__(self):
        self._steps, self._validated, self._epochs = [], [], []

    def on_step_end(self, trainer):
        self._steps.append(weights(trainer))

    def on_validation_end(self, trainer):
        self._validated.append(weights(trainer))

    def on_epoch_end(self, trainer):
        self._epochs.append(weights(trainer))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("first", [True, False])
def test_ema_is_in_place_for_validation_only(first, decay):
    trainer = new()
    steps, ema = Steps(), nn.EMA(decay)
    mean = {name: value.astype(np.float64) for name, value in weights(trainer).items()}
    fit(trainer, *([ema, steps] if first else [steps, ema]), epochs=2, validation_data=(X, Y))
    twin = new()
    twin.model.load_state_dict({name: value.astype(np.float32) for name, value in mean.items()})
    plain = Steps()
    fit(twin, plain, epochs=2)
    for ours, theirs in zip(steps._steps, plain._steps, strict=True):
        assert_equal(ours, theirs)  # the average never enters the training
    averages = []
    for t, step in enumerate(steps._steps, start=1):
        d = min(decay, (1 + t) / (10 + t))  # as TensorFlow's with num_updates
        mean = {name: d * mean[name] + (1 - d) * step[name] for name in mean}
        averages.append(mean)
    for name in mean:
        np.testing.assert_allclose(steps._validated[0][name], averages[1][name], atol=1e-6)
        np.testing.assert_allclose(weights(trainer)[name], averages[3][name], atol=1e-6)
    assert_equal(steps._epochs[0], steps._steps[1])


def test_ema_soon_forgets_the_untrained_weights():
    x, y = nn.data.load_digits()
    accuracies = []
    for callbacks in ([], [nn.EMA()]):
        nn.seed(0)
        net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        metrics = [nn.Accuracy()]
        trainer = nn.Trainer(net, nn.CrossEntropyLoss(), nn.Adam(net.parameters()), metrics)
        trainer.fit(x, y, 5, callbacks=callbacks, verbose=False)
        accuracies.append(trainer.evaluate(x, y)["accuracy"])
    assert accuracies[0] > 0.9
    assert accuracies[1] > accuracies[0] - 0.01


def test_a_second_fit_averages_anew():
    trainer, steps, ema = new(), Steps(), nn.EMA()
    for _ in range(2):
        fit(trainer, steps, ema, epochs=2)
    assert ema.count == 4
    averaged, last = weights(trainer), steps._steps[-1]
    ema.on_fit_begin(trainer)
    assert ema.count == 0
    assert any((averaged[name] != last[name]).any() for name in last)


@pytest.mark.parametrize("first", [True, False])
def test_best_weights_are_taken_while_the_average_is_in(first):
    trainer = scripted([3, 1, 2, 2])
    steps, ema, stopping = Steps(), nn.EMA(0.8), nn.EarlyStopping("val_scripted", patience=9)
    order = [ema, stopping] if first else [stopping, ema]
    fit(trainer, *order, steps, epochs=4, validation_data=(X, Y))
    assert_equal(weights(trainer), steps._validated[1])


def test_an_error_in_validation_puts_the_weights_back():
    trainer, steps = new(), Steps()
    fail = nn.LambdaCallback(on_validation_end=lambda t: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(trainer, nn.EMA(0.5), steps, fail, validation_data=(X, Y))
    assert_equal(weights(trainer), steps._steps[-1])


def test_swa_is_the_mean_of_the_later_epochs():
    trainer, steps = new(), Steps()
    fit(trainer, nn.SWA(2), steps, epochs=5)
    for name, value in weights(trainer).items():
        mean = np.mean([epoch[name] for epoch in steps._epochs[2:]], axis=0)
        np.testing.assert_allclose(value, mean, atol=1e-6)
    trainer, steps = new(), Steps()
    with pytest.warns(nn.ModelWarning, match=r"nothing will be averaged.* after 2 epochs"):
        fit(trainer, nn.SWA(5), steps, epochs=2)
    assert_equal(weights(trainer), steps._epochs[-1])


def test_lookahead_steps_back():
    """By hand: the gradient of w is 1 in every step, and lr 1."""
    model = nn.Linear(1, 1, bias=False).astype(np.float64)
    model.weight.data = [[10.0]]
    trainer = nn.Trainer(model, nn.MSELoss(reduction="sum"), nn.SGD(model.parameters(), lr=1.0))
    seen = []
    note = nn.LambdaCallback(on_step_end=lambda t: seen.append(float(t.model.weight.data[0, 0])))

    def step(x, y, weight=None):
        model.weight.grad = [[1.0]]
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        return 0.0

    trainer.train_step = step
    x = np.ones((7, 1))
    trainer.fit(x, x, 1, batch_size=1, callbacks=[nn.Lookahead(3, 0.25), note], verbose=False)
    # 10 → 9 8 7: φ = 10 − 3/4;  → 8.25 7.25 6.25: φ = 9.25 − 3/4;  → 7.5, and back to φ
    assert seen == [9, 8, 9.25, 8.25, 7.25, 8.5, 7.5]
    assert model.weight.data[0, 0] == 8.5


def test_running_statistics_are_averaged_and_counters_are_not():
    class Counting(nn.Identity):
        def __init__(self):
            self.mean = nn.Buffer([0.0])
            self.count = nn.Buffer(np.array([0]))

        def forward(self, x):
            if self.training:
                self.mean.data = self.mean.data + 1
                self.count.data = self.count.data + 1
            return super().forward(x)

    net = nn.Sequential(Counting(), nn.Linear(5, 2))
    trainer = nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters()))
    fit(trainer, nn.EMA(0.5), batch_size=32)
    after_1 = 2 / 11 * 0 + 9 / 11 * 1
    assert net[0].mean.data == pytest.approx(3 / 12 * after_1 + 9 / 12 * 2)
    assert net[0].count.data == 2


# -- files and time ----------------------------------------------------------------------------


def test_loggers_hold_the_history(tmp_path):
    trainer = new(metrics=[nn.Accuracy(), nn.ConfusionMatrix()])
    logs = nn.CSVLogger(tmp_path / "log.csv"), nn.JSONLogger(tmp_path / "log.jsonl")
    history = fit(trainer, *logs, epochs=3, validation_data=(X, Y))
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("epoch") for row in rows] == ["1", "2", "3"]
    names = ["loss", "accuracy", "lr", "val_loss", "val_accuracy"]
    for name in names:
        assert [float(row[name]) for row in rows] == history[name]
    assert list(rows[0]) == names
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == history["loss"]
    assert lines[0]["val_confusion_matrix"] == history["val_confusion_matrix"][0].tolist()


def test_what_an_epoch_did_not_measure_is_nan(tmp_path):
    def add(trainer):
        if trainer.epoch == 1:  # of three, the second
            trainer.results["extra"] = 0.5

    path = tmp_path / "log.csv"
    callbacks = [nn.LambdaCallback(on_validation_end=add), nn.CSVLogger(path)]
    history = fit(new(), *callbacks, epochs=3, validation_data=(X, Y))
    np.testing.assert_array_equal(history["extra"], [math.nan, 0.5, math.nan])
    rows = csv.DictReader(path.read_text().splitlines())
    assert [row["extra"] for row in rows] == ["nan", "0.5", "nan"]
    assert len(str(history).splitlines()) == 4


def test_numbers_that_are_not_finite_are_null_in_json(tmp_path):
    trainer = scripted([math.nan, math.inf])
    fit(trainer, nn.JSONLogger(tmp_path / "x"), epochs=2, validation_data=(X, Y))
    assert "NaN" not in (tmp_path / "x").read_text()
    assert json.loads((tmp_path / "x").read_text().splitlines()[0])["val_scripted"] is None


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"every_steps": 4}, 4),
        ({"every_epochs": 2}, 4),
        ({}, 6),
        ({"best_only": True, "monitor": "val_scripted"}, 2),
    ],
)
def test_checkpoints_come_when_they_are_due(options, step, tmp_path):
    path = tmp_path / "run.npz"
    fit(scripted([2, 3, 4]), nn.Checkpoint(path, **options), epochs=3, validation_data=(X, Y))
    trainer = scripted([])
    trainer.load(path)
    assert trainer.optimizer.steps == step


def test_a_checkpoint_is_written_when_all_have_handled_the_moment(tmp_path):
    class Later(nn.Callback):
        def __init__(self):
            self.handled = 0

        def on_step_end(self, trainer):
            assert len(list(tmp_path.iterdir())) == trainer.step - 1
            self.handled += 1

    fit(new(), nn.Checkpoint(tmp_path / "run.npz", every_steps=1, keep=2), Later())
    trainer, later = new(), Later()
    trainer.load(tmp_path / "run.npz")
    assert trainer.run.callback_states["Later"] == {"handled": 2}
    fit(trainer, later, epochs=1)
    assert later.handled == 2


def test_a_folder_that_is_not_there_is_found_at_once(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        fit(new(), nn.Checkpoint(tmp_path / "gone" / "run.npz"))


def test_keep_keeps_the_last_files(tmp_path):
    fit(new(), nn.Checkpoint(tmp_path / "run.npz", keep=3), epochs=5)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["run.1.npz", "run.2.npz", "run.npz"]
    for name, epoch in (("run.npz", 5), ("run.1.npz", 4), ("run.2.npz", 3)):
        trainer = new()
        trainer.load(tmp_path / name)
        assert trainer.epoch == epoch


@pytest.mark.parametrize(("epochs", "told"), [(2, False), (9, True)])
def test_a_run_that_a_callback_ends_early_says_so(epochs, told, capsys):
    def end(trainer):
        trainer.stop_training = trainer.epoch == 2

    new().fit(X, Y, epochs, callbacks=[nn.LambdaCallback(on_epoch_end=end)])
    assert capsys.readouterr().out.endswith("stopped by a callback after epoch 2\n") == told


def test_a_time_limit_ends_after_the_step_and_saves(tmp_path, capsys):
    slow = nn.LambdaCallback(on_step_end=lambda t: time.sleep(0.02))
    callbacks = [nn.Checkpoint(tmp_path / "run.npz"), slow, nn.TimeLimit(0.01)]
    trainer = new()
    trainer.fit(X, Y, 5, callbacks=callbacks)
    assert trainer.optimizer.steps == 1
    assert "stopped by a callback in epoch 1, after step 1" in capsys.readouterr().out
    for steps in (2, 3):  # each resumed job gets on by what its time allows
        trainer = new()
        fit(trainer, *callbacks, epochs=5, resume="auto")
        assert trainer.optimizer.steps == steps


def test_evaluating_in_a_callback_disturbs_nothing():
    histories = []
    for look in (lambda t: None, lambda t: t.evaluate(X[:7], Y[:7])):
        nn.seed(0)
        trainer = new(metrics=[nn.Accuracy()])
        histories.append(fit(trainer, nn.LambdaCallback(on_step_end=look), epochs=2).to_dict())
    assert histories[0] == histories[1]


def test_a_limit_reaches_a_validation_without_end(monkeypatch):
    monkeypatch.setattr(waiting, "INTERVAL", 0)

    def endless(rng):
        for _ in range(100):
            yield np.ones((2, 3), np.float32), np.zeros(2, np.int64)
        raise AssertionError("nobody has looked at the clock")

    def time_is_up(trainer):
        trainer.interrupted = True

    model = nn.Linear(3, 2)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))
    limit = nn.LambdaCallback(on_wait=time_is_up)
    x, y = np.ones((2, 3), np.float32), np.zeros(2, np.int64)
    trainer.fit(x, y, validation_data=endless, callbacks=[limit], verbose=False)
    assert trainer.interrupted
    assert trainer.step == 1
