"""The trainer: exact sums, clean stops, refusals before the first update, what it shows."""

import copy
import signal
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest

import nnlite as nn
from nnlite.training import progress


def problem(rows=70, dtype=np.float32):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 5)).astype(dtype)
    return x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)


def model():
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def trainer(net=None, loss=None, metrics=(), optimizer=nn.SGD, lr=0.1, rng=0):
    net = net or model()
    return nn.Trainer(net, loss or nn.CrossEntropyLoss(), optimizer(net.parameters(), lr=lr),
                      metrics=metrics, rng=rng)  # fmt: skip


def fit(t, x, y, epochs=1, **options):
    return t.fit(x, y, epochs, **{"verbose": False, **options})


def weights(net):
    return [p.data.copy() for p in net.parameters()]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_close(first, second, rtol=1e-6):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


class At(nn.Callback):
    """Does one thing at the end of one step."""

    def __init__(self, step, action):
        self.at = step
        self.action = action

    def on_step_end(self, trainer):
        if trainer.step == self.at:
            self.action(trainer)


class Moments(nn.Callback):
    """Writes down what happened."""

    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda trainer: self.seen.append((name, trainer.epoch, trainer.step))
        return super().__getattribute__(name)


def test_one_step_is_the_six_steps():
    x, y = problem(16)
    t = trainer()
    twin = copy.deepcopy(t.model)
    fit(t, x, y, batch_size=16, shuffle=False)
    loss = nn.CrossEntropyLoss()
    loss(twin(x), y)
    twin.backward(loss.backward())
    for p in twin.parameters():
        p.data = p.data - np.float32(0.1) * p.grad
    assert_close(weights(t.model), weights(twin))


def test_training_learns_and_repeats():
    histories = []
    for _ in range(2):
        nn.seed(3)
        t = trainer(optimizer=nn.Adam, lr=0.03, rng=None, metrics=[nn.Accuracy()])
        histories.append(fit(t, *problem(300), epochs=20))
    assert histories[0].to_dict() == histories[1].to_dict()
    assert histories[0]["accuracy"][-1] > 0.9
    assert histories[0]["loss"][-1] < 0.5 * histories[0]["loss"][0]


def test_the_loss_of_an_epoch_is_that_of_all_its_rows():
    x, y = problem(70)
    weight = np.random.default_rng(1).uniform(0, 2, 70)
    t = trainer(
        loss=nn.CrossEntropyLoss(weight=[1, 2, 0.5], ignore_index=1), metrics=[nn.Accuracy()]
    )
    frozen = t.model.parameters()
    for p in frozen:
        p.trainable = False
    history = fit(t, x, y, batch_size=32, sample_weight=weight)
    expected = t.loss(t.model(x), y, weight)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-6)
    assert t.evaluate(x, y, batch_size=33, sample_weight=weight)["loss"] == pytest.approx(expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_accumulation_is_one_large_batch(reduction):
    x, y = problem(70)
    weight = np.random.default_rng(1).uniform(0, 2, 70)
    ends = []
    for batch_size, accumulate in ((70, 1), (16, 5), (24, 3)):
        nn.seed(0)
        net = model().astype(np.float64)
        t = trainer(net, nn.CrossEntropyLoss([1, 3, 0.5], reduction=reduction), lr=0.01)
        fit(t, x, y, batch_size=batch_size, accumulate=accumulate, sample_weight=weight)
        ends.append(weights(net))
    assert_close(ends[0], ends[1], rtol=1e-9)
    assert_close(ends[0], ends[2], rtol=1e-9)


def test_class_weights_multiply_sample_weights():
    x, y = problem()
    weight = np.random.default_rng(1).uniform(0.5, 2, 70)
    by_class = {0: 0.5, 2: 3.0}
    table = np.array([0.5, 1, 3.0])
    results = []
    for options in (
        {"sample_weight": weight, "class_weight": by_class, "validation_data": (x, y, weight)},
        {"sample_weight": weight * table[y], "validation_data": (x, y, weight * table[y])},
        {"sample_weight": weight, "class_weight": table, "validation_data": (x, y, weight)},
    ):
        nn.seed(0)
        results.append(fit(trainer(), x, y, 2, **options).to_dict())
    assert results[0] == results[1] == results[2]


def test_validation_split_is_shuffled_and_held_out():
    x = np.arange(100, dtype=np.float32)[:, None]
    seen = []

    class Watch(nn.Identity):
        def forward(self, x):
            if self.training:
                seen.extend(x[:, 0].tolist())
            return super().forward(x)

    net = nn.Sequential(Watch(), nn.Linear(1, 1))
    t = nn.Trainer(net, nn.MSELoss(), nn.SGD(net.parameters(), lr=1e-6), rng=0)
    history = fit(t, x, x, validation_split=0.2)
    held_out = sorted(set(range(100)) - {int(v) for v in seen})
    assert len(seen) == len(set(seen)) == 80
    assert held_out != list(range(80, 100))
    assert list(history) == ["loss", "lr", "val_loss"]


def test_modes_and_flags_are_restored():
    x, y = problem()
    net = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    net[1].training = False
    t = trainer(net)
    t.evaluate(x, y)
    net.predict(x)
    assert [layer.training for layer in net] == [True, False, True]
    assert net.needs_input_grad

    def fail(trainer):
        raise KeyError("mine")

    with pytest.raises(KeyError):
        fit(t, x, y, callbacks=[At(1, fail)])
    assert net.needs_input_grad
    assert not any(p.grad.any() for p in net.parameters()) or t.step == 1


def test_evaluate_changes_nothing():
    x, y = problem()
    t = trainer(nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3)))
    before = weights(t.model)
    first, second = t.evaluate(x, y), t.evaluate(x, y)
    assert first == second
    assert_equal(weights(t.model), before)


