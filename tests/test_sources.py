"""Data that is not in memory: sequences, memory-mapped files and generator functions, in `fit`."""

import signal
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import nnlite as nn
from nnlite.core import rows as core_rows
from nnlite.data import augment, batches, prefetch

X, Y = nn.data.blobs(70, rng=0)


class Images:
    """A sequence that loads a row at a time, and remembers which."""

    def __init__(self, array, fails_at=None):
        self.array = array
        self.loaded = []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        assert type(index) is int
        self.loaded.append(index)
        return self.array[index]


def mapped(tmp_path, array):
    path = tmp_path / "data.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def model():
    nn.seed(1)
    return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 3))


def trainer(net=None, lr=0.05, **options):
    net = net or model()
    return nn.Trainer(
        net, nn.CrossEntropyLoss(), nn.Adam(net.parameters(), lr=lr), rng=0, **options
    )


def fit(t, *data, epochs=2, **options):
    return t.fit(*data, **{"epochs": epochs, "verbose": False, **options})


def assert_same_run(first, second):
    assert first.history.to_dict() == second.history.to_dict()
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


class At(nn.Callback):
    """Does one thing after one step of one epoch."""

    def __init__(self, epoch, step, action):
        self.at = (epoch, step)
        self.action = action

    def on_step_end(self, trainer):
        if (trainer.epoch, trainer.step) == self.at:
            self.action(trainer)

    def state_dict(self):
        return {}


# batches


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_a_sequence_are_those_of_the_array(shuffle, drop_last):
    options = {"batch_size": 16, "shuffle": shuffle, "drop_last": drop_last}
    found = batches(Images(X), Images(Y), **options, rng=3)
    for (x, y), (x2, y2) in zip(found, batches(X, Y, **options, rng=3), strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)
        assert (x.dtype, y.dtype) == (x2.dtype, y2.dtype)


def test_a_sequence_is_loaded_as_it_is_used():
    source = Images(X)
    walk = batches(source, batch_size=10)
    assert source.loaded == []
    next(walk)
    assert source.loaded == list(range(10))


def test_batches_of_mapped_files_lists_and_what_numpy_can_convert(tmp_path):
    class Frame:
        def __init__(self, values):
            self.values = values

        def __len__(self):
            return len(self.values)

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype)

    for source in (mapped(tmp_path, X), X.tolist(), Frame(X)):
        for shuffle in (False, True):
            found = list(batches(source, batch_size=16, shuffle=shuffle, rng=1))
            assert type(found[0]) in (np.ndarray, np.memmap)
            expected = np.concatenate(list(batches(X, batch_size=16, shuffle=shuffle, rng=1)))
            np.testing.assert_array_equal(np.concatenate(found), expected)


def test_batches_of_a_generator_function_are_its_own():
    def stream(rng):
        yield rng.random()
        yield rng.random()

    expected = np.random.default_rng(5)
    assert list(batches(stream, rng=5)) == [expected.random(), expected.random()]


def test_generators_are_refused_at_the_call():
    with pytest.raises(TypeError, match="got a generator; pass the generator function itself"):
        batches(x for x in X)


def test_rows_that_differ_in_shape():
    message = r"row 1 has shape \(3,\) and row 0 \(2,\); make all rows alike"
    with pytest.raises(ValueError, match=message):
        list(batches(Images([np.zeros(2), np.zeros(3)])))


# Sequences and mapped files in fit


@pytest.mark.parametrize("kind", ["sequence", "sequences", "mapped", "mapped float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False, "drop_last": True},
        {"validation_split": 0.2, "accumulate": 2},
        {"class_weight": {0: 2.0}, "sample_weight": np.linspace(0, 1, 70)},
        {"validation_data": "same"},
    ],
    ids=str,
)
def test_the_same_run_as_with_arrays(tmp_path, kind, options):
    x, y = {
        "sequence": lambda: (Images(X), Y),
        "sequences": lambda: (Images(X), Images(Y)),
        "mapped": lambda: (mapped(tmp_path, X), Y),
        "mapped float64": lambda: (mapped(tmp_path, X.astype(np.float64)), Y),
    }[kind]()
    lazy, plain = trainer(), trainer()
    given = dict(options)
    if "validation_data" in options:
        options, given = {"validation_data": (x, y)}, {"validation_data": (X, Y)}
    fit(lazy, x, y, **options)
    fit(plain, X, Y, **given)
    assert_same_run(lazy, plain)
    assert lazy.evaluate(x, y) == plain.evaluate(X, Y)
    np.testing.assert_array_equal(lazy.model.predict(x), plain.model.predict(X))


def test_mapped_targets(tmp_path):
    y = np.random.default_rng(0).standard_normal((70, 2))
    runs = []
    for target in (mapped(tmp_path, y), y):
        net = model()[0:2]
        net = nn.Sequential(*net, nn.Linear(6, 2))
        nn.seed(0)
        t = nn.Trainer(net, nn.MSELoss(), nn.SGD(net.parameters()), rng=0)
        for p in net.parameters():
            p.data = np.full(p.shape, 0.1)
        fit(t, X, target)
        runs.append(t)
    assert_same_run(*runs)


