"""A resumed run is bit for bit the run that was never interrupted, from any step and any moment."""

import copy
import json
import signal
from pathlib import Path

import numpy as np
import pytest

import nnlite as nn
from nnlite.files import archive, tree
from nnlite.training import checkpoint, mistakes
from nnlite.training.fingerprint import environment

OLDER = Path(__file__).parent / "older"
RNG = np.random.default_rng(0)
X = RNG.standard_normal((103, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)
OPTIONS = {
    "epochs": 4, "batch_size": 16, "validation_split": 0.2, "accumulate": 2, "verbose": False,
    "sample_weight": np.linspace(0.1, 2, 103),
}  # fmt: skip
STEPS = 4 * 3  # 82 rows, 6 batches, 3 updates


class Crash(Exception):
    pass


class Noise(nn.Callback):
    """Moves the weights by numbers of its own generator and the trainer's, and counts."""

    def __init__(self):
        self.rng = np.random.default_rng(3)
        self.seen = []

    def on_step_end(self, trainer):
        parameter = trainer.model.parameters()[0]
        parameter.data = parameter.data + 0.01 * self.rng.standard_normal(parameter.shape)
        parameter.data = parameter.data * (1 + 0.01 * trainer.rng.random())
        self.seen.append((trainer.epoch, trainer.step))


class CrashAt(nn.Callback):
    """Saves, and ends the program, at the n-th of one kind of moment."""

    def __init__(self, path, moment, number):
        self.path = path
        self.moment = moment
        self.number = number
        self._count = 0
        setattr(self, moment, self.now)

    def state_dict(self):
        return {}

    def now(self, trainer):
        self._count += 1
        if self._count == self.number:
            trainer.save(self.path)
            raise Crash


def new(optimizer=nn.AdamW, dtype=np.float32, extra=()):
    """A trainer with everything that has a state, and its callbacks."""
    net = nn.Sequential(
        nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.3), nn.Residual(nn.Linear(16, 16)),
        nn.Linear(16, 3),
    ).astype(dtype)  # fmt: skip
    rule = optimizer(net.parameters(), lr=0.05, clip_norm=1.0)
    metrics = [nn.Accuracy(), nn.F1(), nn.ConfusionMatrix(), nn.LogLoss(), nn.AUROC()]
    trainer = nn.Trainer(net, nn.CrossEntropyLoss(), rule, metrics=metrics)
    callbacks = [
        Noise(), nn.EMA(0.9), nn.ReduceLROnPlateau(patience=1, min_delta=0.1),
        nn.EarlyStopping(patience=3), nn.SWA(1), nn.Lookahead(2), *extra,
    ]  # fmt: skip
    return trainer, callbacks


def content(trainer):
    """Everything that a checkpoint would hold."""
    arrays = {}
    text = json.dumps(tree.encode(checkpoint.capture(trainer), "", arrays))
    return text, {name: array.tobytes() for name, array in arrays.items()}


def whole(**kind):
    nn.seed(1)
    trainer, callbacks = new(**kind)
    trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)
    return trainer


def assert_same_run(trainer, expected):
    assert trainer.fingerprint() == expected.fingerprint()
    assert repr(trainer.history.to_dict()) == repr(expected.history.to_dict())
    assert content(trainer) == content(expected)


def crash(path, moment, number, **kind):
    nn.seed(1)
    trainer, callbacks = new(**kind)
    crashing = CrashAt(path, moment, number)
    with pytest.raises(Crash, match=f"in {moment} of the callback CrashAt"):
        trainer.fit(X, Y, callbacks=[*callbacks[:2], crashing, *callbacks[2:]], **OPTIONS)


def resumed(path, **kind):
    nn.seed(99)  # other first weights, another generator: all of it has to come from the file
    trainer, callbacks = new(**kind)
    trainer.load(path)
    trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)
    return trainer


