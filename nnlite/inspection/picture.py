"""An array as a picture: two axes, and few enough values to draw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Tiles(NamedTuple):
    """How the pictures of a four-axis array lie side by side.

    Attributes:
        height, width: of one tile, in drawn values.
        rows, columns: how many tiles there would be in all; the first ones are drawn.
        axes: what the tiles' rows and columns count, and those inside a tile, as axes of the array.
    """

    height: int
    width: int
    rows: int
    columns: int
    axes: tuple[int, int, int, int]


class Picture(NamedTuple):
    """What is drawn.

    Attributes:
        values: (rows, columns).
        block: how many rows and columns of the array each value is the mean of.
        tiles: for an array of images or of kernels.
    """

    values: np.ndarray
    block: tuple[int, int]
    tiles: Tiles | None


def picture(array: np.ndarray, size: int, kernel: bool = False) -> Picture:
    """At most about `size` values, means of blocks where there are more.

    Axes before the last are rows. Images (N, H, W, C) lie side by side as tiles, a row of them for
    each sample and a column for each channel; kernels (kH, kW, I, O) a row for each input channel
    and a column for each output channel. As many tiles are drawn as fit, the first ones.
    """
    if array.ndim == 4 and array.size:
        return _mosaic(array, size, (2, 3, 0, 1) if kernel else (0, 3, 1, 2))
    matrix = np.atleast_2d(array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array)
    block = block_size(matrix.shape, size)
    return Picture(block_means(matrix, block), block, None)


def _mosaic(array: np.ndarray, size: int, axes: tuple[int, int, int, int]) -> Picture:
    every = array.transpose(axes)  # (rows of tiles, columns of tiles, height, width)
    block = block_size(every.shape[2:], size)
    height, width = block_means(every[0, 0], block).shape
    fitting = max(size // (height * width), 1)
    columns = min(every.shape[1], fitting)
    shown = every[: fitting // columns, :columns]
    drawn = np.block([[block_means(tile, block) for tile in row] for row in shown])
    return Picture(drawn, block, Tiles(height, width, len(every), every.shape[1], axes))


def block_size(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """How many rows and columns to average so that at most `size` values are left."""
    side = max(int(size**0.5), 1)
    rows, columns = shape
    if rows * columns <= size:
        return 1, 1
    columns_left = min(columns, max(side, size // max(rows, 1)))
    rows_left = max(size // columns_left, 1)
    return -(-rows // rows_left), -(-columns // columns_left)


def block_means(matrix: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """The mean of each block; the last ones may be smaller."""
    if block == (1, 1):
        return matrix
    for axis, length in enumerate(block):
        starts = np.arange(0, matrix.shape[axis], length)
        counts = np.diff([*starts, matrix.shape[axis]])
        total = np.add.reduceat(matrix, starts, axis=axis)
        matrix = total / counts.reshape((-1, 1) if axis == 0 else (1, -1))
    return matrix
