"""A replica of a layer for checks of its gradients, in one precision and from array to array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.core.padded import Padded, masked
from nnlite.inspection.one_step import Replica
from nnlite.layers.base import Layer


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
        self.parameters = self.layer.named_parameters()
        parts = (
            (getattr(layer, name), entries)
            for layer in self._layers
            for name, entries in layer.constant_entries.items()
        )
        self._constant = [(part, entries, part.data[entries].copy()) for part, entries in parts]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y, from the state that the layer was in when it was copied."""
        for part, entries, values in self._constant:
            part.data[entries] = values
        if self.lengths is None:
            y = super().forward(x)
        else:
            y = super().forward(Padded(x, np.minimum(self.lengths[: len(x)], x.shape[1])))
        self.mask, self.with_state = None, isinstance(y, tuple)
        if self.with_state:
            y, _ = y
        if isinstance(y, Padded):
            y, self.mask = masked(y, None)
            y = self._within(y)
        return y

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

    def gradients(
        self, x: np.ndarray, grad_output: np.ndarray
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """(what backward returns, each parameter's gradient by name) after a forward of x."""
        self.layer.zero_grad()
        self.forward(x)
        d_x = self.backward(grad_output)
        return d_x, {name: p.grad.copy() for name, p in self.parameters.items()}

    def generator_states(self) -> list[str]:
        """Where the layer's generators stand, and NumPy's old global one."""
        own = [str(g.bit_generator.state) for g, _ in self._generators]
        return [*own, str(np.random.get_state(legacy=False))]  # noqa: NPY002  # the old one, read


def random_upstream(shape: tuple[int, ...]) -> np.ndarray:
    """A fixed random dL/dy, from a seed that nobody uses for data: equal to x it might hide a
    normalization's gradient, which is orthogonal to x.
    """
    return np.random.default_rng([0x6E6E, 0x6C69]).standard_normal(shape)


def floats(x: np.ndarray, dtype: DTypeLike = np.float64) -> np.ndarray:
    """A copy in this precision; integers stay."""
    return np.array(x, dtype=dtype if x.dtype.kind == "f" else x.dtype)


def check_one_input(name: str, x: Any) -> None:
    """Refuse the inputs of a model that has several.

    Raises:
        TypeError: says what to look at instead.
    """
    if isinstance(x, tuple) and any(hasattr(values, "shape") for values in x):
        raise TypeError(
            f"{name}: expected x as one array, got a tuple of {len(x)}; in a model with several "
            "inputs look at the layers inside Parallel, and at what follows Join, one by one"
        )
