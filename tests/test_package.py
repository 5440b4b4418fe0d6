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
    "Bidirectional",
    "Buffer",
    "CELU",
    "Callback",
    "Concat",
    "ConfusionMatrix",
    "CrossEntropyLoss",
    "Dropout",
    "ELU",
    "Elementwise",
    "Embedding",
    "F1",
    "Flatten",
    "FocalLoss",
    "GELU",
    "GLU",
    "GRU",
    "GradientError",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "LSTM",
    "Lambda",
    "LastStep",
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
    "MeanOverTime",
    "Metric",
    "Mish",
    "NAdam",
    "NLLLoss",
    "Optimizer",
    "PReLU",
    "Padded",
    "Parameter",
    "Permute",
    "PoissonNLLLoss",
    "Precision",
    "R2",
    "RAdam",
    "RMSprop",
    "RNN",
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
    "Tanh",
    "TopKAccuracy",
    "Trainer",
    "check_gradients",
    "data",
    "inference",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
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
