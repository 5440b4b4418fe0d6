"""Training data, checked once and in the form that the trainer wants."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np

from nnlite.data.batches import walk
from nnlite.data.checks import as_numbers, check_finite
from nnlite.data.sources import Rows, as_source, part_of
from nnlite.data.split import train_test_split
from nnlite.layers.base import Layer, floating_dtype
from nnlite.losses.base import Loss
from nnlite.padded import Padded, plain
from nnlite.training.class_weight import ClassWeight, of_classes
from nnlite.training.measures import Measures


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
        measures: Measures | None = None,
    ) -> Self:
        """The data as arrays, or an error that says what is wrong with it.

        One sample is run through the model, the loss and copies of the metrics, so that shapes,
        targets and weights are checked against what it returns: all that can be refused is
        refused before the first update. Of sequences that load their rows, only the first one is;
        the others are checked in their batches.

        Raises:
            TypeError: for what does not hold numbers.
            ValueError: for empty data, lengths that differ, values that are not finite (the row
                is named), and whatever the model, the loss or a metric refuses.
        """
        x = as_source(f"{name}x", x, floating_dtype(model))
        y = as_source(f"{name}y", unpadded(f"{name}y", y))
        if len(x) != len(y):
            raise ValueError(f"{name}x has {len(x)} rows and {name}y has {len(y)}")
        with model.evaluation():
            with _about(f"{name}x", x):
                one = plain(model(x[:1]))
            with _about(f"{name}y", y):
                _check_targets(loss, one, y)
            ignored = getattr(loss, "ignore_index", None)
            weight = weights_of(
                f"{name}sample_weight", y, sample_weight, class_weight, one, ignored
            )
            if measures is not None:
                one_weight = None if weight is None else weight[:1]
                value = loss(one, y[:1], one_weight)
                measures.fresh().add(value, loss, one, y[:1], one_weight)
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


def unpadded(name: str, y: Any) -> Any:
    """Refuse `Padded` targets: x alone says where sequences end."""
    if isinstance(y, Padded):
        raise TypeError(f"{name} must be an array (N, T, …): give its data; x has the lengths")
    return y


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


def weights_of(
    name: str,
    y: Any,
    sample_weight: Any,
    class_weight: ClassWeight | None,
    one: np.ndarray,
    ignore_index: int | None,
) -> np.ndarray | None:
    """Sample weights times the weights of the samples' classes (for which all of y is read).

    `one` is a prediction of one sample, whose shape tells the number of classes.
    """
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
    every = np.broadcast_to(one[:1], (len(y), *one.shape[1:]))
    by_class = of_classes(y[:], every, class_weight, ignore_index)
    return by_class if weight is None else _product(weight, by_class)


def _product(weight: np.ndarray, by_class: np.ndarray) -> np.ndarray:
    """Both multiplied, the same along the axes that one of them lacks."""
    axes = max(weight.ndim, by_class.ndim)
    first, second = (a.reshape(a.shape + (1,) * (axes - a.ndim)) for a in (weight, by_class))
    return first * second


def check_batches(model: Layer, samples: int, batch_size: int, drop_last: bool) -> None:
    """Refuse sizes that leave no batch, or a last one that a layer cannot train on."""
    if drop_last and samples < batch_size:
        raise ValueError(
            f"fit: {samples} samples with batch_size={batch_size} and drop_last leave no batch"
        )
    last = batch_size if drop_last else samples % batch_size or batch_size
    for path, layer in model.named_layers().items():
        trains = layer.training or not model.training  # of a whole model in eval mode all will
        if trains and last < layer.min_batch:
            raise ValueError(
                f"fit: the last batch would have {last} of {batch_size} samples, but layer "
                f"{path}, {layer!r}, needs {layer.min_batch}; set drop_last=True or another "
                "batch_size"
            )
