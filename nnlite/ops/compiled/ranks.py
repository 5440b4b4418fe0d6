"""Which place the right class has among all: its score compared with every other."""

from __future__ import annotations

import numpy as np

from nnlite.ops import ranks as definitions
from nnlite.ops.compiled.kernel import fits, helper, kernel, plain

WHOLE = np.dtype(np.int64)


def ranks(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if scores.ndim == 2 and classes.shape == scores.shape[:1] and classes.dtype == WHOLE:
        found = np.empty(len(classes), np.int64)
        if classes.flags.c_contiguous and fits(scores) and _ranks(scores, classes, found):
            return found
    return plain(definitions.ranks)(scores, classes)


@kernel
def _ranks(scores, classes, found):
    """In `found` the ranks; False where one is none of the classes."""
    for n in range(len(scores)):
        if classes[n] < 0 or classes[n] >= scores.shape[1]:
            return False
        found[n] = _ahead(scores[n], classes[n])
    return True


@helper
def _ahead(row, own):
    """How many are not behind: a NaN is ahead of all others, and all are ahead of a NaN."""
    score, behind = row[own], 0
    for j in range(own):
        behind += row[j] < score
    for j in range(own, row.size):
        behind += row[j] <= score
    return row.size - behind
