"""Checks of arguments that many places share."""

from __future__ import annotations

import math

import numpy as np


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


def check_whole(name: str, value: int, least: int = 1) -> int:
    """The value as a Python integer.

    Raises:
        ValueError: when it is not a whole number, or below `least`.
    """
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}, got {value!r}")
    return int(value)
