"""The mode belongs to the thread: evaluation is seen by its own alone, and writes to no layer."""

import copy
import pickle
import threading

import numpy as np
import pytest

import nnlite as nn
from nnlite.layers.structure import watch
from nnlite.ops import threads

RNG = np.random.default_rng(0)


def together(*works):
    """Run each in a thread of its own, all begun at once; results in order."""
    outcomes = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(place, work):
        start.wait()
        try:
            outcomes[place] = work()
        except BaseException as error:
            outcomes[place] = error

    running = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def elsewhere(work):
    """The result of a call in another thread."""
    return together(work)[0]


def everything(model):
    """What the layers themselves hold, without what a thread sees in its place."""
    layers = model.named_layers().values()
    return [{**vars(layer)} for layer in layers], model.state_dict()


def assert_untouched(model, before):
    held, state = everything(model)
    for ours, theirs in zip(held, before[0], strict=True):
        assert ours.keys() == theirs.keys()
        assert all(ours[name] is theirs[name] for name in ours)
    for path, value in state.items():
        np.testing.assert_array_equal(value, before[1][path])


def noisy():
    """A model that answers otherwise in training mode."""
    nn.seed(1)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)
    )


# -- what a thread sees ------------------------------------------------------------------------


def test_evaluation_writes_to_no_layer():
    model = noisy()
    before = everything(model)
    with model.evaluation():
        assert not any(layer.training for layer in model.named_layers().values())
        assert elsewhere(lambda: [layer.training for layer in model]) == [True] * 5
        model(np.ones((2, 6), np.float32))
        assert_untouched(model, before)
        with pytest.raises(ValueError, match="Linear"):
            model(np.ones((2, 5), np.float32))
    model.predict(np.ones((2, 6), np.float32))
    assert_untouched(model, before)
    assert all(layer.training for layer in model.named_layers().values())


def test_assignments_inside_are_gone_afterwards_and_before_it_they_stay():
    model = noisy()
    model[3].training = False
    with model.evaluation():
        model[3].train()
        assert [layer.training for layer in model] == [False] * 3 + [True, False]
        assert elsewhere(lambda: model[3].training) is False
    assert [layer.training for layer in model] == [True] * 3 + [False, True]
    model.eval()
    with model.evaluation():
        pass
    assert not any(layer.training for layer in model)
    model.train()
    assert all(layer.training for layer in model)


def test_evaluations_nest_and_overlap():
    model = noisy()
    with model.evaluation():
        with model[3].evaluation():
            model[3].training = True
            with pytest.raises(ZeroDivisionError), model.evaluation():
                raise ZeroDivisionError
            assert model[3].training
        assert not model[3].training

    def hold(layer):
        with layer.evaluation():
            yield

    first, second = hold(model), hold(model[3])
    next(first)
    next(second)
    first.close()  # not the last one that began
    assert [layer.training for layer in model] == [True] * 3 + [False, True]
    second.close()
    assert all(layer.training for layer in model)
    third = hold(model)
    next(third)
    elsewhere(third.close)
    assert all(layer.training for layer in model)


def test_threads_that_come_later_see_nothing_of_it():
    model, x = noisy(), np.ones((4, 6), np.float32)
    for _ in range(20):  # thread and layer ids are used again
        elsewhere(lambda: model.predict(x))
        assert elsewhere(lambda: [layer.training for layer in model]) == [True] * 5
        fresh = nn.Dropout()
        assert fresh.training
        with nn.Sequential(nn.Dropout()).evaluation():
            assert nn.Dropout().training


