"""Winograd's F(4×4, 3×3): a 3×3 convolution with a quarter of the multiplications.

In one dimension, a polynomial of degree 5 is known from its values at 6 points (one of them ∞,
where the value is the leading coefficient). Let Eₖ (6, k) take k coefficients to these values.
The product s = u g of polynomials with 4 and 3 coefficients is a product of values,

    s = E₆⁻¹ [(E₃ g) ⊙ (E₄ u)]           6 multiplications instead of 12

and a convolution with the kernel g. The transposed map in u takes 6 inputs d to 4 outputs, which
is the cross-correlation of layers, yᵢ = Σₖ dᵢ₊ₖ gₖ:

    y = E₄ᵀ [(E₃ g) ⊙ (E₆⁻ᵀ d)]  =  Aᵀ [(G g) ⊙ (Bᵀ d)]

In two dimensions each step happens along both axes. Tiles of 6×6 inputs, 4 apart, so give tiles
of 4×4 outputs: 36 multiplications instead of 144. The sum over channels makes each of them a
matrix product (tiles, C)(C, O), and the transforms are matrix products too:

    U = G w Gᵀ      V = Bᵀ d B      M[p] = V[p] U[p]  for each of the 36 p      y = Aᵀ M A

The weight gradient is the transpose of these steps. The input gradient is a 3×3 convolution of
stride 1 itself, and so runs as one:

    dM = A dy Aᵀ      dU[p] = V[p]ᵀ dM[p]      dw = Gᵀ dU G

The values grow and cancel on the way: about 2e-6 of the largest output in float32.
Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks"; the construction
from points: Winograd 1980, "Arithmetic Complexity of Computations".
"""

from __future__ import annotations

from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.ops.convolution import direct
from nnlite.ops.convolution.geometry import Geometry, Pair, blocks, padded, turned_round
from nnlite.ops.threads import over_parts

FOR = "kernels of 3×3 with stride 1, dilation 1 and one group"

OUT, IN = 4, 6  # the edge of a tile of outputs, and of the inputs that it sees
# With these points the error is a quarter of that with the usual 0, ±1, ±2 (measured).
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))  # and infinity


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """3×3, stride 1, no dilation, no groups."""
    return geometry._replace(padding=((0, 0), (0, 0))) == Geometry((3, 3))


def evaluation(coefficients: int) -> np.ndarray:
    """Eₖ, which takes k coefficients to the values at the points."""
    at_infinity = np.eye(coefficients)[-1:]
    return np.vstack([np.vander(POINTS, coefficients, increasing=True), at_infinity])


@cache
def transforms(dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aᵀ (4, 6), Bᵀ (6, 6) and G (6, 3)."""
    a, b, g = evaluation(OUT).T, np.linalg.inv(evaluation(IN)).T, evaluation(3)
    return a.astype(dtype), b.astype(dtype), g.astype(dtype)


def planes(x: np.ndarray, rows: slice, columns: int, edge: int, before: Pair) -> np.ndarray:
    """Windows of edge×edge values, 4 apart, as one plane per value: (edge, edge, tiles, C)."""
    right = OUT * (columns - 1) + edge - before[1] - x.shape[2]
    geometry = Geometry((edge, edge), (OUT, OUT), ((before[0], 0), (before[1], right)))
    room = padded(x, rows, geometry)
    n, _, _, channels = room.shape
    sn, sh, sw, sc = room.strides
    windows = as_strided(
        room,
        (edge, edge, n, rows.stop - rows.start, columns, channels),
        (sh, sw, sn, OUT * sh, OUT * sw, sc),
        writeable=False,
    )
    return windows.reshape(edge, edge, -1, channels)


def along_both(matrix: np.ndarray, a: np.ndarray) -> np.ndarray:
    """The linear map of the first axis and of the second: (k, k, …) → (m, m, …)."""
    m, k = matrix.shape
    once = np.matmul(matrix, a.reshape(k, -1)).reshape(m, k, -1)
    return np.matmul(matrix, once).reshape(m, m, *a.shape[2:])


def forward(x: np.ndarray, w: np.ndarray, geometry: Geometry) -> np.ndarray:
    """y (N, Ho, Wo, O) from x (N, H, W, C) and w (3, 3, C, O)."""
    (height, width), out = geometry.out_size(x.shape[1:3]), w.shape[-1]
    tiles_down, tiles_across = -(-height // OUT), -(-width // OUT)
    to_y, to_v, to_u = transforms(np.result_type(x, w))
    u = along_both(to_u, w)  # (6, 6, C, O)
    y = np.empty((len(x), height, width, out), u.dtype)
    fits = (height, width) == (OUT * tiles_down, OUT * tiles_across)
    values = tiles_across * IN * IN * max(u.shape[2:])  # of one row of tiles

    def products(part: slice) -> None:
        for images, rows in blocks(part, tiles_down, values):
            v = along_both(to_v, planes(x[images], rows, tiles_across, IN, _before(geometry)))
            tiles = along_both(to_y, v @ u)  # (4, 4, tiles, O)
            place = y[images, OUT * rows.start : OUT * rows.stop]
            count, down = len(place), rows.stop - rows.start
            # What reaches beyond the edge is laid out apart, and copied while it is in the cache.
            shape = (count, OUT * down, OUT * tiles_across, out)
            room = place if fits else np.empty(shape, y.dtype)
            by_tile = room.reshape(count, down, OUT, tiles_across, OUT, out)
            by_tile.transpose(2, 4, 0, 1, 3, 5)[...] = tiles.reshape(
                OUT, OUT, count, down, tiles_across, out
            )
            if not fits:
                place[...] = room[:, : place.shape[1], :width]

    over_parts(products, len(x), len(x) * tiles_down * values)
    return y


def input_gradient(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C): a convolution of the same kind over G."""
    back = geometry.transposed(g.shape[1:3], size)
    if back is None:
        return direct.scattered(g, w, size, geometry)
    return forward(g, turned_round(w, 1), back)


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (3, 3, C, O) from x (N, H, W, C) and dL/dy (N, Ho, Wo, O)."""
    n, height, width, out = g.shape
    tiles_down, tiles_across = -(-height // OUT), -(-width // OUT)
    to_y, to_v, to_u = transforms(np.result_type(x, g))
    values = tiles_across * IN * IN * max(x.shape[-1], out)  # of one row of tiles

    def products(part: slice) -> np.ndarray:
        d_u = np.zeros((IN, IN, x.shape[-1], out), to_u.dtype)
        for images, rows in blocks(part, tiles_down, values):
            v = along_both(to_v, planes(x[images], rows, tiles_across, IN, _before(geometry)))
            d_m = along_both(to_y.T, planes(g[images], rows, tiles_across, OUT, (0, 0)))
            d_u += v.swapaxes(2, 3) @ d_m
        return d_u

    d_u = reduce(np.add, over_parts(products, n, n * tiles_down * values))
    return along_both(to_u.T, d_u)


def _before(geometry: Geometry) -> Pair:
    """The padding above and to the left."""
    return geometry.padding[0][0], geometry.padding[1][0]
