"""Mistakes that are legal but hardly ever meant: each gets one warning with the way out."""

import warnings

import numpy as np
import pytest

import nnlite as nn
from nnlite.core import rows as rows_module
from nnlite.layers.structure import watch
from nnlite.training import mistakes
from nnlite.training.mistakes import warn_of_data, warn_of_mistakes

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype(np.float32)
Y = np.arange(40) % 3
CE, BCE, NLL = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.NLLLoss()


def net(*last, outputs=3):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs), *last)


def told(model, loss, x=None, y=None, weight=None):
    """The warnings, each pointing at this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_mistakes(model, loss, x, y, weight)
    assert all(warning.category is nn.ModelWarning for warning in caught)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def one(*arguments):
    (message,) = told(*arguments)
    return message


# -- activations before losses that take scores ------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Softmax(), nn.Sigmoid(), nn.HardSigmoid(), nn.ReLU()])
@pytest.mark.parametrize("loss", [CE, BCE, nn.FocalLoss()], ids=lambda loss: type(loss).__name__)
def test_squashed_scores(layer, loss):
    text = one(net(layer), loss)
    assert text.startswith(f"the model ends in layer 3, {layer!r}, but {type(loss).__name__} takes")
    assert "remove the layer" in text
    assert ("nn.Sigmoid()" if loss is BCE else "nn.Softmax()") in text


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (nn.Softmax(), ""),
        (nn.Sequential(net(), nn.Sequential(nn.Softmax(), nn.Identity())), "1.0"),
        (net(nn.Softmax(), nn.Reshape(3)), "3"),
        (nn.Concat(net(nn.Softmax()), nn.Softmax()), "0.3"),
        (nn.Sequential(nn.Linear(4, 4), nn.Concat(net(nn.ReLU()), nn.ReLU())), "1.0.3"),
    ],
)
def test_the_last_layer_is_found_inside_containers(model, path):
    (place, layer), *_ = mistakes.last_layers(model)
    assert (model.named_layers()[path] if path else model) is layer
    assert place == path
    assert (f"layer {path}, {layer!r}, but" if path else f"ends in {layer!r}, but") in one(
        model, CE
    )


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (net(), CE),
        (net(nn.LogSoftmax()), CE),  # idempotent
        (net(nn.Tanh()), CE),
        (net(nn.Softmax()), nn.MSELoss()),
        (net(nn.Sigmoid()), nn.BCELoss()),
        (nn.Sequential(nn.Linear(4, 4), nn.Residual(nn.ReLU())), CE),  # x + relu(x) is no relu
        (nn.Concat(net(nn.Softmax()), nn.Linear(4, 4)), CE),
        (nn.Sequential(), CE),
    ],
)
def test_no_alarm_for_what_ends_right(model, loss):
    assert told(model, loss) == []


class Stretched(nn.Sigmoid):
    """From −10 to 10."""

    def function(self, x):
        y, *saved = super().function(x)
        return 20 * y - 10, *saved


class StretchedNet(nn.Sequential):
    def forward(self, x):
        return 20 * super().forward(x) - 10


class BytesLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x / 255)


class Net(nn.Sequential):
    """Only a constructor of its own, as most."""

    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.Softmax())


def test_no_alarm_for_subclasses_that_compute_something_else():
    assert told(net(Stretched()), CE) == []
    assert told(StretchedNet(*net(nn.Sigmoid())), CE) == []
    assert told(nn.Sequential(net(), StretchedNet(nn.Sigmoid())), CE) == []
    assert told(nn.Sequential(BytesLinear(4, 3)), CE, BYTES, Y) == []
    assert one(Net(), CE).startswith("the model ends in layer 1, Softmax()")
    assert len(told(Net(), CE, BYTES, Y)) == 2


def test_losses_of_log_probabilities():
    text = one(net(), NLL, X, Y)
    assert "the exponentials of the model's outputs sum to" in text
    assert text.endswith("end the model in LogSoftmax(); or use CrossEntropyLoss, which takes raw "
                         "scores")  # fmt: skip
    assert "LogSoftmax()" in one(net(nn.Softmax()), NLL, X, Y)  # probabilities, not their logs
    soft = np.full((40, 3), 1 / 3, np.float32)
    assert one(net(), nn.KLDivLoss(), X, soft).endswith("end the model in LogSoftmax()")
    assert told(net(nn.LogSoftmax()), NLL, X, Y) == []
    assert told(net(nn.LogSoftmax()), nn.KLDivLoss(), X, soft) == []


def test_padding_is_not_looked_at():
    x = nn.Padded(RNG.standard_normal((5, 6, 4)).astype(np.float32), np.arange(1, 6))
    model = nn.Sequential(nn.GRU(4, 3), nn.LogSoftmax(), nn.GRU(3, 3))
    y = np.zeros((5, 6), int)
    assert len(told(model, NLL, x, y)) == 1
    model = nn.Sequential(nn.GRU(4, 3), nn.LogSoftmax())
    assert told(model, NLL, x, y) == []


# -- layers ------------------------------------------------------------------------------------


class Dense(nn.Layer):
    """A learner's layer, whose arrays are no Parameters."""

    def __init__(self, name, value):
        setattr(self, name, value)

    def forward(self, x):
        self.save_for_backward(x)
        return x

    def backward(self, grad_output):
        self.saved()
        return grad_output


