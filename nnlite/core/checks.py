"""Checks of arguments that many places share."""

from __future__ import annotations

import inspect
import math
import os
import re
import stat
import sys
import warnings
from collections.abc import Container, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

BATCHED = range(2, 65)  # the numbers of axes of (N, …, C), up to NumPy's largest


class ModelWarning(UserWarning):
    """Something that is allowed but hardly ever meant; the message says what to do instead."""


def warn(message: str) -> None:
    """Warn with a `ModelWarning` that points at the line of the program that called nnlite."""
    frame: FrameType | None = sys._getframe()
    level = 0
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "nnlite":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, ModelWarning, stacklevel=level + 1)


def is_whole(value: object) -> bool:
    """Whether it is an integer, of Python or NumPy, and not a bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a finite number, of Python or NumPy, and not a bool."""
    number = isinstance(value, int | float | np.integer | np.floating)
    return number and not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]


def in_range(value: object, low: float = 0.0, below: float = math.inf) -> bool:
    """Whether it is a number, at least `low` and less than `below`."""
    return is_number(value) and low <= value < below  # type: ignore[operator]  # a number by now


# What Keras, scikit-learn and PyTorch call things, without case and underscores. Names that differ
# from ours in nothing else, or in the ending "Loss", are not listed.
OTHER_NAMES = {
    "Loss": {
        "mse": "MSELoss",
        "meansquarederror": "MSELoss",
        "squarederror": "MSELoss",
        "l2": "MSELoss",
        "mae": "MAELoss",
        "meanabsoluteerror": "MAELoss",
        "absoluteerror": "MAELoss",
        "l1": "MAELoss",
        "l1loss": "MAELoss",
        "smoothl1": "HuberLoss",
        "smoothl1loss": "HuberLoss",
        "ce": "CrossEntropyLoss",
        "logloss": "CrossEntropyLoss",
        "categoricalcrossentropy": "CrossEntropyLoss",
        "sparsecategoricalcrossentropy": "CrossEntropyLoss",
        "categoricalfocalcrossentropy": "FocalLoss",
        "binarycrossentropy": "BCEWithLogitsLoss",
        "kld": "KLDivLoss",
        "kldivergence": "KLDivLoss",
        "poisson": "PoissonNLLLoss",
        "pinball": "QuantileLoss",
        "iou": "JaccardLoss",
        "triplet": "TripletMarginLoss",
        "cosinesimilarity": "CosineEmbeddingLoss",
        "categoricalhinge": "MultiMarginLoss",
    },
    "Optimizer": {
        "momentum": "SGD",
        "gradientdescent": "SGD",
        "averagedsgd": "ASGD",
        "resilientbackpropagation": "Rprop",
        "sparseadam": "Adam",
    },
    "Metric": {
        "acc": "Accuracy",
        "accuracyscore": "Accuracy",
        "binaryaccuracy": "Accuracy",
        "categoricalaccuracy": "Accuracy",
        "sparsecategoricalaccuracy": "Accuracy",
        "topkcategoricalaccuracy": "TopKAccuracy",
        "sparsetopkcategoricalaccuracy": "TopKAccuracy",
        "topkaccuracyscore": "TopKAccuracy",
        "auc": "AUROC",
        "rocauc": "AUROC",
        "rocaucscore": "AUROC",
        "averageprecisionscore": "AveragePrecision",
        "prauc": "AveragePrecision",
        "binarycrossentropy": "LogLoss",
        "categoricalcrossentropy": "LogLoss",
        "sparsecategoricalcrossentropy": "LogLoss",
        "mae": "MeanAbsoluteError",
        "mse": "MeanSquaredError",
        "mape": "MeanAbsolutePercentageError",
        "explainedvariancescore": "ExplainedVariance",
        "f1score": "F1",
        "r2score": "R2",
        "precisionscore": "Precision",
        "recallscore": "Recall",
    },
    "Callback": {"modelcheckpoint": "Checkpoint"},
    "Layer": {
        "dense": "Linear",
        "swish": "SiLU",
        "maxpooling1d": "MaxPool1d",
        "maxpooling2d": "MaxPool2d",
        "averagepooling1d": "AvgPool1d",
        "averagepooling2d": "AvgPool2d",
        "globalaveragepooling1d": "GlobalAvgPool1d",
        "globalaveragepooling2d": "GlobalAvgPool2d",
        "globalmaxpooling1d": "GlobalMaxPool1d",
        "globalmaxpooling2d": "GlobalMaxPool2d",
        "layernormalization": "LayerNorm",
        "dropout1d": "ChannelDropout",
        "dropout2d": "ChannelDropout",
        "spatialdropout1d": "ChannelDropout",
        "spatialdropout2d": "ChannelDropout",
        "simplernn": "RNN",
    },
    "Initializer": {
        "glorotuniform": "Glorot",
        "glorotnormal": "Glorot",
        "xavier": "Glorot",
        "xavieruniform": "Glorot",
        "xaviernormal": "Glorot",
        "heuniform": "He",
        "henormal": "He",
        "kaiming": "He",
        "kaiminguniform": "He",
        "kaimingnormal": "He",
        "lecununiform": "LeCun",
        "lecunnormal": "LeCun",
        "randomnormal": "Normal",
        "randomuniform": "Uniform",
        "truncnormal": "TruncatedNormal",
    },
}


