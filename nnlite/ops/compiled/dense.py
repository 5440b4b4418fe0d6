"""A dense layer and the rectifier behind it, y = max(x W + b, 0), and all their gradients."""

from __future__ import annotations

import numpy as np

from nnlite.ops.compiled import blas
from nnlite.ops.compiled.kernel import helper, kernel
from nnlite.ops.products import SMALL

NO_BIAS, NOTHING = np.empty(0, np.float32), np.empty((0, 0), np.float32)
RUN = 64  # rows that are summed at a time: the rounding error of one long sum grows


@kernel
def affine(x, w, b, y, rectified):
    """In y the product x W + b, and 0 where that is negative; False where they do not fit."""
    rows, features = y.shape
    if x.shape[1] != w.shape[0] or w.shape[1] != features or b.size not in (0, features):
        return False
    blas.product(x, w, y, 0.0)
    zero = np.float32(0)
    for n in range(rows):
        if b.size:
            for j in range(features):
                y[n, j] += b[j]
        if rectified:
            for j in range(features):
                y[n, j] = max(y[n, j], zero)
    return True


@kernel
def gradients(x, w, y, g, d_w, keep_w, d_b, keep_b, d_x, rectified):
    """In d_x dL/dx, in d_w and d_b dL/dW and dL/db, added to `keep` times what they were.

    False where they do not fit. An empty d_x or d_b is not wanted; y is a rectifier's output.
    """
    if g.shape != (len(x), w.shape[1]) or x.shape[1] != w.shape[0]:
        return False
    if (rectified and y.shape != g.shape) or d_b.size not in (0, w.shape[1]):
        return False
    if rectified:
        zero, slope = np.float32(0), g
        g = np.empty_like(slope)
        for n in range(len(g)):
            for j in range(g.shape[1]):
                g[n, j] = slope[n, j] if y[n, j] > zero else slope[n, j] * zero
    blas.transposed_product(x, g, d_w, keep_w)
    if d_b.size:
        _sum_rows(g, d_b, keep_b)
    if d_x.size:
        _times_transposed(g, w, d_x)
    return True


@helper
def _times_transposed(g, w, d_x):
    """The product G Wᵀ, by Wᵀ written out where that pays: see `products.times_transposed`."""
    if len(g) < 32 or g.size * len(w) > SMALL:
        blas.product_with_transposed(g, w, d_x, 0.0)
        return
    features, outputs = w.shape
    transposed = np.empty((outputs, features), w.dtype)
    for j in range(outputs):
        for i in range(features):
            transposed[j, i] = w[i, j]
    blas.product(g, transposed, d_x, 0.0)


@helper
def _sum_rows(g, total, keep):
    for j in range(total.size):
        total[j] = total[j] * np.float32(keep) if keep else np.float32(0)
    if len(g) <= RUN:
        _add_rows(g, total)
        return
    part = np.empty_like(total)
    for start in range(0, len(g), RUN):
        part[:] = 0
        _add_rows(g[start : start + RUN], part)
        for j in range(total.size):
            total[j] += part[j]


@helper
def _add_rows(g, total):
    for n in range(len(g)):
        for j in range(total.size):
            total[j] += g[n, j]
