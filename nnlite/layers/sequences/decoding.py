"""Token by token: for a while, each forward continues the sequence where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nnlite.core.arguments import checked
from nnlite.layers.base import Layer


class Past:
    """What a layer has seen of the sequences that it decodes.

    Attributes:
        length: how many time steps.
        batch: how many sequences; None before the first step.
    """

    def __init__(self) -> None:
        self.length = 0
        self.batch: int | None = None
        self._arrays: tuple[np.ndarray, ...] = ()

    def extend(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Append arrays (…, T, D) in time; returns each with all that came before it."""
        if self._arrays:
            pairs = zip(self._arrays, arrays, strict=True)
            arrays = tuple(np.concatenate(pair, axis=-2) for pair in pairs)
        self._arrays = arrays
        self.batch, self.length = len(arrays[0]), arrays[0].shape[-2]
        return arrays


class Continuing(Layer):
    """A layer whose output depends on where in the sequence it stands.

    Inside `decoding`, what it has seen so far is the `Past` that it carries; outside that is None.
    """


@checked
@contextmanager
def decoding(model: Layer) -> Iterator[None]:
    """A context in which each forward continues the sequences where the one before ended.

    Causal attention keeps the keys and values it has computed, and positions count on, so that
    the next token costs one time step and not the whole sequence again:

        with nn.decoding(model):
            scores = model(prompt)[:, -1]  # (N, T) → (N, classes)
            while ...:
                token = scores.argmax(axis=-1)
                scores = model(token[:, None])[:, -1]

    The model is in eval mode and keeps nothing for backward; afterwards the keys and values are
    gone. Recurrent layers go on too if they are stateful. Other layers that mix time steps do not
    know of the past. All this is seen by the thread that decodes, and by no other.

    Args:
        model: a layer, usually a whole model.
    """
    with model.evaluation():
        for layer in model.named_layers().values():
            if isinstance(layer, Continuing):
                layer.carried = Past()
        yield
