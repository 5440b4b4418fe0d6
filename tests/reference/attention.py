"""Attention and positions in PyTorch, one function per row of the cases."""

import torch
from cases.attention import ADDED, SEEN
from torch.nn import functional as F

LENGTHS = torch.tensor([2, 5, 1])


def masks(x, causal, lengths):
    """What no step may see, (T, T), and where there is only padding, (N, T); None for nothing."""
    steps = torch.arange(x.shape[1])
    future = steps > steps[:, None] if causal else None
    return future, None if lengths is None else steps >= lengths[:, None]


def ended(y, padding):
    """Zeros in the padding, where PyTorch leaves what it computed."""
    return y if padding is None else y.masked_fill(padding[..., None], 0)


def attention(heads, causal=False, lengths=None):
    """`nn.MultiheadAttention`'s own function, on nnlite's layouts."""

    def forward(x, *weights):
        if len(weights) == 4:
            w_in, b_in, w_out, b_out = weights
        else:
            (w_in, w_out), b_in, b_out = weights, None, None
        future, padding = masks(x, causal, lengths)
        steps = x.transpose(0, 1)  # (T, N, D)
        y, _ = F.multi_head_attention_forward(
            steps, steps, steps, x.shape[-1], heads, w_in.T, b_in, None, None, False, 0.0,
            w_out.T, b_out, attn_mask=future, key_padding_mask=padding, need_weights=False,
        )  # fmt: skip
        return ended(y.transpose(0, 1), padding)

    return forward


def attending(heads, at=0, mask=None, causal=False, lengths=None, zero=False):
    """With a mask, a memory behind the query's `at` steps, and what stands before all keys."""

    def forward(x, w_in, b_in, w_out, b_out, bias_k=None, bias_v=None):
        query, memory = (x[:, :at], x[:, at:]) if at else (x, x)
        future, padding = masks(x, causal, lengths)
        hidden = torch.zeros(query.shape[1], memory.shape[1], dtype=x.dtype)
        if mask is not None:
            given = torch.tensor(mask)
            hidden += given.log() if given.dtype == torch.bool else given.to(x.dtype)
        if future is not None:
            hidden = hidden.masked_fill(future, -torch.inf)
        if padding is not None:
            padding = torch.zeros(padding.shape, dtype=x.dtype).masked_fill(padding, -torch.inf)
        first = [None if b is None else b[None, None] for b in (bias_k, bias_v)]
        query, memory = query.transpose(0, 1), memory.transpose(0, 1)  # (T, N, D)
        y, _ = F.multi_head_attention_forward(
            query, memory, memory, x.shape[-1], heads, w_in.T, b_in, *first, zero, 0.0,
            w_out.T, b_out, attn_mask=hidden, key_padding_mask=padding, need_weights=False,
        )  # fmt: skip
        return ended(y.transpose(0, 1), None if padding is None else padding != 0)

    return forward


def other_features(x, w_q, w_k, w_v, w_out):
    """Keys and values with other features than the queries."""
    query, memory = x[..., :2].transpose(0, 1), x[..., 2:].transpose(0, 1)
    y, _ = F.multi_head_attention_forward(
        query, memory, memory, 2, 1, None, None, None, None, False, 0.0,
        w_out.T, None, need_weights=False, use_separate_proj_weight=True,
        q_proj_weight=w_q.T, k_proj_weight=w_k.T, v_proj_weight=w_v.T,
    )  # fmt: skip
    return y.transpose(0, 1)


