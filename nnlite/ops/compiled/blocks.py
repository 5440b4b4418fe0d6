"""Many layers for a few samples at a time: what one leaves is in the cache when the next reads it.

Layer after layer, each for the whole batch, every array goes out to memory and comes back, biases
and sums wait for one thread, and for every layer the threads wake each other. Here a run of layers
is planned first: what each of them reads, writes and keeps. Then each thread takes a block of its
samples through all of them, and then the next block.

In the layers' slots is what they would have kept themselves, and each way looks for itself whether
it may. What is not known here (another class, a layer that is watched, an array of another kind) is
left to the layers' own passes. Dropout's bits are drawn before the work, in the layers' order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.ranks import drawn
from nnlite.ops.chain import NamedLayers, Runner
from nnlite.ops.compiled import blas
from nnlite.ops.compiled.activations import GELU_IN_PLACE, relu_backward, relu_in_place
from nnlite.ops.compiled.attention import (
    EVERYWHERE,
    NONE,
    are_thirds,
    attend_in_heads,
    attend_in_heads_backward,
)
from nnlite.ops.compiled.dense import NO_BIAS, NOTHING, affine, gradients
from nnlite.ops.compiled.dropout import write_mask
from nnlite.ops.compiled.features import normalize, normalize_backward
from nnlite.ops.compiled.kernel import FLOAT, Known, fits
from nnlite.ops.dropout import random_bits, scale, threshold
from nnlite.ops.products import sum_rows
from nnlite.ops.threads import evenly, over_parts

ROWS = 256  # of a block: the time steps of all its samples
SAMPLES = 8  # of a batch, below which threads would not get equal shares
LEAST = 1 << 16  # values of x; with fewer the layers run one by one


class Unknown(Exception):
    """Something that no kernel here is for."""


class Block(NamedTuple):
    """Some samples, the rows of their time steps, and the arrays of the thread that has them."""

    samples: slice
    rows: slice
    scratch: list[np.ndarray]
    sums: list[np.ndarray]


Step = Callable[[Block], Any]
Part = Callable[[Block], np.ndarray]  # a block's own rows of something, (rows, features)


class Plan:
    """What is done with every block, and what the layers' slots hold afterwards.

    Args:
        x: where the run begins, (N, T, features).
    """

    way: str  # the method of a layer that is planned

    def __init__(self, x: np.ndarray) -> None:
        self.samples, self.steps = x.shape[:2]
        self.at_once = max(1, ROWS // self.steps)
        self.draws: list[Callable[[], Any]] = []
        self.work: list[Step] = []
        self.slots: list[tuple[Any, Any]] = []
        self.widths: list[int] = []  # the features of every scratch
        self.totals: list[Any] = []  # the parameters whose gradients are summed
        self.needs: list[tuple[Any, bool]] = []  # layers, and whether dL/dx is needed

    def planner(self, layer: Any) -> Any:
        """The method here that plans such a layer."""
        known, name = LAYERS.get(type(layer), (None, ""))
        if known is None or not known.runs(layer):
            raise Unknown
        return getattr(self, name)

    def as_far_as_known(self, children: NamedLayers, plan: Callable[[int, Any], None]) -> int:
        """Plan one child after the other; how many there were before an unknown one."""
        lists: list[list[Any]] = [self.draws, self.work, self.slots, self.widths]
        lists += [self.totals, self.needs]
        for count, (_, child) in enumerate(children):
            before = [len(each) for each in lists]
            try:
                plan(count, child)
            except Unknown:
                for each, length in zip(lists, before, strict=True):
                    del each[length:]
                return count
        return len(children)

    def run(self) -> None:
        """All of it."""
        for draw in self.draws:
            draw()
        for layer, needed in self.needs:
            if layer.needs_input_grad != needed:
                layer.needs_input_grad = needed

        def through(part: slice) -> list[np.ndarray]:
            most = min(self.at_once, part.stop - part.start) * self.steps
            scratch = [np.empty((most, width), FLOAT) for width in self.widths]
            if part.start:  # not the first thread, which adds to the gradients themselves
                sums = [np.zeros(parameter.shape, FLOAT) for parameter in self.totals]
            else:
                sums = [parameter.grad for parameter in self.totals]
            for some in evenly(part, -(-(part.stop - part.start) // self.at_once)):
                rows = slice(some.start * self.steps, some.stop * self.steps)
                block = Block(some, rows, scratch, sums)
                for step in self.work:
                    step(block)
            return sums

        moved = self.samples * self.steps * len(self.work) * 16  # at least so many values
        _, *others = over_parts(through, self.samples, moved, products=True)
        for sums in others:
            for parameter, total in zip(self.totals, sums, strict=True):
                parameter.grad += total
        for layer, values in self.slots:
            vars(layer)["_slot"] = values  # as save_for_backward and saved() do


class Forward(Plan):
    """Its methods take a layer and x, and return y, arrays (N, T, features)."""

    way = "forward"
    loose: Any = None  # the last y, as long as no slot is to hold it: it may be written over

    def layer(self, layer: Any, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = self.planner(layer)(layer, x)
        return y

    def new(self, features: int) -> np.ndarray:
        self.loose = np.empty((self.samples, self.steps, features), FLOAT)
        return self.loose

    def linear(self, layer: Any, x: np.ndarray) -> np.ndarray:
        w = layer.weight.data
        if not fits(x, w) or w.shape[0] != x.shape[2]:
            raise Unknown
        b, y = _vector(layer.bias, w.shape[1]), self.new(w.shape[1])
        x_rows, y_rows = _rows(x), _rows(y)
        self.work.append(lambda block: affine(x_rows[block.rows], w, b, y_rows[block.rows], False))
        self.slots.append((layer, (x,)))
        return y

    def norm(self, layer: Any, x: np.ndarray) -> np.ndarray:
        features = x.shape[2]
        if layer._shape != (features,) or layer.weight is None:
            raise Unknown
        gamma, beta = _vector(layer.weight, features), _vector(layer.bias, features)
        eps = float(np.finfo(FLOAT).eps if layer.eps is None else layer.eps)
        y, x_rows = self.new(features), _rows(x)
        y_rows, x_hat, rstd = _rows(y), np.empty_like(x_rows), np.empty((len(x_rows), 1), FLOAT)

        def step(block: Block) -> None:
            r = block.rows
            normalize(x_rows[r], gamma, beta, eps, layer.centre, y_rows[r], x_hat[r], rstd[r])

        self.work.append(step)
        self.slots.append((layer, (x.shape, x_hat, rstd)))
        return y

    def gelu(self, layer: Any, x: np.ndarray) -> np.ndarray:
        if self.loose is not x:
            raise Unknown
        y, run = self.new(x.shape[2]), GELU_IN_PLACE[layer.approximate]
        x_rows, y_rows = _rows(x), _rows(y)  # the slope takes the place of x
        self.work.append(lambda block: run(_flat(x_rows, block), _flat(y_rows, block)))
        self.slots.append((layer, (x.shape, x)))
        return y

    def relu(self, layer: Any, x: np.ndarray) -> np.ndarray:
        if self.loose is not x:
            raise Unknown
        x_rows = _rows(x)  # y takes the place of x
        self.work.append(lambda block: relu_in_place(_flat(x_rows, block)))
        self.slots.append((layer, (x.shape, x)))
        self.loose = None
        return x

    def dropout(self, layer: Any, x: np.ndarray) -> np.ndarray:
        if not layer._drops():
            self.slots.append((layer, (x.shape, None)))
            return x
        mask, y = self.mask(x.shape, layer.p, layer.rng), self.new(x.shape[2])
        x_rows, mask_rows, y_rows = _rows(x), _rows(mask), _rows(y)

        def step(block: Block) -> None:
            r = block.rows
            np.multiply(x_rows[r], mask_rows[r], out=y_rows[r])

        self.work.append(step)
        self.slots.append((layer, (x.shape, mask)))
        return y

    def mask(self, shape: tuple[int, ...], p: float, rng: np.random.Generator) -> np.ndarray:
        """Where a mask of dropout will stand, (N, …)."""
        mask, bits = np.empty(shape, FLOAT), np.empty(shape, np.uint16)
        self.draws.append(lambda: np.copyto(bits, drawn(random_bits, shape, rng)))
        dropped = threshold(p)

        def step(block: Block) -> None:
            n = block.samples
            write_mask(bits[n].reshape(-1), dropped, scale(dropped), mask[n].reshape(-1))

        self.work.append(step)
        return mask

    def attention(self, layer: Any, x: np.ndarray) -> np.ndarray:
        features, heads = x.shape[2], layer.num_heads
        if layer.more_keys or layer.carried is not None or layer.d_model != features:
            raise Unknown
        if features % heads:  # they may have been replaced by any other number
            raise Unknown
        projected = self.layer(layer.qkv, x)
        if projected.shape[2] != 3 * features:
            raise Unknown
        q, k, v = np.split(projected, 3, axis=-1)
        p = np.empty((self.samples, heads, self.steps, self.steps), FLOAT)
        mask = None
        if layer.training and layer.dropout > 0:
            mask = self.mask(p.shape, layer.dropout, layer.rng)
        o, factor, causal = self.new(features), np.float32(layer._scale), layer.causal

        def step(block: Block) -> None:
            n = block.samples
            queries = q[n]
            queries *= factor
            m = NONE if mask is None else mask[n]
            count = len(queries) * heads
            attend_in_heads(
                0, count, queries, k[n], v[n], causal, EVERYWHERE, m, o[n], p[n]
            )  # fmt: skip

        self.work.append(step)
        y = self.layer(layer.out, o)
        self.slots.append((layer, (q, k, v, o, p, mask, None, 1)))
        return y

    def sequential(self, layer: Any, x: np.ndarray) -> np.ndarray:
        for _, child in layer._children:
            x = self.layer(child, x)
        self.slots.append((layer, ()))
        return x

    def residual(self, layer: Any, x: np.ndarray) -> np.ndarray:
        self.loose = None
        y = self.layer(layer.branch, x)
        if layer.shortcut is not None or self.loose is not y or y.shape != x.shape:
            raise Unknown
        self.layer(layer._identity, x)
        x_rows, y_rows = _rows(x), _rows(y)

        def step(block: Block) -> None:
            total = y_rows[block.rows]
            total += x_rows[block.rows]

        self.work.append(step)
        self.slots.append((layer, ()))
        return y

    def identity(self, layer: Any, x: np.ndarray) -> np.ndarray:
        self.slots.append((layer, ()))
        return x


class Backward(Plan):
    """Its methods take a layer, G and its features, and return dL/dx and its features."""

    way = "backward"

    def layer(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        plan = self.planner(layer)
        if layer._slot is None:
            raise Unknown
        d_x: tuple[Part, int] = plan(layer, g, width, needed)
        self.slots.append((layer, None))
        self.needs.append((layer, needed))
        return d_x

    def new(self, features: int, needed: bool = True) -> Part:
        if not needed:
            return lambda block: NOTHING
        place = len(self.widths)
        self.widths.append(features)
        return lambda block: block.scratch[place][: block.rows.stop - block.rows.start]

    def sum_of(self, parameter: Any) -> Part:
        """Where its gradient is summed."""
        if parameter is None:
            return lambda block: NO_BIAS
        place = len(self.totals)
        self.totals.append(parameter)
        return lambda block: block.sums[place]

    def check(self, shape: tuple[int, ...], width: int, *arrays: np.ndarray) -> None:
        """That what stands in a slot is of this batch, and of contiguous float32 as G is."""
        if shape != (self.samples, self.steps, width) or not fits(NO_BIAS, *arrays):
            raise Unknown

    def linear(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        (x,), w = layer._slot, layer.weight.data
        features = len(w)
        self.check(x.shape, features, x, w)
        _vector(layer.bias, width)
        if w.shape[1] != width:
            raise Unknown
        x_rows, d_x = _rows(x), self.new(features, needed)
        d_w, d_b = self.sum_of(layer.weight), self.sum_of(layer.bias)

        def step(block: Block) -> None:
            rows = x_rows[block.rows]
            gradients(
                rows, w, NOTHING, g(block), d_w(block), 1.0, d_b(block), 1.0, d_x(block), False
            )

        self.work.append(step)
        return d_x, features

    def norm(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        shape, x_hat, rstd = layer._slot
        self.check(shape, width, x_hat, rstd)
        if layer.weight is None:
            raise Unknown
        gamma, _ = _vector(layer.weight, width), _vector(layer.bias, width)
        d_x, d_gamma, d_beta = (
            self.new(width, needed),
            *map(self.sum_of, (layer.weight, layer.bias)),
        )

        def step(block: Block) -> None:
            r, d_y, total = block.rows, g(block), d_gamma(block)
            total += normalize_backward(
                d_y, x_hat[r], rstd[r], gamma, layer.centre, needed, d_x(block)
            )
            if layer.bias is not None:
                total = d_beta(block)
                total += sum_rows(d_y)

        self.work.append(step)
        return d_x, width

    def gelu(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        shape, slope = layer._slot
        self.check(shape, width, slope)
        slopes = _rows(slope)  # nobody will read them again: dL/dx takes their place

        def step(block: Block) -> None:
            d_x = slopes[block.rows]
            d_x *= g(block)

        self.work.append(step)
        return (lambda block: slopes[block.rows]), width

    def relu(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        shape, y = layer._slot
        self.check(shape, width, y)
        d_x, y_rows = self.new(width), _rows(y)
        self.work.append(
            lambda block: relu_backward(
                g(block).reshape(-1), d_x(block).reshape(-1), _flat(y_rows, block)
            )
        )
        return d_x, width

    def dropout(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        shape, mask = layer._slot
        self.check(shape, width, *([] if mask is None else [mask]))
        if mask is None:
            return g, width
        d_x, m = self.new(width), _rows(mask)
        self.work.append(lambda block: np.multiply(g(block), m[block.rows], out=d_x(block)))
        return d_x, width

    def attention(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        q, k, v, o, p, mask, padded, count = layer._slot
        self.check(o.shape, width, o, p, *([] if mask is None else [mask]))
        if padded is not None or count != 1 or layer.more_keys or not are_thirds(q, k, v):
            raise Unknown
        d_o, _ = self.layer(layer.out, g, width, True)
        d_qkv, heads, factor = self.new(3 * width), p.shape[1], layer._scale

        def step(block: Block) -> None:
            n = block.samples
            d_outputs, d_projected = (
                a(block).reshape(n.stop - n.start, self.steps, -1) for a in (d_o, d_qkv)
            )
            m = NONE if mask is None else mask[n]
            attend_in_heads_backward(
                0, len(d_outputs) * heads, d_outputs, q[n], k[n], v[n], o[n], p[n], m, factor,
                d_projected,
            )  # fmt: skip

        self.work.append(step)
        return self.layer(layer.qkv, d_qkv, 3 * width, needed)

    def sequential(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        lowest = 0 if needed else layer._lowest_with_parameters()
        for index in range(len(layer.layers) - 1, lowest - 1, -1):
            g, width = self.layer(layer.layers[index], g, width, needed or index > lowest)
        unused = (below.named_layers().values() for below in layer.layers[:lowest])
        self.slots += [(each, None) for layers in unused for each in layers]
        return g, width

    def residual(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        d_x, features = self.layer(layer.branch, g, width, needed)
        if layer.shortcut is not None or features != width or d_x is g:
            raise Unknown

        def step(block: Block) -> None:
            total = d_x(block)
            total += g(block)

        if needed:
            self.work.append(step)
        self.layer(layer._identity, g, width, needed)
        return d_x, width

    def identity(self, layer: Any, g: Part, width: int, needed: bool) -> tuple[Part, int]:
        return g, width


def _rows(x: np.ndarray) -> np.ndarray:
    """All time steps, (N·T, features)."""
    return x.reshape(-1, x.shape[-1])


def _flat(rows: np.ndarray, block: Block) -> np.ndarray:
    """The values of a block, (rows · features,)."""
    return rows[block.rows].reshape(-1)


def _vector(parameter: Any, size: int) -> np.ndarray:
    """A layer's vector, which may have been replaced by any other; empty for none."""
    if parameter is None:
        return NO_BIAS
    if parameter.shape != (size,) or not fits(parameter.data) or parameter.dtype != FLOAT:
        raise Unknown
    values: np.ndarray = parameter.data
    return values