@pytest.mark.parametrize("number", range(1, STEPS + 1))
def test_from_every_step(number, tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", number)
    assert_same_run(resumed(tmp_path / "run.npz"), whole())


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("moment", ["on_fit_begin", "on_epoch_begin", "on_epoch_end", "on_fit_end"])
def test_from_every_moment(moment, number, tmp_path):
    if "fit" in moment and number > 1:
        return
    crash(tmp_path / "run.npz", moment, number)
    assert_same_run(resumed(tmp_path / "run.npz"), whole())


OPTIMIZERS = [getattr(nn, name) for name in nn.optimizers.__all__ if name != "Optimizer"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer, tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 7, optimizer=optimizer, dtype=np.float64)
    expected = whole(optimizer=optimizer, dtype=np.float64)
    assert_same_run(resumed(tmp_path / "run.npz", optimizer=optimizer, dtype=np.float64), expected)


@pytest.mark.parametrize("options", [{"shuffle": False}, {"drop_last": True}, {"accumulate": 1}])
def test_other_ways_to_walk_through_the_data(options, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.OPTIONS", OPTIONS | options)
    crash(tmp_path / "run.npz", "on_step_end", 5)
    assert_same_run(resumed(tmp_path / "run.npz"), whole())


def test_what_layers_carry_from_batch_to_batch_is_kept(tmp_path):
    x = RNG.standard_normal((12, 4, 2)).astype(np.float32)

    def run(*callbacks, seed=1):
        nn.seed(seed)
        model = nn.Sequential(nn.LSTM(2, 3, stateful=True), nn.Linear(3, 1))
        trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
        options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": False}
        if seed == 2:
            trainer.load(tmp_path / "run.npz")
        trainer.fit(x, x[..., :1], callbacks=callbacks, **options)
        return trainer

    with pytest.raises(Crash):
        run(CrashAt(tmp_path / "run.npz", "on_step_end", 4))
    assert_same_run(run(seed=2), run())


def test_an_interrupted_run_goes_on(tmp_path):
    """Ctrl-C ends with the average or best weights in hand; the file has the place before."""
    path = tmp_path / "run.npz"
    for how in ("resume", "load"):
        nn.seed(1)
        stop = nn.LambdaCallback(
            on_step_end=lambda t: t.optimizer.steps == 7 and setattr(t, "interrupted", True)
        )
        trainer, callbacks = new(extra=[nn.Checkpoint(path), stop])
        history = trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)
        assert history.epochs == 2
        if how == "load":
            path.unlink()
            trainer.save(path)
        nn.seed(99)
        trainer, callbacks = new(extra=[nn.Checkpoint(path)])
        if how == "load":
            trainer.load(path)
        trainer.fit(
            X, Y, callbacks=callbacks, resume="auto" if how == "resume" else None, **OPTIONS
        )
        assert trainer.fingerprint()["weights"] == whole().fingerprint()["weights"]


def test_resume_auto_begins_when_there_is_no_file(tmp_path):
    nn.seed(1)
    trainer, callbacks = new()
    trainer.fit(X, Y, callbacks=[*callbacks, nn.Checkpoint(tmp_path / "x.npz")], resume="auto",
                **OPTIONS)  # fmt: skip
    assert trainer.fingerprint() == whole().fingerprint()
    with pytest.raises(ValueError, match="needs a Checkpoint"):
        trainer.fit(X, Y, resume="auto", **OPTIONS)
    with pytest.raises(FileNotFoundError):
        trainer.fit(X, Y, resume=tmp_path / "y.npz", **OPTIONS)


def test_a_finished_run_does_nothing(tmp_path):
    expected = whole()
    expected.save(tmp_path / "run.npz")
    trainer, callbacks = new()
    before = content(expected)
    trainer.load(tmp_path / "run.npz")
    history = trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)
    assert repr(history.to_dict()) == repr(expected.history.to_dict())
    assert trainer.fingerprint() == expected.fingerprint()
    assert content(expected) == before
    trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)  # the saved call is over: this is a new one
    assert trainer.optimizer.steps == 2 * STEPS


def test_more_epochs_go_on_from_a_finished_run(tmp_path):
    nn.seed(1)
    short, long = (nn.Trainer(net, nn.MSELoss(), nn.Adam(net.parameters()), rng=0)
                   for net in (nn.Linear(5, 1, rng=0), nn.Linear(5, 1, rng=0)))  # fmt: skip
    target = X[:, :1]
    short.fit(X, target, 2, verbose=False)
    short.save(tmp_path / "run.npz")
    long.fit(X, target, 5, verbose=False)
    short.load(tmp_path / "run.npz")
    assert short.fit(X, target, 5, verbose=False).epochs == 5
    assert short.fingerprint() == long.fingerprint()


def test_a_loaded_trainer_saves_the_same_file(tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 5)
    trainer, _ = new()
    trainer.load(tmp_path / "run.npz")
    trainer.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "run.npz").read_bytes()


def test_a_stopped_run_stays_stopped(tmp_path):
    """A checkpoint of the very step in which a callback ended the run."""

    def stop(trainer):
        if trainer.optimizer.steps == 4:
            trainer.stop_training = True

    nn.seed(1)
    trainer, callbacks = new(extra=[nn.LambdaCallback(on_step_end=stop)])
    trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)
    nn.seed(1)
    other, callbacks = new(extra=[nn.LambdaCallback(on_step_end=stop)])
    crashing = CrashAt(tmp_path / "run.npz", "on_step_end", 4)
    with pytest.raises(Crash):
        other.fit(X, Y, callbacks=[*callbacks, crashing], **OPTIONS)
    again = resumed(tmp_path / "run.npz")
    assert again.optimizer.steps == 4
    assert again.fingerprint()["weights"] == trainer.fingerprint()["weights"]
    assert again.history.epochs == trainer.history.epochs == 2


