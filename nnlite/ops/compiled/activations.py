"""Activations and their derivatives, each in one pass or two.

The formulas are those of the layers. Values of one array are apart from all others', so the kernels
take flat arrays; a pass that writes more than three of them would not vectorize (the compiler then
no longer checks that they do not overlap).
"""

from __future__ import annotations

import math

import numpy as np

from nnlite.ops.compiled.functions import exact, exp, expm1_of_negative, log1p
from nnlite.ops.compiled.kernel import helper, kernel
from nnlite.ops.special import MILLS

f32 = np.float32
FAR = f32(1e5)
BLOCK = 1024  # values between two passes, which stay in the cache
DENSITY = f32(1 / math.sqrt(2 * math.pi))
STEEP, BENT = f32(math.sqrt(8 / math.pi)), f32(0.044715 * math.sqrt(8 / math.pi))
TOP, BOTTOM = (tuple(f32(c) for c in part) for part in MILLS)


@kernel
def relu_in_place(x):
    zero = x.dtype.type(0)
    for i in range(x.size):
        x[i] = max(x[i], zero)


@kernel
def relu_backward(g, d_x, y):
    zero = g.dtype.type(0)
    for i in range(g.size):
        d_x[i] = g[i] if y[i] > zero else g[i] * zero  # NaN where g is ∞, as in a product


@exact
def sigmoid(x):
    e = exp(min(x, f32(88)))
    return e / (f32(1) + e)


@exact
def sigmoid_and_rest(x):
    e = exp(min(x, f32(88)))
    rest = f32(1) / (f32(1) + e)
    return e * rest, (f32(0) if x > f32(88) else rest)


@kernel
def sigmoid_forward(x, y, rest):
    for i in range(x.size):
        y[i], rest[i] = sigmoid_and_rest(x[i])


@kernel
def sigmoid_backward(g, d_x, y, rest):
    for i in range(g.size):
        d_x[i] = g[i] * (y[i] * rest[i])


@kernel
def tanh_backward(g, d_x, x):
    for i in range(g.size):
        c = exp(-abs(x[i]))
        slope = f32(2) * c / (f32(1) + c * c)
        d_x[i] = g[i] * (slope * slope)


@kernel
def silu_forward(x, y, s, rest):
    for i in range(x.size):
        s[i], rest[i] = sigmoid_and_rest(x[i])
    for i in range(x.size):
        y[i] = max(x[i], -FAR) * s[i]


@kernel
def silu_backward(g, d_x, y, s, rest):
    for i in range(g.size):
        d_x[i] = g[i] * (s[i] + min(y[i], FAR) * rest[i])


@exact
def normal_tail(a):
    """Q(a) and φ(a) for a from 0 to 40."""
    density = exp(f32(-0.5) * a * a) * DENSITY
    top = TOP[0] * a + TOP[1]
    top = top * a + TOP[2]
    top = top * a + TOP[3]
    top = top * a + TOP[4]
    bottom = BOTTOM[0] * a + BOTTOM[1]
    bottom = bottom * a + BOTTOM[2]
    bottom = bottom * a + BOTTOM[3]
    bottom = bottom * a + BOTTOM[4]
    bottom = bottom * a + BOTTOM[5]
    return density * (top / bottom), density


@kernel
def gelu_forward(x, y, slope):
    for i in range(x.size):
        y[i], slope[i] = gelu(x[i])


@exact
def gelu(x):
    z = min(max(x, f32(-40)), f32(40))
    tail, density = normal_tail(abs(z))
    return _gelu_of_tail(x, z, tail, density)


@kernel
def gelu_by_tanh_forward(x, y, slope):
    for i in range(x.size):
        y[i], slope[i] = gelu_by_tanh(x[i])


@exact
def gelu_by_tanh(x):
    z = min(max(x, f32(-40)), f32(40))
    square = z * z
    e = exp(-abs(z) * (STEEP + BENT * square))  # of −2u
    rest = f32(1) / (f32(1) + e)
    tail = e * rest
    return _gelu_of_tail(x, z, tail, tail * rest * (STEEP + f32(3) * BENT * square))


