"""Models with several outputs: a loss for each, history and metrics by name."""

import numpy as np
import pytest

import nnlite as nn


class Heads(nn.Layer):
    """One body, and a tuple of what several layers make of it."""

    def __init__(self, body, *heads):
        self.body = body
        self.heads = heads

    def forward(self, x):
        h = self.body.forward(x)
        y = tuple(head.forward(h) for head in self.heads)
        self.save_for_backward()
        return y

    def backward(self, grad_output):
        self.saved()
        pairs = zip(self.heads, grad_output, strict=True)
        return self.body.backward(sum(head.backward(g) for head, g in pairs))


def heads():
    body = nn.Sequential(nn.Linear(3, 5, rng=0), nn.Tanh())
    return Heads(body, nn.Linear(5, 4, rng=1), nn.Linear(5, 2, rng=2))


def losses(**more):
    return nn.Losses(nn.CrossEntropyLoss(ignore_index=3), nn.MSELoss(), weights=(1, 0.5), **more)


rng = np.random.default_rng(0)
X = rng.standard_normal((20, 3)).astype(np.float32)
Y = rng.integers(0, 4, 20), rng.standard_normal((20, 2)).astype(np.float32)


def trainer(loss=None, metrics=(), **more):
    nn.seed(0)
    model = heads()
    loss = losses(names=("digit", "angle")) if loss is None else loss
    return nn.Trainer(model, loss, nn.Adam(model.parameters(), lr=0.01), metrics, **more)


def test_the_sum_and_its_gradients():
    loss = losses()
    model = heads()
    prediction = model(X)
    value = loss(prediction, Y)
    first, second = nn.CrossEntropyLoss(ignore_index=3), nn.MSELoss()
    assert value == first(prediction[0], Y[0]) + 0.5 * second(prediction[1], Y[1])
    assert type(value) is float
    gradients = loss.backward()
    np.testing.assert_array_equal(gradients[0], first.backward())
    np.testing.assert_array_equal(gradients[1], 0.5 * second.backward())
    with pytest.raises(RuntimeError, match="Losses"):
        loss.backward()
    assert gradients[1].dtype == np.float32


def test_sample_weights_are_those_of_all():
    loss, prediction = losses(), heads()(X)
    half = np.arange(20) % 2
    chosen = tuple(p[half == 1] for p in prediction), tuple(y[half == 1] for y in Y)
    assert loss(prediction, Y, half) == pytest.approx(loss(*chosen))


def test_history_and_metrics_by_name():
    metrics = [nn.OutputMetric("digit", nn.Accuracy()), nn.OutputMetric("angle", nn.R2())]
    history = trainer(metrics=metrics).fit(
        X, Y, epochs=3, batch_size=6, validation_split=0.25, verbose=False
    )
    names = ["loss", "digit_loss", "angle_loss", "digit_accuracy", "angle_r2"]
    assert [*history] == [*names, "lr", *(f"val_{name}" for name in names)]
    for row in range(3):
        total = history["digit_loss"][row] + 0.5 * history["angle_loss"][row]
        assert history["loss"][row] == pytest.approx(total)


def test_what_is_measured_does_not_depend_on_the_batches():
    metrics = [nn.OutputMetric("digit", nn.Accuracy())]
    run = trainer(metrics=metrics)
    whole = run.evaluate(X, Y, batch_size=20)
    for size in (3, 7):
        assert run.evaluate(X, Y, batch_size=size) == pytest.approx(whole)
    prediction = run.model.predict(X)
    kept = Y[0] != 3  # as the loss counts
    accuracy = (prediction[0].argmax(axis=-1) == Y[0])[kept].mean()
    assert whole["digit_accuracy"] == pytest.approx(accuracy)
    assert whole["loss"] == pytest.approx(losses()(prediction, Y))


