"""Training data, checked once and in the form that the trainer wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from nnlite.data.batches import batches
from nnlite.data.checks import as_input, as_numbers, check_finite
from nnlite.data.split import train_test_split
from nnlite.layers.base import Layer, floating_dtype
from nnlite.losses.base import Loss
from nnlite.padded import plain

ClassWeight = Mapping[int, float] | ArrayLike


class Samples(NamedTuple):
    """Inputs, targets and (maybe) a weight for each sample."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None

    @classmethod
    def checked(
        cls,
        model: Layer,
        loss: Loss,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        name: str = "",
    ) -> Self:
        """The data as arrays, or an error that says what is wrong with it.

        One sample is run through the model, so that shapes and targets are checked against what
        it returns: all that can be refused is refused before the first update.

        Raises:
            TypeError: for what does not hold numbers.
            ValueError: for empty data, lengths that differ, values that are not finite (the row
                is named), and whatever the model or the loss refuses.
        """
        x = as_input(f"{name}x", x, floating_dtype(model))
        y = as_numbers(f"{name}y", y)
        check_finite(f"{name}y", y)
        if len(x) != len(y):
            raise ValueError(f"{name}x has {len(x)} rows and {name}y has {len(y)}")
        with model.evaluation():
            one = plain(model(x[:1]))
            every = np.broadcast_to(one[:1], (len(x), *one.shape[1:]))
            loss.check(every, y)
        weight = _weights(f"{name}sample_weight", y, sample_weight, class_weight)
        return cls(x, y, weight)

    def batches(
        self,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        rng: np.random.Generator | None = None,
    ) -> Iterator[Samples]:
        """The batches of one epoch."""
        feed = batches(
            *self._arrays(), batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, rng=rng
        )
        return (Samples(*batch) for batch in feed)

    def _arrays(self) -> list[np.ndarray]:
        return [array for array in self if array is not None]

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
        """A shuffled (training, validation) split."""
        halves = train_test_split(*self._arrays(), test_size=fraction, rng=rng)
        return Samples(*halves[0::2]), Samples(*halves[1::2])


def _weights(
    name: str, y: np.ndarray, sample_weight: Any, class_weight: ClassWeight | None
) -> np.ndarray | None:
    """Sample weights times the weights of the samples' classes."""
    weight = None
    if sample_weight is not None:
        weight = as_numbers(name, sample_weight)
        check_finite(name, weight)
        if weight.shape != y.shape[: weight.ndim]:
            raise ValueError(f"{name} has shape {weight.shape}, which does not match y's {y.shape}")
        if weight.min() < 0:
            raise ValueError(f"{name} must not be negative, got {weight.min()}")
    if class_weight is None:
        return weight
    by_class = _of_classes(y, class_weight)
    if weight is None:
        return by_class
    return by_class * weight.reshape(weight.shape + (1,) * (by_class.ndim - weight.ndim))


def _of_classes(y: np.ndarray, class_weight: ClassWeight) -> np.ndarray:
    """Each sample's class weight; classes that a mapping leaves out weigh 1."""
    classes = y if y.dtype.kind in "iu" else y.astype(np.int64)
    if not np.array_equal(classes, y) or classes.min() < 0:
        raise ValueError("class_weight needs integer classes ≥ 0 in y")
    if not isinstance(class_weight, Mapping):
        class_weight = dict(enumerate(np.asarray(class_weight, np.float64).tolist()))
    table = np.ones(max(int(classes.max()), *class_weight) + 1)
    for number, value in class_weight.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"class_weight must be finite and ≥ 0, got {value} for {number}")
        table[number] = value
    return table[classes]
