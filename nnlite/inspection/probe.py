"""A replica of a layer for checks of its gradients, in one precision and from array to array."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.core.padded import Padded, masked
from nnlite.core.parameter import Parameter
from nnlite.core.terms import loss_terms
from nnlite.inspection.one_step import Replica, parts
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.structure import unwatch, watch

TERM = 0.7  # dL/dP of the terms that layers add to the loss: not 1, so that it has to be heeded
MOVED = 0.05  # by how much of their size parameters are moved from their first values


class Probe(Replica):
    """A replica in one precision, in which constant entries of parameters stay where they are.

    With `lengths` it is run on `Padded` sequences, but plain arrays go in and come out, zero in
    the padding, and no gradient comes from there. Of a layer that returns (y, state) it is y alone
    that comes out.
    """

    def __init__(
        self, layer: Layer, dtype: DTypeLike = np.float64, lengths: np.ndarray | None = None
    ) -> None:
        super().__init__(layer.astype(dtype))
        self.original = layer
        self.lengths = lengths
        self.mask: np.ndarray | None = None  # (N, T), 0 in the last output's padding
        self.with_state = False  # whether the last output had a state beside it
        named = self.layer.named_parameters()
        self.parameters = {name: p for name, p in named.items() if p.dtype.kind == "f"}
        self.inner = self._layers[1:]
        self._gives_state = any(hasattr(part, "return_state") for part in self._layers)
        self._constant = _constant(self.layer)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y, from the state that the layer was in when it was copied."""
        self.hold_constants()
        if self.lengths is None:
            y = super().forward(x)
        else:
            y = super().forward(Padded(x, np.minimum(self.lengths[: len(x)], x.shape[1])))
        self.mask, self.with_state = None, isinstance(y, tuple) and self._gives_state
        if self.with_state:
            y, _ = y
        if isinstance(y, Padded):
            y, self.mask = masked(y, None)
            y = self._within(y)
        return y

    def hold_constants(self) -> None:
        """Put the constant entries of parameters back to what they are."""
        for part, entries, values in self._constant:
            part.data[entries] = values

    def backward(self, grad_output: np.ndarray) -> Any:
        """What backward returns."""
        d_y = self._within(grad_output)
        return super().backward((d_y, None) if self.with_state else d_y)

    def _within(self, array: np.ndarray) -> np.ndarray:
        """The array with zeros in the padding."""
        if self.mask is None:
            return array
        return array * self.mask.reshape(*self.mask.shape, *[1] * (array.ndim - 2))

    def fresh(self, dtype: DTypeLike = np.float64) -> Probe:
        """Another copy of the same layer."""
        return Probe(self.original, dtype, self.lengths)

    def settled(self) -> Probe:
        """This probe, or one of the layer as its first forward has set it up, by its data."""
        before = self.original.named_parameters()
        names = self.layer.named_parameters().keys()
        if names == before.keys() and all(
            np.array_equal(before[name].data, p.data) for name, p in self.parameters.items()
        ):
            return self
        return Probe(self.layer, lengths=self.lengths)

    def elsewhere(self, x: np.ndarray, training: bool) -> Probe:
        """A copy in this mode, away from the values that parameters and statistics begin with.

        First values hide mistakes: a factor of γ = 1, a gate of α = 0, a running variance of 1.
        """
        layer = self.original.astype(np.float64)
        if not training:
            learner = Probe(layer.train(), lengths=self.lengths)
            learner.forward(x)
            layer = learner.layer
        if training != self.original.training or not training:
            layer.train(training)
        rng = np.random.default_rng(4)
        for p in layer.parameters():
            if p.dtype.kind == "f":
                size = np.where(p.data == 0, 1, p.data)
                p.data = p.data + MOVED * size * rng.uniform(-1, 1, p.shape)
        for (part, entries, _), (_, _, values) in zip(
            _constant(layer), self._constant, strict=True
        ):
            part.data[entries] = values
        return Probe(layer, lengths=self.lengths)

    def as_declared(
        self, x: np.ndarray, grad_output: np.ndarray
    ) -> tuple[Callable[[], np.ndarray], np.ndarray]:
        """(outputs, upstream): what ⟨upstream, outputs⟩ changes by is what backward should say.

        These are y and G, and what layers add to the loss with dL/dP = `TERM`. Where a layer
        inside declares its dL/dx a surrogate, that is taken as given: the layer sees the same x
        whatever comes before it does, and the x that it would see is an output besides, with the
        surrogate dL/dx as its upstream gradient.
        """
        parts = [part for part in self.inner if "input" in surrogates(part)]
        given: dict[int, Any] = {}
        upstream: dict[int, np.ndarray] = {}
        for k, part in enumerate(parts):
            watch(
                part,
                lambda x, y, k=k: given.update({k: copy.deepcopy(x)}),  # type: ignore[misc]
                lambda g, d_x, k=k: upstream.update({k: np.array(d_x)}),  # type: ignore[misc]
            )
        self.gradients_with_terms(x, grad_output)
        for part in parts:
            unwatch(part)

        def outputs() -> np.ndarray:
            seen: dict[int, np.ndarray] = {}
            for k, part in enumerate(parts):
                _with_input(part, given.get(k), lambda x, k=k: seen.update({k: x}))  # type: ignore[misc]
            try:
                with loss_terms() as terms:
                    y = self.forward(x)
            finally:
                for part in parts:
                    unwatch(part)
            return np.concatenate([y.ravel(), *(seen[k].ravel() for k in upstream), [terms.total]])

        weights: list[Any] = [grad_output.ravel(), *(u.ravel() for u in upstream.values()), [TERM]]
        return outputs, np.concatenate(weights)

    def gradients(
        self, x: np.ndarray, grad_output: np.ndarray
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """(what backward returns, each parameter's gradient by name) after a forward of x."""
        self.layer.zero_grad()
        self.forward(x)
        d_x = self.backward(grad_output)
        return d_x, {name: p.grad.copy() for name, p in self.parameters.items()}

    def gradients_with_terms(
        self, x: np.ndarray, grad_output: np.ndarray
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """The same, with the gradients of what layers add to the loss."""
        with loss_terms() as terms:
            terms.grad = TERM
            return self.gradients(x, grad_output)

    def generator_states(self) -> list[Any]:
        """Where the layer's generators stand, and NumPy's old global one."""
        own = [str(g.bit_generator.state) for g, _ in self._generators]
        old: Any = np.random.get_state(legacy=False)  # noqa: NPY002  # the old one, read
        return [*own, old["state"]["key"].tobytes(), old["state"]["pos"]]


def _constant(layer: Layer) -> list[tuple[Parameter, Any, np.ndarray]]:
    """The entries of parameters that stay what they are, and what they are."""
    kept = (
        (getattr(part, name), entries)
        for part in layer.named_layers().values()
        for name, entries in part.constant_entries.items()
    )
    return [(part, entries, part.data[entries].copy()) for part, entries in kept]


def _with_input(part: Layer, given: Any, see: Callable[[np.ndarray], None]) -> None:
    """Let this layer's forward tell what it is called with, and compute from what is given."""
    forward = part.forward

    def replaced(x: Any, *state: Any) -> Any:
        see(np.array(parts(part, x)[0]))
        return forward(given, *state)

    vars(part)["forward"] = replaced


def random_upstream(shape: tuple[int, ...]) -> np.ndarray:
    """A fixed random dL/dy, from a seed that nobody uses for data: equal to x it might hide a
    normalization's gradient, which is orthogonal to x.
    """
    return np.random.default_rng([0x6E6E, 0x6C69]).standard_normal(shape)


def floats(x: np.ndarray, dtype: DTypeLike = np.float64) -> np.ndarray:
    """A copy in this precision; integers stay."""
    return np.array(x, dtype=dtype if x.dtype.kind == "f" else x.dtype)


def beside(x: np.ndarray) -> np.ndarray:
    """x moved by a hundredth, away from kinks and ties, each entry keeping its sign."""
    if x.dtype.kind != "f":
        return x
    typical = float(np.sqrt(np.mean(x * x))) or 1.0
    size = np.where(x == 0, typical, x)
    return np.asarray(x + 0.01 * size * np.random.default_rng(6).random(x.shape))


def drawn_again(x: np.ndarray) -> np.ndarray:
    """Other values like those of x, in another number of rows."""
    rng = np.random.default_rng(10)
    rows = rng.integers(0, len(x), len(x) + 2)
    return (
        x[rows] * rng.uniform(0.8, 1, (len(rows), *x.shape[1:])) if x.dtype.kind == "f" else x[rows]
    )


def check_one_input(name: str, x: Any) -> None:
    """Refuse the inputs of a model that has several.

    Raises:
        TypeError: says what to look at instead.
    """
    several = (
        "in a model with several inputs look at the layers inside Parallel, and at what follows "
        "Join, one by one; a layer of your own that takes several may be wrapped in one that takes "
        "them joined along the last axis, and splits them"
    )
    if isinstance(x, tuple) and any(hasattr(values, "shape") for values in x):
        raise TypeError(f"{name}: expected x as one array, got a tuple of {len(x)}; {several}")
    if isinstance(x, Mapping):
        raise TypeError(f"{name}: x must be an array, got a dict; give the array itself; {several}")
