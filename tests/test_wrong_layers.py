"""Wrong layers as learners write them, and the words that the checker has for each."""

import numpy as np
import pytest

import nnlite as nn

RNG = np.random.default_rng(1)
FLAT = RNG.standard_normal((5, 4))
SERIES = RNG.standard_normal((3, 6, 2))


class Recurrent(nn.Layer):
    """h_t = tanh(x_t W + h_{t−1} U), with one mistake."""

    def __init__(self, mistake=None):
        self.mistake = mistake
        rng = np.random.default_rng(0)
        self.w = nn.Parameter(0.5 * rng.standard_normal((2, 4)))
        self.u = nn.Parameter(0.5 * rng.standard_normal((4, 4)))

    def forward(self, x):  # (N, T, 2)
        h = np.zeros((len(x), x.shape[1] + 1, 4), x.dtype)
        for t in range(x.shape[1]):
            h[:, t + 1] = np.tanh(x[:, t] @ self.w.data + h[:, t] @ self.u.data)
        self.save_for_backward(x, h)
        return h[:, 1:].copy()

    def backward(self, grad_output):
        x, h = self.saved()
        d_x, d_h = np.zeros_like(x), np.zeros_like(h[:, 0])
        steps = x.shape[1]
        for t in reversed(range(steps)):
            total = grad_output[:, t] + (0 if self.mistake == "alone" else d_h)
            d_a = total if self.mistake == "tanh" else total * (1 - h[:, t + 1] ** 2)
            if self.mistake == "overwrites":
                self.w.grad[:] = x[:, t].T @ d_a
            else:
                self.w.grad += x[:, t].T @ d_a
            self.u.grad += h[:, t].T @ d_a
            d_x[:, steps - 1 - t if self.mistake == "reversed" else t] = d_a @ self.w.data.T
            d_h = d_a @ self.u.data.T
        return d_x


class Normalize(nn.Layer):
    """y = (x − mean) / std of each sample, with one mistake."""

    def __init__(self, mistake=None):
        self.mistake = mistake

    def forward(self, x):
        s = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        y = (x - x.mean(-1, keepdims=True)) * s
        self.save_for_backward(y, s)
        return y

    def backward(self, grad_output):
        y, s = self.saved()
        mean = grad_output.mean(-1, keepdims=True)
        scale = y * (grad_output * y).mean(-1, keepdims=True)
        return s * (
            grad_output
            - (0 if self.mistake in ("mean", "both") else mean)
            - (0 if self.mistake in ("variance", "both") else scale)
        )


class Convolve(nn.Layer):
    """y_t = Σ_k x_{t+k−1} W_k + b, zeros around x, with one mistake."""

    def __init__(self, mistake=None):
        self.mistake = mistake
        self.w = nn.Parameter(np.random.default_rng(0).standard_normal((3, 2, 2)))
        self.b = nn.Parameter(np.zeros(2))

    def forward(self, x):  # (N, T, 2)
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        y = sum(padded[:, k : k + x.shape[1]] @ self.w.data[k] for k in range(3)) + self.b.data
        self.save_for_backward(padded)
        return y

    def backward(self, grad_output):
        (padded,) = self.saved()
        steps = grad_output.shape[1]
        d = np.zeros_like(padded)
        for k in range(3):
            share = np.tensordot(padded[:, k : k + steps], grad_output, ((0, 1), (0, 1)))
            self.w.grad[2 - k if self.mistake == "weight" else k] += share
            back = self.w.data[2 - k if self.mistake == "kernel" else k].T
            d[:, k : k + steps] += grad_output @ back
        total = grad_output.sum(0)
        self.b.grad += total.mean(0) if self.mistake == "average" else total.sum(0)
        return d[:, :-2] if self.mistake == "padding" else d[:, 1:-1]


class Simple(nn.Layer):
    """y = f(x), with the backward that is given."""

    def __init__(self, function, derivative):
        self.function = function
        self.derivative = derivative

    def forward(self, x):
        self.save_for_backward(x)
        return self.function(x)

    def backward(self, grad_output):
        (x,) = self.saved()
        return self.derivative(grad_output, x)


class Untransposed(nn.Linear):
    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += x.T @ grad_output
        self.bias.grad += grad_output.sum(0)
        return grad_output @ self.weight.data


class Remembers(nn.Linear):
    """Keeps the first x that it ever saw."""

    def forward(self, x):
        self._x = getattr(self, "_x", x)
        return super().forward(x)

    def backward(self, grad_output):
        self.saved()
        self.weight.grad += self._x.T @ grad_output
        self.bias.grad += grad_output.sum(0)
        return grad_output @ self.weight.data.T


def relu(x):
    return np.maximum(x, 0)


