"""What is added to the loss: penalties on parameters and activations, and the KL divergence."""

import copy

import numpy as np
import pytest

import nnlite as nn

X = np.random.default_rng(0).standard_normal((6, 4))
Y = np.random.default_rng(1).standard_normal((6, 2))


def sparse():
    nn.seed(0)
    return nn.Sequential(
        nn.Linear(4, 5), nn.Tanh(), nn.ActivityRegularization(l1=0.1, l2=0.2), nn.Linear(5, 2)
    ).astype(np.float64)


def autoencoder():
    nn.seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.GaussianSample(0.5), nn.Linear(3, 2)).astype(float)


def trainer(net, lr=0.1, **options):
    return nn.Trainer(net, nn.MSELoss(), nn.SGD(net.parameters(), lr=lr), rng=0, **options)


def fit(t, x=X, y=Y, **options):
    return t.fit(x, y, verbose=False, **options)


def replayed(net, x, penalties=()):
    """The loss with all terms, as a function of the weights: each call draws the same numbers."""
    twin = copy.deepcopy(net)
    with nn.loss_terms() as terms:
        value = nn.MSELoss()(twin(x), Y)
    return value + terms.total + sum(p(twin) for p in penalties)


def slopes(net, x, penalties=()):
    found = []
    for p in net.parameters():
        slope = np.zeros(p.shape)
        for index in np.ndindex(p.shape):
            values = []
            for h in (1e-5, -1e-5):
                p.data[index] += h
                values.append(replayed(net, x, penalties))
                p.data[index] -= h
            slope[index] = (values[0] - values[1]) / 2e-5
        found.append(slope)
    return found


# -- the loss and its gradient ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [sparse, autoencoder])
def test_a_loop_by_hand_counts_terms_inside_the_context_alone(make):
    net, loss = make(), nn.MSELoss()
    expected = slopes(net, X)
    twin = copy.deepcopy(net)
    with nn.loss_terms() as terms:
        prediction = net(X)
    assert terms.total == sum(terms.values.values()) > 0
    loss(prediction, Y)
    net.backward(loss.backward())
    for p, slope in zip(net.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.grad, slope, rtol=1e-6, atol=1e-8)
    loss(twin(X), Y)
    twin.backward(loss.backward())
    assert not np.allclose(twin[0].weight.grad, net[0].weight.grad)
    assert nn.loss_terms.current() is None


def test_a_step_of_the_trainer_goes_down_the_slope_of_all_of_the_loss():
    net = sparse()
    penalties = [nn.L1Penalty(0.05, "0.*"), nn.L2Penalty(0.03, ["*.weight"])]
    formulas = [
        lambda m: 0.05 * (np.abs(m[0].weight.data).sum() + np.abs(m[0].bias.data).sum()),
        lambda m: 0.03 * ((m[0].weight.data ** 2).sum() + (m[3].weight.data ** 2).sum()),
    ]
    net[0].bias.data = np.full(5, 0.1)  # off the kink
    expected, value = slopes(net, X, formulas), replayed(net, X, formulas)
    before = [p.data.copy() for p in net.parameters()]
    t = trainer(net, penalties=penalties)
    assert t.train_step(X, Y) == pytest.approx(value, rel=1e-12)
    for p, old, slope in zip(net.parameters(), before, expected, strict=True):
        np.testing.assert_allclose(p.data, old - 0.1 * slope, rtol=1e-6, atol=1e-9)


def test_l2_with_plain_sgd_is_weight_decay_of_twice_its_strength():
    first, second = sparse(), sparse()
    decayed = nn.SGD(second.parameters(), lr=0.1, weight_decay=0.04)
    fit(trainer(first, penalties=[nn.L2Penalty(0.02)]), epochs=3)
    fit(nn.Trainer(second, nn.MSELoss(), decayed, rng=0), epochs=3)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


def test_accumulated_batches_are_one_batch():
    nets = []
    for sizes in ({"batch_size": 6}, {"batch_size": 4, "accumulate": 2}):
        net = sparse()
        t = nn.Trainer(
            net, nn.MSELoss(), nn.SGD(net.parameters(), lr=0.01),
            penalties=[nn.L1Penalty(0.1, "0")],
        )  # fmt: skip
        history = fit(t, epochs=2, shuffle=False, **sizes)
        nets.append((net, history))
    for a, b in zip(nets[0][0].parameters(), nets[1][0].parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)
    for name, column in nets[0][1].items():
        np.testing.assert_allclose(column, nets[1][1][name], rtol=1e-12, err_msg=name)


