"""Matrix products, in the form that BLAS runs fastest."""

from __future__ import annotations

import numpy as np

SMALL = 32_768  # values; copying so many costs a few microseconds


def times(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """X W for x (…, in) and w (in, out), as one product of matrices.

    NumPy would multiply every (T, in) of an (N, T, in) by itself, which is a quarter slower.
    """
    if x.ndim == 2:
        return x @ w
    y = x.reshape(-1, w.shape[0]) @ w
    return y.reshape(*x.shape[:-1], w.shape[1])


def times_transposed(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """G Wᵀ for g (…, out) and w (in, out).

    OpenBLAS has fast paths for small products of matrices as they lie in memory, and none for a
    transposed right factor: (64, 64) times (128, 64)ᵀ takes 35 µs, and 14 µs with the transpose
    written out first. Large products do not care, and then the copy would cost.
    """
    return times(g, w.T.copy() if w.size <= SMALL else w.T)
