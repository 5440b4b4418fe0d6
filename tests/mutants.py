"""Built-in layers whose backward is broken in one known way."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from cases import LAYERS, layer_input, layer_of

import nnlite as nn


class Mutant(nn.Layer):
    """A layer that is right until its backward is.

    A way is called with this layer, x, G and the right results, d_x and the parameters' gradients;
    it returns what backward shall return, and adds to the gradients itself.
    """

    def __init__(self, inner, way):
        self.inner = inner
        self.way = way
        self.min_batch = inner.min_batch
        self._earlier = None
        self._generators = [g for _, g in inner.named_parts(np.random.Generator)]
        self._buffers = inner.buffers()

    def forward(self, x):
        self._start = (  # of the random numbers and statistics
            [g.bit_generator.state for g in self._generators],
            [buffer.data.copy() for buffer in self._buffers],
        )
        self._before, self._earlier = self._earlier, x.copy()
        y = self.inner.forward(x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        start = [p.grad.copy() for p in self.inner.parameters()]
        self.inner.zero_grad()
        d_x = self.inner.backward(grad_output)
        right = [p.grad.copy() for p in self.inner.parameters()]
        for p, grad in zip(self.inner.parameters(), start, strict=True):
            p.grad = grad
        return self.way(self, x, grad_output, d_x, right)

    def add(self, gradients):
        """What a right backward does with its parameters' gradients."""
        for p, gradient in zip(self.inner.parameters(), gradients, strict=True):
            p.grad += gradient

    def again(self, x, grad_output):
        """(d_x, gradients) of another upstream gradient or input, with the same random numbers."""
        twin = copy.deepcopy(self.inner)
        states, values = self._start
        for (_, g), state in zip(twin.named_parts(np.random.Generator), states, strict=True):
            g.bit_generator.state = state
        for buffer, value in zip(twin.buffers(), values, strict=True):
            buffer.data = value
        twin.zero_grad()
        twin.forward(x)
        return twin.backward(grad_output), [p.grad for p in twin.parameters()]


class Way(NamedTuple):
    name: str
    kind: str  # the diagnosis that it should get
    apply: Callable
    fits: Callable = lambda layer, case: True


def for_input(change):
    def way(mutant, x, g, d_x, right):
        mutant.add(right)
        return change(x, g, d_x)

    return way


def for_parameters(change):
    def way(mutant, x, g, d_x, right):
        mutant.add([change(gradient, len(x)) for gradient in right])
        return d_x

    return way


def only_place(axis):
    def way(mutant, x, g, d_x, right):
        kept = np.zeros_like(g)
        at = (slice(None),) * axis + (0,)
        if axis == g.ndim - 1:  # the features, not another axis to sum over
            at = ()
        kept[at] = g[at]
        mutant.add(mutant.again(x, kept)[1])
        return d_x

    return way


def transposed(gradient, n):
    square = gradient.ndim > 1 and gradient.shape[-1] == gradient.shape[-2]
    return gradient.swapaxes(-1, -2) if square else gradient


def spread_sum(gradient, n):
    return np.full_like(gradient, gradient.sum())


def overwritten(mutant, x, g, d_x, right):
    for p, gradient in zip(mutant.inner.parameters(), right, strict=True):
        p.grad = gradient
    return d_x


def modifies_input(mutant, x, g, d_x, right):
    mutant.add(right)
    x *= 0.5
    return d_x


def modifies_upstream(mutant, x, g, d_x, right):
    mutant.add(right)
    g *= 0.5
    return d_x


def new_mask(mutant, x, g, d_x, right):
    for _, generator in mutant.inner.named_parts(np.random.Generator):
        generator.random()
    twin = copy.deepcopy(mutant.inner)
    twin.zero_grad()
    twin.forward(x)
    d_x = twin.backward(g)
    mutant.add([p.grad for p in twin.parameters()])
    return d_x


def earlier_state(mutant, x, g, d_x, right):
    if mutant._before is not None and mutant._before.shape == x.shape:
        d_x, right = mutant.again(mutant._before, g)
    mutant.add(right)
    return d_x


def softmax_diagonal(mutant, x, g, d_x, right):
    axis = mutant.inner.axis
    p = np.exp(x - x.max(axis=axis, keepdims=True))
    p /= p.sum(axis=axis, keepdims=True)
    return g * (p if isinstance(mutant.inner, nn.Softmax) else 1) * (1 - p)


def has_parameters(layer, case):
    return bool(layer.parameters())