def test_a_layer_of_users_reads_its_own():
    class Doubling(nn.Layer):
        def __init__(self):  # no super().__init__()
            self.calls = []

        def forward(self, x):
            self.calls.append(self.training)
            return 2 * x if self.training else x

    class Still(nn.Layer):
        training = False
        carried = 3

        def forward(self, x):
            return x + self.carried

    layer, x = Doubling(), np.ones((1, 1), np.float32)
    assert layer(x) == 2
    assert nn.Sequential(layer).predict(x) == 1
    assert layer(x) == 2
    assert layer.calls == [True, False, True]
    still = Still()
    assert (still.training, still.carried) == (False, 3)
    with still.evaluation():
        assert still.carried is None
        still.train()
        assert still.training
    assert (still.training, still.carried) == (False, 3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_made_of_what_is_seen(copied):
    model = nn.Sequential(nn.LSTM(2, 3, stateful=True), nn.Dropout())
    model[1].eval()
    model(np.ones((1, 4, 2), np.float32))
    twin = copied(model)
    assert [layer.training for layer in twin] == [True, False]
    np.testing.assert_array_equal(twin[0].carried, model[0].carried)
    with model.evaluation():
        inside = copied(model)
    assert [layer.training for layer in inside] == [False, False]
    assert inside[0].carried is None
    inside.train()
    assert [layer.training for layer in model] == [True, False]


def test_files_keep_the_modes(tmp_path):
    model = noisy()
    model[1].eval()
    nn.save_model(model, tmp_path / "model.npz")
    other = nn.load_model(tmp_path / "model.npz")
    assert [layer.training for layer in other] == [layer.training for layer in model]


# -- many threads --------------------------------------------------------------------------------


def test_one_that_predicts_while_another_one_does():
    model, x = noisy(), RNG.standard_normal((500, 6)).astype(np.float32)
    right, before = model.predict(x), everything(model)

    def predict():
        return [model.predict(x, batch_size=7) for _ in range(10)]

    for outputs in together(*[predict] * 16):
        for y in outputs:
            np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-6)
    assert_untouched(model, before)


def test_many_predict_while_one_trains():
    x = RNG.standard_normal((256, 6)).astype(np.float32)
    y = RNG.integers(0, 3, 256)

    def trained(beside):
        """The weights after two epochs, and what the other threads said meanwhile."""
        model = noisy()
        optimizer = nn.Adam(model.parameters(), lr=0.01)
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, rng=3)
        ended, modes, errors = threading.Event(), [], []

        def train():
            try:
                trainer.fit(x, y, epochs=2, verbose=False)
                modes.append([layer.training for layer in model])
            finally:
                ended.set()

        def predict():
            while True:
                assert np.isfinite(model.predict(x, batch_size=50)).all()
                try:
                    model.predict(x[:, :5])
                except ValueError as error:
                    errors.append(error)
                copy.deepcopy(model)
                if ended.is_set():
                    return

        together(train, *[predict] * beside)
        assert modes == [[True] * 5]
        assert len(errors) >= beside
        return model.state_dict()

    alone, accompanied = trained(0), trained(16)
    for path, value in alone.items():
        np.testing.assert_array_equal(accompanied[path], value)


def test_a_backward_finds_its_own_forward_and_gradient():
    model, x = noisy(), RNG.standard_normal((4, 6)).astype(np.float32)
    twin = copy.deepcopy(model)
    g = np.ones((4, 3), np.float32)
    for net, meanwhile in ((twin, lambda: None), (model, lambda: predict_and_look(model, x))):
        net.zero_grad()
        net(x)
        elsewhere(meanwhile)
        net.backward(g)
    for ours, expected in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(ours.grad, expected.grad)


def predict_and_look(model, x):
    """Everything that leaves the model in hand alone."""
    loss, y = nn.CrossEntropyLoss(), np.zeros(len(x), int)
    model.predict(x)
    with pytest.raises(ValueError, match="Linear"):
        model.predict(x[:, :2])
    nn.check_gradients(model, x)
    nn.trace(model, loss, x, y)
    nn.jacobian(model, x)
    nn.audit(model, loss, x, y)
    nn.summary(model, x.shape[1:])
    model.astype(np.float64)


def test_looking_inside_writes_nothing_at_all():
    """Not even the zeros that zero_grad has put off: another thread may be adding gradients."""
    model, x = noisy(), RNG.standard_normal((4, 6)).astype(np.float32)
    model.zero_grad()
    before = everything(model)
    memory = [{**vars(p)} for p in model.parameters()]
    for p in model.parameters():
        p._grad.fill(7)  # whatever stands there, behind the zeros
    predict_and_look(model, x)
    assert_untouched(model, before)
    for p, own in zip(model.parameters(), memory, strict=True):
        assert all(vars(p)[name] is value for name, value in own.items())
        assert (p._grad == 7).all()
        twin = copy.deepcopy(p)
        assert not twin.grad.any()
        assert twin.grad.shape == p.shape


