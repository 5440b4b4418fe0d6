"""What do constructors and functions make of arguments that make no sense?

Every public class and function is called with otherwise good arguments and one hostile value, and
what comes back is used: a forward and a backward, a step, a repr, a clone. Each call ends in one
of seven ways; the first two are right:

    refused    the error is ours, and names the argument
    accepted   the value is in the range that `nnlite.arguments` has for it, and the use went well
    raw        an error of NumPy's or Python's, or a warning
    wrong      accepted although it is out of range
    unclear    accepted, and then an error that does not name the argument
    NaN        accepted, and then numbers that are not finite
    hang       more than SECONDS

`python -m benchmarks.hostile` runs all of it in this process, with a limit on its memory.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import dis
import fractions
import inspect
import io
import json
import os
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

import nnlite as nn
from nnlite.core.arguments import Arguments, arguments_of
from nnlite.core.kinds import REFUSED
from nnlite.data import augment

SECONDS = 5
MEMORY = 4 << 30
RIGHT = ("refused", "accepted")
KINDS = (*RIGHT, "raw", "wrong", "unclear", "NaN", "hang")

VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "np.True_": lambda: np.True_,
    "'False'": lambda: "False",
    "'7'": lambda: "7",
    "''": lambda: "",
    "b''": lambda: b"",
    "b'7'": lambda: b"7",
    "-1": lambda: -1,
    "0": lambda: 0,
    "-0.0": lambda: -0.0,
    "0.5": lambda: 0.5,
    "3": lambda: 3,
    "3.0": lambda: 3.0,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "10**30": lambda: 10**30,
    "-10**30": lambda: -(10**30),
    "10**5000": lambda: 10**5000,
    "1e308": lambda: 1e308,
    "[]": lambda: [],
    "()": lambda: (),
    "{}": dict,
    "set": lambda: {1, 2},
    "[1, 2, 3]": lambda: [1, 2, 3],
    "(1, 2)": lambda: (1, 2),
    "[[1], [2, 3]]": lambda: [[1], [2, 3]],
    "['a', None]": lambda: ["a", None],
    "object()": object,
    "a class": lambda: float,
    "np.float64": lambda: np.float64,
    "a function": lambda: lambda: None,
    "a builtin": lambda: print,
    "np.int64(3)": lambda: np.int64(3),
    "np.float32(0.5)": lambda: np.float32(0.5),
    "np.float64 nan": lambda: np.float64("nan"),
    "np.array(3)": lambda: np.array(3),
    "np.array(0.5)": lambda: np.array(0.5),
    "np.array([1, 2])": lambda: np.array([1, 2]),
    "np.array([])": lambda: np.array([]),
    "array of objects": lambda: np.array([None, "a"], object),
    "array of NaN": lambda: np.full((2, 4), np.nan),
    "array of text": lambda: np.array(["a", "b"]),
    "1j": lambda: 1j,
    "Decimal": lambda: decimal.Decimal("0.5"),
    "Fraction": lambda: fractions.Fraction(1, 2),
    "a layer": lambda: nn.ReLU(),
    "a layer's class": lambda: nn.ReLU,
    "a loss": lambda: nn.MSELoss(),
    "a Parameter": lambda: nn.Parameter([1.0, 2.0]),
    "a generator": lambda: (i for i in range(2)),
    "a Generator": lambda: np.random.default_rng(0),
    "a date": lambda: datetime.datetime(2020, 1, 1),
    "a path": lambda: Path("nowhere") / "x.npz",
    "a range": lambda: range(3),
    "an unprintable": lambda: Unprintable(),
}


class Unprintable:
    """What has no repr."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Subject(NamedTuple):
    """Something to call.

    Attributes:
        call: the class or function.
        good: the arguments that are needed, and work; made anew for each call.
        use: what is done with the result; returns the numbers that came out.
        star: what `*args` are.
        owner: of a method, what it belongs to.
    """

    call: Callable[..., Any]
    good: Callable[[], dict[str, Any]] = dict
    use: Callable[[Any], Any] = repr
    star: Callable[[], tuple[Any, ...]] = tuple
    owner: Callable[[], tuple[Any, ...]] = tuple