def test_callbacks_are_called_in_order():
    x, y = problem(64)
    moments = Moments()
    fit(trainer(), x, y, 2, callbacks=[moments], validation_data=(x, y))
    names = [name for name, *_ in moments.seen]
    epoch = ["on_epoch_begin", "on_step_end", "on_step_end", "on_validation_end", "on_epoch_end"]
    assert names == ["on_fit_begin", *epoch, *epoch, "on_fit_end"]
    assert [(e, s) for name, e, s in moments.seen if name == "on_step_end"] == [
        (0, 1), (0, 2), (1, 1), (1, 2),
    ]  # fmt: skip


def test_a_callback_ends_the_run():
    x, y = problem(64)
    stop = At(1, lambda t: setattr(t, "stop_training", True))
    history = fit(trainer(), x, y, 5, callbacks=[stop])
    assert history.epochs == 1


def test_a_batch_is_let_go_of_before_the_next_but_one_is_made():
    x, y = problem(8)
    made, alive = [], []

    def batches(rng):
        for _ in range(6):
            rows = x.copy()
            made.append(weakref.ref(rows))
            alive.append(sum(batch() is not None for batch in made))
            yield rows, y
            del rows

    fit(trainer(), batches, None)
    assert max(alive) == 2


def test_the_first_ctrl_c_ends_fit_after_the_step(capsys):
    x, y = problem(64)
    t = trainer()
    steps = []
    handler = signal.getsignal(signal.SIGINT)
    callbacks = [
        At(1, lambda t: t.epoch == 1 and signal.raise_signal(signal.SIGINT)),
        At(1, lambda t: steps.append(weights(t.model))),
    ]
    history = t.fit(x, y, 5, callbacks=callbacks)
    assert history.epochs == 1
    assert_equal(weights(t.model), steps[-1])
    assert signal.getsignal(signal.SIGINT) is handler
    assert "stopped by Ctrl-C in epoch 2, after step 1 of " in capsys.readouterr().out


def test_ctrl_c_at_the_end_of_a_run_cuts_nothing_short(capsys):
    class AtTheEnd(nn.Callback):
        def on_fit_end(self, trainer):
            signal.raise_signal(signal.SIGINT)

    x, y = problem(64)
    t = trainer()
    assert t.fit(x, y, 2, callbacks=[AtTheEnd()]).epochs == 2
    assert not t.interrupted
    assert "stopped" not in capsys.readouterr().out


def test_the_second_ctrl_c_raises_at_once():
    def twice(trainer):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(), *problem(64), callbacks=[At(1, twice)])
    assert signal.getsignal(signal.SIGINT) is handler