def suit(x: Any) -> bool:
    """Whether it is a contiguous (N, T, features) of float32, long enough."""
    return (
        type(x) is np.ndarray and x.dtype == FLOAT and x.ndim == 3 and x.size >= LEAST
        and len(x) >= SAMPLES and x.flags.c_contiguous and blas.available
    )  # fmt: skip


def forward(container: Runner, children: NamedLayers, x: Any, keep: bool) -> Any:
    """The output of the last layer: runs of known layers in blocks, the others by themselves.

    Args:
        container: runs single layers.
        children: its children, or the last ones of them.
        x: the input of the first.
        keep: whether the slots are filled. Where not, one layer is run at a time, so that the
            arrays in between stay no longer than they have to.
    """
    place = 0
    while place < len(children):
        count = 0
        if suit(x):
            known = children[place:] if keep else children[place : place + 1]
            count, x = _forward_of_known(known, x, keep)
        if not count:
            x, count = container.forward_child(*children[place], x), 1
        place += count
    return x


def _forward_of_known(children: NamedLayers, x: np.ndarray, keep: bool) -> tuple[int, np.ndarray]:
    """Through how many of the children x went, the first ones, and what it is behind them."""
    plan, y = Forward(x), x

    def add(index: int, child: Any) -> None:
        nonlocal y
        y = plan.layer(child, y)

    count = plan.as_far_as_known(children, add)
    if len(plan.work) < 2:
        return 0, x
    if not keep:
        plan.slots = []
    plan.run()
    return count, y


