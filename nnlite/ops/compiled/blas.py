"""Matrix products inside kernels, by the OpenBLAS that NumPy brings.

A kernel that calls it runs a whole recurrent pass, or a block of an attention, without coming back
to Python between two products. Where NumPy has another library `available` is False, and the twins
that need products leave the work to their definitions.
"""

from __future__ import annotations

import ctypes
import os

import numba
import numpy as np
from llvmlite import binding
from numba import types

from nnlite.core.runtime import library

ROWS, PLAIN, TRANSPOSED = 101, 111, 112  # CBLAS's names for the layout of matrices
SYMBOL = "nnlite_cblas_sgemm"


def _register() -> bool:
    """Tell the compiler where the product of float32 matrices is; False where it is not found."""
    for name in ("scipy_cblas_sgemm64_", "scipy_cblas_sgemm", "cblas_sgemm64_"):
        function = getattr(library(), name, None)
        if function is not None:
            address = ctypes.cast(function, ctypes.c_void_p).value
            binding.add_symbol(SYMBOL, address)
            return name.endswith("64_")
    return False


available = _register()
_number, _size, _real = types.int32, types.int64, types.float32
_array = types.CPointer(types.float32)
_sgemm = types.ExternalFunction(
    SYMBOL,
    types.void(
        _number, _number, _number, _size, _size, _size,
        _real, _array, _size, _array, _size, _real, _array, _size,
    ),
)  # fmt: skip


_asleep = True  # whether a fork may have ended OpenBLAS's threads, which a large product starts


def wake() -> None:
    """Let OpenBLAS start its threads, should a fork have ended them.

    A thread begins with the processor's control word of the one that starts it, and keeps it. So
    this comes before kernels that multiply under a word of their own.
    """
    global _asleep
    if _asleep:
        _asleep = False
        ones = np.ones((256, 256), np.float32)
        np.matmul(ones, ones)


def _forked() -> None:
    global _asleep
    _asleep = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_forked, after_in_child=_forked)


@numba.njit
def product(a, b, c, keep):
    """In place, C ← A B + keep C; rows lie in one piece each (there may be gaps between them)."""
    _multiply(a, PLAIN, a.shape[1], b, PLAIN, c, keep)


@numba.njit
def product_with_transposed(a, b, c, keep):
    """In place, C ← A Bᵀ + keep C."""
    _multiply(a, PLAIN, a.shape[1], b, TRANSPOSED, c, keep)


@numba.njit
def transposed_product(a, b, c, keep):
    """In place, C ← Aᵀ B + keep C."""
    _multiply(a, TRANSPOSED, a.shape[0], b, PLAIN, c, keep)


@numba.njit
def _multiply(a, way_a, inner, b, way_b, c, keep):
    _sgemm(
        np.int32(ROWS), np.int32(way_a), np.int32(way_b), c.shape[0], c.shape[1], inner,
        np.float32(1), a.ctypes, _apart(a), b.ctypes, _apart(b),
        np.float32(keep), c.ctypes, _apart(c),
    )  # fmt: skip


@numba.njit
def _apart(a):
    """From one row to the next. The step of a single row means nothing: x[None] has one of 0."""
    return max(a.strides[0] // a.itemsize, a.shape[1])