def test_without_terms_nothing_changes_by_a_bit():
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    x, y, twin, loss = X.astype(np.float32), Y.astype(np.float32), copy.deepcopy(net), nn.MSELoss()
    optimizer, values = nn.Adam(twin.parameters()), []
    for _ in range(3):
        values.append(loss(twin(x), y))
        twin.backward(loss.backward())
        optimizer.step()
        optimizer.zero_grad()
    t = nn.Trainer(net, loss, nn.Adam(net.parameters()))
    history = fit(t, x, y, epochs=3, shuffle=False)
    assert set(history) == {"loss", "lr"}
    assert history["loss"] == values
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_what_only_looks_at_a_model_does_not_count_terms():
    net = sparse()
    plain = nn.Sequential(*(part for part in net if not part.term))
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))
    np.testing.assert_array_equal(nn.jacobian(net, X).matrix, nn.jacobian(plain, X).matrix)
    np.testing.assert_array_equal(nn.saliency(net, X, 0), nn.saliency(plain, X, 0))


def test_contexts_nest_and_belong_to_their_thread():
    layer = nn.ActivityRegularization(l2=1.0)
    with nn.loss_terms() as outer:
        layer(np.ones((2, 3)))
        with nn.loss_terms() as inner:
            layer(np.ones((2, 3)))
            layer(np.ones((2, 3)))
        assert nn.loss_terms.current() is outer
    assert (outer.values, inner.values) == ({"activity": 3.0}, {"activity": 6.0})


# -- history, files, runs --------------------------------------------------------------------------


def test_each_term_has_a_column_and_the_loss_is_their_sum():
    net = sparse()
    t = trainer(net, penalties=[nn.L1Penalty(0.1, "0.*"), nn.L1Penalty(0.2, "3.*")], lr=1e-9)
    history = fit(t, validation_data=(X, Y), batch_size=4)
    assert list(history) == [
        "loss", "activity", "l1_penalty", "lr", "val_loss", "val_activity", "val_l1_penalty",
    ]  # fmt: skip
    l1 = sum(
        s * np.abs(p.data).sum()
        for s, layer in ((0.1, net[0]), (0.2, net[3])) for p in layer.parameters()
    )  # fmt: skip
    data = nn.MSELoss()(net.predict(X), Y)
    with nn.loss_terms() as terms:
        net(X)
    for name in ("", "val_"):
        np.testing.assert_allclose(history[f"{name}l1_penalty"], l1, rtol=1e-6)
        np.testing.assert_allclose(history[f"{name}activity"], terms.total, rtol=1e-6)
        np.testing.assert_allclose(history[f"{name}loss"], data + l1 + terms.total, rtol=1e-6)
    measured = t.evaluate(X, Y, batch_size=4)
    assert {f"val_{name}": pytest.approx(v) for name, v in measured.items()} == {
        name: column[0] for name, column in history.items() if name.startswith("val_")
    }


def test_frozen_parameters_do_not_count():
    net = sparse().freeze("0.*")
    t = trainer(net, penalties=[nn.L2Penalty(0.5, "0")])
    before = net[0].weight.data.copy()
    assert fit(t)["l2_penalty"] == [0.0]
    np.testing.assert_array_equal(net[0].weight.data, before)
    net.unfreeze()
    assert fit(t)["l2_penalty"][0] > 0


def test_a_run_with_terms_resumes_bit_for_bit(tmp_path):
    def start(stop=False):
        net = autoencoder()
        t = trainer(net, penalties=[nn.L1Penalty(0.01)])
        action = {"on_step_end": lambda t: setattr(t, "interrupted", stop and t.step == 2)}
        callbacks = [nn.LambdaCallback(**action), nn.Checkpoint(tmp_path / f"{stop}.npz")]
        return t, {"epochs": 2, "batch_size": 2, "callbacks": callbacks}

    whole, arguments = start()
    expected = fit(whole, **arguments)
    cut, arguments = start(stop=True)
    fit(cut, **arguments)
    again, arguments = start()
    arguments["callbacks"][1] = nn.Checkpoint(tmp_path / "True.npz")
    history = fit(again, **arguments, resume="auto")
    assert dict(history) == dict(expected)
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_a_resumed_run_with_other_penalties_is_told(tmp_path):
    first = trainer(sparse(), penalties=[nn.L1Penalty(0.1)])
    fit(first)
    first.save(tmp_path / "run.npz")
    with pytest.warns(nn.ModelWarning, match=r"penalties L1Penalty\(0.1\) in the file, none now"):
        trainer(sparse()).load(tmp_path / "run.npz")


