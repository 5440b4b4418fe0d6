"""A model as a table: shapes, sizes and costs, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from nnlite.core.arguments import checked
from nnlite.core.tables import html_lines, html_table, text_table
from nnlite.inspection.one_step import Replica, parts
from nnlite.layers.base import Layer, floating_dtype
from nnlite.layers.structure import nested, sub_layers, watch

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]  # one for each element of a tuple of arrays


class SummaryRow(NamedTuple):
    """One layer of the table; a container's numbers are those of all inside it.

    Of a layer that returns a tuple of arrays, `output_shape` is a tuple of their shapes.
    """

    name: str
    depth: int
    output_shape: Shape | Shapes
    parameters: int
    trainable: int
    multiply_adds: int
    saved_bytes: int


class Summary:
    """The table; `rows` has one entry per layer, the whole model first. Prints well."""

    def __init__(self, rows: list[SummaryRow], input_shape: Shape | Shapes) -> None:
        self.rows = rows
        self.input_shape = input_shape

    @property
    def total(self) -> SummaryRow:
        """The whole model's row."""
        return self.rows[0]

    def __repr__(self) -> str:
        lines = text_table(self._cells(), left=2)
        rule = "─" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, self._foot()])

    def _repr_html_(self) -> str:
        """In a notebook."""
        return html_table(self._cells(), left=2) + html_lines([self._foot()])

    def _cells(self) -> list[list[str]]:
        """The header, and a row for each layer."""
        header = ["layer", "output", "parameters", "trainable", "multiply-adds", "saved"]
        return [header] + [
            [
                "  " * row.depth + row.name,
                str(row.output_shape),
                f"{row.parameters:,}",
                _trainable(row),
                f"{row.multiply_adds:,}",
                format_bytes(row.saved_bytes),
            ]
            for row in self.rows
        ]

    def _foot(self) -> str:
        """What stands below the table."""
        total = self.total
        return (
            f"input {self.input_shape}: {total.parameters:,} parameters "
            f"({total.trainable:,} trainable), {total.multiply_adds:,} multiply-adds forward, "
            f"{format_bytes(total.saved_bytes)} saved for backward"
        )


@checked
def summary(
    model: Layer,
    input_shape: int | Shape | Shapes,
    batch_size: int = 1,
    dtype: DTypeLike | tuple[DTypeLike, ...] | None = None,
) -> Summary:
    """What the model does to a batch: one row per layer, nested ones indented.

    The model is copied and run once on zeros, in training mode (layers for which batch_size is too
    small for that: in eval mode); it is left as it is.

    Args:
        model: a layer, usually a container.
        input_shape: of one sample, without the batch axis: 64 or (28, 28, 1). For a model with
            several inputs one shape each, in parentheses of its own: ((4,), (28, 28, 1)).
        batch_size: how many samples the shapes, multiply-adds and bytes are for (default 1).
        dtype: of the input (default: that of the parameters); of several, one for all, or a tuple
            with one each, None for the default: (None, int) where the second holds tokens.

    Returns:
        The table; print it.

    Raises:
        TypeError: when input_shape is no shape.
        ValueError: when it does not fit; the message names the layer. When there is not one dtype
            for each input.
    """
    replica = Replica(model)
    shapes: dict[int, tuple[Any, Any]] = {}
    for _, layer in nested(replica.layer):
        layer.training = layer.min_batch <= batch_size

        def note(x: Any, y: Any, layer: Layer = layer) -> None:
            shapes[id(layer)] = _shape(layer, x), _shape(layer, y)

        watch(layer, note)
    x = _zeros(input_shape, batch_size, dtype, floating_dtype(model))
    replica.forward(x)
    seen: set[int] = set()
    rows = list(_rows(replica.layer, type(model).__name__, 0, shapes, seen))
    return Summary(rows, _shape(model, x))


def _zeros(input_shape: Any, rows: int, dtype: Any, default: DTypeLike) -> Any:
    """A batch of zeros, or a tuple of batches where there are several shapes."""
    if isinstance(input_shape, int):
        input_shape = (input_shape,)
    several = [isinstance(each, tuple | list) for each in input_shape]
    if not any(several):
        return np.zeros((rows, *input_shape), dtype or default)
    if not all(several):
        raise ValueError(
            f"summary: input_shape {input_shape} is neither one shape nor several; of several "
            "inputs each has parentheses of its own, such as ((4,), (28, 28, 1))"
        )
    dtypes = dtype if isinstance(dtype, tuple | list) else (dtype,) * len(input_shape)
    if len(dtypes) != len(input_shape):
        raise ValueError(
            f"summary: got {len(dtypes)} dtypes for {len(input_shape)} inputs; give one for each, "
            "or a single one for all"
        )
    return tuple(
        np.zeros((rows, *shape), each or default)
        for shape, each in zip(input_shape, dtypes, strict=True)
    )


def _shape(layer: Layer, value: Any) -> Shape | Shapes:
    """The shape of an array, or the shapes of several."""
    shapes = tuple(a.shape for a in parts(layer, value))
    return shapes[0] if len(shapes) == 1 else shapes


def _rows(
    layer: Layer, name: str, depth: int, shapes: dict[int, Any], seen: set[int]
) -> Iterator[SummaryRow]:
    """The layer's row, then those of the layers inside it."""
    x_shape, y_shape = shapes[id(layer)]
    below: list[SummaryRow] = []
    direct: list[SummaryRow] = []
    for place, child in sub_layers(layer):
        if id(child) not in shapes:  # forward does not use it
            continue
        label = type(child).__name__ if sub_layers(child) else repr(child)
        rows = list(_rows(child, f"{place}: {label}", depth + 1, shapes, seen))
        direct.append(rows[0])
        below += rows
    parameters = layer.parameters()
    saved = _saved_bytes(layer, seen) + sum(row.saved_bytes for row in direct)
    yield SummaryRow(
        name,
        depth,
        y_shape,
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if p.trainable),
        layer.multiply_adds(x_shape, y_shape) + sum(row.multiply_adds for row in direct),
        saved,
    )
    yield from below


def _saved_bytes(layer: Layer, seen: set[int]) -> int:
    """Bytes of the arrays in the layer's slot that no other layer has saved already."""
    total = 0
    for array in _arrays(layer._slot):
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if id(owner) not in seen:
            seen.add(id(owner))
            total += owner.nbytes
    return total


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _arrays(item)


def _trainable(row: SummaryRow) -> str:
    if row.parameters == 0:
        return "-"
    if row.trainable in (0, row.parameters):
        return "yes" if row.trainable else "no"
    return f"{row.trainable:,}"


def format_bytes(size: float) -> str:
    """A size with a unit that keeps it readable: 512 B, 3.2 KB, 1.5 MB."""
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
