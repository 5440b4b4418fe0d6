"""Callbacks, saving and runs put to a wrong use: found before the first update, in words."""

import copy
import errno
import io
import json
import os
import pickle
import threading
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pytest

import nnlite as nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def new(metrics=(), lr=0.1):
    with nn.random.scope(0):
        net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = nn.SGD(net.parameters(), lr=lr, momentum=0.9)
    return nn.Trainer(net, nn.CrossEntropyLoss(), optimizer, metrics=metrics, rng=0)


def fit(trainer, *callbacks, epochs=2, **options):
    return trainer.fit(X, Y, epochs, callbacks=callbacks, **{"verbose": False, **options})


def at(moment, act):
    return nn.LambdaCallback(**{moment: act})


def refused(error, match, trainer, *callbacks, **options):
    """Before the first update, and with nothing changed."""
    before, rng = trainer.model.state_dict(), trainer.rng.bit_generator.state
    with pytest.raises(error, match=match) as caught:
        fit(trainer, *callbacks, **options)
    assert trainer.optimizer.steps == 0
    for path, values in trainer.model.state_dict().items():
        np.testing.assert_array_equal(values, before[path])
    assert trainer.rng.bit_generator.state == rng
    return str(caught.value)


# -- what a checkpoint cannot hold -----------------------------------------------------------------


class Keeps(nn.Callback):
    def __init__(self, make):
        self.make = make
        self.kept = None

    def on_fit_begin(self, trainer):
        self.kept = self.make(trainer)


class KeepsHidden(Keeps):
    def on_fit_begin(self, trainer):
        self._kept = self.make(trainer)


def itself(_):
    endless = []
    endless.append(endless)
    return endless


ODD = {
    "kept: a datetime cannot": lambda t: datetime(2020, 1, 1),
    "kept: a function cannot": lambda t: lambda: 0,
    "kept: a BytesIO cannot": lambda t: io.BytesIO(),
    "kept: a generator cannot": lambda t: (i for i in range(3)),
    "kept: a lock cannot": lambda t: threading.Lock(),
    "kept/log/1: a datetime cannot": lambda t: {"log": [1, datetime(2020, 1, 1)]},
    "kept: a Trainer cannot": lambda t: t,
    "kept: it holds itself": itself,
}


@pytest.mark.parametrize("text", ODD)
def test_what_cannot_be_saved_is_found_before_the_first_update(text, tmp_path):
    saving = nn.Checkpoint(tmp_path / "run.npz")
    callback = Keeps(ODD[text])
    said = refused(
        TypeError, f"^the callback Keeps cannot be saved: {text}", new(), callback, saving
    )
    assert "; call it _kept to leave it out of checkpoints, or keep numbers" in said
    fit(new(), KeepsHidden(ODD[text]), saving)
    fit(new(), callback)  # and what is never saved may be anything


@pytest.mark.parametrize("moment", ["on_epoch_begin", "on_epoch_end"])
def test_what_cannot_be_saved_later_on(moment, tmp_path):
    def keep(self, trainer):
        self.when = datetime(2020, 1, 1)

    mine, saving = callback(**{moment: keep}), nn.Checkpoint(tmp_path / "run.npz")
    if moment == "on_epoch_begin":
        trainer = new()
        with pytest.raises(TypeError, match="Mine cannot be saved: when: a datetime"):
            fit(trainer, mine, saving)
        assert trainer.optimizer.steps == 0
        return
    with pytest.warns(nn.ModelWarning, match="Mine cannot be saved: when: .* goes on without"):
        history = fit(new(), mine, saving)  # what is learned by now is not lost
    assert history.epochs == 2


def test_what_cannot_be_saved_by_hand_is_named_too(tmp_path):
    trainer = new()
    fit(trainer, Keeps(lambda t: datetime(2020, 1, 1)))
    with pytest.raises(TypeError, match="the callback Keeps cannot be saved: kept: a datetime"):
        trainer.save(tmp_path / "run.npz")
    assert os.listdir(tmp_path) == []