def core(heads, at=0, kv_heads=None, scores=None, turn=None, causal=False, lengths=None, first=0):
    """`scaled_dot_product_attention` between the projections; `scores` and `turn` by place."""
    kv_heads = kv_heads or heads

    def forward(x, w_in, *rest):
        weights = list(rest)
        b_in = weights.pop(0) if weights[0].ndim == 1 else 0
        w_out, b_out = weights[0], weights[1] if len(weights) > 1 else 0
        size = x.shape[-1] // heads
        query, memory = (x[:, :at], x[:, at:]) if at else (x, x)
        widths = [heads * size, kv_heads * size, kv_heads * size]
        parts = [each.split(widths, -1) for each in (query @ w_in + b_in, memory @ w_in + b_in)]
        q, k, v = (
            each.unflatten(-1, (-1, size)).transpose(1, 2)
            for each in (parts[0][0], parts[1][1], parts[1][2])
        )
        if turn is not None:
            q, k = turn(q), turn(k)
        if first:
            k, v = (
                torch.cat([b.reshape(heads, 1, size).expand(len(x), -1, -1, -1), a], 2)
                for a, b in zip((k, v), weights[2:], strict=True)
            )
        steps, keys = q.shape[2], k.shape[2]
        added = torch.zeros(heads, steps, keys, dtype=x.dtype)
        if scores is not None:
            added = added + scores(steps, keys, heads).to(x.dtype)
        future, padding = masks(x, causal, lengths)
        if future is not None:
            added = added.masked_fill(future, -torch.inf)
        added = added.expand(len(x), -1, -1, -1)
        if padding is not None:
            added = added.masked_fill(padding[:, None, None], -torch.inf)
        o = F.scaled_dot_product_attention(q, k, v, added, enable_gqa=kv_heads != heads)
        return ended(o.transpose(1, 2).flatten(2) @ w_out + b_out, padding)

    return forward


def turned(a):
    """Each pair of features as a complex number, times e^(i t ω)."""
    steps, size = a.shape[-2:]
    half = size // 2
    omega = 10_000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / size)
    angle = torch.arange(steps)[:, None] * omega
    pairs = torch.complex(a[..., :half].double(), a[..., half : 2 * half].double())
    pairs = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([pairs.real.to(a.dtype), pairs.imag.to(a.dtype), a[..., 2 * half :]], -1)


def distances(steps, keys):
    return (torch.arange(steps)[:, None] - torch.arange(keys)).abs()


def fading(steps, keys, heads, mask=None):
    rates = torch.tensor([2 ** (-8 * h / heads) for h in range(1, heads + 1)], dtype=torch.float64)
    added = -rates[:, None, None] * distances(steps, keys)
    return added if mask is None else added + torch.tensor(mask)


def nearby(window):
    return lambda steps, keys, _: torch.where(distances(steps, keys) < window, 0.0, -torch.inf)


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


def in_their_layout(order, weights, bias):
    """Weights by PyTorch's names, which are in nnlite's order."""
    names = [name for name in order if bias or not name.endswith("bias")]
    pairs = zip(names, weights, strict=True)
    return {name: weight.T if weight.ndim == 2 else weight for name, weight in pairs}


def transformer(norm_first=True, causal=False, lengths=None, activation="gelu", bias=True):
    """`nn.TransformerEncoderLayer` itself, with nnlite's parameters in the place of its own."""

    def forward(x, *weights):
        layer = torch.nn.TransformerEncoderLayer(
            x.shape[-1], 2, D_FF, 0.0, activation, batch_first=True, norm_first=norm_first,
            bias=bias,
        )  # fmt: skip
        parameters = in_their_layout(NORM_FIRST if norm_first else NORM_LAST, weights, bias)
        future, padding = masks(x, causal, lengths)
        return ended(torch.func.functional_call(layer, parameters, (x, future, padding)), padding)

    return forward


def decoder(at, norm_first=True, bias=True):
    """`nn.TransformerDecoderLayer` itself, on the first steps and a memory of the rest."""

    def forward(x, *weights):
        layer = torch.nn.TransformerDecoderLayer(
            x.shape[-1], 2, D_FF, 0.0, "gelu", batch_first=True, norm_first=norm_first,
            bias=bias,
        )  # fmt: skip
        order = DECODER_NORM_FIRST if norm_first else DECODER_NORM_LAST
        parameters = in_their_layout(order, weights, bias)
        return torch.func.functional_call(layer, parameters, (x[:, :at], x[:, at:]))

    return forward


