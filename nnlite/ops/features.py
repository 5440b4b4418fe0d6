"""Normalization of every row by its own mean and mean square, there and back."""

from __future__ import annotations

import numpy as np

from nnlite.ops.engine import twin
from nnlite.ops.products import sum_rows


@twin
def normalized(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float, centre: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, x̂, r) of rows x (R, C): x̂ = c r, r = 1/√(mean c² + ε) (R, 1), y = γ ⊙ x̂ + β.

    With `centre` c is x − mean x, otherwise x. Without γ and β y is x̂, the same array.
    """
    c = _centred(x) if centre else x
    square = np.vecdot(c, c)[:, None] / x.shape[-1]
    rstd = 1 / np.sqrt(square + eps)  # (R, 1)
    x_hat = np.multiply(c, rstd, out=c if centre else None)
    y = x_hat if weight is None else x_hat * weight
    if bias is not None:
        y += bias
    return y, x_hat, rstd


@twin
def normalized_backward(
    g: np.ndarray, x_hat: np.ndarray, rstd: np.ndarray, weight: np.ndarray | None, centre: bool,
    needed: bool,
) -> tuple[np.ndarray | None, np.ndarray | None]:  # fmt: skip
    """(dL/dx, dL/dγ): r times the centred D − x̂ mean(D ⊙ x̂), D = G ⊙ γ; and Σₙ G ⊙ x̂.

    The first is None if it is not needed, the second without γ.
    """
    along = g * x_hat  # G ⊙ x̂, (R, C)
    d_weight = None if weight is None else sum_rows(along)
    if not needed:
        return None, d_weight
    features = x_hat.shape[-1]
    gamma = np.ones(features, x_hat.dtype) if weight is None else weight
    mean_d_x_hat = (along @ gamma)[:, None] / features  # (R, 1)
    d_c = np.multiply(x_hat, -mean_d_x_hat, out=along)
    d_c += g * gamma  # D − x̂ mean(D ⊙ x̂)
    d_x = _centred(d_c, out=d_c) if centre else d_c
    d_x *= rstd
    return d_x, d_weight


def _centred(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Each row without its mean."""
    mean = (x @ np.ones(x.shape[-1], x.dtype))[:, None] / x.shape[-1]  # (R, 1)
    return np.subtract(x, mean, out=out)