def test_a_metric_that_cannot_be_saved(tmp_path):
    class Timed(nn.MeanAbsoluteError):
        def __init__(self):
            super().__init__()
            self.since = datetime(2020, 1, 1)

        def update(self, prediction, target, sample_weight=None):
            self._add(prediction, None)

    match = "the metric timed cannot be saved: since: a datetime"
    refused(TypeError, match, new([Timed()]), nn.Checkpoint(tmp_path / "run.npz"))


def test_a_run_from_a_file_still_goes_on_after_a_refusal(tmp_path):
    path = tmp_path / "run.npz"
    whole, half = new(), new()
    fit(whole)
    fit(half, at("on_step_end", lambda t: setattr(t, "interrupted", True)), nn.Checkpoint(path))
    half = new()
    half.load(path)
    with pytest.raises(TypeError, match="cannot be saved"):
        fit(half, Keeps(lambda t: t), nn.Checkpoint(path))
    fit(half)
    assert half.fingerprint() == whole.fingerprint()


# -- how it will be called -------------------------------------------------------------------------


def callback(**methods):
    return type("Mine", (nn.Callback,), methods)()


def later(self, trainer):
    yield


async def never(self, trainer):
    pass


@pytest.mark.parametrize(
    ("methods", "match"),
    [
        (
            {"on_epoch_end": lambda self: None},
            r"^Mine\.on_epoch_end will be called with 1 argument: def .*\(self, trainer\)$",
        ),
        ({"on_fit_end": lambda self, a, b: None}, "on_fit_end will be called with 1 argument"),
        (
            {"on_epoch_end": lambda self, epoch, logs=None: None},
            "on_epoch_end is called with the trainer alone.* trainer.epoch and trainer.results",
        ),
        ({"on_step_end": later}, "on_step_end yields or is async, so that calling it does nothing"),
        ({"on_fit_begin": never}, "on_fit_begin yields or is async"),
        ({"around_validation": later}, "put @contextlib.contextmanager above it"),
    ],
)
def test_a_moment_that_cannot_be_called(methods, match):
    refused(TypeError, match, new(), callback(**methods), validation_data=(X, Y))


def test_a_moment_that_does_not_exist():
    moments = "on_fit_begin, on_epoch_begin, on_step_end, .*, on_fit_end$"
    with pytest.warns(nn.ModelWarning, match=f"on_batch_end is no moment of fit.*{moments}"):
        fit(new(), callback(on_batch_end=lambda self, trainer: None))
    fit(new(), callback(on_epoch_end=lambda self, trainer, more=None: None))


@pytest.mark.parametrize("state", [None, [1]])
def test_a_state_that_is_no_dictionary(state, tmp_path):
    mine = callback(state_dict=lambda self: state)
    match = r"^Mine\(\): state_dict must return a dict, got (None|a list)\n"
    refused(TypeError, match, new(), mine, nn.Checkpoint(tmp_path / "run.npz"))


@pytest.mark.parametrize(
    ("methods", "match"),
    [
        (
            {"update": lambda self, p, t: None},
            r"update\(self, prediction, target, sample_weight\)$",
        ),
        (
            {"result": lambda self, x: 0},
            r"result will be called with 0 arguments: def result\(self\)$",
        ),
        ({"result": nn.Metric.result}, "^Trainer: Mine must define result$"),
    ],
)
def test_a_metric_that_cannot_be_called(methods, match):
    with pytest.raises(TypeError, match=match):
        new([type("Mine", (nn.Accuracy,), methods)()])