# PyTorch's names, in the order of nnlite's layers
D_FF = 6
NORM_1, NORM_2, NORM_3, LINEAR_1, LINEAR_2 = (
    [f"{name}.weight", f"{name}.bias"] for name in ("norm1", "norm2", "norm3", "linear1", "linear2")
)
ATTENTION = [f"self_attn.{name}" for name in ("in_proj_weight", "in_proj_bias")]
ATTENTION += [f"self_attn.out_proj.{name}" for name in ("weight", "bias")]
NORM_FIRST = [*NORM_1, *ATTENTION, *NORM_2, *LINEAR_1, *LINEAR_2]
NORM_LAST = [*ATTENTION, *NORM_1, *LINEAR_1, *LINEAR_2, *NORM_2]
CROSS = [name.replace("self_attn", "multihead_attn") for name in ATTENTION]
DECODER_NORM_FIRST = [*NORM_1, *ATTENTION, *NORM_2, *CROSS, *NORM_3, *LINEAR_1, *LINEAR_2]
DECODER_NORM_LAST = [*ATTENTION, *NORM_1, *CROSS, *NORM_2, *LINEAR_1, *LINEAR_2, *NORM_3]

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
    "MultiHeadAttention padded": attention(2, lengths=LENGTHS),
    "MultiHeadAttention padded causal": attention(2, causal=True, lengths=LENGTHS),
    "MultiHeadAttention crossed": attending(2, 2),
    "MultiHeadAttention crossed masked": attending(2, 2, SEEN),
    "MultiHeadAttention masked": attending(2, mask=ADDED),
    "MultiHeadAttention bias_kv": attending(2, mask=ADDED, causal=True),
    "MultiHeadAttention zero_attn": attending(2, zero=True),
    "MultiHeadAttention kdim": other_features,
    "MultiHeadAttention padded bias_kv": attending(2, lengths=LENGTHS),
    "RotaryAttention": core(2, turn=turned, causal=True),
    "RotaryAttention odd": core(2, turn=turned),
    "RotaryAttention crossed": core(1, 2, turn=turned, first=1),
    "RotaryAttention padded": core(2, turn=turned, lengths=LENGTHS),
    "ALiBiAttention": core(3, scores=fading, causal=True),
    "ALiBiAttention masked": core(2, scores=lambda *sizes: fading(*sizes, ADDED)),
    "ALiBiAttention crossed": core(2, 2, scores=fading),
    "ALiBiAttention padded": core(2, scores=fading, lengths=LENGTHS),
    "SlidingWindowAttention": core(2, scores=nearby(2)),
    "SlidingWindowAttention causal": core(2, scores=nearby(3), causal=True),
    "SlidingWindowAttention crossed": core(2, 2, scores=nearby(2)),
    "SlidingWindowAttention padded": core(2, scores=nearby(2), lengths=LENGTHS),
    "GroupedQueryAttention": core(4, kv_heads=2, causal=True),
    "GroupedQueryAttention crossed": core(2, 2, kv_heads=1),
    "GroupedQueryAttention padded": core(2, kv_heads=1, lengths=LENGTHS),
    "TransformerLayer": transformer(),
    "TransformerLayer causal": transformer(causal=True),
    "TransformerLayer norm last": transformer(norm_first=False),
    "TransformerLayer padded": transformer(lengths=LENGTHS),
    "TransformerLayer padded causal norm last": transformer(False, causal=True, lengths=LENGTHS),
    "TransformerLayer eval": transformer(causal=True),
    "TransformerLayer relu": transformer(activation="relu"),
    "TransformerLayer activation no bias": transformer(activation=F.silu, bias=False),
    "TransformerDecoderLayer": decoder(2),
    "TransformerDecoderLayer norm last": decoder(2, norm_first=False, bias=False),
}
# PyTorch draws other masks from the same seed. Decoders that see no later step are compared in
# float64, by test_attention.py: random weights make float32 round by more than 1e-5 there.
WITHOUT_COUNTERPART = {
    "TransformerDecoder",
    "TransformerDecoderLayer causal",
    "MultiHeadAttention dropout",
    "MultiHeadAttention dropout causal",
    "MultiHeadAttention padded dropout",
    "TransformerLayer dropout",
    "TransformerDecoderLayer dropout",
}
