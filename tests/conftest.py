"""Every test runs seeded, and with floating-point errors raised."""

import signal

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


# a job in the background begins with Ctrl-C ignored, and what it does is tested here
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
