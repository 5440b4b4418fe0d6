"""The direct algorithm, right for every configuration: windows copied into rows, and one product.

With X the matrix whose row (n, h, w) holds the kH·kW·C values under that window ("im2col") and W
the kernel as a matrix (kH·kW·C, O), convolution and its two gradients are those of a linear map:

    y = X W        dL/dW = Xᵀ G        dL/dX = G Wᵀ

and dL/dx adds each value of dL/dX at the place that it was copied from. Channels last makes the
copies long: the kW·C values of one row under a window lie side by side in memory. With groups
there is one such product for each.
Source: Chellapilla, Puri & Simard 2006, "High Performance Convolutional Neural Networks".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.ops.convolution.algorithm import Gradients
from nnlite.ops.convolution.bias import add_bias, bias_gradient
from nnlite.ops.convolution.geometry import (
    Geometry,
    Pair,
    Part,
    Rooms,
    band,
    blocks,
    position,
    turned_round,
)
from nnlite.ops.engine import twin
from nnlite.ops.products import SMALL
from nnlite.ops.threads import over_parts

FOR = "every convolution"
FEW = 3  # channels; so short are the runs under a window that one copy for each kernel value,
# of whole rows of the image, is faster
SHORT = 1024  # places; rounding errors of one sum over so many are still those of its terms


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """Always."""
    return True


def few(w_shape: tuple[int, ...]) -> bool:
    """Whether the channels are so few that windows are copied value by value."""
    return w_shape[2] <= FEW


def short(w_shape: tuple[int, ...], out_size: Pair) -> bool:
    """Whether a weight gradient is a sum over single images, none of them long.

    Only then is the bias's as exact by a product with ones as by a sum of its own.
    """
    places = out_size[0] * out_size[1]
    inputs = math.prod(w_shape[:3]) + 1
    return places <= SHORT and places * inputs * w_shape[3] <= SMALL


def im2col(room: np.ndarray, size: Pair, geometry: Geometry, ones: bool = False) -> np.ndarray:
    """The windows on a padded image as matrix rows, (groups, n·H·W, kH·kW·C/groups).

    Those of few channels may get a last column of ones.
    """
    n, _, _, channels = room.shape
    groups, (sn, sh, sw, sc) = geometry.groups, room.strides
    (kh, kw), (s, t), (d, e) = geometry.kernel, geometry.stride, geometry.dilation
    per_group = channels // groups
    windows = as_strided(
        room,
        (groups, n, *size, kh, kw, per_group),
        (per_group * sc, sn, s * sh, t * sw, d * sh, e * sw, sc),
        writeable=False,
    )
    if per_group > FEW:
        return windows.reshape(groups, -1, kh * kw * per_group)
    by_value = windows.transpose(0, 4, 5, 6, 1, 2, 3)  # as they lie in memory, row after row
    values = kh * kw * per_group
    columns = np.empty((groups, values + ones, n * size[0] * size[1]), room.dtype)
    columns[:, :values].reshape(by_value.shape)[...] = by_value
    columns[:, values:] = 1
    return columns.swapaxes(1, 2)


def grouped(rows: np.ndarray, groups: int) -> np.ndarray:
    """A view of (…, C) as (groups, all other axes, C/groups)."""
    return rows.reshape(-1, groups, rows.shape[-1] // groups).swapaxes(0, 1)


def stacked(part: Part, kernels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """How to split (groups, places, …) for products with kernels (groups, K, O).

    One product for each image where that is small enough for OpenBLAS's fast path, which is twice
    as fast for few channels; otherwise one for all of them.
    """
    count, height, width = part.shape
    if height * width * kernels[0].size > SMALL:
        count = 1
    return lambda a: a.reshape(len(a), count, -1, a.shape[-1])


@twin
def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    """y (N, Ho, Wo, O) from x (N, H, W, C) and w (kH, kW, C/groups, O).

    Where windows have few channels, the bias is the weight of one more input, which is 1.
    """
    height, width = geometry.out_size(x.shape[1:3])
    kernels = grouped(w, geometry.groups)  # (groups, kH·kW·C/groups, O/groups)
    ones = bias is not None and few(w.shape)
    if bias is not None and ones:
        kernels = np.concatenate([kernels, grouped(bias, geometry.groups)], axis=1)
    y = np.empty((len(x), height, width, w.shape[-1]), np.result_type(x, w))
    values = math.prod(geometry.kernel) * x.shape[-1]  # under one window

    def products(images: slice) -> None:
        rooms = Rooms(geometry)
        for part in blocks(images, (height, width), values):
            columns = im2col(rooms(x, part), part.shape[1:], geometry, ones)
            stack = stacked(part, kernels)
            np.matmul(
                stack(columns), kernels[:, None], out=stack(grouped(y[part], geometry.groups))
            )

    over_parts(products, len(x), len(x) * height * width * values, products=True)
    if not ones:
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
    """dL/dw, dL/db and dL/dx; where it is as exact, dL/db by one more input, which is 1."""
    ones = needs_bias_grad and few(w.shape) and short(w.shape, g.shape[1:3])
    d_w, d_b = weight_gradients(x, g, geometry, ones)
    d_x = input_gradient(g, w, x.shape[1:3], geometry) if needs_input_grad else None
    if needs_bias_grad and not ones:
        d_b = bias_gradient(g)
    return d_w, d_b if needs_bias_grad else None, d_x


def input_gradient(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C), gathered by the transposed convolution where the stride is 1."""
    back = geometry.transposed(g.shape[1:3], size)
    if back is None or geometry.stride != (1, 1):
        return scattered(g, w, size, geometry)
    return forward(g, turned_round(w, geometry.groups), None, back)