def test_fit_works_outside_the_main_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(fit(trainer(), *problem(64))))
    thread.start()
    thread.join()
    assert done[0].epochs == 1


class Explode(nn.Layer):
    """Gives infinity where x is large."""

    def forward(self, x):
        y = np.where(x > 2, np.float32(np.inf), x)
        self.save_for_backward()
        return y

    def backward(self, grad_output):
        self.saved()
        return grad_output


def test_a_loss_that_is_not_finite_names_the_layer():
    x, y = problem(64)
    x = np.clip(x, -1, 1)
    x[50, 2] = 3
    net = nn.Sequential(Explode(), nn.Linear(5, 3))
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(FloatingPointError, match=r"epoch 1, batch 2: the first output that is not "
                      r"finite is that of layer 0, Explode\(\); a smaller"),
    ):  # fmt: skip
        fit(trainer(net), x, y, shuffle=False)


def test_a_parameter_that_is_not_finite_is_named():
    x, y = problem(64)
    net = model()

    def spoil(trainer):
        net[2].bias.data = np.full(3, np.nan)

    with (
        np.errstate(invalid="ignore"),
        pytest.raises(RuntimeError, match=r"batch 2: parameter 2\.bias") as caught,
    ):
        fit(trainer(net), x, y, callbacks=[At(1, spoil)])
    assert caught.type is nn.NonFiniteLossError


def test_weights_that_overflow_end_in_the_error_without_numpys_warnings():
    net = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 3))
    net[0].weight.data = np.full((5, 8), np.inf)
    x, y = problem(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(nn.NonFiniteLossError, match=r"batch 1: parameter 0\.weight"):
            fit(trainer(net), x, y)


def test_batches_are_counted_where_several_make_an_update():
    x, y = problem(100)
    x = np.clip(x, -1, 1)
    x[65, 2] = 3
    net = nn.Sequential(Explode(), nn.Linear(5, 3))
    with np.errstate(invalid="ignore"), pytest.raises(nn.NonFiniteLossError, match="batch 7:"):
        fit(trainer(net), x, y, batch_size=10, accumulate=3, shuffle=False)


def test_the_diagnosis_draws_what_the_failing_batch_drew():
    class Unlucky(nn.Layer):
        """Gives infinity for one draw in ten."""

        def __init__(self):
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            self.save_for_backward()
            return x * np.inf if self.rng.random() < 0.1 else x

        def backward(self, grad_output):
            self.saved()
            return grad_output

    x, y = problem(64)
    for seed in range(10):
        net = nn.Sequential(nn.Linear(5, 3), Unlucky())
        net[1].rng = np.random.default_rng(seed)
        with (
            np.errstate(invalid="ignore"),
            pytest.raises(nn.NonFiniteLossError, match=r"is that of layer 1, Unlucky\(\)"),
        ):
            fit(trainer(net), x, y, epochs=100, batch_size=16)


@pytest.mark.parametrize(("at", "epochs", "message"), [
    (1, 3, "stopped by Ctrl-C after epoch 1\n"), (3, 3, ""),
])  # fmt: skip
def test_ctrl_c_during_validation_ends_with_the_epoch(at, epochs, message, capsys):
    class During(nn.Callback):
        def on_validation_end(self, trainer):
            if trainer.epoch + 1 == at:
                signal.raise_signal(signal.SIGINT)

    t, (x, y) = trainer(), problem(64)
    history = t.fit(x, y, epochs, validation_data=(x, y), callbacks=[During()])
    assert history.epochs == at
    assert t.optimizer.steps == 2 * at
    assert t.interrupted == bool(message)
    printed = capsys.readouterr().out
    assert printed.endswith(message)
    assert ("stopped" in printed) == bool(message)


def test_validation_runs_in_batches_of_the_training_or_of_its_own():
    sizes = []

    class Count(nn.Layer):
        def forward(self, x):
            if not self.training:
                sizes.append(len(x))
            self.save_for_backward()
            return x

        def backward(self, grad_output):
            self.saved()
            return grad_output

    x, y = problem(70)
    for options, expected in (
        ({"batch_size": 32}, [32, 32, 6]),
        ({"batch_size": 32, "validation_batch_size": 50}, [50, 20]),
    ):
        t = trainer(nn.Sequential(nn.Linear(5, 3), Count()))
        sizes.clear()
        fit(t, x, y, validation_data=(x, y), **options)
        assert [size for size in sizes if size > 1] == expected  # one row is looked at first


def test_ctrl_c_inside_validation_is_heard_and_the_run_goes_on_from_there(tmp_path):
    class Interrupting(nn.Layer):
        def __init__(self):
            self.at = None

        def forward(self, x):
            if not self.training and len(x) > 1 and self.at is not None:
                self.at -= 1
                if self.at == 0:
                    signal.raise_signal(signal.SIGINT)
            self.save_for_backward()
            return x

        def backward(self, grad_output):
            self.saved()
            return grad_output

    def run(at=None, resume=None):
        nn.seed(0)
        net = nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.5), Interrupting())
        net[2].at = at
        t = trainer(net, optimizer=nn.Adam)
        callbacks = [nn.EMA(0.9), nn.EarlyStopping(patience=9), nn.Checkpoint(tmp_path / "run.npz")]
        fit(t, x, y, 3, validation_data=(x, y), callbacks=callbacks, resume=resume)
        return t

    x, y = problem(70)
    whole = run()
    part = run(at=4)  # the first batch of the second validation
    assert part.interrupted
    assert part.history.epochs == 1
    resumed = run(resume="auto")
    assert resumed.fingerprint() == whole.fingerprint()
    assert resumed.history.to_dict() == whole.history.to_dict()


