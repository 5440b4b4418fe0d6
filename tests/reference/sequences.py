"""Embedding and recurrent layers in PyTorch, whose second bias is zero here outside of GRU's reset.

PyTorch has no GRU that resets before the product; that one is written out step by step.
"""

import warnings

import torch
from cases.sequences import CELLS, LAYERS
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LENGTHS = torch.tensor([2, 5, 1])
THEIRS = {"RNN": torch.rnn_tanh, "RNN relu": torch.rnn_relu, "LSTM": torch.lstm, "GRU": torch.gru}


def by_layer(cell, weights):
    """The weights of each layer of a stack."""
    count = 4 if cell == "GRU" else 3
    return [weights[i : i + count] for i in range(0, len(weights), count)]


def in_their_layout(cell, weights):
    """(weight_ih, weight_hh, bias) of one layer or more, and GRU's bias_hn, as a flat list."""
    flat = []
    for w_ih, w_hh, bias, *bias_hn in by_layer(cell, weights):
        second = torch.zeros_like(bias)
        if bias_hn:
            second = torch.cat([second[len(bias_hn[0]) :], bias_hn[0]])
        flat += [w_ih.T, w_hh.T, bias, second]
    return flat


def start(cell, x, layers, hidden):
    zeros = torch.zeros(layers, len(x), hidden, dtype=x.dtype)
    return (zeros, zeros) if cell == "LSTM" else zeros


