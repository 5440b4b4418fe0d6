"""Sequences of different lengths in one array, and where each of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Padded:
    """A batch of sequences of different lengths, padded at the end to the longest one's T.

    Layers that mix time steps (`accepts_padded = True`) take it whole and do not read what stands
    beyond a sequence's end; the others get its `data`. See the prose in `layers/base.py`.

    Args:
        data: (N, T, …), one sequence per row; whatever stands in the padding must be finite.
        lengths: (N,) whole numbers, 1 ≤ length ≤ T.

    Raises:
        TypeError: when the lengths are not integers.
        ValueError: when there is not one length per row, or one is below 1 or beyond T.
    """

    def __init__(self, data: ArrayLike, lengths: ArrayLike) -> None:
        self.data = np.asarray(data)
        self.lengths = np.asarray(lengths)
        if self.lengths.dtype.kind not in "iu":
            raise TypeError(f"Padded: lengths must be integers, got dtype {self.lengths.dtype}")
        if self.data.ndim < 2 or self.lengths.shape != self.data.shape[:1]:
            raise ValueError(
                "Padded: expected data (N, T, …) and lengths (N,), got "
                f"{self.data.shape} and {self.lengths.shape}"
            )
        steps = self.data.shape[1]
        outside = np.flatnonzero((self.lengths < 1) | (self.lengths > steps))
        if outside.size:
            row = int(outside[0])
            raise ValueError(
                f"Padded: length {self.lengths[row]} of sequence {row} is outside 1 … {steps}"
            )

    @property
    def mask(self) -> np.ndarray:
        """(N, T), True where there is a sequence and False in the padding."""
        return np.arange(self.data.shape[1]) < self.lengths[:, None]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of `data`."""
        return self.data.dtype

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: slice | np.ndarray) -> Padded:
        """Some of the sequences, by a slice or an array of row numbers; T stays."""
        return Padded(self.data[rows], self.lengths[rows])

    def __repr__(self) -> str:
        return f"Padded(data {self.data.shape}, lengths {self.lengths.shape})"

    def through(self, layer: Any) -> Any:
        """`layer.forward` of all this, or of the data for a layer that does not know padding.

        What then comes out is padded again while it still has N sequences of T steps.
        """
        if layer.accepts_padded:
            return layer.forward(self)
        y = layer.forward(self.data)
        return Padded(y, self.lengths) if np.shape(y)[:2] == self.data.shape[:2] else y


def plain(x: Any) -> np.ndarray:
    """The bare array."""
    return x.data if isinstance(x, Padded) else x


def join(parts: Sequence[Any]) -> Any:
    """Batches one after another, padded if they are."""
    data = np.concatenate([plain(part) for part in parts])
    if not isinstance(parts[0], Padded):
        return data
    return Padded(data, np.concatenate([part.lengths for part in parts]))


def masked(prediction: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """A prediction's bare array, and sample weights (N, T, …) that leave out its padding.

    Raises:
        ValueError: when the weights' leading axes are not (N,) or (N, T).
    """
    if not isinstance(prediction, Padded):
        return prediction, weight
    mask = prediction.mask.astype(prediction.dtype)
    if weight is None:
        return prediction.data, mask
    weight = np.asarray(weight)
    if weight.ndim == 0 or weight.shape[:2] != mask.shape[: weight.ndim]:
        raise ValueError(
            f"sample_weight {weight.shape} must match the leading axes of the padded "
            f"prediction {prediction.shape}"
        )
    weight = weight.reshape(*weight.shape, *[1] * (2 - weight.ndim))
    return prediction.data, weight * mask.reshape(*mask.shape, *[1] * (weight.ndim - 2))
