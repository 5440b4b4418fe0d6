"""Convolution of images, channels last, and its two gradients; each is a convolution itself.

Several algorithms compute the same three maps; `choose_algorithm` says which one runs.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nnlite.ops.convolution import depthwise, direct, pointwise, winograd
from nnlite.ops.convolution.bias import add_bias, bias_gradient
from nnlite.ops.convolution.geometry import WORK, Geometry, Pair

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
    """Refuse an unknown algorithm, and one that cannot do this convolution.

    Raises:
        ValueError: saying what the algorithm is for.
    """
    if name == "auto":
        return
    if not isinstance(name, str) or name not in ALGORITHMS:
        known = ", ".join(map(repr, ["auto", *ALGORITHMS]))
        raise ValueError(f"{owner}: algorithm must be one of {known}, got {name!r}")
    if not ALGORITHMS[name].applies(w_shape, geometry):
        raise ValueError(f"{owner}: algorithm={name!r} is for {ALGORITHMS[name].FOR}")


def forward(
    algorithm: Any, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    """y = x ⋆ W + b (N, Ho, Wo, O); with few channels, b is one more input of the products."""
    if algorithm is direct and direct.few(w.shape):
        return direct.forward(x, w, geometry, bias)
    y = algorithm.forward(x, w, geometry)
    if bias is not None:
        add_bias(y, bias)
    return y


def gradients(
    algorithm: Any,
    x: np.ndarray,
    g: np.ndarray,
    w: np.ndarray,
    geometry: Geometry,
    needs_bias_grad: bool,
    needs_input_grad: bool,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """dL/dw and, where they are needed, dL/db and dL/dx, by the steps that they share."""
    d_b = d_x = None
    short = direct.few(w.shape) and direct.short(w.shape, g.shape[1:3])
    if algorithm is direct and needs_bias_grad and short:
        d_w, d_b = direct.weight_and_bias_gradients(x, g, geometry)
    elif algorithm is winograd and needs_input_grad:
        d_w, d_x = winograd.gradients(x, g, w, geometry)
    else:
        d_w = algorithm.weight_gradient(x, g, geometry)
    if needs_bias_grad and d_b is None:
        d_b = bias_gradient(g)
    if needs_input_grad and d_x is None:
        d_x = algorithm.input_gradient(g, w, x.shape[1:3], geometry)
    return d_w, d_b, d_x
