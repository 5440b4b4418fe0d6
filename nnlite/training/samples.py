"""Training data, checked once and in the form that the trainer wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from nnlite.data.batches import walk
from nnlite.data.checks import as_input, as_numbers, check_finite
from nnlite.data.split import train_test_split
from nnlite.layers.base import Layer, floating_dtype
from nnlite.losses.base import Loss

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
            one = model(x[:1])
            every = np.broadcast_to(one[:1], (len(x), *one.shape[1:]))
            loss.check(every, y)
        weight = _weights(f"{name}sample_weight", y, sample_weight, class_weight)
        return cls(x, y, weight)

    @classmethod
    def for_validation(
        cls,
        model: Layer,
        loss: Loss,
        data: Sequence[Any] | None,
        class_weight: ClassWeight | None,
    ) -> Self | None:
        """What `fit` was given as `validation_data`, checked like the training data."""
        if data is None:
            return None
        if len(data) not in (2, 3):
            raise ValueError(
                f"fit: validation_data must be (x, y) or (x, y, sample_weight), got {len(data)}"
            )
        x, y, weight = (*data, None)[:3]
        return cls.checked(model, loss, x, y, weight, class_weight, "validation ")

    def batches(
        self,
        batch_size: int,
        order: np.ndarray | None = None,
        drop_last: bool = False,
        skip: int = 0,
    ) -> Iterator[Samples]:
        """The batches of one pass, the rows in this order; without the first `skip`."""
        stop = len(self.x) - (len(self.x) % batch_size if drop_last else 0)
        starts = range(skip * batch_size, stop, batch_size)
        return (Samples(*batch) for batch in walk(tuple(self._arrays()), order, starts))

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


def check_batches(model: Layer, samples: int, batch_size: int, drop_last: bool) -> None:
    """Refuse sizes that leave no batch, or a last one that a layer cannot train on."""
    if drop_last and samples < batch_size:
        raise ValueError(
            f"fit: {samples} samples with batch_size={batch_size} and drop_last leave no batch"
        )
    last = samples % batch_size or batch_size
    if drop_last or last >= batch_size:
        last = batch_size
    for path, layer in model.named_layers().items():
        if last < layer.min_batch:
            raise ValueError(
                f"fit: the last batch would have {last} of {batch_size} samples, but layer "
                f"{path}, {layer!r}, needs {layer.min_batch}; set drop_last=True or another "
                "batch_size"
            )
