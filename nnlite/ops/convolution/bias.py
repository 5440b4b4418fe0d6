"""The bias of a convolution, the same for every place, and its gradient.

A whole row of places is one long vector, to which the bias is added as often as there are places.
"""

from __future__ import annotations

import numpy as np

from nnlite.ops.products import sum_rows
from nnlite.ops.threads import over_parts


def add_bias(y: np.ndarray, bias: np.ndarray | None) -> None:
    """y += b where there is one, in place, for y (N, H, W, O) made here, without gaps in memory."""
    if bias is None:
        return
    width, channels = y.shape[2:]
    rows, along = y.reshape(-1, width * channels), np.tile(bias, width)
    over_parts(lambda part: np.add(rows[part], along, out=rows[part]), len(rows), y.size)


def bias_gradient(g: np.ndarray) -> np.ndarray:
    """dL/db = Σ G over samples and places, for G (N, H, W, O)."""
    width, channels = g.shape[2:]
    rows = g.reshape(-1, width * channels)
    sums = over_parts(lambda part: sum_rows(rows[part]), len(rows), g.size, products=True)
    return sum_rows(np.concatenate(sums).reshape(-1, channels))
