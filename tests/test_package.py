"""The package as its users meet it: public names, documentation, weight of the import."""

import inspect
import subprocess
import sys

import pytest

import nnlite as nn

NAMES = [
    "Accuracy",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Add",
    "BCELoss",
    "BCEWithLogitsLoss",
    "Buffer",
    "CELU",
    "Callback",
    "Concat",
    "ConfusionMatrix",
    "ConstantSchedule",
    "CosineSchedule",
    "CrossEntropyLoss",
    "Dropout",
    "ELU",
    "Elementwise",
    "ExponentialSchedule",
    "F1",
    "Flatten",
    "FocalLoss",
    "GELU",
    "GLU",
    "GradientError",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Identity",
    "InverseSqrtSchedule",
    "KLDivLoss",
    "Lambda",
    "Layer",
    "LeakyReLU",
    "Linear",
    "Lion",
    "LogCoshLoss",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "MAELoss",
    "MSELoss",
    "MeanAbsoluteError",
    "Metric",
    "Mish",
    "MultiStepSchedule",
    "NAdam",
    "NLLLoss",
    "OneCycleSchedule",
    "Optimizer",
    "PReLU",
    "Parameter",
    "Permute",
    "PoissonNLLLoss",
    "PolynomialSchedule",
    "Precision",
    "R2",
    "RAdam",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "Recall",
    "Reshape",
    "Residual",
    "SELU",
    "SGD",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "StepSchedule",
    "Tanh",
    "TopKAccuracy",
    "Trainer",
    "WarmupSchedule",
    "check_gradients",
    "clone",
    "data",
    "inference",
    "initializers",
    "losses",
    "lr_range_test",
    "metrics",
    "optimizers",
    "schedules",
    "seed",
    "summary",
]


def test_public_names():
    assert set(nn.__all__) == set(NAMES)
    assert len(nn.__all__) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_documented(name):
    value = getattr(nn, name)
    assert inspect.getdoc(value)
    if inspect.isclass(value):
        for member, thing in vars(value).items():
            if inspect.isfunction(thing) and not member.startswith("_"):
                assert inspect.getdoc(getattr(value, member)), f"{name}.{member}"


def test_import_is_light():
    code = "import sys, nnlite; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"matplotlib", "scipy", "torch", "pandas", "sklearn", "asyncio", "tqdm"}
    assert not heavy & set(loaded)
