"""One kernel per channel: no sum over channels, so no matrix product either.

    y[n, h, w, c] = Σ_kl x[n, s h + k, t w + l, c] W[k, l, c]

A whole row of outputs is one long vector, (width·C), in which neighbours meet kernel value (k, l)
through a vector of the same length that starts l·C values later: with the kernel repeated along
the row, each (k, l) is a multiplication and an addition of contiguous memory, which `einsum` runs
in one pass without temporaries. A horizontal stride breaks the rows; they are copied apart first.
"""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.ops.convolution import direct
from nnlite.ops.convolution.geometry import Geometry, Pair, Rooms, blocks, turned_round
from nnlite.ops.threads import over_parts

FOR = "as many groups as channels, in and out"


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """As many groups as channels in, and as channels out."""
    return w_shape[2] == 1 and w_shape[3] == geometry.groups


def copied(values: int, geometry: Geometry) -> int:
    """How many values are copied for a row of so many outputs: the row, or one for each column."""
    return values if geometry.stride[1] == 1 else geometry.kernel[1] * values


def shifted_rows(room: np.ndarray, rows: int, width: int, geometry: Geometry) -> np.ndarray:
    """What each output row meets, (n, rows, kH, kW, width·C), a view where the stride allows it."""
    if not room.flags.c_contiguous:
        room = room.copy()
    n, height, across, channels = room.shape
    (kh, kw), (s, t), (d, e) = geometry.kernel, geometry.stride, geometry.dilation
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


def forward(x: np.ndarray, w: np.ndarray, geometry: Geometry) -> np.ndarray:
    """y (N, Ho, Wo, C) from x (N, H, W, C) and w (kH, kW, 1, C)."""
    height, width = geometry.out_size(x.shape[1:3])
    channels = x.shape[-1]
    y = np.empty((len(x), height, width * channels), np.result_type(x, w))
    repeated = np.tile(w[:, :, 0], width)  # (kH, kW, width·C)

    def sums(part: slice) -> None:
        rooms = Rooms(geometry)
        for images, rows in blocks(part, height, copied(width * channels, geometry)):
            room = rooms(x[images], rows)
            shifted = shifted_rows(room, rows.stop - rows.start, width, geometry)
            np.einsum("nhklw,klw->nhw", shifted, repeated, out=y[images, rows])

    over_parts(sums, len(x), y.size)
    return y.reshape(len(x), height, width, channels)


def input_gradient(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C): the transposed convolution over G, spread out by the stride."""
    n, height, width, channels = g.shape
    back = geometry.transposed((height, width), size)
    if back is None:
        return direct.scattered(g, w, size, geometry)
    s, t = geometry.stride
    if (s, t) != (1, 1):
        spread = np.zeros((n, s * (height - 1) + 1, t * (width - 1) + 1, channels), g.dtype)
        spread[:, ::s, ::t] = g
        g = spread
    return forward(g, turned_round(w, geometry.groups), back)


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (kH, kW, 1, C)."""
    n, height, width, channels = g.shape
    (kh, kw), rows_of_g = geometry.kernel, g.reshape(n, height, width * channels)

    def sums(part: slice) -> np.ndarray:
        d_rows = np.zeros((kh, kw, width * channels), np.result_type(x, g))
        rooms = Rooms(geometry)
        for images, rows in blocks(part, height, copied(width * channels, geometry)):
            room, d_y = rooms(x[images], rows), rows_of_g[images, rows]
            shifted = shifted_rows(room, rows.stop - rows.start, width, geometry)
            for k, m in itertools.product(range(kh), range(kw)):  # twice as fast as all at once
                d_rows[k, m] += np.einsum("nhw,nhw->w", shifted[:, :, k, m], d_y)
        return d_rows

    d_rows = reduce(np.add, over_parts(sums, n, g.size))
    return d_rows.reshape(kh, kw, 1, width, channels).sum(axis=3)
