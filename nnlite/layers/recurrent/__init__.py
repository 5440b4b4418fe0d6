"""Recurrent layers: a state that is carried from step to step."""

from nnlite.layers.recurrent.bidirectional import Bidirectional
from nnlite.layers.recurrent.gru import GRU
from nnlite.layers.recurrent.lstm import LSTM
from nnlite.layers.recurrent.rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional"]
