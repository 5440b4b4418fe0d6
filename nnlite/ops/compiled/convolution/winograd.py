"""Winograd's F(4×4, 3×3), a block of tiles at a time, with its products in the same kernel.

Transformed tiles stay in a core's cache until the products with the kernel have read them. The
first step of a transform goes down, through whole lines of the image, whose values side by side
all take the same step; the second one goes across. Both work on a vector of channels at a time; the
last vector begins earlier where it would reach too far, and computes some values once more. Tiles
are numbered (n, down, across), and a block may begin and end within an image.

In the shapes, T counts the tiles of a block. A strip is what one step of a transform makes of a row
of tiles: `EDGE` lines, as wide as the tiles reach. `apart` is the way from one of the 36 places of
a tile to the next; places are numbered (across, down).
"""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnlite.ops.compiled import blas
from nnlite.ops.compiled.kernel import FLOAT, helper, kernel, plain, uncounted
from nnlite.ops.convolution import winograd as definitions
from nnlite.ops.convolution.geometry import Geometry, Pair
from nnlite.ops.convolution.tiles import Tiling, along_both
from nnlite.ops.threads import over_parts

M, EDGE = 4, 6  # outputs and inputs along one edge of a tile
LANES = 16  # channels that go through a transform together
BLOCK = 1 << 17  # values; half a megabyte of transformed tiles
TILES = 32  # in a block, at least: with fewer, products wait for the kernel's values
NEAR = 1 << 13  # values; 32 kB of a kernel
NOTHING = np.empty((0, 0, 0), np.float32)
TO_Y, TO_V, TO_U = definitions.transforms(M, FLOAT)


def combination(matrix: np.ndarray, added: int = 0) -> Any:
    """A step of kernels, target_i = Σₖ matrix_ik source_k, with `LANES` floats for each i and k.

    Zeros of the matrix are multiplied too: what is not finite spreads as in NumPy's products.

    Args:
        matrix: (i, k), known to the compiler.
        added: to how many of the targets, the first ones, `more` adds what stands there.
    """
    vector, fused = ir.VectorType(ir.FloatType(), LANES), ["contract"]

    @intrinsic
    def step(_, source, at, apart, more, at_more, apart_more, target, place, between):
        """Each array with the index of its first float, and the distance to the next vector."""

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def vectors(k: int, count: int) -> list[Any]:
                """Where so many stand, in the array that is argument k."""
                array = context.make_array(signature.args[k])(context, builder, arguments[k])
                at, apart, pointers = arguments[k + 1], arguments[k + 2], []
                for _ in range(count):
                    pointer = builder.gep(array.data, [at])
                    pointers.append(builder.bitcast(pointer, vector.as_pointer()))
                    at = builder.add(at, apart)
                return pointers

            def constant(value: float) -> Any:
                return ir.Constant(vector, [float(value)] * LANES)

            values = [builder.load(pointer, align=4) for pointer in vectors(0, matrix.shape[1])]
            terms = [[builder.load(pointer, align=4)] for pointer in vectors(3, added)]
            terms += [[] for _ in matrix[added:]]
            for row, sum_of in zip(matrix, terms, strict=True):
                sum_of += map(partial(builder.fmul, flags=fused), map(constant, row), values)
            add = partial(builder.fadd, flags=fused)
            for sum_of, pointer in zip(terms, vectors(6, len(matrix)), strict=True):
                builder.store(reduce(add, sum_of), pointer, align=4)
            return context.get_dummy_value()

        index = types.intp
        signature = types.void(source, index, index, more, index, index, target, index, index)
        return signature, codegen

    return step


