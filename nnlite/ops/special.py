"""Scalar functions applied to whole arrays, safe over the whole range of floats."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnlite.ops.engine import twin
from nnlite.ops.threads import over_blocks, over_parts

SMALL = 65_536  # up to this many values an array of zeros is kept for each shape


@functools.lru_cache(maxsize=32)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    zeros = np.zeros(shape, dtype)
    zeros.flags.writeable = False
    return zeros


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0); NumPy runs it three times as fast against an array of zeros as against a 0.

    For large x, the zeros are those of one sample, unless that is so short that the loops over
    samples would cost more.
    """
    if x.size <= SMALL:
        return np.maximum(x, _zeros(x.shape, x.dtype))
    shape, y = x.shape[1:], np.empty_like(x)
    zeros = _zeros(shape, x.dtype) if 64 <= math.prod(shape) <= SMALL else 0
    over_parts(lambda part: np.maximum(x[part], zeros, out=y[part]), len(x), x.size)
    return y


@twin
def apply(function: Callable[..., Any], x: np.ndarray) -> Any:
    """What a layer's `function` returns for x: y, and after it what its derivative needs."""
    return function(x)


@twin
def times_derivative(
    g: np.ndarray, derivative: Callable[..., np.ndarray], saved: Sequence[Any]
) -> np.ndarray:
    """g ⊙ f′, with f′ = derivative(*saved); large arrays block by block, in several threads.

    NumPy multiplies floats by booleans through a small buffer: converting a large mask first takes
    half as long.
    """
    if g.size <= SMALL or not saved or any(np.shape(a) != g.shape for a in saved):
        return g * derivative(*saved)
    d_x = np.empty(g.shape, np.result_type(g, derivative(*(a[:1] for a in saved))))

    def product(part: slice) -> None:
        factor, out = derivative(*(a[part] for a in saved)), d_x[part]
        if isinstance(factor, np.ndarray) and factor.dtype == bool:
            np.copyto(out, factor)
            factor = out
        np.multiply(g[part], factor, out=out)

    over_blocks(product, len(g), g.size)
    return d_x


def in_blocks(
    function: Callable[[np.ndarray], tuple[np.ndarray, ...]], x: np.ndarray, count: int
) -> tuple[np.ndarray, ...]:
    """The `count` arrays like x that an elementwise function returns.

    Large arrays are worked on block by block, in several threads: a chain of passes then reads
    memory once.
    """
    if x.size <= SMALL:
        return function(x)
    results = tuple(np.empty_like(x) for _ in range(count))

    def write(part: slice) -> None:
        for result, values in zip(results, function(x[part]), strict=True):
            result[part] = values

    over_blocks(write, len(x), x.size)
    return results


def sigmoid(x: np.ndarray) -> np.ndarray:
    """σ(x) = eˣ / (1 + eˣ), exact in the lower tail too, where it is eˣ.

    (½ tanh(x/2) + ½ would be 0 there: in float32 from x = −17 on.)
    """
    y, _ = _bounded_exp(x)
    y /= 1 + y
    return y


