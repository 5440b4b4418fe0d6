"""Containers: structure, places in error messages, slots after an error, input gradients."""

import numpy as np
import pytest

import nnlite as nn
from nnlite.training.feeding import ArrayDataset


class Broken(nn.Layer):
    """Fails in forward or in backward, with whatever error it is given."""

    def __init__(self, error, late=False):
        self.error = error
        self.late = late

    def forward(self, x):
        if not self.late:
            raise self.error
        self.save_for_backward()
        return x

    def backward(self, grad_output):
        raise self.error


def nested(inner):
    return nn.Sequential(nn.Identity(), nn.Residual(nn.Sequential(nn.Identity(), inner)))


def slots(model):
    return [layer._slot for layer in model.named_layers().values()]


def test_sequential_is_like_a_tuple():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    net = nn.Sequential(*layers)
    assert len(net) == 3
    assert list(net) == layers
    assert net[0] is layers[0]
    assert net[-1] is layers[-1]
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]) == layers[1:]
    with pytest.raises(TypeError):
        net[0] = nn.ReLU()


def test_the_place_of_an_error_reads_as_one_path():
    net = nested(nn.Linear(64, 10))
    with pytest.raises(ValueError, match="expected") as caught:
        net(np.zeros((32, 128), np.float32))
    assert str(caught.value) == (
        "in Sequential layer 1 › Residual branch › Sequential layer 1 › Linear(64, 10): "
        "expected (N, 64), got (32, 128)"
    )
    assert all(slot is None for slot in slots(net))


@pytest.mark.parametrize("kind", [ValueError, TypeError, RuntimeError])
@pytest.mark.parametrize("late", [False, True])
def test_errors_keep_their_type_and_gain_a_place(kind, late):
    error = kind("no")
    net = nested(Broken(error, late))
    x = np.ones((2, 3), np.float32)
    with pytest.raises(kind) as caught:
        net.backward(net(x))
    assert caught.value is error
    assert str(error).startswith(
        "in Sequential layer 1 › Residual branch › Sequential layer 1 › Br"
    )
    assert str(error).endswith(": no")
    assert all(slot is None for slot in slots(net))


def test_numpys_own_errors_gain_a_place():
    class Careless(nn.Layer):
        def forward(self, x):
            return x @ np.ones((9, 9))

    with pytest.raises(ValueError, match=r"in Sequential layer 1 › Careless\(\): matmul"):
        nn.Sequential(nn.Identity(), Careless())(np.ones((2, 3)))


def test_other_errors_pass_untouched():
    with pytest.raises(KeyError) as caught:
        nested(Broken(KeyError("k")))(np.ones((2, 3)))
    assert caught.value.args == ("k",)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", [FloatingPointError, IndexError, KeyError, KeyboardInterrupt])
def test_whatever_stops_a_pass_empties_every_slot(kind, late):
    class Block(nn.Layer):
        """A layer around layers, without any container of the library."""

        def __init__(self):
            self.inner = [nn.Tanh()]

        def forward(self, x):
            y = self.inner[0].forward(x)
            self.save_for_backward()
            return y

        def backward(self, grad_output):
            self.saved()
            return self.inner[0].backward(grad_output)

    net = nn.Sequential(nn.Linear(3, 3), Block(), nn.Concat(nn.ReLU(), Broken(kind("no"), late)))
    x = np.ones((2, 3), np.float32)
    with pytest.raises(kind):
        net.backward(np.ones_like(net(x)))
    assert all(slot is None for slot in slots(net))


@pytest.mark.parametrize("join", [nn.Add, nn.Concat])
def test_branches_that_do_not_fit_leave_no_slot_filled(join):
    net = join(nn.Tanh(), nn.Reshape(1, 3))
    with pytest.raises(ValueError, match="branches must"):
        net(np.ones((2, 3), np.float32))
    assert all(slot is None for slot in slots(net))


def test_a_message_of_ones_own_that_begins_like_a_place_keeps_its_layer():
    with pytest.raises(ValueError, match=r"in Sequential layer 0 › Broken\(.*: in the end, no"):
        nn.Sequential(Broken(ValueError("in the end, no")))(np.ones((2, 3)))


def test_a_shortcut_can_be_given_later():
    net, x = nn.Residual(nn.Linear(3, 3)), np.ones((2, 3), np.float32)
    net.shortcut = nn.Linear(3, 3)
    np.testing.assert_allclose(net(x), net.branch(x) + net.shortcut(x))
    net.shortcut = None
    np.testing.assert_allclose(net(x), net.branch(x) + x)


