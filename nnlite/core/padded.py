"""Sequences of different lengths in one array, and where each of them ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from nnlite.core.arguments import checked
from nnlite.core.foreign import as_array, kind_of, number_hint

ONE_FEATURE = "data[..., None], (N, T, 1), to have one feature in each time step"


class Padded:
    """A batch of sequences of different lengths, padded at the end to the longest one's T.

    What stands in the padding never reaches a real value: layers that mix time steps take it whole
    (`accepts_padded = True`) or refuse it, and only those that treat every step by itself get its
    `data`. See the prose in `layers/base.py`.

    Args:
        data: (N, T, …), one sequence per row; whatever stands in the padding must be finite.
        lengths: (N,) whole numbers, 1 ≤ length ≤ T.

    Raises:
        TypeError: when the lengths are not integers.
        ValueError: when there is not one length per row, or one is below 1 or beyond T.
    """

    def __init__(self, data: ArrayLike, lengths: ArrayLike) -> None:
        self.data = as_array("Padded: data", data)
        given = as_array("Padded: lengths", lengths)
        if given.dtype.kind not in "iu":
            raise TypeError(f"Padded: lengths must be integers, got dtype {given.dtype}")
        self.lengths = given.astype(np.intp, copy=False)  # signed: layers count back from the end
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
        """Some of the sequences, by a slice or an array of row numbers; T stays.

        Raises:
            TypeError: for a single number, and for an index of several axes.
        """
        if not isinstance(rows, slice | np.ndarray | list):
            raise TypeError(
                f"{self!r}: expected a slice or an array of row numbers, got {rows!r}; one "
                "sequence is padded.data[row, : padded.lengths[row]]"
            )
        return Padded(self.data[rows], self.lengths[rows])

    def __repr__(self) -> str:
        return f"Padded(data {self.data.shape}, lengths {self.lengths.shape})"

    def through(self, layer: Any) -> Any:
        """`layer.forward` of all this, or of the data for a layer that treats each step by itself.

        What such a layer returns is padded again.

        Raises:
            ValueError: when a layer that does not know where sequences end mixes time steps: it
                says so with `mixed_axes`, or does not return N sequences of T steps.
        """
        if layer.accepts_padded:
            return layer.forward(self)
        if any(axis % self.data.ndim == 1 for axis in layer.mixed_axes):
            instead = layer.instead_of_padded
            if self.data.ndim == 2:
                instead = ONE_FEATURE
            raise ValueError(
                f"{layer!r}: mixes the time steps of Padded sequences {self.shape}, and does not "
                f"know where they end; use {instead}"
            )
        y = layer.forward(self.data)
        if y is None:
            return y  # the container says what is missing
        shape = getattr(y, "shape", ())
        if shape[:2] != self.shape[:2]:
            raise ValueError(
                f"{layer!r}: made {shape or type(y).__name__} of Padded sequences {self.shape}; a "
                "layer that does not treat each time step by itself must know where they end. Use "
                + layer.instead_of_padded
            )
        return Padded(y, self.lengths)


@checked
def pad_sequences(
    sequences: Iterable[ArrayLike], dtype: DTypeLike | None = None, value: float = 0
) -> Padded:
    """Sequences of different lengths in one array, each padded at its end to the longest.

        x = nn.pad_sequences([[7, 2, 9], [4], [1, 3]])  # data (3, 3), lengths [3, 1, 2]

    Args:
        sequences: one array (Tᵢ, …) for each, or a list of numbers; all with the same features.
        dtype: of the data (default None: the smallest that holds them all).
        value: what stands in the padding, where no layer looks (default 0).

    Raises:
        TypeError: for what does not hold numbers.
        ValueError: when there is no sequence, an empty one, or one with other features than the
            first; it is named. When the dtype cannot hold `value`.
    """
    single = isinstance(sequences, np.ndarray) and sequences.ndim == 0
    if (
        single
        or isinstance(sequences, str | bytes | Mapping)
        or not isinstance(sequences, Iterable)
    ):
        raise TypeError(f"pad_sequences: expected a list of sequences, got {kind_of(sequences)}")
    arrays = [_sequence(place, sequence) for place, sequence in enumerate(sequences)]
    if not arrays:
        raise ValueError("pad_sequences: expected at least one sequence, got none")
    features = arrays[0].shape[1:]
    for place, array in enumerate(arrays):
        if array.shape[1:] != features:
            raise ValueError(
                f"pad_sequences: sequence {place} has steps of shape {array.shape[1:]}, sequence 0 "
                f"of shape {features}"
            )
    lengths = np.array([len(array) for array in arrays])
    dtype = np.result_type(*arrays) if dtype is None else np.dtype(dtype)
    padding = filling("pad_sequences", value, dtype)
    data = np.full((len(arrays), lengths.max(), *features), padding, dtype)
    for row, array in zip(data, arrays, strict=True):
        row[: len(array)] = array
    return Padded(data, lengths)


def filling(owner: object, value: float, dtype: np.dtype[Any]) -> np.ndarray:
    """The value in the dtype, as an array without axes.

    Raises:
        ValueError: when the dtype cannot hold it; begins with the owner.
    """
    with np.errstate(over="ignore"):
        padding = np.asarray(value).astype(dtype)
    if not (np.isfinite(padding) if dtype.kind == "f" else padding == value):
        raise ValueError(f"{owner}: {dtype} cannot hold value={value!r}")
    return padding


def _sequence(place: int, sequence: ArrayLike) -> np.ndarray:
    """(T, …), one sequence as an array of numbers."""
    name = f"pad_sequences: sequence {place}"
    array = as_array(name, sequence)
    if array.dtype.kind not in "fiub":
        hint = number_hint(name, array)
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name} is {sequence!r}; expected an array (T, …) or a list of numbers")
    if len(array) == 0:
        raise ValueError(f"{name} is empty; leave it out, with its target")
    return array


def plain(x: Any) -> np.ndarray:
    """The bare array."""
    return x.data if isinstance(x, Padded) else x


def data_and_lengths(x: Any) -> tuple[Any, np.ndarray | None]:
    """The bare array, and where its sequences end: None when it is not padded."""
    return (x.data, x.lengths) if isinstance(x, Padded) else (x, None)


def within(a: np.ndarray, lengths: np.ndarray | None, beyond: float = 0.0) -> np.ndarray:
    """The array (N, T, …) with `beyond` in its padding; as it is where there is none."""
    if lengths is None or (lengths == a.shape[1]).all():
        return a
    mask = np.arange(a.shape[1]) < lengths[:, None]
    return np.where(mask.reshape(*mask.shape, *[1] * (a.ndim - 2)), a, beyond)


def ended(y: np.ndarray, lengths: np.ndarray | None) -> Any:
    """The array (N, T, …) as sequences of these lengths, zero in the padding; None leaves it."""
    return y if lengths is None else Padded(within(y, lengths), lengths)


def check_ends(owner: Any, lengths: np.ndarray, ends: np.ndarray) -> None:
    """Refuse sequences that are too short for a window.

    Args:
        owner: the layer.
        lengths: (N,), of its inputs.
        ends: (N,), of its outputs.

    Raises:
        ValueError: names the first that would be left without a time step.
    """
    short = np.flatnonzero(ends < 1)
    if short.size:
        row = int(short[0])
        raise ValueError(
            f"{owner!r}: sequence {row} is too short: of its {lengths[row]} time steps, no output "
            "would be left; leave out such sequences, or add padding to the layer"
        )


def join(parts: Sequence[Any]) -> Any:
    """Batches one after another; where they are padded, to the longest of them.

    Raises:
        ValueError: when they do not fit together.
    """
    arrays = [plain(part) for part in parts]
    padded = [part for part in parts if isinstance(part, Padded)]
    if len(padded) == len(parts):
        steps = max(array.shape[1] for array in arrays)
        arrays = [_longer(array, steps) for array in arrays]
    if len({array.shape[1:] for array in arrays}) > 1 or len(padded) not in (0, len(parts)):
        shapes = ", ".join(dict.fromkeys(str(array.shape) for array in arrays))
        raise ValueError(
            f"the outputs of the batches do not fit together: {shapes}; sequences of different "
            "lengths are Padded, in all batches"
        )
    data = np.concatenate(arrays)
    return Padded(data, np.concatenate([part.lengths for part in padded])) if padded else data


def _longer(a: np.ndarray, steps: int) -> np.ndarray:
    """The array (N, T, …), with zeros up to this T."""
    if a.shape[1] == steps:
        return a
    zeros = np.zeros((len(a), steps - a.shape[1], *a.shape[2:]), a.dtype)
    return np.concatenate([a, zeros], axis=1)


def masked(prediction: Any, weight: np.ndarray | None) -> tuple[Any, np.ndarray | None]:
    """A prediction's bare array, and sample weights (N, T, …) that leave out its padding.

    A tuple of several becomes bare where all of them end alike, and is left as it is where not.

    Raises:
        ValueError: when the weights' leading axes are not (N,) or (N, T).
    """
    if isinstance(prediction, tuple) and _end_alike(prediction):
        _, weight = masked(prediction[0], weight)
        return tuple(each.data for each in prediction), weight
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


def _end_alike(values: tuple[Any, ...]) -> bool:
    """Whether all of them are padded, with the same ends."""
    if not values or not all(isinstance(each, Padded) for each in values):
        return False
    first = values[0]
    return all(
        each.shape[:2] == first.shape[:2] and np.array_equal(each.lengths, first.lengths)
        for each in values
    )