def has_square_parameter(layer, case):
    return any(p.grad.ndim > 1 and p.shape[-1] == p.shape[-2] > 1 for p in layer.parameters())


def has_batch(layer, case):
    return case.shape[0] > 1


def draws(layer, case):
    return case.training and next(layer.named_parts(np.random.Generator), None) is not None


WAYS = [
    Way("input twice", "factor", for_input(lambda x, g, d_x: 2 * d_x)),
    Way("input averaged", "factor", for_input(lambda x, g, d_x: d_x / len(x)), has_batch),
    Way("input summed", "factor", for_input(lambda x, g, d_x: d_x * len(x)), has_batch),
    Way("input sign", "sign", for_input(lambda x, g, d_x: -d_x)),
    Way("input zero", "zero", for_input(lambda x, g, d_x: np.zeros_like(d_x))),
    Way("input None", "none", for_input(lambda x, g, d_x: None)),
    Way("input a list", "type", for_input(lambda x, g, d_x: d_x.tolist())),
    Way(
        "input broadcast", "broadcast",
        for_input(lambda x, g, d_x: d_x.mean(axis=0, keepdims=True)), has_batch,
    ),
    Way("input float64", "dtype", for_input(lambda x, g, d_x: d_x.astype(np.float64))),
    Way(
        "no derivative", "derivative", for_input(lambda x, g, d_x: g),
        lambda layer, case: isinstance(layer, nn.Elementwise),
    ),
    Way(
        "elementwise softmax", "elementwise", softmax_diagonal,
        lambda layer, case: isinstance(layer, nn.Softmax | nn.LogSoftmax),
    ),
    Way("input modified", "in place", modifies_input),
    Way("upstream modified", "in place", modifies_upstream),
    Way("mask anew", "mask", new_mask, draws),
    Way("earlier state", "step", earlier_state),
    Way("parameters twice", "factor", for_parameters(lambda p, n: 2 * p), has_parameters),
    Way("parameters averaged", "factor", for_parameters(lambda p, n: p / n), has_parameters),
    Way("parameters sign", "sign", for_parameters(lambda p, n: -p), has_parameters),
    Way("parameters zero", "zero", for_parameters(lambda p, n: 0 * p), has_parameters),
    Way("parameters transposed", "transposed", for_parameters(transposed), has_square_parameter),
    Way("parameters broadcast", "broadcast", for_parameters(spread_sum), has_parameters),
    Way("parameters overwritten", "overwritten", overwritten, has_parameters),
    Way("first sample only", "sum", only_place(0), has_parameters),
    Way(
        "first step only", "sum", only_place(1),
        lambda layer, case: has_parameters(layer, case) and len(case.shape) == 3,
    ),
]  # fmt: skip
ALWAYS = {"input None", "input a list", "input float64", "input modified", "upstream modified",
          "mask anew", "parameters overwritten"}  # fmt: skip

LARGE = 150  # parameters


def results(layer, x):
    """Everything that backward gives, for the same draws, after a forward of something else."""
    layer = copy.deepcopy(layer)
    rng = np.random.default_rng(3)
    states = [(g, g.bit_generator.state) for _, g in layer.named_parts(np.random.Generator)]
    layer.forward(np.ascontiguousarray(0.5 * x[::-1]))
    for generator, state in states:
        generator.bit_generator.state = state
    y = layer.forward(x)
    layer.zero_grad()
    d_x = layer.backward(rng.standard_normal(y.shape))
    return [d_x, *(p.grad for p in layer.parameters())]


def mutants() -> Iterator[tuple[str, Way, Mutant, np.ndarray]]:
    """Each layer's first row broken in every way that applies and changes anything.

    Of its other rows, and of those that take long, a fifth: the next row's are others.
    """
    seen = set()
    for number, (name, case) in enumerate(LAYERS.items()):
        if not case.by_difference:
            continue
        x = layer_input(case)
        large = sum(p.size for p in case.make().parameters()) > LARGE
        whole = not large and name.split()[0] not in seen
        seen.add(name.split()[0])
        for way in WAYS if whole else WAYS[number % 5 :: 5]:
            layer = layer_of(case)
            if not way.fits(layer, case):
                continue
            mutant = Mutant(layer, way.apply).train(case.training)
            if way.name not in ALWAYS:
                pairs = zip(results(layer, x), results(mutant, x), strict=True)
                if all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs):
                    continue
            yield name, way, mutant, x
