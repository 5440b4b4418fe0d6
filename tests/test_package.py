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
    "AdaptiveAvgPool2d",
    "Add",
    "Audit",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "CELU",
    "CSVLogger",
    "Callback",
    "ChannelDropout",
    "Checkpoint",
    "CheckpointError",
    "Concat",
    "ConfusionMatrix",
    "ConstantSchedule",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CosineSchedule",
    "CrossEntropyLoss",
    "Dropout",
    "ELU",
    "EMA",
    "EarlyStopping",
    "Elementwise",
    "ExponentialSchedule",
    "F1",
    "Flatten",
    "FocalLoss",
    "GELU",
    "GLU",
    "GaussianNoise",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GradientAudit",
    "GradientError",
    "GradientReport",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Identity",
    "InstanceNorm2d",
    "InverseSqrtSchedule",
    "JSONLogger",
    "Jacobian",
    "KLDivLoss",
    "Lambda",
    "LambdaCallback",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
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
    "Metric",
    "Mish",
    "MultiStepSchedule",
    "NAdam",
    "NLLLoss",
    "NonFiniteLossError",
    "OneCycleSchedule",
    "Optimizer",
    "PReLU",
    "Parameter",
    "Permute",
    "PoissonNLLLoss",
    "PolynomialSchedule",
    "Precision",
    "Profile",
    "ProfileRow",
    "R2",
    "RAdam",
    "RMSNorm",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "Recall",
    "ReduceLROnPlateau",
    "Reshape",
    "Residual",
    "SELU",
    "SGD",
    "SWA",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "StepSchedule",
    "Tanh",
    "TimeLimit",
    "TopKAccuracy",
    "Trace",
    "TraceStep",
    "Trainer",
    "Upsample2d",
    "WarmupSchedule",
    "ZeroPad2d",
    "audit",
    "check_gradients",
    "clone",
    "data",
    "inference",
    "initializers",
    "jacobian",
    "load_model",
    "losses",
    "lr_range_test",
    "metrics",
    "optimizers",
    "profile",
    "save_model",
    "schedules",
    "seed",
    "summary",
    "trace",
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
