"""What one training step works on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Inputs, targets and (maybe) weights of some samples."""

    x: Any  # (N, …), `Padded`, or for a model with several inputs a tuple of them
    y: np.ndarray  # (N, …)
    weight: np.ndarray | None = None  # (N,) or (N, T)
