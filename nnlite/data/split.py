"""Setting part of the data aside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnlite.core.arguments import checked
from nnlite.core.checks import is_whole
from nnlite.core.inputs import as_numbers
from nnlite.core.random import Rng, as_generator
from nnlite.core.rows import check_lengths


@checked
def train_test_split(
    *arrays: Any,
    test_size: float = 0.25,
    stratify: ArrayLike | None = None,
    rng: Rng = None,
) -> list[Any]:
    """Shuffle rows and split them in two, the same way for every array.

        x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y)

    Args:
        arrays: with the same number of rows each; `Padded` sequences too.
        test_size: a share between 0 and 1, or a number of rows (default 0.25).
        stratify: classes (N,) whose proportions both parts keep (default None).
        rng: a generator or seed (default: see `nn.seed`).

    Returns:
        Training and test part of each array in turn, as in scikit-learn.

    Raises:
        TypeError: when `stratify` holds no numbers.
        ValueError: lengths that differ, a size that leaves one part empty, or a class with fewer
            than two members.
    """
    if stratify is not None:
        stratify = as_numbers("stratify", stratify)
    checked = check_lengths("train_test_split", *arrays)
    rows = len(checked[0])
    test_rows = _test_rows(rows, test_size)
    if stratify is None:
        rng = as_generator(rng)
        test = rng.permutation(rows)[:test_rows]
    else:
        check_lengths("train_test_split: stratify", checked[0], stratify)
        members, wanted = _shares(stratify, test_rows)
        rng = as_generator(rng)  # once nothing can be refused any more
        test = np.concatenate(
            [rng.permutation(rows)[:n] for rows, n in zip(members, wanted, strict=True)]
        )
    is_test = np.zeros(rows, bool)
    is_test[test] = True
    train = rng.permutation(np.flatnonzero(~is_test))
    test = rng.permutation(test)
    return [array[part] for array in checked for part in (train, test)]


def _test_rows(rows: int, test_size: float) -> int:
    share = isinstance(test_size, float) and test_size < 1
    test_rows = round(rows * test_size) if share else test_size
    if not is_whole(test_rows) or not 0 < test_rows < rows:
        raise ValueError(
            f"test_size={test_size} of {rows} rows leaves one part empty; it must be a share "
            f"between 0 and 1 or a number of rows from 1 to {rows - 1}"
        )
    return int(test_rows)


def _shares(classes: np.ndarray, test_rows: int) -> tuple[list[np.ndarray], np.ndarray]:
    """(the rows of each class, how many of them go to the test part): from each class its share,
    at least one; the largest remainders round up.
    """
    values, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if classes.ndim != 1 or counts.min() < 2:
        rare = values[counts.argmin()]
        raise ValueError(
            f"stratify needs classes (N,) with at least two members each, got shape "
            f"{classes.shape} and {counts.min()} of class {rare}"
        )
    if not len(values) <= test_rows <= len(classes) - len(values):
        raise ValueError(
            f"stratify: a test part of {test_rows} of {len(classes)} rows cannot hold each of the "
            f"{len(values)} classes on both sides"
        )
    exact = counts * test_rows / len(classes)
    wanted = np.clip(np.floor(exact).astype(int), 1, counts - 1)  # every class on both sides
    while (missing := test_rows - wanted.sum()) != 0:
        step = int(np.sign(missing))
        room = wanted < counts - 1 if step > 0 else wanted > 1
        gap = np.where(room, step * (exact - wanted), -np.inf)
        wanted[int(gap.argmax())] += step
    return [np.flatnonzero(inverse == k) for k in range(len(values))], wanted
