"""What a gradient check finds beside wrong slopes: first values, modes, memory, surrogates."""

import copy

import numpy as np
import pytest

import nnlite as nn

RNG = np.random.default_rng(2)
X = RNG.standard_normal((5, 3))


class Scaled(nn.Layer):
    """y = γ x, with one mistake that the values a layer begins with may hide."""

    def __init__(self, mistake="", first=1.0):
        self.mistake = mistake
        self.first = first
        self.gamma = nn.Parameter(np.full(3, first))
        self.seen = nn.Buffer(np.zeros(3))

    def forward(self, x):
        mistake = self.mistake
        if mistake == "changes a buffer" or self.training:
            self.seen.data = self.seen.data + x.mean(0)
        if mistake == "keeps the first x":
            self._first = getattr(self, "_first", x.copy())
            x = x + 0 * self._first + self._first.mean()
        y = self.gamma.data * x
        if mistake == "one array":
            if getattr(self, "_y", np.zeros(0)).shape != y.shape:
                self._y = y
            self._y[...] = y
            y = self._y
        if mistake == "float32 sums":
            y = (self.gamma.data.astype(np.float32) * x.astype(np.float32)).astype(x.dtype)
        self._again = y
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        mistake = self.mistake
        (x,) = self.saved()
        if mistake == "returns early" and not self.needs_input_grad:
            return None
        if mistake == "reads the mode" and not self.training:
            grad_output = 2 * grad_output
        if mistake == "overwrites y":
            self._again *= 2
        if mistake == "float32 gradient":
            grad_output = grad_output.astype(np.float32).astype(x.dtype)
        self.gamma.grad += (grad_output * x).sum(0)
        if mistake == "forgets γ":
            return 1 * grad_output
        d_x = grad_output * self.gamma.data
        if mistake == "float32 input gradient":
            return d_x.astype(np.float32)
        return d_x


MISTAKES = {
    "forgets γ": ("derivative", "with parameters moved"),
    "changes a buffer": ("buffer", "forward changes seen in eval mode"),
    "keeps the first x": ("step", "forward depends on an earlier x"),
    "one array": ("in place", "every output into the same array"),
    "float32 sums": ("dtype", "forward is computed in float32"),
    "returns early": ("skipped", "with needs_input_grad=False"),
    "reads the mode": ("mode", "backward reads self.training"),
    "overwrites y": ("in place", "backward overwrites the output y"),
    "float32 gradient": ("dtype", "the gradient of gamma is computed in float32"),
    "float32 input gradient": ("dtype", "backward returns float32 for float64 input"),
}


def test_without_a_mistake_all_is_well():
    for first in (1.0, 0.0):
        for mode in (True, False):
            assert nn.check_gradients(Scaled(first=first).train(mode), X).ok


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_beside_the_slopes_are_found(mistake, training):
    layer = Scaled(mistake).train(training)
    twin = copy.deepcopy(layer)
    report = nn.check_gradients(layer, X, raises=False)
    kind, words = MISTAKES[mistake]
    assert kind in report.kinds
    assert words in str(report)
    np.testing.assert_array_equal(layer.gamma.data, twin.gamma.data)
    np.testing.assert_array_equal(layer.seen.data, twin.seen.data)
    assert layer.training == training
    assert not layer.gamma.grad.any()


def test_the_other_mode_is_checked_too():
    class WrongInEval(nn.BatchNorm1d):
        def backward(self, grad_output):
            evaluated = self._evaluated
            d_x = super().backward(grad_output)
            return 0.5 * d_x if evaluated else d_x

        def forward(self, x):
            self._evaluated = not self.training
            return super().forward(x)

    report = nn.check_gradients(WrongInEval(3), X, raises=False)
    assert "input: in eval mode, with parameters moved by 5 %, it is 0.5 times" in str(report)


class Step(nn.Layer):
    """y = 1 where x > 0, else 0; backward is that of the identity."""

    surrogate = "straight-through: a step has no slope"

    def __init__(self, mistake=""):
        self.mistake = mistake

    def forward(self, x):
        self.save_for_backward()
        return (x > 0).astype(x.dtype)

    def backward(self, grad_output):
        self.saved()
        if self.mistake == "in place":
            grad_output *= 2
        return grad_output[:, :1] if self.mistake == "shape" else grad_output


