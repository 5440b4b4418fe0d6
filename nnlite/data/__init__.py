"""Data: toy sets, handwritten digits, files, batches, splits and folds."""

from typing import TYPE_CHECKING

from nnlite.core.habits import missing_in
from nnlite.data import augment
from nnlite.data.batches import batches
from nnlite.data.digits import load_digits
from nnlite.data.folds import k_fold, stratified_k_fold
from nnlite.data.idx import load_idx
from nnlite.data.lengths import by_length
from nnlite.data.prefetch import prefetch
from nnlite.data.prepare import one_hot, standardize
from nnlite.data.split import train_test_split
from nnlite.data.toy import (
    blobs,
    checkerboard,
    circles,
    moons,
    sine,
    spirals,
    swiss_roll,
    xor,
)

if not TYPE_CHECKING:  # mypy knows the names
    __getattr__ = missing_in(__name__)

__all__ = [
    "augment",
    "batches",
    "blobs",
    "by_length",
    "checkerboard",
    "circles",
    "k_fold",
    "load_digits",
    "load_idx",
    "moons",
    "one_hot",
    "prefetch",
    "sine",
    "spirals",
    "standardize",
    "stratified_k_fold",
    "swiss_roll",
    "train_test_split",
    "xor",
]
