"""Few channels: windows copied into rows that stay in a core's cache, and their products.

With one value or three at every place, the copy of a window is one of single values. So an image is
split into its channels first, each with the padding around it: there every value of the kernel sees
whole rows of neighbours. Forward and the weight's gradient differ in the product alone.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from nnlite.ops.compiled import blas
from nnlite.ops.compiled.kernel import FLOAT, fits, helper, kernel, plain, uncounted
from nnlite.ops.convolution import direct as definitions
from nnlite.ops.convolution.direct import FEW
from nnlite.ops.convolution.geometry import WORK, Geometry, Pair
from nnlite.ops.products import SMALL
from nnlite.ops.threads import over_parts

AT_ONCE = 1 << 15  # values of the windows in one product
RUN = 16  # products that are summed at a time: the rounding error of one long sum grows


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    size, out = geometry.out_size(x.shape[1:3]), w.shape[3]
    term = np.empty(0, w.dtype) if bias is None else bias
    fit = w.shape[:3] == (*geometry.kernel, x.shape[3]) and term.size in (0, out)
    if not (fit and fits(x, term) and w.dtype == x.dtype and _suit(x, size, geometry)):
        return plain(definitions.forward)(x, w, bias, geometry)
    kernels = np.append(w, term).reshape(-1, out)  # (kH·kW·C, O), and the bias under it
    y = np.empty((len(x), *size, out), x.dtype)

    def products(part: slice) -> None:
        _products(x[part], kernels, y[part], *_rooms(x, kernels, size, geometry), False)

    over_parts(products, len(x), y.size // out * len(kernels), products=True)
    return y


def weight_gradients(
    x: np.ndarray, g: np.ndarray, geometry: Geometry, ones: bool
) -> tuple[np.ndarray, np.ndarray]:
    size, out = (g.shape[1], g.shape[2]), g.shape[3]
    if not (fits(x, g) and _suit(x, size, geometry)):
        return plain(definitions.weight_gradients)(x, g, geometry, ones)
    shape = (*geometry.kernel, x.shape[3], out)
    inputs = math.prod(shape[:3])

    def products(part: slice) -> np.ndarray:
        d_w = np.zeros((inputs + ones, out), g.dtype)
        _products(x[part], d_w, g[part], *_rooms(x, d_w, size, geometry), True)
        return d_w

    parts = over_parts(products, len(x), g.size // out * inputs, products=True)
    d_w = reduce(np.add, parts)
    return d_w[:inputs].reshape(shape), d_w[inputs:].reshape(-1)


def _suit(x: np.ndarray, size: Pair, geometry: Geometry) -> bool:
    """Whether there are few channels, and neighbours stay neighbours.

    A padded image and the windows of a row of outputs must fit into work buffers.
    """
    channels, image = x.shape[3], math.prod(geometry.padded_size(x.shape[1:3]))
    if channels > FEW or (geometry.stride[1], geometry.groups) != (1, 1):
        return False
    if channels * max(image, size[1] * math.prod(geometry.kernel)) > WORK:
        return False
    return x.dtype == FLOAT and blas.available


def _rooms(x: np.ndarray, w: np.ndarray, size: Pair, geometry: Geometry) -> tuple[Any, ...]:
    """Memory for a padded image and the windows of some rows of outputs; and how they lie in it."""
    inputs, out = w.shape
    rows = min(AT_ONCE, SMALL // out) // (inputs * size[1])  # OpenBLAS's fast path for products
    image = np.zeros((x.shape[3], *geometry.padded_size(x.shape[1:3])), x.dtype)
    columns = np.ones((inputs, max(1, min(rows, size[0])) * size[1]), x.dtype)
    (top, _), (left, _) = geometry.padding
    return image, columns, geometry.kernel, geometry.stride[0], geometry.dilation, (top, left)


@kernel
def _products(x, w, y, image, columns, size, stride, dilation, before, back):
    """In y the products of windows and w; or on the way back, added to w, of windows and y.

    x (N, H, W, C), w (kH·kW·C, O), y (N, Ho, Wo, O). One more row of w meets ones.
    """
    x, w, y = uncounted(x), uncounted(w), uncounted(y)
    image, columns = uncounted(image), uncounted(columns)
    (width, out), part, summed = y.shape[2:], np.zeros_like(w), 0
    for n in range(len(x)):
        _split(x[n], image, before)
        for begin in range(0, y.shape[1], columns.shape[1] // width):
            some = y[n, begin : begin + columns.shape[1] // width].reshape(-1, out)
            _copy_windows(image, columns, begin, len(some), width, size, stride, dilation)
            seen = columns[:, : len(some)]
            if not back:
                blas.transposed_product(seen, w, some, 0.0)
                continue
            blas.product(seen, some, part, 1.0)
            summed += 1
            if summed % RUN == 0:
                _move(part, w)
    if back:
        _move(part, w)


@helper
def _move(part, total):
    """A sum to the total; it begins anew."""
    for i in range(len(total)):
        for j in range(total.shape[1]):
            total[i, j] += part[i, j]
            part[i, j] = 0


@helper
def _split(x, image, before):
    """The channels of x (H, W, C) into the middle of the padded image (C, H, W)."""
    channels = x.shape[2]
    for i in range(len(x)):
        values = x[i].reshape(-1)
        for c in range(channels):
            line = image[c, before[0] + i, before[1] :]
            for j in range(x.shape[1]):
                line[j] = values[j * channels + c]


@helper
def _copy_windows(image, columns, begin, places, width, size, stride, dilation):
    """What each value of the kernel meets, (kH·kW·C, places), from a row of outputs on."""
    channels = len(image)
    for t in range(size[0] * size[1] * channels):
        k, m, c = t // channels // size[1], t // channels % size[1], t % channels
        for i in range(places // width):
            seen = image[c, (begin + i) * stride + k * dilation[0], m * dilation[1] :]
            place = columns[t, i * width : (i + 1) * width]
            for j in range(width):
                place[j] = seen[j]
