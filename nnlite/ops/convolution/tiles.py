"""Tiles of an image, for Winograd's algorithm: cut out and transformed, and put together again.

All steps work on blocks of images, in buffers that are laid out once, and by few long NumPy calls:
after each of them a thread may have to wait for the interpreter's lock. Tiles are numbered (down,
n, across), which keeps together what lies side by side in an image.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.ops.convolution.geometry import Geometry, Pair, Rooms, band


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
        """How many values a step has for one row of tiles, at most."""
        p = self.m + 2
        return p * max(p * self.across, self.m * (self.across + 1)) * channels


class Work:
    """Two buffers that take turns: each step of a chain reads the one and writes the other.

    Both stay in the cache, while new arrays for every step would push each other out of it.
    """

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        self._buffers = [np.empty(size, dtype) for _ in range(2)]

    def __call__(self, *shape: int) -> np.ndarray:
        """The buffer that was not given last, in this shape."""
        self._buffers.reverse()
        return self._buffers[0][: math.prod(shape)].reshape(shape)


def along_both(matrix: np.ndarray, a: np.ndarray, work: Work) -> np.ndarray:
    """matrix · a · matrixᵀ over the first two axes, (k, k, …) → (p, p, …).

    Each step is a stack of small products, for which OpenBLAS need not copy `a` into blocks first.
    """
    (p, k), rest = matrix.shape, a.shape[2:]
    once = np.matmul(matrix, a.reshape(k, k, -1), out=work(k, p, math.prod(rest)))
    twice = np.matmul(matrix, once.swapaxes(0, 1), out=work(p, p, math.prod(rest)))
    return twice.swapaxes(0, 1).reshape(p, p, *rest)


def put_together(tiles: np.ndarray, across: int, image: np.ndarray, work: Work) -> None:
    """Tiles (m, m, down·n·across, C) side by side into an image (n, H, W, C).

    What reaches beyond its edge is laid out apart, and left out while it is in the cache.
    """
    (m, _, count, channels), (n, height, width, _) = tiles.shape, image.shape
    down = count // (n * across)
    fits = (height, width) == (m * down, m * across)
    room = image if fits else work(n, m * down, m * across, channels)
    by_tile = room.reshape(n, down, m, across, m, channels).transpose(2, 4, 1, 0, 3, 5)
    by_tile[...] = tiles.reshape(by_tile.shape)
    if not fits:
        image[...] = room[:, :height, :width]


class Tiles:
    """The tiles of an image, m apart and `edge` wide, so that neighbours may overlap.

    Args:
        tiling: m, and how many there are.
        edge: m, or more.
        width: of the image.
        before: zeros above and to the left.
        work: what the steps compute in.
    """

    def __init__(self, tiling: Tiling, edge: int, width: int, before: Pair, work: Work) -> None:
        self._m, _, self._across = tiling
        beyond = self._m * (self._across - 1) + edge - before[1] - width
        padding = (before[0], 0), (before[1], beyond)
        self._geometry = Geometry((edge, edge), (self._m, self._m), padding)
        self._rooms = Rooms(self._geometry)
        self._work = work
        self._overhang = np.empty(0)  # what rows of tiles add to the ones in the next block

    def transformed(self, matrix: np.ndarray, x: np.ndarray, rows: slice) -> np.ndarray:
        """matrix · tile · matrixᵀ for rows of tiles of x (n, H, W, C): (p, p, tiles, C).

        First along the width, where each row of the image is copied once for every column of a
        tile. Along the height nothing is copied: the tiles see the rows that they share.
        """
        (p, edge), m, across, work = matrix.shape, self._m, self._across, self._work
        room = self._rooms(x, rows)
        n, height, _, channels = room.shape
        down, length = rows.stop - rows.start, n * across * channels
        sn, sh, sw, sc = room.strides
        columns = work(height, edge, n, across, channels)
        columns[...] = as_strided(room, columns.shape, (sh, sw, sn, m * sw, sc))
        once = work(height, p, length)
        np.matmul(matrix, columns.reshape(height, edge, length), out=once)
        sh, sp, sc = once.strides
        tiles = as_strided(once, (p, down, edge, length), (sp, m * sh, sh, sc))
        twice = work(p, p, down, length)
        np.matmul(matrix, tiles, out=twice.transpose(1, 2, 0, 3))
        return twice.reshape(p, p, -1, channels)

    def spread(self, matrix: np.ndarray, d: np.ndarray, d_x: np.ndarray, rows: slice) -> None:
        """The transpose: matrixᵀ · value · matrix of each tile, added up where tiles overlap.

        The first m rows of each tile, and columns, are its own; the rest is added to its neighbour.
        """
        (p, edge), m, across, work = matrix.shape, self._m, self._across, self._work
        n, height, width, channels = d_x.shape
        down, over, length = rows.stop - rows.start, edge - m, n * across * channels
        own, beyond = matrix.T[:m], matrix.T[m:]

        tiles = d.reshape(p, p, down, length).transpose(1, 2, 0, 3)  # (p, down, p, length)
        once = work(m * down + over, p, length)
        by_tile = once[: m * down].reshape(down, m, p, length)
        np.matmul(own, tiles, out=by_tile.transpose(2, 0, 1, 3))
        below = np.matmul(beyond, tiles).transpose(1, 2, 0, 3)  # (down, over, p, length)
        by_tile[1:, :over] += below[:-1]
        once[m * down :] = below[-1]
        if rows.start:
            once[:over] += self._overhang
        self._overhang = below[-1]

        twice = np.matmul(own, once, out=work(len(once), m, length))
        twice = twice.reshape(-1, m, n, across, channels)
        beside = np.matmul(beyond, once).reshape(-1, over, n, across, channels)
        twice[:, :over, :, 1:] += beside[:, :, :, :-1]
        room = work(n, len(once), across + 1, m, channels)
        room[:, :, :-1] = twice.transpose(2, 0, 3, 1, 4)
        room[:, :, -1, :over] = beside[:, :, :, -1].transpose(2, 0, 1, 3)

        part, left = band(rows, height, self._geometry), self._geometry.padding[1][0]
        room = room.reshape(n, len(once), -1, channels)
        d_x[:, part.inside] = room[:, part.place, left : left + width]