def test_the_range_test_counts_penalties():
    found = [
        nn.lr_range_test(trainer(sparse(), penalties=p), X, Y, batch_size=6).losses[0]
        for p in ((), [nn.L2Penalty(1.0)])
    ]
    l2 = sum(float((p.data**2).sum()) for p in sparse().parameters())
    assert found[1] - found[0] == pytest.approx(l2, rel=1e-6)


def test_padding_does_not_count():
    x = np.random.default_rng(2).standard_normal((2, 5, 4))
    padded = nn.Padded(np.where(np.arange(5)[:, None] < 3, x, 100.0), [3, 3])
    for layer in (nn.ActivityRegularization(0.1, 0.2), nn.GaussianSample().eval()):
        values, gradients = [], []
        for each, g in ((padded, np.ones((2, 5, 4))), (x[:, :3], np.ones((2, 3, 4)))):
            with nn.loss_terms() as terms:
                y = layer(each)
            values.append(terms.total)
            gradients.append(layer.backward(g[..., : y.shape[-1]]))
        assert values[0] == pytest.approx(values[1], rel=1e-12)
        np.testing.assert_allclose(gradients[0][:, :3], gradients[1], rtol=1e-12)
        assert not gradients[0][:, 3:].any()


# -- what is refused -------------------------------------------------------------------------------


class Activity(nn.Accuracy):
    """A metric with the name of a term."""