# -- what is done with the results -----------------------------------------------------------------


def _floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _unpool(*shape: int) -> Callable[[nn.Layer], Any]:
    """As `_layer`, with the values and a place for each."""

    def use(layer: Any) -> Any:
        y = layer((_floats(*shape), np.zeros(shape, np.int64)))
        d_x, _ = layer.backward(np.ones_like(y))
        assert y.dtype == d_x.dtype == np.float32, f"{y.dtype}, {d_x.dtype} from float32"
        repr(nn.clone(layer))
        return [y, d_x]

    return use


def _layer(*shape: int, tokens: bool = False) -> Callable[[nn.Layer], Any]:
    """Forward and backward, in float32, a repr and a clone."""

    def use(layer: nn.Layer) -> Any:
        repr(layer)
        x = np.ones(shape, np.int64) if tokens else _floats(*shape)
        model = nn.Sequential(layer)
        y = model(x)
        if isinstance(y, tuple):  # the output, and the state
            y = y[0]
            d_x = model.backward((np.ones_like(y), None))
        else:
            d_x = model.backward(np.ones_like(y))
        assert y.dtype == np.float32, f"{y.dtype} from float32"
        assert d_x is None or d_x.dtype == np.float32, f"{d_x.dtype} from float32"
        repr(nn.clone(layer))
        model.eval()
        model(x)
        return [y, d_x, *(p.grad for p in model.parameters())]

    return use


def _loss(prediction: Any, target: Any) -> Callable[[nn.Loss], Any]:
    def use(loss: nn.Loss) -> Any:
        repr(nn.clone(loss))
        value = loss(prediction, target)
        upstream = [np.ones(value.shape)] if loss.reduction == "none" else []
        gradient = loss.backward(*upstream)
        return [value, *(gradient if isinstance(gradient, tuple) else (gradient,))]

    return use


def _penalize(penalty: nn.Penalty) -> Any:
    repr(nn.clone(penalty))
    model = _model()
    optimizer = nn.SGD(model.parameters(), lr=1e-9)
    trainer = nn.Trainer(model, nn.MSELoss(), optimizer, penalties=[penalty])
    return trainer.train_step(_floats(4, 4), _floats(4, 3))


def _metric(prediction: np.ndarray, target: np.ndarray) -> Callable[[nn.Metric], Any]:
    def use(metric: nn.Metric) -> Any:
        repr(nn.clone(metric))
        metric.update(prediction, target)
        return metric.result()

    return use


def _optimizer(optimizer: nn.Optimizer) -> Any:
    repr(optimizer)
    for p in optimizer.parameters:
        p.grad = np.full(p.shape, 0.1)
    optimizer.step()
    return [p.data for p in optimizer.parameters]


def _schedule(schedule: Callable[[int], float]) -> Any:
    repr(nn.clone(schedule))
    return [schedule(k) for k in (0, 1, 2, 5, 50)]


def _initializer(initializer: Any) -> Any:
    repr(nn.clone(initializer))
    return initializer((3, 4), 0)


def _trainer() -> nn.Trainer:
    model = nn.Sequential(nn.Linear(4, 3, rng=0))
    return nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters()))


def _fit(callback: nn.Callback) -> Any:
    repr(callback)
    x = _floats(4, 4)
    options = {"validation_data": (x, x[:, :3]), "callbacks": [callback], "verbose": False}
    history = _trainer().fit(x, x[:, :3], epochs=4, **options)
    return list(history["loss"])


def _walk(items: Any) -> None:
    for _ in zip(items, range(5), strict=False):
        pass


def _model() -> nn.Layer:
    return nn.Sequential(nn.Linear(4, 3, rng=0))


def _use_trainer(trainer: nn.Trainer) -> Any:
    return trainer.train_step(_floats(4, 4), _floats(4, 3))


def _with(context: Any) -> Any:
    with context:
        return None


# -- what is called --------------------------------------------------------------------------------

Good = dict[str, Any]
POSITIVE = np.abs(_floats(4, 3)) + 0.1
SHARES = (POSITIVE / POSITIVE.sum(axis=1, keepdims=True)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 0])
BITS = (_floats(4, 3) > 0).astype(np.float32)
IMAGES = _floats(2, 6, 6, 4)
FOLDER = Path(tempfile.gettempdir())


