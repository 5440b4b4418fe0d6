"""Dense layers in one pass each way: y = max(x W + b, 0), and the gradients of all of it.

A small layer's arithmetic is shorter than the calls around it. So a `Linear` and the `ReLU` behind
it are computed by one kernel, and so are their gradients. In the layers' slots is what they would
have kept themselves, and each way looks for itself whether it may. A layer that is watched, one of
another class, and all that is no contiguous matrix of float32, is left to its own passes.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np

from nnlite.ops import chain as definitions
from nnlite.ops.chain import Children, Runner
from nnlite.ops.compiled import blas
from nnlite.ops.compiled.kernel import helper, kernel, plain

NO_BIAS = np.empty(0, np.float32)
RUN = 64  # rows that are summed at a time: the rounding error of one long sum grows


class Known:
    """Tells the layers of one class of nnlite whose passes are those of the class.

    Args:
        module, name: of the class, which is not imported here.
        methods: what the kernels compute.
    """

    def __init__(self, module: str, name: str, *methods: str) -> None:
        self.module = module
        self.name = name
        self._methods = attrgetter(*methods)
        self._known: dict[type, Any] = {}

    def __contains__(self, layer: Any) -> bool:
        cls, own = type(layer), vars(layer)
        if "forward" in own or "backward" in own:  # somebody watches
            return False
        if cls not in self._known:
            ours = cls.__module__ == self.module and cls.__qualname__ == self.name
            self._known[cls] = self._methods(cls) if ours else None
        methods = self._known[cls]
        return methods is not None and methods == self._methods(cls)


LINEAR = Known("nnlite.layers.linear", "Linear", "forward", "backward")
RELU = Known(
    "nnlite.layers.activations.rectifiers", "ReLU", "forward", "backward", "function", "derivative"
)


def forward_chain(container: Runner, children: Children, x: Any) -> Any:
    if not blas.available:
        return plain(definitions.forward_chain)(container, children, x)
    index, count = 0, len(children)
    while index < count:
        place, layer = children[index]
        index += 1
        if layer not in LINEAR or not _fits(x, layer.in_features, layer):
            x = container.forward_child(place, layer, x)
            continue
        bias = NO_BIAS if layer.bias is None else layer.bias.data
        rectified = index < count and children[index][1] in RELU
        layer.save_for_backward(x)
        x = _affine(x, layer.weight.data, bias, rectified)
        if rectified:
            children[index][1].save_for_backward(x.shape, x)
            index += 1
    return x


def backward_chain(container: Runner, children: Children, grad: Any, needed: bool) -> Any:
    if not blas.available:
        return plain(definitions.backward_chain)(container, children, grad, needed)
    index = len(children) - 1
    while index >= 0:
        place, layer = children[index]
        rectifier = None
        if index and layer in RELU:
            rectifier, (place, layer) = layer, children[index - 1]
        if layer in LINEAR and _fits(grad, layer.out_features, layer) and _kept(layer, rectifier):
            index -= 1 if rectifier is None else 2
            grad = _gradients_of(layer, rectifier, grad, needed or index >= 0)
            continue
        place, layer = children[index]
        grad = container.backward_child(place, layer, grad, needed or index > 0)
        if grad is None and index:
            container.refuse_nothing(place, layer)
        index -= 1
    return grad


def _fits(x: Any, features: int, layer: Any) -> bool:
    """Whether it is a contiguous (N, features) of float32, and so are the weights."""
    return (
        type(x) is np.ndarray
        and x.dtype.char == "f"
        and x.ndim == 2
        and x.shape[1] == features
        and x.flags.c_contiguous
        and layer.weight.dtype.char == "f"
    )


def _kept(layer: Any, rectifier: Any) -> bool:
    """Whether both have run forward: otherwise their own passes say what is wrong."""
    slot = layer._slot
    if slot is None or not _fits(slot[0], layer.in_features, layer):
        return False
    return rectifier is None or (rectifier._slot is not None and rectifier._slot[1].ndim == 2)


def _gradients_of(layer: Any, rectifier: Any, grad: Any, needed: bool) -> Any:
    """dL/dx of both layers; the gradients of the weights are added to theirs."""
    y = grad if rectifier is None else rectifier.saved()[1]
    (x,) = layer.saved()
    layer.needs_input_grad = needed
    d_weight, keep = layer.weight.memory_of_grad()
    d_bias, keep_bias = NO_BIAS, 0.0
    if layer.bias is not None:
        d_bias, keep_bias = layer.bias.memory_of_grad()
    d_x = _gradients(
        x, layer.weight.data, y, grad, rectifier is not None,
        d_weight, keep, d_bias, keep_bias, needed,
    )  # fmt: skip
    return d_x if needed else None


@kernel
def _affine(x, w, b, rectified):
    """The product x W + b, and where it is negative 0."""
    rows, features = x.shape[0], w.shape[1]
    y = np.empty((rows, features), x.dtype)
    blas.product(x, w, y, 0.0)
    zero = np.float32(0)
    for n in range(rows):
        if b.size:
            for j in range(features):
                y[n, j] += b[j]
        if rectified:
            for j in range(features):
                y[n, j] = max(y[n, j], zero)
    return y


@kernel
def _gradients(x, w, y, g, rectified, d_w, keep_w, d_b, keep_b, needed):
    """dL/dx; d_w and d_b become dL/dW and dL/db, added to `keep` times what they were."""
    if rectified:
        zero, slope = np.float32(0), g
        g = np.empty_like(slope)
        for n in range(len(g)):
            for j in range(g.shape[1]):
                g[n, j] = slope[n, j] if y[n, j] > zero else slope[n, j] * zero
    blas.transposed_product(x, g, d_w, keep_w)
    if d_b.size:
        _sum_rows(g, d_b, keep_b)
    d_x = np.empty((len(x) if needed else 0, x.shape[1]), x.dtype)
    if needed:
        blas.product_with_transposed(g, w, d_x, 0.0)
    return d_x


@helper
def _sum_rows(g, total, keep):
    for j in range(total.size):
        total[j] = total[j] * np.float32(keep) if keep else np.float32(0)
    part = np.empty_like(total)
    for start in range(0, len(g), RUN):
        part[:] = 0
        for n in range(start, min(start + RUN, len(g))):
            for j in range(total.size):
                part[j] += g[n, j]
        for j in range(total.size):
            total[j] += part[j]
