"""Exponentials and logarithms of one float32, in operations that the compiler vectorizes.

`math.exp` in a loop is a call for each value, 20 to 30 times slower. These are compiled without
leave to reorder sums: their accuracy lies in the order.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

f32 = np.float32
LOG2E = f32(1.4426950408889634)
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)  # Cody & Waite: n · high is exact
# (eʳ − 1 − r)/r² for |r| ≤ ½ ln 2, highest power first (S. Moshier's Cephes, expf)
EXP = tuple(
    f32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
              4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)  # fmt: skip
# (artanh(s)/s − 1)/s² in powers of s² for s ≤ ⅓, highest first; off by 5e-9 (fitted by least
# squares, reweighted until the error was level)
LOG1P = tuple(f32(c) for c in (1.4012315296e-1, 1.3999553999e-1, 2.0010850489e-1, 3.3333206550e-1))
LOWEST, HIGHEST = f32(-104), f32(89)  # eˣ is 0 and ∞ there


@intrinsic
def _float_of_bits(typingctx: Any, bits: Any) -> Any:
    """The float32 with these bits."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


exact = numba.njit(error_model="numpy", fastmath={"contract"})


@exact
def power_of_two(n):
    """2ⁿ for a whole n from −126 to 127."""
    return _float_of_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


@exact
def _reduced(x):
    """(n, r, eʳ − 1) with x = n ln 2 + r, |r| ≤ ½ ln 2."""
    n = np.floor(x * LOG2E + f32(0.5))
    r = x - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = EXP[0]
    p = p * r + EXP[1]
    p = p * r + EXP[2]
    p = p * r + EXP[3]
    p = p * r + EXP[4]
    p = p * r + EXP[5]
    return n, r, p * (r * r) + r


@exact
def exp(x):
    """eˣ; ∞ and 0 where it leaves the range of floats, NaN of NaN."""
    z = min(max(x, LOWEST), HIGHEST)
    n, _, m = _reduced(z)
    half = np.floor(n * f32(0.5))  # in two steps: 2ⁿ itself may be out of range
    return (m + f32(1)) * power_of_two(half) * power_of_two(n - half)


@exact
def exp_of_negative(x):
    """eˣ for x ≤ 0, and 0 where that is below the normal floats, with which processors are slow."""
    n, _, m = _reduced(max(x, f32(-87)))
    y = (m + f32(1)) * power_of_two(n)
    return f32(0) if x < f32(-87) else y


@exact
def sigmoid_of_negative(z):
    """σ(−z) = 1 / (1 + eᶻ), and 0 where it is below the normal floats: two thirds of the time."""
    n, _, m = _reduced(min(max(z, f32(-87)), f32(88)))
    y = f32(1) / ((m + f32(1)) * power_of_two(n) + f32(1))
    return f32(0) if z > f32(88) else y


@exact
def tanh(x):
    """t / (t + 2) with t = e²ˣ − 1, which is exact near zero."""
    n, _, m = _reduced(f32(2) * min(max(x, f32(-9.5)), f32(9.5)))
    scale = power_of_two(n)
    t = scale * m + (scale - f32(1))
    return t / (t + f32(2))


@exact
def expm1_of_negative(x):
    """eˣ − 1 for x ≤ 0, exact near zero too."""
    n, _, m = _reduced(max(x, f32(-87)))
    scale = power_of_two(n)
    return scale * m + (scale - f32(1))


@exact
def log1p(e):
    """log(1 + e) for e from 0 to 1, as 2 artanh(s) = 2 (s + s³/3 + s⁵/5 + …) with s = e/(2 + e)."""
    s = e / (e + f32(2))
    z = s * s
    p = LOG1P[0]
    p = p * z + LOG1P[1]
    p = p * z + LOG1P[2]
    p = p * z + LOG1P[3]
    s = s + s
    return s * z * p + s
