"""What a run is fed with: data sets, checked once, that give one batch after another."""

from __future__ import annotations

from typing import Any

from nnlite.core.rows import is_stream
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.training.feeding.arrays import ArrayDataset
from nnlite.training.feeding.batch import Batch, SharedBatch, own_rows
from nnlite.training.feeding.checks import several_hint
from nnlite.training.feeding.streams import StreamDataset
from nnlite.training.feeding.weights import ClassWeight
from nnlite.training.measures import Measures

__all__ = [
    "ArrayDataset",
    "Batch",
    "Dataset",
    "SharedBatch",
    "StreamDataset",
    "as_dataset",
    "own_rows",
    "validation_dataset",
]

Dataset = ArrayDataset | StreamDataset


def as_dataset(
    model: Layer,
    loss: Loss,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: ClassWeight | None = None,
    name: str = "",
    measures: Measures | None = None,
) -> Dataset:
    """What to walk through: arrays, checked as far as they are at hand, or a stream.

    Args:
        model, loss, measures: what the data has to fit.
        x, y, sample_weight, class_weight: as for `fit`.
        name: what stands before "x" and "y" in errors, such as "validation ".

    Raises:
        TypeError, ValueError: for data that does not fit; see `ArrayDataset.checked`.
    """
    if class_weight is not None and loss.takes_several:
        raise ValueError(
            "class_weight: of several outputs, say which one: give weight=… to its loss"
        )
    if not is_stream(x):
        if y is None:
            raise TypeError(f"{name}y is missing; only a generator function brings its own targets")
        return ArrayDataset.checked(model, loss, x, y, sample_weight, class_weight, name, measures)
    if y is not None or sample_weight is not None:
        raise ValueError(
            f"{name}data: a generator function yields (x, y) or (x, y, sample_weight) itself; "
            "leave y and sample_weight out"
        )
    return StreamDataset(model, loss, x, class_weight, name)


def validation_dataset(
    model: Layer,
    loss: Loss,
    data: Any,
    class_weight: ClassWeight | None = None,
    measures: Measures | None = None,
) -> Dataset | None:
    """What `fit` was given as `validation_data`."""
    if data is None:
        return None
    if is_stream(data):
        data = (data,)
    elif not isinstance(data, list | tuple) or len(data) not in (2, 3):
        many = isinstance(data, list | tuple)
        raise ValueError(
            "fit: validation_data must be (x, y) or (x, y, sample_weight) or a generator function, "
            f"got {f'{len(data)} items' if many else type(data).__name__}"
            f"{several_hint(data) if many else ''}"
        )
    x, y, weight = (*data, None, None)[:3]
    return as_dataset(model, loss, x, y, weight, class_weight, "validation ", measures)
