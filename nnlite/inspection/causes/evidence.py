"""What the diagnosis of a wrong gradient looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

CLOSE = 1e-5


class Evidence(NamedTuple):
    """What is known about one gradient.

    Attributes:
        name: of the array a, "input" for the input.
        true: ∂y/∂a by differences, (y.size, a.size).
        ours: the same by backward, one upstream unit at a time.
        shape: of the array a.
        upstream: a random dL/dy (y.size,).
        slope: dL/da by differences, for this dL/dy.
        reply: what backward gives for it, which is `upstream @ ours` if it is linear in G.
        at_zero: what it gives where dL/dy is 0, which is 0 if it is linear in G.
        value: the array itself.
        y: the output.
        chosen: the places in a of the columns of a large Jacobian that were looked at, its rows
            being some outputs; None where they are all there.
        others: the evidence about the layer's other arrays, by name.
    """

    name: str
    true: np.ndarray
    ours: np.ndarray
    shape: tuple[int, ...]
    upstream: np.ndarray
    slope: np.ndarray
    reply: np.ndarray
    at_zero: np.ndarray
    value: np.ndarray
    y: np.ndarray
    chosen: np.ndarray | None = None
    others: Mapping[str, Any] = {}

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of the output."""
        return self.y.shape

    @property
    def x(self) -> np.ndarray | None:
        """The input, where the array is the input itself; else None."""
        return self.value if self.name == "input" else None

    @property
    def gradient(self) -> np.ndarray:
        """What backward gives, one unit of upstream gradient at a time."""
        if self.chosen is not None:
            return self.reply
        return (self.upstream @ self.ours).reshape(self.shape)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong here."""
        return close(self.ours, self.true) and close(self.reply, self.slope)

    @property
    def square(self) -> bool:
        """Whether there are as many outputs as inputs."""
        return (
            self.name == "input"
            and self.chosen is None
            and self.true.shape == (self.value.size,) * 2
        )

    @property
    def elementwise(self) -> bool:
        """Whether each output depends on its own input alone."""
        return self.square and close(self.true, np.diag(np.diag(self.true)))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the precision of differences."""
    scale = max(float(np.abs(b).max(initial=0)), 1e-4)
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= CLOSE * scale)
