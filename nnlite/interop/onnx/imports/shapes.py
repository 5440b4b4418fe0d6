"""What moves values and computes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import (
    constant,
    reads,
    without_ones,
)
from nnlite.interop.onnx.tensors import DIRECTION, OPEN, Node, Tensor


@reads("Identity", "Dropout")
def identity(node: Node, x: Any, *rest: Any) -> Any:
    return x


@reads("Transpose")
def transpose(node: Node, x: Tensor) -> Tensor:
    """Nothing moves: the file's axes only lie otherwise from here on."""
    perm = node.get("perm", list(range(len(x.axes)))[::-1])
    if sorted(perm) != list(range(len(x.axes))):
        raise node.refuse(f"its perm {tuple(perm)} does not name each of {len(x.axes)} axes once")
    x = x.in_rows(node)
    return x._replace(axes=tuple(x.axes[i] for i in perm), shape=tuple(x.shape[i] for i in perm))


@reads("Flatten")
def flatten(node: Node, x: Tensor) -> Tensor:
    if node.get("axis", 1) not in (1, 1 - max(len(x.axes), 2)):
        raise node.refuse("it joins the batch with another axis")
    return x.flat(node)


@reads("Squeeze")
def squeeze(node: Node, x: Tensor, axes: Any = None) -> Tensor:
    given = node.get("axes") if axes is None else np.ravel(axes).tolist()
    if given is None:
        given = [i for i, size in enumerate(x.shape) if size == 1 and x.axes[i] != 0]
    gone = {node.axis(axis, len(x.axes)) for axis in given}
    if any(x.axes[i] is not None for i in gone):  # the value has these axes too
        return reshape(node, x, np.array([s for i, s in enumerate(x.shape) if i not in gone]))
    return without_ones(x, gone)


@reads("Unsqueeze")
def unsqueeze(node: Node, x: Tensor, axes: Any = None) -> Tensor:
    given = node.get("axes") if axes is None else np.ravel(axes).tolist()
    x = x.in_rows(node)
    lie, shape = list(x.axes), list(x.shape)
    for axis in sorted(node.axis(axis, len(x.axes) + len(given)) for axis in given):
        lie.insert(axis, None)
        shape.insert(axis, 1)
    return x._replace(axes=tuple(lie), shape=tuple(shape))


# what can be done with features alone, whatever other axes there are
OF_FEATURES = {"Gemm", "LayerNormalization", "MatMul", "Reshape", "Softmax"}


def _parted(node: Node, x: Tensor, wanted: list[int]) -> Tensor:
    """With the axes again that had become one."""
    assert x.merged is not None
    before = (*x.merged[:-1], x.shape[-1])
    if len(wanted) != len(before) or any(
        a != b and OPEN not in (a, b) for a, b in zip(wanted, before, strict=True)
    ):
        raise node.refuse(f"it joins the batch with another axis: {x.merged} becomes {wanted}")
    return x._replace(axes=tuple(range(len(before))), shape=before, merged=None)


@reads("Reshape")
def reshape(node: Node, x: Tensor, shape: Any) -> Tensor:
    wanted = constant(node, shape, "shape").tolist()
    if not node.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    wanted = [OPEN if size < 0 else size for size in wanted]
    known = OPEN not in x.shape[1:]
    inner = math.prod(wanted[1:]) if OPEN not in wanted[1:] else None
    if known and inner is None and wanted[1:].count(OPEN) == 1:
        rest = math.prod(size for size in wanted[1:] if size != OPEN)
        wanted[1 + wanted[1:].index(OPEN)] = math.prod(x.shape[1:]) // rest
        inner = math.prod(x.shape[1:])
    if list(x.shape) == wanted:
        return x
    if x.merged is not None:
        return _parted(node, x, wanted)
    rank = len(x.axes)
    last = x.shape[-1]
    plain = x.axes == tuple(range(rank)) and math.prod(x.shape[1:-1]) != 1
    if rank > 2 and plain and wanted == [OPEN, last] and last != OPEN:
        return x._replace(axes=(0, rank - 1), shape=(OPEN, last), merged=x.shape)
    if DIRECTION in x.axes:  # [T, N, 2, H] becomes [T, N, 2H], which the value has already
        at = x.axes.index(DIRECTION)
        if at == len(x.axes) - 2 and len(wanted) == len(x.shape) - 1:
            kept = (*x.shape[:at], 2 * x.shape[-1])
            return x._replace(axes=(*x.axes[:at], x.axes[-1]), shape=kept)
        raise node.refuse("both directions' states must be joined as features")
    ones = [i for i, size in enumerate(x.shape) if size == 1 and x.axes[i] is None]
    bare = [size for i, size in enumerate(x.shape) if i not in ones]
    if len(bare) == len(wanted) and all(
        a == b or OPEN in (a, b) for a, b in zip(bare, wanted, strict=True)
    ):
        axes = tuple(axis for i, axis in enumerate(x.axes) if i not in ones)
        return x._replace(axes=axes, shape=tuple(bare))
    if known and inner is not None and inner != math.prod(x.shape[1:]):
        raise node.refuse(f"it joins the batch with another axis: {x.shape} becomes {wanted}")
    if x.axes[0] != 0:
        raise node.refuse("the batch is not the first axis")
    if x.shape[0] == OPEN != wanted[0]:
        raise node.refuse(f"it makes a batch of {wanted[0]} out of one of any size")
    if len(wanted) == 2:
        return x.flat(node)
    if wanted[1:].count(OPEN) > 1:
        raise node.refuse("several sizes are open")
    before, x = x, x.plain(node)
    layer = nn.Reshape(*wanted[1:])
    axes = tuple(range(len(wanted)))
    return x.then(layer, node, shape=(x.shape[0], *wanted[1:]), axes=axes, before=before)
