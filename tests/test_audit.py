"""The audit: findings where there is something to find, silence where there is not."""

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
    model[0].bias.trainable = False
    callback = train(model, digits, lr=0.1, every_epochs=2)
    assert len(callback.audits) == 2
    assert "update/weight" in capsys.readouterr().out
    row = callback.audits[0].rows[0]
    assert [update > 0 for *_, update in row.parameters] == [True, False]
    assert any("0.bias does not move" in text for text in callback.audits[0].findings)
    assert all("forward" not in vars(layer) for layer in model.named_layers().values())


def test_the_callback_lets_go_after_an_error(digits):
    model = nn.Sequential(nn.Linear(64, 10), nn.Lambda(np.asarray, lambda g, x: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        train(model, digits)
    assert all("backward" not in vars(layer) for layer in model.named_layers().values())


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
