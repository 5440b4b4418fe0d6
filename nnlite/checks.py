"""Checks of arguments that many places share."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Container
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


def as_array(name: str, values: Any) -> np.ndarray:
    """What NumPy makes of the values.

    Raises:
        ValueError: when they do not form an array, such as rows of different lengths.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array: {error}") from None


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


def instance_hint(value: object) -> str:
    """What to add to an error about a class or function where an instance belongs."""
    return "; pass an instance: add ()" if isinstance(value, type) else ""


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


def check_axis(owner: object, axis: int, shape: tuple[int, ...]) -> None:
    """Refuse an axis that an array of this shape does not have.

    Raises:
        ValueError: names both, and the owner.
    """
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{owner!r}: expected an input with axis {axis}, got {shape}")


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
