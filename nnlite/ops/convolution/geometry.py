"""How a window moves over an image: sizes, paddings and blocks of bounded memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nnlite.ops.threads import evenly

Pair = tuple[int, int]

# Values in a work buffer: 1.2 MB of float32, about a core's own cache. A 9 times a power of two is
# filled by whole images, of which 3×3 windows hold 9 values for each place and Winograd's tiles 36.
WORK = 9 << 15


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


class Part(NamedTuple):
    """Some outputs, as an index: of some images some rows, and of these some columns."""

    images: slice
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many of each."""
        images, rows, columns = self
        return images.stop - images.start, rows.stop - rows.start, columns.stop - columns.start


def blocks(images: slice, size: Pair, values: int) -> Iterator[Part]:
    """All outputs of some images, in parts, where each output needs so many work values.

    Whole images while they fit into `WORK`, otherwise rows of one image, or a part of one row:
    memory grows neither with the batch nor with the image. All are about equally large, so that
    threads do not hold each other up. The same part of all images comes before the next part.
    """
    height, width = size
    axes = (
        (slice(0, height), width * values),
        (slice(0, width), values),
        (images, height * width * values),
    )
    cuts = (evenly(axis, count(axis, each)) for axis, each in axes)
    return (Part(some, rows, columns) for rows, columns, some in itertools.product(*cuts))


def count(items: slice, values: int) -> int:
    """In how many parts items are worked on that need so many values each."""
    return -(-(items.stop - items.start) // at_once(values))


def at_once(values: int) -> int:
    """How many items that need so many values each are worked on at once."""
    return max(WORK // max(values, 1), 1)


class Band(NamedTuple):
    """What the windows of some outputs see along one axis of the padded image."""

    inside: slice  # the rows (or columns) of x among them
    place: slice  # where those stand in the band
    length: int  # of the band, padding included


def band(outputs: slice, size: int, axis: int, geometry: Geometry) -> Band:
    """The band under some outputs along an axis of this size; 0 is the height, 1 the width."""
    stride, before = geometry.stride[axis], geometry.padding[axis][0]
    first = outputs.start * stride - before
    last = (outputs.stop - 1) * stride - before + geometry.reach[axis]
    low = max(first, 0)
    high = max(low, min(last, size))
    return Band(slice(low, high), slice(low - first, high - first), last - first)


class Rooms:
    """The zero-padded parts of images under some outputs, copied block after block.

    Blocks of the same shape share a room, whose zeros are written once.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._bands: dict[tuple[int, ...], list[Band]] = {}
        self._room = self._memory = np.empty(0)
        self._shape: tuple[Any, ...] = ()

    def __call__(self, x: np.ndarray, part: Part) -> np.ndarray:
        """What the windows of these outputs see of x (N, H, W, C); valid until the next."""
        images, *axes = part
        at = axes[0].start, axes[0].stop, axes[1].start, axes[1].stop
        bands = self._bands.get(at)
        if bands is None:
            bands = [band(axes[i], x.shape[1 + i], i, self._geometry) for i in (0, 1)]
            self._bands[at] = bands
        (rows, row_place, height), (columns, column_place, width) = bands
        seen = x[images, rows, columns]
        if seen.shape[1] == height and seen.shape[2] == width:
            return seen
        shape = len(seen), row_place, column_place, height, width
        if shape != self._shape:
            self._shape = shape
            self._clear((len(seen), height, width, seen.shape[3]), x.dtype)
        self._room[:, row_place, column_place] = seen
        return self._room

    def _clear(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        size = math.prod(shape)
        if size > self._memory.size:
            self._memory = np.empty(size, dtype)
        self._room = self._memory[:size].reshape(shape)
        self._room.fill(0)


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
