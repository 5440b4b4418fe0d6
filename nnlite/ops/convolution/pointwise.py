"""Kernels of one value: the windows are the image's own rows, and nothing is copied.

    y[n, h, w] = x[n, s h, s w] W        dL/dW = xᵀ G        dL/dx = G Wᵀ

with the inputs that the stride skips left out, and zero in dL/dx.
"""

from __future__ import annotations

import numpy as np

from nnlite.ops.convolution.direct import grouped
from nnlite.ops.convolution.geometry import Geometry, Pair

FOR = "kernels of size 1 without padding"


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """Kernels of 1×1 without padding."""
    return geometry.kernel == (1, 1) and geometry.padding == ((0, 0), (0, 0))


def forward(x: np.ndarray, w: np.ndarray, geometry: Geometry) -> np.ndarray:
    """y (N, Ho, Wo, O) from x (N, H, W, C) and w (1, 1, C/groups, O)."""
    seen = _seen(x, geometry)
    y = np.empty((*seen.shape[:3], w.shape[-1]), np.result_type(x, w))
    groups = geometry.groups
    np.matmul(grouped(seen, groups), grouped(w, groups), out=grouped(y, groups))
    return y


def input_gradient(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C)."""
    groups = geometry.groups
    skips = geometry.stride != (1, 1)
    shape, dtype = (len(g), *size, groups * w.shape[2]), np.result_type(g, w)
    d_x = np.zeros(shape, dtype) if skips else np.empty(shape, dtype)
    d_seen = np.empty((*g.shape[:3], shape[-1]), dtype) if skips else d_x
    kernels = np.ascontiguousarray(grouped(w, groups).swapaxes(1, 2))
    np.matmul(grouped(g, groups), kernels, out=grouped(d_seen, groups))
    if skips:
        _seen(d_x, geometry)[...] = d_seen
    return d_x


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (1, 1, C/groups, O)."""
    rows = grouped(_seen(x, geometry), geometry.groups)
    d_w = rows.swapaxes(1, 2) @ grouped(g, geometry.groups)  # (groups, C/groups, O/groups)
    return d_w.swapaxes(0, 1).reshape(1, 1, rows.shape[-1], g.shape[-1])


def _seen(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The inputs that the stride does not skip."""
    s, t = geometry.stride
    return x[:, ::s, ::t]
