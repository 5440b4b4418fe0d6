"""Rows of attention and of positions."""

from typing import ClassVar

import numpy as np

import nnlite as nn
from cases.core import Halves
from cases.kinds import LayerCase
from cases.sequences import ending


class Attending(nn.Layer):
    """A layer of attention with a mask, whose query may be the first steps and its memory the rest.

    Args:
        layer: the layer.
        at: how many steps the query has; 0 for all, without a memory.
        mask: the mask, as lists (default None: without).
    """

    equations: ClassVar = {"forward": "y = f(x₁, x₂)", "input": "those of f"}

    def __init__(self, layer, at=0, mask=None):
        self.layer = layer
        self.at = at
        self.mask = mask

    def forward(self, x):
        given = (x[:, : self.at], x[:, self.at :]) if self.at else x
        y = self.layer(given) if self.mask is None else self.layer(given, np.array(self.mask))
        self.save_for_backward()
        return y

    def backward(self, grad_output):
        self.saved()
        self.layer.needs_input_grad = self.needs_input_grad
        d_x = self.layer.backward(grad_output)
        return np.concatenate(d_x, axis=1) if isinstance(d_x, tuple) else d_x


SEEN = [[True, False, True], [False, False, False]]  # the second query sees nothing
ADDED = [[0.5, -np.inf, 1.0, 0.0], [2.0, 0.0, -1.0, -np.inf], [0.0] * 4, [-np.inf] * 3 + [0.0]]
attention = nn.MultiHeadAttention
transformer = nn.TransformerLayer
decoder = nn.TransformerDecoderLayer

