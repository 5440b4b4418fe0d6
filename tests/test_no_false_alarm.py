"""Right layers on awkward inputs: what the checker must not call wrong."""

import numpy as np
import pytest
from cases import LAYERS, LOSSES, layer_input, layer_of
from cases.kinds import loss_check

import nnlite as nn

RNG = np.random.default_rng(5)
FLAT = RNG.standard_normal((6, 4))
DIGITS, LABELS = nn.data.load_digits()
IMAGES = DIGITS.reshape(-1, 8, 8, 1)


class Function(nn.Layer):
    """y = f(x) with dL/dx = back(G, x)."""

    def __init__(self, function, back):
        self.function = function
        self.back = back

    def forward(self, x):
        self.save_for_backward(x)
        return self.function(x)

    def backward(self, grad_output):
        (x,) = self.saved()
        return self.back(grad_output, x)


class Sort(nn.Layer):
    """y = x in ascending order along the last axis."""

    def forward(self, x):
        order = np.argsort(x, axis=-1, kind="stable")
        self.save_for_backward(order)
        return np.take_along_axis(x, order, axis=-1)

    def backward(self, grad_output):
        (order,) = self.saved()
        d_x = np.empty_like(grad_output)
        np.put_along_axis(d_x, order, grad_output, axis=-1)
        return d_x


class UnitLength(nn.Layer):
    """y = x / |x| of each row."""

    def forward(self, x):
        length = np.sqrt((x * x).sum(-1, keepdims=True))
        y = x / length
        self.save_for_backward(y, length)
        return y

    def backward(self, grad_output):
        y, length = self.saved()
        return (grad_output - y * (grad_output * y).sum(-1, keepdims=True)) / length