# -- how long it will take -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lr", "match"),
    [
        (lambda k: 0.1 - 0.04 * k, "lr schedule at step 3 must be a number ≥ 0, got -0.01"),
        ([0.1, 0.1, 0.1].__getitem__, "a schedule fails at step 3: list index out of range"),
        (lambda k: None if k == 3 else 0.1, "lr schedule at step 3 must be a number ≥ 0, got None"),
    ],
)
def test_a_schedule_that_fails_before_the_run_is_over(lr, match):
    refused(ValueError, f"{match}.*; this run has 4 steps", new(lr=lr))
    fit(new(lr=lr), epochs=1)
    fit(new(lr=lr), at("on_step_end", lambda t: setattr(t, "stop_training", t.step == 2)), epochs=9)


@pytest.mark.parametrize("options", [{"every_epochs": 3}, {"every_steps": 5}])
def test_a_run_that_is_over_before_anything_is_saved(options, tmp_path):
    saving = nn.Checkpoint(tmp_path / "run.npz", **options)
    trainer = new()
    with pytest.warns(nn.ModelWarning, match="will save nothing.* 2 epochs, which are 4 updates"):
        fit(trainer, saving)
    assert os.listdir(tmp_path) == []
    fit(trainer, saving, epochs=3)  # updates are counted from the optimizer's first
    assert os.listdir(tmp_path) == ["run.npz"]


def test_an_average_of_epochs_that_will_not_come_is_told_once():
    with pytest.warns(nn.ModelWarning, match="nothing will be averaged") as warned:
        fit(new(), nn.SWA(2))
    assert len(warned) == 1
    stops = at("on_epoch_end", lambda t: setattr(t, "stop_training", True))
    with pytest.warns(nn.ModelWarning, match="nothing was averaged"):
        fit(new(), nn.SWA(1), stops)


def test_metrics_are_shown_more_than_one_target():
    y = np.zeros((64, 1), np.float32)
    y[5] = 7.0
    net = nn.Sequential(nn.Linear(5, 1))
    trainer = nn.Trainer(net, nn.MSELoss(), nn.SGD(net.parameters()), metrics=[nn.Accuracy()])
    for data, options in (((X, y), {}), ((X, y * 0), {"validation_data": (X, y)})):
        with pytest.raises(ValueError, match=r"^Accuracy\(\): labels must be 0 and 1"):
            trainer.fit(*data, **options, verbose=False)
        assert trainer.optimizer.steps == 0


def test_a_split_that_leaves_nothing():
    match = r"^fit: validation_split=0\.001 of 64 rows leaves one part empty$"
    refused(ValueError, match, new(), validation_split=0.001)


def test_what_json_does_not_know_is_text(tmp_path):
    class Odd(nn.Accuracy):
        def result(self):
            return {"at": datetime(2020, 1, 1), "worst": float("nan"), 3: (1, 2)}

    fit(new([Odd()]), nn.JSONLogger(tmp_path / "log"), epochs=1)
    row = json.loads((tmp_path / "log").read_text())
    assert row["odd"] == {"at": "2020-01-01 00:00:00", "worst": None, "3": [1, 2]}


# -- what there is to watch, and where to write ----------------------------------------------------


@pytest.mark.parametrize("kind", [nn.EarlyStopping, nn.ReduceLROnPlateau])
def test_a_number_that_will_not_be_measured(kind):
    data = {"validation_data": (X, Y)}
    match = (
        r"watches 'val_acc', which is not measured; there are \['loss', 'accuracy', 'lr', "
        r"'val_loss', 'val_accuracy'\]$"
    )
    refused(ValueError, match, new([nn.Accuracy()]), kind("val_acc"), **data)
    refused(ValueError, "'val_lr', which is not", new(), kind("val_lr"), **data)
    matrix = new([nn.ConfusionMatrix()])
    refused(
        ValueError, "'confusion_matrix', which is not measured", matrix, kind("confusion_matrix")
    )
    fit(new([nn.Accuracy()]), kind("val_accuracy"), **data)
    fit(new([nn.Accuracy()]), kind("accuracy"))


