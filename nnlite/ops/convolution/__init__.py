"""Convolution of images, channels last, and its two gradients; each is a convolution itself.

Several algorithms compute the same three maps; `choose_algorithm` says which one runs.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nnlite.ops.convolution import depthwise, direct, pointwise, winograd
from nnlite.ops.convolution.geometry import Geometry, Pair

Algorithm = Literal["auto", "direct", "pointwise", "depthwise", "winograd"]

ALGORITHMS: dict[str, Any] = {
    "direct": direct,
    "pointwise": pointwise,
    "depthwise": depthwise,
    "winograd": winograd,
}


def choose_algorithm(
    w_shape: tuple[int, ...], out_size: Pair, geometry: Geometry, dtype: np.dtype[Any]
) -> str:
    """The fastest algorithm for a kernel (kH, kW, in/groups, out), outputs (H, W) and this dtype.

    Winograd's transforms cost as much for each channel, however many there are; they pay from 32
    on, while no more than a third of the tiles lies beyond the outputs' edge.
    """
    if pointwise.applies(w_shape, geometry):
        return "pointwise"
    if depthwise.applies(w_shape, geometry):
        return "depthwise"
    if winograd.applies(w_shape, geometry) and dtype == np.float32:
        (height, width), tile = out_size, winograd.OUT
        covered = tile**2 * -(-height // tile) * -(-width // tile)
        if min(w_shape[2:]) >= 32 and 2 * covered <= 3 * height * width:
            return "winograd"
    return "direct"


def check_algorithm(name: str, w_shape: tuple[int, ...], geometry: Geometry, owner: str) -> None:
    """Refuse an unknown algorithm, and one that cannot do this convolution.

    Raises:
        ValueError: saying what the algorithm is for.
    """
    if name == "auto":
        return
    if name not in ALGORITHMS:
        known = ", ".join(map(repr, ["auto", *ALGORITHMS]))
        raise ValueError(f"{owner}: algorithm must be one of {known}, got {name!r}")
    if not ALGORITHMS[name].applies(w_shape, geometry):
        raise ValueError(f"{owner}: algorithm={name!r} is for {ALGORITHMS[name].FOR}")