def test_backward_without_forward_names_the_container():
    with pytest.raises(RuntimeError, match=r"^Sequential: .*call forward first"):
        nn.Sequential(nn.ReLU())[0:1].backward(np.ones(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda layer: nn.Sequential(layer, layer),
        lambda layer: nn.Sequential(layer, nn.Residual(layer)),
        lambda layer: nn.Residual(layer, layer),
        lambda layer: nn.Concat(layer, nn.Sequential(layer)),
        lambda layer: nn.Add(nn.Sequential(layer), nn.Sequential(layer)),
    ],
)
def test_the_same_layer_twice_is_refused(make):
    with pytest.raises(ValueError, match=r"Linear\(2, 2\) stands in .* share the Parameter"):
        make(nn.Linear(2, 2))


@pytest.mark.parametrize("thing", [nn.ReLU, "relu", None, np.tanh])
def test_what_is_not_a_layer_is_refused(thing):
    with pytest.raises(TypeError, match=r"layers\[1\] must be a Layer"):
        nn.Sequential(nn.Identity(), thing)


def test_branches_that_do_not_fit():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="at least one branch"):
        nn.Concat()
    with pytest.raises(ValueError, match=r"same shape, got \[\(2, 4\), \(2, 3\)\]"):
        nn.Residual(nn.Linear(3, 4))(x)
    with pytest.raises(ValueError, match="all axes but the last"):
        nn.Concat(nn.Identity(), nn.Reshape(1, 3))(x)
    with pytest.raises(ValueError, match="3 values, which do not fit"):
        nn.Reshape(2, 2)(x)
    with pytest.raises(ValueError, match="expected 3 axes"):
        nn.Permute(2, 1)(x)
    with pytest.raises(ValueError, match="even length"):
        nn.GLU()(x)


class Recorder(nn.Layer):
    """Remembers whether its input gradient was asked for."""

    def __init__(self, features=0):
        self.features = features
        if features:
            self.weight = nn.Parameter(np.ones(features))

    def forward(self, x):
        self.save_for_backward()
        return x

    def backward(self, grad_output):
        self.saved()
        self.asked = self.needs_input_grad
        return grad_output if self.needs_input_grad else None


def test_input_gradients_are_skipped_below_the_lowest_parameter():
    below, first, between, last = Recorder(), Recorder(2), Recorder(), Recorder(2)
    net = nn.Sequential(below, first, nn.Sequential(between, nn.Residual(last)))
    x = np.ones((3, 2), np.float32)
    net.needs_input_grad = False
    net(x)
    assert net.backward(x) is None
    assert not hasattr(below, "asked")
    assert (first.asked, between.asked, last.asked) == (False, True, True)
    assert all(slot is None for slot in slots(net))
    net.needs_input_grad = True
    net(x)
    assert net.backward(x) is not None
    assert below.asked
    assert first.asked


def test_layers_are_looked_up_at_each_call():
    net = nn.Sequential(nn.Identity())
    net[0].forward = lambda x: x + 1
    assert (net(np.zeros((1, 1))) == 1).all()


def two_inputs():
    return nn.Sequential(
        nn.Parallel(
            nn.Linear(4, 3), nn.Sequential(nn.Embedding(7, 5), nn.LSTM(5, 3), nn.LastStep())
        ),
        nn.Join(),
        nn.Linear(6, 2),
    )


def test_a_model_with_two_inputs_learns_validates_predicts_and_resumes(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((90, 4)).astype(np.float32)
    tokens = rng.integers(0, 7, (90, 6))
    padded = nn.Padded(tokens, rng.integers(1, 7, 90))
    y = (numbers[:, 0] + (tokens[:, 0] > 3) > 0.5).astype(int)

    def run(resume=None, stop=None):
        nn.seed(0)
        model = two_inputs()
        trainer = nn.Trainer(
            model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), 0.01), [nn.Accuracy()]
        )
        stops = nn.LambdaCallback(
            on_step_end=lambda t: t.optimizer.steps == stop and setattr(t, "interrupted", True)
        )
        trainer.fit(
            (numbers, padded), y, epochs=8, batch_size=16, validation_split=0.2, verbose=False,
            callbacks=[stops, nn.Checkpoint(tmp_path / "run.npz")], resume=resume,
        )  # fmt: skip
        return trainer

    whole = run()
    assert whole.history["loss"][-1] < whole.history["loss"][0]
    run(stop=13)
    assert run(resume="auto").fingerprint() == whole.fingerprint()
    scores = whole.model.predict((numbers, padded), batch_size=7)
    with nn.inference():
        np.testing.assert_allclose(scores, whole.model.eval()((numbers, padded)), rtol=2e-5)
    measured = whole.evaluate((numbers, padded), y)
    assert measured["accuracy"] == np.mean(scores.argmax(axis=-1) == y)

    def stream(rng):
        yield (numbers[:30], padded[:30]), y[:30]

    whole.fit(stream, epochs=1, verbose=False)


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.zeros((5, 4), np.float32), TypeError, "Parallel: expected x as a tuple of 2 arrays"),
        ((np.zeros((5, 4), np.float32),), ValueError, "Parallel: expected x as 2 arrays, got 1"),
        (
            (np.zeros((5, 3), np.float32), np.zeros((5, 6), int)),
            ValueError,
            r"Parallel input 0 › Linear\(4, 3\): expected \(N, 4\)",
        ),
    ],
)
def test_several_inputs_that_do_not_fit(x, error, match):
    with pytest.raises(error, match=match):
        two_inputs()(x)


