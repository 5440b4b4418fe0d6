"""How exact the gradients are: the worst row of the tests' case table."""

from __future__ import annotations

import sys
import warnings

import numpy as np

import nnlite as nn
from benchmarks.turns import ROOT

sys.path.append(str(ROOT / "tests"))
from cases import LAYERS, LOSSES, layer_input, layer_of
from cases.kinds import loss_check


def worst_errors() -> dict[str, float]:
    """The largest relative error in float64 of each row's gradients."""
    nn.seed(0)
    errors = {}
    for name, case in LAYERS.items():
        if case.by_difference:
            rows = nn.check_gradients(layer_of(case), layer_input(case))
            errors[name] = max(row.error for row in rows)
    for name, case in LOSSES.items():
        rng = np.random.default_rng(0)
        prediction, target = case.prediction(rng), case.target(rng)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = nn.check_gradients(*loss_check(prediction), case.make(), target)
        errors[name] = max(row.error for row in rows)
    return errors
