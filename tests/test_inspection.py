"""check_gradients and summary: right, and without a trace in the model."""

import copy

import numpy as np
import pytest

import nnlite as nn


class Factor(nn.Layer):
    """A scale whose gradients are wrong by the factors given."""

    def __init__(self, weight_factor=1.0, input_factor=1.0):
        self.weight_factor = weight_factor
        self.input_factor = input_factor
        self.weight = nn.Parameter(np.array([2.0, 3.0, 4.0]))

    def forward(self, x):
        y = x * self.weight.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += self.weight_factor * (grad_output * x).sum(axis=0)
        return self.input_factor * grad_output * self.weight.data


X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def test_right_gradients_pass():
    rows = nn.check_gradients(Factor(), X)
    assert [row.name for row in rows] == ["weight", "input"]
    assert all(row.error < 1e-8 for row in rows)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.00001, -1.0, np.nan])
def test_wrong_gradients_are_named(factor):
    with pytest.raises(nn.GradientError, match=r"weight +\(\d,\) .* WRONG"):
        nn.check_gradients(Factor(weight_factor=factor), X)
    with pytest.raises(nn.GradientError, match=r"input +\(\d, \d\) .* WRONG"):
        nn.check_gradients(Factor(input_factor=factor), X)


def test_the_values_named_are_the_values():
    with pytest.raises(nn.GradientError) as caught:
        nn.check_gradients(Factor(weight_factor=2), X, nn.MSELoss(), np.zeros((4, 3)))
    slope = 2 / 12 * (X.astype(np.float64) ** 2).sum(axis=0) * [2, 3, 4]
    assert f"{slope.max():.5g}"[:6] in str(caught.value)
    assert f"{2 * slope.max():.5g}"[:6] in str(caught.value)


def test_whole_models_with_losses_and_integers():
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 4))
    nn.check_gradients(net, X, nn.CrossEntropyLoss(), np.array([0, 1, 2, 3]))


def test_loss_and_target_go_together():
    with pytest.raises(ValueError, match="together"):
        nn.check_gradients(nn.Linear(3, 2), X, loss=nn.MSELoss())


def test_the_model_in_hand_is_left_alone():
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)).eval()
    net[0].weight.grad = np.ones((3, 4))
    twin = copy.deepcopy(net)
    nn.check_gradients(net, X)
    nn.summary(net, 3)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.grad, b.grad)
    assert net[1].rng.random() == twin[1].rng.random()
    assert not net.training


def test_summary_counts():
    inner = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU())
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Residual(inner), nn.Linear(8, 2))
    net[1].weight.trainable = False
    table = nn.summary(net, (3, 4), batch_size=5)
    by_name = {row.name.split(": ")[1]: row for row in table.rows[1:]}
    assert table.total.output_shape == (5, 2)
    assert table.total.parameters == 12 * 8 + 8 + 64 + 18
    assert table.total.trainable == table.total.parameters - 96
    assert table.total.multiply_adds == 5 * (12 * 8 + 64 + 16)
    assert by_name["Residual"].parameters == 64
    assert by_name["Linear(12, 8)"].depth == 1
    assert by_name["ReLU()"].depth == 3
    # x of the first layer, x of the second, y of ReLU, x of the last: float32, shared ones once
    assert table.total.saved_bytes == 4 * 5 * (12 + 8 + 8 + 8)
    text = repr(table)
    assert "    branch: Sequential" in text
    assert "Linear(12, 8)" in text
    assert f"{table.total.parameters} parameters" in text


def test_summary_names_the_layer_that_does_not_fit():
    with pytest.raises(ValueError, match=r"in Sequential layer 0 › Linear\(3, 4\)"):
        nn.summary(nn.Sequential(nn.Linear(3, 4)), 7)
