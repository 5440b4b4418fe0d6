"""Winograd's F(4×4, 3×3): a 3×3 convolution with a quarter of the multiplications.

In one dimension, a polynomial of degree 5 is known from its values at 6 points (one of them ∞,
where the value is the leading coefficient). Let Eₖ (6, k) take k coefficients to these values.
The product s = u g of polynomials with 4 and 3 coefficients is a product of values,

    s = E₆⁻¹ [(E₃ g) ⊙ (E₄ u)]           6 multiplications instead of 12

and a convolution with the kernel g. The transposed map in u takes 6 inputs d to 4 outputs, which
is the cross-correlation of layers, yᵢ = Σₖ dᵢ₊ₖ gₖ:

    y = E₄ᵀ [(E₃ g) ⊙ (E₆⁻ᵀ d)]  =  Aᵀ [(G g) ⊙ (Bᵀ d)]

In two dimensions each step happens along both axes: a matrix acts on a tile taken as a vector
through its Kronecker square, Bᵀ⊗Bᵀ and so on. Tiles of 6×6 inputs, 4 apart, so give tiles of 4×4
outputs: 36 multiplications instead of 144. The sum over channels makes each of them a matrix
product, and the transforms are matrix products too:

    U = (G⊗G) w      V = (Bᵀ⊗Bᵀ) d      M[p] = V[p] U[p]  for p = 1 … 36      y = (Aᵀ⊗Aᵀ) M

The weight gradient is the transpose of these steps. The input gradient is a 3×3 convolution of
stride 1 itself, and so runs as one:

    dM = (A⊗A) G      dU[p] = V[p]ᵀ dM[p]      dw = (Gᵀ⊗Gᵀ) dU

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
from nnlite.ops.threads import over_images

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
    """The Kronecker squares of Aᵀ (16, 36), Bᵀ (36, 36) and G (36, 9)."""
    a, b, g = evaluation(OUT).T, np.linalg.inv(evaluation(IN)).T, evaluation(3)
    squares = [np.kron(matrix, matrix).astype(dtype) for matrix in (a, b, g)]
    return squares[0], squares[1], squares[2]


def planes(x: np.ndarray, rows: slice, columns: int, edge: int, before: Pair) -> np.ndarray:
    """Windows of edge×edge values, 4 apart, as one plane per value: (edge², tiles, C)."""
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
    return windows.reshape(edge * edge, -1, channels)


def along_planes(matrix: np.ndarray, a: np.ndarray) -> np.ndarray:
    """A linear map of the first axis."""
    return np.matmul(matrix, a.reshape(len(a), -1)).reshape(len(matrix), *a.shape[1:])


def forward(x: np.ndarray, w: np.ndarray, geometry: Geometry) -> np.ndarray:
    """y (N, Ho, Wo, O) from x (N, H, W, C) and w (3, 3, C, O)."""
    (height, width), out = geometry.out_size(x.shape[1:3]), w.shape[-1]
    tiles_down, tiles_across = -(-height // OUT), -(-width // OUT)
    to_y, to_v, to_u = transforms(np.result_type(x, w))
    u = along_planes(to_u, w.reshape(9, -1, out))  # (36, C, O)
    y = np.empty((len(x), OUT * tiles_down, OUT * tiles_across, out), u.dtype)
    values = tiles_across * IN * IN * max(u.shape[1:])  # of one row of tiles

    def products(part: slice) -> None:
        for images, rows in blocks(part, tiles_down, values):
            v = along_planes(to_v, planes(x[images], rows, tiles_across, IN, _before(geometry)))
            tiles = along_planes(to_y, v @ u)  # (16, tiles, O)
            place = y[images, OUT * rows.start : OUT * rows.stop]
            place = place.reshape(len(place), -1, OUT, tiles_across, OUT, out)
            place.transpose(2, 4, 0, 1, 3, 5)[...] = tiles.reshape(
                OUT, OUT, len(place), -1, tiles_across, out
            )

    over_images(products, len(x), len(x) * tiles_down * values)
    return np.ascontiguousarray(y[:, :height, :width])


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
        d_u = np.zeros((IN * IN, x.shape[-1], out), to_u.dtype)
        for images, rows in blocks(part, tiles_down, values):
            v = along_planes(to_v, planes(x[images], rows, tiles_across, IN, _before(geometry)))
            d_m = along_planes(to_y.T, planes(g[images], rows, tiles_across, OUT, (0, 0)))
            d_u += v.swapaxes(1, 2) @ d_m
        return d_u

    d_u = reduce(np.add, over_images(products, n, n * tiles_down * values))
    return along_planes(to_u.T, d_u).reshape(3, 3, -1, out)


def _before(geometry: Geometry) -> Pair:
    """The padding above and to the left."""
    return geometry.padding[0][0], geometry.padding[1][0]