@exact
def _gelu_of_tail(x, z, tail, density):
    """y and y′ from Q and φ at |z|, with z near x."""
    above = f32(1) if z > f32(0) else f32(0)
    return max(x, f32(0)) - abs(z) * tail, abs(above - tail) + z * density


@kernel
def gelu_in_place(x, y):
    for i in range(x.size):
        y[i], x[i] = gelu(x[i])


@kernel
def gelu_by_tanh_in_place(x, y):
    for i in range(x.size):
        y[i], x[i] = gelu_by_tanh(x[i])


# by the layer's `approximate`; in place, the slope takes the place of x
GELU_FORWARD = {"none": gelu_forward, "tanh": gelu_by_tanh_forward}
GELU_IN_PLACE = {"none": gelu_in_place, "tanh": gelu_by_tanh_in_place}


@kernel
def gelu_backward(g, d_x, slope):
    for i in range(g.size):
        d_x[i] = g[i] * slope[i]


@kernel
def mish_forward(x, y, z, e, t, rest):
    for start in range(0, x.size, BLOCK):
        block = slice(start, start + BLOCK)
        _exponentials_for_mish(x[block], z[block], e[block])
        _tanh_of_softplus(e[block], t[block], rest[block])
        for i in range(start, min(start + BLOCK, x.size)):
            y[i] = max(x[i], -FAR) * t[i]


@helper
def _exponentials_for_mish(x, z, e):
    for i in range(x.size):
        z[i] = min(max(x[i], -FAR), f32(22))
        e[i] = exp(z[i])


@helper
def _tanh_of_softplus(e, t, rest):
    for i in range(e.size):
        t[i], rest[i] = tanh_of_softplus(e[i])


@exact
def tanh_of_softplus(e):
    w = e * (e + f32(2))
    rest = f32(2) / (w + f32(2))
    return f32(0.5) * w * rest, rest


@kernel
def mish_backward(g, d_x, x, e, t, rest):
    for i in range(g.size):
        d_x[i] = g[i] * mish_slope(x[i], e[i], t[i], rest[i])


@exact
def mish_slope(x, e, t, rest):
    return t + x * (e * (f32(1) + e) * (rest * rest))


@exact
def near(x, beta):
    bound = f32(1000) / beta
    return beta * min(max(x, -bound), bound)


@exact
def bend(x):
    return log1p(exp(-abs(x)))


@kernel
def softplus_forward(x, y, beta):
    beta = f32(beta)
    for i in range(x.size):
        y[i] = max(x[i], f32(0)) + bend(near(x[i], beta)) / beta


@kernel
def softplus_backward(g, d_x, x, beta):
    beta = f32(beta)
    for i in range(g.size):
        d_x[i] = g[i] * sigmoid(near(x[i], beta))


@kernel
def log_sigmoid_forward(x, y):
    for i in range(x.size):
        y[i] = min(x[i], f32(0)) - bend(x[i])


@kernel
def log_sigmoid_backward(g, d_x, x):
    for i in range(g.size):
        d_x[i] = g[i] * sigmoid(-x[i])


@kernel
def exponential_forward(x, y, below, scale, alpha, temperature):
    scale, alpha, temperature = f32(scale), f32(alpha), f32(temperature)
    for i in range(x.size):
        below[i] = min(max(x[i], f32(-1000) * temperature), f32(0)) / temperature
        y[i] = scale * (max(x[i], f32(0)) + alpha * expm1_of_negative(below[i]))


@kernel
def exponential_backward(g, d_x, y, below, scale, alpha, temperature):
    at_zero = f32(scale * alpha / temperature)
    scale = f32(scale)
    for i in range(g.size):
        d_x[i] = g[i] * (scale if y[i] > f32(0) else at_zero * exp(below[i]))
