"""Convolution of images, channels last, and its two gradients; each is a convolution itself.

Several algorithms (`algorithm.Algorithm`) compute the same maps; `choose_algorithm` says which one
runs.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nnlite.ops.convolution import depthwise, direct, pointwise, winograd
from nnlite.ops.convolution.algorithm import Algorithm
from nnlite.ops.convolution.geometry import WORK, Geometry, Pair

AlgorithmName = Literal["auto", "direct", "pointwise", "depthwise", "winograd"]

ALGORITHMS: dict[str, Algorithm] = {
    "direct": direct,
    "pointwise": pointwise,
    "depthwise": depthwise,
    "winograd": winograd,
}


def choose_algorithm(
    w_shape: tuple[int, ...], out_size: Pair, geometry: Geometry, dtype: np.dtype[Any]
) -> str:
    """The fastest algorithm for a kernel (kH, kW, in/groups, out), outputs (H, W) and this dtype.

    Winograd's transforms cost the same for each channel, however many there are to share them, and
    tiles that reach beyond the edge are work for nothing. Measured: with 32 channels and more it
    pays up to 4 multiplications for each output (of 9), with 12 up to 3. A row of tiles, which is
    never cut, must fit into the work buffers.
    """
    if pointwise.applies(w_shape, geometry):
        return "pointwise"
    if depthwise.applies(w_shape, geometry):
        return "depthwise"
    if winograd.applies(w_shape, geometry) and dtype == np.float32:
        tiling = winograd.tiling(out_size)
        share, channels = tiling.multiplications / (out_size[0] * out_size[1]), min(w_shape[2:])
        pays = (channels >= 32 and share <= 4) or (channels >= 12 and share <= 3)
        if pays and tiling.values(max(w_shape[2:])) <= WORK:
            return "winograd"
    return "direct"


def check_algorithm(name: str, w_shape: tuple[int, ...], geometry: Geometry, owner: str) -> None:
    """Refuse an algorithm that cannot do this convolution.

    Raises:
        ValueError: saying what the algorithm is for.
    """
    if name != "auto" and not ALGORITHMS[name].applies(w_shape, geometry):
        raise ValueError(f"{owner}: algorithm={name!r} is for {ALGORITHMS[name].FOR}")
