"""Small images side by side, coloured: blue below zero, white at zero, red above."""

from __future__ import annotations

import math

import numpy as np

BLUE, WHITE, RED = ((33, 102, 172), (247, 247, 247), (178, 24, 43))  # told apart by all eyes
GAP = 1  # pixels between tiles


def mosaic(tiles: np.ndarray, columns: int | None = None) -> np.ndarray:
    """One image of many, (rows, columns) or (rows, columns, 3), with NaN between the tiles.

    Args:
        tiles: (K, h, w) or (K, h, w, 3).
        columns: how many tiles stand in a row (default None: about as many as rows).
    """
    count, height, width = tiles.shape[:3]
    columns = columns or math.ceil(math.sqrt(count * height / width))
    columns = min(columns, count)
    rows = -(-count // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, *tiles.shape[3:])
    image = np.full(shape, np.nan)
    for k, tile in enumerate(tiles):
        top, left = (k // columns) * (height + GAP), (k % columns) * (width + GAP)
        image[top : top + height, left : left + width] = tile
    return image


def colored(image: np.ndarray) -> np.ndarray:
    """Bytes of red, green and blue (rows, columns, 3), the largest size in full colour.

    An image of three channels is shown as it is, zero as a middle grey. NaN is white.
    """
    largest = max(float(np.abs(np.nan_to_num(image)).max(initial=0)), 1e-30)
    share = image / largest
    if image.ndim == 3:
        mixed = 127.5 + 127.5 * share
    else:
        toward = np.where(share[..., None] < 0, BLUE, RED)
        mixed = WHITE + np.abs(share)[..., None] * (toward - np.array(WHITE))
    return np.where(np.isnan(mixed), 255, mixed).round().astype(np.uint8)
