"""Normalization of rows, a few of them at a time."""

from __future__ import annotations

import numpy as np

from nnlite.ops import features as definitions
from nnlite.ops.compiled.functions import exact
from nnlite.ops.compiled.kernel import fits, kernel, plain
from nnlite.ops.threads import over_parts

ROWS = 64  # at a time: step by step for all of them, because a row's steps wait for each other


def normalized(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float, centre: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gamma, beta = _or_nothing(weight, x), _or_nothing(bias, x)
    if not (fits(x, gamma, beta) and _suits(weight, x) and _suits(bias, x)):
        return plain(definitions.normalized)(x, weight, bias, eps, centre)
    x_hat, rstd = np.empty_like(x), np.empty((len(x), 1), x.dtype)
    y = x_hat if weight is None else np.empty_like(x)
    over_parts(
        lambda part: normalize(
            x[part], gamma, beta, eps, centre, y[part], x_hat[part], rstd[part]
        ),
        len(x), x.size // 4,
    )  # fmt: skip
    return y, x_hat, rstd


def normalized_backward(
    g: np.ndarray, x_hat: np.ndarray, rstd: np.ndarray, weight: np.ndarray | None, centre: bool,
    needed: bool,
) -> tuple[np.ndarray | None, np.ndarray | None]:  # fmt: skip
    gamma = _or_nothing(weight, x_hat)
    if not (fits(g, x_hat, rstd, gamma) and _suits(weight, g)):
        return plain(definitions.normalized_backward)(g, x_hat, rstd, weight, centre, needed)
    d_x = np.empty(g.shape if needed else (0, g.shape[1]), g.dtype)
    parts = over_parts(
        lambda part: normalize_backward(
            g[part], x_hat[part], rstd[part], gamma, centre, needed, d_x[part]
        ),
        len(g), g.size // 4,
    )  # fmt: skip
    d_weight = parts[0]
    for other in parts[1:]:
        d_weight += other
    return (d_x if needed else None), (None if weight is None else d_weight)


def _or_nothing(vector: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    return np.empty(0, like.dtype) if vector is None else vector


def _suits(vector: np.ndarray | None, x: np.ndarray) -> bool:
    """Whether it has a value for each feature: it may have been replaced by any other."""
    return vector is None or vector.shape == x.shape[1:]


@kernel
def normalize(x, gamma, beta, eps, centre, y, x_hat, rstd):
    real = x.dtype.type
    count, features = x.shape
    means = np.zeros(ROWS, x.dtype)
    for start in range(0, count, ROWS):
        rows = min(ROWS, count - start)
        block = slice(start, start + rows)
        xs, x_hats, ys, r = x[block], x_hat[block], y[block], rstd[block, 0]
        for n in range(rows if centre else 0):
            total = real(0)
            for j in range(features):
                total += xs[n, j]
            means[n] = total / real(features)
        for n in range(rows):
            total, mean = real(0), means[n]
            for j in range(features):
                c = xs[n, j] - mean
                total += c * c
            r[n] = _inverse_root(total / real(features) + real(eps))
        for n in range(rows):
            mean, scale, row, z = means[n], r[n], xs[n], x_hats[n]
            for j in range(features):
                z[j] = (row[j] - mean) * scale
        for n in range(rows if gamma.size else 0):
            z, result = x_hats[n], ys[n]
            if beta.size:
                for j in range(features):
                    result[j] = z[j] * gamma[j] + beta[j]
            else:
                for j in range(features):
                    result[j] = z[j] * gamma[j]


@exact
def _inverse_root(square):
    """1/√square, 0 for ∞: with leave to estimate it, processors would say NaN."""
    return np.float32(1) / np.sqrt(square)


@kernel
def normalize_backward(g, x_hat, rstd, gamma, centre, needed, d_x):
    """dL/dγ; dL/dx goes into d_x."""
    real = g.dtype.type
    count, features = g.shape
    w = gamma if gamma.size else np.ones(features, g.dtype)
    d_weight = np.zeros(features, g.dtype)
    part = np.empty(features, g.dtype)  # of this block: the rounding error of one long sum grows
    alongs, shifts = np.empty(ROWS, g.dtype), np.zeros(ROWS, g.dtype)
    for start in range(0, count, ROWS):
        rows = min(ROWS, count - start)
        block = slice(start, start + rows)
        gs, x_hats = g[block], x_hat[block]
        part[:] = 0
        for n in range(rows if gamma.size else 0):
            for j in range(features):
                part[j] += gs[n, j] * x_hats[n, j]
        for j in range(features):
            d_weight[j] += part[j]
        if not needed:
            continue
        ds, r = d_x[block], rstd[block, 0]
        for n in range(rows):
            along, total, total_x_hat = real(0), real(0), real(0)
            for j in range(features):
                d = gs[n, j] * w[j]
                along += d * x_hats[n, j]
                total += d
                total_x_hat += x_hats[n, j]
            alongs[n] = along / real(features)
            if centre:  # the mean of D − x̂ mean(D ⊙ x̂)
                shifts[n] = (total - alongs[n] * total_x_hat) / real(features)
        for n in range(rows):
            along, shift, scale = alongs[n], shifts[n], r[n]
            for j in range(features):
                ds[n, j] = (gs[n, j] * w[j] - x_hats[n, j] * along - shift) * scale
    return d_weight