class Reversal(nn.Layer):
    """y = x, and the gradient comes back with the other sign."""

    def __init__(self):
        self.surrogate = "reversed, so that what comes before learns the opposite"

    def forward(self, x):
        self.save_for_backward()
        return 1 * x

    def backward(self, grad_output):
        self.saved()
        return -grad_output


class Rounded(nn.Layer):
    """y = s round(x W / s), straight through the rounding; dL/ds is exact."""

    surrogate = "straight-through"

    def __init__(self, factor=1.0):
        self.factor = factor
        self.step = nn.Parameter(0.1)

    def forward(self, x):
        n = np.round(x / self.step.data)
        self.save_for_backward(n)
        return self.step.data * n

    def backward(self, grad_output):
        (n,) = self.saved()
        self.step.grad += self.factor * (grad_output * n).sum()
        return 1 * grad_output


class Binary(nn.Layer):
    """y = x sign(W), and W learns as if it were itself."""

    surrogate = {"weight": "straight-through the sign"}  # noqa: RUF012

    def __init__(self):
        self.weight = nn.Parameter(np.random.default_rng(0).standard_normal((3, 3)))

    def forward(self, x):
        self.save_for_backward(x)
        return x @ np.sign(self.weight.data)

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += x.T @ grad_output
        return grad_output @ np.sign(self.weight.data).T


@pytest.mark.parametrize("layer", [Step(), Reversal(), Rounded(), Binary()])
def test_surrogates_are_reported_and_not_called_wrong(layer):
    text = str(nn.check_gradients(layer, X))
    assert "surrogate\n" in text
    assert "a surrogate, not the slope" in text
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), layer, nn.Linear(3, 2), Reversal())
    report = nn.check_gradients(model, X)
    assert "2." in str(report)
    assert {row.name for row in report} == {"input", *model.named_parameters()}


@pytest.mark.parametrize("after", [Step(), Reversal()])
def test_what_comes_before_a_surrogate_is_checked_with_it(after):
    class Wrong(nn.Linear):
        def backward(self, grad_output):
            return 2 * super().backward(grad_output)

    model = nn.Sequential(nn.Linear(3, 3), Wrong(3, 3), after, nn.Linear(3, 2))
    report = nn.check_gradients(model, X, raises=False)
    assert [row.ok for row in report if row.name == "0.weight"] == [False]
    assert [row.ok for row in report if row.name == "1.weight"] == [True]
    assert ["Wrong" in part.subject for part in report.parts] == [True]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Step("in place"), "backward modifies grad_output in place"),
        (Step("shape"), "backward returns dL/dx of shape (5, 1)"),
        (Rounded(2.0), "it is 2 times the slope"),
    ],
)
def test_all_else_about_a_surrogate_is_checked(layer, words):
    report = nn.check_gradients(layer, X, raises=False)
    assert not report.ok
    assert words in str(report)


def test_a_surrogate_without_a_reason_is_refused():
    layer = Step()
    layer.surrogate = True
    with pytest.raises(TypeError, match="surrogate must say why the gradient is not the slope"):
        nn.check_gradients(layer, X)


def test_a_trace_shows_surrogates():
    model = nn.Sequential(nn.Linear(3, 3), Step(), Binary())
    trace = nn.trace(model, nn.MSELoss(), X.astype(np.float32), np.ones((5, 3), np.float32))
    text = str(trace)
    assert "a surrogate: straight-through: a step has no slope" in text
    assert "compute the weight gradient, a surrogate: straight-through the sign" in text


class Fails(nn.Layer):
    def forward(self, x):
        raise IndexError("index 7 is out of bounds")

    def backward(self, grad_output):
        return grad_output


def test_a_forward_that_raises_is_reported():
    for model in (Fails(), nn.Sequential(nn.Linear(3, 3), Fails())):
        with pytest.raises(nn.GradientError, match="forward raises IndexError: index 7") as caught:
            nn.check_gradients(model, X)
        assert isinstance(caught.value.__cause__, IndexError)
        assert ("(in Fails(), a layer inside)" in str(caught.value)) == (
            len(model.named_layers()) > 1
        )