# -- what does not fit -------------------------------------------------------------------------


def test_other_trainers_are_refused_unchanged(tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 5)
    net = nn.Sequential(nn.Linear(5, 16), nn.Linear(16, 3))
    others = [
        (
            nn.Trainer(net, nn.CrossEntropyLoss(), nn.AdamW(net.parameters())),
            "is missing|not a part",
        ),
        (new(optimizer=nn.Adam)[0], "state of AdamW, not of Adam"),
        (new(dtype=np.float64)[0], "float32 .* instead of float64"),
    ]
    fewer = new()[0]
    fewer.metrics.pop()
    others.append((fewer, "it holds the metrics"))
    other_rng = new()[0]
    other_rng.rng = np.random.Generator(np.random.MT19937(0))
    others.append((other_rng, "state of a PCG64 for a MT19937"))
    for trainer, match in others:
        before = content(trainer)
        with pytest.raises(nn.CheckpointError, match=match) as caught:
            trainer.load(tmp_path / "run.npz")
        assert "run.npz does not fit this trainer" in str(caught.value)
        assert content(trainer) == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 17}, "had batch_size=16, so it cannot go on with 17"),
        ({"shuffle": False}, "had shuffle=True"),
        ({"accumulate": 1}, "had accumulate=2"),
        ({"validation_split": 0.3}, "had validation_split"),
        (
            {"callbacks": [nn.EMA(0.9)]},
            "missing here: ReduceLROnPlateau, EarlyStopping, SWA",
        ),
    ],
)
@pytest.mark.parametrize("how", ["load", "resume"])
def test_another_call_is_refused(options, match, how, tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 5)
    trainer, callbacks = new()
    if how == "load":
        trainer.load(tmp_path / "run.npz")
    else:
        options = options | {"resume": tmp_path / "run.npz"}
    before = content(trainer)
    with pytest.raises(ValueError, match=match):
        trainer.fit(X, Y, **OPTIONS | {"callbacks": callbacks} | options)
    assert content(trainer) == before
    if how == "load":
        trainer.fit(X, Y, callbacks=callbacks, **OPTIONS)  # and the right one still goes on
        assert_same_run(trainer, whole())


def test_what_cannot_be_kept_is_named(tmp_path):
    class Odd(nn.Callback):
        def __init__(self):
            self.file = object()

    trainer, _ = new()
    odd = [Odd(), nn.Checkpoint(tmp_path / "run.npz")]
    with pytest.raises(TypeError, match="callback Odd cannot be saved: file: an object cannot"):
        trainer.fit(X, Y, callbacks=odd, **OPTIONS)


def test_generators_of_every_kind_are_kept():
    for kind in tree.GENERATORS:
        rng = np.random.Generator(getattr(np.random, kind)(5))
        rng.integers(0, 9, 3, dtype=np.uint16)
        arrays = {}
        text = json.dumps(tree.encode(rng, "rng", arrays))
        twin = tree.decode(json.loads(text), arrays)
        np.testing.assert_array_equal(rng.random(5), twin.random(5))


@pytest.mark.parametrize(
    "value",
    [
        None, True, -3, 2**127, 0.1, float("inf"), "ü", [1, [2]], (1, (2, None)), {"a": {"b": 1}},
        {1: "x", (2, 3): "y"}, {"$array": 1}, np.float32(0.1), np.int8(-3), np.bool_(True),
        np.float64(0.1),
    ],
)  # fmt: skip
def test_values_come_back_as_they_were(value):
    arrays = {}
    twin = tree.decode(json.loads(json.dumps(tree.encode(value, "v", arrays))), arrays)
    assert type(twin) is type(value)
    assert twin == value


@pytest.mark.parametrize(
    "names",
    [("a/b", "c"), ("a\0", "x"), ("\ud800", "\udfff"), ("x" * 70_000, "y"), ("..\\x", "../x")],
    ids=["as another", "zero", "halves", "long", "folders"],
)
def test_arrays_come_back_whatever_their_names(names, tmp_path):
    content = {name: np.full(2, n) for n, name in enumerate(names)}
    content["a"] = {"b": np.full(2, 7), "b 1": np.full(2, 8)}
    archive.write(tmp_path / "x.npz", "test", content)
    twin = archive.read(tmp_path / "x.npz", "test")
    np.testing.assert_equal(twin, content)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (10**5000, "v: a whole number of so many digits"),
        (np.ma.array([1, 2], mask=[True, False]), "v: a masked array would lose its mask"),
        (np.longdouble(1) / 3, "v: a longdouble cannot be kept"),
    ],
    ids=["digits", "mask", "longdouble"],
)
def test_what_a_file_would_change_is_refused(value, match):
    with pytest.raises(TypeError, match=match):
        tree.encode(value, "v", {})


