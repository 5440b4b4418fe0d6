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


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_states_of_both_directions(cell, padded):
    rng = np.random.default_rng(0)
    layer = nn.Bidirectional(CELLS[cell](return_state=True)).astype(np.float64)
    count = layer.layer.state_count

    def states():  # as PyTorch has them, both directions in one array
        return [rng.standard_normal((2, N, H)) for _ in range(count)]

    def by_direction(each):
        pairs = [tuple(s[i : i + 1] for s in each) for i in range(2)]
        return tuple(pair if count == 2 else pair[0] for pair in pairs)

    def together(pairs):
        parts = zip(*(pair if count == 2 else (pair,) for pair in pairs), strict=True)
        return [np.concatenate(part) for part in parts]

    x, d_y = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, 2 * H))
    start, d_final = states(), states()
    lengths = theirs.LENGTHS if padded else None
    tensors = [torch.tensor(p.data, requires_grad=True) for p in layer.parameters()]
    t_x, *t_start = (torch.tensor(each, requires_grad=True) for each in (x, *start))
    state = tuple(t_start) if count == 2 else t_start[0]
    t_y, t_final = theirs.recurrent(cell, t_x, tensors, lengths, bidirectional=True, state=state)
    torch.autograd.backward([t_y, *t_final], [torch.tensor(d) for d in (d_y, *d_final)])

    y, final = layer(nn.Padded(x, lengths.numpy()) if padded else x, by_direction(start))
    d_x, d_start = layer.backward((d_y, by_direction(d_final)))
    assert_close(y.data if padded else y, t_y, "outputs")
    for ours, expected in zip(together(final), t_final, strict=True):
        assert_close(ours, expected, "states")
    gradients = [d_x, *together(d_start), *(p.grad for p in layer.parameters())]
    for ours, tensor in zip(gradients, [t_x, *t_start, *tensors], strict=True):
        assert_close(ours, tensor.grad, "gradients")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_states_of_a_projection(layers, count):
    rng = np.random.default_rng(0)
    layer = nn.LSTM(D, H, layers, proj_size=2, return_state=True).astype(np.float64)
    for parameter in layer.parameters():
        parameter.data = rng.standard_normal(parameter.shape)
    arrays = [rng.standard_normal((count, T, D))]
    arrays += [rng.standard_normal((layers, count, size)) for size in (2, H)]
    tensors = [torch.tensor(p.data, requires_grad=True) for p in layer.parameters()]
    x, *start = (torch.tensor(each, requires_grad=True) for each in arrays)
    t_y, t_final = theirs.projected(x, *tensors, state=start)
    y, final = layer(arrays[0], tuple(arrays[1:]))
    given = [rng.standard_normal(each.shape) for each in (y, *final)]
    torch.autograd.backward([t_y, *t_final], [torch.tensor(d) for d in given])
    d_x, d_start = layer.backward((given[0], tuple(given[1:])))
    assert_close(y, t_y, "outputs")
    for ours, expected in zip(final, t_final, strict=True):
        assert_close(ours, expected, "states")
    gradients = [d_x, *d_start, *(parameter.grad for parameter in layer.parameters())]
    for ours, tensor in zip(gradients, [x, *start, *tensors], strict=True):
        assert_close(ours, tensor.grad, "gradients")