class Elementwise(nn.Layer):
    """y = f(x), with its derivative."""

    def __init__(self, f, derivative):
        self.f = f
        self.derivative = derivative

    def forward(self, x):
        y = self.f(x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        return grad_output * self.derivative(x)


class Unit(nn.Layer):
    def forward(self, x):
        n = np.sqrt((x * x).sum(axis=1, keepdims=True))
        self.save_for_backward(x / n, n)
        return x / n

    def backward(self, grad_output):
        y, n = self.saved()
        return (grad_output - y * (grad_output * y).sum(axis=1, keepdims=True)) / n


@pytest.mark.parametrize("lower", range(1, 11))
@pytest.mark.parametrize(
    "layer",
    [
        Elementwise(np.log, lambda x: 1 / x),
        Elementwise(np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        Elementwise(lambda x: 1 / x, lambda x: -1 / x**2),
        Elementwise(lambda x: np.sin(10 / x), lambda x: -10 / x**2 * np.cos(10 / x)),
        Elementwise(np.log1p, lambda x: 1 / (1 + x)),
        Unit(),
    ],
    ids=["log", "sqrt", "1/x", "sin 10/x", "log1p", "unit"],
)
def test_values_of_very_different_size_are_no_mistake(layer, lower):
    x = 10.0 ** np.random.default_rng(lower).uniform(-lower, 0, (5, 4))
    assert nn.check_gradients(layer, x).ok
    rows = np.random.default_rng(lower).standard_normal((5, 3))
    if isinstance(layer, Unit):
        assert nn.check_gradients(layer, rows * 10.0 ** -np.linspace(0, lower, 5)[:, None]).ok


@pytest.mark.parametrize("k", [100, 1000, 10000])
def test_fast_waves_are_no_mistake(k):
    wave = Elementwise(lambda x: np.sin(k * x), lambda x: k * np.cos(k * x))
    assert nn.check_gradients(wave, X).ok


@pytest.mark.parametrize("place", ["input", "middle", "output", "branch"])
@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
def test_float32_is_told_wherever_it_is(place, size):
    class Single(nn.Layer):
        def forward(self, x):
            def cast(a, at):
                return a.astype(np.float32).astype(x.dtype) if place == at else a

            s = np.tanh(cast(x, "input") / size)
            y = cast(cast(s, "middle") * x, "output") + cast(s * s, "branch")
            self.save_for_backward(x, s)
            return y

        def backward(self, grad_output):
            x, s = self.saved()
            return grad_output * (s + (x + 2 * s) * (1 - s * s) / size)

    x = np.random.default_rng(0).standard_normal((4, 3)) * size
    report = nn.check_gradients(Single(), x, raises=False)
    assert "forward is computed in float32" in str(report)


def test_what_could_not_be_told_is_not_called_right():
    log = Elementwise(np.log, lambda x: 1 / x)
    with np.errstate(invalid="ignore"):
        report = nn.check_gradients(log, X - 10, raises=False)
    assert not report.ok
    assert "forward gives NaN or infinity at 15 of 15 outputs, the first at (0, 0)" in str(report)
    assert "not told" in str(report)
    wave = Elementwise(lambda x: np.sin(10 / x), lambda x: -10 / x**2 * np.cos(10 / x))
    text = str(nn.check_gradients(wave, 10.0 ** np.linspace(-8, 0, 20).reshape(5, 4)))
    assert "all gradients are right" not in text
    assert "input could not be checked" in text


def test_a_loss_that_is_not_finite_is_told():
    class Log(nn.Loss):
        def function(self, prediction, target):
            return np.log(prediction), prediction

        def derivative(self, prediction):
            return 1 / prediction

    with np.errstate(invalid="ignore"):
        report = nn.check_gradients(nn.ReLU(), X, nn.MSELoss(), X)
        assert report.ok
        report = nn.check_gradients(nn.Tanh(), X, Log(), X, raises=False)
    assert "Log(): it returns nan for this prediction and target" in str(report)


def test_what_a_subclass_must_define_is_reported():
    class Nothing(nn.Layer):
        pass

    class NoDerivative(nn.Loss):
        def function(self, prediction, target):
            return (prediction - target) ** 2, prediction

    assert "Nothing must define forward" in str(nn.check_gradients(Nothing(), X, raises=False))
    report = nn.check_gradients(nn.Tanh(), X, NoDerivative(), X, raises=False)
    assert "NoDerivative must define derivative" in str(report)


def test_forward_that_returns_a_tuple_is_blamed_on_forward():
    class Two(nn.Tanh):
        def forward(self, x):
            y = super().forward(x)
            return y, y

    assert "forward returns a tuple" in str(nn.check_gradients(Two(), X, raises=False))


class Twice(nn.Layer):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(self.inner(x))

    def backward(self, grad_output):
        return self.inner.backward(self.inner.backward(grad_output))


def test_a_layer_called_twice_is_named():
    text = str(nn.check_gradients(Twice(nn.Linear(3, 3)), X, raises=False))
    assert "inner, Linear(3, 3), is called 2 times" in text
    assert "a layer can be used once" in text
    assert "sum over the leading axes" not in text


class Clipped(nn.Layer):
    def __init__(self, limit):
        self.limit = limit
        self.w = nn.Parameter(np.full((3, 2), 0.3))

    def forward(self, x):
        self.w.data = np.clip(self.w.data, -self.limit, self.limit)
        self.save_for_backward(x)
        return x @ self.w.data

    def backward(self, grad_output):
        (x,) = self.saved()
        self.w.grad += x.T @ grad_output
        return grad_output @ self.w.data.T


class Shrinking(Clipped):
    def forward(self, x):
        self.w.data *= 0.9
        self.save_for_backward(x)
        return x @ self.w.data


def test_forward_that_shrinks_a_parameter_is_not_called_random():
    report = nn.check_gradients(Shrinking(1), X, raises=False)
    assert "forward modifies the parameter w" in str(report)
    assert "deterministic" not in str(report)


class Copied(Clipped):
    """A backward that reads a copy of w made in the constructor."""

    def __init__(self):
        self.w = nn.Parameter(np.random.default_rng(0).standard_normal((3, 2)))
        self.transposed = self.w.data.T.astype(float)

    def forward(self, x):
        self.save_for_backward(x)
        return x @ self.w.data

    def backward(self, grad_output):
        (x,) = self.saved()
        self.w.grad += x.T @ grad_output
        return (grad_output @ self.transposed).astype(x.dtype)


def test_a_copy_of_a_parameter_is_told():
    report = nn.check_gradients(Copied(), X, raises=False)
    assert report.kinds == {"copied"}


@pytest.mark.parametrize("limit", [0.1, 0.5])
def test_forward_that_modifies_a_parameter_is_told(limit):
    report = nn.check_gradients(Clipped(limit), X, raises=False)
    assert "forward modifies the parameter w" in str(report)


class Aliased(nn.Layer):
    def __init__(self):
        self.b = nn.Parameter(np.full(3, 0.3))

    def forward(self, x):
        y = np.tanh(x)
        self.save_for_backward(y)
        y += self.b.data
        return y

    def backward(self, grad_output):
        (y,) = self.saved()
        self.b.grad += grad_output.sum(axis=0)
        return grad_output * (1 - y**2)


def test_an_array_that_is_changed_after_it_was_saved_is_told():
    for model in (Aliased(), nn.Sequential(nn.Linear(3, 3), Aliased())):
        report = nn.check_gradients(model, X, raises=False)
        assert "aliased" in report.kinds
        assert "Aliased() has saved for backward is changed afterwards" in str(report)


def test_what_training_has_left_in_an_attribute_is_told():
    class Stale(nn.Layer):
        def __init__(self):
            self.rng = np.random.default_rng(0)
            self.mask = None

        def forward(self, x):
            self.save_for_backward()
            if not self.training:
                return x
            self.mask = (self.rng.random(x.shape) > 0.5).astype(x.dtype)
            return x * self.mask

        def backward(self, grad_output):
            self.saved()
            return grad_output if self.mask is None else grad_output * self.mask

    report = nn.check_gradients(Stale(), X, raises=False)
    assert report.kinds == {"left over"}
    assert "left in an attribute (mask)" in str(report)


def test_a_parameter_that_forward_makes_is_noted_as_one():
    class Lazy(nn.Layer):
        def forward(self, x):
            if not hasattr(self, "w"):
                self.w = nn.Parameter(np.ones(x.shape[1]))
            self.save_for_backward(x)
            return x * self.w.data

        def backward(self, grad_output):
            (x,) = self.saved()
            self.w.grad += (grad_output * x).sum(axis=0)
            return grad_output * self.w.data

    report = nn.check_gradients(Lazy(), X)
    assert {row.name for row in report} == {"w", "input"}
    assert "no parameters" not in str(report)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.check_gradients(nn.MSELoss(), X), TypeError, "layer must be a Layer.*loss=…"),
        (lambda: nn.check_gradients([nn.Tanh()], X), TypeError, r"write nn.Sequential\(\*layers"),
        (lambda: nn.check_gradients(nn.Tanh(), {"x": X}), TypeError, "joined along the last axis"),
        (lambda: nn.check_gradients(nn.Tanh(), X, nn.Tanh(), X), TypeError, "loss must be a Loss"),
        (lambda: nn.check_gradients(nn.Tanh(), X + 1j), TypeError, "x must hold numbers"),
        (lambda: nn.check_gradients(nn.Linear(3, 2), np.ones((2, 3), bool)), TypeError, "float"),
        (lambda: nn.check_gradients(nn.Tanh(), X[:0]), ValueError, "x is empty"),
        (lambda: nn.check_gradients(nn.Tanh(), X[:, :0]), ValueError, "x is empty"),
        (lambda: nn.check_gradients(nn.Tanh(), X * np.nan), ValueError, "x is not finite"),
        (lambda: nn.check_gradients(nn.Tanh(), X, nn.MSELoss(), X[:2]), ValueError, "same shape"),
    ],
)
def test_bad_input_is_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_any_size_are_checked(dtype):
    assert nn.check_gradients(nn.Sequential(nn.Linear(3, 2), nn.Tanh()), X.astype(dtype)).ok