def own_call(value: object, kind: type[Any]) -> str:
    """How to write our own instance of `kind` for a name, or for what another library calls so.

    Empty when there is none.
    """
    named = value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
    name = re.sub(r"[\W_]", "", named).lower()
    name = OTHER_NAMES.get(kind.__name__, {}).get(name, name).lower()
    for own in _public_kinds(kind):
        if name in (own.__name__.lower(), own.__name__.lower().removesuffix("loss")):
            needed = [
                parameter
                for parameter in inspect.signature(own).parameters.values()
                if parameter.default is parameter.empty and parameter.kind.name[:3] != "VAR"
            ]
            given = "model.parameters()" if kind.__name__ == "Optimizer" else "…" if needed else ""
            place = "nn.initializers" if own.__module__ == "nnlite.initializers" else "nn"
            return f"{place}.{own.__name__}({given})"
    return ""


def _public_kinds(kind: type[Any]) -> Iterator[type[Any]]:
    """The classes of ours that are of this kind, those that are imported by now."""
    for own in kind.__subclasses__():
        if own.__module__.startswith("nnlite.") and not own.__name__.startswith("_"):
            yield own
        yield from _public_kinds(own)


def instance_hint(value: object, kind: type[Any] | None = None) -> str:
    """What to add to an error about something else where an instance (of `kind`) belongs."""
    if isinstance(value, type) and (kind is None or issubclass(value, kind)):
        call = "" if kind is None else own_call(value, kind)
        return f"; pass an instance: {'add ()' if call.endswith('()') or not call else call}"
    if kind is not None and kind.__name__ == "Ranks":
        return "; write nn.parallel.MPI()"
    if kind is not None and kind.__name__ == "Layer":
        if isinstance(value, list | tuple) and value and all(isinstance(v, kind) for v in value):
            return "; write nn.Sequential(*layers)"
        if any(cls.__name__ == "Loss" for cls in type(value).__mro__):
            return "; a loss stands beside the model, as loss=… or in Trainer(model, loss, …)"
    call = "" if kind is None else own_call(value, kind)
    return f"; write {call}" if call else ""


def layout_hint(shape: tuple[int, ...], channels: int, ranks: Container[int]) -> str:
    """What to add to an error about an input that is not (N, …, channels).

    Args:
        shape: the input's.
        channels: how many there should be on the last axis.
        ranks: the numbers of axes that are taken.
    """
    rank = len(shape)
    if rank > 2 and rank in ranks and shape[1] == channels != shape[-1]:
        return f"; channels come last here: x.transpose{(0, *range(2, rank), 1)}"
    if rank == 2 and 4 in ranks and rank not in ranks and shape[1] % channels == 0:
        side = math.isqrt(shape[1] // channels)
        if side * side * channels == shape[1]:
            return f"; put a Reshape({side}, {side}, {channels}) before it to make images of rows"
    if rank in ranks or rank + 1 not in ranks:
        return ""
    if shape[-1:] == (channels,):
        return sample_hint(shape, ranks)
    if channels == 1:
        return "; a single channel needs its axis: x[..., None]"
    if shape[:1] == (channels,):
        return f"; channels come last, in a batch: x.transpose{(*range(1, rank), 0)}[None]"
    return ""


def sample_hint(shape: tuple[int, ...], ranks: Container[int]) -> str:
    """What to add to an error about an input that lacks an axis, as a single sample does."""
    rank = len(shape)
    lacks = rank not in ranks and rank + 1 in ranks
    return "; a single sample needs its batch axis: x[None]" if lacks else ""


def check_whole(name: str, value: int, least: int = 1) -> int:
    """The value as a Python integer.

    Raises:
        ValueError: when it is not a whole number, or below `least`.
    """
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}, got {value!r}")
    return int(value)


