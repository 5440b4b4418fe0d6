"""The profile: what it counts, and that the model in hand is left alone. Times are not tested."""

import importlib

import numpy as np
import pytest

import nnlite as nn

profile = importlib.import_module("nnlite.inspection.profile")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(profile, "SECONDS", 0.02)


def test_rows_and_counts():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Residual(nn.Linear(16, 16)))
    x = np.ones((4, 8), np.float32)
    result = nn.profile(model, nn.MSELoss(), x, np.zeros((4, 16), np.float32))
    names = [row.name for row in result.rows]
    assert names == [
        "Sequential (itself)",
        "layer 0 › Linear(8, 16)",
        "layer 1 › ReLU()",
        "layer 2 › Residual (itself)",
        "layer 2 › branch › Linear(16, 16)",
        "layer 2 › shortcut › Identity()",
        "MSELoss()",
    ]
    _, first, _, around, inner, _, _ = result.rows
    assert first.multiply_adds == 2 * 4 * 8 * 16  # forward and weight gradient; no input gradient
    assert inner.multiply_adds == 3 * 4 * 16 * 16
    assert first.bytes_moved == 2 * 4 * (4 * 8 + 4 * 16) + 3 * 4 * (8 * 16 + 16)
    assert around.bytes_moved == 2 * 4 * (4 * 16 + 4 * 16)  # its branch counts its own weights
    assert all(row.forward > 0 for row in result.rows)
    assert result.bottleneck.split(" takes ")[0] in names
    assert "GFLOP/s" in repr(result)
    assert "forward" not in vars(model[0])
    assert not model[0].weight.grad.any()


def named(model, x):
    """The rows of a profile by name; the target is zeros in the prediction's shape."""
    y = np.zeros_like(model.predict(x))
    rows = nn.profile(model, nn.MSELoss(), x, y).rows
    assert all(min(row.calls, row.memory, row.products) >= -1e-12 for row in rows)
    assert all(row.products <= row.seconds * (1 + 1e-9) for row in rows)
    return {row.name: row for row in rows}


def test_what_a_composite_does_itself_is_counted():
    x = np.random.default_rng(0).standard_normal((4, 48, 8)).astype(np.float32)
    rows = named(nn.Sequential(nn.MultiHeadAttention(8, 2)), x)
    own = rows["layer 0 › MultiHeadAttention (itself)"]
    assert own.multiply_adds == 3 * 2 * 4 * 48 * 48 * 8  # the scores and the weighted means
    rows = named(nn.Sequential(nn.LSTM(8, 5, num_layers=2)), x)
    own = rows["layer 0 › LSTM (itself)"]
    assert own.multiply_adds == 2 * 4 * 48 * (8 * 20 + 5 * 20)  # the first level; no dL/dx


def test_several_inputs_and_padded_ones():
    model = nn.Sequential(
        nn.Parallel(nn.Linear(4, 8), nn.Sequential(nn.Embedding(50, 8), nn.MeanOverTime())),
        nn.Join(),
        nn.Linear(16, 1),
    )
    tokens = nn.Padded(np.ones((16, 7), int), np.arange(16) % 7 + 1)
    rows = named(model, (np.ones((16, 4), np.float32), tokens))
    assert rows["layer 1 › Join()"].bytes_moved == 2 * 4 * 16 * (8 + 8 + 16)


class Whole(nn.Layer):
    """y = x, of one batch size alone."""

    def forward(self, x):
        if len(x) != 16:
            raise ValueError("expected 16 rows")
        self.save_for_backward()
        return x

    def backward(self, grad_output):
        self.saved()
        return grad_output


@pytest.mark.parametrize("rows", [1, 16])
def test_a_batch_that_cannot_be_cut(rows):
    model = nn.Sequential(nn.Linear(4, 4), Whole() if rows == 16 else nn.Identity())
    assert named(model, np.ones((rows, 4), np.float32))["layer 0 › Linear(4, 4)"].calls > 0
