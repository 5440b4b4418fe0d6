"""The walk through a model: places, paths, ties, and the layers in it."""

import numpy as np
import pytest

import nnlite as nn
from nnlite.layers.structure import arrays, nested, places, sub_layers, tie, ties, watch


class Shared(nn.Layer):
    """A layer in two places, one of its parameters in a third, in a list in a dictionary."""

    def __init__(self, *rest):
        self.rest = rest
        self.first = nn.Linear(2, 2)
        self.table = {"a": [self.first.weight, 3]}
        self.again = self.first
        self._hidden = nn.Parameter(np.ones(2))


def test_shared_parts_have_several_places_and_one_path():
    layer = Shared(nn.BatchNorm1d(2))
    assert [place.path for place in places(layer)] == [
        "0", "0.weight", "0.bias", "0.running_mean", "0.running_var",
        "first", "first.weight", "first.bias", "table.a.0", "again",
    ]  # fmt: skip
    assert list(arrays(layer)) == [
        "0.weight", "0.bias", "first.weight", "first.bias", "0.running_mean", "0.running_var",
    ]  # fmt: skip
    assert list(layer.named_layers()) == ["", "0", "first"]
    assert ties(layer) == [["first.weight", "table.a.0"]]


def test_a_tie_is_written_where_the_part_stands():
    layer = Shared()
    layer.table["a"][0] = nn.Parameter(np.zeros((2, 2)))
    assert ties(layer) == []
    tie(layer, [["table.a.0", "first.weight"]])
    assert layer.first.weight is layer.table["a"][0]
    with pytest.raises(ValueError, match=r"first\.gain cannot be tied to first\.weight"):
        tie(layer, [["first.weight", "first.gain"]])


def test_layers_inside_by_the_words_of_containers_or_by_path():
    branch = Shared(nn.Sequential(nn.Tanh()))
    model = nn.Sequential(nn.Linear(2, 2), nn.Residual(branch))
    assert [words for words, _ in nested(model)] == [
        (), ("layer 0",), ("layer 1",), ("layer 1", "branch"), ("layer 1", "branch", "0"),
        ("layer 1", "branch", "0", "layer 0"), ("layer 1", "branch", "first"),
        ("layer 1", "shortcut"),
    ]  # fmt: skip
    assert [name for name, _ in sub_layers(branch)] == ["0", "first"]


def test_watchers_see_what_a_layer_takes_and_returns_until_they_end():
    layer, seen = nn.LSTM(2, 3, return_state=True), []
    end = watch(layer, lambda x, y: seen.append((x, y)), lambda g, d_x: seen.append((g, d_x)))
    x = np.ones((2, 4, 2), np.float32)
    y = layer.forward(x)
    g = (np.ones_like(y[0]), None)
    d_x = layer.backward(g)
    assert seen[0][0] is x
    assert seen[0][1] is y
    assert seen[1][0] is g
    assert seen[1][1] is d_x
    end()
    layer.forward(x)
    assert len(seen) == 2


class Handing(nn.Layer):
    """The last step of an LSTM, times its cell state."""

    def __init__(self):
        self.lstm = nn.LSTM(2, 3, return_state=True)

    def forward(self, x):
        y, (_, c) = self.lstm.forward(x, self.start(x))
        self.save_for_backward()
        return y[:, -1] * c[-1]

    def start(self, x):
        return np.zeros((1, len(x), 3), x.dtype), np.full((1, len(x), 3), np.inf, x.dtype)


def test_a_state_that_is_not_finite_is_found_where_it_came_from():
    model = nn.Sequential(Handing())
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    x, y = np.ones((2, 4, 2), np.float32), np.ones((2, 3), np.float32)
    with pytest.raises(nn.NonFiniteLossError, match=r"that of layer 0\.lstm, LSTM"):
        trainer.fit(x, y, verbose=False)
