"""Sums of rows that belong to one place, one row after another."""

from __future__ import annotations

import numpy as np

from nnlite.ops import scatter as definitions
from nnlite.ops.compiled.kernel import fits, kernel, plain

WHOLE = np.dtype(np.int64)


def add_rows(total: np.ndarray, places: np.ndarray, rows: np.ndarray) -> None:
    if _fits(total, places, rows):
        _add_rows(total, places, rows)
    else:
        plain(definitions.add_rows)(total, places, rows)


def _fits(total: np.ndarray, places: np.ndarray, rows: np.ndarray) -> bool:
    """Whether they are contiguous and fit together: the kernel would write anywhere."""
    if places.dtype != WHOLE or not places.flags.c_contiguous or not fits(total, rows):
        return False
    if rows.shape != (places.size, *total.shape[1:]):
        return False
    return places.size > 0 and places.min() >= 0 and places.max() < len(total)


@kernel
def _add_rows(total, places, rows):
    for n in range(len(places)):
        row, place = rows[n], total[places[n]]
        for j in range(row.size):
            place[j] += row[j]
