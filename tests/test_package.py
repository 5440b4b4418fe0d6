"""The package as its users meet it: public names, documentation, weight of the import."""

import importlib
import inspect
import platform
import subprocess
import sys

import pytest

import nnlite as nn
from benchmarks import structure

NAMES = [
    "ALiBiAttention",
    "ASGD",
    "AUROC",
    "Accuracy",
    "ActivityRegularization",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "Add",
    "Affine",
    "Audit",
    "AveragePrecision",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bidirectional",
    "Buffer",
    "CELU",
    "CSVLogger",
    "CTCLoss",
    "Callback",
    "ChainedSchedule",
    "ChannelDropout",
    "Checkpoint",
    "CheckpointError",
    "CircularPad1d",
    "CircularPad2d",
    "Concat",
    "ConfusionMatrix",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantSchedule",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CosineEmbeddingLoss",
    "CosineSchedule",
    "CrossEntropyLoss",
    "CyclicSchedule",
    "DiceLoss",
    "Dropout",
    "ELU",
    "EMA",
    "EarlyStopping",
    "Elementwise",
    "Embedding",
    "ExplainedVariance",
    "ExponentialSchedule",
    "F1",
    "Flatten",
    "FocalLoss",
    "GELU",
    "GLU",
    "GRU",
    "GaussianNLLLoss",
    "GaussianNoise",
    "GaussianSample",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GradientAudit",
    "GradientError",
    "GradientReport",
    "GroupNorm",
    "GroupedQueryAttention",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hardshrink",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InverseSqrtSchedule",
    "JSONLogger",
    "JaccardLoss",
    "Jacobian",
    "Join",
    "KLDivLoss",
    "L1Penalty",
    "L2Penalty",
    "LAMB",
    "LPPool1d",
    "LPPool2d",
    "LSTM",
    "Lambda",
    "LambdaCallback",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEmbedding",
    "Linear",
    "Lion",
    "LivePlot",
    "LocalResponseNorm",
    "LogCoshLoss",
    "LogLoss",
    "LogSigmoid",
    "LogSoftmax",
    "Lookahead",
    "Loss",
    "Losses",
    "MAELoss",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanOverTime",
    "MeanSquaredError",
    "Metric",
    "Mish",
    "ModelWarning",
    "MultiHeadAttention",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "MultiStepSchedule",
    "Muon",
    "NAdam",
    "NAdamW",
    "NLLLoss",
    "NonFiniteLossError",
    "OneCycleSchedule",
    "Optimizer",
    "OptimizerError",
    "OptimizerReport",
    "OutputMetric",
    "PReLU",
    "Padded",
    "Parallel",
    "Parameter",
    "Permute",
    "Perplexity",
    "PoissonNLLLoss",
    "Penalty",
    "PolynomialSchedule",
    "PositionalEncoding",
    "Precision",
    "Profile",
    "ProfileRow",
    "QuantileLoss",
    "R2",
    "RAdam",
    "RAdamW",
    "RMSNorm",
    "RMSprop",
    "RNN",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Recall",
    "ReduceLROnPlateau",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "Reshape",
    "Residual",
    "RotaryAttention",
    "Rprop",
    "SELU",
    "SGD",
    "SWA",
    "Sequential",
    "SequentialSchedule",
    "SiLU",
    "Sigmoid",
    "SlidingWindowAttention",
    "SoftMarginLoss",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "SpectralNorm",
    "StepSchedule",
    "Tanh",
    "Tanhshrink",
    "TensorBoardLogger",
    "Threshold",
    "TimeLimit",
    "TopKAccuracy",
    "Trace",
    "TraceStep",
    "Trainer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerLayer",
    "TripletMarginLoss",
    "Upsample1d",
    "Upsample2d",
    "WarmupSchedule",
    "WeightNorm",
    "ZeroPad1d",
    "ZeroPad2d",
    "audit",
    "check_gradients",
    "check_optimizer",
    "clone",
    "data",
    "decoding",
    "engine",
    "fit_lbfgs",
    "formula_sheet",
    "inference",
    "initializers",
    "integrated_gradients",
    "interop",
    "jacobian",
    "load_model",
    "loss_terms",
    "losses",
    "lr_range_test",
    "metrics",
    "optimizers",
    "pad_sequences",
    "parallel",
    "plot",
    "profile",
    "random",
    "saliency",
    "save_model",
    "schedules",
    "seed",
    "set_engine",
    "smooth_grad",
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
    heavy |= {"safetensors", "h5py", "keras", "onnx", "mpi4py", "tensorboardX", "PIL"}
    assert not heavy & set(loaded)


def test_what_is_imported_later_is_all_there_is():
    for place in ("nnlite.files", "nnlite.inspection", "nnlite.training"):
        module = importlib.import_module(place)
        assert set(nn._PLACES[place]) == set(module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Trainr'"):
        nn.Trainr  # noqa: B018
    assert set(nn.__all__) <= set(dir(nn))


def test_no_import_goes_in_a_circle_and_every_module_has_its_room():
    assert structure.circles() == []
    assert len(structure.loose()) <= 4


def test_the_names_in_the_package_are_public_ones():
    assert set(dir(nn)) == {*nn.__all__, "__version__"}
    assert "help(nn.Linear)" in nn.__doc__
