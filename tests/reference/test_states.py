"""States that go into recurrent layers and come out of them are PyTorch's, gradients too."""

import numpy as np
import pytest
from cases.sequences import CELLS

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("reference.sequences")

N, T, D, H = 3, 5, 4, 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_their_gradients(cell, layers, padded, dtype):
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    layer = CELLS[cell](num_layers=layers, return_state=True).astype(dtype)
    for parameter in layer.parameters():
        parameter.data = draw(*parameter.shape)
    x, start = draw(N, T, D), [draw(layers, N, H) for _ in range(layer.state_count)]
    lengths = theirs.LENGTHS if padded else None
    tensors = [torch.tensor(p.data, requires_grad=True) for p in layer.parameters()]
    t_x, *t_start = (torch.tensor(each, requires_grad=True) for each in (x, *start))

    state = tuple(t_start) if cell == "LSTM" else t_start[0]
    t_y, t_final = theirs.recurrent(cell, t_x, tensors, lengths, state=state)
    state = tuple(start) if cell == "LSTM" else start[0]
    y, final = layer(nn.Padded(x, lengths.numpy()) if padded else x, state)
    final = list(final) if cell == "LSTM" else [final]
    d_y, d_final = draw(N, T, H), [draw(layers, N, H) for _ in final]
    torch.autograd.backward([t_y, *t_final], [torch.tensor(d) for d in (d_y, *d_final)])
    d_x, d_start = layer.backward((d_y, tuple(d_final) if cell == "LSTM" else d_final[0]))
    d_start = list(d_start) if cell == "LSTM" else [d_start]

    assert_close(y.data if padded else y, t_y, "outputs")
    for ours, expected in zip(final, t_final, strict=True):
        assert_close(ours, expected, "states")
    named = layer.named_parameters()
    gradients = [d_x, *d_start, *(parameter.grad for parameter in named.values())]
    names = ["input", *["state"] * len(start), *named]
    for name, ours, tensor in zip(names, gradients, [t_x, *t_start, *tensors], strict=True):
        assert_close(ours, tensor.grad, f"gradients of {name}")