class Noisy(nn.Loss):
    """½ mean (p + ε − t)², with fresh ε every time."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def forward(self, prediction, target, sample_weight=None):
        self.d = prediction + self.rng.standard_normal(prediction.shape) - target
        return float(0.5 * (self.d**2).mean())

    def __call__(self, *args):
        return self.forward(*args)

    def backward(self, grad_output=None):
        return self.d / self.d.size


class Counter(nn.Layer):
    """y = w[0] x, beside an integer parameter that is no weight."""

    def __init__(self):
        self.scale = nn.Parameter(2.0)
        self.table = nn.Parameter(np.arange(3))

    def forward(self, x):
        self.save_for_backward(x)
        return x * self.scale.data

    def backward(self, grad_output):
        (x,) = self.saved()
        self.scale.grad += (grad_output * x).sum()
        return grad_output * self.scale.data


class FirstOfTies(nn.Layer):
    """y = the largest of each row; where several are equal, the first gets the gradient."""

    def share(self, x):
        chosen = np.zeros_like(x)
        np.put_along_axis(chosen, x.argmax(-1)[:, None], 1, axis=-1)
        return chosen

    def forward(self, x):
        self.save_for_backward(self.share(x))
        return x.max(-1, keepdims=True)

    def backward(self, grad_output):
        (chosen,) = self.saved()
        return grad_output * chosen


class SharedByTies(FirstOfTies):
    def share(self, x):
        largest = (x == x.max(-1, keepdims=True)).astype(x.dtype)
        return largest / largest.sum(-1, keepdims=True)


class PaidInFull(FirstOfTies):
    """Wrong: every one of the largest gets the whole gradient."""

    def share(self, x):
        return (x == x.max(-1, keepdims=True)).astype(x.dtype)


def with_bias(value):
    layer = nn.Linear(4, 3)
    layer.bias.data[...] = value
    return layer


def log():
    return Function(np.log, lambda g, x: g / x)


TIED = np.array([[1.0, 1, 0, 1], [2, 0, 2, 2], [0, 0, 0, 0], [3, 1, 2, 0]])
SPREAD = np.array([[1e-3, 1e-2, 1.0, 5.0], [3e-3, 0.5, 2.0, 0.02]])
RIGHT = {
    "ReLU on digits": (nn.ReLU(), DIGITS[:8]),
    "MaxPool2d on digits": (nn.MaxPool2d(2), IMAGES[:8]),
    "overlapping MaxPool2d on digits": (nn.MaxPool2d(3, stride=1, padding=1), IMAGES[:4]),
    "GlobalMaxPool2d on digits": (nn.GlobalMaxPool2d(), IMAGES[:8]),
    "MaxPool2d on many digits": (nn.MaxPool2d(2), IMAGES[:64]),
    "a convolution on digits": (nn.Conv2d(1, 3, 3, padding=1), IMAGES[:8]),
    "log at 1e-3": (log(), np.full((3, 4), 1e-3)),
    "log over four decades": (log(), SPREAD),
    "square root": (Function(np.sqrt, lambda g, x: g / (2 * np.sqrt(x))), SPREAD / 10),
    "one over x": (Function(lambda x: 1 / x, lambda g, x: -g / x**2), SPREAD),
    "x of 1e6": (nn.Linear(4, 3), 1e6 * FLAT),
    "x around 1e6": (nn.LayerNorm(4), 1e6 + FLAT),
    "x of 1e-7": (nn.Tanh(), 1e-7 * FLAT),
    "x of 1e-7 in a normalization": (nn.LayerNorm(4), 1e-7 * FLAT),
    "a bias of 1e6": (with_bias(1e6), FLAT),
    "a bias of 1e6 that is taken away": (nn.Sequential(with_bias(1e6), nn.LayerNorm(3)), FLAT),
    "a bias before BatchNorm": (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), FLAT),
    "short vectors": (UnitLength(), 1e-4 * FLAT),
    "sorting with ties": (Sort(), TIED),
    "first of ties": (FirstOfTies(), TIED),
    "shared by ties": (SharedByTies(), TIED),
    "an integer parameter": (Counter(), FLAT),
    "a row of zeros": (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), 0 * FLAT),
    "zeros through a pool": (
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(),
                      nn.Linear(64, 3)), 0 * IMAGES[:2]),
    "absolute value at 0": (Function(np.abs, lambda g, x: g * np.sign(x)), TIED - 1),
    "rounding": (Function(np.round, lambda g, x: 0 * g), TIED + 0.5),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "x"), RIGHT.values(), ids=RIGHT.keys())
def test_right_layers_are_right(layer, x):
    report = nn.check_gradients(layer, x, raises=False)
    assert report.ok, report


@pytest.mark.parametrize(
    ("loss", "prediction", "target"),
    [
        (nn.MSELoss(), FLAT, FLAT[::-1] + 1e5),
        (nn.BCELoss(), np.full((5, 1), 1e-3), np.arange(5).reshape(5, 1) % 2.0),
        (nn.BCELoss(), np.full((5, 1), 1e-7), np.ones((5, 1))),
        (nn.MAELoss(), FLAT, FLAT * (FLAT > 0)),
        (Noisy(), FLAT, 0 * FLAT),
    ],
    ids=["targets of 1e5", "p of 1e-3", "p of 1e-7", "right on target", "a generator of its own"],
)
def test_right_losses_are_right(loss, prediction, target):
    model = nn.Sequential(nn.Identity())
    report = nn.check_gradients(model, prediction, loss, target, raises=False)
    assert report.ok, report


def test_a_pool_that_pays_every_tie_in_full_is_caught():
    assert nn.check_gradients(PaidInFull(), FLAT).ok
    assert not nn.check_gradients(PaidInFull(), TIED, raises=False).ok
    model = nn.Sequential(PaidInFull(), nn.Linear(1, 2))
    assert not nn.check_gradients(model, TIED, raises=False).ok


def test_a_gradient_outside_of_a_kink_is_caught():
    wrong = Function(lambda x: np.maximum(x, 0), lambda g, x: g * ((x > 0) + 3 * (x == 0)))
    assert not nn.check_gradients(wrong, TIED, raises=False).ok


def test_kinks_and_ties_are_noted():
    text = str(nn.check_gradients(nn.MaxPool2d(2), IMAGES[:8]))
    assert "a kink or a tie" in text
    assert "a kink or a tie" not in str(nn.check_gradients(nn.ReLU(), FLAT))


def test_parameters_that_are_no_weights_are_noted_and_numbers_are_named():
    text = str(nn.check_gradients(Counter(), FLAT))
    assert "note: table holds integers (int64), which have no gradient" in text
    assert "direction" not in text


def dense():
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def images():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4 * 4 * 8, 10),
    )  # fmt: skip


README = {"dense": (dense, DIGITS), "images": (images, IMAGES)}


def alarms(name, batch, seed):
    """The report, where it calls the model of the README wrong."""
    make, data = README[name]
    nn.seed(seed)
    rows = np.random.default_rng(seed).choice(len(data), batch, replace=False)
    found = []
    for loss, target in ((nn.CrossEntropyLoss(), LABELS[rows]), (None, None)):
        report = nn.check_gradients(make(), data[rows], loss, target, raises=False)
        found += [] if report.ok else [report]
    return found


@pytest.mark.usefixtures("few_entries")
@pytest.mark.parametrize("name", README)
def test_models_of_the_readme_are_right(name):
    assert not alarms(name, 16, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", README)
@pytest.mark.parametrize("batch", [16, 32, 64])
def test_models_of_the_readme_are_right_whatever_the_seed(name, batch, capsys):
    wrong = [report for seed in range(20) for report in alarms(name, batch, seed)]
    with capsys.disabled():
        print(f"\n{name}, batches of {batch}: {len(wrong)} false alarms in 40 checks")
    assert not wrong, wrong[0]


@pytest.mark.slow
def test_no_row_of_the_cases_is_called_wrong(capsys):
    wrong = {}
    for name, case in LAYERS.items():
        if case.by_difference:
            for x in (layer_input(case), np.round(layer_input(case))):
                report = nn.check_gradients(layer_of(case), x, raises=False)
                if not report.ok:
                    wrong[name] = report
    for name, case in LOSSES.items():
        rng = np.random.default_rng(0)
        prediction, target = case.prediction(rng), case.target(rng)
        report = nn.check_gradients(*loss_check(prediction), case.make(), target, raises=False)
        if not report.ok:
            wrong[name] = report
    with capsys.disabled():
        print(f"\n{len(LAYERS) + len(LOSSES)} rows of the cases: {len(wrong)} false alarms")
        print("".join(f"\n{report}\n" for report in wrong.values()))
    assert not wrong
