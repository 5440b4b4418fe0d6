"""Products of a few rows with a matrix that stays, in tiles that fill the vector registers.

A recurrent layer multiplies by the same weights in every step. OpenBLAS reads them as they lie each
time, and reaches two thirds of what AVX-512 can do. Here they are first laid out in panels of 32
columns; the sums of a tile, 8 rows of a panel, stay in registers from the first to the last of the
numbers that they add. On processors without AVX-512 a panel's product is OpenBLAS's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from nnlite.ops.compiled import blas
from nnlite.ops.compiled.kernel import helper, kernel

LANES = 16  # float32 in a register of AVX-512, which has 32 of them
ROWS, VECTORS = 8, 2  # of a tile, whose sums take 16 registers
TILES = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]
WIDTH = LANES * VECTORS if TILES else 64  # columns of a panel


def empty_panels(inner: int, columns: int) -> np.ndarray:
    """Room for a matrix (inner, columns), as (panels, inner, width); the last two may overlap."""
    width = min(WIDTH, columns)
    return np.empty((-(-columns // width), inner, width), np.float32)


@kernel
def fill(panels, first, matrix, scales):
    """Lay out a matrix (K, columns), times a scale for each column, from panel row `first` on."""
    columns, width = matrix.shape[1], panels.shape[2]
    for p in range(len(panels)):
        begin = min(p * width, columns - width)
        for k in range(len(matrix)):
            row, of_panel = matrix[k, begin : begin + width], panels[p, first + k]
            for j in range(width):
                of_panel[j] = row[j] * scales[begin + j]


@kernel
def fill_transposed(panels, matrix):
    """Lay out the transpose of a matrix (columns, K)."""
    columns, width = len(matrix), panels.shape[2]
    for p in range(len(panels)):
        begin = min(p * width, columns - width)
        for first in range(0, matrix.shape[1], LANES):
            for j in range(width):
                row = matrix[begin + j]
                for k in range(first, min(first + LANES, row.size)):
                    panels[p, k, j] = row[k]


@helper
def product(a, panels, c):
    """In place, C = A W, for a W in panels; rows of A and of C lie in one piece each."""
    width = panels.shape[2]
    for p in range(len(panels)):
        j = min(p * width, c.shape[1] - width)
        of_panel = c[:, j : j + width]
        if TILES and width == WIDTH and len(a) >= ROWS:
            for first in range(0, len(a), ROWS):
                i = min(first, len(a) - ROWS)  # the last two tiles may overlap
                _tile(a[i : i + ROWS], panels[p], of_panel[i : i + ROWS])
        else:
            blas.product(a, panels[p], of_panel, 0.0)


@intrinsic
def _tile(_: Any, a: Any, b: Any, c: Any) -> Any:
    """In place, C = A B, for A (ROWS, K) and B (K, WIDTH)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)
        zero, no_vector = ir.Constant(ir.IntType(32), 0), ir.Constant(vector, ir.Undefined)
        first_lane = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)

        def rows(kind: Any, array: Any) -> list[Any]:
            """Pointers to the first value of each row."""
            view = context.make_array(kind)(context, builder, array)
            apart = cgutils.unpack_tuple(builder, view.strides, 2)[0]
            each = [builder.mul(apart, apart.type(r)) for r in range(ROWS)]
            return [cgutils.pointer_add(builder, view.data, offset) for offset in each]

        def vector_at(row: Any, column: Any) -> Any:
            return builder.bitcast(builder.gep(row, [column]), vector.as_pointer())

        of_a, of_c = rows(signature.args[0], arguments[0]), rows(signature.args[2], arguments[2])
        size = context.get_value_type(types.intp)
        columns = [size(LANES * v) for v in range(VECTORS)]
        sums = [
            [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in columns]
            for _ in of_a
        ]
        panel = context.make_array(signature.args[1])(context, builder, arguments[1])
        inner = cgutils.unpack_tuple(builder, panel.shape, 2)[0]
        with cgutils.for_range(builder, inner) as loop:
            start = builder.mul(loop.index, size(WIDTH))
            factors = [
                builder.load(vector_at(panel.data, builder.add(start, column)), align=4)
                for column in columns
            ]
            for row, of_row in zip(of_a, sums, strict=True):
                value = builder.load(builder.gep(row, [loop.index]))
                one = builder.insert_element(no_vector, value, zero)
                everywhere = builder.shuffle_vector(one, no_vector, first_lane)
                for total, factor in zip(of_row, factors, strict=True):
                    more = builder.fmul(everywhere, factor, flags=["contract"])
                    new = builder.fadd(builder.load(total), more, flags=["contract"])
                    builder.store(new, total)
        for row, of_row in zip(of_c, sums, strict=True):
            for column, total in zip(columns, of_row, strict=True):
                builder.store(builder.load(total), vector_at(row, column), align=4)
        return context.get_dummy_value()

    return types.none(a, b, c), codegen