def test_looking_at_validation_data_between_steps_changes_nothing():
    x, y = problem(64)
    losses = []
    runs = []
    for look in (lambda t: None, lambda t: t.evaluate(10 * x[:7], y[:7])):
        t = trainer(nn.Sequential(nn.Linear(5, 3)), metrics=[nn.Accuracy()])
        t.model[0].load_state_dict({"weight": np.full((5, 3), 0.1), "bias": np.zeros(3)})
        history = fit(t, x, y, epochs=2, callbacks=[At(1, look)])
        runs.append(history.to_dict())
        losses.append(t.last_loss)
    assert runs[0] == runs[1]
    assert losses[0] == losses[1]


def test_fit_restores_what_every_layer_was_asked_for():
    x, y = problem(64)
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(5, 3)))
    net[1].needs_input_grad = False
    fit(trainer(net), x, y)
    flags = [layer.needs_input_grad for layer in net.named_layers().values()]
    assert flags == [True, True, False, True]
    net[1][0](x)
    assert net[1][0].backward(np.ones((64, 3), np.float32)) is not None


def test_class_weights_of_one_hot_rows_are_those_of_their_classes():
    x, y = problem()
    rows = nn.data.one_hot(y, 3)
    results = []
    for target in (y, rows, 0.94 * rows + 0.02):
        nn.seed(0)
        results.append(fit(trainer(), x, target, class_weight=[0.5, 2, 1])["loss"][0])
    assert results[0] == pytest.approx(results[1])
    assert results[0] != pytest.approx(results[2])
    multilabel = trainer(loss=nn.BCEWithLogitsLoss())
    with pytest.raises(ValueError, match="rows that sum to 1"):
        fit(multilabel, x, np.ones((70, 3)), class_weight=[0.5, 2, 1])


def test_class_weights_beside_ignored_rows():
    x, y = problem()
    ignoring = np.where(np.arange(70) < 9, -100, y)
    results = []
    for rows, target in ((x, ignoring), (x[9:], y[9:])):
        nn.seed(0)
        t = trainer()
        fit(t, rows, target, class_weight={0: 3.0, 1: 0.5}, batch_size=70)
        results.append(weights(t.model))
    assert_close(results[0], results[1], rtol=1e-5)


def test_no_class_weights_are_none():
    x, y = problem()
    results = []
    for class_weight in (None, {}):
        nn.seed(0)
        results.append(fit(trainer(), x, y, class_weight=class_weight)["loss"])
    assert results[0] == pytest.approx(results[1])


X, Y = problem()


