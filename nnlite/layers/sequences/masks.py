"""Who may attend to whom: what is added to the scores of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.foreign import as_array
from nnlite.core.padded import Padded


def as_scores(owner: Any, mask: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """A mask as what is added to the scores: (N or 1, heads or 1, T, S).

    Args:
        owner: the layer, for errors.
        mask: (T, S), (N, T, S) or (N, heads, T, S); True where a step may be attended to, or
            floats as they are added.
        shape: of the scores, (N, heads, T, S).
        dtype: of the scores.

    Raises:
        TypeError: when it holds neither.
        ValueError: when it has another shape, or holds NaN or +∞.
    """
    given = as_array(f"{owner!r}: mask", mask)
    batch, heads, steps, keys = shape
    leading: tuple[int, ...] = (batch, heads)[: given.ndim - 2] if given.ndim <= 4 else (0,)
    ones = all(have in (1, want) for have, want in zip(given.shape, leading, strict=False))
    if given.shape[-2:] != (steps, keys) or given.ndim not in (2, 3, 4) or not ones:
        hint = ""
        if given.ndim == 3 and given.shape == (batch * heads, steps, keys):
            hint = f"; by heads it is mask.reshape({batch}, {heads}, {steps}, {keys})"
        raise ValueError(
            f"{owner!r}: expected a mask {(steps, keys)}, {(batch, steps, keys)} or "
            f"{(batch, heads, steps, keys)}, got {given.shape}{hint}"
        )
    if given.dtype.kind == "b":
        given = np.where(given, 0, -np.inf)
    elif given.dtype.kind != "f":
        raise TypeError(
            f"{owner!r}: a mask holds True where a step may be attended to, or floats that are "
            f"added to the scores; got dtype {given.dtype}"
        )
    elif not (given < np.inf).all():
        raise ValueError(f"{owner!r}: a mask of floats must be finite or −∞, got NaN or +∞")
    return given[:, None].astype(dtype) if given.ndim == 3 else given.astype(dtype)


def ends_together(first: Any, second: Any) -> bool:
    """Whether two sequences are padded alike: neither, or both with the same lengths."""
    padded = isinstance(first, Padded), isinstance(second, Padded)
    return padded == (False, False) or (
        padded == (True, True) and np.array_equal(first.lengths, second.lengths)
    )
