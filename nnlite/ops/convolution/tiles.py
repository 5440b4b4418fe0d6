"""Tiles of images, for Winograd's algorithm: cut out and transformed, and put together again.

Each step works on a block of images, in buffers that stay in the cache. All its views are laid out
once for blocks of a shape that follow each other, so that a block costs a few long NumPy calls and
little else: before each of them, threads on two parts of a batch may have to wait for each other at
the interpreter's lock. Tiles are numbered (down, n, across), which keeps together what lies side by
side in an image.

In the shapes, `edge` is that of a tile before a transform and p after it, `over` what neighbouring
tiles share, and `length` is n·across·C, all that stands in the same place of the tiles of a row.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.ops.convolution.geometry import Geometry, Pair, band


class Tiling(NamedTuple):
    """How an image of outputs is covered by tiles of m×m."""

    m: int
    down: int
    across: int

    @property
    def multiplications(self) -> int:
        """How many there are for each pair of channels."""
        return (self.m + 2) ** 2 * self.down * self.across

    def values(self, channels: int) -> int:
        """How many values a step has for one row of tiles, at most.

        Transformed tiles have p·p·across; the room of `Spread`, p·m·(across + 1), is larger only
        for a single tile of m = 4.
        """
        p = self.m + 2
        return p * max(p * self.across, self.m * (self.across + 1)) * channels


class Block(NamedTuple):
    """Some rows of tiles of some images, and where in the room of these tiles the image lies.

    The tiles are `edge` wide and m apart; those that overlap share (edge − m) rows and columns.
    """

    m: int
    edge: int
    n: int
    down: int
    across: int
    channels: int
    rows: Pair  # of the room, from and to
    columns: Pair

    @property
    def room(self) -> tuple[int, int, int, int]:
        """All that the tiles see, (n, height, width, C)."""
        height, width = (self.m * (k - 1) + self.edge for k in (self.down, self.across))
        return self.n, height, width, self.channels

    @property
    def length(self) -> int:
        """How many values stand in the same place of the tiles of one row."""
        return self.n * self.across * self.channels


class Cut:
    """Images (N, H, W, C) cut into blocks of tiles; the first one begins `before` their edge."""

    def __init__(
        self, tiling: Tiling, edge: int, shape: tuple[int, ...], before: Pair = (0, 0)
    ) -> None:
        (self._m, _, self._across), self._edge, self._shape = tiling, edge, shape
        self._columns = before[1], before[1] + shape[2]
        padding = (before[0], 0), (before[1], 0)
        self._geometry = Geometry((edge, edge), (self._m, self._m), padding)

    def __call__(self, images: slice, rows: slice) -> tuple[Block, tuple[slice, slice]]:
        """The block of some rows of tiles, and the index of its part of the images."""
        part = band(rows, self._shape[1], 0, self._geometry)
        block = Block(
            m=self._m,
            edge=self._edge,
            n=images.stop - images.start,
            down=rows.stop - rows.start,
            across=self._across,
            channels=self._shape[3],
            rows=(part.place.start, part.place.stop),
            columns=self._columns,
        )
        return block, (images, part.inside)


class Work:
    """Two buffers that take turns: each step of a chain reads the one and writes the other.

    Both stay in the cache, while new arrays for every step would push each other out of it.
    """

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._buffers = [np.empty(size, dtype) for _ in range(2)]

    def __call__(self, *shape: int) -> np.ndarray:
        """The buffer that was not given last, in this shape."""
        self._buffers.reverse()
        return self._buffers[0][: math.prod(shape)].reshape(shape)


def along_both(matrix: np.ndarray, a: np.ndarray) -> np.ndarray:
    """matrix · a · matrixᵀ over the first two axes, (k, k, …) → (p, p, …).

    Each step is a stack of small products, for which OpenBLAS need not copy `a` into blocks first.
    """
    (p, k), rest = matrix.shape, a.shape[2:]
    once = np.matmul(matrix, a.reshape(k, k, -1))
    return np.matmul(matrix, once.swapaxes(0, 1)).swapaxes(0, 1).reshape(p, p, *rest)


class Transform:
    """matrix · tile · matrixᵀ for the tiles of a block, (p, p, tiles, C).

    First along the width, where each row of the image is copied once for every column of a tile.
    Along the height nothing is copied: the tiles see the rows that they share.
    """

    def __init__(self, matrix: np.ndarray, block: Block, work: Work) -> None:
        (p, edge), (n, height, _, channels) = matrix.shape, block.room
        down, across, length = block.down, block.across, block.length
        self._matrix = matrix
        room = np.zeros(block.room, work.dtype)  # (n, height, width, C); what lies around x stays 0
        self._inside = room[:, slice(*block.rows), slice(*block.columns)]
        # along the width: every row as each column of the tiles sees it
        sn, sh, sw, sc = room.strides
        shape = height, edge, n, across, channels
        self._columns = as_strided(room, shape, (sh, sw, sn, block.m * sw, sc))
        self._copies = work(*shape)
        self._wide = self._copies.reshape(height, edge, length)
        self._once = work(height, p, length)
        # along the height: rows m apart, `edge` of them for each tile
        to_row, to_point, to_next = self._once.strides
        self._tall = as_strided(
            self._once, (p, down, edge, length), (to_point, block.m * to_row, to_row, to_next)
        )
        twice = work(p, p, down, length)
        self._twice = twice.transpose(1, 2, 0, 3)  # (p, down, p, length), as the products come
        self._values = twice.reshape(p, p, -1, channels)  # (p, p, down·n·across, C)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The values for x, in the shape of the block; valid until the next step of the chain."""
        self._inside[...] = x
        self._copies[...] = self._columns
        np.matmul(self._matrix, self._wide, out=self._once)
        np.matmul(self._matrix, self._tall, out=self._twice)
        return self._values