def spoiled(value, row=7):
    x = X.copy()
    x[row, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "match"),
    [
        (X[:, :4], Y, {}, ValueError, r"layer 0 › Linear\(5, 8\): expected \(N, 5\), got \(1, 4\)"),
        (X[0], Y[:5], {}, ValueError, r"expected \(N, 5\)"),
        (X, Y[:-1], {}, ValueError, "70.*69"),
        (X[:0], Y[:0], {}, ValueError, "x is empty"),
        (spoiled(np.nan), Y, {}, ValueError, "x is not finite: row 7 contains nan"),
        (spoiled(np.inf, 3), Y, {}, ValueError, "x is not finite: row 3 contains inf"),
        (X.astype(str), Y, {}, TypeError, "x must hold numbers, got dtype <U"),
        (X.astype(object), Y, {}, TypeError, "x must hold numbers, got dtype object"),
        (X, Y.astype(object), {}, TypeError, "y must hold numbers"),
        (X, Y.astype(np.float32), {}, TypeError, "integer"),
        (X, np.full(70, 3), {}, ValueError, "row 0"),
        (X, np.where(np.arange(70) == 9, -1, Y), {}, ValueError, "row 9"),
        (X, Y[:, None], {}, ValueError, r"\(70, 1\)"),
        (X.astype(np.int64), Y, {}, TypeError, r"asarray\(x, np.float32\)"),
        (X, Y, {"batch_size": 0}, ValueError, "batch_size must be a whole number ≥ 1, got 0"),
        (X, Y, {"batch_size": -3}, ValueError, "got -3"),
        (X, Y, {"batch_size": 2.5}, ValueError, r"got 2\.5"),
        (X, Y, {"batch_size": 100, "drop_last": True}, ValueError, "leave no batch"),
        (X, Y, {"batch_size": 60, "drop_last": True, "validation_split": 0.2}, ValueError,
         "leave no batch"),
        (X, Y, {"epochs": 0}, ValueError, "epochs must be a whole number"),
        (X, Y, {"accumulate": 0}, ValueError, "accumulate must be a whole number"),
        (X, Y, {"validation_split": 1.5}, ValueError, r"validation_split must be .* got 1\.5"),
        (X, Y, {"validation_split": 3}, ValueError, "validation_split must be .* got 3"),
        (X, Y, {"validation_split": "a"}, ValueError, "validation_split must be .* got 'a'"),
        (X, Y, {"validation_data": (X,)}, ValueError, "validation_data must be"),
        (X, Y, {"validation_data": (X[:, 1:], Y)}, ValueError, r"Linear\(5, 8\)"),
        (X, Y, {"validation_data": (X, Y), "validation_split": 0.1}, ValueError, "not both"),
        (X, Y, {"sample_weight": np.ones(3)}, ValueError, "sample_weight has shape"),
        (X, Y, {"sample_weight": -np.ones(70)}, ValueError, "must not be negative"),
        (X, Y, {"sample_weight": np.full(70, np.nan)}, ValueError, "sample_weight is not finite"),
        (X, Y, {"class_weight": {0: -1}}, ValueError, "class_weight must be finite"),
        (X, Y, {"class_weight": {-1: 100.0}}, ValueError, "-1 is not a class 0 … 2"),
        (X, Y, {"class_weight": {"0": 2.0}}, ValueError, "'0' is not a class 0 … 2"),
        (X, Y, {"class_weight": {0: "2"}}, ValueError, "class_weight must be finite .* got '2'"),
        (X, Y, {"class_weight": [1.0, 2.0]}, ValueError, "one number for each of 3 classes"),
        (X, nn.data.one_hot(Y, 3), {"sample_weight": np.ones((70, 3))}, ValueError,
         "leading axes"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_changes(x, y, options, error, match):
    t = trainer(nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3)))
    before, random, own = weights(t.model), copy.deepcopy(t.model[1].rng), copy.deepcopy(t.rng)
    history = t.history
    with pytest.raises(error, match=match):
        fit(t, x, y, **{"epochs": 1, **options})
    assert_equal(weights(t.model), before)
    assert t.optimizer.steps == 0
    assert t.model[1].rng.random() == random.random()
    assert t.rng.random() == own.random()
    assert t.history is history