def test_inputs_of_different_lengths_are_named():
    model = two_inputs()
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    x = np.zeros((5, 4), np.float32), np.zeros((4, 6), int)
    with pytest.raises(ValueError, match=r"x\[1\] has 4 rows and y has 5"):
        trainer.fit(x, np.zeros(5, int))
    with pytest.raises(ValueError, match=r"^x: .* same number of rows, at least 1, got \[5, 4\]"):
        model.predict(x)


def test_only_a_tuple_is_joined_and_only_what_fits():
    with pytest.raises(TypeError, match="Join: expected a tuple of arrays, as Parallel returns it"):
        nn.Join()(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="Join: arrays must agree in all axes but the last"):
        nn.Join()((np.zeros((2, 3)), np.zeros((3, 3))))
    ends = nn.Padded(np.zeros((2, 3, 1)), [3, 2]), nn.Padded(np.zeros((2, 3, 1)), [3, 1])
    with pytest.raises(ValueError, match="must agree in where Padded sequences end"):
        nn.Join()(ends)
    joined = nn.Join()((ends[0], ends[0]))
    assert joined.shape == (2, 3, 2)
    assert joined.lengths.tolist() == [3, 2]


def test_errors_inside_a_stack_name_the_level():
    stack = nn.Sequential(nn.LSTM(3, 4, num_layers=2))
    stack[0].above[0].weight_ih = nn.Parameter(np.zeros((5, 16)))
    with pytest.raises(ValueError, match=r"in Sequential layer 0 › LSTM layer 1 › LSTM\(4, 4"):
        stack(np.zeros((2, 3, 3), np.float32))


class Loads:
    """Loads a row at a time."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number]


def test_several_inputs_may_load_their_rows():
    model = two_inputs()
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    numbers = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    tokens = np.arange(60).reshape(10, 6) % 5
    x = Loads(numbers), Loads(tokens)
    trainer.fit(x, np.arange(10) % 2, validation_split=0.2, verbose=False)
    np.testing.assert_array_equal(model.predict(x), model.predict((numbers, tokens)))


def test_a_model_with_several_outputs_is_refused_before_training():
    model = nn.Parallel(nn.Linear(2, 2), nn.Linear(2, 2))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    x = np.zeros((4, 2), np.float32)
    for data in ((x, x), x), (lambda rng: [((x, x), x)],):
        with pytest.raises(TypeError, match=r"Parallel: expected one output, got a tuple of 2"):
            trainer.fit(*data, verbose=False)


def test_balanced_classes_of_several_padded_inputs():
    layers = nn.Parallel(nn.LSTM(3, 2, rng=0), nn.Linear(3, 2, rng=0)), nn.Join(), nn.Linear(4, 2)
    model = nn.Sequential(*layers)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))
    x = nn.Padded(np.ones((2, 3, 3), np.float32), [3, 1])
    y = np.array([[0, 0, 1], [0, 1, 1]])  # without the padding 3 zeros and 1 one
    data = ArrayDataset.checked(model, trainer.loss, (x, x), y, class_weight="balanced")
    assert data.class_weight == {0: 4 / 6, 1: 4 / 2}
    trainer.fit((x, x), y, class_weight="balanced", verbose=False)


@pytest.mark.parametrize("look", [nn.check_gradients, nn.jacobian])
def test_who_looks_at_one_input_says_so(look):
    x = np.zeros((2, 4)), np.zeros((2, 4))
    with pytest.raises(TypeError, match=f"{look.__name__}: expected x as one array, got a tuple"):
        look(nn.Parallel(nn.Linear(4, 1), nn.Linear(4, 1)), x)
