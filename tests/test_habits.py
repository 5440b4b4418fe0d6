"""Errors for those who come from Keras, PyTorch or scikit-learn, and `python -m nnlite`."""

import re
import subprocess
import sys

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
        ("Module", "nn.Layer"), ("no_grad", r"nn.inference\(\)"), ("DataLoader", "trainer.fit"),
    ],
)  # fmt: skip
def test_other_names_in_the_package(name, ours):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; here it is {ours}"):
        getattr(nn, name)


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
    for name in re.findall(r"nn\.(\w+)", hint):
        assert hasattr(nn, name)
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
