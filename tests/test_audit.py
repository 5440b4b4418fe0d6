"""The audit: findings where there is something to find, silence where there is not."""

import audited
import numpy as np
import pytest

import nnlite as nn


def stack(activation, depth=8, init=None):
    layers = [
        layer for _ in range(depth) for layer in (nn.Linear(64, 64, weight_init=init), activation())
    ]
    return nn.Sequential(*layers, nn.Linear(64, 10))


@pytest.fixture(scope="module")
def digits():
    x, y = nn.data.load_digits()
    return x[:64], y[:64]


def findings(model, digits):
    return " ".join(nn.audit(model, nn.CrossEntropyLoss(), *digits).findings)


def test_a_healthy_model_has_no_findings(digits):
    audit = nn.audit(stack(nn.ReLU, 2, nn.initializers.He()), nn.CrossEntropyLoss(), *digits)
    assert audit.findings == []
    assert "nothing to worry about" in repr(audit)
    assert len(audit.rows) == 5


def test_vanishing_gradients(digits):
    assert "gradients vanish" in findings(stack(nn.Sigmoid), digits)


def test_exploding_gradients(digits):
    assert "gradients explode" in findings(
        stack(nn.Identity, 8, nn.initializers.Normal(1.0)), digits
    )


def test_dead_units(digits):
    model = stack(nn.ReLU, 2, nn.initializers.He())
    model[2].bias.data = np.full(64, -100.0)
    text = findings(model, digits)
    assert "layer 3 › ReLU(): 100% of the units are zero" in text
    assert "no gradient reaches 0.weight, 0.bias, 2.weight, 2.bias" in text


def test_saturated_units(digits):
    assert "saturated" in findings(stack(nn.Tanh, 2, nn.initializers.Normal(10.0)), digits)


class Clip(nn.Layer):
    """y = x within ±1, by a layer that nnlite does not know."""

    def forward(self, x):
        self.save_for_backward(abs(x) < 1)
        return x.clip(-1, 1)

    def backward(self, grad_output):
        (inside,) = self.saved()
        return grad_output * inside


@pytest.mark.parametrize(
    ("kind", "flat", "told"),
    [("map", False, False), ("activation", True, True), ("rectifier", True, False)],
)
def test_layers_say_whether_being_flat_is_a_bad_sign(kind, flat, told, digits, monkeypatch):
    monkeypatch.setattr(Clip, "kind", kind)
    model = stack(Clip, 2, nn.initializers.Normal(10.0))
    audit = nn.audit(model, nn.CrossEntropyLoss(), *digits)
    assert (audit.rows[3].flat > 0.5) == flat
    assert ("saturated" in " ".join(audit.findings)) == told


def test_the_first_layer_that_is_not_finite(digits):
    model = stack(nn.ReLU, 3)
    model[2].weight.data = np.full((64, 64), np.inf)
    audit = nn.audit(model, nn.CrossEntropyLoss(), *digits)
    assert len(audit.findings) == 1
    assert audit.findings[0].startswith("layer 2 › Linear(64, 64) is the first layer")


def test_no_more_than_five_findings(digits):
    model = stack(nn.ReLU, 10)
    for layer in model.layers[0:20:2]:
        layer.bias.data = np.full(64, -100.0)
    assert len(nn.audit(model, nn.CrossEntropyLoss(), *digits).findings) == 5


def train(model, digits, lr=1e-3, **options):
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=lr))
    callback = nn.GradientAudit(**options)
    trainer.fit(*digits, epochs=3, callbacks=[callback], verbose=False)
    return callback


def test_the_callback_sees_updates_and_lets_go(digits, capsys):
    model = stack(nn.ReLU, 1)
    callback = train(model, digits, lr=0.1, every_epochs=2)
    assert len(callback.audits) == 2
    assert "update/weight" in capsys.readouterr().out
    row = callback.audits[0].rows[0]
    assert [parameter.path for parameter in row.parameters] == ["0.weight", "0.bias"]
    assert all(parameter.update > 0 for parameter in row.parameters)
    assert all("forward" not in vars(layer) for layer in model.named_layers().values())