def backward(container: Runner, children: NamedLayers, grad: Any, needed: bool, lowest: int) -> Any:
    """The gradient of the input of the layer number `lowest`.

    Args:
        container: runs single layers.
        children: its children, or the first ones of them.
        grad: the gradient of the last one's output.
        needed: whether that of the input is needed; where not it is None.
        lowest: the first layer that is run.
    """
    place = len(children)
    while place > lowest:
        count = 0
        if suit(grad):
            count, grad = _backward_of_known(children[lowest:place], grad, needed)
        if not count:
            inner, count = place - 1 > lowest, 1
            grad = container.backward_child(*children[place - 1], grad, needed or inner)
            if grad is None and inner:
                container.refuse_nothing(*children[place - 1])
        place -= count
    return grad


def _backward_of_known(children: NamedLayers, g: np.ndarray, needed: bool) -> tuple[int, Any]:
    """Through how many of the children G went, the last ones, and what it is before them."""
    plan, rows = Backward(g), _rows(g)
    part: Part = lambda block: rows[block.rows]  # noqa: E731
    width = g.shape[2]

    def add(index: int, child: Any) -> None:
        nonlocal part, width
        part, width = plan.layer(child, part, width, needed or index < len(children) - 1)

    count = plan.as_far_as_known(children[::-1], add)
    if len(plan.work) < 2:
        return 0, g
    d_x = None
    if needed or count < len(children):
        d_x = np.empty((*g.shape[:2], width), FLOAT)
        result = _rows(d_x)
        plan.work.append(lambda block: np.copyto(result[block.rows], part(block)))
    plan.run()
    return count, d_x


