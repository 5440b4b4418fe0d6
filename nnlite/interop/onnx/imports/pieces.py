"""What is cut out of a tensor: nnlite has no layer for that, but for some of what is made of it.

The last step of a sequence is a `LastStep`. Parts of the features, or one of two directions, are
pieces: they may be put together again, or one half may gate the other, which is a `GLU`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import built_again, constant, reads, without
from nnlite.interop.onnx.paths import Point
from nnlite.interop.onnx.tensors import DIRECTION, OPEN, Node, Tensor

PIECEWISE = {
    "Concat",
    "Identity",
    "Mul",
    "Sigmoid",
    "Slice",
    "Squeeze",
}  # what can be done with a piece


@reads("Split")
def split(node: Node, x: Tensor, sizes: Any = None) -> list[Tensor]:
    x = x.in_rows(node)
    count = len(node.outputs)
    axis = node.axis(node.get("axis", 0), len(x.axes))
    given = node.get("split") if sizes is None else np.ravel(constant(node, sizes, "size")).tolist()
    if x.axes[axis] != max(a for a in x.axes if a is not None) or len(set(given or [1])) != 1:
        raise node.refuse("only features can be cut, into parts that are equal")
    if x.shape[axis] != OPEN and x.shape[axis] % count:
        raise node.refuse(f"{x.shape[axis]} features cannot be cut into {count} equal parts")
    return [_piece(x, axis, k, count) for k in range(count)]


def _piece(x: Tensor, axis: int, k: int, count: int) -> Tensor:
    size = x.shape[axis] // count
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    return x._replace(piece=(k, count), shape=shape)


@reads("Slice")
def cut(node: Node, x: Tensor, *rest: Any) -> Tensor:
    """starts, ends, axes and steps, which before opset 10 were attributes."""
    names = ("starts", "ends", "axes", "steps")
    given: list[Any] = [node.get(name) for name in names]
    for i, each in enumerate(rest):
        given[i] = None if each is None else np.ravel(constant(node, each, names[i])).tolist()
    starts, ends, axes, steps = given
    axes = range(len(starts)) if axes is None else axes
    steps = steps or [1] * len(starts)
    if len({len(starts), len(ends), len(axes), len(steps)}) > 1:
        raise node.refuse("it has not as many starts as ends, axes and steps")
    x = x.in_rows(node)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = node.axis(axis, len(x.axes))
        size = x.shape[axis]
        whole = start == 0 and (end == size or end > 1 << 30)
        if step == 1 and not whole:
            x = _one(node, x, axis, start, end)
        elif step != 1:
            raise node.refuse("only steps of 1 are supported")
    return x


def _one(node: Node, x: Tensor, axis: int, start: int, end: int) -> Tensor:
    """What lies from start to before end along one axis."""
    size, value = x.shape[axis], x.axes[axis]
    start, end = (n + size if n < 0 < size else min(n, size) if size > 0 else n
                  for n in (start, end))  # fmt: skip
    if value == DIRECTION and end == start + 1:
        axes = (*x.axes[:axis], None, *x.axes[axis + 1 :])
        return _piece(x, axis, start, 2)._replace(axes=axes)
    ends = start == -1 or (start == size - 1 and end == size)
    layer = x.point.layer
    if value == 1 and isinstance(layer, nn.Bidirectional) and x.piece:
        if not (ends if x.piece[0] == 0 else (start, end) == (0, 1)):
            raise node.refuse("each direction may give all its steps, or the last that it reads")
        return without(x._replace(point=_last_states(x.point)), {axis}, keep=True)
    if value == 1 and ends and len([a for a in x.axes if a is not None]) > 2:
        return without(x.then(nn.LastStep(), node), {axis}, keep=True)
    last = max(a for a in x.axes if isinstance(a, int))
    if value == last and size > 0 and size == 2 * (end - start) and start in (0, size // 2):
        return _piece(x, axis, int(start > 0), 2)
    raise node.refuse("only the last step of a sequence, or a half of the features, can be taken")


def _last_states(point: Point) -> Point:
    """In the place of all states of both directions."""
    if point.ends is None:
        cells = (built_again(cell, return_sequences=False)
                 for cell in (point.layer.layer, point.layer.backwards))  # fmt: skip
        point.ends = Point(nn.Bidirectional(*cells), point.inputs, point.node)
    return point.ends


def reunited(node: Node, tensors: list[Tensor], axis: int) -> Tensor:
    """All pieces of one tensor, in their order, side by side along the file's axis."""
    x = tensors[0]
    pieces = [each.piece for each in tensors]
    count = len(pieces)
    last = max(a for a in x.axes if isinstance(a, int))
    if (
        any(each.point is not x.point or each.term or each.axes != x.axes for each in tensors)
        or pieces != [(k, count) for k in range(count)]
        or x.axes[axis] != last
    ):
        raise node.refuse("it joins parts of tensors that do not belong together")
    shape = (*x.shape[:axis], count * x.shape[axis], *x.shape[axis + 1 :])
    return x._replace(piece=None, shape=shape)


def gated(node: Node, first: Tensor, second: Tensor) -> Tensor:
    """The first half times the sigmoid of the second."""
    a, b = sorted((first, second), key=lambda each: each.term is not None)
    gate = b.term
    if (
        (a.piece, b.piece) != ((0, 2), (1, 2))
        or a.point is not b.point
        or a.axes != b.axes
        or a.term is not None
        or gate is None
        or (gate.node.operator, gate.depth) != ("Sigmoid", 1)
    ):
        raise node.refuse("nnlite multiplies only the first half with the second's sigmoid")
    return a.then(nn.GLU(), node)
