"""Recurrent layers, embeddings and padded sequences: oracles, states, and what is refused."""

import copy
import math

import numpy as np
import pytest
from cases.sequences import CELLS

import nnlite as nn
from nnlite.training.diagnosis import first_non_finite

N, T, D, H = 3, 5, 4, 3


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def naive_rnn(f):
    def step(x, h, w, u, b):
        return [
            f(b[j] + sum(x[i] * w[i][j] for i in range(D)) + sum(h[i] * u[i][j] for i in range(H)))
            for j in range(H)
        ]

    return step


def naive_gru(reset_after):
    def step(x, h, w, u, b, b_hn=(0.0,) * H):
        def from_x(k):
            return b[k] + sum(x[i] * w[i][k] for i in range(D))

        def from_h(k, state):
            return sum(state[i] * u[i][k] for i in range(H))

        r = [sigmoid(from_x(j) + from_h(j, h)) for j in range(H)]
        z = [sigmoid(from_x(H + j) + from_h(H + j, h)) for j in range(H)]
        reset = [r[j] * h[j] for j in range(H)]
        new = []
        for j in range(H):
            k = 2 * H + j
            recurrent = r[j] * (from_h(k, h) + b_hn[j]) if reset_after else from_h(k, reset)
            new.append((1 - z[j]) * math.tanh(from_x(k) + recurrent) + z[j] * h[j])
        return new

    return step


def naive_lstm(x, h, w, u, b):
    h, c = h[:H], h[H:]
    a = [
        b[k] + sum(x[i] * w[i][k] for i in range(D)) + sum(h[i] * u[i][k] for i in range(H))
        for k in range(4 * H)
    ]
    i, f, g, o = (a[k * H : (k + 1) * H] for k in range(4))
    c = [sigmoid(f[j]) * c[j] + sigmoid(i[j]) * math.tanh(g[j]) for j in range(H)]
    return [sigmoid(o[j]) * math.tanh(c[j]) for j in range(H)] + c


NAIVE = {
    "RNN": naive_rnn(math.tanh),
    "RNN relu": naive_rnn(lambda a: max(a, 0.0)),
    "LSTM": naive_lstm,
    "GRU": naive_gru(reset_after=True),
    "GRU before": naive_gru(reset_after=False),
}
every_cell = pytest.mark.parametrize("cell", CELLS)


def sequences(seed=0, shape=(N, T, D)):
    return np.random.default_rng(seed).standard_normal(shape)


def of(cell, **options):
    layer = CELLS[cell](**options).astype(np.float64)
    for parameter in layer.parameters():
        parameter.data = np.random.default_rng(parameter.size).standard_normal(parameter.shape)
    return layer


def states_of(layer, seed=5):
    shape = (layer.num_layers, N, H)
    rng = np.random.default_rng(seed)
    drawn = tuple(rng.standard_normal(shape) for _ in range(layer.state_count))
    return drawn if layer.state_count == 2 else drawn[0]


def arrays(state):
    return list(state) if isinstance(state, tuple) else [state]


@every_cell
def test_one_number_at_a_time(cell):
    layer, x = of(cell), sequences()
    weights = [parameter.data.tolist() for parameter in layer.parameters()]
    y = layer(x)
    for n in range(N):
        state = [0.0] * (H * layer.state_count)
        for t in range(T):
            state = NAIVE[cell](x[n, t].tolist(), state, *weights)
            np.testing.assert_allclose(y[n, t], state[:H], rtol=1e-12, atol=1e-14)


@every_cell
def test_a_sequence_cut_in_two_goes_on_from_its_state(cell):
    whole = of(cell, num_layers=2, return_state=True)
    x, start = sequences(), states_of(whole)
    y, final = whole(x, start)
    first, middle = whole(x[:, :2], start)
    second, end = whole(x[:, 2:], middle)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), y, rtol=1e-12)
    for ours, expected in zip(arrays(end), arrays(final), strict=True):
        assert ours.shape == (2, N, H)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
    np.testing.assert_array_equal(arrays(final)[0][-1], y[:, -1])


@every_cell
@pytest.mark.parametrize("padded", [False, True])
def test_gradients_of_states_are_the_slopes(cell, padded):
    layer = of(cell, num_layers=2, return_state=True)
    x = nn.Padded(sequences(), [2, 5, 1]) if padded else sequences()
    start = states_of(layer)
    r_y = sequences(1, (N, T, H))
    r_state = states_of(layer, seed=6)

    def objective():
        y, final = layer(x, start)
        total = ((y.data if padded else y) * r_y).sum()
        pairs = zip(arrays(final), arrays(r_state), strict=True)
        return total + sum((a * b).sum() for a, b in pairs)

    layer.zero_grad()
    objective()
    d_x, d_start = layer.backward((r_y, r_state))
    pairs = [((x.data if padded else x), d_x), *zip(arrays(start), arrays(d_start), strict=True)]
    pairs += [(p.data, p.grad) for p in layer.parameters()]
    for data, gradient in pairs:
        numeric = np.empty_like(data)
        for index in np.ndindex(data.shape):
            value = data[index]
            data[index] = value + 1e-5
            above = objective()
            data[index] = value - 1e-5
            numeric[index] = (above - objective()) / 2e-5
            data[index] = value
        np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())