def test_a_callback_of_ones_own_may_add_what_another_watches():
    adds = at("on_epoch_end", lambda t: t.results.update(extra=1))
    stops = nn.EarlyStopping("extra", patience=2)
    history = fit(new(), adds, stops, epochs=9)
    assert history.epochs == 3
    adds = at("on_validation_end", lambda t: t.results.update(extra=np.float32(1)))
    history = fit(new(), adds, validation_data=(X, Y))
    assert history["extra"] == [1.0, 1.0]
    assert type(history["extra"][0]) is float


def test_a_checkpoint_that_saves_all_watches_nothing(tmp_path):
    fit(new(), nn.Checkpoint(tmp_path / "run.npz", monitor="val_acc"))
    best = nn.Checkpoint(tmp_path / "run.npz", best_only=True, monitor="acc")
    refused(ValueError, "'acc', which is not measured", new(), best)


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), np.int64(1), 1])
def test_a_number_of_any_type_is_a_number(value, tmp_path):
    class Odd(nn.Metric):
        def reset(self): ...
        def update(self, prediction, target, sample_weight=None): ...
        def result(self):
            return value

    assert type(new([Odd()]).evaluate(X, Y)["odd"]) is float
    log = tmp_path / "log.csv"
    history = fit(new([Odd()]), nn.EarlyStopping("odd", patience=5), nn.CSVLogger(log))
    assert history["odd"] == [float(value)] * 2
    assert type(history["odd"][0]) is float
    assert log.read_text().startswith("epoch,loss,odd,lr\n")


@pytest.mark.parametrize("name", ["Loss", "Lr", "Epoch", "ValLoss"])
def test_a_metric_cannot_take_the_name_of_another_column(name):
    with pytest.raises(ValueError, match="which is a column of its own in the history"):
        new([type(name, (nn.Accuracy,), {})()])


def test_two_that_write_to_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = [
        (nn.CSVLogger("log"), nn.JSONLogger(tmp_path / "log")),
        (nn.Checkpoint("log", every_steps=2), nn.Checkpoint("./log")),
        (nn.Checkpoint("log"), nn.CSVLogger("log")),
    ]
    for pair in pairs:
        refused(ValueError, "write to the same file", new(), *pair)
    same = nn.CSVLogger("log")
    refused(ValueError, r"CSVLogger\('log'\) is there twice", new(), same, same)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", [nn.Checkpoint, nn.CSVLogger, nn.JSONLogger])
def test_a_place_that_cannot_be_written_to(kind, tmp_path, monkeypatch):
    options = {"validation_split": 0.2}
    refused(ValueError, "there is no folder", new(), kind(tmp_path / "no" / "x"), **options)
    refused(ValueError, "not a regular file", new(), kind("/dev/full"), **options)
    (tmp_path / "link").symlink_to(tmp_path / "no" / "x")
    refused(ValueError, "is a link into .*no, which is no folder", new(), kind(tmp_path / "link"))
    with pytest.raises(TypeError, match="path must be a path of whole characters"):
        kind("\ud800")
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(ValueError, "you may not write into", new(), kind(tmp_path / "x"), **options)


# -- a full disk -----------------------------------------------------------------------------------


class Disk:
    """A disk that can be full: when a file is synced, or in the middle of a write."""

    def __init__(self, monkeypatch):
        self.full = False
        sync = os.fsync

        def fsync(number):
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(number)

        monkeypatch.setattr(os, "fsync", fsync)

    def fills_at(self, epoch, until=10**9):
        def look(trainer):
            self.full = epoch <= trainer.epoch + 1 < until

        return at("on_epoch_begin", look)