def recurrent(cell, x, weights, lengths=None, bidirectional=False, state=None):
    """(y, states) of all layers; padded sequences go in packed."""
    if cell == "GRU before":
        return reset_before(x, weights, lengths, state)
    flat = in_their_layout(cell, weights)
    layers, hidden = len(flat) // 4, weights[1].shape[0]
    hx = start(cell, x, layers, hidden) if state is None else state
    options = (True, layers // (2 if bidirectional else 1), 0.0, False, bidirectional)
    if lengths is None:
        y, *states = THEIRS[cell](x, hx, flat, *options, True)
        return y, states
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    order = packed.sorted_indices
    hx = tuple(h[:, order] for h in hx) if cell == "LSTM" else hx[:, order]
    data, *states = THEIRS[cell](packed.data, packed.batch_sizes, hx, flat, *options)
    y, _ = pad_packed_sequence(
        packed._replace(data=data), batch_first=True, total_length=x.shape[1]
    )
    return y, [each[:, packed.unsorted_indices] for each in states]


def reset_before(x, weights, lengths=None, state=None):
    """Cho et al. 2014, one step after another."""
    lengths = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
    finals = []
    for level in range(len(weights) // 3):
        w_ih, w_hh, bias = weights[3 * level : 3 * level + 3]
        hidden = w_hh.shape[0]
        h = torch.zeros(len(x), hidden, dtype=x.dtype) if state is None else state[level]
        u_r, u_z, u_n = w_hh.split(hidden, 1)
        outputs = []
        for t in range(x.shape[1]):
            a_r, a_z, a_n = (x[:, t] @ w_ih + bias).split(hidden, 1)
            r, z = torch.sigmoid(a_r + h @ u_r), torch.sigmoid(a_z + h @ u_z)
            n = torch.tanh(a_n + (r * h) @ u_n)
            live = (t < lengths)[:, None]
            h = torch.where(live, (1 - z) * n + z * h, h)
            outputs.append(torch.where(live, h, 0.0))
        x = torch.stack(outputs, 1)
        finals.append(h)
    return x, [torch.stack(finals)]


def without_bias(cell, weights):
    """Zeros where a layer has no bias."""
    w_ih, w_hh = weights
    zeros = torch.zeros(w_ih.shape[1], dtype=w_ih.dtype)
    return (w_ih, w_hh, zeros, zeros[: len(w_hh)])[: 4 if cell == "GRU" else 3]


def rows_of(cell):
    """A counterpart for each of the cell's rows."""

    def sequences(x, *weights):
        return recurrent(cell, x, weights)[0]

    def last(x, *weights):
        return recurrent(cell, x, weights)[0][:, -1]

    def padded(x, *weights):
        return recurrent(cell, x, weights, LENGTHS)[0]

    def padded_last(x, *weights):
        return recurrent(cell, x, weights, LENGTHS)[1][0][-1]

    return {
        cell: sequences,
        f"{cell} one step": sequences,
        f"{cell} no bias": lambda x, *weights: sequences(x, *without_bias(cell, weights)),
        f"{cell} last": last,
        f"{cell} stacked": last,
        f"{cell} padded": masked(padded),
        f"{cell} padded last": padded_last,
        f"{cell} padded stacked": masked(padded),
    }


def mask(y):
    return (torch.arange(y.shape[1]) < LENGTHS[:, None])[:, :, None]


def masked(function):
    """The gradient that arrives in the padding does not count."""

    def run(x, *weights):
        y = function(x, *weights)
        return y * mask(y)

    return run


def projected(x, *weights, bidirectional=False, state=None):
    """(y, states) of LSTMs with a projection, (w_ih, w_hh, bias, w_hr) for each."""
    flat = []
    for w_ih, w_hh, bias, w_hr in zip(*[iter(weights)] * 4, strict=True):
        flat += [w_ih.T, w_hh.T, bias, torch.zeros_like(bias), w_hr.T]
    layers, (hidden, size) = len(weights) // 4, weights[3].shape
    if state is None:
        state = [torch.zeros(layers, len(x), each, dtype=x.dtype) for each in (size, hidden)]
    options = (True, layers // (2 if bidirectional else 1), 0.0, False, bidirectional)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported")
        y, *states = torch.lstm(x, state, flat, *options, True)
    return y, states


def projected_alone(x, *weights):
    """Both directions, each sequence by itself."""
    rows = []
    for row, length in zip(x, LENGTHS, strict=True):
        y, _ = projected(row[None, :length], *weights, bidirectional=True)
        rows.append(F.pad(y[0], (0, 0, 0, x.shape[1] - length)))
    return torch.stack(rows)


def without_projection_bias(x, w_ih, w_hh, w_hr):
    bias = torch.zeros(w_ih.shape[1], dtype=x.dtype)
    return projected(x, w_ih, w_hh, bias, w_hr)[0][:, -1]


def both(cell, lengths=None):
    def run(x, *weights):
        return recurrent(cell, x, weights, lengths, bidirectional=True)[0]

    return run


def both_last(cell, lengths=None):
    def run(x, *weights):
        forward, reverse = recurrent(cell, x, weights, lengths, bidirectional=True)[1][0]
        return torch.cat([forward, reverse], -1)

    return run


def two_kinds(x, *weights):
    forward = recurrent("RNN", x, weights[:3])[0]
    reverse = recurrent("GRU", x.flip(1), weights[3:])[0]
    return torch.cat([forward, reverse.flip(1)], -1)


def mean_padded(x):
    return (x * mask(x)).sum(1) / LENGTHS[:, None]


def tagger(x, w1, b1, *weights):
    x = x @ w1 + b1
    branch = recurrent("GRU", torch.tanh(x), weights[:8], LENGTHS, bidirectional=True)[0]
    x = x + branch @ weights[8] + weights[9]
    y = recurrent("LSTM", x, weights[10:], LENGTHS)[0]
    return y * mask(y)


def embedding(padding_idx=None):
    def run(x, weight):
        tokens = (4 * x.abs()).floor().long() % len(weight)
        return F.embedding(tokens, weight, padding_idx) + 0 * x[..., None]

    return run


REFERENCE = {
    "Embedding": embedding(),
    "Embedding time": embedding(),
    "Embedding padding": embedding(padding_idx=2),
    "LastStep": lambda x: x[:, -1],
    "LastStep padded": lambda x: x[torch.arange(len(x)), LENGTHS - 1],
    "MeanOverTime": lambda x: x.mean(1),
    "MeanOverTime maps": lambda x: x.mean(1),
    "MeanOverTime padded": mean_padded,
    "Bidirectional": both("LSTM"),
    "Bidirectional last": both_last("GRU"),
    "Bidirectional two": two_kinds,
    "Bidirectional stacked": both("LSTM"),
    "Bidirectional padded": masked(both("LSTM", LENGTHS)),
    "Bidirectional padded last": both_last("GRU", LENGTHS),
    "Sequential padded": tagger,
    "LSTM projected": lambda x, *weights: projected(x, *weights)[0],
    "LSTM projected last": without_projection_bias,
    "LSTM projected stacked": lambda x, *weights: projected(x, *weights)[0],
    "LSTM projected padded": projected_alone,
    **{name: function for cell in CELLS for name, function in rows_of(cell).items()},
}
# PyTorch draws other masks from the same seed.
WITHOUT_COUNTERPART = {name for name in LAYERS if name.endswith("dropout")}