def no_place(path: str | os.PathLike[str]) -> str:
    """Why no file can be written there, and what to do; empty where one can."""
    text, place = os.fspath(path), Path(path)
    if os.path.isdir(place) or text.endswith(("/", os.sep)):
        return f"{place} is a folder; name a file in it"
    if os.path.exists(place.parent) and not os.path.isdir(place.parent):
        return f"{place.parent} is no folder"
    if place.parts[0].startswith("~") and not os.path.isdir(place.parent):
        return f"only a shell knows {place.parts[0]}: write Path({text!r}).expanduser()"
    if not os.path.isdir(place.parent):
        return (
            f"there is no folder {place.parent}; make it first: os.makedirs({str(place.parent)!r})"
        )
    folder = Path(os.path.realpath(place)).parent  # where a symbolic link leads
    if not folder.is_dir():
        return f"{place} is a link into {folder}, which is no folder; make it, or name another file"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"you may not write into the folder {folder}; name a file in another one"
    try:
        mode = os.stat(place).st_mode
    except FileNotFoundError:
        return ""
    except OSError as error:  # a name that is too long
        return f"{place}: {error.strerror}; name another file"
    if not stat.S_ISREG(mode):
        return f"{place} is not a regular file; name another one"
    if not mode & 0o222 or not os.access(place, os.W_OK):
        writable = f"os.chmod({str(place)!r}, 0o644)"
        return f"{place} is read-only; name another file, or make it writable: {writable}"
    return ""


def check_place(name: str, path: str | os.PathLike[str]) -> None:
    """Refuse to write a file where none can be.

    Raises:
        ValueError: when its folder does not exist or may not be written to, or when there is
            something that is not a file or may not be replaced.
    """
    problem = no_place(path)
    if problem:
        raise ValueError(f"{name}: {problem}")


def check_file(name: str, path: str | os.PathLike[str]) -> Path:
    """The path of a file that is there.

    Raises:
        FileNotFoundError: when there is no such file, or when it is a pipe or a device, which
            might be read for ever.
    """
    file = Path(path)
    if not os.path.isfile(file):  # unlike Path.is_file, no error for a name that is too long
        there = "is not a regular file; copy what it gives into one"
        there = there if os.path.exists(file) else "is not there"
        what = "is a folder, no file" if os.path.isdir(file) else there
        raise FileNotFoundError(f"{name}: the file {file} {what}")
    return file


def check_axis(owner: object, axis: int, shape: tuple[int, ...]) -> None:
    """Refuse an axis that an array of this shape does not have.

    Raises:
        ValueError: names both, and the owner.
    """
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{owner!r}: expected an input with axis {axis}, got {shape}")


def check_sides(name: str, padding: Any, count: int) -> list[tuple[int, int]]:
    """(before, after) along each of `count` axes.

    From one number for all; for two axes from one number or pair for each; for one axis from a
    pair.

    Raises:
        ValueError: for anything else, and when a number is negative.
    """
    each = padding if isinstance(padding, (tuple, list)) else (padding,) * count
    if count == 1 and len(each) != 1:
        each = (padding,)
    if len(each) != count:
        raise ValueError(
            f"{name} must be a number, or (height, width), each a number or a pair, got {padding!r}"
        )
    return [(before, after) for before, after in (check_sizes(name, p, 2, least=0) for p in each)]


def check_sizes(
    name: str, value: int | tuple[int, ...], count: int, least: int = 1
) -> tuple[int, ...]:
    """One whole number for each of `count` axes, from one for all or a tuple.

    Raises:
        ValueError: when it is neither, or a number is below `least`.
    """
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(sizes) != count or not all(is_whole(size) and size >= least for size in sizes):
        several = f" or a tuple of {count}" if count > 1 else ""
        raise ValueError(f"{name} must be a whole number ≥ {least}{several}, got {value!r}")
    return tuple(int(size) for size in sizes)
