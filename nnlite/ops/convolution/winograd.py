"""Winograd's F(m×m, 3×3): a 3×3 convolution with a quarter (m = 4) of the multiplications.

In one dimension, a polynomial of degree m + 1 is known from its values at m + 2 points (one of them
∞, where the value is the leading coefficient). Let Eₖ (m + 2, k) take k coefficients to these
values. The product s = u g of polynomials with m and 3 coefficients is a product of values,

    s = E₍ₘ₊₂₎⁻¹ [(E₃ g) ⊙ (Eₘ u)]       m + 2 multiplications instead of 3 m

and a convolution with the kernel g. The transposed map in u takes m + 2 inputs d to m outputs,
which is the cross-correlation of layers, yᵢ = Σₖ dᵢ₊ₖ gₖ:

    y = Eₘᵀ [(E₃ g) ⊙ (E₍ₘ₊₂₎⁻ᵀ d)]  =  Aᵀ [(G g) ⊙ (Bᵀ d)]

In two dimensions each step happens along both axes. Tiles of (m + 2)² inputs, m apart, so give
tiles of m² outputs: 36 multiplications instead of 144 for m = 4, and 16 instead of 36 for m = 2.
The sum over channels makes each of them a matrix product (tiles, C)(C, O), and the transforms are
matrix products too:

    U = G w Gᵀ      V = Bᵀ d B      M[ij] = V[ij] U[ij]  for all i, j < m + 2      y = Aᵀ M A

The gradients are the transposes of these steps, in reverse; where tiles of inputs overlap, their
gradients add up:

    dM = A dy Aᵀ      dU[ij] = V[ij]ᵀ dM[ij]      dw = Gᵀ dU G
                      dV[ij] = dM[ij] U[ij]ᵀ      dx = Σ over tiles of B dV Bᵀ

The values grow and cancel on the way: about 2e-6 of the largest output in float32. A value that is
not finite reaches all outputs of its tile.
Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks"; the construction
from points: Winograd 1980, "Arithmetic Complexity of Computations".
"""

from __future__ import annotations

from functools import cache, lru_cache, reduce
from typing import Any

import numpy as np

from nnlite.ops.convolution.algorithm import Gradients
from nnlite.ops.convolution.bias import add_bias, bias_gradient
from nnlite.ops.convolution.geometry import Geometry, Pair, at_once, blocks
from nnlite.ops.convolution.tiles import (
    Block,
    Cut,
    Outputs,
    Spread,
    Tiling,
    Transform,
    Work,
    along_both,
)
from nnlite.ops.engine import twin
from nnlite.ops.threads import over_parts

FOR = "kernels of 3×3 with stride 1, dilation 1 and one group"

# By the edge m of a tile of outputs, the points but ∞. For m = 4 the error is a quarter of that
# with the usual 0, ±1, ±2 (measured).
POINTS = {
    2: (0.0, 1.0, -1.0),
    4: (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)),
}


def applies(w_shape: tuple[int, ...], geometry: Geometry) -> bool:
    """3×3, stride 1, no dilation, no groups."""
    return geometry._replace(padding=((0, 0), (0, 0))) == Geometry((3, 3))