def sigmoid_of_negative(z: np.ndarray) -> None:
    """Put σ(−z) = 1 / (1 + eᶻ) in the place of z; where eᶻ overflows it is 0."""
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def sigmoid_and_rest(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ(x) and 1 − σ(x) = σ(−x) = 1 / (1 + eˣ), which a subtraction would round to 0."""
    y, beyond = _bounded_exp(x)
    rest = 1 + y
    np.reciprocal(rest, out=rest)
    y *= rest
    if beyond is not None:
        rest[beyond] = 0
    return y, rest


def _bounded_exp(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """eˣ, kept below overflow, and where it would overflow; None for nowhere, as nearly always.

    `argmax` takes a third of the time of `max`, and of `minimum`.
    """
    highest = _highest_exponent(x.dtype)
    if not x.size or x.item(x.argmax()) <= highest:  # NaN is not
        return np.exp(x), None
    return np.exp(np.minimum(x, highest)), x > highest


@functools.cache
def _highest_exponent(dtype: np.dtype[Any]) -> float:
    """The largest whole z whose eᶻ is finite: 88 in float32, 709 in float64."""
    return float(np.floor(np.log(np.finfo(dtype).max)))


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|), whose exponential never exceeds 1."""
    y = bend(x)
    y += relu(x)
    return y


def bend(x: np.ndarray) -> np.ndarray:
    """log(1 + e^−|x|), by which softplus exceeds max(x, 0)."""
    return np.log1p(np.exp(-np.abs(x)))


def expm1_negative(x: np.ndarray) -> np.ndarray:
    """eᶻ − 1 for z = min(x, 0), exact near zero too.

    With t = tanh(z/2), eᶻ = (1 + t)/(1 − t) and so eᶻ − 1 = 2t/(1 − t); this vectorizes, which
    `np.expm1` does not (4 times as fast on 65,536 floats).
    """
    t = np.tanh(0.5 * np.minimum(x, 0))
    return 2 * t / (1 - t)


# 2k/(2k + 1)! for k = 12 … 1
_MINUS_TANH = [2 * k / math.factorial(2 * k + 1) for k in range(12, 0, -1)]


def minus_tanh(x: np.ndarray) -> np.ndarray:
    """x − tanh(x), exact near zero too, where it is x³/3.

    Up to |x| = 1.25 it is (x cosh x − sinh x)/cosh x, whose numerator has the positive series
    Σₖ 2k/(2k + 1)! x^(2k+1), k ≥ 1, so that nothing cancels.
    """
    z = np.clip(x, -1.25, 1.25)
    square = z * z
    near = np.full_like(z, _MINUS_TANH[0])
    for coefficient in _MINUS_TANH[1:]:
        near *= square
        near += coefficient
    near *= square * z
    near /= np.cosh(z)
    return np.where(np.abs(x) <= 1.25, near, x - np.tanh(x))


# W. J. Cody 1969, "Rational Chebyshev approximations for the error function", Math. Comp. 23:
# numerators and denominators for |x| ≤ 0.46875, up to 4 and beyond, highest power first.
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
     1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
     3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], z: np.ndarray) -> np.ndarray:
    """numerator(z) / denominator(z), both by Horner's rule."""
    top, bottom = (np.full_like(z, c[0]) for c in coefficients)
    for value, rest in ((top, coefficients[0][1:]), (bottom, coefficients[1][1:])):
        for c in rest:
            value *= z
            value += c
    top /= bottom
    return top


# The float32 version of `_mills64`, as a rational function on [0, 14.5]: off by 6e-9, and all its
# terms are positive. Fitted by least squares in relative terms, reweighted until the error was
# level (Lawson's algorithm).
MILLS = (
    (1.03185913e-2, 1.01856393e-1, 4.59314714e-1, 1.09865985, 1.25331414),
    (1.03184716e-2, 1.01862837e-1, 4.69483549e-1, 1.20252403, 1.67448879, 1.0),
)


def normal_tail(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Q(a), φ(a)) for a ≥ 0: how likely a normal variable is beyond a, and its density.

    Q(a) = 1 − Φ(a) = Φ(−a) = φ(a) M(a) with Mills' ratio M, a smooth function from √(π/2) down to
    1/a, so that Q keeps its leading digits however small it is. φ(a) = e^(−a²/2)/√(2π).
    """
    density = np.exp(-0.5 * a * a)
    density *= 1 / math.sqrt(2 * math.pi)
    mills = _ratio(MILLS, a) if a.dtype == np.float32 else _mills64(a)
    return density * mills, density


def _mills64(a: np.ndarray) -> np.ndarray:
    """M(a) = √(π/2) e^s² erfc(s) with s = a/√2, by Cody's three ranges.

    Up to s = 0.46875, erfc is 1 − s times a rational function of s²; beyond, e^s² erfc(s) is a
    rational function R(s), and above 4 it is (1/√π − R(1/s²)/s²)/s.
    """
    s = a * math.sqrt(0.5)
    y = np.empty_like(s)
    small, large = s <= 0.46875, s > 4
    middle = ~(small | large)

    b = s[small]
    y[small] = np.exp(b * b) * (1 - b * _ratio(_SMALL, b * b))
    y[middle] = _ratio(_MIDDLE, s[middle])
    b = s[large]
    w = 1 / (b * b)
    y[large] = (1 / math.sqrt(math.pi) - w * _ratio(_LARGE, w)) / b
    y *= math.sqrt(math.pi / 2)
    return y
