"""How a window moves over an image: sizes, paddings and blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nnlite.ops.threads import evenly

Pair = tuple[int, int]

WORK = 1 << 18  # values in a work buffer: 1 MB of float32, about a core's own cache


class Geometry(NamedTuple):
    """Everything about a convolution but its arrays; each pair is (height, width).

    A window of `kernel` values, `dilation` apart, starts at `−padding` and moves by `stride`.
    `groups` splits the channels into parts that do not see each other.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))  # ((top, bottom), (left, right))
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def reach(self) -> Pair:
        """How many rows and columns a window spans: d (k − 1) + 1."""
        (k, m), (d, e) = self.kernel, self.dilation
        return d * (k - 1) + 1, e * (m - 1) + 1

    def padded_size(self, size: Pair) -> Pair:
        """Height and width with the padding on both sides."""
        (top, bottom), (left, right) = self.padding
        return size[0] + top + bottom, size[1] + left + right

    def out_size(self, size: Pair) -> Pair:
        """How often the window fits: ⌊(L + p₀ + p₁ − d (k − 1) − 1) / s⌋ + 1 along each axis."""
        room, reach = self.padded_size(size), self.reach
        height, width = ((room[i] - reach[i]) // self.stride[i] + 1 for i in (0, 1))
        return height, width

    def transposed(self, out_size: Pair, size: Pair) -> Geometry | None:
        """The convolution that leads from dL/dy back to dL/dx of this size.

        Input i feeds the outputs o with s o = i + p − d k, so dL/dx_i gathers them: a convolution
        of stride 1 over G, spread out by the stride, with the kernel turned round and d (k − 1) − p
        zeros in front. None where that would be fewer zeros than none.
        """
        padding = []
        for n, length, s, reach, (before, _) in zip(
            out_size, size, self.stride, self.reach, self.padding, strict=True
        ):
            front = reach - 1 - before
            padding.append((front, length - (s * (n - 1) + 1) - front + reach - 1))
        if min(*padding[0], *padding[1]) < 0:
            return None
        return self._replace(stride=(1, 1), padding=(padding[0], padding[1]))


def blocks(images: slice, rows: int, values: int) -> Iterator[tuple[slice, slice]]:
    """Parts of some images as (images, output rows), where one row needs so many work values.

    Whole images while they fit into `WORK`, otherwise rows of one image: memory does not grow
    with the batch. All are about equally large, so that threads do not hold each other up.
    """
    at_once, whole = WORK // max(rows * values, 1), slice(0, rows)
    if at_once:
        for some in evenly(images, -(-(images.stop - images.start) // at_once)):
            yield some, whole
    else:
        count = -(-rows // max(WORK // values, 1))
        for image in range(images.start, images.stop):
            for some in evenly(whole, count):
                yield slice(image, image + 1), some


def at_most(values: int) -> int:
    """The work values of the largest block, where one row needs so many."""
    return max(WORK, values)


class Band(NamedTuple):
    """The input rows under the windows of some output rows, as they lie in the padded image."""

    inside: slice  # the rows of x among them
    place: slice  # where those stand in the band
    height: int  # the band's rows, padding included


def band(rows: slice, height: int, geometry: Geometry) -> Band:
    """The band under output rows of an image of so many rows."""
    first = rows.start * geometry.stride[0] - geometry.padding[0][0]
    last = (rows.stop - 1) * geometry.stride[0] - geometry.padding[0][0] + geometry.reach[0]
    low = max(first, 0)
    high = max(low, min(last, height))
    return Band(slice(low, high), slice(low - first, high - first), last - first)


class Rooms:
    """The zero-padded rows of images under some output rows, copied block after block.

    Blocks of the same shape share a room, whose zeros are written once.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._room, self._key = np.empty(0), (0, 0, 0, 0)

    def __call__(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """What the windows of these output rows see of x (n, H, W, C); valid until the next."""
        n, height, width, channels = x.shape
        left, right = self._geometry.padding[1]
        part = band(rows, height, self._geometry)
        if part.place == slice(0, part.height) and left == right == 0:
            return x[:, part.inside]
        key = n, part.height, part.place.start, part.place.stop
        if key != self._key:
            self._room = np.zeros((n, part.height, left + width + right, channels), x.dtype)
            self._key = key
        self._room[:, part.place, left : left + width] = x[:, part.inside]
        return self._room


def position(kernel_index: Pair, out_size: Pair, geometry: Geometry) -> tuple[slice, slice]:
    """Rows and columns of the padded image that one kernel value meets, one for each output."""
    rows, columns = (
        slice(d * k, d * k + s * (n - 1) + 1, s)
        for k, n, s, d in zip(
            kernel_index, out_size, geometry.stride, geometry.dilation, strict=True
        )
    )
    return rows, columns


def turned_round(w: np.ndarray, groups: int) -> np.ndarray:
    """The kernel of the transposed map: turned by 180°, (kH, kW, C/g, O) → (kH, kW, O/g, C)."""
    k, m, c, o = w.shape
    by_group = w[::-1, ::-1].reshape(k, m, c, groups, o // groups)
    return by_group.transpose(0, 1, 4, 3, 2).reshape(k, m, o // groups, groups * c)