def tiling(out_size: Pair) -> Tiling:
    """The one with fewer multiplications: small outputs fill only a part of a large tile."""
    height, width = out_size
    every = (Tiling(m, -(-height // m), -(-width // m)) for m in POINTS)
    return min(every, key=lambda tiles: tiles.multiplications)


@cache
def transforms(m: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aᵀ (m, m + 2), Bᵀ (m + 2, m + 2) and G (m + 2, 3)."""

    def evaluation(k: int) -> np.ndarray:  # Eₖ
        at_infinity = np.eye(k)[-1:]
        return np.vstack([np.vander(POINTS[m], k, increasing=True), at_infinity])

    a, b, g = evaluation(m).T, np.linalg.inv(evaluation(m + 2)).T, evaluation(3)
    return a.astype(dtype), b.astype(dtype), g.astype(dtype)


@twin
def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    """y (N, Ho, Wo, O) from x (N, H, W, C) and w (3, 3, C, O)."""
    n, (height, width), out = len(x), geometry.out_size(x.shape[1:3]), w.shape[-1]
    cover, dtype = tiling((height, width)), np.result_type(x, w)
    m, values = cover.m, cover.values(max(w.shape[2:]))
    to_y, to_v, to_u = transforms(m, dtype)
    u = along_both(to_u, w)  # (m + 2, m + 2, C, O)
    y = np.empty((n, height, width, out), dtype)
    cut = Cut(cover, m + 2, x.shape, before(geometry))

    def products(images: slice) -> None:
        work = Work(at_once(values) * values, dtype)

        @lru_cache(1)
        def steps(block: Block, size: Pair) -> tuple[Transform, Outputs]:
            return Transform(to_v, block, work), Outputs(to_y, u, block, size, work)

        for some, rows, _ in blocks(images, (cover.down, 1), values):
            block, seen = cut(some, rows)
            place = y[some, m * rows.start : m * rows.stop]
            transform, outputs = steps(block, place.shape[1:3])
            outputs(transform(x[seen]), place)

    over_parts(products, n, n * cover.down * values, products=True)
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
    """dL/dw and dL/dx, which share dM, and dL/db."""
    d_w, d_x = backward(x, g, w if needs_input_grad else None, x.shape, geometry)
    return d_w, bias_gradient(g) if needs_bias_grad else None, d_x


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    """dL/dw (3, 3, C, O) from x (N, H, W, C) and dL/dy (N, Ho, Wo, O)."""
    return backward(x, g, None, x.shape, geometry)[0]


def input_gradient(g: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> np.ndarray:
    """dL/dx (N, *size, C)."""
    return backward(None, g, w, (len(g), *size, w.shape[2]), geometry)[1]


@twin
def backward(
    x: np.ndarray | None,
    g: np.ndarray,
    w: np.ndarray | None,
    shape: tuple[int, ...],
    geometry: Geometry,
) -> tuple[Any, Any]:
    """dL/dw where x (of this shape) is given, and dL/dx where w is."""
    cover, (n, _, _, out), channels = tiling(g.shape[1:3]), g.shape, shape[-1]
    m, values, dtype = cover.m, cover.values(max(channels, out)), g.dtype
    to_y, to_v, to_u = transforms(m, dtype)
    d_x = u = None
    if w is not None:
        d_x = np.empty(shape, dtype)
        u = along_both(to_u, w.swapaxes(2, 3))  # (m + 2, m + 2, O, C)
    cut_g, cut_x = Cut(cover, m, g.shape), Cut(cover, m + 2, shape, before(geometry))

    def products(images: slice) -> np.ndarray | None:
        work_g, work_x = (Work(at_once(values) * values, dtype) for _ in range(2))
        d_m_of = lru_cache(1)(lambda block: Transform(to_y.T, block, work_g))
        v_of = lru_cache(1)(lambda block: Transform(to_v, block, work_x))
        spread_of = lru_cache(1)(lambda block: Spread(to_v, block, work_x))
        d_u: np.ndarray | None = None
        above: dict[int, np.ndarray] = {}  # by image, what its rows of tiles add to those below
        for some, rows, _ in blocks(images, (cover.down, 1), values):
            (block_g, seen_g), (block_x, seen_x) = cut_g(some, rows), cut_x(some, rows)
            d_m = d_m_of(block_g)(g[seen_g])
            if x is not None:
                d_u = added(d_u, v_of(block_x)(x[seen_x]).swapaxes(2, 3) @ d_m)
            if u is not None and d_x is not None:
                spread = spread_of(block_x)
                np.matmul(d_m, u, out=spread.values)
                below = spread(d_x[seen_x], above.pop(some.start, None))
                if rows.stop < cover.down:
                    above[some.start] = below.copy()
        return d_u

    parts = over_parts(products, n, n * cover.down * values, products=True)
    if x is None:
        return None, d_x
    sums = [d_u for d_u in parts if d_u is not None]
    d_u = reduce(np.add, sums) if sums else np.zeros((m + 2, m + 2, channels, out), dtype)
    return along_both(to_u.T, d_u), d_x


def added(total: np.ndarray | None, part: np.ndarray) -> np.ndarray:
    """The sum, in the memory of the first part."""
    return part if total is None else np.add(total, part, out=total)


def before(geometry: Geometry) -> Pair:
    """The padding above and to the left."""
    return geometry.padding[0][0], geometry.padding[1][0]
