"""Kernels of one value: the windows are the image's own rows, and nothing is copied.

    y[n, h, w] = x[n, s h, s w] W        dL/dW = xᵀ G        dL/dx = G Wᵀ

with the inputs that the stride skips left out, and zero in dL/dx.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from nnlite.ops.convolution.algorithm import Gradients, separate_gradients
from nnlite.ops.convolution.bias import add_bias
from nnlite.ops.convolution.direct import grouped
from nnlite.ops.convolution.geometry import Geometry, Pair, count
from nnlite.ops.products import SMALL
from nnlite.ops.threads import evenly, over_parts

FOR = "kernels of size 1 without padding"


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """Kernels of 1×1 without padding."""
    return geometry.kernel == (1, 1) and geometry.padding == ((0, 0), (0, 0))


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    """y (N, Ho, Wo, O) from x (N, H, W, C) and w (1, 1, C/groups, O)."""
    seen, groups = _seen(x, geometry, geometry.out_size(x.shape[1:3])), geometry.groups
    y = np.empty((*seen.shape[:3], w.shape[-1]), np.result_type(x, w))
    _products(seen, grouped(w, groups), y)
    add_bias(y, bias)
    return y


def gradients(
    x: np.ndarray,
    g: np.ndarray,
    w: np.ndarray,
    geometry: Geometry,
    needs_bias_grad: bool,
    needs_input_grad: bool,
) -> Gradients:
    """dL/dw, dL/db and dL/dx, which share no steps."""
    needs = needs_bias_grad, needs_input_grad
    return separate_gradients(weight_gradient, input_gradient, x, g, w, geometry, *needs)


def input_gradient(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C)."""
    kernels = grouped(w, geometry.groups).swapaxes(1, 2).copy()  # (groups, O/groups, C/groups)
    shape, dtype = (len(g), *size, geometry.groups * w.shape[2]), np.result_type(g, w)
    if geometry.stride == (1, 1) and size == g.shape[1:3]:
        d_x = np.empty(shape, dtype)
        _products(g, kernels, d_x)
        return d_x
    d_x, d_seen = np.zeros(shape, dtype), np.empty((*g.shape[:3], shape[-1]), dtype)
    _products(g, kernels, d_seen)
    _seen(d_x, geometry, g.shape[1:3])[...] = d_seen
    return d_x


def _products(x: np.ndarray, kernels: np.ndarray, y: np.ndarray) -> None:
    """Each place of x (N, H, W, C) times the kernels (groups, C/groups, O/groups), into y."""
    groups = len(kernels)

    def products(part: slice) -> None:
        a, out = grouped(x[part], groups), grouped(y[part], groups)
        rows = _rows(a.shape[1], kernels[0].size)
        if rows:
            np.matmul(_runs(a, rows), kernels[:, None], out=_runs(out, rows))
        else:
            np.matmul(a, kernels, out=out)

    over_parts(products, len(x), x.size + y.size, products=True)


def _rows(places: int, size: int) -> int:
    """How many rows a product with kernels of this size takes at once; 0 for all of them.

    Products so small that OpenBLAS has a fast path for them are up to three times as fast as one
    for all places; with fewer than 64 rows that is lost again.
    """
    for rows in (128, 64):
        if places > rows and places % rows == 0 and rows * size <= SMALL < places * size:
            return rows
    return 0


def _runs(a: np.ndarray, rows: int) -> np.ndarray:
    """(groups, places, C) as (groups, places/rows, rows, C)."""
    return a.reshape(len(a), -1, rows, a.shape[-1])


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (1, 1, C/groups, O)."""
    seen, groups = _seen(x, geometry, g.shape[1:3]), geometry.groups

    def products(part: slice) -> np.ndarray:
        a, d_y = grouped(seen[part], groups), grouped(g[part], groups)
        size = a.shape[2] * d_y.shape[2]
        rows = _rows(a.shape[1], size)
        if rows < 128:  # the sums of fewer would be written too often
            return a.swapaxes(1, 2) @ d_y
        d_w = np.zeros((groups, a.shape[2], d_y.shape[2]), np.result_type(x, g))
        a, d_y = _runs(a, rows), _runs(d_y, rows)
        runs = slice(0, a.shape[1])
        for some in evenly(runs, count(runs, d_w.size)):
            d_w += (a[:, some].swapaxes(2, 3) @ d_y[:, some]).sum(axis=1)
        return d_w

    d_w = reduce(np.add, over_parts(products, len(x), seen.size + g.size, products=True))
    return d_w.swapaxes(0, 1).reshape(1, 1, -1, g.shape[-1])


def _seen(x: np.ndarray, geometry: Geometry, out_size: Pair) -> np.ndarray:
    """The inputs that the stride does not skip, one for each output."""
    s, t = geometry.stride
    return x[:, ::s, ::t][:, : out_size[0], : out_size[1]]
