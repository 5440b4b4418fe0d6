"""What works without the extras, and what a missing one is told as."""

import re
import sys

import numpy as np
import pytest

import nnlite as nn


@pytest.fixture(autouse=True)
def without(monkeypatch):
    """As on a machine on which nothing but nnlite is installed."""
    for name in ("torch", "safetensors", "safetensors.numpy", "h5py", "keras"):
        monkeypatch.setitem(sys.modules, name, None)


CALLS = {
    "torch": lambda path: nn.interop.load_torch(nn.Linear(2, 3), path),
    "torch out": lambda path: nn.interop.to_torch(nn.Linear(2, 3)),
    "safetensors": lambda path: nn.interop.load_safetensors(nn.Linear(2, 3), path),
    "safetensors out": lambda path: nn.interop.save_safetensors(nn.Linear(2, 3), path),
    "keras": lambda path: nn.interop.load_keras(nn.Linear(2, 3), path),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_extra_is_named(tmp_path, name):
    (tmp_path / "net.pt").write_bytes(b"")
    extra = name.split()[0]
    package = {"keras": "h5py"}.get(extra, extra)
    message = re.escape(f'needs {package}: python -m pip install "nnlite[{extra}]"')
    with pytest.raises(ImportError, match=message):
        CALLS[name](tmp_path / "net.pt")


def test_a_state_dict_of_arrays_needs_no_extra():
    layer, weight = nn.Linear(2, 3), np.arange(6.0).reshape(3, 2)
    report = nn.interop.load_torch(layer, {"fc.weight": weight, "fc.bias": np.ones(3)})
    np.testing.assert_array_equal(layer.weight.data, weight.T)
    assert repr(report).startswith("weights from the state dict\nmatched: 2 of the model's 2 array")


def test_names_are_found_and_others_are_not():
    assert {"load_torch", "to_torch", "load_keras", "load_safetensors"} <= set(dir(nn.interop))
    with pytest.raises(AttributeError, match="has no attribute 'load_tensorflow'"):
        nn.interop.load_tensorflow  # noqa: B018
