"""The profile: what it counts, and that the model in hand is left alone. Times are not tested."""

import numpy as np

import nnlite as nn


def test_rows_and_counts():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Residual(nn.Linear(16, 16)))
    x = np.ones((4, 8), np.float32)
    result = nn.profile(model, nn.MSELoss(), x, np.zeros((4, 16), np.float32))
    names = [row.name for row in result.rows]
    assert names == [
        "layer 0 › Linear(8, 16)",
        "layer 1 › ReLU()",
        "layer 2 › branch › Linear(16, 16)",
        "layer 2 › shortcut › Identity()",
        "MSELoss()",
    ]
    first, _, inner, _, _ = result.rows
    assert first.multiply_adds == 2 * 4 * 8 * 16  # forward and weight gradient; no input gradient
    assert inner.multiply_adds == 3 * 4 * 16 * 16
    assert first.bytes_moved == 2 * 4 * (4 * 8 + 4 * 16) + 3 * 4 * (8 * 16 + 16)
    assert all(row.forward > 0 for row in result.rows)
    assert result.bottleneck.split(" takes ")[0] in names
    assert "GFLOP/s" in repr(result)
    assert "forward" not in vars(model[0])
    assert not model[0].weight.grad.any()
