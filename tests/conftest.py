"""Every test runs seeded, and with floating-point errors raised."""

import numpy as np
import pytest

import nnlite as nn


@pytest.fixture(autouse=True)
def strict_floats():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


@pytest.fixture(autouse=True)
def seeded():
    nn.seed(0)
