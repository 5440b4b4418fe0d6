"""What the diagnosis of a wrong gradient looks at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLOSE = 1e-5


class Evidence(NamedTuple):
    """What is known about one wrong gradient.

    Attributes:
        true: ∂y/∂a by differences, (y.size, a.size).
        ours: the same by backward, one upstream unit at a time.
        y_shape, shape: of the output and of the array a.
        upstream: a random dL/dy (y.size,); `true` and `ours` times it are the two gradients.
        x: the input, where the array is the input itself; else None.
        reply: what backward gives for `upstream`, which is `gradient` again if it is linear in G.
    """

    true: np.ndarray
    ours: np.ndarray
    y_shape: tuple[int, ...]
    shape: tuple[int, ...]
    upstream: np.ndarray
    x: np.ndarray | None
    reply: np.ndarray | None = None

    @property
    def slope(self) -> np.ndarray:
        """What the gradient should be."""
        return (self.upstream @ self.true).reshape(self.shape)

    @property
    def gradient(self) -> np.ndarray:
        """What backward gives."""
        return (self.upstream @ self.ours).reshape(self.shape)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the precision of differences."""
    scale = max(float(np.abs(b).max(initial=0)), 1e-4)
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= CLOSE * scale)