@every_cell
def test_the_gradient_of_the_final_state_may_be_left_out(cell):
    layer, plain = of(cell, return_state=True), of(cell)
    x, g = sequences(), sequences(1, (N, T, H))
    layer(x)
    plain(x)
    np.testing.assert_array_equal(layer.backward((g, None)), plain.backward(g))


@every_cell
def test_a_stateful_layer_goes_on_where_it_ended(cell):
    whole, parts = of(cell, num_layers=2), of(cell, num_layers=2, stateful=True)
    x = sequences()
    y = whole(x)
    np.testing.assert_allclose(parts(x[:, :2]), y[:, :2], rtol=1e-12)
    np.testing.assert_allclose(parts(x[:, 2:]), y[:, 2:], rtol=1e-12)
    parts.reset_state()
    np.testing.assert_allclose(parts(x), y, rtol=1e-12)


@every_cell
def test_truncated_gradients_stop_at_the_batch(cell):
    """As if the carried state had been given as a constant."""
    stateful, given = of(cell, stateful=True), of(cell, return_state=True)
    x, g = sequences(), sequences(1, (N, T - 2, H))
    stateful(x[:, :2])
    stateful(x[:, 2:])
    _, middle = given(x[:, :2])
    given(x[:, 2:], middle)
    d_x, _ = given.backward((g, None))
    np.testing.assert_allclose(stateful.backward(g), d_x, rtol=1e-12, atol=1e-14)
    for ours, expected in zip(stateful.parameters(), given.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, expected.grad, rtol=1e-12, atol=1e-14)


def test_evaluation_leaves_the_carried_state_alone():
    model = nn.Sequential(nn.LSTM(D, H, stateful=True), nn.LastStep(), nn.Linear(H, 2))
    x = sequences().astype(np.float32)
    model(x)
    before = copy.deepcopy(model[0].carried)
    fresh = model.predict(x[:1])
    np.testing.assert_array_equal(model.predict(x[:1]), fresh)
    for state, kept in zip(model[0].carried, before, strict=True):
        np.testing.assert_array_equal(state, kept)
    nn.check_gradients(model, x)
    model.reset_state()
    assert model[0].carried is None


@every_cell
def test_padding_changes_nothing_but_itself(cell):
    """Every sequence alone, without padding, gives the same; what stands in the padding is idle."""
    layer, lengths = of(cell, num_layers=2, return_state=True), [2, 5, 1]
    x, g = sequences(), sequences(1, (N, T, H))
    y, final = layer(nn.Padded(x, lengths))
    layer.zero_grad()
    d_x = layer.backward((g, None))
    grads = [p.grad.copy() for p in layer.parameters()]
    layer.zero_grad()
    for n, length in enumerate(lengths):
        alone, state = layer(x[n : n + 1, :length])
        np.testing.assert_allclose(y.data[n, :length], alone[0], rtol=1e-12)
        assert (y.data[n, length:] == 0).all()
        for ours, expected in zip(arrays(final), arrays(state), strict=True):
            np.testing.assert_allclose(ours[:, n], expected[:, 0], rtol=1e-12)
        d_alone = layer.backward((g[n : n + 1, :length], None))
        np.testing.assert_allclose(d_x[n, :length], d_alone[0], rtol=1e-11, atol=1e-13)
        assert (d_x[n, length:] == 0).all()
    for ours, parameter in zip(grads, layer.parameters(), strict=True):
        np.testing.assert_allclose(ours, parameter.grad, rtol=1e-11, atol=1e-12)
    other = np.where(nn.Padded(x, lengths).mask[..., None], x, 99.0)
    np.testing.assert_array_equal(layer(nn.Padded(other, lengths))[0].data, y.data)


@every_cell
def test_backward_steps_are_looked_up_on_the_instance(cell):
    layer, seen = of(cell), []
    original = layer.backward_step

    def watched(t, *rest):
        seen.append(t)
        return original(t, *rest)

    layer.backward_step = watched
    layer.backward(np.ones_like(layer(sequences())))
    assert seen == [4, 3, 2, 1, 0]


def test_first_values():
    layer = nn.LSTM(5, 6, forget_bias=2.0)
    i, f, g, o = np.split(layer.bias.data, 4)
    assert (f == 2).all()
    assert (np.abs([i, g, o]) <= 1 / math.sqrt(6)).all()
    for gate in np.split(layer.weight_hh.data, 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-6)
    assert (nn.LSTM(5, 6).bias.data[6:12] == 1).all()