LAYERS: dict[str, LayerCase] = {
    "PositionalEncoding": LayerCase(lambda: nn.PositionalEncoding(6), (2, 5, 6)),
    "PositionalEncoding odd": LayerCase(lambda: nn.PositionalEncoding(3), (2, 5, 3)),
    "LearnedPositionalEmbedding": LayerCase(lambda: nn.LearnedPositionalEmbedding(7, 4), (2, 5, 4)),
    "LearnedPositionalEmbedding initializer": LayerCase(
        lambda: nn.LearnedPositionalEmbedding(5, 4, nn.initializers.Normal(0.02)), (2, 5, 4)
    ),
    "MultiHeadAttention": LayerCase(lambda: attention(6, 2), (3, 5, 6)),
    "MultiHeadAttention causal": LayerCase(lambda: attention(6, 2, causal=True), (3, 5, 6)),
    "MultiHeadAttention no bias": LayerCase(lambda: attention(6, 3, bias=False), (2, 4, 6)),
    "MultiHeadAttention 1 head": LayerCase(lambda: attention(4, 1), (2, 5, 4)),
    "MultiHeadAttention all heads": LayerCase(lambda: attention(4, 4), (2, 3, 4)),
    "MultiHeadAttention batch 1": LayerCase(lambda: attention(4, 2), (1, 5, 4)),
    "MultiHeadAttention 1 step": LayerCase(lambda: attention(4, 2, causal=True), (3, 1, 4)),
    "MultiHeadAttention dropout": LayerCase(
        lambda: attention(4, 2, dropout=0.3), (2, 5, 4), by_sample=False
    ),
    "MultiHeadAttention dropout causal": LayerCase(
        lambda: attention(4, 2, 0.5, causal=True), (2, 5, 4), by_sample=False
    ),
    "MultiHeadAttention eval": LayerCase(
        lambda: attention(4, 2, dropout=0.3), (2, 5, 4), training=False
    ),
    "MultiHeadAttention padded": ending(lambda: attention(4, 2)),
    "MultiHeadAttention padded causal": ending(lambda: attention(4, 2, causal=True)),
    "MultiHeadAttention padded dropout": ending(lambda: attention(4, 2, dropout=0.3)),
    "MultiHeadAttention crossed": LayerCase(lambda: Attending(attention(4, 2), 2), (3, 5, 4)),
    "MultiHeadAttention crossed masked": LayerCase(
        lambda: Attending(attention(4, 2), 2, SEEN), (3, 5, 4)
    ),
    "MultiHeadAttention masked": LayerCase(
        lambda: Attending(attention(4, 2), mask=ADDED), (2, 4, 4)
    ),
    "MultiHeadAttention bias_kv": LayerCase(
        lambda: Attending(attention(4, 2, causal=True, add_bias_kv=True), mask=ADDED), (2, 4, 4)
    ),
    "MultiHeadAttention zero_attn": LayerCase(
        lambda: attention(4, 2, add_zero_attn=True, add_bias_kv=True), (2, 4, 4)
    ),
    "MultiHeadAttention kdim": LayerCase(
        lambda: nn.Sequential(Halves(), attention(2, 1, bias=False, kdim=4, vdim=4)), (3, 5, 6)
    ),
    "MultiHeadAttention padded bias_kv": ending(lambda: attention(4, 2, add_bias_kv=True)),
    "TransformerLayer": LayerCase(lambda: transformer(4, 2, 6), (2, 3, 4)),
    "TransformerLayer causal": LayerCase(lambda: transformer(4, 2, 6, causal=True), (2, 3, 4)),
    "TransformerLayer norm last": LayerCase(
        lambda: transformer(4, 2, 6, norm_first=False), (2, 3, 4)
    ),
    "TransformerLayer padded": ending(lambda: transformer(4, 2, 6)),
    "TransformerLayer padded causal norm last": ending(
        lambda: transformer(4, 2, 6, norm_first=False, causal=True)
    ),
    "TransformerLayer dropout": LayerCase(
        lambda: transformer(4, 2, 6, dropout=0.3), (2, 3, 4), by_sample=False
    ),
    "TransformerLayer eval": LayerCase(
        lambda: transformer(4, 2, 6, dropout=0.3, causal=True), (2, 3, 4), training=False
    ),
    "TransformerLayer relu": LayerCase(
        lambda: transformer(4, 2, 6, activation="relu"), (2, 3, 4), by_sample=False
    ),
    "TransformerLayer activation no bias": LayerCase(
        lambda: transformer(4, 2, 6, activation=nn.SiLU(), bias=False), (2, 3, 4)
    ),
    "TransformerDecoderLayer": LayerCase(lambda: Attending(decoder(4, 2, 6), 2), (3, 5, 4)),
    "TransformerDecoderLayer causal": LayerCase(
        lambda: Attending(decoder(4, 2, 6, causal=True), 3), (2, 5, 4)
    ),
    "TransformerDecoderLayer norm last": LayerCase(
        lambda: Attending(decoder(4, 2, 6, norm_first=False, bias=False), 2), (3, 5, 4)
    ),
    "TransformerDecoderLayer dropout": LayerCase(
        lambda: Attending(decoder(4, 2, 6, dropout=0.3), 2), (3, 5, 4), by_sample=False
    ),
    "TransformerDecoder": LayerCase(
        lambda: Attending(nn.TransformerDecoder(decoder(4, 2, 6), decoder(4, 1, 3)), 2),
        (3, 5, 4),
    ),
    "RotaryAttention": LayerCase(lambda: nn.RotaryAttention(8, 2, causal=True), (2, 5, 8)),
    "RotaryAttention odd": LayerCase(lambda: nn.RotaryAttention(6, 2), (2, 5, 6)),
    "RotaryAttention crossed": LayerCase(
        lambda: Attending(nn.RotaryAttention(4, 1, add_bias_kv=True), 2), (2, 5, 4)
    ),
    "RotaryAttention padded": ending(lambda: nn.RotaryAttention(4, 2)),
    "ALiBiAttention": LayerCase(lambda: nn.ALiBiAttention(6, 3, causal=True), (2, 5, 6)),
    "ALiBiAttention masked": LayerCase(
        lambda: Attending(nn.ALiBiAttention(4, 2), mask=ADDED), (2, 4, 4)
    ),
    "ALiBiAttention crossed": LayerCase(lambda: Attending(nn.ALiBiAttention(4, 2), 2), (2, 5, 4)),
    "ALiBiAttention padded": ending(lambda: nn.ALiBiAttention(4, 2)),
    "SlidingWindowAttention": LayerCase(lambda: nn.SlidingWindowAttention(4, 2, 2), (2, 5, 4)),
    "SlidingWindowAttention causal": LayerCase(
        lambda: nn.SlidingWindowAttention(4, 2, 3, causal=True), (2, 5, 4)
    ),
    "SlidingWindowAttention crossed": LayerCase(
        lambda: Attending(nn.SlidingWindowAttention(4, 2, 2), 2), (2, 5, 4)
    ),
    "SlidingWindowAttention padded": ending(lambda: nn.SlidingWindowAttention(4, 2, 2)),
    "GroupedQueryAttention": LayerCase(
        lambda: nn.GroupedQueryAttention(8, 4, 2, causal=True), (2, 5, 8)
    ),
    "GroupedQueryAttention crossed": LayerCase(
        lambda: Attending(nn.GroupedQueryAttention(4, 2, 1, bias=False), 2), (2, 5, 4)
    ),
    "GroupedQueryAttention padded": ending(lambda: nn.GroupedQueryAttention(4, 2, 1)),
}
