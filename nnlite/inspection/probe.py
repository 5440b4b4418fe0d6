"""A copy of a layer that can be run again and again and always does the same."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.layers.base import Layer
from nnlite.layers.embedding import Embedding
from nnlite.padded import Padded, masked


class Probe:
    """A copy of a layer in one precision, with generators and buffers put back before each run.

    Dropout then draws the same mask every time, while statistics over the batch are computed
    anew, as forward defines them; nothing is carried from run to run, and an embedding's padding
    vector stays where it is. The layer in hand is never
    touched. With `lengths` it is run on `Padded` sequences, but plain arrays go in and come out,
    zero in the padding, and no gradient comes from there. Of a layer that returns (y, state) it is
    y alone that comes out.
    """

    def __init__(
        self, layer: Layer, dtype: DTypeLike = np.float64, lengths: np.ndarray | None = None
    ) -> None:
        self.original = layer
        self.lengths = lengths
        self.mask: np.ndarray | None = None  # (N, T), 0 in the last output's padding
        self.with_state = False  # whether the last output had a state beside it
        self.layer = copy.deepcopy(layer).astype(dtype)
        self._layers = list(self.layer.named_layers().values())
        for part in self._layers:
            part.needs_input_grad = True
        self.parameters = self.layer.named_parameters()
        self._generators = [
            (g, g.bit_generator.state) for _, g in self.layer.named_parts(np.random.Generator)
        ]
        self._still = [  # rows that get no gradient on purpose
            (part.weight, part.padding_idx, part.weight.data[part.padding_idx].copy())
            for part in self.layer.named_layers().values()
            if isinstance(part, Embedding) and part.padding_idx is not None
        ]
        self._buffers = [(buffer, buffer.data.copy()) for buffer in self.layer.buffers()]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """y, from the state that the layer was in when it was copied."""
        for generator, state in self._generators:
            generator.bit_generator.state = copy.deepcopy(state)
        for buffer, data in self._buffers:
            buffer.data = data
        for weight, row, values in self._still:
            weight.data[row] = values
        for part in self._layers:
            if part.carried is not None:
                part.carried = None
        if self.lengths is None:
            y = self.layer.forward(x)
        else:
            lengths = np.minimum(self.lengths[: len(x)], x.shape[1])
            y = Padded(x, lengths).through(self.layer)
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
        return self.layer.backward((d_y, None) if self.with_state else d_y)  # type: ignore[arg-type]

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
