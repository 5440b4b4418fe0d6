"""Dense layers in one pass each way: y = max(x W + b, 0), and the gradients of all of it.

A small layer's arithmetic is shorter than the calls around it. So a `Linear` and the `ReLU` behind
it are computed by one kernel, and so are their gradients. In the layers' slots is what they would
have kept themselves, and each way looks for itself whether it may. A layer that is watched, one of
another class, and all that is no contiguous matrix of float32, is left to its own passes.

The questions whether a kernel may run are asked for each layer in each step, and would cost as much
as the kernels: they are written out where they are asked, the cheapest first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.slot import keeping
from nnlite.ops import chain as definitions
from nnlite.ops.chain import Children, Runner
from nnlite.ops.compiled import blas, blocks
from nnlite.ops.compiled.dense import NO_BIAS, NOTHING, affine, gradients
from nnlite.ops.compiled.kernel import FLOAT, Known, plain

LINEAR = Known("nnlite.layers.linear", "Linear", forward="Linear", backward="Linear")
RELU = Known(
    "nnlite.layers.activations.rectifiers", "ReLU",
    forward="Elementwise", backward="Elementwise", function="ReLU", derivative="ReLU",
)  # fmt: skip


def forward_chain(container: Runner, children: Children, x: Any) -> Any:
    if not blas.available:
        return plain(definitions.forward_chain)(container, children, x)
    linear, relu, keep = LINEAR.now(), RELU.now(), keeping()
    ours = False  # whether x came out of a kernel, and needs no second look
    index, count = 0, len(children)
    while index < count:
        if blocks.suit(x):
            done, x = blocks.forward(children[index:], x, keep)
            if done:
                index += done
                continue
        place, layer = children[index]
        own = layer.__dict__
        if type(layer) is linear and "forward" not in own and (ours or _is_matrix(x)):
            rectifier: Any = None
            if index + 1 < count:
                behind = children[index + 1][1]
                if type(behind) is relu and "forward" not in vars(behind):
                    rectifier = behind
            y = np.empty((len(x), layer.out_features), FLOAT)
            w, bias = layer.weight.data, NO_BIAS if layer.bias is None else layer.bias.data
            if w.dtype == FLOAT and affine(x, w, bias, y, rectifier is not None):
                if keep:  # as save_for_backward does
                    own["_slot"] = (x,)
                    if rectifier is not None:
                        rectifier.__dict__["_slot"] = (y.shape, y)
                x, ours = y, True
                index += 1 if rectifier is None else 2
                continue
        x, ours = container.forward_child(place, layer, x), False
        index += 1
    return x


def backward_chain(container: Runner, children: Children, grad: Any, needed: bool) -> Any:
    if not blas.available:
        return plain(definitions.backward_chain)(container, children, grad, needed)
    linear, relu = LINEAR.now(), RELU.now()
    ours = False
    index = len(children) - 1
    while index >= 0:
        if blocks.suit(grad):
            done, grad = blocks.backward(children[: index + 1], grad, needed)
            if done:
                index -= done
                continue
        last = children[index]
        layer = last[1]
        rectifier: Any = None
        if index and type(layer) is relu and "backward" not in vars(layer):
            rectifier, layer = layer, children[index - 1][1]
        known = type(layer) is linear and "backward" not in vars(layer)
        if known and (ours or _is_matrix(grad)):
            before = index - (1 if rectifier is None else 2)
            wanted = needed or before >= 0
            d_x = _gradients_of(layer, rectifier, grad, wanted)
            if d_x is not None:
                grad, ours = d_x if wanted else None, True
                index = before
                continue
        grad, ours = container.backward_child(*last, grad, needed or index > 0), False
        if grad is None and index:
            container.refuse_nothing(*last)
        index -= 1
    return grad


def _is_matrix(x: Any) -> bool:
    """Whether it is a contiguous (N, features) of float32."""
    return type(x) is np.ndarray and x.dtype == FLOAT and x.ndim == 2 and x.flags.c_contiguous


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