def test_watching_is_for_one_thread():
    layer, seen = nn.ReLU(), []
    end = watch(layer, lambda x, y: seen.append(x))
    elsewhere(lambda: layer.predict(np.ones((1, 2), np.float32)))
    assert not seen
    layer(np.ones((1, 2), np.float32))
    assert len(seen) == 1
    copy.deepcopy(layer)(np.ones((1, 2), np.float32))  # its own forward, not this one's
    assert len(seen) == 1
    end()


def test_busy_threads_change_no_parts(monkeypatch):
    """Sums over parts are rounded alike whether or not another thread is at work."""
    count = [3]

    def write(value):
        count[0] = value

    monkeypatch.setattr(threads, "thread_functions", lambda: (lambda: count[0], write))
    alone = threads.over_parts(lambda part: part, 10, 10 * threads.SMALL)

    def outer(part):
        return elsewhere(lambda: threads.over_parts(lambda part: part, 10, 10 * threads.SMALL))

    assert threads.over_parts(outer, 3, 10 * threads.SMALL) == [alone] * 3
    assert len(alone) == 3
    assert count == [3]


# -- carried state -------------------------------------------------------------------------------


def stateful():
    nn.seed(2)
    return nn.Sequential(nn.LSTM(2, 3, stateful=True), nn.LastStep(), nn.Linear(3, 2))


def test_a_stateful_layer_carries_by_thread():
    model = stateful()
    x = RNG.standard_normal((60, 4, 2)).astype(np.float32)
    expected = model.predict(x, batch_size=6)
    model(x[:5])  # a state in training mode
    kept = [state.copy() for state in model[0].carried]
    for y in together(*[lambda: model.predict(x, batch_size=6)] * 4):
        np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(model[0].carried, kept)
    with model.evaluation():
        model(x[:3])
        assert model[0].carried[0].shape == (3, 3)
        model.reset_state()
        assert model[0].carried is None
        np.testing.assert_array_equal(elsewhere(lambda: model[0].carried), kept)
    np.testing.assert_array_equal(model[0].carried, kept)


def test_batches_of_a_stateful_model_have_one_size():
    model = stateful()
    x = np.ones((300, 1, 2), np.float32)
    called = []
    model[0].step = lambda *values: called.append(values)
    with pytest.raises(
        ValueError,
        match=r"LSTM\(2, 3, stateful=True\) is stateful: .* 300 rows in batches of 256 leave 44; "
        "choose a batch_size that divides 300, such as 150",
    ):
        model.predict(x)
    assert not called
    del model[0].step
    assert len(model.predict(x, batch_size=150)) == 300
    assert len(model.predict(x, batch_size=1000)) == 300
    assert len(model.predict(x[:256])) == 256
    with pytest.raises(ValueError, match=r"that divides 7, such as 1$"):
        model.predict(x[:7], batch_size=5)
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        model.predict(x, batch_size=0)


def test_decoding_belongs_to_its_thread():
    nn.seed(3)
    model = nn.Sequential(
        nn.Embedding(9, 8), nn.PositionalEncoding(8), nn.TransformerLayer(8, 2, 16, causal=True)
    )
    tokens = RNG.integers(0, 9, (2, 12))
    whole = model.predict(tokens)

    def decode():
        with nn.decoding(model):
            return np.concatenate([model(tokens[:, t : t + 1]) for t in range(12)], axis=1)

    def predict():
        return model.predict(tokens)

    for y in together(*[decode, predict] * 4):
        np.testing.assert_allclose(y, whole, rtol=1e-5, atol=1e-6)
    with nn.decoding(model):
        model(tokens[:, :5])
        np.testing.assert_allclose(model.predict(tokens), whole, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model(tokens[:, 5:]), whole[:, 5:], rtol=1e-5, atol=1e-6)
    assert all(layer.carried is None for layer in model.named_layers().values())
