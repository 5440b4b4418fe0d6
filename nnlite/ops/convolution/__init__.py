"""Convolution of images, channels last, and its two gradients; each is a convolution itself.

Several algorithms compute the same three maps; `choose_algorithm` says which one runs.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nnlite.ops.convolution import depthwise, direct, pointwise
from nnlite.ops.convolution.geometry import Geometry

Algorithm = Literal["auto", "direct", "pointwise", "depthwise"]

ALGORITHMS: dict[str, Any] = {"direct": direct, "pointwise": pointwise, "depthwise": depthwise}


def choose_algorithm(w_shape: tuple[int, ...], geometry: Geometry, dtype: np.dtype[Any]) -> str:
    """The fastest algorithm for a kernel (kH, kW, in/groups, out) and this dtype."""
    if pointwise.applies(w_shape, geometry):
        return "pointwise"
    if depthwise.applies(w_shape, geometry):
        return "depthwise"
    return "direct"


def algorithm_of(name: str, w: np.ndarray, geometry: Geometry) -> Any:
    """The module that computes it; "auto" asks `choose_algorithm`."""
    return ALGORITHMS[choose_algorithm(w.shape, geometry, w.dtype) if name == "auto" else name]


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