@pytest.mark.parametrize("name", ["w", "W", "weight", "weights", "b", "bias"])
def test_raw_weights(name):
    model = nn.Sequential(nn.Linear(4, 4), Dense(name, np.zeros(4)))
    text = one(model, CE)
    assert text.startswith(f"{name} of layer 1, Dense(")
    assert f"self.{name} = nn.Parameter(...)" in text
    assert "nn.Buffer(...)" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("w", nn.Parameter(np.zeros(4))),
        ("w", nn.Buffer(np.zeros(4))),
        ("scale", np.zeros(4)),
        ("_w", np.zeros(4)),
        ("w", np.arange(4)),
        ("w", 3.0),
    ],
)
def test_no_alarm_for_other_attributes(name, value):
    assert told(nn.Sequential(nn.Linear(4, 3), Dense(name, value)), CE) == []


class Fixed(Dense):
    def __init__(self, weights):
        self.weights = weights


def test_no_alarm_for_constructor_arguments():
    assert told(nn.Sequential(nn.Linear(4, 4), Fixed(np.ones(4, np.float32))), CE) == []


def test_a_frozen_layer_that_fit_would_unfreeze():
    norm = nn.BatchNorm1d(8)
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(norm, nn.ReLU()), nn.Linear(8, 3))
    model.eval()
    assert told(model, CE) == []
    model.train()
    norm.eval()
    assert told(model, CE) == []  # fit keeps it
    for _ in range(2):
        model.eval()
        text = one(model, CE)
        assert text.startswith("layer 1.0, BatchNorm1d(8) was in eval mode before model.eval()")
        assert "call model.train() before fit" in text
    model.predict(X)
    model.train()  # the script's own decision
    model.eval()
    assert told(model, CE) == []


def test_frozen_layers_are_counted_and_linear_ones_do_not_matter():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout()))
    model[0].eval()
    model.eval()
    assert one(model, CE).startswith("layer 0.1, BatchNorm1d(8) and 1 more was in eval mode")
    model = net()
    model[0].eval()
    model.eval()
    assert told(model, CE) == []


class Shift(nn.Layer):
    """y = x + c, with whatever c is."""

    def __init__(self, c):
        self.c = c

    def forward(self, x):
        self.save_for_backward()
        return x + self.c

    def backward(self, grad_output):
        self.saved()
        return grad_output


def test_a_layer_that_widens():
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(Shift(np.float64(1))), nn.Linear(8, 3))
    text = one(model, CE, X, Y)
    assert text.startswith("layer 1.0, Shift(")
    assert "turns float32 into float64" in text
    assert "return y.astype(x.dtype)" in text
    for c in (1.0, np.float32(1), np.ones(8, np.float32)):
        model = nn.Sequential(nn.Linear(4, 8), Shift(c), nn.Linear(8, 3))
        assert told(model, CE, X, Y) == []
        wide = model.astype(np.float64)
        assert told(wide, CE, X.astype(np.float64), Y) == []


class LastStep(nn.Layer):
    """The last step of an LSTM that returns its states beside it."""

    def __init__(self):
        self.lstm = nn.LSTM(4, 3, return_state=True)

    def forward(self, x):
        y, _ = self.lstm.forward(x)
        self.save_for_backward()
        return y[:, -1]


def test_a_layer_that_widens_behind_one_that_returns_states():
    model = nn.Sequential(LastStep(), Shift(np.float64(1)))
    assert one(model, CE, X[:, None], Y).startswith("layer 1, Shift(")


def test_looking_for_a_layer_that_widens_leaves_those_who_watch_alone():
    model, seen = nn.Sequential(nn.Linear(4, 3), Shift(np.float64(1))), []
    end = watch(model[0], lambda x, y: seen.append(x))
    told(model, CE, X, Y)
    seen.clear()
    model(X)
    end()
    assert len(seen) == 1


# -- data --------------------------------------------------------------------------------------

