"""Errors for those who come from Keras, PyTorch or scikit-learn, and `python -m nnlite`."""

import re
import subprocess
import sys
from operator import attrgetter

import pytest

import nnlite as nn
from nnlite.core import habits


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("Dense", "nn.Linear"), ("MaxPooling2D", "nn.MaxPool2d"),
        ("ModelCheckpoint", "nn.Checkpoint"),
        ("mse", "nn.MSELoss or nn.MeanSquaredError"),
        ("relu", "nn.ReLU"), ("cross_entropy", "nn.CrossEntropyLoss"), ("L1Loss", "nn.MAELoss"),
        ("train_test_split", "nn.data.train_test_split"), ("MLPClassifier", "nnlite.interop"),
        ("henormal", "nn.initializers.He"), ("CosineAnnealingLR", "nn.CosineSchedule"),
        ("Module", "nn.Layer"), ("no_grad", r"nn.inference\(\)"), ("DataLoader", "trainer.fit"),
    ],
)  # fmt: skip
def test_other_names_in_the_package(name, ours):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; here it is {ours}"):
        getattr(nn, name)


@pytest.mark.parametrize(
    ("module", "name", "ours"),
    [
        (nn.layers, "Dense", "nn.Linear"), (nn.losses, "BinaryCrossentropy", "nn.BCEWithLogits"),
        (nn.metrics, "accuracy_score", "nn.Accuracy"), (nn.optimizers, "lr_scheduler", "nn.sched"),
        (nn.schedules, "CosineDecay", "nn.CosineSchedule"), (nn.data, "make_moons", "nn.data.moon"),
        (nn.initializers, "he_normal", "nn.initializers.He"), (nn.data, "DataLoader", "trainer.f"),
    ],
)  # fmt: skip
def test_other_names_in_the_modules(module, name, ours):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; here it is {ours}"):
        getattr(module, name)


def elsewhere():
    model = nn.Sequential(nn.Linear(2, 2))
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer)
    for owner in (trainer, optimizer, model[0].weight, model, model[0]):
        for cls in type(owner).__mro__:
            for name, value in vars(cls).items():
                if isinstance(value, habits.Elsewhere):
                    yield owner, name


@pytest.mark.parametrize(("owner", "name"), list(elsewhere()), ids=lambda value: str(value)[:20])
def test_names_that_do_nothing_here_cannot_be_read_or_set(owner, name):
    for use in (lambda: getattr(owner, name), lambda: setattr(owner, name, False)):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; here it is"):
            use()
    assert not hasattr(owner, name)
    assert getattr(type(owner), name).__doc__.startswith("Not here: it is")


def test_a_class_of_ones_own_may_use_such_a_name():
    class Frozen(nn.Linear):
        def __init__(self, features, trainable=False):
            super().__init__(features, features)
            self.features = features
            self.trainable = trainable

    layer = Frozen(2, trainable=True)
    assert layer.trainable is True
    assert repr(layer) == "Frozen(2, trainable=True)"
    assert nn.clone(layer).trainable is True
    with pytest.raises(AttributeError, match="it is layer"):
        Frozen.requires_grad.__get__(layer, Frozen)


def test_a_name_that_nobody_uses_gets_no_hint():
    with pytest.raises(AttributeError, match=r"has no attribute 'xyz'$"):
        nn.xyz  # noqa: B018
    with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'xyz'$"):
        nn.Linear(2, 2).xyz  # noqa: B018


@pytest.mark.parametrize("name", habits.OF_LAYER)
def test_other_names_of_a_model(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; here it is"):
        getattr(nn.Sequential(nn.Linear(2, 2)), name)


@pytest.mark.parametrize("hint", [*habits.IN_PACKAGE.values(), *habits.OF_LAYER.values()])
def test_what_is_named_instead_is_there(hint):
    for path in re.findall(r"nn\.(\w+(?:\.\w+)*)", hint):
        attrgetter(path)(nn)
    for name in re.findall(r"(?:model|layer)\.(\w+)", hint):
        assert hasattr(nn.Layer, name) or name in vars(nn.Sequential)
    for name in re.findall(r"trainer\.(\w+)", hint):
        assert hasattr(nn.Trainer, name)


def test_an_error_inside_a_property_stays_what_it_is():
    class Broken(nn.Layer):
        @property
        def size(self):
            return self.weight.size

    with pytest.raises(AttributeError, match=r"no attribute 'weight'$"):
        Broken().size  # noqa: B018
    assert not hasattr(nn.Linear(2, 2), "fit")


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: nn.Linear(2, 2, activation="relu"), r"instead of activation=: put .* nn.ReLU\(\)"),
        (lambda: nn.Softmax(dim=-1), "dim is axis here"),
        (lambda: nn.LSTM(2, 3, batch_first=True), r"leave it out: x is always \(N, T, D\)"),
        (lambda: nn.Dropout(rate=0.5), "rate is p here"),
        (lambda: nn.GRU(units=3), "units is hidden_size here"),
        (lambda: nn.Linear(3, units=3), "units is out_features here"),
        (lambda: nn.LeakyReLU(alpha=0.1), "alpha is negative_slope here"),
        (lambda: nn.CrossEntropyLoss(class_weight=[1, 2]), "class_weight is weight here"),
        (lambda: nn.Flatten(start_dim=1), "'start_dim'; it takes none$"),
        (lambda: nn.EarlyStopping(restore_best_weights=True), "ends with the best weights"),
    ],
)
def test_other_arguments(call, hint):
    with pytest.raises(TypeError, match=hint):
        call()


def test_what_a_report_of_a_bug_needs():
    run = subprocess.run(
        [sys.executable, "-m", "nnlite"], capture_output=True, text=True, check=True
    )
    names = [line.split()[0] for line in run.stdout.splitlines() if line]
    assert {"nnlite", "numpy", "python", "platform", "engine", "blas", "cores"} <= set(names)
