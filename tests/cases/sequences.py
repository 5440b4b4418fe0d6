"""Rows of the embedding, the recurrent layers, and what makes one vector of a sequence."""

from typing import ClassVar

import numpy as np

import nnlite as nn
from cases.kinds import LayerCase


class Tokens(nn.Embedding):
    """An embedding that makes its tokens out of floats, for tests that move every input."""

    def forward(self, x):
        self.check_floating(x)
        self.moved = x
        return super().forward(np.floor(4 * np.abs(x)).astype(np.int64) % self.num_embeddings)

    def backward(self, grad_output):
        super().backward(grad_output)
        return np.zeros_like(self.moved)


class Ending(nn.Layer):
    """A layer on sequences that end at the given lengths; arrays go in and come out."""

    equations: ClassVar = {"forward": "y = f(Padded(x, lengths))", "input": "that of f"}

    def __init__(self, layer, lengths):
        self.layer = layer
        self.lengths = lengths

    def forward(self, x):
        lengths = np.minimum(self.lengths[: len(x)], x.shape[1])  # of a part of the batch
        y = nn.Padded(x, lengths).through(self.layer)
        if not isinstance(y, nn.Padded):
            self.save_for_backward(None)
            return y
        self.save_for_backward(y.mask)
        return y.data * y.mask[:, :, None]

    def backward(self, grad_output):
        (mask,) = self.saved()
        if mask is not None:  # as a loss that was given the mask
            grad_output = grad_output * mask[:, :, None]
        self.layer.needs_input_grad = self.needs_input_grad
        return self.layer.backward(grad_output)


def ending(make):
    return LayerCase(lambda: Ending(make(), [2, 5, 1]), (3, 5, 4), by_sample=False)


def tagger():
    return nn.Sequential(
        nn.Linear(4, 3),
        nn.Residual(nn.Sequential(nn.Tanh(), nn.Bidirectional(nn.GRU(3, 2)), nn.Linear(4, 3))),
        nn.LSTM(3, 2),
    )


SHAPE = (3, 5, 4)
CELLS = {
    "RNN": lambda **options: nn.RNN(4, 3, **options),
    "RNN relu": lambda **options: nn.RNN(4, 3, nonlinearity="relu", **options),
    "LSTM": lambda **options: nn.LSTM(4, 3, **options),
    "GRU": lambda **options: nn.GRU(4, 3, **options),
    "GRU before": lambda **options: nn.GRU(4, 3, reset_after=False, **options),
}
LAYERS: dict[str, LayerCase] = {
    "Embedding": LayerCase(lambda: Tokens(7, 3), (4,)),
    "Embedding time": LayerCase(lambda: Tokens(5, 3), (3, 6)),
    "Embedding padding": LayerCase(lambda: Tokens(5, 3, padding_idx=2), (3, 6)),
    "LastStep": LayerCase(nn.LastStep, SHAPE, moves_only=True),
    "LastStep padded": ending(nn.LastStep)._replace(moves_only=True),
    "MeanOverTime": LayerCase(nn.MeanOverTime, SHAPE),
    "MeanOverTime maps": LayerCase(nn.MeanOverTime, (2, 3, 2, 4)),
    "MeanOverTime padded": ending(nn.MeanOverTime),
    "Bidirectional": LayerCase(lambda: nn.Bidirectional(nn.LSTM(4, 3)), SHAPE),
    "Bidirectional last": LayerCase(
        lambda: nn.Bidirectional(nn.GRU(4, 3, return_sequences=False)), SHAPE
    ),
    "Bidirectional two": LayerCase(lambda: nn.Bidirectional(nn.RNN(4, 2), nn.GRU(4, 3)), SHAPE),
    "Bidirectional stacked": LayerCase(
        lambda: nn.Sequential(nn.Bidirectional(nn.LSTM(4, 3)), nn.Bidirectional(nn.LSTM(6, 3))),
        SHAPE,
    ),
    "Bidirectional padded": ending(lambda: nn.Bidirectional(nn.LSTM(4, 3))),
    "Bidirectional padded last": ending(
        lambda: nn.Bidirectional(nn.GRU(4, 3, return_sequences=False))
    ),
    "Sequential padded": ending(tagger),
}
for name, make in CELLS.items():
    LAYERS |= {
        name: LayerCase(make, SHAPE),
        f"{name} one step": LayerCase(make, (2, 1, 4)),
        f"{name} no bias": LayerCase(lambda make=make: make(bias=False), (1, 4, 4)),
        f"{name} last": LayerCase(lambda make=make: make(return_sequences=False), SHAPE),
        f"{name} stacked": LayerCase(
            lambda make=make: make(num_layers=3, return_sequences=False), SHAPE
        ),
        f"{name} dropout": LayerCase(
            lambda make=make: make(num_layers=2, dropout=0.4), SHAPE, by_sample=False
        ),
        f"{name} padded": ending(make),
        f"{name} padded last": ending(lambda make=make: make(return_sequences=False)),
        f"{name} padded stacked": ending(lambda make=make: make(num_layers=2)),
    }
LAYERS |= {
    "LSTM projected": LayerCase(lambda: nn.LSTM(4, 3, proj_size=2), SHAPE),
    "LSTM projected last": LayerCase(
        lambda: nn.LSTM(4, 3, proj_size=2, bias=False, return_sequences=False), SHAPE
    ),
    "LSTM projected stacked": LayerCase(lambda: nn.LSTM(4, 3, 2, proj_size=1), (1, 5, 4)),
    "LSTM projected padded": ending(lambda: nn.Bidirectional(nn.LSTM(4, 3, proj_size=2))),
}