def test_a_large_mapped_file_trains_in_flat_memory(tmp_path):
    rows, features = 4000, 1000
    path = tmp_path / "large.npy"
    file = np.lib.format.open_memmap(path, "w+", np.float64, (rows, features))  # 32 MB
    for start in range(0, rows, 500):
        file[start : start + 500] = np.random.default_rng(start).random((500, features))
    file.flush()
    x, y = np.load(path, mmap_mode="r"), np.arange(rows) % 4
    net = nn.Linear(features, 4)
    t = nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters()), rng=0)
    fit(t, x[:64], y[:64], epochs=1)
    tracemalloc.start()
    try:
        fit(t, x, y, batch_size=64, validation_split=0.25)
        net.predict(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 6


def test_a_mapped_file_is_checked_before_the_first_update(tmp_path, monkeypatch):
    monkeypatch.setattr(core_rows, "BLOCK", 128)
    bad = X.copy()
    bad[66, 1] = np.nan
    t = trainer()
    with pytest.raises(ValueError, match="x is not finite: row 66 contains nan"):
        fit(t, mapped(tmp_path, bad), Y)
    targets = Y.copy()
    targets[40] = 9
    with pytest.raises(ValueError, match="row 8") as caught:
        fit(t, X, mapped(tmp_path, targets))
    assert caught.value.__notes__ == ["counted from row 32 on"]
    assert t.optimizer.steps == 0


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"validation_split": 0.1}])
def test_a_bad_row_of_a_sequence_is_named_in_its_batch(options):
    bad = X.copy()
    bad[41, 0] = np.inf
    with pytest.raises(ValueError, match="x is not finite: row 41 contains inf"):
        fit(trainer(), Images(bad), Y, batch_size=8, **options)


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "match"),
    [
        (Images(X), Y[:-1], {}, ValueError, "x has 70 rows and y has 69"),
        (Images(X[:0]), Y[:0], {}, ValueError, "x is empty"),
        (Images(X.astype(str)), Y, {}, TypeError, "x must hold numbers, got dtype <U"),
        (Images(X[:, :1]), Y, {}, ValueError, r"Linear\(2, 6\)"),
        (Images(X), Images(Y + 0.5), {}, TypeError, "integer"),
        (X, Images(Y), {"sample_weight": np.ones(3)}, ValueError, "sample_weight has shape"),
        ((x for x in X), Y, {}, TypeError, "pass the generator function itself"),
    ],
)
def test_sequences_that_do_not_fit(x, y, options, error, match):
    t = trainer()
    with pytest.raises(error, match=match):
        fit(t, x, y, **options)
    assert t.optimizer.steps == 0


# Generator functions in fit


def in_order(rng):
    yield from batches(X, Y, batch_size=32)


def noisy(rng):
    for x, y in batches(X, Y, batch_size=8, shuffle=True, rng=rng):
        yield augment.noise(x, 0.1, rng=rng), y


def noisy_ahead(rng):
    return prefetch(noisy(rng), 3)


def test_a_stream_is_the_same_run_as_its_arrays():
    streamed, plain = trainer(metrics=[nn.Accuracy()]), trainer(metrics=[nn.Accuracy()])
    fit(streamed, in_order, validation_data=in_order)
    fit(plain, X, Y, shuffle=False, validation_data=(X, Y))
    for name, values in plain.history.items():
        assert streamed.history[name] == pytest.approx(values, rel=1e-6)
    for a, b in zip(streamed.model.parameters(), plain.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert streamed.evaluate(in_order) == plain.evaluate(X, Y, batch_size=32)


def test_weights_in_a_stream():
    weight = np.linspace(0, 2, 70)
    streamed, plain = trainer(), trainer()
    fit(
        streamed, lambda rng: batches(X, Y, weight, batch_size=32), class_weight={1: 3.0},
        accumulate=2,
    )  # fmt: skip
    fit(plain, X, Y, shuffle=False, sample_weight=weight, class_weight={1: 3.0}, accumulate=2)
    assert_same_run(streamed, plain)


def test_each_epoch_gets_draws_of_its_own_and_runs_repeat():
    drawn = []

    def stream(rng):
        drawn.append(rng.random())
        yield X, Y

    for _ in range(2):
        fit(trainer(), stream, epochs=3)
    assert len(set(drawn)) == 3
    assert drawn[:3] == drawn[3:]


def test_validation_and_evaluation_see_the_same_data_each_time():
    drawn = []

    def stream(rng):
        drawn.append(rng.random())
        yield X, Y

    t = trainer()
    fit(t, X, Y, epochs=3, validation_data=stream)
    t.evaluate(stream)
    assert len(drawn) == 5  # the first is that of the look before the first update
    assert len(set(drawn)) == 1


@pytest.mark.parametrize("stream", [noisy, noisy_ahead])
@pytest.mark.parametrize(("epoch", "step"), [(0, 1), (0, 3), (1, 2), (1, 3)])
def test_a_run_resumes_in_the_middle_of_a_stream(tmp_path, stream, epoch, step):
    def interrupt(trainer):
        trainer.interrupted = True

    whole, first, second = trainer(), trainer(), trainer()
    fit(whole, stream, epochs=3, accumulate=2)
    fit(first, stream, epochs=3, accumulate=2, callbacks=[At(epoch, step, interrupt)])
    assert first.history.epochs == epoch
    first.save(tmp_path / "run.npz")
    second.load(tmp_path / "run.npz")
    fit(second, stream, epochs=3, accumulate=2)
    assert_same_run(second, whole)


def test_prefetching_changes_no_number():
    ahead, plain = trainer(), trainer()
    fit(ahead, noisy_ahead)
    fit(plain, noisy)
    assert_same_run(ahead, plain)


@pytest.mark.parametrize("how", ["error", "stop", "Ctrl-C", "Ctrl-C twice", "bad batch"])
def test_streams_are_closed_however_fit_ends(how):
    closed = threading.Event()

    def source(rng):
        try:
            for k in range(1000):
                yield X, Y + (k == 500) * 100
        finally:
            closed.set()

    def action(trainer):
        if how == "error":
            raise KeyError("mine")
        if how == "stop":
            trainer.stop_training = True
        if how.startswith("Ctrl-C"):
            signal.raise_signal(signal.SIGINT)
        if how == "Ctrl-C twice":
            signal.raise_signal(signal.SIGINT)

    raised = {"error": KeyError, "Ctrl-C twice": KeyboardInterrupt, "bad batch": ValueError}
    options = {"callbacks": [] if how == "bad batch" else [At(0, 3, action)], "epochs": 1}

    def stream(rng):
        return prefetch(source(rng))

    if how in raised:
        with pytest.raises(raised[how]):
            fit(trainer(), stream, **options)
    else:
        fit(trainer(), stream, **options)
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "nnlite-prefetch"]