def test_bidirectional_states():
    layer = nn.Bidirectional(nn.LSTM(D, H, return_state=True)).astype(np.float64)
    x, g = sequences(), sequences(1, (N, T, 2 * H))
    y, (first, second) = layer(x)
    np.testing.assert_array_equal(first[0][0], y[:, -1, :H])
    np.testing.assert_array_equal(second[0][0], y[:, 0, H:])
    zeros = np.zeros((1, N, H))
    again, _ = layer(x, ((zeros, zeros), (zeros, zeros)))
    np.testing.assert_array_equal(again, y)
    d_x, d_states = layer.backward((g, None))
    layer(x)
    np.testing.assert_array_equal(layer.backward((g, None)), d_x)
    assert [d.shape for pair in d_states for d in pair] == [(1, N, H)] * 4


def test_embedding_rows():
    layer = nn.Embedding(5, 3, padding_idx=0)
    assert nn.check_gradients(layer, np.array([[0, 1, 4], [2, 0, 0]])).ok
    tokens = np.array([[1, 1, 0], [4, 1, 4]])
    np.testing.assert_array_equal(layer(tokens), layer.weight.data[tokens])
    assert (layer.weight.data[0] == 0).all()
    g = np.random.default_rng(0).standard_normal((2, 3, 3)).astype(np.float32)
    assert layer.backward(g) is None
    expected = np.zeros((5, 3))
    for n, t in np.ndindex(2, 3):
        if tokens[n, t]:
            expected[tokens[n, t]] += g[n, t]
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=1e-6)
    layer(np.zeros((2, 3), np.uint8))
    layer.backward(g)
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=1e-6)


# -- padded sequences on their way through a model -------------------------------------------------