class Loss(nn.L1Penalty):
    """A penalty with the name of a column."""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"penalties": [nn.L1Penalty(0.1, "9.*")]}, "^Trainer: penalties: no parameter matches '9"),
        ({"metrics": [Activity()]}, "a metric is named 'activity', which is a column of its own"),
        ({"penalties": [Loss(0.1)]}, "a term is named 'loss', which is a column of its own"),
        (
            {"penalties": nn.L1Penalty(0.1)},
            r"penalties must be a list, got L1Penalty\(0.1\); put it in",
        ),
    ],
)
def test_penalties_that_do_not_fit_are_refused(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        trainer(sparse(), **options)


def test_a_term_that_is_not_finite_stops_the_run_by_its_name():
    net = nn.Sequential(nn.Linear(4, 4), nn.GaussianSample(), nn.Linear(2, 2))
    net[0].bias.data = np.array([0, 0, 90, 0], np.float32)
    t = nn.Trainer(net.eval(), nn.MSELoss(), nn.SGD(net.parameters(), lr=0.1))
    with np.errstate(over="ignore"), pytest.raises(nn.NonFiniteLossError, match="term kl is inf"):
        t.train_step(X.astype(np.float32), Y.astype(np.float32))


def test_penalties_without_their_formulas_say_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Penalty must define value\(w\)"):
        trainer(sparse(), penalties=[nn.Penalty(0.1)]).train_step(X, Y)
    with pytest.raises(NotImplementedError, match=r"Penalty must define gradient\(w\)"):
        nn.Penalty(0.1).gradient(np.ones(2))


# -- seen from outside -----------------------------------------------------------------------------


class HalfTerm(nn.ActivityRegularization):
    def backward(self, grad_output):
        d_x = super().backward(grad_output)
        return (d_x + grad_output) / 2


class Unscaled(nn.ActivityRegularization):
    def backward(self, grad_output):
        if self._slot[2] is not None:
            self._slot[2].grad = 1.0
        return super().backward(grad_output)


class WrongPenalty(nn.L2Penalty):
    def gradient(self, w):
        return w


def test_check_gradients_checks_terms_and_penalties():
    penalties = [nn.L1Penalty(0.1), nn.L2Penalty(0.2, "0")]
    report = nn.check_gradients(sparse(), X, penalties=penalties)
    assert [row.name for row in report][-2:] == ["l2_penalty of 0.weight", "l2_penalty of 0.bias"]
    nn.check_gradients(autoencoder(), X)
    nn.check_gradients(autoencoder().eval(), X, nn.MSELoss(), Y)
    for wrong in (HalfTerm(l2=0.3), Unscaled(l2=0.3)):
        with pytest.raises(nn.GradientError, match="right but for the term that is added"):
            nn.check_gradients(wrong, X)
    with pytest.raises(nn.GradientError, match="wrong_penalty of bias: its gradient is not the"):
        nn.check_gradients(nn.Linear(4, 2), X, penalties=[WrongPenalty(0.1)])


def test_the_trace_shows_terms_and_what_penalties_add():
    penalty = nn.L1Penalty(0.1, "3.weight")
    trace = nn.trace(sparse(), nn.MSELoss(), X, Y, penalties=[penalty])
    assert list(trace.terms) == ["activity", "l1_penalty"]
    last = trace.steps[-1]
    assert (last.number, last.place, last.formula) == (3, ("3.weight",), "dP/dw = λ sign w")
    np.testing.assert_allclose(last.result.array, 0.1 * np.sign(sparse()[3].weight.data))
    shown = [step.result.array for step in trace if "ActivityReg" in step.layer]
    net = sparse()
    plain = nn.trace(nn.Sequential(*net.layers[:2], nn.Identity(), net[3]), nn.MSELoss(), X, Y)
    g = next(step.result.array for step in plain if "Identity" in step.layer)
    h = net[1](net[0](X))
    np.testing.assert_allclose(shown[0], g + (0.1 * np.sign(h) + 0.4 * h) / 6)
    total = plain.loss_value + sum(trace.terms.values())
    assert trace.loss_value == pytest.approx(total, rel=1e-12)
    assert f"loss {total:.6g} with activity" in str(trace)
    assert "add the gradient of l1_penalty" in trace.to_markdown()
    assert "add the gradient of l1_penalty" in trace.page()


# -- the variational autoencoder -------------------------------------------------------------------


def test_the_draws_have_the_mean_and_the_deviation_that_they_are_given():
    layer = nn.GaussianSample(rng=0)
    x = np.tile([1.0, -2.0, np.log(4.0), np.log(0.25)], (20_000, 1))
    y = layer(x)
    np.testing.assert_allclose(y.mean(axis=0), [1, -2], atol=0.05)
    np.testing.assert_allclose(y.std(axis=0), [2, 0.5], rtol=0.03)
    np.testing.assert_array_equal(layer.eval()(x), x[:, :2])


def test_the_divergence_is_the_integral_that_it_stands_for():
    mean, variance = 0.7, 0.3
    z = np.linspace(-12, 12, 200_001)
    q = np.exp(-((z - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    log_p = -(z**2) / 2 - np.log(2 * np.pi) / 2
    log_q = -((z - mean) ** 2) / (2 * variance) - np.log(2 * np.pi * variance) / 2
    expected = (q * (log_q - log_p)).sum() * (z[1] - z[0])
    with nn.loss_terms() as terms:
        nn.GaussianSample()(np.tile([mean, np.log(variance)], (3, 1)))
    assert terms.values["kl"] == pytest.approx(expected, rel=1e-9)


def test_a_variational_autoencoder_learns_digits(tmp_path):
    nn.seed(0)
    x, _ = nn.data.load_digits()
    x = x / x.max()
    net = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16), nn.GaussianSample(beta=1 / 64),
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64),
    )  # fmt: skip
    t = nn.Trainer(net, nn.BCEWithLogitsLoss(), nn.Adam(net.parameters(), lr=0.01))
    history = fit(t, x, x, epochs=10)
    bound = 64 * np.array(history["loss"])  # −ELBO of the paper, in nats per image
    p = x.mean(axis=0).clip(1e-6, 1)
    blind = 64 * nn.BCELoss()(np.tile(p, (len(x), 1)), x)  # the mean image for each
    assert bound[-1] < blind - 2  # the divergence paid for
    assert 2 < 64 * history["kl"][-1] < 5  # a code that says something
    nn.save_model(net, tmp_path / "vae.npz")
    again = nn.load_model(tmp_path / "vae.npz")
    np.testing.assert_array_equal(again.predict(x[:9]), net.predict(x[:9]))
    decoder = net[4:]
    drawn = decoder.predict(np.random.default_rng(0).standard_normal((50, 8)))
    assert drawn.std(axis=0).mean() > 0.5  # different codes, different images