def test_the_callback_lets_go_after_an_error(digits):
    model = nn.Sequential(nn.Linear(64, 10), nn.Lambda(np.asarray, lambda g, x: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        train(model, digits)
    assert all("backward" not in vars(layer) for layer in model.named_layers().values())


SLOW = pytest.mark.slow
# (seed, which of the trainings); not the seeds whose numbers the thresholds were read from
SAMPLES = [(3, slice(None, None, 8)), *(pytest.param(s, slice(None), marks=SLOW) for s in (3, 4))]


@pytest.mark.parametrize(("seed", "some"), SAMPLES)
def test_the_true_cause_leads(seed, some, capsys):
    """Of every sick training: it is named, and nothing is said before it."""
    led = {}
    for make, words in [*audited.SICK.items()][some]:
        _, audits = audited.audited(make, seed)
        first = next(audit.findings for audit in audits if audit.findings)
        led[make.__name__] = words in first[0]
    with capsys.disabled():
        print(f"\naudit: {sum(led.values())} of {len(led)} sick trainings named by their cause")
    assert [name for name, right in led.items() if not right] == []


@pytest.mark.parametrize(("seed", "some"), SAMPLES)
def test_healthy_trainings_are_left_in_peace(seed, some, capsys):
    said = {}
    for make in [*audited.HEALTHY][some]:
        _, audits = audited.audited(make, seed)
        said[make.__name__] = [text for audit in audits for text in audit.findings]
    silent = sum(not texts for texts in said.values())
    with capsys.disabled():
        print(f"\naudit: silent on {silent} of {len(said)} healthy trainings")
    assert {name: texts for name, texts in said.items() if texts} == {}


class Doubled(nn.Layer):
    """A layer made of layers that owns a parameter: y = s ⊙ f(x)."""

    def __init__(self, inner, features):
        self.inner = inner
        self.scale = nn.Parameter(np.ones(features))

    def forward(self, x):
        y = self.inner(x)
        self.save_for_backward(y)
        return y * self.scale.data

    def backward(self, grad_output):
        self.saved()
        return self.inner.backward(grad_output * self.scale.data)  # dL/ds is missing


def test_parameters_of_layers_made_of_layers_are_seen(digits):
    model = nn.Sequential(Doubled(nn.Linear(64, 32), 32), nn.ReLU(), nn.Linear(32, 10))
    audit = nn.audit(model, nn.CrossEntropyLoss(), *digits)
    paths = {row.name: [p.path for p in row.parameters] for row in audit.rows}
    assert paths["layer 0 › Doubled"] == ["0.scale"]
    assert paths["layer 0 › inner › Linear(64, 32)"] == ["0.inner.weight", "0.inner.bias"]
    assert "no gradient reaches 0.scale" in " ".join(audit.findings)
    x = np.random.default_rng(0).standard_normal((8, 6, 3)).astype(np.float32)
    stacked = nn.Sequential(nn.LSTM(3, 4, num_layers=2, return_sequences=False))
    rows = nn.audit(stacked, nn.MSELoss(), x, np.zeros((8, 4), np.float32)).rows
    seen = [p.path for row in rows for p in row.parameters]
    assert sorted(seen) == sorted(stacked.named_parameters())


@pytest.mark.parametrize("loss", [nn.MAELoss(), nn.HingeLoss()], ids=repr)
def test_a_few_signs_that_cancel_are_no_missing_gradient(loss):
    nn.seed(0)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    y = np.array([[5.0], [5.0], [-5.0], [-5.0]], np.float32)
    y = y if isinstance(loss, nn.MAELoss) else np.sign(y)
    audit = nn.audit(nn.Linear(3, 1), loss, 0.01 * x, y)
    assert [p.gradient == 0 for p in audit.rows[0].parameters] == [False, True]
    assert audit.findings == []


def test_inputs_that_are_tiny(digits):
    x, y = digits
    text = " ".join(
        nn.audit(stack(nn.ReLU, 1), nn.CrossEntropyLoss(), x / x.max() / 255, y).findings
    )
    assert "gets inputs of at most 0.0039" in text
    assert "divide images by 255 only once" in text
    one_hot = np.eye(4096, dtype=np.float32)[:8]
    model = nn.Sequential(nn.Linear(4096, 10))
    assert nn.audit(model, nn.CrossEntropyLoss(), one_hot, y[:8]).findings == []


def test_targets_beyond_the_last_activation():
    x = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    model = nn.Sequential(nn.Linear(4, 1, weight_init=nn.initializers.Normal(20.0)), nn.Tanh())
    (first, *_) = nn.audit(model, nn.MSELoss(), x, 20 + 5 * x[:, :1]).findings
    assert first.startswith("layer 1 › Tanh() ends the model and gives at most 1, while ")
    assert "saturated" in nn.audit(model, nn.MSELoss(), x, -np.sign(x[:, :1])).findings[0]


def test_a_surrogate_gradient_is_not_called_flat(digits):
    class Sign(nn.Lambda):
        kind = "activation"

    model = nn.Sequential(nn.Linear(64, 32), Sign(np.sign, lambda g, x: 0.001 * g))
    y = np.zeros((64, 32), np.float32)
    assert nn.audit(model, nn.MSELoss(), digits[0], y).rows[1].flat == 1
    model[1].surrogate = "straight through"
    assert nn.audit(model, nn.MSELoss(), digits[0], y).rows[1].flat == 0


def test_several_inputs_are_seen_whole():
    model = nn.Sequential(nn.Parallel(nn.Linear(4, 2), nn.Linear(3, 2)), nn.Join())
    x = (np.ones((5, 4), np.float32), np.full((5, 3), 1e3, np.float32))
    audit = nn.audit(model, nn.MSELoss(), x, np.zeros((5, 4), np.float32))
    assert audit.findings[0].startswith(
        "layer 0 › input 1 › Linear(3, 2) gets inputs of size 1e+03"
    )


def test_the_run_keeps_what_earlier_audits_found(digits, capsys):
    x, y = nn.data.load_digits()
    order = np.argsort(y[:320], kind="stable")
    model = stack(nn.ReLU, 1)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))
    callback = nn.GradientAudit()
    trainer.fit(x[order], y[order], shuffle=False, epochs=3, callbacks=[callback], verbose=False)
    assert "the data is sorted" in callback.findings[0]
    assert all("the data is sorted" in audit.findings[0] for audit in callback.audits)
    assert capsys.readouterr().out.count("the data is sorted") == 1
    assert "check" not in vars(trainer.loss)