class Outputs:
    """Products with a kernel, and matrix · tile · matrixᵀ, side by side in the images of a block.

    What reaches beyond their edge is laid out apart, and left out while it is in the cache.
    """

    def __init__(
        self, matrix: np.ndarray, kernel: np.ndarray, block: Block, size: Pair, work: Work
    ) -> None:
        (m, p), channels = matrix.shape, kernel.shape[-1]
        n, down, across = block.n, block.down, block.across
        tiles, height, width = down * n * across, m * down, m * across
        self._matrix, self._kernel = matrix, kernel  # (p, p, C, O)
        self._products = work(p, p, tiles, channels)
        self._first = self._products.reshape(p, p, tiles * channels)
        self._once = work(p, m, tiles * channels)
        self._second = self._once.swapaxes(0, 1)  # (m, p, tiles·O)
        self._twice = work(m, m, tiles * channels)  # columns before rows
        self._tiles = self._twice.swapaxes(0, 1).reshape(m, m, down, n, across, channels)
        self._by_tile = n, down, m, across, m, channels
        self._room = None if size == (height, width) else work(n, height, width, channels)

    def __call__(self, values: np.ndarray, image: np.ndarray) -> None:
        """Write the images (n, H, W, O)."""
        np.matmul(values, self._kernel, out=self._products)
        np.matmul(self._matrix, self._first, out=self._once)
        np.matmul(self._matrix, self._second, out=self._twice)
        room = image if self._room is None else self._room
        room.reshape(self._by_tile).transpose(2, 4, 1, 0, 3, 5)[...] = self._tiles
        if self._room is not None:
            image[...] = self._room[:, : image.shape[1], : image.shape[2]]


class Spread:
    """The transpose of `Transform`: matrixᵀ · value · matrix, added up where tiles overlap.

    The first m rows of each tile, and columns, are its own; the rest is added to its neighbour, and
    no further, because `over` is at most m. Blocks of rows share `over` rows of the image too: the
    lower one adds what the upper one left, and writes the sum in its place.
    """

    def __init__(self, matrix: np.ndarray, block: Block, work: Work) -> None:
        (p, edge), (n, height, _, channels) = matrix.shape, block.room
        m, down, across, length = block.m, block.down, block.across, block.length
        self._own, self._beyond, over = matrix.T[:m], matrix.T[m:], edge - m
        # along the height
        self.values = work(p, p, down * n * across, channels)  # the input
        self._tiles = self.values.reshape(p, p, down, length).transpose(1, 2, 0, 3)
        self._once = work(height, p, length)
        rows = self._once[: m * down].reshape(down, m, p, length)
        self._rows = rows.transpose(2, 0, 1, 3)  # (p, down, m, length), as the products come
        self._below = np.empty((p, down, over, length), work.dtype)
        below = self._below.transpose(1, 2, 0, 3)  # (down, over, p, length)
        self._shared_rows, self._below_others = rows[1:, :over], below[:-1]
        self._last_rows, self._below_last = self._once[m * down :], below[-1]
        self._first_rows = self._once[:over]
        # along the width
        self._twice = work(height, m, length)
        self._beside = np.empty((height, over, length), work.dtype)
        columns = self._twice.reshape(height, m, n, across, channels)
        beside = self._beside.reshape(height, over, n, across, channels)
        self._shared_columns, self._beside_others = columns[:, :over, :, 1:], beside[:, :, :, :-1]
        # as an image, (n, height, m·(across + 1), C), whose last columns are only in part used
        room = work(n, height, across + 1, m, channels)
        self._room, self._columns = room[:, :, :-1], columns.transpose(2, 0, 3, 1, 4)
        self._last_columns = room[:, :, -1, :over]
        self._beside_last = beside[:, :, :, -1].transpose(2, 0, 1, 3)
        whole = room.reshape(n, height, m * (across + 1), channels)
        self._inside = whole[:, slice(*block.rows), slice(*block.columns)]

    def __call__(self, d_x: np.ndarray, above: np.ndarray | None) -> np.ndarray:
        """Write `values`, spread, to d_x, in the shape of the block.

        Args:
            d_x: the place of the block.
            above: what the block above, in the same image, adds to this one.

        Returns:
            What this one adds to the block below it, valid until the next.
        """
        np.matmul(self._own, self._tiles, out=self._rows)
        np.matmul(self._beyond, self._tiles, out=self._below)
        self._shared_rows += self._below_others
        self._last_rows[...] = self._below_last
        if above is not None:
            self._first_rows += above
        np.matmul(self._own, self._once, out=self._twice)
        np.matmul(self._beyond, self._once, out=self._beside)
        self._shared_columns += self._beside_others
        self._room[...] = self._columns
        self._last_columns[...] = self._beside_last
        d_x[...] = self._inside
        return self._below_last
