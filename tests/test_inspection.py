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


def test_summary_of_several_inputs():
    words = nn.Sequential(nn.Embedding(9, 2), nn.MeanOverTime())
    net = nn.Sequential(nn.Parallel(nn.Linear(4, 3), words), nn.Join(), nn.Linear(5, 1))
    table = nn.summary(net, ((4,), (7,)), batch_size=6, dtype=(None, int))
    assert table.input_shape == ((6, 4), (6, 7))
    shapes = {row.name: row.output_shape for row in table.rows}
    assert shapes["layer 0: Parallel"] == ((6, 3), (6, 2))
    assert shapes["layer 1: Join()"] == (6, 5)
    assert table.total.multiply_adds == 6 * (4 * 3 + 5)
    with pytest.raises(ValueError, match="1 dtypes for 2 inputs"):
        nn.summary(net, ((4,), (7,)), dtype=(int,))
    with pytest.raises(ValueError, match="neither one shape nor several"):
        nn.summary(net, ((4,), 7))


def test_summary_names_the_layer_that_does_not_fit():
    with pytest.raises(ValueError, match=r"in Sequential layer 0 › Linear\(3, 4\)"):
        nn.summary(nn.Sequential(nn.Linear(3, 4)), 7)


class Careless(nn.Layer):
    """y = 2x, with one thing wrong in the way it is done."""

    def __init__(self, how):
        self.how = how
        self.rng = np.random.default_rng(0)
        if how == "hidden":
            self._weight = nn.Parameter(np.ones(3))

    def forward(self, x):
        y = 2 * x
        if self.how == "not deterministic":
            y = y + np.random.default_rng().standard_normal(x.shape)
        if self.how == "forward in place":
            x *= 2
        if self.how == "forward dtype":
            y = y * np.float64(1)
        self.save_for_backward()
        return y

    def backward(self, grad_output):
        self.saved()
        d_x = 2 * grad_output
        return {
            "none": None,
            "type": [1.0],
            "shape": d_x[:, :2],
            "broadcast": d_x[:1],
            "not finite": d_x / 0,
            "raises": None if self.how != "raises" else d_x @ np.ones((9, 9)),
        }.get(self.how, d_x)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("not deterministic", "not deterministic", "forward is not deterministic"),
        ("forward in place", "in place", "forward modifies its input"),
        ("forward dtype", "dtype", "forward returns float64 for float32 input"),
        ("hidden", "hidden", "Careless._weight is a Parameter"),
        ("none", "none", "backward returns None"),
        ("type", "type", "backward returns a list"),
        ("shape", "shape", r"dL/dx of shape (4, 2) for an input of shape (4, 3)"),
        ("broadcast", "broadcast", "it would only fit by broadcasting"),
        ("not finite", "not finite", "holds NaN or infinity"),
        ("raises", "raises", "backward raises ValueError: matmul"),
    ],
)
def test_careless_layers_are_told_so(how, kind, words):
    with np.errstate(all="ignore"):
        report = nn.check_gradients(Careless(how), X, raises=False)
    assert kind in report.kinds
    assert words in str(report)
    with np.errstate(all="ignore"), pytest.raises(nn.GradientError) as caught:
        nn.check_gradients(Careless(how), X)
    assert caught.value.report.kinds == report.kinds


@pytest.mark.parametrize(
    ("gradient", "kind", "words"),
    [
        (lambda x, g: g.T @ x, "transposed", "looks transposed"),
        (lambda x, g: x[:, :, None] * g[:, None], "sum", "sum over the leading axes"),
    ],
)
def test_gradients_of_the_wrong_shape_are_explained(gradient, kind, words):
    class Wrong(nn.Linear):
        def backward(self, grad_output):
            (x,) = self.saved()
            self.weight.grad += gradient(x, grad_output)
            return grad_output @ self.weight.data.T

    report = nn.check_gradients(Wrong(3, 2, bias=False), X, raises=False)
    assert kind in report.kinds
    assert words in str(report)