def test_frozen_parameters_need_no_gradient():
    class Frozen(nn.Linear):
        def backward(self, grad_output):
            self.saved()
            return grad_output @ self.weight.data.T

    layer = Frozen(3, 2, bias=False)
    assert not nn.check_gradients(layer, X, raises=False).ok
    layer.weight.trainable = False
    assert "weight is frozen, and gets no gradient" in str(nn.check_gradients(layer, X))


class BadLoss(nn.Loss):
    """Mean of w d², with one mistake."""

    def __init__(self, mistake=""):
        self.mistake = mistake
        self.reduction = "mean"

    def __call__(self, prediction, target, sample_weight=None):
        d = prediction - target
        w = np.ones(len(d)) if sample_weight is None else np.asarray(sample_weight)
        w = w.astype(d.dtype)[:, None] * np.ones_like(d)
        if self.mistake == "modifies":
            prediction *= 2
        if self.mistake == "accumulates":
            d = d + getattr(self, "_d", 0)
            self._d = d
            value = ((prediction - target) ** 2).mean()
        self.denominator = float(w.sum() if self.mistake != "divisor" else w.size)
        self.save_for_backward(w, d)
        return (
            float((w * d**2).sum() / self.denominator) if self.mistake != "accumulates" else value
        )

    def backward(self):
        w, d = self.saved()
        grad = 2 * (1 if self.mistake == "unweighted" else w) * d / self.denominator
        return {"none": None, "rows": grad[:, 0], "float32": grad.astype(np.float32)}.get(
            self.mistake, grad
        )


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("none", "backward returns NoneType, for a prediction of shape"),
        ("rows", "backward returns shape (5,), for a prediction of shape (5, 3)"),
        ("float32", "backward returns float32 for a prediction of float64"),
        ("modifies", "it modifies the prediction in place"),
        ("unweighted", "with sample weights, the gradient"),
        ("divisor", "its mean grows with the sample weights"),
        ("accumulates", "another gradient when the same call is repeated"),
    ],
)
def test_losses_keep_their_contract(mistake, words):
    assert nn.check_gradients(nn.Tanh(), X, BadLoss(), 0 * X).ok
    report = nn.check_gradients(nn.Tanh(), X, BadLoss(mistake), 0 * X, raises=False)
    assert not report.ok
    assert words in str(report)


class Median(nn.Layer):
    """The middle one of each row; of equal values, one of them gets all."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, x):
        at = np.argsort(x, axis=1)[:, x.shape[1] // 2][:, None]
        self.save_for_backward(at, x.shape)
        return np.take_along_axis(x, at, axis=1)

    def backward(self, grad_output):
        at, shape = self.saved()
        d_x = np.zeros(shape, grad_output.dtype)
        np.put_along_axis(d_x, at, self.factor * grad_output, axis=1)
        return d_x


@pytest.mark.parametrize("seed", range(4))
def test_one_of_equal_values_may_be_the_median(seed):
    x = np.random.default_rng(seed).integers(0, 4, (6, 5)).astype(float)
    assert nn.check_gradients(Median(), x).ok
    assert not nn.check_gradients(Median(1.1), x, raises=False).ok
