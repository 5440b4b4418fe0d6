"""One kernel per channel: each row of outputs takes its values from the rows it sees, one by one.

A padded image stays in a core's cache, a stretch of a row in the first one, and so does the kernel,
repeated along it.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from nnlite.ops.compiled.channels import gathered, span_of, spread
from nnlite.ops.compiled.kernel import fits, helper, kernel, plain
from nnlite.ops.convolution import depthwise as definitions
from nnlite.ops.convolution.geometry import WORK, Geometry
from nnlite.ops.threads import over_parts


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry
) -> np.ndarray:
    kernels = np.ascontiguousarray(w[:, :, 0])  # in gradients it is turned round
    term = np.zeros(w.shape[-1], w.dtype) if bias is None else bias
    same = kernels.shape == (*geometry.kernel, x.shape[-1]) and term.shape == x.shape[-1:]
    if not (same and fits(x, kernels, term) and _suits(x, geometry)):
        return plain(definitions.forward)(x, w, bias, geometry)
    y = np.empty((len(x), *geometry.out_size(x.shape[1:3]), x.shape[-1]), x.dtype)
    steps = _steps(geometry)
    over_parts(lambda part: _forward(x[part], kernels, term, y[part], *steps), len(x), y.size)
    return y


def weight_gradient(x: np.ndarray, g: np.ndarray, geometry: Geometry) -> np.ndarray:
    if not (fits(x, g) and _suits(x, geometry)):
        return plain(definitions.weight_gradient)(x, g, geometry)
    kernel, steps = geometry.kernel, _steps(geometry)
    parts = over_parts(
        lambda part: _weight_gradient(x[part], g[part], kernel, *steps), len(x), g.size
    )
    return reduce(np.add, parts)[:, :, None]


def _suits(x: np.ndarray, geometry: Geometry) -> bool:
    """Whether neighbours stay neighbours, and the rows that are kept fit into a work buffer."""
    stride, across = geometry.stride
    rows, (_, width) = geometry.reach[0] + 3 * stride, geometry.padded_size(x.shape[1:3])
    return across == 1 and rows * width * x.shape[-1] <= WORK


def _steps(geometry: Geometry) -> tuple[int, ...]:
    """From a row of outputs to the next, from a kernel value to the next, and to the first one."""
    (top, _), (left, _) = geometry.padding
    return geometry.stride[0], *geometry.dilation, top, left


@helper
def _room(size, x, y, stride, down, across):
    """Zeros for the padded rows that four rows of outputs see, each in the place of an older one.

    As wide as windows reach.
    """
    rows = (size[0] - 1) * down + 1 + 3 * stride
    return np.zeros((rows, (y.shape[2] + (size[1] - 1) * across) * x.shape[3]), x.dtype)


@helper
def _fill(room, image, begin, end, top, start):
    """Copy rows begin … end − 1 of the padded image, each to `start` in its row of the room."""
    for row in range(begin, end):
        place = room[row % len(room), start:]
        if top <= row < top + len(image):
            values = image[row - top].reshape(-1)
            for j in range(min(values.size, place.size)):
                place[j] = values[j]
        else:
            place[:] = 0


@kernel
def _forward(x, w, bias, y, stride, down, across, top, left):
    """Three kernel values at a time, so that outputs are read and written less often."""
    kh, kw, channels = w.shape
    room = _room((kh, kw), x, y, stride, down, across)
    values, width = room.reshape(-1), room.shape[1]
    span = span_of(y.shape[2] * channels, channels)
    term, repeated = spread(bias, span), np.empty((kh * kw, span), x.dtype)
    for t in range(kh * kw):
        repeated[t] = spread(w[t // kw, t % kw], span)
    places = np.empty(kh * kw, np.intp)  # in the room, of what the kernel values meet
    threes = kh * kw // 3 * 3
    for n in range(len(x)):
        filled = 0
        for i in range(y.shape[1]):
            end = i * stride + (kh - 1) * down + 1
            _fill(room, x[n], filled, end, top, left * channels)
            filled = end
            for t in range(kh * kw):
                row = (i * stride + t // kw * down) % len(room)
                places[t] = row * width + t % kw * across * channels
            outputs = y[n, i].reshape(-1)
            for begin in range(0, outputs.size, span):
                out = outputs[begin : begin + span]
                size = out.size
                for j in range(size):
                    out[j] = term[j]
                for t in range(0, threes, 3):
                    a, b, c = begin + places[t], begin + places[t + 1], begin + places[t + 2]
                    p, q, r = values[a : a + size], values[b : b + size], values[c : c + size]
                    u, v, z = repeated[t], repeated[t + 1], repeated[t + 2]
                    for j in range(size):
                        out[j] += p[j] * u[j] + q[j] * v[j] + r[j] * z[j]
                for t in range(threes, kh * kw):
                    a = begin + places[t]
                    p, u = values[a : a + size], repeated[t]
                    for j in range(size):
                        out[j] += p[j] * u[j]


@kernel
def _weight_gradient(x, g, size, stride, down, across, top, left):
    """dL/dw (kH, kW, C), image by image; four rows at a time: sums are written less often."""
    (kh, kw), channels, height = size, x.shape[3], g.shape[1]
    room = _room(size, x, g, stride, down, across)
    length = g.shape[2] * channels
    span = span_of(length, channels)
    d_w, sums = np.zeros((kh, kw, channels), x.dtype), np.empty((kh * kw, span), x.dtype)
    kept = len(room)
    for n in range(len(x)):
        slopes = g[n].reshape(height, -1)
        sums[:] = 0
        filled = 0
        for i in range(0, height, 4):
            rows = min(4, height - i)
            end = (i + rows - 1) * stride + (kh - 1) * down + 1
            _fill(room, x[n], filled, end, top, left * channels)
            filled = end
            for begin in range(0, length, span):
                stop = min(begin + span, length)
                for t in range(kh * kw):
                    line, shift = i * stride + t // kw * down, t % kw * across * channels
                    a, b, total = begin + shift, stop + shift, sums[t]
                    if rows == 4:
                        p, q = room[line % kept, a:b], room[(line + stride) % kept, a:b]
                        line += 2 * stride
                        r, s = room[line % kept, a:b], room[(line + stride) % kept, a:b]
                        d, e = slopes[i, begin:stop], slopes[i + 1, begin:stop]
                        f, h = slopes[i + 2, begin:stop], slopes[i + 3, begin:stop]
                        for j in range(p.size):
                            total[j] += p[j] * d[j] + q[j] * e[j] + r[j] * f[j] + s[j] * h[j]
                        continue
                    for row in range(rows):
                        p, d = room[(line + row * stride) % kept, a:b], slopes[i + row, begin:stop]
                        for j in range(p.size):
                            total[j] += p[j] * d[j]
        for t in range(kh * kw):
            gathered(sums[t], d_w[t // kw, t % kw])
    return d_w