def test_fingerprints_tell_runs_apart():
    first = whole()
    assert first.fingerprint() == whole().fingerprint()
    assert {"seed", "numpy", "blas", "threads", "weights", "data_order"} <= set(first.fingerprint())
    nn.seed(2)
    other, _ = new()
    other.fit(X, Y, **OPTIONS)
    different = {k for k, v in first.fingerprint().items() if other.fingerprint()[k] != v}
    assert different == {"seed", "weights", "data_order"}


def crafted(path, change):
    """A checkpoint of a run that was changed by hand."""
    trainer, callbacks = new()
    logger = nn.CSVLogger(path.with_name("log.csv"))
    trainer.fit(X, Y, **OPTIONS, callbacks=[*callbacks, logger])
    state = checkpoint.capture(trainer)
    change(state)
    checkpoint.write(path, state, 1)


@pytest.mark.parametrize(
    ("callback", "entry", "value"),
    [
        ("CSVLogger", "path", "elsewhere.csv"),
        ("EMA", "decay", 0.0),
        ("EarlyStopping", "on_fit_end", "text"),
        ("EarlyStopping", "_hidden", 1),
        ("EarlyStopping", "wait", "many"),
        ("ReduceLROnPlateau", "wait", [1]),
    ],
)
def test_a_file_cannot_change_what_a_callback_was_built_from(callback, entry, value, tmp_path):
    path = tmp_path / "run.npz"

    def change(state):
        state["call"]["callbacks"].setdefault(callback, {})[entry] = value
        state["call"]["finished"] = False

    crafted(path, change)
    trainer, callbacks = new()
    logger = nn.CSVLogger(tmp_path / "log.csv")
    before = trainer.fingerprint()
    with pytest.raises(ValueError, match=f"state.*{entry}"):
        trainer.fit(X, Y, **OPTIONS, callbacks=[*callbacks, logger], resume=path)
    assert trainer.fingerprint() == before
    assert logger.path == tmp_path / "log.csv"


def metric(state, name):
    return state["trainer"]["measures"]["metrics"][name]


def group(state):
    return state["optimizer"]["groups"][0]


def first(state):
    return state["optimizer"]["state"]["parameters"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("call"),
        lambda state: state.update(more=1),
        lambda state: state["trainer"].update(epoch=-(10**9)),
        lambda state: state["trainer"].update(epoch=10**9),
        lambda state: state["trainer"].update(epoch=True),
        lambda state: state["trainer"].update(step=-3),
        lambda state: state["trainer"].update(seed="0"),
        lambda state: state["trainer"].update(last_loss=None),
        lambda state: state["trainer"]["history"].update(loss=[]),
        lambda state: state["trainer"]["history"].update(loss=0.5),
        lambda state: state["trainer"].pop("rng"),
        lambda state: state["trainer"].update(rng={"bit_generator": "PCG64"}),
        lambda state: state["trainer"].pop("measures"),
        lambda state: state["trainer"]["measures"].update(weight=-1.0),
        lambda state: state["trainer"]["measures"].update(metrics=3),
        lambda state: metric(state, "f1").update(_tally=np.zeros((2, 3))),
        lambda state: metric(state, "f1").update(_tally=np.zeros((3, 3), int)),
        lambda state: metric(state, "accuracy").update(_weight=-1),
        lambda state: metric(state, "confusion_matrix").update(_counts=np.zeros(3)),
        lambda state: state["optimizer"].update(current_lr=-0.1),
        lambda state: state["optimizer"].update(groups=3),
        lambda state: group(state).update(lr=-1),
        lambda state: group(state).update(lr=True),
        lambda state: group(state).update(eps=-1e-8),
        lambda state: group(state).update(weight_decay=-1),
        lambda state: group(state).update(weight_decay=None),
        lambda state: group(state).update(amsgrad=1),
        lambda state: group(state).update(momentum=5),
        lambda state: group(state).update(params=5),
        lambda state: state["optimizer"]["state"].update(steps=-1),
        lambda state: state["optimizer"]["state"].update(lr_scale=float("nan")),
        lambda state: state["optimizer"]["state"].update(parameters=3),
        lambda state: first(state).update(steps=10**30),
        lambda state: first(state).update(exp_avg=np.zeros(3, np.float32)),
        lambda state: first(state).pop("exp_avg"),
        lambda state: state["call"].update(settings={}),
        lambda state: state["call"]["settings"].update(batch_size="16"),
        lambda state: state["call"]["settings"].update(more=1),
        lambda state: state["call"].update(required=[1]),
        lambda state: state["call"].update(callbacks=[]),
        lambda state: state["call"].update(rng_epoch={}),
        lambda state: state["call"].update(setup={"loss": np.zeros(3)}),
        lambda state: state["model"].pop("frozen"),
        lambda state: state["model"]["carried"].update({"0": (np.zeros(3),)}),
        lambda state: metric(state, "accuracy").update(threshold=3.0),
        lambda state: state["trainer"]["measures"]["metrics"]["accuracy"].pop("_total"),
        lambda state: state["trainer"]["measures"]["metrics"]["accuracy"].update(_total="much"),
        lambda state: state["trainer"]["measures"].pop("total"),
        lambda state: state["optimizer"].pop("current_lr"),
        lambda state: state["optimizer"].update(grad_norm="long"),
        lambda state: state["call"].pop("begun"),
        lambda state: state["trainer"].update(epoch="one"),
    ],
)
def test_a_state_that_is_not_whole_changes_nothing(change, tmp_path):
    path = tmp_path / "run.npz"
    crafted(path, change)
    trainer, callbacks = new()
    before = content(trainer)
    for load in (trainer.load, lambda path: trainer.fit(X, Y, resume=path, callbacks=callbacks)):
        with pytest.raises(nn.CheckpointError, match=r"does not fit this trainer: .*[a-z]"):
            load(path)
        assert content(trainer) == before