def _given(**good: Any) -> Callable[[], Good]:
    return lambda: dict(good)


def _file() -> Path:
    path = FOLDER / f"nnlite-hostile-{os.getpid()}.npz"
    nn.save_model(_model(), path)
    return path


def _checkpoint() -> Path:
    path = FOLDER / f"nnlite-hostile-{os.getpid()}-run.npz"
    _trainer().save(path)
    return path


def _subjects() -> dict[str, Subject]:
    dense, image, line, time = (
        _layer(2, 4), _layer(2, 6, 6, 4), _layer(2, 9, 4), _layer(2, 5, 4)
    )  # fmt: skip
    conv = _given(in_channels=4, out_channels=4, kernel_size=3)
    recurrent = _given(input_size=4, hidden_size=3)
    layers = {
        **{name: Subject(getattr(nn, name), use=dense) for name in (
            "CELU", "ELU", "GELU", "GLU", "HardSigmoid", "HardSwish", "HardTanh", "Identity",
            "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU",
            "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh", "Dropout", "Flatten",
            "RReLU", "Hardshrink", "Softshrink", "Tanhshrink", "Softmin",
        )},
        **{name: Subject(getattr(nn, name), use=image) for name in (
            "GlobalAvgPool2d", "GlobalMaxPool2d",
        )},
        **{name: Subject(getattr(nn, name), use=time) for name in (
            "GlobalAvgPool1d", "GlobalMaxPool1d", "LastStep", "MeanOverTime",
        )},
        **{name: Subject(getattr(nn, name), conv, image) for name in ("Conv2d", "ConvTranspose2d")},
        **{name: Subject(getattr(nn, name), conv, line) for name in ("Conv1d", "ConvTranspose1d")},
        **{name: Subject(getattr(nn, name), _given(kernel_size=2), image) for name in (
            "MaxPool2d", "AvgPool2d",
        )},
        **{name: Subject(getattr(nn, name), _given(kernel_size=2), line) for name in (
            "MaxPool1d", "AvgPool1d",
        )},
        **{name: Subject(getattr(nn, name), recurrent, time) for name in ("RNN", "GRU", "LSTM")},
        "BatchNorm1d": Subject(nn.BatchNorm1d, _given(num_features=4), _layer(5, 4)),
        "BatchNorm2d": Subject(nn.BatchNorm2d, _given(num_features=4), image),
        "InstanceNorm1d": Subject(nn.InstanceNorm1d, _given(num_features=4), line),
        **{name: Subject(getattr(nn, name), lambda: {"layer": nn.Linear(4, 3)}, dense)
           for name in ("WeightNorm", "SpectralNorm")},
        "Affine": Subject(nn.Affine, _given(num_features=4), dense),
        "LocalResponseNorm": Subject(nn.LocalResponseNorm, _given(size=3), image),
        "InstanceNorm2d": Subject(nn.InstanceNorm2d, _given(num_features=4), image),
        "GroupNorm": Subject(nn.GroupNorm, _given(num_groups=2, num_channels=4), image),
        "LayerNorm": Subject(nn.LayerNorm, _given(num_features=4), dense),
        "RMSNorm": Subject(nn.RMSNorm, _given(num_features=4), dense),
        "ChannelDropout": Subject(nn.ChannelDropout, use=image),
        "Threshold": Subject(nn.Threshold, _given(threshold=0.5, value=1), dense),
        "GaussianNoise": Subject(nn.GaussianNoise, _given(std=0.1), dense),
        "ActivityRegularization": Subject(nn.ActivityRegularization, use=dense),
        "GaussianSample": Subject(nn.GaussianSample, use=dense),
        **{name: Subject(getattr(nn, name), _given(output_size=2), image)
           for name in ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d")},
        **{name: Subject(getattr(nn, name), _given(output_size=2), line)
           for name in ("AdaptiveAvgPool1d", "AdaptiveMaxPool1d")},
        "MaxUnpool1d": Subject(nn.MaxUnpool1d, _given(kernel_size=2), _unpool(2, 3, 4)),
        "MaxUnpool2d": Subject(nn.MaxUnpool2d, _given(kernel_size=2), _unpool(2, 3, 3, 4)),
        "LPPool1d": Subject(nn.LPPool1d, _given(norm_type=2, kernel_size=2), line),
        "LPPool2d": Subject(nn.LPPool2d, _given(norm_type=2, kernel_size=2), image),
        "Upsample1d": Subject(nn.Upsample1d, _given(scale_factor=2), line),
        "Upsample2d": Subject(nn.Upsample2d, _given(scale_factor=2), image),
        **{f"{name}Pad1d": Subject(getattr(nn, f"{name}Pad1d"), _given(padding=1), line)
           for name in ("Zero", "Reflection", "Replication", "Circular")},
        **{f"{name}Pad2d": Subject(getattr(nn, f"{name}Pad2d"), _given(padding=1), image)
           for name in ("Zero", "Reflection", "Replication", "Circular")},
        "ConstantPad1d": Subject(nn.ConstantPad1d, _given(padding=1, value=2), line),
        "ConstantPad2d": Subject(nn.ConstantPad2d, _given(padding=1, value=2), image),
        "Linear": Subject(nn.Linear, _given(in_features=4, out_features=3), dense),
        "Embedding": Subject(
            nn.Embedding, _given(num_embeddings=5, embedding_dim=3), _layer(2, 3, tokens=True)
        ),
        "LearnedPositionalEmbedding": Subject(
            nn.LearnedPositionalEmbedding, _given(max_length=7, d_model=4), time
        ),
        "PositionalEncoding": Subject(nn.PositionalEncoding, _given(d_model=4), time),
        **{name: Subject(getattr(nn, name), _given(d_model=4, num_heads=2), time) for name in (
            "MultiHeadAttention", "RotaryAttention", "ALiBiAttention",
        )},
        "SlidingWindowAttention": Subject(
            nn.SlidingWindowAttention, _given(d_model=4, num_heads=2, window=2), time
        ),
        "GroupedQueryAttention": Subject(
            nn.GroupedQueryAttention, _given(d_model=4, num_heads=2, num_kv_heads=1), time
        ),
        "TransformerDecoderLayer": Subject(
            nn.TransformerDecoderLayer, _given(d_model=4, num_heads=2, d_ff=6)
        ),
        "TransformerDecoder": Subject(nn.TransformerDecoder, star=lambda: (nn.Tanh(),)),
        "TransformerLayer": Subject(
            nn.TransformerLayer, _given(d_model=4, num_heads=2, d_ff=6), time
        ),
        "Bidirectional": Subject(nn.Bidirectional, lambda: {"layer": nn.LSTM(4, 3)}, time),
        "Lambda": Subject(
            nn.Lambda, _given(function=np.square, gradient=lambda g, x: 2 * x * g), dense
        ),
        "Reshape": Subject(nn.Reshape, use=dense, star=lambda: (2, 2)),
        "Permute": Subject(nn.Permute, use=image, star=lambda: (2, 1, 3)),
        "Sequential": Subject(nn.Sequential, use=dense, star=lambda: (nn.Tanh(),)),
        "Add": Subject(nn.Add, use=dense, star=lambda: (nn.Tanh(),)),
        "Concat": Subject(nn.Concat, use=dense, star=lambda: (nn.Tanh(),)),
        "Parallel": Subject(nn.Parallel, star=lambda: (nn.Tanh(), nn.ReLU())),
        "Join": Subject(nn.Join),
        "Residual": Subject(nn.Residual, lambda: {"branch": nn.Tanh()}, dense),
    }  # fmt: skip
    scores = _floats(4, 3)
    losses = {
        **{name: Subject(getattr(nn, name), use=_loss(scores, CLASSES)) for name in (
            "CrossEntropyLoss", "FocalLoss",
        )},
        "NLLLoss": Subject(nn.NLLLoss, use=_loss(np.log(SHARES), CLASSES)),
        "KLDivLoss": Subject(nn.KLDivLoss, use=_loss(np.log(SHARES), SHARES)),
        "BCELoss": Subject(nn.BCELoss, use=_loss(SHARES, BITS)),
        "BCEWithLogitsLoss": Subject(nn.BCEWithLogitsLoss, use=_loss(scores, BITS)),
        "HingeLoss": Subject(nn.HingeLoss, use=_loss(scores, 2 * BITS - 1)),
        "SoftMarginLoss": Subject(nn.SoftMarginLoss, use=_loss(scores, 2 * BITS - 1)),
        "HingeEmbeddingLoss": Subject(nn.HingeEmbeddingLoss, use=_loss(POSITIVE, 2 * BITS - 1)),
        "MultiMarginLoss": Subject(nn.MultiMarginLoss, use=_loss(scores, CLASSES)),
        "MultiLabelMarginLoss": Subject(
            nn.MultiLabelMarginLoss, use=_loss(scores, CLASSES[:, None])
        ),
        "MarginRankingLoss": Subject(
            nn.MarginRankingLoss, use=_loss((scores, POSITIVE), 2 * BITS - 1)
        ),
        "CosineEmbeddingLoss": Subject(
            nn.CosineEmbeddingLoss, use=_loss((scores, POSITIVE), 2 * BITS[:, 0] - 1)
        ),
        "TripletMarginLoss": Subject(
            nn.TripletMarginLoss, use=_loss((scores, POSITIVE, 2 * scores), None)
        ),
        "GaussianNLLLoss": Subject(nn.GaussianNLLLoss, use=_loss((scores, POSITIVE), scores)),
        "CTCLoss": Subject(
            nn.CTCLoss, use=_loss(np.log(SHARES)[:, None], np.full((len(SHARES), 1), -1))
        ),
        **{name: Subject(getattr(nn, name), use=_loss(SHARES[..., None], BITS[..., None]))
           for name in ("DiceLoss", "JaccardLoss")},
        "Losses": Subject(
            nn.Losses, use=_loss((scores, scores), (BITS, CLASSES)),
            star=lambda: (nn.MSELoss(), nn.CrossEntropyLoss()),
        ),
        "PoissonNLLLoss": Subject(nn.PoissonNLLLoss, use=_loss(POSITIVE, BITS)),
        **{name: Subject(getattr(nn, name), use=_loss(scores, BITS)) for name in (
            "HuberLoss", "LogCoshLoss", "MAELoss", "MSELoss", "MultiLabelSoftMarginLoss",
            "QuantileLoss",
        )},
    }  # fmt: skip
    metrics = {
        **{name: Subject(getattr(nn, name), use=_metric(scores, CLASSES)) for name in (
            "Accuracy", "AveragePrecision", "ConfusionMatrix", "F1", "LogLoss", "Perplexity",
            "Precision", "Recall",
        )},
        "OutputMetric": Subject(
            nn.OutputMetric, lambda: {"output": "a", "metric": nn.Accuracy()},
            _metric(scores, CLASSES),
        ),
        "TopKAccuracy": Subject(nn.TopKAccuracy, _given(k=2), _metric(scores, CLASSES)),
        # weighted: where class 0 is ignored, its area is not defined
        "AUROC": Subject(nn.AUROC, _given(average="weighted"), _metric(scores, CLASSES)),
        **{name: Subject(getattr(nn, name), use=_metric(scores, BITS)) for name in (
            "ExplainedVariance", "MeanAbsoluteError", "MeanAbsolutePercentageError",
            "MeanSquaredError", "R2",
        )},
    }  # fmt: skip
    optimizers = {
        name: Subject(
            getattr(nn, name), lambda: {"parameters": [nn.Parameter(_floats(3, 2))]}, _optimizer
        )
        for name in nn.optimizers.__all__
        if name != "Optimizer"
    }
    needed: dict[str, Good] = {
        "ConstantSchedule": {},
        "StepSchedule": {"step_size": 2},
        "MultiStepSchedule": {"milestones": [2, 4]},
        "ExponentialSchedule": {"gamma": 0.9},
        "PolynomialSchedule": {"steps": 10},
        "CosineSchedule": {"steps": 10},
        "InverseSqrtSchedule": {"steps": 10},
    }
    schedules = {
        **{
            name: Subject(getattr(nn, name), _given(lr=0.1, **more), _schedule)
            for name, more in needed.items()
        },
        "OneCycleSchedule": Subject(
            nn.OneCycleSchedule, _given(max_lr=0.1, steps=10), _schedule
        ),
        "WarmupSchedule": Subject(
            nn.WarmupSchedule, _given(schedule=lambda k: 0.1, steps=3), _schedule
        ),
        "CyclicSchedule": Subject(
            nn.CyclicSchedule, _given(min_lr=0.1, max_lr=0.2, step_size_up=3), _schedule
        ),
        "SequentialSchedule": Subject(
            nn.SequentialSchedule,
            _given(schedules=[nn.ConstantSchedule(0.1), lambda k: 0.1], milestones=[2]), _schedule,
        ),
        "ChainedSchedule": Subject(
            nn.ChainedSchedule, _given(schedules=[nn.ConstantSchedule(0.1)]), _schedule
        ),
    }  # fmt: skip
    initializers = {
        "Constant": Subject(nn.initializers.Constant, _given(value=0.5), _initializer),
        **{name: Subject(getattr(nn.initializers, name), use=_initializer) for name in (
            "Glorot", "He", "LeCun", "Normal", "Orthogonal", "TruncatedNormal", "Uniform", "Zeros",
        )},
    }  # fmt: skip
    file = FOLDER / f"nnlite-hostile-{os.getpid()}.log"
    callbacks = {
        **{name: Subject(getattr(nn, name), use=_fit) for name in (
            "EMA", "EarlyStopping", "GradientAudit", "LambdaCallback", "Lookahead",
            "ReduceLROnPlateau", "SWA",
        )},
        "TimeLimit": Subject(nn.TimeLimit, _given(seconds=60), _fit),
        **{name: Subject(getattr(nn, name), _given(path=file), _fit) for name in (
            "CSVLogger", "JSONLogger", "Checkpoint",
        )},
        "LivePlot": Subject(nn.LivePlot, _given(path=file.with_suffix(".svg")), _fit),
        "TensorBoardLogger": Subject(nn.TensorBoardLogger, _given(folder=FOLDER)),
    }  # fmt: skip
    points = {
        name: Subject(getattr(nn.data, name), _given(n_samples=20))
        for name in (
            "blobs", "checkerboard", "circles", "moons", "sine", "spirals", "swiss_roll", "xor",
        )
    }  # fmt: skip
    rows = _floats(6, 4)
    data = {
        **points,
        "batches": Subject(nn.data.batches, use=_walk, star=lambda: (rows,)),
        "by_length": Subject(
            nn.data.by_length,
            lambda: {"x": nn.Padded(np.ones((4, 3, 2)), [3, 1, 2, 1])},
            lambda stream: _walk(stream(np.random.default_rng(0))),
        ),
        "k_fold": Subject(nn.data.k_fold, _given(rows=20)),
        "stratified_k_fold": Subject(
            nn.data.stratified_k_fold, _given(classes=np.arange(20) % 2)
        ),
        "load_digits": Subject(nn.data.load_digits),
        "load_idx": Subject(nn.data.load_idx, _given(path="nowhere")),
        "one_hot": Subject(nn.data.one_hot, _given(y=CLASSES)),
        "prefetch": Subject(nn.data.prefetch, lambda: {"source": iter([1, 2])}, _walk),
        "standardize": Subject(nn.data.standardize, _given(train=rows)),
        "train_test_split": Subject(nn.data.train_test_split, star=lambda: (rows,)),
        "augment.crop": Subject(augment.crop, _given(x=IMAGES, size=3)),
        "augment.cutout": Subject(augment.cutout, _given(x=IMAGES, size=3)),
        "augment.flip": Subject(augment.flip, _given(x=IMAGES)),
        "augment.mixup": Subject(augment.mixup, _given(x=IMAGES, y=_floats(2, 3))),
        "augment.noise": Subject(augment.noise, _given(x=IMAGES, std=0.1)),
        "augment.shift": Subject(augment.shift, _given(x=IMAGES, pixels=1)),
    }  # fmt: skip

    def step() -> Good:
        return {"model": _model(), "loss": nn.MSELoss(), "x": rows, "y": rows[:, :3]}

    looks = {
        **{name: Subject(getattr(nn, name), step, str) for name in ("audit", "profile", "trace")},
        "check_gradients": Subject(
            nn.check_gradients, lambda: {"layer": _model(), "x": rows}, str
        ),
        "check_optimizer": Subject(
            nn.check_optimizer, lambda: {"optimizer": nn.SGD, "lr": 0.1}, str
        ),
        "jacobian": Subject(nn.jacobian, lambda: {"layer": _model(), "x": rows[:2]}, str),
        "saliency": Subject(nn.saliency, lambda: {"model": _model(), "x": rows}),
        "smooth_grad": Subject(
            nn.smooth_grad, lambda: {"model": _model(), "x": rows, "samples": 2}
        ),
        "integrated_gradients": Subject(
            nn.integrated_gradients, lambda: {"model": _model(), "x": rows, "steps": 2}
        ),
        "formula_sheet": Subject(nn.formula_sheet, lambda: {"path": file.with_suffix(".md")}),
        "summary": Subject(nn.summary, lambda: {"model": _model(), "input_shape": 4}, str),
        "clone": Subject(nn.clone, lambda: {"model": _model()}),
        "decoding": Subject(nn.decoding, lambda: {"model": _model()}, _with),
        "inference": Subject(nn.inference, use=_with),
        "loss_terms": Subject(nn.loss_terms, use=_with),
        "L1Penalty": Subject(nn.L1Penalty, _given(strength=0.1), _penalize),
        "L2Penalty": Subject(nn.L2Penalty, _given(strength=0.1), _penalize),
        "save_model": Subject(nn.save_model, lambda: {"model": _model(), "path": file}),
        "load_model": Subject(nn.load_model, lambda: {"path": _file()}),
        "seed": Subject(nn.seed, _given(value=0)),
        "engine": Subject(nn.engine, _given()),
        "set_engine": Subject(nn.set_engine, _given(name="numpy")),
        "Parameter": Subject(nn.Parameter, _given(data=[1.0, 2.0])),
        "Buffer": Subject(nn.Buffer, _given(data=[1.0, 2.0])),
        "pad_sequences": Subject(nn.pad_sequences, _given(sequences=[[1, 2, 3], [4]])),
        "Padded": Subject(nn.Padded, _given(data=_floats(2, 5, 3), lengths=[5, 2])),
        "Trainer": Subject(
            nn.Trainer,
            lambda: {
                "model": (model := _model()),
                "loss": nn.MSELoss(),
                "optimizer": nn.SGD(model.parameters()),
            },
            _use_trainer,
        ),
    }  # fmt: skip
    xy = _given(x=rows, y=rows[:, :3])
    quiet = _given(x=rows, y=rows[:, :3], verbose=False)

    def owner() -> tuple[nn.Trainer]:
        return (_trainer(),)

    trainer = {
        "fit": Subject(nn.Trainer.fit, quiet, owner=owner),
        "evaluate": Subject(nn.Trainer.evaluate, xy, owner=owner),
        "save": Subject(nn.Trainer.save, _given(path=file), owner=owner),
        "load": Subject(nn.Trainer.load, lambda: {"path": _checkpoint()}, owner=owner),
        "fit_lbfgs": Subject(
            nn.fit_lbfgs,
            lambda: {
                "model": _model(),
                "loss": nn.MSELoss(),
                "x": rows,
                "y": rows[:, :3],
                "tol": 1.0,
            },
        ),
        "lr_range_test": Subject(
            nn.lr_range_test, lambda: {"trainer": _trainer(), "x": rows, "y": rows[:, :3]}
        ),
        "predict": Subject(nn.Layer.predict, _given(x=rows), owner=lambda: (_model(),)),
        "freeze": Subject(nn.Layer.freeze, owner=lambda: (_model(),)),
        "unfreeze": Subject(nn.Layer.unfreeze, owner=lambda: (_model(),)),
    }
    return {
        **trainer, **layers, **losses, **metrics, **optimizers, **schedules, **initializers,
        **callbacks, **data, **looks,
    }  # fmt: skip


SUBJECTS = _subjects()

# Arguments that their function checks itself, because it takes so much: arrays, streams, models.
FREE = {
    "arrays", "class_weight", "classes", "custom_layers", "data", "lengths", "others", "output",
    "parameters", "sample_weight", "sequences", "source", "stratify", "target", "train",
    "validation_data", "x", "y",
}  # fmt: skip


# -- the sweep -------------------------------------------------------------------------------------


class Call(NamedTuple):
    """One call with one hostile value."""

    subject: str
    argument: str
    value: str


def arguments(subject: Subject) -> Arguments:
    """What the subject's annotations and the table say."""
    if isinstance(subject.call, type):
        return arguments_of(subject.call)
    plain: Any = inspect.unwrap(subject.call)
    return Arguments(plain, [plain.__name__])


def calls(names: Iterable[str] = SUBJECTS) -> Iterator[Call]:
    """All of these subjects (default: of all)."""
    for name in names:
        for argument in arguments(SUBJECTS[name]).kinds:
            for value in VALUES:
                yield Call(name, argument, value)


class _Hang(BaseException):
    pass


def _alarm(*_: object) -> None:
    raise _Hang


def verdict(call: Call) -> tuple[str, str]:
    """(How the call ended, the message if it was an error)."""
    subject = SUBJECTS[call.subject]
    expected = arguments(subject)
    value, kind = VALUES[call.value](), expected.kinds[call.argument]
    wrong = kind is not None and kind.take(value) is REFUSED
    named, star = subject.good(), subject.star()
    if call.argument == expected.star:
        star = (value,)
    else:
        named[call.argument] = value
    if expected.star is not None:  # what stands before the star is given by position
        star = (*(named.pop(name) for name in expected.positional if name in named), *star)
    signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    made = False
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("error")
            result = subject.call(*subject.owner(), *star, **named)
            made = True
            if wrong:
                return "wrong", f"accepted as {result!r:.80}"
            kept = getattr(result, call.argument, None)
            if kind is not None and isinstance(kept, np.generic):
                return "wrong", f"kept as {type(kept).__name__}, no Python number"
            numbers = subject.use(result)
        return ("accepted", "") if _finite(numbers) else ("NaN", "")
    except _Hang:
        return "hang", ""
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        related = not made and not wrong  # an error about how arguments go together
        if is_ours(error) and (related or names(str(error), call, value)):
            return "refused", text
        return ("unclear" if made else "raw"), text
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def is_ours(error: BaseException) -> bool:
    """Whether it was raised by a line of nnlite that says `raise`, or is about a file by name."""
    if isinstance(error, OSError) and error.filename is not None:
        return True
    trace: TracebackType | None = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    raised = dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    return raised and f"{os.sep}nnlite{os.sep}" in code.co_filename


def names(message: str, call: Call, value: Any) -> bool:
    """Whether the message says what it is about: the argument, or the value itself."""
    try:
        shown = repr(value)
    except Exception:
        shown = "<Unprintable>"
    words = (call.argument, shown, str(value) if isinstance(value, Path) else shown, call.subject)
    return any(word in message for word in words)


def _finite(numbers: Any) -> bool:
    """Whether every number in it is finite."""
    if isinstance(numbers, list | tuple):
        return all(_finite(item) for item in numbers)
    if isinstance(numbers, np.ndarray | np.generic | float | int):
        return bool(np.isfinite(numbers).all())
    return True


def sweep(wanted: Iterable[Call]) -> Iterator[tuple[Call, str, str]]:
    """Each call that is wanted, with its verdict and message."""
    for call in wanted:
        yield call, *verdict(call)


def main() -> None:
    """Run everything, tell what went wrong, and end with the counts in JSON."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    counts = Counter(dict.fromkeys(KINDS, 0))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # strings are paths
        for call, kind, message in sweep(calls()):
            counts[kind] += 1
            if kind not in RIGHT:
                print(f"{kind:8} {call.subject}({call.argument}={call.value}) {message:.150}")
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
    sys.exit()