def test_predict_returns_a_tuple():
    model = heads()
    whole, parts = model.predict(X), model.predict(X, batch_size=7)
    assert [p.shape for p in parts] == [(20, 4), (20, 2)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_streams_and_validation_data():
    def batches(rng):
        for _ in range(4):
            rows = rng.integers(0, 20, 5)
            yield X[rows], (Y[0][rows], Y[1][rows])

    run = trainer()
    history = run.fit(batches, epochs=2, validation_data=(X, Y), verbose=False)
    assert "val_angle_loss" in history
    assert run.evaluate(batches).keys() == run.evaluate(X, Y).keys()


def test_padded_outputs():
    lengths = np.array([4, 2, 3])
    x = nn.Padded(np.ones((3, 4, 3), np.float32), lengths)
    layer = nn.Parallel(
        nn.Linear(3, 2, rng=0), nn.Sequential(nn.LastStep(), nn.Linear(3, 1, rng=0))
    )
    loss = nn.Losses(nn.CrossEntropyLoss(), nn.MSELoss())
    steps, last = np.zeros((3, 4), np.int64), np.zeros((3, 1))
    prediction = layer((x, x))
    value = loss(prediction, (steps, last))
    kept = x.mask
    alone = nn.CrossEntropyLoss()(prediction[0].data[kept], steps[kept])
    assert value == pytest.approx(alone + nn.MSELoss()(prediction[1], last))
    trainer = nn.Trainer(layer, loss, nn.SGD(layer.parameters(), lr=0.1))
    history = trainer.fit((x, x), (steps, last), epochs=2, verbose=False)
    assert history["loss"][0] == pytest.approx(value)


def test_resuming_inside_an_epoch(tmp_path):
    def stop(run):
        run.interrupted = run.epoch == 1 and run.step == 2

    whole, cut, again = (trainer(metrics=[nn.OutputMetric("digit", nn.Accuracy())]) for _ in "abc")
    given = {"epochs": 3, "batch_size": 6, "verbose": False}
    expected = whole.fit(X, Y, **given)
    cut.fit(X, Y, callbacks=[nn.LambdaCallback(on_step_end=stop)], **given)
    cut.save(tmp_path / "run.npz")
    again.load(tmp_path / "run.npz")
    history = again.fit(X, Y, **given)
    assert dict(history) == dict(expected)


def test_one_element_may_be_a_tuple_itself():
    class Variances(Heads):
        def forward(self, x):
            a, b = super().forward(x)
            return a, (b, np.exp(b))

        def backward(self, grad_output):
            d_a, (d_mean, _) = grad_output
            return super().backward((d_a, d_mean))

    loss = nn.Losses(nn.CrossEntropyLoss(), nn.GaussianNLLLoss())
    model = Variances(*[heads().body, *heads().heads])
    prediction = model(X)
    loss(prediction, Y)
    gradient = loss.backward()
    assert [d.shape for d in gradient[1]] == [(20, 2), (20, 2)]


def test_losses_of_pairs_are_trained_on_tuples():
    layer = nn.Parallel(nn.Linear(3, 1, rng=0), nn.Linear(3, 1, rng=1))
    run = nn.Trainer(layer, nn.MarginRankingLoss(0.5), nn.Adam(layer.parameters(), lr=0.05))
    first, second = X[:10], X[10:]
    sign = np.sign(first[:, :1] - second[:, :1])
    history = run.fit((first, second), sign, epochs=60, batch_size=5, accumulate=2, verbose=False)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_what_does_not_fit():
    run = trainer()
    for y, error, words in (
        (Y[0], TypeError, r"y: expected a tuple of targets, one for each output \(digit, angle\)"),
        ((*Y, Y[0]), TypeError, "got a tuple of 3"),
        ((Y[0][:5], Y[1]), ValueError, r"y\[0\] has 5"),
        ((Y[0] + 9, Y[1]), ValueError, "class 1[0-2] at row 0"),
        ((Y[0], Y[1][:, :1]), ValueError, "same shape"),
    ):
        with pytest.raises(error, match=words):
            run.fit(X, y, verbose=False)
    with pytest.raises(ValueError, match="accumulate=2 needs one divisor"):
        run.fit(X, Y, accumulate=2, verbose=False)
    with pytest.raises(ValueError, match="class_weight: of several outputs"):
        run.fit(X, Y, class_weight="balanced", verbose=False)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(5,\)"):
        run.fit(X, Y, sample_weight=np.ones(5), verbose=False)
    with pytest.raises(TypeError, match="use Losses"):
        trainer(nn.MSELoss()).fit(X, Y[1], verbose=False)
    single = nn.Linear(3, 2)
    with pytest.raises(TypeError, match="prediction as a tuple of 2"):
        nn.Trainer(single, losses(), nn.SGD(single.parameters(), lr=0.1)).fit(X, Y, verbose=False)
    with pytest.raises(ValueError, match="has not; it has digit, angle"):
        trainer(metrics=[nn.OutputMetric("speed", nn.R2())])
    with pytest.raises(ValueError, match=r'of which .*OutputMetric\("digit", nn.Accuracy\(\)\)'):
        trainer(metrics=[nn.Accuracy()])
    with pytest.raises(ValueError, match="the loss is not Losses"):
        trainer(nn.MSELoss(), [nn.OutputMetric("digit", nn.R2())])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Losses(), "at least one"),
        (lambda: nn.Losses(nn.MSELoss("none")), r"losses\[0\].*one number"),
        (lambda: losses(names=("a",)), "one entry for each of 2"),
        (lambda: losses(names=("a", "a")), "each of its own"),
        (lambda: losses(names=("a", "b c")), "must be words"),
        (lambda: nn.Losses(nn.MSELoss(), weights=(-1,)), "weights"),
        (lambda: nn.Losses(nn.MSELoss(), weights=(1, 2)), "one entry for each of 1"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_repr_clone_and_equations():
    loss = losses(names=("digit", "angle"))
    assert repr(eval(repr(loss), vars(nn))) == repr(loss) == repr(nn.clone(loss))
    assert loss.equations["loss"] == "L = L_digit + 0.5 L_angle"
    assert "angle: prediction" in loss.equations
    metric = nn.OutputMetric("digit", nn.Accuracy())
    assert metric.name == "digit_accuracy"
    assert metric.larger_is_better
    assert not nn.OutputMetric("angle", nn.MeanAbsoluteError()).larger_is_better


def test_the_whole_model_by_differences():
    model, loss = heads().astype(np.float64), losses()
    x = X.astype(np.float64)
    value = loss(model(x), Y)
    d_x = model.backward(loss.backward())
    for index in ((0, 0), (7, 2)):
        moved = x.copy()
        moved[index] += 1e-6
        assert (loss(model(moved), Y) - value) / 1e-6 == pytest.approx(d_x[index], abs=1e-6)


def test_check_gradients():
    assert nn.check_gradients(heads(), X, losses(), Y).ok

    class Halved(Heads):
        def backward(self, grad_output):
            return super().backward((grad_output[0], 0.5 * grad_output[1]))

    whole = heads()
    report = nn.check_gradients(Halved(whole.body, *whole.heads), X, losses(), Y, raises=False)
    assert not report.ok
    assert "model.1.weight" in str(report)


def test_lbfgs():
    model = heads()
    history = nn.fit_lbfgs(model, losses(), X, Y, weight_decay=0.01)
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_trace_and_profile():
    model = heads()
    printed = str(nn.trace(model, losses(), X, Y))
    assert "G₁" in printed
    assert "G₂" in printed
    assert nn.audit(model, losses(), X, Y).rows
    assert nn.profile(model, losses(), X, Y)