def sums(count, seed=0):
    """Sequences of ±1 and the sign of their running sum so far, padded."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], (count, 9, 1)).astype(np.float32)
    lengths = rng.integers(1, 10, count)
    y = (x.cumsum(axis=1) > 0).astype(np.int64)[..., 0]
    return nn.Padded(x, lengths), y


def test_a_model_trains_on_padded_sequences():
    x, y = sums(300)
    y[~x.mask] = 1  # what stands there must not matter
    model = nn.Sequential(nn.GRU(1, 8), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    trainer = nn.Trainer(
        model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), lr=2e-2), [nn.Accuracy()]
    )
    history = trainer.fit(x, y, epochs=12, validation_split=0.2, verbose=False)
    assert history["val_accuracy"][-1] > 0.97
    measured = trainer.evaluate(x, y, batch_size=7)
    prediction = model.predict(x, batch_size=11)
    assert isinstance(prediction, nn.Padded)
    right = (prediction.data.argmax(axis=-1) == y)[x.mask]
    assert measured["accuracy"] == pytest.approx(right.mean())
    y[~x.mask] = 0
    assert trainer.evaluate(x, y, batch_size=7) == measured
    weight = np.arange(len(x))
    loss = nn.CrossEntropyLoss()(prediction.data, y, x.mask * weight[:, None])
    assert trainer.evaluate(x, y, sample_weight=weight)["loss"] == pytest.approx(loss)


def trained(*data, **options):
    nn.seed(3)
    model = nn.Sequential(nn.LSTM(1, 4), nn.Linear(4, 2))
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    return trainer.fit(*data, epochs=2, verbose=False, **options).to_dict()


def test_padded_sequences_wherever_data_goes():
    x, y = sums(40)
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=10, rng=0)
    assert [len(part) for part in (x_train, x_test, y_train, y_test)] == [30, 10, 30, 10]
    sizes = []
    for part, target in nn.data.batches(x, y, batch_size=16, shuffle=True, rng=0):
        assert isinstance(part, nn.Padded)
        row = np.flatnonzero((x.data == part.data[0]).all(axis=(1, 2)))[0]
        assert x.lengths[row] == part.lengths[0]
        np.testing.assert_array_equal(y[row], target[0])
        sizes.append(len(part))
    assert sizes == [16, 16, 8]
    assert [len(part) for part in nn.data.batches(x, batch_size=30)] == [30, 10]
    held_out = {"validation_data": (x_test, y_test), "class_weight": {1: 2.0}}
    arrays = trained(x_train, y_train, shuffle=False, **held_out)

    def stream(rng):
        return nn.data.batches(x_train, y_train, batch_size=32)

    assert trained(stream, **held_out) == arrays
    double = nn.Padded(x_train.data.astype(np.float64), x_train.lengths)
    assert trained(double, y_train, shuffle=False, **held_out) == arrays
    model = nn.Sequential(nn.LSTM(1, 4), nn.Linear(4, 2))
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
    assert len(nn.lr_range_test(trainer, x, y, steps=10).losses) > 2
    assert nn.audit(model, nn.CrossEntropyLoss(), x, y).rows
    assert nn.profile(model, nn.CrossEntropyLoss(), x, y).rows


def test_bad_values_and_targets_of_padded_sequences():
    x, y = sums(40)
    x.data[7, 0] = np.nan
    with pytest.raises(ValueError, match="x is not finite: row 7"):
        trained(x, y)
    x, y = sums(40)
    with pytest.raises(TypeError, match="y must be an array"):
        trained(x, nn.Padded(y, x.lengths))
    with pytest.raises(TypeError, match="batch 1: y must be an array"):
        trained(lambda rng: [(x, nn.Padded(y, x.lengths))])


@pytest.mark.usefixtures("few_entries")
@pytest.mark.parametrize("loss", [None, pytest.param(nn.MSELoss(), marks=pytest.mark.slow)])
def test_gradients_are_checked_on_padded_sequences(loss):
    x = nn.Padded(sequences(), [2, 5, 1])
    model = nn.Sequential(nn.Linear(D, 3), nn.LSTM(3, 4), nn.TransformerLayer(4, 2, 3))
    target = None if loss is None else np.ones((N, T, 4))
    report = nn.check_gradients(model, x, loss, target)
    names = {row.name for row in report}
    assert {"input", *model.named_parameters()} <= names
    last = nn.Sequential(model, nn.LastStep())
    assert nn.check_gradients(last, x, loss, None if loss is None else target[:, 0])

    class Leaky(nn.LSTM):
        def backward(self, grad_output):
            return super().backward(grad_output) + 0.1

    class Halved(nn.LSTM):
        def backward(self, grad_output):
            return 0.5 * super().backward(grad_output)

    for wrong in (Leaky, Halved):
        model = nn.Sequential(nn.Linear(D, 3), wrong(3, 4))
        report = nn.check_gradients(model, x, loss, target, raises=False)
        assert not report.ok
        assert [wrong.__name__ in part.subject for part in report.parts] == [True]


def test_tokens_have_no_gradient_in_containers():
    tokens = np.array([[1, 2, 0], [2, 2, 1]])
    both = nn.Concat(nn.Embedding(3, 2), nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 2)))
    model = nn.Sequential(both, nn.GRU(4, 3), nn.LastStep())
    assert nn.check_gradients(model, tokens)
    assert model.backward(np.ones_like(model(tokens))) is None
    padded = nn.Padded(tokens, [3, 1])
    assert nn.check_gradients(model, padded)
    trace = nn.trace(model, nn.MSELoss(), padded, np.zeros((2, 3)))
    assert any("through time" in step.title for step in trace)


def test_padding_is_lost_where_time_is():
    x = nn.Padded(sequences(), [2, 5, 1])
    tokens = nn.Padded(np.ones((N, T), int), x.lengths)
    net = nn.Sequential(nn.Linear(D, D), nn.Residual(nn.Tanh()), nn.Concat(nn.ReLU(), nn.GRU(D, 2)))
    net = net.astype(np.float64)
    assert isinstance(net(x), nn.Padded)
    assert isinstance(nn.Sequential(nn.Embedding(3, 2))(tokens), nn.Padded)
    for last in (nn.LastStep(), nn.MeanOverTime(), nn.GlobalMaxPool1d(), nn.GlobalAvgPool1d()):
        assert isinstance(nn.Sequential(net, last)(x), np.ndarray)


def test_a_padded_batch():
    x = nn.Padded(np.zeros((3, 4, 2), np.float32), [4, 1, 2])
    assert len(x) == 3
    assert x.shape == (3, 4, 2)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.mask.sum(axis=1), x.lengths)
    np.testing.assert_array_equal(x[1:].lengths, [1, 2])
    np.testing.assert_array_equal(x[np.array([2, 0])].lengths, [2, 4])
    assert repr(x) == "Padded(data (3, 4, 2), lengths (3,))"


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([4, 5, 1], ValueError, "length 5 of sequence 1 is outside 1 … 4"),
        ([4, 4, 0], ValueError, "length 0 of sequence 2 is outside 1 … 4"),
        ([4, -1, 2], ValueError, "length -1 of sequence 1"),
        ([4, 4], ValueError, r"\(3, 4, 2\) and \(2,\)"),
        ([4.0, 4.0, 1.0], TypeError, "integers, got dtype float64"),
    ],
)
def test_lengths_that_do_not_fit(lengths, error, words):
    with pytest.raises(error, match=words):
        nn.Padded(np.zeros((3, 4, 2)), lengths)


# -- what is refused -------------------------------------------------------------------------------


@every_cell
def test_input_and_state_that_do_not_fit(cell):
    layer = of(cell, num_layers=2)
    state = states_of(layer)
    for x in (np.zeros((N, D)), np.zeros((N, T, D + 1)), np.zeros((N, 0, D))):
        with pytest.raises(ValueError, match=rf"expected \(N, T, {D}\) with T ≥ 1, got \("):
            layer(x)
    with pytest.raises(TypeError, match="floating-point"):
        layer(np.zeros((N, T, D), int))
    with pytest.raises(TypeError, match="expected a NumPy array, got list"):
        layer([[[0.0] * D]])
    with pytest.raises(ValueError, match=r"\(2, 4, 3\), got \(2, 3, 3\)"):
        layer(sequences(shape=(N + 1, T, D)), state)
    wrong = (state, state) if layer.state_count == 1 else state[0]
    with pytest.raises(ValueError, match="expected"):
        layer(sequences(), wrong)


def test_a_state_carried_across_a_changed_batch_size():
    model = nn.Sequential(nn.LSTM(D, H, stateful=True))
    model(sequences().astype(np.float32))
    with pytest.raises(
        ValueError, match=r"layer 0 › LSTM.* has 3 sequences and this batch 2; call reset_state"
    ):
        model(sequences()[:2].astype(np.float32))
    model.reset_state()
    model(sequences()[:2].astype(np.float32))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.LSTM(0, 3), ValueError, "LSTM: input_size must be a whole number ≥ 1, got 0"),
        (lambda: nn.GRU(3, 2.5), ValueError, "GRU: hidden_size must be a whole number"),
        (lambda: nn.RNN(3, 3, num_layers=0), ValueError, "num_layers"),
        (
            lambda: nn.RNN(3, 3, num_layers=2, dropout=1.0),
            ValueError,
            r"dropout must be .* in \[0, 1\)",
        ),
        (lambda: nn.RNN(3, 3, nonlinearity="sin"), ValueError, "nonlinearity"),
        (lambda: nn.Bidirectional(nn.Linear(3, 3)), TypeError, "layer must be an RNN, LSTM or GRU"),
        (lambda: nn.Bidirectional(nn.LSTM), TypeError, "layer must be an RNN, LSTM or GRU"),
        (lambda: nn.Bidirectional(nn.GRU(3, 3, stateful=True)), ValueError, "stateful"),
        (
            lambda: nn.Bidirectional(nn.GRU(3, 3), nn.GRU(3, 3, return_sequences=False)),
            ValueError,
            "same return_sequences",
        ),
        (lambda: nn.Embedding(0, 3), ValueError, "num_embeddings"),
        (lambda: nn.Embedding(4, 3, padding_idx=4), ValueError, r"padding_idx must be in 0 … 3"),
    ],
)
def test_construction_that_does_not_fit(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("tokens", "error", "words"),
    [
        (np.array([[0, 1], [5, 2]]), ValueError, r"token 5 at \(1, 0\) is outside 0 … 4"),
        (np.array([0, -1]), ValueError, r"token -1 at \(1,\)"),
        (np.array([0.0, 1.0]), TypeError, r"integers, got dtype float64; .*astype\(np.int64\)"),
        ([0, 1], TypeError, "got list"),
    ],
)
def test_tokens_that_do_not_fit(tokens, error, words):
    with pytest.raises(error, match=words):
        nn.Embedding(5, 2)(tokens)


@pytest.mark.parametrize("layer", [nn.LastStep(), nn.MeanOverTime()])
def test_no_time_to_look_over(layer):
    for shape in ((3, 4), (3, 0, 4)):
        with pytest.raises(ValueError, match="with T ≥ 1, got"):
            layer(np.zeros(shape))
    with pytest.raises(TypeError, match="got list"):
        layer([[[1.0]]])


def test_a_layer_alone_that_does_not_know_padding():
    with pytest.raises(TypeError, match=r"x must be an array, .*write x\.data, or put"):
        nn.Linear(4, 2)(nn.Padded(sequences(), [1, 2, 3]))


def test_an_error_in_a_bidirectional_layer_names_its_side():
    with pytest.raises(ValueError, match=r"in Bidirectional layer › LSTM\(4, 3\): expected"):
        nn.Bidirectional(nn.LSTM(4, 3))(np.zeros((2, 3, 5)))


@every_cell
def test_gradients_that_do_not_fit(cell):
    layer, last = of(cell), of(cell, return_sequences=False)
    for each, wrong in ((layer, (N, H)), (layer, (1, T, H)), (last, (N, T, H)), (last, (1, H))):
        each(sequences())
        with pytest.raises(ValueError, match=r"backward expected dL/dy in y's shape \(3, "):
            each.backward(np.ones(wrong))
    stated = of(cell, return_state=True)
    for net in (stated, nn.Bidirectional(stated)):
        net(sequences(shape=(2, T, D)))
        with pytest.raises(TypeError, match=r"expected \(dL/dy, dL/dstate or None\), got ndarray"):
            net.backward(np.ones((2, T, H)))
    stated(sequences())
    state = tuple(np.ones((1, 1, H)) for _ in range(stated.state_count))
    with pytest.raises(ValueError, match=r"each \(1, 3, 3\)|a state of shape \(1, 3, 3\)"):
        stated.backward((np.ones((N, T, H)), state if stated.state_count == 2 else state[0]))


@pytest.mark.parametrize(
    ("layer", "x", "wrong"),
    [
        (nn.Embedding(5, 2), np.array([[0, 1, 2]]), (3, 1, 2)),
        (nn.LastStep(), np.ones((2, 3, 4)), (1, 4)),
        (nn.MeanOverTime(), np.ones((2, 3, 4)), (1, 4)),
        (nn.PositionalEncoding(4), np.ones((2, 3, 4)), (2, 2, 4)),
        (nn.MultiHeadAttention(4, 2), nn.Padded(np.ones((2, 3, 4)), [3, 1]), (1, 3, 4)),
        (nn.LearnedPositionalEmbedding(3, 4), np.ones((2, 3, 4)), (2, 1, 4)),
    ],
)
def test_a_gradient_of_another_shape(layer, x, wrong):
    layer(x)
    with pytest.raises(ValueError, match="backward expected dL/dy in y's shape"):
        layer.backward(np.ones(wrong))


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_pass_that_stops_half_way_leaves_nothing(method):
    def stop(*_):
        raise KeyboardInterrupt

    stack, both = nn.GRU(D, H, num_layers=2), nn.Bidirectional(nn.GRU(D, H))
    for net, where, width in ((stack, stack.above[0], H), (both, both.backwards, 2 * H)):
        x = sequences().astype(np.float32)
        if method == "backward":
            net(x)
        setattr(where, method, stop)
        with pytest.raises(KeyboardInterrupt):
            net(x) if method == "forward" else net.backward(np.ones((N, T, width), np.float32))
        assert all(layer._slot is None for layer in net.named_layers().values())


def test_an_initializer_that_is_none_is_refused():
    for make in (nn.Embedding, nn.LearnedPositionalEmbedding):
        with pytest.raises(TypeError, match="weight_init must be an initializer"):
            make(4, 2, weight_init=nn.initializers.Normal)
        with pytest.raises(ValueError, match=r"expected values of shape \(4, 2\)"):
            make(4, 2, weight_init=lambda shape, rng: np.zeros(3))


def test_losses_leave_padding_out():
    rng = np.random.default_rng(0)
    prediction = nn.Padded(rng.standard_normal((3, 4, 2)), [2, 4, 1])
    mask, classes, values = prediction.mask, rng.integers(0, 2, (3, 4)), np.ones((3, 4, 2))
    by_row, by_value = rng.random(3), rng.random((3, 4, 2))
    for loss, target, given, weight in (
        (nn.CrossEntropyLoss(), classes, None, mask),
        (nn.CrossEntropyLoss(), classes, by_row, mask * by_row[:, None]),
        (nn.MSELoss(), values, None, mask),
        (nn.MSELoss(), values, by_row.tolist(), mask * by_row[:, None]),
        (nn.MSELoss(), values, by_value, mask[..., None] * by_value),
    ):
        expected = loss(prediction.data, target, weight)
        d_expected = loss.backward()
        assert loss(prediction, target, given) == pytest.approx(expected, rel=1e-12)
        gradient = loss.backward()
        np.testing.assert_allclose(gradient, d_expected, rtol=1e-12)
        assert (gradient[~mask] == 0).all()
    for wrong in (np.ones(2), np.ones((3, 3)), np.float64(1.0)):
        with pytest.raises(ValueError, match=r"sample_weight .* must match the leading axes"):
            nn.MSELoss()(prediction, values, wrong)


def test_looking_inside_with_states_and_padding():
    layer = nn.LSTM(D, H, num_layers=2, return_state=True)

    class FromZeros(nn.Layer):
        """A decoder: starts from a state that its caller gives."""

        def __init__(self):
            self.cell = layer

        def forward(self, x):
            zeros = np.zeros((2, len(x), H), np.float32)
            y, _ = self.cell.forward(x, (zeros, zeros))
            self.save_for_backward()
            return y

        def backward(self, grad_output):
            self.saved()
            return self.cell.backward((grad_output, None))[0]

    for net in (layer, nn.Bidirectional(nn.GRU(D, H, return_state=True)), FromZeros()):
        width = 2 * H if isinstance(net, nn.Bidirectional) else H
        assert nn.summary(net, (T, D)).total.output_shape == (1, T, width)
    x = sequences().astype(np.float32)
    nn.check_gradients(FromZeros(), x)
    for data in (x, nn.Padded(x, [2, 5, 1])):
        assert "all layer outputs are finite" in first_non_finite(layer, data)
        assert "all layer outputs are finite" in first_non_finite(nn.Bidirectional(layer), data)
    x[0, 0, 0] = np.nan
    with np.errstate(all="ignore"):
        found = first_non_finite(FromZeros(), x)
    assert "first output that is not finite is that of layer cell.drops.0" in found


def test_states_and_padding_where_they_do_not_belong():
    x = nn.Padded(sequences(), [2, 5, 1])
    with pytest.raises(TypeError, match="target must be an array, got Padded; pass its data"):
        nn.MSELoss()(x, x)
    with pytest.raises(TypeError, match="predict expected one output for each batch, got a tuple"):
        nn.GRU(D, H, return_state=True).predict(x)
    for state in (3, np.zeros((2, N, H)), (None,)):
        with pytest.raises(ValueError, match="expected a pair of states, got"):
            nn.Bidirectional(nn.GRU(D, H))(x, state)


def test_an_empty_padded_batch():
    nothing = nn.Padded(sequences(shape=(0, T, D)), np.zeros(0, int))
    assert nn.GRU(D, H)(nothing).shape == (0, T, H)


def test_an_audit_of_padded_sequences(capsys):
    x, y = sums(40)
    model = nn.Sequential(nn.Linear(1, 4), nn.GRU(4, 8), nn.Linear(8, 2))
    assert len(nn.audit(model, nn.CrossEntropyLoss(), x, y).rows) == 3
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))
    trainer.fit(x, y, callbacks=[nn.GradientAudit()], verbose=False)


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, marks=pytest.mark.slow if n else ()) for n, cell in enumerate(CELLS)],
)
@pytest.mark.usefixtures("few_entries")
def test_a_gradient_check_of_a_layer_that_returns_its_state(cell):
    for layer in (of(cell, return_state=True), nn.Bidirectional(of(cell, return_state=True))):
        for x in (sequences(), nn.Padded(sequences(), [2, 5, 1])):
            nn.check_gradients(layer, x)


def remembering(rows):
    """Sequences cut into steps: the target is the input of the step before, 16 rows away."""
    x = np.random.default_rng(0).standard_normal((rows, 1, 1)).astype(np.float32)
    return x, np.roll(x[:, 0], 16, axis=0)


def stateful_trainer():
    nn.seed(0)
    model = nn.Sequential(nn.LSTM(1, 16, stateful=True), nn.LastStep(), nn.Linear(16, 1))
    return nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters(), lr=0.01))


def test_validation_of_a_stateful_layer_carries_on_as_training_does():
    x, y = remembering(16 * 20)
    trainer = stateful_trainer()
    history = trainer.fit(
        x, y, epochs=60, batch_size=16, shuffle=False, validation_data=(x, y), verbose=False
    )
    final = history["val_loss"][-1]
    assert trainer.evaluate(x, y, batch_size=16)["loss"] == pytest.approx(final)
    # in other batches, a row would continue another one
    assert final < 0.5 < trainer.evaluate(x, y, batch_size=64)["loss"]


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda t, x, y: t.fit(x, y, batch_size=16), "fit: LSTM"),
        (lambda t, x, y: t.fit(x[:32], y[:32], validation_data=(x, y), batch_size=16),
         "fit: validation: LSTM"),
        (lambda t, x, y: t.evaluate(x, y, batch_size=16), "evaluate: LSTM"),
        (lambda t, x, y: t.model.predict(x, batch_size=16), "LSTM"),
    ],
)  # fmt: skip
def test_uneven_batches_of_a_stateful_layer_are_refused_before_anything_runs(call, where):
    trainer, (x, y) = stateful_trainer(), remembering(300)
    before = trainer.fingerprint()
    with pytest.raises(ValueError, match=rf"{where}.*stateful.* such as 15") as raised:
        call(trainer, x, y)
    assert str(raised.value).startswith(where)
    assert trainer.fingerprint() == before


class Encoder(nn.LSTM):
    """An LSTM with a constructor of its own."""

    def __init__(self, size):
        super().__init__(size, size, num_layers=2)
        self.size = size


class Slower(nn.GRU):
    """A cell of its own."""

    def step(self, t, run, weight):
        super().step(t, run, weight)


def test_a_stack_is_built_of_the_class_of_its_cell():
    model = Encoder(3)
    assert [type(layer) for layer in model.above] == [nn.LSTM]
    assert nn.clone(model).predict(np.zeros((2, 4, 3))).shape == (2, 4, 3)
    assert [type(layer) for layer in Slower(3, 2, num_layers=2).above] == [Slower]


@pytest.mark.parametrize("bias", [-20.0, -60.0])
@pytest.mark.parametrize(
    "make",
    [lambda: nn.LSTM(D, H, rng=0), lambda: nn.GRU(D, H, rng=0)],
    ids=["LSTM", "GRU"],
)
def test_nearly_closed_gates_keep_their_digits(make, bias):
    # σ(a) is eᵃ there, and so is every gradient that goes through the gate
    layer = make()
    exact = make().astype(np.float64)
    for each in (layer, exact):
        each.bias.data[:H] = bias  # the input gate, and GRU's reset gate
    x = np.random.default_rng(1).standard_normal((N, T, D)).astype(np.float32)
    y, y64 = layer(x), exact(x.astype(np.float64))
    np.testing.assert_allclose(y, y64, rtol=1e-5, atol=1e-7 if layer.state_count == 1 else 0)
    layer.backward(np.ones_like(y))
    exact.backward(np.ones_like(y64))
    np.testing.assert_allclose(layer.weight_ih.grad[:, :H], exact.weight_ih.grad[:, :H], rtol=2e-5)


def test_gates_that_overflow_the_exponential_are_shut():
    layer = nn.LSTM(D, H, rng=0)
    layer.bias.data[:] = -1e4
    y = layer(np.ones((N, T, D), np.float32))
    np.testing.assert_array_equal(y, 0)
    assert np.isfinite(layer.backward(np.ones_like(y))).all()


def test_a_stream_of_uneven_batches_for_a_stateful_layer_is_told():
    x, y = remembering(7)

    def uneven(rng):
        yield x[:4], y[:4]
        yield x[4:], y[4:]

    for data, held_out in ((uneven, None), (lambda rng: [(x, y)], uneven)):
        with pytest.raises(ValueError, match=r"this batch 3; .* give all batches the same number"):
            stateful_trainer().fit(data, validation_data=held_out, verbose=False)


def test_the_bias_inside_the_reset_is_zero_at_first_and_last():
    layer = nn.GRU(D, H, num_layers=2)
    names = ["weight_ih", "weight_hh", "bias", "bias_hn"]
    assert list(layer.named_parameters()) == [*names, *(f"above.0.{name}" for name in names)]
    assert layer.bias_hn.shape == (H,)
    assert not layer.bias_hn.data.any()
    assert nn.GRU(D, H, bias=False).bias_hn is None
    assert nn.GRU(D, H, reset_after=False).bias_hn is None


def test_what_was_saved_before_there_was_a_bias_inside_the_reset_is_loaded(tmp_path, monkeypatch):
    model = nn.Sequential(nn.GRU(D, H, num_layers=2), nn.Bidirectional(nn.GRU(H, 2)))
    x = sequences().astype(np.float32)
    y = model(x)
    state = {path: a for path, a in model.state_dict().items() if not path.endswith("bias_hn")}
    for parameter in model.parameters():
        parameter.data = parameter.data + 1
    assert model.load_state_dict(state) == ([], [])
    np.testing.assert_array_equal(model(x), y)
    with pytest.raises(ValueError, match=r"0\.bias_hn is missing"):  # nor is there anything else
        model.load_state_dict({})

    def trainer():
        model = nn.Sequential(nn.GRU(D, H, rng=0), nn.LastStep(), nn.Linear(H, 1, rng=0))
        return nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters(), lr=0.1), rng=0)

    def fit(trainer):
        return trainer.fit(x, x[:, 0, :1], epochs=2, verbose=False)

    with monkeypatch.context() as older:
        older.setattr(nn.GRU, "add_cell_parameters", lambda self, rng: None)
        older.setattr(nn.GRU, "bias_hn", None, raising=False)
        run = trainer()
        fit(run)
        run.save(tmp_path / "run.npz")
        expected = run.model(x)
        nn.save_model(run.model, tmp_path / "old.npz")
    resumed = trainer()
    resumed.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(resumed.model(x), expected)
    fit(resumed)  # the saved call, which had ended
    fit(resumed)
    assert resumed.model[0].bias_hn.data.any()
    loaded = nn.load_model(tmp_path / "old.npz")
    assert not loaded[0].bias_hn.data.any()
    np.testing.assert_array_equal(loaded(x), expected)


def test_a_projection_is_smaller_and_may_be_carried_on():
    with pytest.raises(ValueError, match="proj_size must be below hidden_size=3, got 3"):
        nn.LSTM(D, H, proj_size=3)
    whole, parts = (nn.LSTM(D, H, proj_size=2, stateful=each, rng=0) for each in (False, True))
    x = sequences().astype(np.float32)
    halves = [parts(x[:, :2]), parts(x[:, 2:])]
    np.testing.assert_allclose(np.concatenate(halves, axis=1), whole(x), rtol=1e-6)
    parts.check_carried(parts.carried)
    with pytest.raises(ValueError, match=r"arrays \(2, N\) and \(3, N\) of floats in a tuple"):
        parts.check_carried((np.zeros((H, N)), np.zeros((H, N))))
    with pytest.raises(ValueError, match=r"\(h, c\), of shapes \[\(1, 3, 2\), \(1, 3, 3\)\]"):
        whole(x, (np.zeros((1, N, H), "f"), np.zeros((1, N, H), "f")))
    assert whole.multiply_adds((N, T, D), (N, T, 2)) == N * T * (D * 4 * H + 2 * 4 * H + H * 2)