_to_v, _to_m = combination(TO_V), combination(TO_Y.T)
_to_y, _to_y_and_bias = combination(TO_Y), combination(TO_Y, M)
_to_x, _to_x_and_more = combination(TO_V.T), combination(TO_V.T, EDGE - M)


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    size, (channels, out) = geometry.out_size(x.shape[1:3]), w.shape[2:]
    term = np.zeros(out, w.dtype) if bias is None else bias
    same = x.shape[3] == channels and term.shape == (out,)
    if not (same and _suits(size, (channels, out), x, w, term)):
        return plain(definitions.forward)(x, w, bias, geometry)
    cover, widest = definitions.tiling(size), max(channels, out)
    rows, y = len(x) * cover.down, _empty(len(x), *size, out)
    arrays = _lines(x), _values(w), np.tile(term, size[1]), _lines(y)
    steps = *definitions.before(geometry), _many(cover, widest)
    over_parts(
        lambda part: _forward(part.start, part.stop, *arrays, *steps),
        rows,
        rows * cover.values(widest),
        products=True,
    )
    return y


def backward(
    x: np.ndarray | None,
    g: np.ndarray,
    w: np.ndarray | None,
    shape: tuple[int, ...],
    geometry: Geometry,
) -> tuple[Any, Any]:
    size, channels, out = g.shape[1:3], shape[3], g.shape[3]
    given = [a for a in (x, g, w) if a is not None]
    same = (x is None or x.shape == shape) and (w is None or w.shape[2:] == (channels, out))
    if not (same and _suits(size, (channels, out), *given)):
        return plain(definitions.backward)(x, g, w, shape, geometry)
    cover, widest = definitions.tiling(size), max(channels, out)
    steps = *definitions.before(geometry), _many(cover, widest)
    d_x = None if w is None else _empty(*shape)
    images, slopes, changes = (NOTHING if a is None else _lines(a) for a in (x, g, d_x))
    u = NOTHING if w is None else _values(w.swapaxes(2, 3))  # (36, O, C)

    def products(part: slice) -> np.ndarray:
        d_u = np.zeros((EDGE * EDGE, channels, out), FLOAT)
        _backward(part.start, part.stop, images, slopes, u, d_u, changes, *steps)
        return d_u

    values = len(g) * cover.down * cover.values(widest)
    parts = over_parts(products, len(g), values, products=True)
    if x is None:
        return None, d_x
    d_u = reduce(definitions.added, parts).reshape(EDGE, EDGE, channels, out)
    return along_both(TO_U.T, d_u.swapaxes(0, 1)), d_x


def _suits(size: Pair, channels: Pair, *arrays: np.ndarray) -> bool:
    """Whether the kernels do this: large tiles, a vector of channels, and all in float32."""
    wide = min(channels) >= LANES and definitions.tiling(size).m == M
    return blas.available and wide and all(a.dtype == FLOAT for a in arrays)


