"""One kernel per channel: no sum over channels, so no matrix product either.

    y[n, h, w, c] = Σ_kl x[n, s h + k, t w + l, c] W[k, l, c]

A whole row of outputs is one long vector, (width·C), in which neighbours meet kernel value (k, l)
through a vector of the same length that starts l·C values later: with the kernel repeated along
the row, each (k, l) is a multiplication and an addition of contiguous memory, which `einsum` runs
in one pass without temporaries. A horizontal stride breaks the rows; they are copied apart first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.ops.convolution import direct
from nnlite.ops.convolution.algorithm import Gradients, separate_gradients
from nnlite.ops.convolution.bias import add_bias
from nnlite.ops.convolution.geometry import (
    Geometry,
    Pair,
    Rooms,
    at_once,
    blocks,
    count,
    turned_round,
)
from nnlite.ops.engine import twin
from nnlite.ops.threads import evenly, over_parts

FOR = "as many groups as channels, in and out"


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """As many groups as channels in, and as channels out."""
    return w_shape[2] == 1 and w_shape[3] == geometry.groups


def copied(channels: int, geometry: Geometry) -> int:
    """How many values are copied for an output: one, or one for each column of the kernel."""
    return channels if geometry.stride[1] == 1 else geometry.kernel[1] * channels


def stretches(columns: int, channels: int, geometry: Geometry) -> Iterator[slice]:
    """Parts of a row of so many columns, as slices of its values: as long as a repeated kernel."""
    whole = slice(0, columns)
    for part in evenly(whole, count(whole, math.prod(geometry.kernel) * channels)):
        yield slice(part.start * channels, part.stop * channels)


def longest(columns: int, channels: int, geometry: Geometry) -> int:
    """The columns of the longest of these stretches, at most."""
    return min(columns, at_once(math.prod(geometry.kernel) * channels))


def shifted_rows(room: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """What each output row meets, (n, H, kH, kW, W·C), a view where the stride allows it."""
    if not room.flags.c_contiguous:
        room = room.copy()
    n, height, across, channels = room.shape
    (rows, width), (kh, kw) = size, geometry.kernel
    (s, t), (d, e) = geometry.stride, geometry.dilation
    # not room.strides, in which an axis of length 1, such as that of x[..., None], may have any
    sc = room.itemsize
    sw = channels * sc
    sh = across * sw
    sn = height * sh
    shifted = as_strided(  # (n, height, kW, width, C): the row as each kernel column sees it
        room, (n, height, kw, width, channels), (sn, sh, e * sw, t * sw, sc), writeable=False
    )
    if t > 1:
        shifted = shifted.copy()
    sn, sh, sk, _, sc = shifted.strides
    return as_strided(
        shifted,
        (n, rows, kh, kw, width * channels),
        (sn, s * sh, d * sh, sk, sc),
        writeable=False,
    )


@twin
def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    """y (N, Ho, Wo, C) from x (N, H, W, C) and w (kH, kW, 1, C)."""
    height, width = geometry.out_size(x.shape[1:3])
    channels = x.shape[-1]
    y = np.empty((len(x), height, width, channels), np.result_type(x, w))
    values = copied(channels, geometry)
    repeated = np.tile(w[:, :, 0], longest(width, channels, geometry))  # (kH, kW, stretch)

    def sums(images: slice) -> None:
        rooms = Rooms(geometry)
        for part in blocks(images, (height, width), values):
            n, rows, columns = part.shape
            shifted = shifted_rows(rooms(x, part), (rows, columns), geometry)
            place = y[part].reshape(n, rows, columns * channels)
            for along in stretches(columns, channels, geometry):
                kernels, out = repeated[..., : along.stop - along.start], place[..., along]
                np.einsum("nhklw,klw->nhw", shifted[..., along], kernels, out=out)

    over_parts(sums, len(x), y.size)
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
    """dL/dx (N, *size, C): the transposed convolution over G, spread out by the stride.

    With a stride (s, t) that takes memory for s·t times G.
    """
    n, height, width, channels = g.shape
    back = geometry.transposed((height, width), size)
    if back is None:
        return direct.scattered(g, w, size, geometry)
    s, t = geometry.stride
    if (s, t) != (1, 1):
        spread = np.zeros((n, s * (height - 1) + 1, t * (width - 1) + 1, channels), g.dtype)
        spread[:, ::s, ::t] = g
        g = spread
    return forward(g, turned_round(w, geometry.groups), None, back)


@twin
def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (kH, kW, 1, C)."""
    n, height, width, channels = g.shape
    (kh, kw), values = geometry.kernel, copied(channels, geometry)
    length = longest(width, channels, geometry) * channels

    def sums(images: slice) -> np.ndarray:
        d_rows = np.zeros((kh, kw, length), np.result_type(x, g))
        rooms = Rooms(geometry)
        for part in blocks(images, (height, width), values):
            shifted = shifted_rows(rooms(x, part), part.shape[1:], geometry)
            n, rows, columns = part.shape
            d_y = g[part].reshape(n, rows, columns * channels)
            for along in stretches(columns, channels, geometry):
                seen, d_part = shifted[..., along], d_y[..., along]
                for k, m in itertools.product(range(kh), range(kw)):  # twice as fast as at once
                    d_row = d_rows[k, m, : d_part.shape[2]]
                    d_row += np.einsum("nhw,nhw->w", seen[:, :, k, m], d_part)
        return d_rows

    d_rows = reduce(np.add, over_parts(sums, n, g.size))
    return d_rows.reshape(kh, kw, 1, -1, channels).sum(axis=3)