@pytest.mark.parametrize("kind", [nn.CSVLogger, nn.JSONLogger])
def test_a_full_disk_costs_a_log_no_more_than_a_warning(kind, tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    plain = fit(new(), epochs=5).to_dict()
    fit(new(), kind(tmp_path / "whole"), epochs=5)
    with pytest.warns(nn.ModelWarning, match="could not write: No space left.* goes on") as warned:
        history = fit(new(), kind(tmp_path / "log"), disk.fills_at(3, until=5), epochs=5)
    assert len(warned) == 1
    assert history.to_dict() == plain
    assert (tmp_path / "log").read_text() == (tmp_path / "whole").read_text()  # caught up


def test_a_full_disk_leaves_the_last_good_checkpoints(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    plain = fit(new(), epochs=6).to_dict()
    trainer = new()
    with pytest.warns(
        nn.ModelWarning, match=r"could not be saved: No space left.* goes on"
    ) as warned:
        history = fit(
            trainer, nn.Checkpoint(tmp_path / "run.npz", keep=2), disk.fills_at(4), epochs=6
        )
    assert len(warned) == 3
    assert history.to_dict() == plain
    assert sorted(os.listdir(tmp_path)) == ["run.1.npz", "run.npz"]
    for name, epochs in (("run.npz", 3), ("run.1.npz", 2)):
        resumed = new()
        resumed.load(tmp_path / name)
        assert resumed.epoch == epochs
    with pytest.raises(nn.CheckpointError, match="No space left"):
        trainer.save(tmp_path / "run.npz")  # by hand it is an error


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no limits here")
def test_a_write_that_fails_in_the_middle(tmp_path):
    import resource

    trainer = new()
    fit(trainer, nn.CSVLogger(tmp_path / "log"), nn.Checkpoint(tmp_path / "run.npz"))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def small(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))

    def large(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    limits = [at("on_epoch_begin", small), at("on_fit_end", large)]
    files = [nn.CSVLogger(tmp_path / "log"), nn.Checkpoint(tmp_path / "run.npz")]
    try:
        with pytest.warns(nn.ModelWarning, match="goes on") as warned:
            history = fit(trainer, *limits, *files)
    finally:
        large(None)
    assert len(warned) == 3  # the log once, the checkpoint in each epoch
    assert history.epochs == 2
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


# -- one run at a time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment", ["on_fit_begin", "on_step_end", "on_validation_end", "on_fit_end"]
)
def test_fit_inside_fit(moment):
    trainer = new()
    inside = at(moment, lambda t: fit(t, epochs=1))
    with pytest.raises(
        RuntimeError, match=r"fit: the model is being trained.*stop_training = True"
    ):
        fit(trainer, inside, validation_data=(X, Y))
    fit(trainer)  # the refused run is over


def test_fit_inside_the_data_of_fit():
    trainer = new()

    def batches(rng):
        fit(trainer)
        yield X, Y

    with pytest.raises(RuntimeError, match="in a callback or in its data"):
        trainer.fit(batches, verbose=False)


def test_another_model_may_be_trained_inside():
    trainer, other = new(), new()
    fit(trainer, at("on_epoch_end", lambda t: fit(other, epochs=1)))
    assert other.optimizer.steps == 4


def elsewhere(act):
    """What `act` raises in a thread of its own."""
    errors = []

    def run():
        try:
            act()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return errors


@pytest.mark.parametrize("other", ["the same trainer", "another trainer of the model"])
def test_fit_in_two_threads(other):
    trainer, plain = new(), new()
    fit(plain)
    second = trainer
    if other != "the same trainer":
        second = nn.Trainer(trainer.model, nn.CrossEntropyLoss(), trainer.optimizer)
    found = []
    fit(trainer, at("on_step_end", lambda t: found.extend(elsewhere(lambda: fit(second)))))
    assert len(found) == 4
    assert "another thread is training this model" in str(found[0])
    assert "copy.deepcopy(trainer)" in str(found[0])
    assert trainer.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize("part", ["loss", "metric", "layer"])
def test_two_runs_do_not_share_what_keeps_something(part):
    first, second = new([nn.Accuracy()]), new([nn.Accuracy()])
    if part == "loss":
        second.loss = first.loss
    elif part == "metric":
        second.metrics = first.metrics
    else:
        model = nn.Sequential(nn.Linear(5, 8), first.model[1], nn.Linear(8, 2))
        optimizer = nn.SGD(model.parameters(), lr=0.1)
        second = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    found = []
    fit(first, at("on_step_end", lambda t: found.extend(elsewhere(lambda: fit(second)))))
    assert len(found) == 4
    assert "belongs to another run too" in str(found[0])
    assert second.optimizer.steps == 0
    fit(second)  # one after the other


def test_a_trainer_can_be_copied_whatever_its_callbacks_hold(tmp_path):
    """A file or a function in a callback is none that a copy could have."""
    trainer = new()
    with open(tmp_path / "log", "w") as file:
        held = at("on_epoch_end", lambda trainer: None)
        held._file = file
        trainer.fit(X, Y, callbacks=[held, nn.EMA(0.5)], verbose=False)
    trainer.save(tmp_path / "run.npz")
    for twin in (copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))):
        twin.save(tmp_path / "twin.npz")
        assert (tmp_path / "twin.npz").read_bytes() == (tmp_path / "run.npz").read_bytes()
        twin.fit(X, Y, verbose=False)


