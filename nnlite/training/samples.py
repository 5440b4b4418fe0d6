"""Training data, checked once and in the form that the trainer wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np

from nnlite.data.batches import walk
from nnlite.data.checks import as_input, as_numbers, check_finite
from nnlite.data.split import train_test_split
from nnlite.layers.base import Layer, floating_dtype
from nnlite.losses.base import Loss
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
        measures: Measures,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: ClassWeight | None = None,
        name: str = "",
    ) -> Self:
        """The data as arrays, or an error that says what is wrong with it.

        One sample is run through the model, the loss and copies of the metrics, so that shapes,
        targets and weights are checked against what it returns: all that can be refused is
        refused before the first update.

        Raises:
            TypeError: for what does not hold numbers.
            ValueError: for empty data, lengths that differ, values that are not finite (the row
                is named), and whatever the model, the loss or a metric refuses.
        """
        x = as_input(f"{name}x", x, floating_dtype(model))
        y = as_numbers(f"{name}y", y)
        check_finite(f"{name}y", y)
        if len(x) != len(y):
            raise ValueError(f"{name}x has {len(x)} rows and {name}y has {len(y)}")
        with model.evaluation():
            with _about(f"{name}x", x):
                one = model(x[:1])
            every = np.broadcast_to(one[:1], (len(x), *one.shape[1:]))
            with _about(f"{name}y", y):
                loss.check(every, y)
            weight = _sample_weights(f"{name}sample_weight", y, sample_weight)
            if class_weight is not None:
                by_class = of_classes(y, every, class_weight, getattr(loss, "ignore_index", None))
                weight = by_class if weight is None else _product(weight, by_class)
            one_weight = None if weight is None else weight[:1]
            value = loss(one, y[:1], one_weight)
            measures.fresh().add(value, loss, one, y[:1], one_weight)
        return cls(x, y, weight)

    @classmethod
    def for_validation(
        cls,
        model: Layer,
        loss: Loss,
        measures: Measures,
        data: Sequence[Any] | None,
        class_weight: ClassWeight | None,
    ) -> Self | None:
        """What `fit` was given as `validation_data`, checked like the training data."""
        if data is None:
            return None
        if not isinstance(data, list | tuple) or len(data) not in (2, 3):
            many = isinstance(data, list | tuple)
            raise ValueError(
                "fit: validation_data must be (x, y) or (x, y, sample_weight), got "
                f"{f'{len(data)} items' if many else type(data).__name__}"
            )
        x, y, weight = (*data, None)[:3]
        return cls.checked(model, loss, measures, x, y, weight, class_weight, "validation ")

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


@contextmanager
def _about(name: str, array: np.ndarray) -> Iterator[None]:
    """Put the data's own shape in front of errors: it was checked on less than all of it."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (f"{name} {array.shape}: {error.args[0]}", *error.args[1:])
        raise


def _sample_weights(name: str, y: np.ndarray, sample_weight: Any) -> np.ndarray | None:
    """The sample weights as an array that fits y."""
    if sample_weight is None:
        return None
    weight = as_numbers(name, sample_weight)
    check_finite(name, weight)
    if weight.shape != y.shape[: weight.ndim]:
        raise ValueError(f"{name} has shape {weight.shape}, which does not match y's {y.shape}")
    if weight.min() < 0:
        raise ValueError(f"{name} must not be negative, got {weight.min()}")
    return weight


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
