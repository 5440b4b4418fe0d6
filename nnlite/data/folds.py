"""Cross-validation: every row is tested on once, by a model that has not seen it."""

from __future__ import annotations

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.inputs import as_numbers
from nnlite.core.random import Rng, as_generator

Folds = list[tuple[np.ndarray, np.ndarray]]


@checked
def k_fold(
    rows: int,
    folds: int = 5,
    shuffle: bool = True,
    rng: Rng = None,
) -> Folds:
    """The rows of each fold's training and test part.

        for train, test in k_fold(len(x), folds=5):
            model = nn.clone(blueprint)
            ...
            trainer.fit(x[train], y[train], epochs=10, validation_data=(x[test], y[test]))

    Args:
        rows: how many there are.
        folds: how many parts, 2 to `rows` (default 5); their sizes differ by at most one row.
        shuffle: whether to deal the rows out at random (default True); without it, each test part
            is one stretch of rows, as series in time want it.
        rng: a generator or seed for shuffling (default: see `nn.seed`).

    Returns:
        (train, test) for each fold: ascending row numbers.

    Raises:
        ValueError: for fewer than 2 folds, or fewer rows than folds.
    """
    if rows < folds:
        raise ValueError(f"k_fold: {folds} folds need as many rows, got {rows}")
    order = as_generator(rng).permutation(rows) if shuffle else np.arange(rows)
    fold = np.empty(rows, np.int64)
    fold[order] = np.arange(rows) * folds // rows  # stretches whose sizes differ by at most one
    return _parts(fold, folds)


@checked
def stratified_k_fold(classes: np.ndarray, folds: int = 5, rng: Rng = None) -> Folds:
    """Folds that all have the classes in the same proportions, to within one row a class.

    Args:
        classes: (N,), integers or other numbers.
        folds: how many parts, at least 2 (default 5); their sizes differ by at most one row.
        rng: a generator or seed for shuffling (default: see `nn.seed`).

    Returns:
        (train, test) for each fold, as `k_fold` does.

    Raises:
        TypeError: when the classes are not numbers.
        ValueError: for another shape than (N,), fewer than 2 folds, or a class with fewer members
            than there are folds.
    """
    classes = as_numbers("classes", classes)
    if classes.ndim != 1:
        raise ValueError(f"stratified_k_fold: expected classes (N,), got shape {classes.shape}")
    values, counts = np.unique(classes, return_counts=True)
    if counts.min() < folds:
        raise ValueError(
            f"stratified_k_fold: class {values[counts.argmin()]} has {counts.min()} members, "
            f"fewer than the {folds} folds"
        )
    # Dealt out like cards, class after class: no fold gets two more than another, of any class
    # or in all.
    shuffled = as_generator(rng).permutation(len(classes))
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    fold = np.empty(len(classes), np.int64)
    fold[order] = np.arange(len(classes)) % folds
    return _parts(fold, folds)


def _parts(fold: np.ndarray, folds: int) -> Folds:
    """Row numbers outside and inside each fold."""
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]