def test_save_and_load_from_another_thread(tmp_path):
    trainer, path = new(), tmp_path / "run.npz"
    trainer.save(path)
    before = path.read_bytes()
    found = []

    def both(t):
        found.extend(elsewhere(lambda: t.save(path)))
        found.extend(elsewhere(lambda: t.load(path)))

    fit(trainer, at("on_step_end", both), epochs=1)
    assert [str(error).split(",")[0].split(";")[0] for error in found] == [
        "save: fit is in the middle of a step",
        "load: fit is training this model",
    ] * 2
    assert "every_steps=" in str(found[0])
    assert path.read_bytes() == before


def test_load_in_a_callback(tmp_path):
    trainer, path = new(), tmp_path / "run.npz"
    trainer.save(path)
    with pytest.raises(RuntimeError, match=r"load: fit is training.*resume=path"):
        fit(trainer, at("on_epoch_end", lambda t: t.load(path)))


def test_save_in_the_middle_of_a_step(tmp_path):
    trainer = new()

    class Saves(nn.Tanh):
        def forward(self, x):
            if self.training:
                trainer.save(tmp_path / "run.npz")
            return super().forward(x)

    net = nn.Sequential(nn.Linear(5, 2), Saves())
    trainer = nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters()))
    with pytest.raises(RuntimeError, match="save: fit is in the middle of a step"):
        fit(trainer)
    assert os.listdir(tmp_path) == []


def test_save_in_a_callback_waits_for_the_end_of_the_moment(tmp_path):
    whole = new()
    fit(whole)
    path = tmp_path / "run.npz"
    saves = at("on_step_end", lambda t: t.save(path, keep=4))
    fit(new(), saves)
    assert len(os.listdir(tmp_path)) == 4
    for name in os.listdir(tmp_path):
        resumed = new()
        fit(resumed, saves, resume=tmp_path / name)
        assert resumed.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    "act", [lambda t: t.optimizer.step(), lambda t: t.train_step(X[:4], Y[:4])]
)
def test_an_update_beside_those_of_fit(act):
    with pytest.raises(RuntimeError, match="fit makes the updates, and this callback") as caught:
        fit(new(), at("on_step_end", act))
    assert caught.value.__notes__ == ["in on_step_end of the callback LambdaCallback(on_step_end)"]


def test_a_callback_that_leaves_the_model_in_eval_mode():
    leaves = at("on_epoch_end", lambda t: t.model.eval())
    with pytest.raises(RuntimeError, match=r"leaves the model in eval mode.*leave out model.eval"):
        fit(new(), leaves)
    fit(new(), at("on_fit_end", lambda t: t.model.eval()))
    fit(new(), at("on_epoch_end", lambda t: t.model[1].eval()))  # to freeze it