def test_column_targets_are_never_broadcast():
    net = nn.Linear(5, 1)
    t = nn.Trainer(net, nn.MSELoss(), nn.SGD(net.parameters()))
    with pytest.raises(ValueError, match=r"target\[:, None\]"):
        fit(t, X, X[:, 0])


def test_a_last_batch_below_a_layers_minimum_is_refused():
    class Pairs(nn.Identity):
        min_batch = 2

    t = trainer(nn.Sequential(Pairs(), nn.Linear(5, 3)))
    with pytest.raises(ValueError, match=r"last batch would have 1 of 23.*drop_last=True"):
        fit(t, X, Y, batch_size=23)
    fit(t, X, Y, batch_size=23, drop_last=True)
    assert t.step == 3
    t.model.train()[0].eval()  # a layer that does not train has no minimum
    fit(t, X, Y, batch_size=23)
    t.model.eval()  # but fit puts a whole model in training mode
    with pytest.raises(ValueError, match="last batch would have 1"):
        fit(t, X, Y, batch_size=23)


def test_metrics_are_asked_before_the_first_update():
    net = nn.Linear(5, 1)
    t = trainer(net, nn.BCEWithLogitsLoss(), metrics=[nn.Accuracy(), nn.TopKAccuracy(1)])
    before = weights(net)
    for run in (lambda: fit(t, X, Y[:, None] > 0), lambda: t.evaluate(X, Y[:, None] > 0)):
        with pytest.raises(ValueError, match=r"TopKAccuracy\(k=1\): expected scores"):
            run()
    assert_equal(weights(net), before)
    assert np.isnan(t.metrics[0].result())


def test_metrics_with_one_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        trainer(metrics=[nn.Accuracy(), nn.Accuracy(0.5)])


def test_floating_input_is_cast_to_the_model():
    t = trainer()
    fit(t, X.astype(np.float64), Y)
    assert t.model.predict(X.astype(np.float64)).dtype == np.float32


def test_predict_is_the_model_in_batches():
    net = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    y = net.predict(X, batch_size=32)
    np.testing.assert_allclose(y, net.eval()(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="row 2 contains nan"):
        net.predict(spoiled(np.nan, 2))


def test_a_log_gets_one_line_per_epoch(capsys):
    trainer(metrics=[nn.Accuracy(), nn.ConfusionMatrix()]).fit(X, Y, 2, validation_data=(X, Y))
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in out] == ["1/2", "2/2"]
    for word in ("loss", "accuracy", "val_loss", "val_accuracy", "samples/s"):
        assert word in out[0]
    assert "\r" not in "".join(out)


def test_a_terminal_gets_a_bar_for_each_epoch_and_its_line(capsys, monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "REFRESH", -1.0)
    trainer().fit(X, Y, 2)
    captured = capsys.readouterr()
    assert [line.split()[1] for line in captured.out.splitlines()] == ["1/2", "2/2"]
    assert "\r" not in captured.out
    for epoch in ("1/2", "2/2"):
        assert f"epoch {epoch}    0%|" in captured.err


@pytest.mark.parametrize("redirected", ["stdout", "stderr"])
def test_lines_alone_when_one_stream_is_a_file(capsys, monkeypatch, redirected):
    other = sys.stderr if redirected == "stdout" else sys.stdout
    monkeypatch.setattr(other, "isatty", lambda: True, raising=False)
    trainer().fit(X, Y, 2)
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err == ""


def test_quiet_is_quiet(capsys):
    fit(trainer(), X, Y)
    assert capsys.readouterr() == ("", "")


def test_history_is_a_table_and_a_dictionary():
    history = fit(trainer(metrics=[nn.Accuracy(), nn.ConfusionMatrix()]), X, Y, 2)
    lines = repr(history).splitlines()
    assert lines[0].split() == ["epoch", "loss", "accuracy", "lr"]
    assert len(lines) == 3
    assert set(history.to_dict()) == {"loss", "lr", "accuracy", "confusion_matrix"}
    with pytest.raises(KeyError, match="'val_loss' was not recorded; there are"):
        history["val_loss"]
    with pytest.raises(KeyError, match="'loss': no whole epoch was recorded"):
        nn.History()["loss"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.98123, "0.9812"), (12.345, "12.35"), (1e-5, "1.0e-05"), (0.0, "0.0000")]
)
def test_numbers_line_up(value, text):
    assert progress.format_value(value) == text