def refused_in_fit(tmp_path, callback, change, match):
    """A state of a callback is looked at when there is one: by fit, which has changed nothing."""
    path = tmp_path / "run.npz"

    def unfinished(state):
        change(state["call"]["callbacks"][callback])
        state["call"]["finished"] = False

    crafted(path, unfinished)
    trainer, callbacks = new()
    trainer.load(path)
    before = content(trainer)
    callbacks.append(nn.CSVLogger(tmp_path / "log.csv"))
    with pytest.raises((ValueError, TypeError), match=f"{callback}.*{match}"):
        trainer.fit(X, Y, **OPTIONS, callbacks=callbacks)
    assert content(trainer) == before


@pytest.mark.parametrize(
    ("callback", "change", "match"),
    [
        ("EMA", lambda state: state.update(count=-10), "count.* must be a whole number ≥ 0"),
        ("EMA", lambda state: state.update(average={}), "of another model: 0.weight is missing"),
        ("EMA", lambda state: state.pop("average"), "has no average"),
        ("EMA", lambda state: state["average"].update({"0.bias": np.ones(3)}), "another model"),
        ("SWA", lambda state: state["average"].pop("0.bias"), "0.bias is missing"),
        ("EarlyStopping", lambda state: state.update(wait=0.5), "wait.* must be a whole number"),
        ("EarlyStopping", lambda state: state.update(best="low"), "best.* must be a number or No"),
        ("EarlyStopping", lambda state: state["best_weights"].pop("0.bias"), "of another model"),
        ("EarlyStopping", lambda state: state.update(more=1), "'more', which is not remembered"),
        ("ReduceLROnPlateau", lambda state: state.update(cooling=None), "cooling.* must be"),
        ("ReduceLROnPlateau", lambda state: state.clear(), "has no best, wait, cooling"),
        ("Noise", lambda state: state.update(seen=3), "seen.* is a number instead of a list"),
    ],
)
def test_what_a_callback_cannot_go_on_from_is_refused(callback, change, match, tmp_path):
    refused_in_fit(tmp_path, callback, change, match)


@pytest.mark.parametrize(
    ("entry", "value"), [("order_hash", "\ud800"), ("history", {"loss": [1.0], "\ud800": [1.0]})]
)
def test_half_a_character_is_no_text(entry, value, tmp_path):
    """No hash could be made of it, and no logger could write it."""
    path = tmp_path / "run.npz"
    trainer, _ = small()
    data = np.ones((4, 4, 2), np.float32)
    trainer.fit(data, data[..., :1], shuffle=False, verbose=False)
    trainer.save(path)
    state = archive.read(path, checkpoint.KIND)
    state["trainer"][entry] = value
    checkpoint.write(path, state, 1)
    with pytest.raises(nn.CheckpointError, match=f"{entry} must be a"):
        small()[0].load(path)


