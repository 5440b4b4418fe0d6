"""Outputs that become one array, and where their sequences end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.core.padded import Padded


def ends_of(arrays: Sequence[np.ndarray], name: str) -> list[int]:
    """Where each array but the last ends, once they are joined along the last axis.

    Raises:
        ValueError: when they differ in another axis; `name` says what they are.
    """
    shapes = [array.shape for array in arrays]
    if len({shape[:-1] for shape in shapes}) > 1:
        raise ValueError(f"{name} must agree in all axes but the last, got {shapes}")
    return list(itertools.accumulate(shape[-1] for shape in shapes[:-1]))


def joined_padding(name: str, y: np.ndarray, parts: Sequence[Any]) -> Any:
    """What was made of the parts, as sequences where they are some.

    Raises:
        ValueError: when the parts do not agree in where sequences end; `name` says what they are.
    """
    lengths = [part.lengths for part in parts if isinstance(part, Padded)]
    if not lengths:
        return y
    together = len(lengths) == len(parts) and all((each == lengths[0]).all() for each in lengths)
    if not together or y.shape[:2] != parts[0].shape[:2]:
        given = (p if isinstance(p, Padded) else f"an array {p.shape}" for p in parts)
        raise ValueError(
            f"{name} must agree in where Padded sequences end, and have features on an axis after "
            f"time; got {', '.join(map(str, given))}"
        )
    return Padded(y, lengths[0])