@pytest.mark.parametrize(
    "act",
    [
        lambda t: setattr(t, "model", t.model.astype(np.float64)),
        lambda t: setattr(t, "model", copy.deepcopy(t.model)),
        lambda t: setattr(t, "optimizer", nn.Adam(t.model.parameters())),
        lambda t: setattr(t, "run", None),
    ],
)
def test_another_model_optimizer_or_run_in_the_middle(act):
    with pytest.raises(RuntimeError, match="has exchanged the trainer's model, optimizer or run"):
        fit(new(), at("on_epoch_end", act))


@pytest.mark.parametrize("moment", ["on_fit_begin", "on_step_end", "on_validation_end"])
def test_gradients_that_a_callback_leaves_behind(moment):
    def look(t):
        t.loss(t.model(X), Y)
        t.model.backward(t.loss.backward())

    def look_and_clear(t):
        look(t)
        t.model.zero_grad()

    with pytest.raises(RuntimeError, match=r"leaves gradients behind.*model\.zero_grad\(\)"):
        fit(new(), at(moment, look), validation_data=(X, Y))
    plain, looked = new(), new()
    fit(plain, validation_data=(X, Y))
    reads = at(moment, lambda t: [p.grad.sum() for p in t.model.parameters()])
    fit(looked, at(moment, look_and_clear), reads, validation_data=(X, Y))
    assert looked.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize("name", ["stop_training", "interrupted"])
def test_what_ends_a_run_is_a_flag(name, tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(ValueError, match=f"^Trainer: {name} must be True or False, got 'False'"):
        fit(new(), at("on_step_end", lambda t: setattr(t, name, "False")))
    ends = at("on_epoch_end", lambda t: setattr(t, name, np.float32(0.5) < 1))  # NumPy's True
    fit(new(), nn.Checkpoint(path), ends)
    resumed = new()
    resumed.load(path)
    assert resumed.stop_training is (name == "stop_training")


def test_what_a_callback_may_do():
    """Look, copy, and write weights in place."""
    plain, busy = new([nn.Accuracy()]), new([nn.Accuracy()])

    def act(t):
        t.evaluate(X, Y)
        t.model.predict(X)
        t.model.astype(np.float64).zero_grad()
        fit(copy.deepcopy(t), epochs=1)
        t.model.load_state_dict(t.model.state_dict())
        t.model.eval()
        t.model.train()

    first = fit(plain, validation_data=(X, Y)).to_dict()
    second = fit(busy, at("on_step_end", act), validation_data=(X, Y)).to_dict()
    assert first == second
    assert plain.fingerprint() == busy.fingerprint()


# -- data ------------------------------------------------------------------------------------------


def stream(*batches):
    def make(rng):
        yield from batches

    return make


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([(X[:, :3], Y)], r"^validation batch 1: x \(64, 3\): in Sequential layer 0.*\(N, 5\)"),
        ([(X, Y + 5)], r"^validation batch 1: y \(64,\): CrossEntropyLoss"),
        ([(X, Y[:, None])], r"^validation batch 1: y \(64, 1\): CrossEntropyLoss"),
        ([(X,)], "^validation batch 1: .*, got 1 items"),
        ([(X, Y[:-1])], "^validation batch 1: x has 64 rows and y has 63"),
        ([(np.full_like(X, np.nan), Y)], "^validation batch 1: x is not finite"),
        ([], "^validation data: the generator function gave no batch"),
    ],
)  # fmt: skip
def test_validation_batches_are_looked_at_before_the_first_update(batches, match):
    refused((TypeError, ValueError), match, new(), validation_data=stream(*batches))


def test_a_metric_that_does_not_take_the_validation_batches():
    class Picky(nn.Accuracy):
        def update(self, prediction, target, sample_weight=None):
            if target.ndim > 1:
                raise ValueError("Picky: expected classes, got rows")
            super().update(prediction, target, sample_weight)

    rows = nn.data.one_hot(Y, 2)
    for data in (stream((X, rows)), (X, rows)):
        refused(ValueError, "Picky: expected classes", new([Picky()]), validation_data=data)


