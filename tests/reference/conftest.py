"""What PyTorch's samples need; and says at the end how close the closest call was."""

import sys
import types
import unittest

import pytest

from .compare import worst


@pytest.fixture
def sampling(monkeypatch):
    """PyTorch's samples can be imported, without what their tests alone need, and are float64."""
    torch = pytest.importorskip("torch")
    tools = types.ModuleType("expecttest")
    tools.TestCase = unittest.TestCase
    monkeypatch.setitem(sys.modules, "expecttest", tools)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


def pytest_terminal_summary(terminalreporter):
    for dtype, share in sorted(worst.items()):
        terminalreporter.write_line(f"largest difference from PyTorch in {dtype}: {share:.1e}")