def scattered(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C): one product for each kernel position, added where its inputs lie."""
    (n, height, width, _), (kh, kw), groups = g.shape, geometry.kernel, geometry.groups
    channels = groups * w.shape[2]
    d_x = np.zeros((n, *size, channels), np.result_type(g, w))
    kernels = w.reshape(*w.shape[:3], groups, -1).transpose(0, 1, 3, 4, 2)  # (…, groups, O, C)

    def products(images: slice) -> None:
        for part in blocks(images, (height, width), channels):
            d_y = grouped(np.ascontiguousarray(g[part]), groups)
            rows = band(part.rows, size[0], 0, geometry)
            columns = band(part.columns, size[1], 1, geometry)
            count = part.shape
            room = np.zeros((count[0], rows.length, columns.length, channels), d_x.dtype)
            for at in itertools.product(range(kh), range(kw)):
                seen = position(at, count[1:], geometry)
                parts = np.matmul(d_y, kernels[at]).swapaxes(0, 1)  # (places, groups, C/groups)
                room[:, *seen] += parts.reshape(*count, channels)
            place = d_x[part.images, rows.inside, columns.inside]
            place += room[:, rows.place, columns.place]

    over_parts(products, n, n * height * width * channels * kh * kw, products=True)
    return d_x


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (kH, kW, C/groups, O) from x (N, H, W, C) and dL/dy (N, Ho, Wo, O)."""
    return weight_gradients(x, g, geometry, ones=False)[0]


@twin
def weight_gradients(
    x: np.ndarray, g: np.ndarray, geometry: Geometry, ones: bool
) -> tuple[np.ndarray, np.ndarray]:
    """dL/dw and, with `ones`, for few channels, dL/db (O,)."""
    groups, (_, height, width, out) = geometry.groups, g.shape
    shape = (*geometry.kernel, x.shape[-1] // groups, out)
    values = math.prod(geometry.kernel) * x.shape[-1]  # under one window
    inputs = math.prod(shape[:3])  # of one sum, but the 1 of the bias

    def products(images: slice) -> np.ndarray:
        d_w = np.zeros((groups, inputs + ones, out // groups), np.result_type(x, g))
        rooms = Rooms(geometry)
        for part in blocks(images, (height, width), values):
            columns = im2col(rooms(x, part), part.shape[1:], geometry, ones)
            d_y = grouped(np.ascontiguousarray(g[part]), groups)
            stack = stacked(part, d_w)
            d_w += (stack(columns).swapaxes(2, 3) @ stack(d_y)).sum(axis=1)
        return d_w

    parts = over_parts(products, len(x), len(x) * height * width * values, products=True)
    d_w = reduce(np.add, parts)
    return d_w[:, :inputs].swapaxes(0, 1).reshape(shape), d_w[:, inputs:].reshape(-1)
