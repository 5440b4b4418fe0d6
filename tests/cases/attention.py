"""Rows of attention and of positions."""

import nnlite as nn
from cases.kinds import LayerCase
from cases.sequences import ending

attention = nn.MultiHeadAttention
transformer = nn.TransformerLayer

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
}
