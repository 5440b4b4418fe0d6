"""What one training step works on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Inputs, targets and (maybe) weights of some samples."""

    x: Any  # (N, …), `Padded`, or for a model with several inputs a tuple of them
    y: Any  # (N, …), or for a loss of several outputs a tuple of them
    weight: np.ndarray | None = None  # (N,) or (N, T)

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return rows_in(self.y)


def rows_in(y: Any) -> int:
    """How many samples there are in targets."""
    return len(y[0] if isinstance(y, tuple) else y)