BYTES = RNG.integers(0, 256, (40, 4)).astype(np.float32)
BYTES[0, 0] = 255


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (net(), BYTES),
        (nn.Sequential(nn.Flatten(), net()), BYTES.reshape(40, 2, 2)),
        (nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(2, 3)),
         BYTES.reshape(40, 2, 2, 1)),
    ],
)  # fmt: skip
def test_images_of_bytes(model, x):
    text = one(model, CE, x, Y)
    assert text.startswith("x holds whole numbers from ")
    assert "use x / 255" in text


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (net(), BYTES / 255),
        (net(), BYTES - 128),
        (net(), BYTES + 0.25),
        (net(), BYTES * 2),
        (net(), np.minimum(BYTES, 120)),
        (nn.Sequential(nn.BatchNorm1d(4), net()), BYTES),
        (nn.Sequential(nn.LayerNorm(4), net()), BYTES),
        (nn.Sequential(Shift(np.float32(-128)), net()), BYTES),
        (nn.Sequential(nn.Embedding(256, 3), nn.MeanOverTime()), BYTES.astype(int)),
    ],
)
def test_no_alarm_for_other_inputs(model, x):
    assert told(model, CE, x, Y) == []


@pytest.mark.parametrize(
    ("loss", "y", "weight", "words"),
    [
        (CE, Y, np.zeros(40), "all sample weights"),
        (nn.MSELoss(), X[:, :3], np.zeros(40), "all sample weights"),
        (CE, np.full(40, -100), None, "no target counts for CrossEntropyLoss()"),
        (nn.CrossEntropyLoss(ignore_index=1), np.ones(40, int), None, "ignore_index"),
        (nn.CrossEntropyLoss(weight=[0, 0, 1]), Y % 2, None, "have weight 0"),
        (nn.CrossEntropyLoss(ignore_index=1), Y % 2, (Y % 2 == 1) * 1.0, "no target counts"),
    ],
)
def test_nothing_to_learn(loss, y, weight, words):
    text = one(net(), loss, X, y, weight)
    assert words in text
    assert "the loss is 0 and nothing is learned" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_data(net(), loss, X, y, np.ones(40), complete=False)


@pytest.mark.parametrize(
    ("loss", "y", "weight"),
    [
        (CE, Y, (Y == 2) * 1.0),
        (CE, np.where(np.arange(40) == 39, 0, -100), None),
        (nn.CrossEntropyLoss(weight=[0, 0, 1]), Y, None),
        (CE, np.eye(3, dtype=np.float32)[Y], None),
    ],
)
def test_no_alarm_where_one_row_counts(loss, y, weight):
    assert told(net(), loss, X, y, weight) == []


def test_steps_of_sequences_that_do_not_count():
    x, model = RNG.standard_normal((5, 6, 4)).astype(np.float32), nn.Linear(4, 3)
    y = np.full((5, 6), -100)
    y[2, 3] = 1
    weight = np.ones(5)
    assert told(model, CE, x, y, weight) == []
    weight[2] = 0
    assert "no target counts" in one(model, CE, x, y, weight)


def test_rows_that_load_and_several_inputs():
    class Lazy:
        def __init__(self):
            self.loaded = set()

        def __len__(self):
            return 40

        def __getitem__(self, index):
            self.loaded.add(index)
            return X[index]

    lazy = Lazy()
    data = rows_module.as_source("x", lazy)
    assert told(net(), CE, data, Y) == []
    assert lazy.loaded == {0}
    assert "LogSoftmax" in one(net(), NLL, data, Y)

    class Sum(nn.Layer):
        def forward(self, x):
            self.save_for_backward()
            return x[0] + x[1]

        def backward(self, grad_output):
            self.saved()
            return grad_output, grad_output

    model = nn.Sequential(Sum(), nn.Linear(4, 3))
    assert told(model, CE, (X, X), Y) == []
    assert "LogSoftmax" in one(model, NLL, (X, X), Y)


def test_nothing_is_changed():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    before = model.state_dict()
    drawn = model[2].rng.bit_generator.state
    assert len(told(model, NLL, BYTES, Y, np.zeros(40))) == 3
    for path, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[path])
    assert model[2].rng.bit_generator.state == drawn
    assert all(layer.training for layer in model.named_layers().values())


# -- resumed runs ------------------------------------------------------------------------------


def describe(loss=CE, lr=0.1, **options):
    model = nn.Linear(4, 3)
    return mistakes.description(model, loss, nn.SGD(model.parameters(), lr=lr, **options))


def test_equal_descriptions():
    assert mistakes.differences(describe(), describe()) == []
    for lr in (nn.CosineSchedule(0.1, steps=5), lambda k: 0.1):
        assert mistakes.differences(describe(lr=lr), describe(lr=lr)) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mistakes.warn_of_differences(describe(), describe())


