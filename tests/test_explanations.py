"""What the checker says about wrong layers: whether it is the mistake that was made."""

import contextlib
import hashlib
import importlib
import itertools
import os
import re
import types

import numpy as np
import pytest
from corpora import judge

import nnlite as nn
from nnlite.inspection.numeric import jacobian_by_differences
from nnlite.inspection.repair import constants
from nnlite.inspection.repair import search as repair


def part(entries, every):
    """The same part of the corpus whatever its order."""
    return [e for e in entries if int(hashlib.md5(e.name.encode()).hexdigest(), 16) % every == 0]


def shares(entries, capsys):
    """(share caught, share told their cause), printed."""
    missed, unnamed = judge.judged(entries)
    caught = 1 - len(missed) / len(entries)
    named = caught - len(unnamed) / len(entries)
    with capsys.disabled():
        print(f"\n{len(entries)} wrong: {caught:.1%} caught, {named:.1%} told their cause")
        print("\n".join(f"{name}: {text[:150]}" for name, text in unnamed.items()), *missed)
    return caught, named


def alarms(entries, capsys):
    """The reports that call what is right wrong; their number is printed."""
    found = judge.false_alarms(entries)
    with capsys.disabled():
        print(f"\n{len(entries)} right: {len(found)} false alarms")
    return found


@pytest.mark.slow
def test_nearly_every_wrong_layer_is_caught_and_told_its_cause(capsys):
    caught, named = shares(judge.WRONG, capsys)
    assert caught >= 0.995
    assert named >= 0.95


def test_of_some_wrong_layers_each_is_caught_and_nearly_each_told_its_cause(capsys):
    caught, named = shares(part(judge.WRONG, 30), capsys)
    assert caught == 1
    assert named >= 0.85


@pytest.mark.slow
def test_no_right_layer_or_loss_is_called_wrong(capsys):
    assert not alarms(judge.RIGHT, capsys)


def test_some_right_layers_and_losses_are_not_called_wrong(capsys):
    assert not alarms(part(judge.RIGHT, 8), capsys)


# -- single explanations ---------------------------------------------------------------------------

X = np.random.default_rng(1).standard_normal((4, 3))
IMAGES = np.random.default_rng(3).standard_normal((3, 4, 5, 2))
SERIES = np.random.default_rng(2).standard_normal((3, 5, 2))


class Plain(nn.Layer):
    """y = f(x), with a backward whose source is not that of the mistake."""

    def __init__(self, function, derivative):
        self.function = function
        self.derivative = derivative

    def forward(self, x):
        self.save_for_backward(x)
        return self.function(x)

    def backward(self, grad_output):
        (x,) = self.saved()
        return self.derivative(grad_output, x)


def softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def largest_of_two(x):
    return np.maximum(x[:, ::2], x[:, 1::2])


INDEX = [0, 0, 2]


def once(g, x):
    d_x = np.zeros_like(x)
    d_x[:, INDEX] += g
    return d_x


def last_window(g, x):
    d_x = np.zeros_like(x)
    for t in range(g.shape[1]):
        d_x[:, t] = d_x[:, t + 1] = g[:, t]
    return d_x


def smaller_of_two(g, x):
    larger = x[:, ::2] >= x[:, 1::2]
    return np.stack([g * ~larger, g * larger], axis=2).reshape(x.shape)


def silu(x):
    return x / (1 + np.exp(-x))