def test_what_a_required_callback_remembers_must_be_there(tmp_path):
    path = tmp_path / "run.npz"
    crafted(path, lambda state: (state["call"]["callbacks"].pop("EMA"),
                                 state["call"].update(finished=False)))  # fmt: skip
    trainer, callbacks = new()
    with pytest.raises(ValueError, match=r"does not hold what EMA\(decay=0.9\) remembers"):
        trainer.fit(X, Y, **OPTIONS, callbacks=callbacks, resume=path)


def spots(node, path=()):
    """The way to every entry of a state."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from spots(inner, (*path, key))


def small(rate=0.1):
    nn.seed(4)
    model = nn.Sequential(nn.LSTM(2, 2, stateful=True), nn.BatchNorm1d(2), nn.Linear(2, 1))
    optimizer = nn.SGD(model.parameters(), rate, momentum=0.9, clip_norm=1.0)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer, metrics=[nn.R2()])
    return trainer, [nn.EMA(0.5), nn.ReduceLROnPlateau("loss")]


OTHERS = [-1, None, "x", 10**400, [[1]], {"a": {}}, np.ones(2)]


@pytest.mark.filterwarnings("ignore::nnlite.ModelWarning")  # of what the script has otherwise
@pytest.mark.parametrize(
    "value", ["removed", *(pytest.param(value, marks=pytest.mark.slow) for value in OTHERS)],
    ids=lambda value: str(value)[:9],
)  # fmt: skip
def test_a_file_is_taken_whole_or_not_at_all(value, tmp_path):
    """Every entry of a checkpoint, replaced: refused with the trainer as it was, or fit goes on."""
    data = np.linspace(-1, 1, 64).reshape(8, 4, 2).astype(np.float32)
    options = {"batch_size": 4, "shuffle": False, "verbose": False}
    trainer, callbacks = small()
    crashing = CrashAt(tmp_path / "run.npz", "on_step_end", 3)
    with pytest.raises(Crash):
        trainer.fit(data, data[..., :1], 3, callbacks=[*callbacks, crashing], **options)
    whole = archive.read(tmp_path / "run.npz", checkpoint.KIND)
    refused = 0
    for way in list(spots(whole)):
        state = copy.deepcopy(whole)
        home = state
        for key in way[:-1]:
            home = home[key]
        if isinstance(value, str) and value == "removed":
            del home[way[-1]]
        else:
            home[way[-1]] = value
        checkpoint.write(tmp_path / "odd.npz", state, 1)
        trainer, callbacks = small()
        before = content(trainer)
        try:
            trainer.load(tmp_path / "odd.npz")
            before = content(trainer)
            trainer.fit(data, data[..., :1], 2, callbacks=callbacks, **options)
        except (ValueError, TypeError, RuntimeError):
            assert content(trainer) == before, way
            refused += 1
    assert refused > 50


OF_OUTPUTS = [nn.R2, nn.ExplainedVariance, nn.MeanSquaredError, nn.MeanAbsolutePercentageError]
OF_LABELS = [nn.AUROC, nn.AveragePrecision, nn.LogLoss, nn.Perplexity, nn.F1]


@pytest.mark.parametrize(
    ("make", "loss"),
    [(m, nn.MSELoss) for m in OF_OUTPUTS] + [(m, nn.BCEWithLogitsLoss) for m in OF_LABELS],
)
def test_a_metric_goes_on_in_the_middle_of_an_epoch(make, loss, tmp_path):
    x = RNG.standard_normal((12, 5)).astype(np.float32)
    y = x[:, :2] if make in OF_OUTPUTS else (x[:, :2] > 0).astype(np.float32)

    def run(seed, *callbacks, resume=None):
        nn.seed(seed)
        model = nn.Linear(5, 2)
        optimizer = nn.SGD(model.parameters(), lr=0.1)
        trainer = nn.Trainer(model, loss(), optimizer, metrics=[make()])
        trainer.fit(x, y, batch_size=4, resume=resume, verbose=False, callbacks=callbacks)
        return trainer

    with pytest.raises(Crash):
        run(1, CrashAt(tmp_path / "run.npz", "on_step_end", 2))
    assert_same_run(run(2, resume=tmp_path / "run.npz"), run(1))


def test_another_machine_is_told_of_in_one_line(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    crash(path, "on_step_end", 5)
    machine = environment()
    other = {
        "nnlite": "9.9", "numpy": "9.8", "blas": "accelerate 1", "blas_threads": 64, "simd": "NEON",
        "threads": {"OMP_NUM_THREADS": "64"}, "platform": "Darwin arm64", "engine": "abacus",
    }  # fmt: skip
    monkeypatch.setattr(mistakes, "environment", lambda: machine | other)
    trainer, callbacks = new()
    with pytest.warns(nn.ModelWarning, match="the resumed run differs from the saved one") as told:
        trainer.fit(X, Y, callbacks=callbacks, resume=path, **OPTIONS)
    assert len(told) == 1
    for name, value in other.items():
        words = "OMP_NUM_THREADS=64" if name == "threads" else value
        assert f"{name} " in str(told[0].message)
        assert f"in the file, {words} now" in str(told[0].message)
    assert "\n" not in str(told[0].message)


def older_run():
    """The script whose file, and whose end, an earlier revision has written to `tests/older`."""
    x = np.sin(np.arange(40 * 3, dtype=np.float32).reshape(40, 3) ** 1.5)
    y = (x[:, 0] > 0).astype(np.int64)
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Dropout(0.25), nn.Linear(3, 2))
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.F1()])
    callbacks = [nn.EMA(0.9), nn.ReduceLROnPlateau("loss", patience=1)]
    return trainer, (x, y), {"epochs": 4, "batch_size": 8, "accumulate": 2}, callbacks


def test_files_of_an_earlier_revision_go_on_from_the_middle_of_an_epoch():
    trainer, data, options, callbacks = older_run()
    trainer.load(OLDER / "run.npz")
    assert (trainer.epoch, trainer.step) == (1, 2)
    history = trainer.fit(*data, **options, callbacks=callbacks, verbose=False)
    assert history.epochs == 4
    expected = nn.load_model(OLDER / "end.npz")
    for path, values in expected.state_dict().items():
        np.testing.assert_allclose(trainer.model.state_dict()[path], values, rtol=1e-5, atol=1e-6)
    recorded = json.loads((OLDER / "history.json").read_text())
    assert history.keys() == recorded.keys()
    for name, values in recorded.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)


def test_ctrl_c_inside_a_callback_leaves_no_torn_file(tmp_path):
    x = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)

    class Cut(nn.EMA):
        at = 0

        def on_step_end(self, trainer):
            if trainer.optimizer.steps == Cut.at:
                self.count += 1  # half of a step of its own, after a Checkpoint has asked
                raise KeyboardInterrupt
            super().on_step_end(trainer)

    def run(path, at=0):
        nn.seed(0)
        Cut.at = at
        model = nn.Linear(4, 2)
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
        callbacks = [nn.Checkpoint(path, every_steps=1), Cut(0.9)]
        trainer.fit(
            x, y, epochs=3, batch_size=10, callbacks=callbacks, resume="auto", verbose=False
        )
        return trainer.fingerprint()["weights"]

    whole = run(tmp_path / "whole.npz")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut.npz", at=5)
    assert run(tmp_path / "cut.npz") == whole


@pytest.mark.parametrize("what", ["x", "y", "sample_weight", "class_weight", "nothing"])
def test_other_data_of_the_same_size_is_told(what, tmp_path):
    path = tmp_path / "run.npz"

    def run(x, y, resume=None, **options):
        nn.seed(0)
        model = nn.Linear(5, 3)
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))
        stop = nn.LambdaCallback(on_epoch_end=lambda t: setattr(t, "interrupted", resume is None))
        trainer.fit(x, y, 2, callbacks=[stop], resume=resume, verbose=False, **options)
        return trainer

    run(X, Y, sample_weight=np.ones(len(X))).save(path)
    x, y, options = X, Y, {"sample_weight": np.ones(len(X))}
    if what == "x":
        x = X + 1
    elif what == "y":
        y = Y[::-1]
    elif what == "sample_weight":
        options = {"sample_weight": np.linspace(0, 1, len(X))}
    elif what == "class_weight":
        options["class_weight"] = {0: 2.0}
    if what == "nothing":
        run(x, y, path, **options)
        return
    with pytest.warns(nn.ModelWarning, match="resumed run differs .*: checksum of the first x, y"):
        run(x, y, path, **options)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layer": nn.Sigmoid}, "layer 1 Tanh() in the file, Sigmoid() now"),
        ({"betas": (0.5, 0.9)}, "betas (0.9, 0.999) in the file, (0.5, 0.9) now"),
        ({"clip_norm": 1.0}, "clip_norm None in the file, 1.0 now"),
        ({"weight_decay": 0.5}, "weight_decay 0.0 in the file, 0.5 now"),
        ({}, ""),
    ],
)
def test_another_script_is_told_of(change, told, tmp_path, recwarn):
    def new(layer=nn.Tanh, **options):
        model = nn.Sequential(nn.Linear(5, 8), layer(), nn.Linear(8, 3))
        return nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), **options))

    trainer = new()
    trainer.fit(X, Y, verbose=False)
    trainer.save(tmp_path / "run.npz")
    new(**change).load(tmp_path / "run.npz")
    assert [told in str(warning.message) for warning in recwarn] == [True] * bool(told)
    if "weight_decay" in change:
        assert 'set optimizer.groups[…]["weight_decay"]' in str(recwarn[0].message)


# -- a place that the data does not have -----------------------------------------------------------


def stopped_at_step_4(path):
    """A run over a stream, saved in the middle of its first epoch; and what trains on."""

    def trainer():
        model = nn.Linear(3, 2, rng=0)
        return nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1), rng=0)

    first = trainer()

    def stop(run):
        run.interrupted = run.step == 4

    first.fit(few(9), callbacks=[nn.LambdaCallback(on_step_end=stop)], accumulate=2, verbose=False)
    first.save(path)
    return trainer()


def few(count):
    return lambda rng: ((np.ones((4, 3), np.float32), np.arange(4) % 2) for _ in range(count))


@pytest.mark.parametrize("count", [6, 7])
def test_a_stream_that_has_become_shorter(count, tmp_path):
    trainer = stopped_at_step_4(tmp_path / "run.npz")
    options = {"accumulate": 2, "resume": tmp_path / "run.npz", "verbose": False}
    if count == 7:  # the last update may have been of one batch
        assert trainer.fit(few(count), **options).epochs == 1
        return
    with pytest.raises(ValueError, match=r"had used 7 batches of this epoch.* gives 6; give"):
        trainer.fit(few(count), **options)


def test_ctrl_c_reaches_a_run_that_skips_batches(tmp_path):
    trainer = stopped_at_step_4(tmp_path / "run.npz")
    given = []

    def endless(rng):
        for batch in few(10**9)(rng):
            given.append(batch)
            if len(given) == 5:  # the first two are looked at before the run
                signal.raise_signal(signal.SIGINT)
            yield batch

    trainer.fit(endless, accumulate=2, resume=tmp_path / "run.npz", verbose=False)
    assert trainer.interrupted
    assert trainer.step == 4
    assert len(given) < 8


def altered(path, section="trainer", **entries):
    """A file of which a section was changed by hand."""
    state = archive.read(path, "checkpoint")
    state[section].update(entries)
    archive.write(path, "checkpoint", state)


def test_a_place_behind_the_end_of_an_epoch_is_refused(tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 2)
    altered(tmp_path / "run.npz", step=10**6)
    trainer, callbacks = new()
    before = content(trainer)
    with pytest.raises(ValueError, match="at step 1000000 of its epoch, which has 3"):
        trainer.fit(X, Y, callbacks=callbacks, resume=tmp_path / "run.npz", **OPTIONS)
    assert content(trainer) == before


def test_epochs_without_a_history_are_refused(tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 1)
    altered(tmp_path / "run.npz", epoch=2**53 - 1, history={})
    with pytest.raises(nn.CheckpointError, match="there must be as many rows of history"):
        new()[0].load(tmp_path / "run.npz")


def test_sums_of_losses_that_there_are_not_are_refused(tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 1)
    measures = archive.read(tmp_path / "run.npz", "checkpoint")["trainer"]["measures"]
    parts = {"other": {"total": 1.0, "weight": 1.0, "share": 1.0}}
    altered(tmp_path / "run.npz", measures=measures | {"parts": parts})
    with pytest.raises(nn.CheckpointError, match=r"sums of losses \['other'\]"):
        new()[0].load(tmp_path / "run.npz")


CLEAR = "\x1b[2J"  # what clears a terminal


def test_a_file_does_not_write_to_the_terminal(tmp_path):
    crash(tmp_path / "run.npz", "on_step_end", 1)
    trainer, callbacks = new()
    altered(tmp_path / "run.npz", "call", setup={"loss": f"{CLEAR}{'x' * 10**6}"})
    with pytest.warns(nn.ModelWarning) as caught:
        trainer.load(tmp_path / "run.npz")
    texts = [str(warning.message) for warning in caught]
    altered(tmp_path / "run.npz", "call", required=[CLEAR], setup={})
    with pytest.raises(ValueError, match="missing here") as missing:
        trainer.fit(X, Y, callbacks=callbacks, resume=tmp_path / "run.npz", **OPTIONS)
    altered(tmp_path / "run.npz", "model", frozen=[CLEAR])
    with pytest.raises(nn.CheckpointError, match="there is no") as unknown:
        trainer.load(tmp_path / "run.npz")
    for text in [*texts, str(missing.value), str(unknown.value)]:
        assert CLEAR not in text
        assert r"\x1b[2J" in text
        assert len(text) < 1000