def test_differences_in_plain_words():
    saved, now = describe(), describe(nn.CrossEntropyLoss(label_smoothing=0.1), 0.01)
    saved |= {"threads": {}, "cores": 2}
    now |= {"threads": {"OMP_NUM_THREADS": "1"}, "cores": 8}
    assert mistakes.differences(saved, now) == [
        "loss CrossEntropyLoss() in the file, CrossEntropyLoss(label_smoothing=0.1) now",
        "lr 0.1 in the file, 0.01 now",
        "threads not set in the file, OMP_NUM_THREADS=1 now",
        "cores 2 in the file, 8 now",
    ]
    schedule = describe(lr=nn.ConstantSchedule(0.1))
    assert mistakes.differences(describe(), schedule) == [
        "lr 0.1 in the file, ConstantSchedule(0.1) now"
    ]
    assert mistakes.differences({"loss": "a"}, {"lr": [1]}) == []  # a file of another version


def test_differences_are_told_once():
    with pytest.warns(nn.ModelWarning, match="the resumed run differs.*set optimizer.lr") as caught:
        mistakes.warn_of_differences(describe(lr=0.1), describe(BCE, lr=0.2))
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(nn.ModelWarning, match="loss Cross.* bit for bit.$"):
        mistakes.warn_of_differences(describe(), describe(BCE))


def squashed_trainer(lr=0.01, loss=None, last=nn.Softmax):
    nn.seed(0)
    model = nn.Sequential(nn.Linear(4, 3), *([] if last is None else [last()]))
    optimizer = nn.Adam(model.parameters(), lr=lr)
    return nn.Trainer(model, loss or nn.CrossEntropyLoss(), optimizer)


def rows(count=40):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 4)).astype(np.float32), rng.integers(0, 3, count)


def test_fit_warns_once_before_the_first_update():
    x, y = rows()
    with pytest.warns(nn.ModelWarning, match="the model ends in layer 1, Softmax") as caught:
        squashed_trainer().fit(x, y, epochs=3, verbose=False)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_fit_warns_of_what_the_first_batch_of_a_stream_shows():
    _, y = rows()
    images = np.tile(np.arange(0, 256, 85, dtype=np.float32), (40, 1))

    def stream(rng):
        yield images, y
        yield images, y

    with pytest.warns(nn.ModelWarning, match="x holds whole numbers from 0 to 255") as caught:
        squashed_trainer(last=None).fit(stream, epochs=2, verbose=False)
    assert len(caught) == 1


@pytest.mark.parametrize("how", ["load", "resume"])
def test_a_script_that_differs_from_the_file_is_told(how, tmp_path):
    x, y = rows()
    path = tmp_path / "run.npz"
    first = squashed_trainer(last=None)
    first.fit(x, y, epochs=1, verbose=False, callbacks=[nn.Checkpoint(path)])
    other = squashed_trainer(lr=0.5, loss=nn.CrossEntropyLoss(label_smoothing=0.1), last=None)

    def go_on():
        if how == "load":
            other.load(path)
        other.fit(x, y, epochs=2, verbose=False, resume=path if how == "resume" else None)

    words = r"loss CrossEntropyLoss\(\) in the file, .*; lr 0.01 in the file, 0.5 now"
    with pytest.warns(nn.ModelWarning, match=words) as caught:
        go_on()
    assert len(caught) == 1
    assert other.optimizer.lr == 0.01


def test_a_rate_that_a_callback_changes_is_no_difference(tmp_path):
    class Halve(nn.Callback):
        def on_epoch_end(self, trainer):
            trainer.optimizer.lr /= 2

    path = tmp_path / "run.npz"
    for epochs in (2, 3, 4):  # the same script, again and again
        trainer = squashed_trainer(lr=0.01, last=None)
        callbacks = [Halve(), nn.Checkpoint(path)]
        trainer.fit(*rows(), epochs=epochs, verbose=False, callbacks=callbacks, resume="auto")
        assert trainer.optimizer.lr == 0.01 / 2**epochs


def test_streams_to_measure_with_are_not_told_of():
    _, y = rows()
    images = np.tile(np.arange(0, 256, 85, dtype=np.float32), (40, 1))

    def stream(rng):
        yield images, y

    trainer = squashed_trainer(last=None)
    trainer.evaluate(stream)
    with pytest.warns(nn.ModelWarning, match="x holds whole numbers") as caught:
        trainer.fit(stream, validation_data=stream, verbose=False)
    assert len(caught) == 1


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_stateful_layer_on_shuffled_rows(shuffle):
    model = nn.Sequential(nn.LSTM(2, 4, stateful=True), nn.LastStep(), nn.Linear(4, 1))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    x = np.random.default_rng(0).standard_normal((8, 3, 2)).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(x, x[:, 0, :1], epochs=2, batch_size=4, shuffle=shuffle, verbose=False)
    assert [str(warning.message).split(":")[0] for warning in caught] == shuffle * [
        "layer 0, LSTM(2, 4, stateful=True) is stateful"
    ]