WITHOUT_SOURCE = {
    "softmax's diagonal": (softmax, lambda g, x: g * softmax(x) * (1 - softmax(x)), X,
        "treated as elementwise"),
    "duplicates": (lambda x: x[:, INDEX], once, X, "np.add.at"),
    "all of the window": (largest_of_two, lambda g, x: np.repeat(g, 2, axis=1), SERIES[:, :4],
        "only what was picked"),
    "roll": (lambda x: np.roll(x, 1, axis=1), lambda g, x: np.roll(g, 1, axis=1), SERIES,
        "the values go the wrong way along axis 1"),
    "half of the product rule": (silu, lambda g, x: g / (1 + np.exp(-x)), X, "the second term of "
        "the product rule is missing"),
    "the function for its derivative": (np.tanh, lambda g, x: g * np.tanh(x), X, "the function "
        "and not its derivative"),
    "no skip": (lambda x: x + x**3, lambda g, x: g * 3 * x**2, X, "G itself is missing"),
    "average over all": (lambda x: x.mean(axis=(0, 1), keepdims=True) * np.ones((len(x), 1, 1)),
        lambda g, x: np.broadcast_to(g.sum(axis=0, keepdims=True), x.shape) / len(x), SERIES,
        "along axis 1"),
    "the last column": (lambda x: x * 3, lambda g, x: g * np.array([3, 3, 0], g.dtype), X,
        "index 2 (the last) of the output's axis 1 is left out"),
    "overlapping windows": (lambda x: x[:, :-1] + x[:, 1:], last_window, SERIES,
        "only the last one counts"),
    "shifted in two axes": (lambda x: 3 * x, lambda g, x: 3 * np.roll(g, (1, 1), (1, 2)), IMAGES,
        "shifted by +1 along axis 1, +1 along axis 2"),
    "the gate's path": (lambda x: x * x.mean(axis=1, keepdims=True),
        lambda g, x: g * x.mean(axis=1, keepdims=True), SERIES, "at other places along axis 1"),
    "less p": (lambda x: np.log(softmax(x)), lambda g, x: g - softmax(x), X,
        "not 0 where the upstream gradient G is 0"),
    "another entry": (largest_of_two, smaller_of_two, SERIES[:, :4], "goes to the wrong place"),
    "one side": (lambda x: np.where(x > 0, x, 0.1 * x), lambda g, x: g * (x > 0), X,
        "wrong where x < 0, and right elsewhere"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("function", "derivative", "x", "words"), WITHOUT_SOURCE.values(), ids=WITHOUT_SOURCE.keys()
)
def test_numbers_alone_tell(function, derivative, x, words):
    assert words in str(nn.check_gradients(Plain(function, derivative), x, raises=False))


class TwoSteps(nn.Layer):
    """y = tanh(x W) V; `backward` is what the subclasses get wrong."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.w, self.v = (nn.Parameter(rng.standard_normal(shape)) for shape in ((3, 4), (4, 2)))

    def forward(self, x):
        h = np.tanh(x @ self.w.data)
        self.save_for_backward(x, h)
        return h @ self.v.data


class Undifferentiated(TwoSteps):
    def backward(self, grad_output):
        x, h = self.saved()
        self.v.grad += h.T @ grad_output
        d_h = grad_output @ self.v.data.T
        print("a backward that prints")
        self.w.grad += x.T @ d_h
        return (d_h * (1 - h**2)) @ self.w.data.T


class TwoMistakes(TwoSteps):
    def backward(self, grad_output):
        x, h = self.saved()
        self.v.grad += np.tanh(h).T @ grad_output
        d_a = grad_output @ self.v.data.T * (1 - h**2)
        self.w.grad += x.T @ d_a * 2
        return d_a @ self.w.data.T


def test_the_place_and_its_correction_are_shown():
    text = str(nn.check_gradients(Undifferentiated(), X, raises=False))
    assert "✗ w: in `self.w.grad += x.T @ d_h`" in text
    assert "tanh's derivative" in text


def test_each_of_two_mistakes_is_told():
    text = str(nn.check_gradients(TwoMistakes(), X, raises=False))
    assert "`np.tanh` must not be applied" in text
    assert "w: in `self.w.grad += x.T @ d_a * 2` the factor `2` must not be there" in text


def test_looking_for_a_correction_leaves_the_layer_alone_and_prints_nothing_more(capsys):
    layer = Undifferentiated()
    before = {name: p.data.copy() for name, p in layer.named_parameters().items()}
    nn.check_gradients(layer, X, raises=False)
    assert "backward" not in vars(layer)
    for name, p in layer.named_parameters().items():
        np.testing.assert_array_equal(p.data, before[name])
        assert not p.grad.any()
    assert capsys.readouterr().out.count("prints") < 500


def test_where_nothing_fits_the_smallest_counterexample_is_shown():
    layer = Plain(
        lambda x: x @ np.ones((3, 3), x.dtype) + np.sin(x), lambda g, x: g[:, ::-1] * x * 1.7
    )
    text = str(nn.check_gradients(layer, X, raises=False))
    assert "no usual mistake fits" in text
    assert re.search(r"With G = 1 at output \(\d, \d\) and 0 elsewhere, backward gives", text)
    assert "that output depends on x at" in text


def test_the_derivative_of_a_loss_is_searched_too():
    class Logistic(nn.Loss):
        def function(self, prediction, target):
            return np.log1p(np.exp(-target * prediction)), prediction, target

        def derivative(self, prediction, target):
            return target / (1 + np.exp(target * prediction))

    y = np.sign(X[::-1])
    text = str(nn.check_gradients(nn.Identity(), X, Logistic(), y, raises=False))
    assert "it is −1 times the slope: a sign is flipped" in text
    Logistic.derivative = by_hand_derivative
    text = str(nn.check_gradients(nn.Identity(), X, Logistic(), y, raises=False))
    assert "in `return -target / (1 + np.exp(prediction))`" in text


def by_hand_derivative(self, prediction, target):
    return -target / (1 + np.exp(prediction))


def test_large_arrays_are_explained_by_a_sample():
    class Large(nn.Linear):
        def backward(self, grad_output):
            (x,) = self.saved()
            self.weight.grad += x.T @ grad_output / len(x)
            self.bias.grad += grad_output.sum(axis=0)
            return grad_output @ self.weight.data.T

    x = np.random.default_rng(0).standard_normal((5, 100))
    text = str(nn.check_gradients(Large(100, 80), x, raises=False))
    assert "1/3 is one over the batch size" in text
    assert "too large" not in text


def test_a_wrong_loss_is_explained_and_the_input_is_not_blamed():
    class Squared(nn.Loss):
        def __call__(self, prediction, target, sample_weight=None):
            self.save_for_backward(prediction, target)
            return float(((prediction - target) ** 2).mean())

        def backward(self):
            prediction, target = self.saved()
            return 2 * (prediction - target) / len(prediction)

    text = str(nn.check_gradients(nn.Identity(), X, Squared(), X[::-1], raises=False))
    assert "3 is the array's length along axis 1, so a 1/3 is missing" in text
    assert "input: it is" not in text


def test_a_loss_that_is_wrong_for_some_targets_says_for_which():
    class Entropy(nn.Loss):
        def __call__(self, prediction, target, sample_weight=None):
            self.save_for_backward(prediction, target)
            p = 1 / (1 + np.exp(-prediction))
            return float(-np.where(target == 1, np.log(p), np.log(1 - p)).sum())

        def backward(self):
            prediction, target = self.saved()
            return self.one(prediction, target)

        def one(self, prediction, target):
            return (1 / (1 + np.exp(-prediction)) - 1) * (target == 1)

    y = (X > 0.5) * 1.0
    text = str(nn.check_gradients(nn.Identity(), X[::-1], Entropy(), y, raises=False))
    assert "right but where the target is 0, and there it is 0: a term is missing" in text


def test_a_norm_of_a_parameter_that_is_taken_for_a_constant_is_named():
    class WeightNorm(nn.Layer):
        def __init__(self):
            self.v = nn.Parameter(np.random.default_rng(0).standard_normal((3, 4)))

        def forward(self, x):
            w = self.v.data / np.sqrt((self.v.data**2).sum(axis=0))
            self.save_for_backward(x, w)
            return x @ w

        def backward(self, grad_output):
            x, w = self.saved()
            self.v.grad += x.T @ grad_output / np.sqrt((self.v.data**2).sum(axis=0))
            return grad_output @ w.T

    text = str(nn.check_gradients(WeightNorm(), X, raises=False))
    assert "v: the norm over axis 0 is treated as a constant" in text


def test_a_layer_inside_whose_backward_is_never_called_is_named():
    class Chain(nn.Layer):
        def __init__(self):
            self.first, self.second = nn.Linear(3, 3), nn.Tanh()

        def forward(self, x):
            self.save_for_backward()
            return self.second.forward(self.first.forward(x))

        def backward(self, grad_output):
            self.saved()
            return self.first.backward(grad_output)

    text = str(nn.check_gradients(Chain(), X, raises=False))
    assert "the backward of second, Tanh(), is never called" in text


class GroupNorm(nn.Layer):
    """Two groups of features, of which backward counts all features."""

    def forward(self, x):
        g = x.reshape(len(x), 2, -1)
        std = np.sqrt(g.var(axis=2, keepdims=True) + 1e-5)
        y = (g - g.mean(axis=2, keepdims=True)) / std
        self.save_for_backward(y, std)
        return y.reshape(x.shape)

    def backward(self, grad_output):
        y, std = self.saved()
        n, c = grad_output.shape
        g = grad_output.reshape(y.shape)
        mean = g.sum(axis=2, keepdims=True) / c
        share = (g * y).sum(axis=2, keepdims=True) / c
        return ((g - mean - y * share) / std).reshape(n, c)


def test_a_number_of_values_is_not_taken_for_another_that_is_equal_by_chance():
    x = np.random.default_rng(0).standard_normal((4, 6))  # groups of 3, looked at with 3 samples
    text = str(nn.check_gradients(GroupNorm(), x, raises=False))
    assert "`c` stands where `y.shape[2]`" in text


# -- the search of the source --------------------------------------------------------------------


@pytest.fixture
def backwards(monkeypatch):
    """The backwards that are tried."""
    tried = []
    mended = repair._Source.mended
    monkeypatch.setattr(
        repair._Source, "mended", lambda *args: (tried.append(args[1]), mended(*args))[1]
    )
    return tried


def test_nothing_is_searched_when_all_is_right(backwards):
    assert nn.check_gradients(TwoStepsRight(), X).ok
    assert not backwards
    nn.check_gradients(Undifferentiated(), X, raises=False)
    assert backwards


class TwoStepsRight(TwoSteps):
    def backward(self, grad_output):
        x, h = self.saved()
        self.v.grad += h.T @ grad_output
        d_a = grad_output @ self.v.data.T * (1 - h**2)
        self.w.grad += x.T @ d_a
        return d_a @ self.w.data.T


class Logging(TwoSteps):
    """Writes a file, or does something else besides."""

    def __init__(self, effect):
        super().__init__()
        self.effect = effect

    def backward(self, grad_output):
        x, h = self.saved()
        self.effect(h)
        self.v.grad += h.T @ grad_output
        d_a = grad_output @ self.v.data.T
        self.w.grad += x.T @ d_a
        return d_a @ self.w.data.T


def test_a_backward_that_does_more_than_compute_is_not_run_with_corrections(backwards, tmp_path):
    def write(h):
        np.save(tmp_path / "h.npy", h)

    def append(h):
        with open(tmp_path / "h.txt", "a") as file:
            file.write("backward")

    def load(h):
        import json

        json.dumps(1)

    def count(h):
        global COUNT
        COUNT = 1

    for effect in (
        count,
        write,
        append,
        load,
        lambda h: os.getpid(),
        lambda h: print(h),
        os.remove,
    ):
        with contextlib.suppress(Exception):  # some raise
            nn.check_gradients(Logging(effect), X, raises=False)
        assert not backwards
    nn.check_gradients(Logging(lambda h: np.abs(h).sum()), X, raises=False)
    assert backwards


LAYER = """
import numpy as np
import nnlite as nn

class Cube(nn.Layer):
    def forward(self, x):
        self.save_for_backward(x)
        return x**3 + np.sin(x)

    def backward(self, grad_output):
        (x,) = self.saved()
        return grad_output * (3 * x**2 + np.sin(x))
"""


def test_a_source_that_has_changed_since_it_was_imported_is_judged_as_it_is_now(
    backwards, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "layer_on_disk.py"
    file.write_text(LAYER)
    layer = importlib.import_module("layer_on_disk").Cube()
    assert "it is right with `np.cos(x)`" in str(nn.check_gradients(layer, X, raises=False))
    backwards.clear()
    effect = f"np.save({str(tmp_path / 'x.npy')!r}, x)"
    file.write_text(LAYER.replace("self.saved()", f"self.saved(); {effect}"))
    nn.check_gradients(layer, X, raises=False)
    assert not backwards
    assert not (tmp_path / "x.npy").exists()


def test_a_search_whose_time_is_over_runs_nothing_more(monkeypatch):
    runs, put, ranked = [], repair._Source._put, repair._Source._ranked

    def late(source):
        runs.clear()
        monkeypatch.setattr(repair, "time", types.SimpleNamespace(thread_time=lambda: 1e9))
        return ranked(source)

    monkeypatch.setattr(repair._Source, "_put", lambda *args: (runs.append(1), put(*args))[1])
    monkeypatch.setattr(repair._Source, "_ranked", late)
    nn.check_gradients(Undifferentiated(), X, raises=False)
    assert repair.time.thread_time() == 1e9
    assert not runs


def test_differences_of_a_held_forward_end_in_time(monkeypatch):
    layer, forwards = Highway(), []

    def slopes():
        forwards.extend(layer.forward(X) for _ in range(1000))
        return {"input": X}

    clock = types.SimpleNamespace(thread_time=itertools.count().__next__)  # a second a look
    monkeypatch.setattr(constants, "time", clock)
    found = constants.taken_for_constant(layer, lambda: layer.forward(X), slopes, {"input": X}, 5.0)
    assert found is None
    assert 0 < len(forwards) < 10


def test_differences_that_raise_leave_the_array_as_it_was():
    w = np.ones(3)

    def outputs():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        jacobian_by_differences(w, outputs)
    np.testing.assert_array_equal(w, 1)


def test_no_correction_makes_huge_arrays(monkeypatch):
    sizes, zeros = [], np.zeros
    monkeypatch.setattr(
        np,
        "zeros",
        lambda *args, **names: (sizes.append(np.prod(args[0])), zeros(*args, **names))[1],
    )

    class Pool(nn.Layer):
        def forward(self, x):
            n, h, w, c = x.shape
            self.save_for_backward(x.shape, 3)
            return np.tanh(x.reshape(n, h // 2, 2, w, c)).sum(axis=2)

        def backward(self, grad_output):
            (n, h, w, c), m = self.saved()
            d_x = np.zeros((n, h // 2, 2, w, c))
            d_x[...] = (m * grad_output)[:, :, None]
            return d_x.reshape(n, h, w, c) * 1.1

    nn.check_gradients(Pool(), IMAGES, raises=False)
    assert len(sizes) > 50
    assert max(sizes) < 1e6


def test_a_correction_that_never_ends_is_stopped():
    class Halving(nn.Layer):
        def forward(self, x):
            self.save_for_backward(np.ones(3))
            return x / 8

        def backward(self, grad_output):
            (left,) = self.saved()
            d_x = grad_output + 0
            while left.sum() > 0.5:
                d_x, left = d_x / 2, left - 1.2
            return np.sin(d_x)

    assert not nn.check_gradients(Halving(), X, raises=False).ok


# -- what hand-written layers of common kinds get wrong --------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Gated(nn.Layer):
    """h_t = f_t ⊙ h_{t−1} + (1 − f_t) ⊙ x_t with f_t = σ(x_t W)."""

    def __init__(self):
        self.w = nn.Parameter(np.random.default_rng(1).standard_normal((2, 2)))

    def forward(self, x):
        h, steps, out = np.zeros_like(x[:, 0]), [], []
        for t in range(x.shape[1]):
            f = sigmoid(x[:, t] @ self.w.data)
            steps.append((f, h))
            h = f * h + (1 - f) * x[:, t]
            out.append(h)
        self.save_for_backward(x, steps)
        return np.stack(out, axis=1)

    def backward(self, grad_output):
        x, steps = self.saved()
        d_x, d_h = np.zeros_like(x), np.zeros_like(x[:, 0])
        for t in reversed(range(x.shape[1])):
            f, h = steps[t]
            d_h = d_h + grad_output[:, t]
            d_z = d_h * (h - x[:, t]) * f * (1 - f)
            self.w.grad += x[:, t].T @ d_z
            d_x[:, t] = d_h * (1 - f) + d_z @ self.w.data.T
        return d_x


class Highway(nn.Layer):
    def __init__(self):
        self.w = nn.Parameter(np.random.default_rng(1).standard_normal((3, 3)))

    def forward(self, x):
        t = sigmoid(x @ self.w.data)
        h = np.tanh(x)
        self.save_for_backward(x, t, h)
        return t * h + (1 - t) * x

    def backward(self, grad_output):
        x, t, h = self.saved()
        d_z = grad_output * h * t * (1 - t)
        self.w.grad += x.T @ d_z
        d_x = grad_output * (1 - t) + grad_output * t * (1 - h * h)
        return d_x + d_z @ self.w.data.T


class Columns(nn.Layer):
    """A convolution over time as a product with unfolded windows, (C, k) in a row."""

    def __init__(self):
        self.w = nn.Parameter(np.random.default_rng(1).standard_normal((3, 2, 4)))

    def forward(self, x):
        windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)  # (N, T', C, k)
        columns = windows.reshape(*windows.shape[:2], -1)
        self.save_for_backward(x, columns)
        return columns @ self.w.data.transpose(1, 0, 2).reshape(-1, 4)

    def backward(self, grad_output):
        x, columns = self.saved()
        d_w = np.einsum("ntk,nto->ko", columns, grad_output)
        self.w.grad += d_w.reshape(self.w.shape)
        d_x = np.zeros_like(x)
        for k in range(3):
            d_x[:, k : k + grad_output.shape[1]] += grad_output @ self.w.data[k].T
        return d_x


class Halves(nn.Layer):
    def forward(self, x):
        a, b = np.split(x, 2, axis=1)
        s = sigmoid(b)
        self.save_for_backward(a, s)
        return a * s

    def backward(self, grad_output):
        a, s = self.saved()
        return np.concatenate([grad_output * a * s * (1 - s), grad_output * s], axis=1)


class Strided(nn.Layer):
    def __init__(self, stride=2):
        self.stride = stride
        self.w = nn.Parameter(np.array([0.5, -1.0, 2.0]))

    def forward(self, x):
        steps = (x.shape[1] - 3) // self.stride + 1
        y = np.zeros((len(x), steps), x.dtype)
        for k in range(3):
            y += x[:, k : k + steps * self.stride : self.stride][:, :steps] * self.w.data[k]
        self.save_for_backward(x, steps)
        return y

    def backward(self, grad_output):
        x, steps = self.saved()
        d_x = np.zeros_like(x)
        for k in range(3):
            seen = x[:, k : k + steps * self.stride : self.stride][:, :steps]
            self.w.grad[k] += (seen * grad_output).sum()
            d_x[:, k : k + steps] += grad_output * self.w.data[k]
        return d_x


class Dilated(nn.Layer):
    """A convolution over time in which backward forgets the dilation."""

    def __init__(self):
        self.channels, self.dilation = 2, 2
        self.w = nn.Parameter(np.random.default_rng(1).standard_normal((3, 2, 4)))

    def forward(self, x):
        steps, y = x.shape[1] - 2 * self.dilation, 0
        for k in range(3):
            y = y + x[:, k * self.dilation : k * self.dilation + steps] @ self.w.data[k]
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        steps, d_x = grad_output.shape[1], np.zeros_like(x)
        for k in range(3):
            seen = x[:, k * self.dilation : k * self.dilation + steps]
            self.w.grad[k] += np.einsum("ntc,nto->co", seen, grad_output)
            d_x[:, k : k + steps] += grad_output @ self.w.data[k].T
        return d_x


class LearnedSlope(nn.Layer):
    def __init__(self):
        self.a = nn.Parameter(np.full(3, 0.25))

    def forward(self, x):
        self.save_for_backward(x)
        return np.where(x > 0, x, self.a.data * x)

    def backward(self, grad_output):
        (x,) = self.saved()
        self.a.grad += (grad_output * x).sum(axis=0)
        return np.where(x > 0, grad_output, self.a.data * grad_output)


BY_HAND = {
    "forget gate": (Gated(), SERIES, "it is right with `d_h = d_h * f`"),
    "highway": (Highway(), X, "`1 - t` in forward's `return t * h + (1 - t) * x` is treated as a"),
    "reshaped": (Columns(), SERIES, ".reshape(2, 3, 4).transpose(1, 0, 2)"),
    "halves": (Halves(), X[:, [0, 1, 2, 0]] + 0.1, "its two halves along axis 1 are swapped"),
    "stride": (Strided(), np.random.default_rng(0).standard_normal((4, 9)),
        "it is right with `d_x[:, k:k + steps * self.stride:self.stride]`"),
    "dilation": (Dilated(), np.random.default_rng(0).standard_normal((3, 9, 2)),
        "it is right with `d_x[:, k * self.dilation:k * self.dilation + steps]`"),
    "mask": (LearnedSlope(), X, "the factor `(x < 0)` is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "x", "words"), BY_HAND.values(), ids=BY_HAND.keys())
def test_mistakes_of_common_kinds_are_named(layer, x, words):
    assert words in str(nn.check_gradients(layer, x, raises=False))


class GateOfSize(nn.Layer):
    """(a, b) σ(|(a, b)| + bias), in which backward forgets to divide by |(a, b)|, twice."""

    def __init__(self):
        self.bias = nn.Parameter(np.array([0.3, -0.2]))

    def forward(self, x):
        a, b = x[:, :2], x[:, 2:]
        size = np.sqrt(a**2 + b**2)
        s = sigmoid(size + self.bias.data)
        self.save_for_backward(a, b, size)
        return np.concatenate([a * s, b * s], axis=1)

    def backward(self, grad_output):
        a, b, size = self.saved()
        s = sigmoid(size + self.bias.data)
        g_a, g_b = grad_output[:, :2], grad_output[:, 2:]
        d_size = (g_a * a + g_b * b) * s * (1 - s)
        self.bias.grad += d_size.sum(axis=0)
        d_a = g_a * s + d_size * a
        d_b = g_b * s + d_size * b
        return np.concatenate([d_a, d_b], axis=1)


def test_a_mistake_that_is_made_in_two_lines_is_mended_in_both():
    text = str(nn.check_gradients(GateOfSize(), X[:, [0, 1, 2, 0]] + 0.1, raises=False))
    assert "in `d_a = g_a * s + d_size * a` the division by `size` is missing" in text
    assert "and likewise in `d_b = g_b * s + d_size * b`" in text


class Wave(nn.Layer):
    def __init__(self):
        self.size, self.gain, self.scale = 1.7, 1.7, 1.7

    def forward(self, x):
        self.save_for_backward(x)
        return np.sin(x) * self.gain + x**2 * self.scale

    def backward(self, grad_output):
        (x,) = self.saved()
        return grad_output * (np.cos(x) * self.gain + 2 * x)


def test_of_equal_numbers_those_are_named_that_forward_uses_in_the_same_way():
    text = str(nn.check_gradients(Wave(), X, raises=False))
    assert "the factor `self.gain` is missing (or `self.scale`, the same number here)" in text
    assert "self.size" not in text


class Focal(nn.Loss):
    def function(self, prediction, target):
        p = sigmoid(target * prediction)
        return -((1 - p) ** 2) * np.log(p), p, target

    def derivative(self, p, target):
        return -target * (1 - p) ** 3


class Hinges(nn.Loss):
    """Σ max(0, 1 + z_k − z_own) over the other classes."""

    def function(self, prediction, target):
        own = (prediction * target).sum(axis=1, keepdims=True)
        margins = np.maximum(0, 1 + prediction - own) * (1 - target)
        return margins.sum(axis=1), margins, target

    def derivative(self, margins, target):
        return (margins > 0) * 1.0 - target


def test_a_factor_of_a_loss_that_is_taken_for_a_constant_is_named():
    report = nn.check_gradients(nn.Identity(), X, Focal(), np.sign(X[::-1]), raises=False)
    assert "`(1 - p) ** 2` in forward's" in str(report)


def test_a_correction_that_fits_by_chance_is_not_told():
    x, y = 0.3 * X, np.eye(3)[[0, 1, 2, 1]]  # both other classes violate the margin in each row
    text = str(nn.check_gradients(nn.Identity(), x, Hinges(), y, raises=False))
    assert "it is right with" not in text
    assert "right but where the target is 1" in text
    text = str(nn.check_gradients(nn.Identity(), 2 * X, Hinges(), y, raises=False))
    assert "it is wrong only where the target is 1" in text