WRONG = {
    "no gradient from the next step": (Recurrent("alone"), SERIES, "the term `d_h` is missing"),
    "no tanh": (Recurrent("tanh"), SERIES, "tanh's derivative 1 − tanh², is missing"),
    "time reversed": (Recurrent("reversed"), SERIES, "input: it is the slope in reversed order "
        "along axis 1"),
    "mean": (Normalize("mean"), FLAT, "the mean over axis 1 is treated as a constant"),
    "variance": (Normalize("variance"), FLAT, "the variance over axis 1 is treated"),
    "mean and variance": (Normalize("both"), FLAT, "the mean and variance over axis 1 are"),
    "sum": (Simple(lambda x: x / x.sum(-1, keepdims=True),
        lambda g, x: g / x.sum(-1, keepdims=True)), abs(FLAT) + 1, "the sum over axis "
        "1 is treated as a constant"),
    "weight flipped": (Convolve("weight"), SERIES, "w: it is the slope in reversed order along "
        "axis 0"),
    "kernel flipped": (Convolve("kernel"), SERIES, "`self.w.data` must be "
        "reversed along axis 0: it runs the wrong way"),
    "padding": (Convolve("padding"), SERIES, "input: it is the slope, shifted by +1 along axis 1"),
    "bias averaged": (Convolve("average"), SERIES, "1/6 is one over the output's length along "
        "axis 1"),
    "mean pooling": (Simple(lambda x: x.mean(1), lambda g, x: g[:, None].repeat(6, axis=1)), SERIES,
        "6 is the array's length along axis 1, so a 1/6 is missing"),
    "G compared": (Simple(relu, lambda g, x: g * (g > 0)), FLAT, "it does not grow in proportion"),
    "the wrong side": (Simple(relu, lambda g, x: g * (x < 0)), FLAT, "the derivative f′ is wrong"),
    "jumps": (Simple(lambda x: np.round(x), lambda g, x: g), FLAT, "the slope is zero everywhere"),
    "W for its transpose": (Untransposed(4, 4), FLAT, "G Wᵀ, not G W"),
    "W for its transpose, which does not fit": (Untransposed(4, 3), FLAT, "may need its transpose"),
    "an old x": (Remembers(4, 3), FLAT, "backward reads the state of an earlier forward"),
    "forward returns nothing": (Simple(lambda x: None, lambda g, x: g), FLAT, "forward returns "
        "None: is a return missing?"),
    "forward returns a list": (Simple(lambda x: x.tolist(), lambda g, x: g), FLAT, "forward "
        "returns a list, not an array"),
    "forward returns a number": (Simple(lambda x: x.sum(), lambda g, x: g), FLAT, "forward "
        "returns a float64, not an array"),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "x", "words"), WRONG.values(), ids=WRONG.keys())
def test_the_mistake_is_named(layer, x, words):
    report = nn.check_gradients(layer, x, raises=False)
    assert not report.ok
    assert words in str(report)
    assert "in none of the usual ways" not in str(report)


@pytest.mark.parametrize(
    ("layer", "x"), [(Recurrent(), SERIES), (Normalize(), FLAT), (Convolve(), SERIES)]
)
def test_without_the_mistake_all_is_well(layer, x):
    assert nn.check_gradients(layer, x).ok


def test_an_exact_finding_is_not_blurred_by_a_vague_one():
    text = str(nn.check_gradients(Recurrent("overwrites"), SERIES, raises=False))
    assert "backward overwrites the gradient of w" in text
    assert "one time step" not in text


def test_a_backward_that_fails_on_another_batch_size_is_a_finding():
    layer = Simple(lambda x: 2 * x, lambda g, x: 2 * g + np.zeros((5, 4)))
    text = str(nn.check_gradients(layer, FLAT, raises=False))
    assert "with a batch of 3 it raises ValueError" in text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.check_gradients(nn.Tanh, FLAT), r"layer must be a Layer.*add \(\)"),
        (lambda: nn.jacobian(np.tanh, FLAT), "jacobian: layer must be a Layer"),
        (lambda: nn.summary(nn.MSELoss(), 3), "summary: model must be a Layer"),
        (lambda: nn.trace(nn.MSELoss(), nn.Tanh(), FLAT, FLAT), "trace: model must be a Layer"),
        (lambda: nn.audit(nn.Tanh(), nn.MSELoss, FLAT, FLAT), r"loss must be a Loss.*add \(\)"),
        (lambda: nn.profile(nn.Tanh(), np.sum, FLAT, FLAT), "profile: loss must be a Loss"),
    ],
)
def test_what_is_no_layer_or_loss_is_refused(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_the_jacobian_of_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"jacobian: x is empty: expected at least one row, got shape \(0, 4\)"
    ):
        nn.jacobian(nn.Tanh(), FLAT[:0])
