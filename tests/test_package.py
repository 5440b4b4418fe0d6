"""The package as its users meet it: public names, documentation, weight of the import."""

import inspect
import platform
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
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bidirectional",
    "Buffer",
    "CELU",
    "Callback",
    "ChannelDropout",
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
    "GaussianNoise",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GradientError",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Identity",
    "InstanceNorm2d",
    "KLDivLoss",
    "LSTM",
    "Lambda",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEmbedding",
    "Linear",
    "Lion",
    "LogCoshLoss",
    "LogSigmoid",
    "LogSoftmax",
    "Loss",
    "MAELoss",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MeanAbsoluteError",
    "MeanOverTime",
    "Metric",
    "Mish",
    "MultiHeadAttention",
    "NAdam",
    "NLLLoss",
    "Optimizer",
    "PReLU",
    "Padded",
    "Parameter",
    "Permute",
    "PoissonNLLLoss",
    "PositionalEncoding",
    "Precision",
    "R2",
    "RAdam",
    "RMSNorm",
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
    "TransformerLayer",
    "Upsample2d",
    "ZeroPad2d",
    "check_gradients",
    "data",
    "decoding",
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_used_again():
    code = """
import resource
import numpy as np
import nnlite as nn

def faults(steps):
    for _ in range(steps):
        arrays = [np.ones(1_000_000) for _ in range(4)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

warm = faults(2)
print(faults(10) - warm)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 1000  # 10 · 4 · 8 MB would be 78,000 pages of 4 KB


def test_import_is_light():
    code = "import sys, nnlite; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"matplotlib", "scipy", "torch", "pandas", "sklearn", "asyncio", "tqdm"}
    assert not heavy & set(loaded)