def test_frozen_layers_are_meant_but_not_the_last(digits):
    for frozen, told in ((0, False), (2, True)):
        model = stack(nn.ReLU, 1)
        for parameter in model[frozen].parameters():
            parameter.trainable = False
        texts = " ".join(train(model, digits, lr=0.1).findings)
        assert ("the last layer (2.weight, 2.bias) does not move" in texts) == told
    model = stack(nn.ReLU, 1)
    optimizer = nn.SGD(model[0].parameters(), lr=0.1)
    callback = nn.GradientAudit(verbose=False)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    trainer.fit(*digits, callbacks=[callback], verbose=False)
    assert "the optimizer does not have 2.weight, 2.bias" in callback.findings[0]


def test_large_and_small_steps_are_noticed(digits):
    assert "smaller learning rate" in str(train(stack(nn.ReLU, 1), digits, lr=50.0).audits[0])
    assert "larger learning rate" in str(train(stack(nn.ReLU, 1), digits, lr=1e-6).audits[0])


def test_training_is_the_same_with_and_without(digits):
    ends = []
    for callbacks in ([], [nn.GradientAudit(verbose=False)]):
        nn.seed(0)
        model = stack(nn.ReLU, 1)
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1))
        trainer.fit(*digits, epochs=2, callbacks=callbacks, verbose=False)
        ends.append(model[0].weight.data.copy())
    np.testing.assert_array_equal(*ends)
