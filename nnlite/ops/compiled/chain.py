"""Two layers in one pass each way, where calls or memory take longer than the arithmetic.

A small layer's arithmetic is shorter than the calls around it. So a `Linear` and the `ReLU` behind
it are computed by one kernel, y = max(x W + b, 0), and so are their gradients. On images a `ReLU`
takes as long as memory does, and the `MaxPool2d` behind it reads the same values: one kernel takes
both steps. In the layers' slots is what they would have kept themselves, and each way looks for
itself whether it may. A layer that is watched, one of another class, and all that is no contiguous
array of float32 with two axes or four, is left to its own passes.

The questions whether a kernel may run are asked for each layer in each step, and would cost as much
as the kernels: they are written out where they are asked, the cheapest first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nnlite.core.slot import keeping
from nnlite.ops import chain as definitions
from nnlite.ops.chain import Children, NamedLayers, Runner
from nnlite.ops.compiled import blas, blocks, windows
from nnlite.ops.compiled.dense import NO_BIAS, NOTHING, affine, gradients
from nnlite.ops.compiled.kernel import FLOAT, Known, plain

LINEAR = Known("nnlite.layers.linear", "Linear", forward="Linear", backward="Linear")
RELU = Known(
    "nnlite.layers.activations.rectifiers", "ReLU",
    forward="Elementwise", backward="Elementwise", function="ReLU", derivative="ReLU",
)  # fmt: skip
POOL = Known("nnlite.layers.pooling.windows", "MaxPool2d", forward="MaxPool", backward="MaxPool")

ALONE, DENSE, POOLED = range(3)  # kinds of units


class Unit(NamedTuple):
    """What is run at once: any layer; a `Linear`, and the `ReLU` behind it; a `ReLU` and a pool.

    Attributes:
        kind: `ALONE`, `DENSE` or `POOLED`.
        start: the place of its first layer among the children.
        children: its layers, each with the words that name its place.
        first, second: its layers; the second one is None where there is none.
        own, behind: the attributes of both, in which a method that was put into the instance would
            stand; those of the first one twice where there is no second.
    """

    kind: int
    start: int
    children: NamedLayers
    first: Any
    second: Any
    own: dict[str, Any]
    behind: dict[str, Any]


def _units_of(children: Children) -> list[Unit]:
    """What a container's children are run as, found once: layers do not change their places."""
    if children.known is not None:
        known: list[Unit] = children.known
        return known
    units: list[Unit] = []
    for place, (words, layer) in enumerate(children):
        own = layer.__dict__
        kind = DENSE if type(layer) is LINEAR.cls else ALONE
        unit = Unit(kind, place, [(words, layer)], layer, None, own, own)
        if units and units[-1].second is None:
            before = units[-1]
            rectified = before.kind == DENSE and type(layer) is RELU.cls
            if rectified or (type(before.first) is RELU.cls and type(layer) is POOL.cls):
                kind, both = DENSE if rectified else POOLED, [*before.children, (words, layer)]
                unit = Unit(kind, before.start, both, before.first, layer, before.own, own)
                units.pop()
        units.append(unit)
    children.known = units
    return units


def _usable() -> bool:
    return blas.available and LINEAR.as_written() and RELU.as_written() and POOL.as_written()


def forward_chain(container: Runner, children: Children, x: Any) -> Any:
    if not _usable():
        return plain(definitions.forward_chain)(container, children, x)
    keep = keeping()
    ours = False  # whether x came out of a kernel, and needs no second look
    for kind, start, together, first, second, own, behind in _units_of(children):
        as_written = "forward" not in own and "forward" not in behind
        if kind and as_written and "function" not in own and "function" not in behind:
            if kind == POOLED:
                y = _pooled(first, second, x, keep)
                if y is not None:
                    x, ours = y, False
                    continue
            elif ours or _is_matrix(x):
                w, bias = first.weight.data, first.bias
                y = np.empty((len(x), first.out_features), FLOAT)
                b = NO_BIAS if bias is None else bias.data
                if w.dtype == FLOAT and affine(x, w, b, y, second is not None):
                    if keep:  # as save_for_backward does
                        own["_slot"] = (x,)
                        if second is not None:
                            behind["_slot"] = (y.shape, y)
                    x, ours = y, True
                    continue
        if blocks.suit(x):
            return blocks.forward(container, children[start:], x, keep)
        for place, layer in together:
            x = container.forward_child(place, layer, x)
        ours = False
    return x


