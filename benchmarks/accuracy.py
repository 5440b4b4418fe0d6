"""How exact activations and losses are, and their derivatives: the tests' table of exact forms."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.turns import ROOT

sys.path.append(str(ROOT / "tests"))
from cases.accuracy import LAYERS, LOSSES, worst_ulps


def worst() -> dict[str, tuple[float, ...]]:
    """By function, the largest errors in ulps: of the value and the derivative, by dtype.

    Beyond what rounding x by 2 ulps would do, as the tests count them.
    """
    return {
        name: (*worst_ulps(row, np.float32), *worst_ulps(row, np.float64))
        for name, row in (LAYERS | LOSSES).items()
    }
