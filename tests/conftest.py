"""Every test runs seeded, and with floating-point errors raised."""

import signal

import numpy as np
import pytest

import nnlite as nn
from nnlite.inspection import numeric


@pytest.fixture(autouse=True)
def strict_floats():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


@pytest.fixture(autouse=True)
def seeded():
    nn.seed(0)


@pytest.fixture
def few_entries(monkeypatch):
    """Gradients of arrays are checked along all directions, but in a sample of their entries."""
    monkeypatch.setattr(numeric, "ENTRIES", 8)
    monkeypatch.setattr(numeric, "SAMPLED", 8)


# a job in the background begins with Ctrl-C ignored, and what it does is tested here
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