def test_an_iterator_that_can_be_walked_through_once():
    trainer, batches = new(), [(X[:32], Y[:32]), (X[32:], Y[32:])]
    once = iter(batches)
    with pytest.raises(ValueError, match=r"^data: the function returns the same iterator"):
        trainer.fit(lambda rng: once, epochs=2, verbose=False)
    refused(
        ValueError, "^validation data: .* same iterator", trainer, validation_data=lambda rng: once
    )
    assert list(once) == batches  # none was used up
    for make in (lambda rng: batches, lambda rng: iter(batches), stream(*batches)):
        trainer.fit(make, epochs=2, validation_data=make, verbose=False)
    once = iter(batches)
    history = fit(trainer, epochs=1, validation_data=lambda rng: once)  # one pass will do
    assert history["val_loss"][0] == pytest.approx(trainer.evaluate(X, Y)["loss"])


def test_several_inputs_beside_the_targets():
    def several(count):
        with nn.random.scope(0):
            each = nn.Parallel(*(nn.Linear(5, 4) for _ in range(count)))
            net = nn.Sequential(each, nn.Join(), nn.Linear(4 * count, 2))
        return nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters()))

    advice = r"; several inputs are a tuple of their own: \(\(x1, x2\), y\)$"
    for count in (2, 3):
        batch = (*[X] * count, Y)
        for name, call in {
            "batch 1": lambda t, batch=batch: t.fit(stream(batch), verbose=False),
            "validation": lambda t, batch=batch: t.fit(
                tuple(batch[:-1]), Y, validation_data=stream(batch), verbose=False
            ),
        }.items():
            trainer = several(count)
            with pytest.raises((TypeError, ValueError), match=f"^{name}.*{advice}"):
                call(trainer)
            assert trainer.optimizer.steps == 0
    with pytest.raises(ValueError, match=rf"got 4 items{advice}"):
        several(3).fit((X, X, X), Y, validation_data=(X, X, X, Y), verbose=False)
    with pytest.raises(ValueError, match=r"got \(1, 3\)$"):  # no advice that is beside the point
        new().fit(stream((X[:, :3], Y, np.ones(64))), verbose=False)


# -- flags, fields and functions of NumPy ----------------------------------------------------------


@pytest.mark.parametrize("value", ["False", 0, None, 1.0, []])
def test_a_flag_is_true_or_false(value):
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"^Parameter\.trainable must be True or False, got"):
        layer.weight.trainable = value
    with pytest.raises(ValueError, match=r"^Linear\(2, 2\): training must be True or False, got"):
        layer.training = value
    assert layer.weight.trainable is True
    assert layer.training is True
    layer.weight.trainable = layer.training = np.False_
    assert layer.weight.trainable is False
    assert layer.training is False


def test_the_mode_may_be_a_field_of_a_dataclass():
    @dataclass(eq=False)
    class Noise(nn.Layer):
        width: int
        training: bool = True

        def forward(self, x):
            self.save_for_backward()
            return x + self.training

    @dataclass(eq=False)
    class Frozen(nn.Layer):
        training: bool

    noise = Noise(3)
    assert noise.training is True
    assert Noise(3, training=False).training is False
    assert Frozen().training is True
    np.testing.assert_array_equal(noise(X), X + 1)
    np.testing.assert_array_equal(noise.predict(X), X)
    assert noise.eval().training is False


@pytest.mark.parametrize(
    "draw", [np.zeros, np.ones, np.full, np.random.randn, RNG.normal], ids=lambda f: f.__name__
)
def test_a_function_of_numpy_is_no_initializer(draw):
    advice = r"; write a function of both: lambda shape, rng: np\.zeros\(shape\)$"
    match = rf"weight_init must be an initializer .*, got {draw.__name__}{advice}"
    for make in (
        lambda: nn.Linear(2, 2, weight_init=draw),
        lambda: nn.Conv2d(1, 1, 3, weight_init=draw),
    ):
        with pytest.raises(TypeError, match=match):
            make()
    nn.Linear(2, 2, weight_init=lambda shape, rng: np.zeros(shape))
