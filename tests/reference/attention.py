"""Attention and positions in PyTorch, one function per row of the cases."""

import torch
from torch.nn import functional as F


def attention(heads, causal=False):
    """`nn.MultiheadAttention`'s own function, on nnlite's layouts."""

    def forward(x, *weights):
        if len(weights) == 4:
            w_in, b_in, w_out, b_out = weights
        else:
            (w_in, w_out), b_in, b_out = weights, None, None
        steps = x.transpose(0, 1)  # (T, N, D)
        future = torch.ones(len(steps), len(steps), dtype=torch.bool).triu(1) if causal else None
        y, _ = F.multi_head_attention_forward(
            steps, steps, steps, x.shape[-1], heads, w_in.T, b_in, None, None, False, 0.0,
            w_out.T, b_out, attn_mask=future, need_weights=False,
        )  # fmt: skip
        return y.transpose(0, 1)

    return forward


def sinusoids(x):
    """As section 3.5 of the paper has it, one value at a time."""
    _, steps, size = x.shape
    table = torch.tensor(
        [
            [position / 10000 ** ((i - i % 2) / size) for i in range(size)]
            for position in range(steps)
        ],
        dtype=torch.float64,
    )
    even = torch.arange(size) % 2 == 0
    return x + torch.where(even, table.sin(), table.cos()).to(x.dtype)


def learned(x, weight):
    return x + F.embedding(torch.arange(x.shape[1]), weight)


REFERENCE = {
    "PositionalEncoding": sinusoids,
    "PositionalEncoding odd": sinusoids,
    "LearnedPositionalEmbedding": learned,
    "LearnedPositionalEmbedding initializer": learned,
    "MultiHeadAttention": attention(2),
    "MultiHeadAttention causal": attention(2, causal=True),
    "MultiHeadAttention no bias": attention(3),
    "MultiHeadAttention 1 head": attention(1),
    "MultiHeadAttention all heads": attention(4),
    "MultiHeadAttention batch 1": attention(2),
    "MultiHeadAttention 1 step": attention(2, causal=True),
    "MultiHeadAttention eval": attention(2),
}
# PyTorch draws other masks from the same seed.
WITHOUT_COUNTERPART = {"MultiHeadAttention dropout", "MultiHeadAttention dropout causal"}