def _many(cover: Tiling, channels: int) -> int:
    """How many rows of tiles make a block."""
    tiles = max(BLOCK // (EDGE * EDGE * channels), TILES)
    return max(1, tiles // cover.across)


def _lines(a: np.ndarray) -> np.ndarray:
    """Images as kernels take them, (N, H, W·C); for read-only ones they would be compiled anew."""
    n, height, width, channels = a.shape
    return np.require(a, requirements=["C", "W"]).reshape(n, height, width * channels)


def _empty(*shape: int) -> np.ndarray:
    """An array that begins where a cache line does: a vector in two lines is stored slowly."""
    size = math.prod(shape)
    memory = np.empty(size + LANES, FLOAT)
    skipped = -(memory.ctypes.data // memory.itemsize) % LANES
    return memory[skipped : skipped + size].reshape(shape)


def _values(w: np.ndarray) -> np.ndarray:
    """A kernel (3, 3, C, O), transformed: (36, C, O), in the order in which it comes."""
    return along_both(TO_U, w).swapaxes(0, 1).reshape(EDGE * EDGE, *w.shape[2:])


@helper
def _zeros(lines, length):
    """Zeros (lines, length) that begin where a cache line does: vectors in two lines take twice."""
    memory = np.zeros(lines * length + LANES, np.float32)
    skipped = -(memory.ctypes.data // memory.itemsize) % LANES
    return memory[skipped : skipped + lines * length].reshape(lines, length)


@helper
def _strip(across, channels):
    """Zeros for lines that are as wide as a row of tiles, and whole vectors."""
    width = (M * across + EDGE - M) * channels
    return _zeros(EDGE, -(-width // LANES) * LANES)


@helper
def _block(tiles, channels):
    """Memory for transformed tiles, (36, T·C) and a gap.

    With a power of two from one place to the next, they would push each other out of a cache.
    """
    return _zeros(EDGE * EDGE, -(-tiles * channels // LANES) * LANES + LANES)


@helper
def _matrix(values, k, tiles, channels):
    """What stands at place k of the first tiles, (T, C)."""
    return values[k, : tiles * channels].reshape(tiles, channels)


@helper
def _copy(source, target):
    """As much of the source as the target takes. (Numba's own assignment does not vectorize.)"""
    for j in range(target.size):
        target[j] = source[j]


@helper
def _product(a, b, c):
    """In place, C ← A B, by so many rows of B at a time as stay in the first cache."""
    rows = max(LANES, NEAR // b.shape[1])
    for k in range(0, len(b), rows):
        blas.product(a[:, k : k + rows], b[k : k + rows], c, 0.0 if k == 0 else 1.0)


@helper
def _seen(image, first, room):
    """The lines of an image (H, W·C) from the first one on, and where they begin.

    Where some are outside of the image: in the room, and zeros.
    """
    if first >= 0 and first + len(room) <= len(image):
        return image.reshape(-1), first * image.shape[1]
    for k in range(len(room)):
        if 0 <= first + k < len(image):
            _copy(image[first + k], room[k])
        else:
            room[k] = 0
    return room.reshape(-1), 0


def transform(step: Any) -> Any:
    """A helper that transforms a row of tiles, by this step in both directions."""

    @helper
    def transformed(image, first, left, channels, room, strip, values, tile, across):
        """The tiles of lines `first` … of an image (H, W·C), to `tile` … among the values."""
        source, at = _seen(image, first, room)
        width, lines, places = image.shape[1], strip.reshape(-1), values.reshape(-1)
        length, apart = strip.shape[1], values.shape[1]
        for j in range(0, width, LANES):
            j = min(j, width - LANES)  # the last vector takes some of the one before again
            step(source, at + j, width, source, 0, 0, lines, left * channels + j, length)
        for i in range(EDGE):
            for t in range(across):
                start, place = i * length + t * M * channels, (tile + t) * channels
                place += i * apart
                for c in range(0, channels, LANES):
                    c = min(c, channels - LANES)
                    step(lines, start + c, channels, lines, 0, 0, places, place + c, EDGE * apart)

    return transformed


_transform_x, _transform_g = transform(_to_v), transform(_to_m)


@helper
def _join(values, tile, across, channels, strip, room, bias, image, first):
    """Lines `first` … of an image (H, W·O) from the tiles `tile` … of the values, and the bias."""
    width, lines, places = image.shape[1], strip.reshape(-1), values.reshape(-1)
    length, apart = strip.shape[1], values.shape[1]
    for i in range(EDGE):
        for t in range(across):
            place, start = i * apart + (tile + t) * channels, i * length + t * M * channels
            for c in range(0, channels, LANES):
                c = min(c, channels - LANES)
                _to_y(places, place + c, EDGE * apart, places, 0, 0, lines, start + c, channels)
    inside = first + M <= len(image)
    target, at = (image.reshape(-1), first * width) if inside else (room.reshape(-1), 0)
    for j in range(0, width, LANES):
        j = min(j, width - LANES)
        _to_y_and_bias(lines, j, length, bias, j, 0, target, at + j, width)
    if not inside:
        for k in range(len(image) - first):
            _copy(room[k], image[first + k])


@helper
def _spread(values, tile, across, channels, strip, below):
    """Spread the tiles `tile` … of the values over the lines below; what overlaps adds up.

    The first lines hold what the tiles above have left there.
    """
    lines, places, sums = strip.reshape(-1), values.reshape(-1), below.reshape(-1)
    length, apart = strip.shape[1], values.shape[1]
    for i in range(EDGE):
        for c in range(0, channels, LANES):
            c = min(c, channels - LANES)
            place, start = i * apart + tile * channels + c, i * length + c
            _to_x(places, place, EDGE * apart, places, 0, 0, lines, start, channels)
            for _ in range(1, across):
                place += channels
                start += M * channels
                _to_x_and_more(
                    places, place, EDGE * apart, lines, start, channels, lines, start, channels
                )
    for j in range(0, length, LANES):
        _to_x_and_more(lines, j, length, sums, j, length, sums, j, length)


@helper
def _leave(below, image, first, start, last):
    """Write the lines that are done to `first` … of an image; the others become the first ones."""
    for k in range(EDGE if last else M):
        if 0 <= first + k < len(image):
            _copy(below[k, start:], image[first + k])
    for k in range(EDGE - M):
        _copy(below[M + k], below[k])


@kernel
def _forward(begin, end, x, u, bias, y, top, left, many):
    """Rows of tiles begin … end − 1, of all images; bias (W·O,)."""
    x, u, bias, y = uncounted(x), uncounted(u), uncounted(bias), uncounted(y)
    (_, channels, out), width = u.shape, y.shape[2]
    down, across = -(-y.shape[1] // M), -(-width // (M * out))
    many = max(1, min(many, end - begin))
    v, products = _block(many * across, channels), _block(many * across, out)
    strip, room = _strip(across, channels), np.empty((EDGE, x.shape[2]), np.float32)
    strip_y, room_y = _strip(across, out), np.empty((M, width), np.float32)
    for start in range(begin, end, many):
        rows = min(many, end - start)
        for i in range(rows):
            n, row = divmod(start + i, down)
            _transform_x(x[n], row * M - top, left, channels, room, strip, v, i * across, across)
        for k in range(EDGE * EDGE):
            result = _matrix(products, k, rows * across, out)
            _product(_matrix(v, k, rows * across, channels), u[k], result)
        for i in range(rows):
            n, row = divmod(start + i, down)
            _join(products, i * across, across, out, strip_y, room_y, bias, y[n], row * M)


@kernel
def _backward(begin, end, x, g, u, d_u, d_x, top, left, many):
    """Adds to d_u what images begin … end − 1 give where there is an x, and writes d_x likewise."""
    x, g, u, d_x = uncounted(x), uncounted(g), uncounted(u), uncounted(d_x)
    (_, channels, out), width = d_u.shape, g.shape[2]
    down, across = -(-g.shape[1] // M), -(-width // (M * out))
    first, last = begin * down, end * down
    many = max(1, min(many, last - first))
    v, d_m = _block(many * across, channels), _block(many * across, out)
    strip, room = _strip(across, channels), np.empty((EDGE, x.shape[2]), np.float32)
    strip_g, room_g = _strip(across, out), np.empty((M, width), np.float32)
    spread, sums = _strip(across, channels), _strip(across, channels)
    for start in range(first, last, many):
        rows = min(many, last - start)
        for i in range(rows):
            n, row = divmod(start + i, down)
            _transform_g(g[n], row * M, 0, out, room_g, strip_g, d_m, i * across, across)
        if x.size:
            for i in range(rows):
                n, row = divmod(start + i, down)
                line = row * M - top
                _transform_x(x[n], line, left, channels, room, strip, v, i * across, across)
            for k in range(EDGE * EDGE):
                slopes = _matrix(d_m, k, rows * across, out)
                blas.transposed_product(_matrix(v, k, rows * across, channels), slopes, d_u[k], 1.0)
        if d_x.size:
            for k in range(EDGE * EDGE):
                result = _matrix(v, k, rows * across, channels)
                _product(_matrix(d_m, k, rows * across, out), u[k], result)
            for i in range(rows):
                n, row = divmod(start + i, down)
                if row == 0:
                    sums[: EDGE - M] = 0
                _spread(v, i * across, across, channels, spread, sums)
                _leave(sums, d_x[n], row * M - top, left * channels, row == down - 1)