def of(*items):
    return lambda rng: iter(items)


BAD = X.copy()
BAD[5, 1] = np.nan


@pytest.mark.parametrize(
    ("data", "options", "error", "match"),
    [
        ((of((BAD, Y)),), {}, ValueError, "batch 1: x is not finite: row 5 contains nan"),
        ((of((X, Y), (X, Y[:3])),), {}, ValueError, "batch 2: x has 70 rows and y has 3"),
        ((of((X, Y, -np.ones(70))),), {}, ValueError, "batch 1: sample_weight must not be neg"),
        ((of((X, Y, np.ones(3))),), {}, ValueError, "batch 1: sample_weight has shape"),
        ((of(X),), {}, ValueError, r"batch 1: a generator function yields \(x, y\).*got ndarray"),
        ((of((X,)),), {}, ValueError, r"yields \(x, y\)"),
        ((of((X.astype(str), Y)),), {}, TypeError, "batch 1: x must hold numbers"),
        ((of((X[:, :1], Y)),), {}, ValueError, r"Linear\(2, 6\)"),
        ((of(),), {}, ValueError, "gave no batch"),
        ((lambda rng: 3,), {}, TypeError, "a function that returns int"),
        ((noisy(0),), {}, TypeError, "y is missing"),
        ((X,), {}, TypeError, "y is missing; only a generator function brings its own"),
        ((in_order, Y), {}, ValueError, "leave y and sample_weight out"),
        ((in_order,), {"sample_weight": np.ones(70)}, ValueError, "leave y and sample_weight"),
        ((in_order,), {"validation_split": 0.1}, ValueError, "need data with a length"),
        ((in_order,), {"drop_last": True}, ValueError, "need data with a length"),
        ((in_order,), {"validation_data": of((BAD, Y))}, ValueError, "validation batch 1: x is"),
    ],
)
def test_streams_that_do_not_fit(data, options, error, match):
    t = trainer()
    with pytest.raises(error, match=match):
        fit(t, *data, **options)
    assert t.optimizer.steps <= 3


def test_a_batch_below_a_layers_minimum_is_refused_in_training_only():
    class Pairs(nn.Identity):
        min_batch = 2

    t = trainer(nn.Sequential(Pairs(), nn.Linear(2, 3)))
    with pytest.raises(ValueError, match=r"batch 2 has 1 samples, but layer 0, Pairs\(\), needs 2"):
        fit(t, of((X, Y), (X[:1], Y[:1])))
    assert t.optimizer.steps == 1
    assert t.evaluate(of((X[:1], Y[:1])))["loss"] > 0


def test_progress_without_a_length(capsys, monkeypatch):
    trainer().fit(in_order, epochs=2)
    assert "samples/s" in capsys.readouterr().out
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    trainer().fit(in_order, epochs=2)
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "epoch 2/2  0 samples  loss -  00:00  0 samples/s" in captured.err
    assert "%" not in captured.err


def test_a_range_test_on_a_stream():
    t = trainer()
    found = nn.lr_range_test(t, noisy_ahead, steps=30)
    assert len(found.lrs) == 30
    np.testing.assert_array_equal(found.losses, nn.lr_range_test(t, noisy, steps=30).losses)