def backward_chain(
    container: Runner, children: Children, grad: Any, needed: bool, lowest: int = 0
) -> Any:
    if not _usable():
        return plain(definitions.backward_chain)(container, children, grad, needed, lowest)
    ours = False
    for unit in reversed(_units_of(children)):
        kind, start, together, first, second, own, behind = unit
        if start < lowest:
            break
        wanted = needed or start > lowest
        as_written = "backward" not in own and "backward" not in behind
        if kind and as_written and "derivative" not in own and "derivative" not in behind:
            d_x = None
            if kind == POOLED:
                d_x = _unpooled(first, second, grad, wanted)
            elif ours or _is_matrix(grad):
                d_x = _gradients_of(first, second, grad, wanted)
            if d_x is not None:
                grad, ours = d_x if wanted else None, kind == DENSE
                continue
        if blocks.suit(grad):
            below = children[: start + len(together)]
            return blocks.backward(container, below, grad, needed, lowest)
        for place, layer in reversed(together):
            inner = start > lowest or layer is not first
            grad = container.backward_child(place, layer, grad, needed or inner)
            if grad is None and inner:
                container.refuse_nothing(place, layer)
        ours = False
    return grad


def _is_matrix(x: Any) -> bool:
    """Whether it is a contiguous (N, features) of float32."""
    return type(x) is np.ndarray and x.dtype == FLOAT and x.ndim == 2 and x.flags.c_contiguous


def _is_images(x: Any) -> bool:
    """Whether it is a contiguous (N, H, W, C) of float32."""
    return type(x) is np.ndarray and x.dtype == FLOAT and x.ndim == 4 and x.flags.c_contiguous


def _pooled(rectifier: Any, pool: Any, x: Any, keep: bool) -> Any:
    """The maxima of max(x, 0); None where something does not fit: the layers say what."""
    if not _is_images(x) or pool.return_indices:
        return None
    try:
        along = pool.windows(x)
    except ValueError:
        return None
    if not windows.suit(x, along):
        return None
    y, above = windows.maxima(x, along, rectified=True)
    if keep:
        vars(rectifier)["_slot"] = (x.shape, x)  # not max(x, 0), but > 0 at the same places
        vars(pool)["_slot"] = (above, along, y.shape, None)
    return y


def _unpooled(rectifier: Any, pool: Any, grad: Any, wanted: bool) -> Any:
    """dL/dx of both layers; None where something does not fit, or was not run."""
    if rectifier._slot is None or pool._slot is None or not _is_images(grad):
        return None
    (size, x), (above, along, shape, ends) = rectifier._slot, pool._slot
    seen = (len(grad), *(each.size for each in along), grad.shape[-1])
    if grad.shape != shape or ends is not None or size != seen or not _is_images(x):
        return None
    if not windows.suit(grad, along):
        return None
    d_x = windows.spread(grad, above, along, x)
    for layer, needed in ((pool, True), (rectifier, wanted)):
        vars(layer)["_slot"] = None  # as saved() does
        if layer.needs_input_grad != needed:
            layer.needs_input_grad = needed
    return d_x


def _gradients_of(layer: Any, rectifier: Any, grad: Any, wanted: bool) -> Any:
    """dL/dx of both layers (empty if not wanted), and the weights' gradients added to theirs.

    None where something does not fit, or was not run: the layers' own passes say what.
    """
    slot, weight, bias = layer._slot, layer.weight, layer.bias
    if slot is None or not _is_matrix(slot[0]) or weight.dtype != FLOAT:
        return None
    x, y = slot[0], NOTHING
    if rectifier is not None:
        if rectifier._slot is None or not _is_matrix(rectifier._slot[1]):
            return None
        y = rectifier._slot[1]
    d_x = np.empty(x.shape, FLOAT) if wanted else NOTHING
    d_w, keep = weight.memory_of_grad()
    d_b, keep_b = (NO_BIAS, 0.0) if bias is None else bias.memory_of_grad()
    if not gradients(x, weight.data, y, grad, d_w, keep, d_b, keep_b, d_x, rectifier is not None):
        for parameter, kept in ((weight, keep), (bias, keep_b)):
            if parameter is not None and not kept:
                parameter.zero_grad()
        return None
    vars(layer)["_slot"] = None  # as saved() does
    if rectifier is not None:
        vars(rectifier)["_slot"] = None
    if layer.needs_input_grad != wanted:
        layer.needs_input_grad = wanted
    return d_x