def _known(module: str, name: str, owner: str, **methods: str) -> Known:
    return Known(f"nnlite.layers.{module}", name, forward=owner, backward=owner, **methods)


def _elementwise(module: str, name: str) -> Known:
    return _known(module, name, "Elementwise", function=name, derivative=name)


FEATURES = "normalization.features"
LAYERS = {
    known.cls: (known, planner)
    for planner, known in [
        ("linear", _known("linear", "Linear", "Linear")),
        ("linear", _known("sequences.attention", "Projections", "Projections")),
        ("attention", _known("sequences.attention", "MultiHeadAttention", "MultiHeadAttention")),
        ("norm", _known(FEATURES, "LayerNorm", "FeatureNorm")),
        ("norm", _known(FEATURES, "RMSNorm", "FeatureNorm")),
        ("gelu", _elementwise("activations.smooth", "GELU")),
        ("relu", _elementwise("activations.rectifiers", "ReLU")),
        ("dropout", _known("dropout", "Dropout", "Dropout")),
        ("sequential", _known("containers.sequential", "Sequential", "Sequential")),
        ("sequential", _known("sequences.transformer", "TransformerLayer", "Sequential")),
        ("residual", _known("containers.branches", "Residual", "_Branches")),
        ("identity", _known("shape", "Identity", "Identity")),
    ]
}