class Meddler(nn.Callback):
    def __init__(self, meddle):
        self._meddle = meddle

    def on_step_end(self, trainer):
        self._meddle(trainer)


def meddled(meddle, **options):
    """A run whose callback does this after each step."""
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    model = nn.Linear(3, 2)
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    options = {"epochs": 2, "batch_size": 4, "verbose": False, **options}
    trainer.fit(x, np.arange(8) % 2, callbacks=[Meddler(meddle)], **options)
    return trainer


@pytest.mark.parametrize("value", [None, "x", -5, 3])
@pytest.mark.parametrize("name", ["epoch", "step", "history", "last_loss", "results"])
def test_what_fit_counts_and_records_is_not_overwritten(name, value):
    with pytest.raises(TypeError, match=f"Trainer: {name} is written by fit alone; "):
        meddled(lambda trainer: setattr(trainer, name, value))


def test_the_generator_may_be_set_to_whatever_the_constructor_takes():
    with pytest.raises(TypeError, match="rng must be a numpy Generator"):
        meddled(lambda trainer: setattr(trainer, "rng", "x"))
    assert isinstance(meddled(lambda trainer: setattr(trainer, "rng", 5)).rng, np.random.Generator)


@pytest.mark.parametrize("value", [None, "x", -1, np.nan, np.ones(3)])
def test_a_scale_of_the_learning_rate_is_a_number(value):
    with pytest.raises((TypeError, ValueError), match="SGD: lr_scale must be a number ≥ 0"):
        meddled(lambda trainer: setattr(trainer.optimizer, "lr_scale", value))


@pytest.mark.parametrize("value", [None, "x", -1, np.nan, np.ones(3)])
@pytest.mark.parametrize("name", ["lr", "momentum", "nesterov"])
def test_options_of_groups_are_checked_when_they_have_changed(name, value):
    with pytest.raises((TypeError, ValueError), match=f"SGD: {name} must be "):
        meddled(lambda trainer: trainer.optimizer.groups[0].update({name: value}))


def test_options_of_groups_may_change_but_are_neither_more_nor_less():
    trainer = meddled(lambda trainer: trainer.optimizer.groups[0].update(lr=0.5))
    assert trainer.optimizer.current_lr == 0.5
    with pytest.raises(ValueError, match=r"but \['rate'\] was added or taken out"):
        meddled(lambda trainer: trainer.optimizer.groups[0].update(rate=0.5))
    with pytest.raises(ValueError, match=r"but \['lr'\] was added or taken out"):
        meddled(lambda trainer: trainer.optimizer.groups[0].pop("lr"))


@pytest.mark.parametrize(
    "options",
    [
        {"validation_data": (np.ones((4, 3), np.float32), np.zeros(4, int), np.zeros(4))},
        {
            "validation_data": (np.ones((4, 3), np.float32), np.zeros(4, int)),
            "class_weight": {0: 0, 1: 1},
        },
    ],
    ids=["sample weights", "class weights"],
)
def test_validation_data_of_which_no_row_counts_is_refused_before_the_first_update(options):
    steps = []
    with pytest.raises(ValueError, match=r"validation: all sample weights .* are 0"):
        meddled(steps.append, **options)
    assert steps == []


def test_a_model_is_not_saved_in_the_middle_of_another_threads_step(tmp_path):
    path, said = tmp_path / "model.npz", []

    def from_another_thread(trainer):
        def save():
            try:
                nn.save_model(trainer.model, path)
            except RuntimeError as error:
                said.append(str(error))

        other = threading.Thread(target=save)
        other.start()
        other.join()

    meddled(from_another_thread)
    assert len(said) == 4
    assert said[0].startswith("save_model: fit is training this model in another thread")
    assert not path.exists()
    trainer = meddled(lambda trainer: nn.save_model(trainer.model, path))
    from_another_thread(trainer)  # when fit has returned
    assert len(said) == 4
