"""Training data, checked once and in the form that the trainer wants."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from nnlite.checks import is_number, is_whole
from nnlite.data.batches import walk
from nnlite.data.checks import as_numbers, check_finite
from nnlite.data.sources import Rows, as_source, part_of
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
        it returns: all that can be refused is refused before the first update. Of sequences that
        load their rows, only the first one is; the others are checked in their batches.

        Raises:
            TypeError: for what does not hold numbers.
            ValueError: for empty data, lengths that differ, values that are not finite (the row
                is named), and whatever the model or the loss refuses.
        """
        x = as_source(f"{name}x", x, floating_dtype(model))
        y = as_source(f"{name}y", y)
        if len(x) != len(y):
            raise ValueError(f"{name}x has {len(x)} rows and {name}y has {len(y)}")
        with model.evaluation():
            with _about(f"{name}x", x):
                one = model(x[:1])
            with _about(f"{name}y", y):
                _check_targets(loss, one, y)
        classes = None if class_weight is None else classes_of(one, y[:])
        weight = weights_of(f"{name}sample_weight", y, sample_weight, class_weight, classes)
        return cls(x, y, weight)

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return len(self.x)

    def draw(self, rng: np.random.Generator, shuffle: bool) -> np.ndarray | None:
        """The order of one pass; None for the one in which they lie."""
        return rng.permutation(self.rows) if shuffle else None

    def batches(
        self,
        batch_size: int,
        order: np.ndarray | None = None,
        drop_last: bool = False,
        skip: int = 0,
    ) -> Generator[Samples, None, None]:
        """The batches of one pass, the rows in this order; without the first `skip`."""
        stop = self.rows - (self.rows % batch_size if drop_last else 0)
        starts = range(skip * batch_size, stop, batch_size)
        for batch in walk(tuple(self._arrays()), order, starts):
            yield Samples(*batch)

    def _arrays(self) -> list[np.ndarray]:
        return [array for array in self if array is not None]

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
        """A shuffled (training, validation) split."""
        train, held_out = (
            Samples(*(part_of(array, numbers) for array in self._arrays()))
            for numbers in train_test_split(np.arange(self.rows), test_size=fraction, rng=rng)
        )
        return train, held_out


def _check_targets(loss: Loss, one: np.ndarray, y: Any) -> None:
    """Let the loss check the targets beside predictions like this one."""
    for rows in y.blocks() if isinstance(y, Rows) else [slice(len(y))]:
        targets = y[rows]
        try:
            loss.check(np.broadcast_to(one[:1], (len(targets), *one.shape[1:])), targets)
        except (TypeError, ValueError) as error:
            if rows.start:
                error.add_note(f"counted from row {rows.start} on")
            raise


@contextmanager
def _about(name: str, array: np.ndarray) -> Iterator[None]:
    """Put the data's own shape in front of errors: it was checked on less than all of it."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (f"{name} {array.shape}: {error.args[0]}", *error.args[1:])
        raise


def classes_of(one: np.ndarray, y: np.ndarray) -> int:
    """How many classes there are, from a prediction (1, …) and the targets."""
    if (len(y), *one.shape[1:-1]) == y.shape:
        return one.shape[-1]  # one class per row on the last axis
    return max(2, int(y.max()) + 1)  # or single scores for 0 and 1


def weights_of(
    name: str,
    y: np.ndarray,
    sample_weight: Any,
    class_weight: ClassWeight | None,
    classes: int | None,
) -> np.ndarray | None:
    """Sample weights times the weights of the samples' classes (for which all of y is read)."""
    weight = None
    if sample_weight is not None:
        weight = as_numbers(name, sample_weight)
        check_finite(name, weight)
        if weight.shape != y.shape[: weight.ndim]:
            raise ValueError(f"{name} has shape {weight.shape}, which does not match y's {y.shape}")
        if weight.min() < 0:
            raise ValueError(f"{name} must not be negative, got {weight.min()}")
    if class_weight is None or classes is None:
        return weight
    by_class = _of_classes(y[:], class_weight, classes)
    if weight is None:
        return by_class
    return by_class * weight.reshape(weight.shape + (1,) * (by_class.ndim - weight.ndim))


def _of_classes(y: np.ndarray, class_weight: ClassWeight, classes: int) -> np.ndarray:
    """Each sample's class weight; classes that a mapping leaves out weigh 1."""
    actual = y if y.dtype.kind in "iu" else y.astype(np.int64)
    if not np.array_equal(actual, y) or actual.min() < 0:
        raise ValueError("class_weight needs integer classes ≥ 0 in y")
    if not isinstance(class_weight, Mapping):
        if np.shape(class_weight) != (classes,):
            raise ValueError(
                f"class_weight must be one number for each of {classes} classes, or a mapping, "
                f"got {class_weight!r}"
            )
        class_weight = dict(enumerate(np.asarray(class_weight, np.float64).tolist()))
    table = np.ones(classes)
    for number, value in class_weight.items():
        if not is_whole(number) or not 0 <= number < classes:
            raise ValueError(f"class_weight: {number!r} is not a class 0 … {classes - 1}")
        if not is_number(value) or value < 0:
            raise ValueError(f"class_weight must be finite and ≥ 0, got {value!r} for {number}")
        table[number] = value
    return table[actual]


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
