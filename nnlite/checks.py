"""Checks of arguments that many places share."""

from __future__ import annotations

import numpy as np


def is_whole(value: object) -> bool:
    """Whether it is an integer, of Python or NumPy, and not a bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_whole(name: str, value: int, least: int = 1) -> int:
    """The value as a Python integer.

    Raises:
        ValueError: when it is not a whole number, or below `least`.
    """
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}, got {value!r}")
    return int(value)


def check_probability(name: str, value: float) -> None:
    """Refuse what is no probability of dropping a value.

    Raises:
        ValueError: when it is below 0, or 1 and above.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


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
