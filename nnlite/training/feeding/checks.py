"""What is refused before the first update, because it could only fail later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nnlite.core.foreign import rows_hint
from nnlite.core.padded import Padded, plain
from nnlite.core.rows import Rows, each_of
from nnlite.layers.base import Layer, check_even_batches
from nnlite.losses.base import Loss
from nnlite.training.feeding.weights import like


def unpadded(name: str, y: Any) -> Any:
    """Refuse `Padded` targets: x alone says where sequences end."""
    if isinstance(y, Padded):
        raise TypeError(f"{name} must be an array (N, T, …): give its data; x has the lengths")
    return y


def check_same_rows(x_name: str, x: Any, y_name: str, y: Any) -> None:
    """Refuse inputs and targets of different lengths; x may be a tuple of inputs.

    Raises:
        ValueError: says how many rows each has.
    """
    if isinstance(y, tuple):
        for number, values in enumerate(y):
            check_same_rows(x_name, x, f"{y_name}[{number}]", values)
        return
    for number, values in enumerate(each_of(x)):
        if len(values) != len(y):
            which = f"{x_name}[{number}]" if isinstance(x, tuple) else x_name
            hint = rows_hint(values.shape, len(y))
            raise ValueError(f"{which} has {len(values)} rows and {y_name} has {len(y)}{hint}")


def check_targets(loss: Loss, one: Any, y: Any) -> None:
    """Let the loss check the targets beside predictions like this one, (1, …)."""
    if loss.parts:
        loss.check(one, y)
        for (name, part), p, targets in zip(loss.parts.items(), one, y, strict=True):
            try:
                check_targets(part, p, targets)
            except (TypeError, ValueError) as error:
                error.add_note(f"in the loss of output {name}")
                raise
        return
    for rows in y.blocks() if isinstance(y, Rows) else [slice(len(y))]:
        targets = y[rows]
        try:
            loss.check(like(one, targets), targets)
        except (TypeError, ValueError) as error:
            if rows.start:
                error.add_note(f"counted from row {rows.start} on")
            raise


def each_target(loss: Loss, name: str, y: Any, prepare: Callable[[str, Any], Any]) -> Any:
    """`prepare(name, y)`; for a loss of several outputs, of each element of a tuple.

    Raises:
        TypeError: when y is not a tuple with one element for each output.
    """
    if not loss.parts:
        return prepare(name, unpadded(name, y))
    if not isinstance(y, tuple) or len(y) != len(loss.parts):
        got = f"a tuple of {len(y)}" if isinstance(y, tuple) else type(y).__name__
        raise TypeError(
            f"{name}: expected a tuple of targets, one for each output "
            f"({', '.join(loss.parts)}), got {got}"
        )
    return tuple(
        prepare(f"{name}[{number}]", unpadded(f"{name}[{number}]", values))
        for number, values in enumerate(y)
    )


def bare(prediction: Any) -> Any:
    """The bare array of a prediction, or of each element of a tuple."""
    return tuple(map(bare, prediction)) if isinstance(prediction, tuple) else plain(prediction)


def check_outputs(model: Layer, loss: Loss, prediction: Any) -> Any:
    """The prediction, which must be one array, or `Padded`, for a loss that takes one.

    Raises:
        TypeError: for a tuple and a loss that takes none.
    """
    if isinstance(prediction, tuple) and not loss.takes_several:
        raise TypeError(
            f"{model.label()}: expected one output, got a tuple of {len(prediction)}; after "
            "Parallel put Join() and a layer that makes one array of them, and leave return_state "
            "out; with one loss for each output use Losses"
        )
    return prediction


def check_batches(model: Layer, rows: int, batch_size: int, drop_last: bool) -> None:
    """Refuse sizes that leave no batch, or a last one that a layer cannot train on."""
    if drop_last and rows < batch_size:
        raise ValueError(
            f"fit: {rows} samples with batch_size={batch_size} and drop_last leave no batch"
        )
    if not drop_last:
        check_even_batches(model, rows, batch_size, "fit: ")
    last = batch_size if drop_last else rows % batch_size or batch_size
    for path, layer in model.named_layers().items():
        trains = layer.training or not model.training  # of a whole model in eval mode all will
        if trains and last < layer.min_batch:
            raise ValueError(
                f"fit: the last batch would have {last} of {batch_size} samples, but layer "
                f"{path}, {layer!r}, needs {layer.min_batch}; set drop_last=True or another "
                "batch_size"
            )


def check_weighed(weight: np.ndarray | None) -> None:
    """Refuse validation data of which no row counts."""
    if weight is not None and not np.any(weight):
        raise ValueError(
            "fit: validation: all sample weights (times class weights) are 0, so there is nothing "
            "to measure; leave the weights out, or validate on rows that count"
        )


def several_hint(batch: Sequence[Any]) -> str:
    """What to add to an error about a batch of more than (x, y) that may be (x1, x2, y)."""
    return "; several inputs are a tuple of their own: ((x1, x2), y)" if len(batch) > 2 else ""


@contextmanager
def about(name: str, values: Any, hint: str = "") -> Iterator[None]:
    """Put the data's own shape in front of errors: it was checked on less than all of it.

    Args:
        name, values: what the errors are about.
        hint: what to add where it is of another kind than the model takes.
    """
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if error.args and isinstance(error.args[0], str):
            shapes = ", ".join(str(array.shape) for array in each_of(values))
            added = hint if isinstance(error, TypeError) else ""
            error.args = (f"{name} {shapes}: {error.args[0]}{added}", *error.args[1:])
        raise