def test_the_wrong_layer_inside_a_model_is_named():
    class Wrong(nn.Tanh):
        def backward(self, grad_output):
            return -super().backward(grad_output)

    model = nn.Sequential(nn.Linear(3, 3), nn.Residual(nn.Sequential(nn.Linear(3, 3), Wrong())))
    report = nn.check_gradients(model, X, raises=False)
    assert "layer 1 › Residual" in str(report)
    assert "layer 1 › Wrong(): something is wrong" in str(report)
    assert "sign" in report.kinds


def test_a_wrong_loss_is_named():
    class Wrong(nn.MSELoss):
        def derivative(self, d):
            return d

    report = nn.check_gradients(nn.Linear(3, 2), X, Wrong(), np.zeros((4, 2)), raises=False)
    assert "loss" in report.kinds


def test_notes_say_what_was_not_checked():
    assert "no parameters" in str(nn.check_gradients(nn.ReLU(), X + 0.1))
    report = nn.check_gradients(nn.Identity(), np.arange(6).reshape(3, 2))
    assert "the input holds integers (int64)" in str(report)


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.array([["a"]]), TypeError, "x must hold numbers"),
        (np.zeros((0, 3)), ValueError, "x is empty"),
    ],
)
def test_inputs_that_cannot_be_checked(x, error, match):
    with pytest.raises(error, match=match):
        nn.check_gradients(nn.Linear(3, 2), x)


def test_kinks_and_ties_are_no_errors():
    zeros = np.zeros((3, 4))
    assert nn.check_gradients(nn.ReLU(), zeros).ok
    assert nn.check_gradients(nn.HardTanh(), np.ones((3, 4))).ok


class Table(nn.Layer):
    """y = W[x], in which row 0 is held constant."""

    def __init__(self):
        self.weight = nn.Parameter(np.arange(6.0).reshape(3, 2))

    def forward(self, x):
        self.save_for_backward(x)
        return self.weight.data[x]

    def backward(self, grad_output):
        (x,) = self.saved()
        np.add.at(self.weight.grad, x[x > 0], grad_output[x > 0])


def test_layers_say_which_entries_get_no_gradient_on_purpose(monkeypatch):
    x = np.array([0, 2, 1, 0])
    assert not nn.check_gradients(Table(), x, raises=False).ok
    monkeypatch.setattr(Table, "constant_entries", {"weight": 0})
    nn.check_gradients(Table(), x)


def test_inside_inference_everything_works_too():
    model, loss = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), nn.MSELoss()
    x, y = np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)
    with nn.inference():
        nn.check_gradients(model, x, loss, y)
        nn.jacobian(model, x)
        nn.trace(model, loss, x, y)
        nn.audit(model, loss, x, y)
        nn.profile(model, loss, x, y)
        assert nn.summary(model, 3).total.saved_bytes > 0


def test_large_layers_are_checked_along_random_directions():
    x = np.random.default_rng(0).standard_normal((8, 100))
    assert nn.check_gradients(nn.Linear(100, 100), x).ok

    class Wrong(nn.Linear):
        def backward(self, grad_output):
            d_x = super().backward(grad_output)
            self.weight.grad[17, 31] *= 1.01
            return d_x

    report = nn.check_gradients(Wrong(100, 100), x, raises=False)
    assert not report.ok


def test_a_projection_like_the_data_hides_nothing():
    class RMSNorm(nn.Layer):
        def forward(self, x):
            r = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5)
            self.save_for_backward(x, r)
            return x * r

        def backward(self, grad_output):
            x, r = self.saved()
            return r * (grad_output - x * r**2 * (grad_output * x).mean(axis=-1, keepdims=True))

    assert nn.check_gradients(RMSNorm(), np.random.default_rng(0).standard_normal((50, 4))).ok
