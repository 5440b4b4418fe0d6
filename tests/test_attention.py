"""Attention and positions: against naive loops, while decoding, and on what they refuse."""

import math

import numpy as np
import pytest

import nnlite as nn


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def double(layer):
    return layer.astype(np.float64)


def attend_naively(layer, x):
    """One query, one head, one key at a time."""
    y = np.zeros_like(x)
    d = layer.d_model // layer.num_heads
    for n, sequence in enumerate(x):
        qkv = sequence @ layer.qkv.weight.data + layer.qkv.bias.data
        q, k, v = (
            qkv[:, : layer.d_model],
            qkv[:, layer.d_model : -layer.d_model],
            qkv[:, -layer.d_model :],
        )
        for t in range(len(sequence)):
            seen = t + 1 if layer.causal else len(sequence)
            heads = []
            for h in range(layer.num_heads):
                own = slice(h * d, h * d + d)
                weights = [math.exp(q[t, own] @ k[s, own] / math.sqrt(d)) for s in range(seen)]
                heads.append(sum(w * v[s, own] for s, w in enumerate(weights)) / sum(weights))
            y[n, t] = np.concatenate(heads) @ layer.out.weight.data + layer.out.bias.data
    return y


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_the_weighted_mean(causal):
    layer, x = double(nn.MultiHeadAttention(6, 3, causal=causal)), random(2, 5, 6)
    for parameter in layer.parameters():
        parameter.data = random(*parameter.shape)
    np.testing.assert_allclose(layer(x), attend_naively(layer, x), rtol=1e-10)


def test_causal_attention_does_not_see_the_future():
    layer, x = double(nn.MultiHeadAttention(4, 2, causal=True)), random(2, 6, 4)
    changed = x.copy()
    changed[:, 4:] += 1
    np.testing.assert_array_equal(layer(changed)[:, :4], layer(x)[:, :4])
    y = layer(x)
    grad_output = np.zeros_like(y)
    grad_output[:, :4] = 1
    d_x = layer.backward(grad_output)
    assert (d_x[:, 4:] == 0).all()
    assert (d_x[:, :4] != 0).all()


def test_large_scores_do_not_overflow():
    layer = nn.MultiHeadAttention(4, 2, causal=True)
    y = layer(1e4 * random(2, 6, 4).astype(np.float32))
    assert np.isfinite(y).all()
    assert np.isfinite(layer.backward(np.ones_like(y))).all()


def test_dropout_keeps_the_expectation():
    layer = double(nn.MultiHeadAttention(4, 2, dropout=0.5, rng=0))
    x = random(1, 5, 4)
    mean = layer(np.repeat(x, 40_000, axis=0)).mean(axis=0, keepdims=True)
    expected = layer.eval()(x)
    np.testing.assert_allclose(mean, expected, atol=0.03 * np.abs(expected).max())


def test_first_values_are_pytorchs():
    layer = nn.MultiHeadAttention(64, 4)
    assert np.abs(layer.qkv.weight.data).max() == pytest.approx(math.sqrt(6 / 256), rel=0.01)
    assert np.abs(layer.out.weight.data).max() == pytest.approx(1 / 8, rel=0.01)
    assert not layer.qkv.bias.data.any()
    assert not layer.out.bias.data.any()
    assert nn.MultiHeadAttention(64, 4, bias=False).bias is None


def test_saved_for_backward_holds_the_probabilities_once():
    layer = nn.MultiHeadAttention(8, 2, causal=True)
    heads, steps = 2, 100
    saved = nn.summary(layer, (steps, 8)).rows[0].saved_bytes
    square = heads * steps * steps * 4
    assert saved == square + 5 * steps * 8 * 4  # P; x, Q, K, V and O


def test_positional_encoding_is_the_papers():
    y = nn.PositionalEncoding(6)(np.zeros((1, 9, 6)))
    for position in range(9):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(y[0, position, 2 * i], math.sin(angle))
            np.testing.assert_allclose(y[0, position, 2 * i + 1], math.cos(angle))


def test_positions_not_seen_have_no_gradient():
    layer = nn.LearnedPositionalEmbedding(7, 4)
    layer.backward(layer(random(3, 5, 4).astype(np.float32)))
    assert (layer.weight.grad[5:] == 0).all()
    assert (layer.weight.grad[:5] != 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_padded_sequences_are_as_if_alone(causal):
    layer = double(nn.TransformerLayer(4, 2, 8, causal=causal))
    x, grad_output, lengths = random(3, 5, 4), random(3, 5, 4, seed=1), [2, 5, 1]
    padded = nn.Padded(x, lengths)
    y = layer(padded).data
    d_x = layer.backward(grad_output * padded.mask[..., None])
    grads = [parameter.grad.copy() for parameter in layer.parameters()]
    layer.zero_grad()
    for n, length in enumerate(lengths):
        alone = slice(n, n + 1), slice(length)
        np.testing.assert_allclose(y[alone], layer(x[alone]), rtol=1e-11)
        d_alone = layer.backward(grad_output[alone])
        np.testing.assert_allclose(d_x[alone], d_alone, rtol=1e-10, atol=1e-13)
        assert (d_x[n, length:] == 0).all()
    for ours, parameter in zip(grads, layer.parameters(), strict=True):
        np.testing.assert_allclose(ours, parameter.grad, rtol=1e-10, atol=1e-12)
    other = np.where(padded.mask[..., None], x, 99.0)
    again = layer(nn.Padded(other, lengths)).data
    np.testing.assert_array_equal(again[padded.mask], y[padded.mask])


def test_nothing_goes_into_the_padding_or_comes_out_of_it():
    layer = double(nn.MultiHeadAttention(4, 2))
    layer.out.bias.data = [1, 2, 3, 4]
    x, grad_output = nn.Padded(random(3, 5, 4), [2, 5, 1]), random(3, 5, 4, seed=1)
    y = layer(x)
    assert (y.data[~x.mask] == 0).all()
    assert (y.data[x.mask] != 0).all()
    d_x = layer.backward(grad_output)
    assert (d_x[~x.mask] == 0).all()
    grads = [parameter.grad.copy() for parameter in layer.parameters()]
    layer.zero_grad()
    layer(x)
    np.testing.assert_array_equal(layer.backward(grad_output * x.mask[..., None]), d_x)
    for grad, parameter in zip(grads, layer.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


# -- masks and memories --------------------------------------------------------------------------


def test_a_mask_of_true_and_false_says_who_is_seen():
    layer, x = double(nn.MultiHeadAttention(4, 2)), random(2, 5, 4)
    causal = double(nn.MultiHeadAttention(4, 2, causal=True))
    causal.load_state_dict(layer.state_dict())
    seen = np.tril(np.ones((5, 5), bool))
    expected = causal(x)
    for mask in (seen, np.where(seen, 0.0, -np.inf)):
        for given in (mask, np.stack([mask] * 2), np.broadcast_to(mask, (2, 2, 5, 5)), mask[None]):
            np.testing.assert_allclose(layer(x, given), expected, rtol=1e-12)
    np.testing.assert_array_equal(layer.forward(x, mask=seen), layer(x, seen))


def test_a_mask_for_each_head_and_sample():
    layer, x = double(nn.MultiHeadAttention(4, 2)), random(2, 3, 4)
    layer.out.weight.data = np.eye(4)
    seen = np.ones((2, 2, 3, 3), bool)
    seen[1, 0, :, 1:] = False  # the first head of the second sample sees the first step alone
    y, whole = layer(x, seen), layer(x)
    np.testing.assert_allclose(y[0], whole[0])
    np.testing.assert_allclose(y[1, :, 2:], whole[1, :, 2:])
    v = x[1, 0] @ layer.qkv.weight.data[:, 8:10]
    np.testing.assert_allclose(y[1, :, :2], [v] * 3)


@pytest.mark.parametrize("lengths", [None, [1, 3]])
def test_what_sees_nothing_gives_zeros_and_gets_no_gradient(lengths):
    layer, x = double(nn.MultiHeadAttention(4, 2)), random(2, 3, 4)
    seen = np.ones((3, 3), bool)
    seen[0] = False
    y = layer(x if lengths is None else nn.Padded(x, lengths), seen)
    y = y if lengths is None else y.data
    assert (y[:, 0] == 0).all()
    grad_output = np.zeros_like(y)
    grad_output[:, 0] = 1
    assert not layer.backward(grad_output).any()
    assert not layer.qkv.weight.grad.any()
    grad_output[:] = 1
    layer(x, np.zeros((3, 3), bool))
    assert not layer.backward(grad_output).any()


def test_an_end_hidden_by_the_mask_is_an_end_by_the_lengths():
    layer, x = double(nn.MultiHeadAttention(4, 2)), random(2, 4, 4)
    padded = nn.Padded(x, [2, 4])
    hidden = np.broadcast_to(padded.mask[:, None], (2, 4, 4))
    np.testing.assert_allclose(layer(x, hidden)[padded.mask], layer(padded).data[padded.mask])


def test_a_memory_is_keys_and_values():
    layer, query, memory = double(nn.MultiHeadAttention(4, 2)), random(2, 3, 4), random(2, 5, 4)
    pair = layer((query, memory))
    d_query, d_memory = layer.backward(np.ones_like(pair))
    grads = [p.grad.copy() for p in layer.parameters()]
    layer.zero_grad()
    np.testing.assert_array_equal(layer((query, memory, memory)), pair)
    d_q, d_k, d_v = layer.backward(np.ones_like(pair))
    np.testing.assert_array_equal(d_query, d_q)
    np.testing.assert_array_equal(d_memory, d_k + d_v)
    for grad, parameter in zip(grads, layer.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)
    alone, grad_output = layer(query), random(2, 3, 4, seed=3)
    d_x = layer.backward(grad_output)
    np.testing.assert_allclose(layer((query, query)), alone, rtol=1e-12)
    np.testing.assert_allclose(sum(layer.backward(grad_output)), d_x, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.MultiHeadAttention(4, 2),
        lambda: nn.RotaryAttention(4, 2),
        lambda: nn.ALiBiAttention(4, 2),
        lambda: nn.SlidingWindowAttention(4, 2, 2),
    ],
)
def test_padded_memories_and_queries_are_as_if_alone(make):
    layer, query, memory = double(make()), random(3, 3, 4), random(3, 5, 4)
    layer.out.bias.data = [1, 2, 3, 4]
    steps, ends = [2, 3, 1], [5, 2, 1]
    y = layer((nn.Padded(query, steps), nn.Padded(memory, ends)))
    np.testing.assert_array_equal(y.lengths, steps)
    d_query, d_memory = layer.backward(np.ones_like(y.data))
    for n, (step, end) in enumerate(zip(steps, ends, strict=True)):
        alone = layer((query[n : n + 1, :step], memory[n : n + 1, :end]))
        np.testing.assert_allclose(y.data[n : n + 1, :step], alone, rtol=1e-11)
        assert (y.data[n, step:] == 0).all()
        d_q, d_m = layer.backward(np.ones_like(alone))
        np.testing.assert_allclose(d_query[n : n + 1, :step], d_q, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(d_memory[n : n + 1, :end], d_m, rtol=1e-10, atol=1e-13)
        assert (d_query[n, step:] == 0).all()
        assert (d_memory[n, end:] == 0).all()
    garbage = np.where(nn.Padded(memory, ends).mask[..., None], memory, 1e300)
    np.testing.assert_array_equal(
        layer((nn.Padded(query, steps), nn.Padded(garbage, ends))).data, y.data
    )
    assert isinstance(layer((query, nn.Padded(memory, ends))), np.ndarray)


def test_a_model_of_two_inputs_attends():
    nn.seed(0)
    places = np.random.default_rng(0).integers(0, 5, 200)
    memory = np.random.default_rng(1).standard_normal((200, 5, 3)).astype(np.float32)
    keyed = np.concatenate([np.broadcast_to(np.eye(5, dtype="f"), (200, 5, 5)), memory], axis=-1)
    asked = np.pad(np.eye(5, dtype="f")[places], ((0, 0), (0, 3)))[:, None]
    model = nn.Sequential(nn.MultiHeadAttention(8, 1), nn.LastStep(), nn.Linear(8, 3))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters(), lr=0.01))
    history = trainer.fit(
        (4 * asked, 4 * keyed), memory[np.arange(200), places], epochs=60, verbose=False
    )
    assert history["loss"][-1] < 0.02
    own = nn.summary(model, ((1, 8), (5, 8))).total.multiply_adds
    assert own == 8 * 8 * (1 + 5 + 5) + 2 * 8 * 5 + 8 * 8 + 8 * 3


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((3, 4), bool), ValueError, r"expected a mask \(3, 3\), \(2, 3, 3\) or \(2, 2, 3"),
        (np.ones((4, 3, 3), bool), ValueError, r"by heads it is mask.reshape\(2, 2, 3, 3\)"),
        (np.ones((1, 2, 2, 3, 3), bool), ValueError, "expected a mask"),
        (np.ones(3, bool), ValueError, "expected a mask"),
        (np.ones((3, 3), int), TypeError, "True where a step may be attended to.*got dtype int"),
        (np.full((3, 3), np.nan), ValueError, "must be finite or −∞"),
        (np.full((3, 3), np.inf), ValueError, "must be finite or −∞"),
        ("causal", TypeError, "mask"),
    ],
)
def test_refused_masks(mask, error, message):
    with pytest.raises(error, match=message):
        nn.MultiHeadAttention(4, 2)(np.zeros((2, 3, 4), np.float32), mask)


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("options", "x", "message"),
    [
        ({}, (zeros(2, 3, 4),), r"expected \(query, memory\) or \(query, key, value\), got a"),
        ({}, (zeros(2, 3, 4), zeros(3, 3, 4)), "must have the same N"),
        ({}, (zeros(2, 3, 4), zeros(2, 3, 4), zeros(2, 4, 4)), "key and value the same steps"),
        ({}, (zeros(2, 3, 4), nn.Padded(zeros(2, 3, 4), [1, 2]), zeros(2, 3, 4)), "same lengths"),
        ({}, (zeros(2, 3, 4), zeros(2, 3, 5)), r"expected \(N, T, 4\)"),
        ({"causal": True}, (zeros(2, 3, 4), zeros(2, 5, 4)), "as many keys as queries, got 5 and"),
        ({"kdim": 3}, zeros(2, 3, 4), r"expected a tuple \(query, key, value\)"),
        ({"kdim": 3}, (zeros(2, 3, 4), zeros(2, 3, 3)), r"expected \(N, T, 4\)"),
    ],
)
def test_refused_memories(options, x, message):
    with pytest.raises(ValueError, match=message):
        nn.MultiHeadAttention(4, 2, **options)(x)


# -- places --------------------------------------------------------------------------------------

PLACED = {
    "rotary": lambda: nn.RotaryAttention(8, 2, causal=True),
    "alibi": lambda: nn.ALiBiAttention(8, 2, causal=True),
    "window": lambda: nn.SlidingWindowAttention(8, 2, 3, causal=True),
    "grouped": lambda: nn.GroupedQueryAttention(8, 4, 2, causal=True),
    "bias_kv": lambda: nn.MultiHeadAttention(8, 2, causal=True, add_bias_kv=True),
}


@pytest.mark.parametrize("make", PLACED.values(), ids=PLACED)
def test_decoding_goes_on_from_the_place(make):
    layer, x = double(make()), random(2, 7, 8)
    with nn.decoding(layer):
        parts = [layer(x[:, a:b]) for a, b in ((0, 3), (3, 4), (4, 7))]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), layer(x), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["rotary", "alibi", "window"])
def test_decoding_counts_places_beside_a_memory_too(name):
    layer, x, memory = double(PLACED[name]()), random(2, 5, 8), random(2, 6, 8, seed=1)
    layer.causal = False
    with nn.decoding(layer):
        parts = [layer((x[:, t : t + 1], memory)) for t in range(5)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), layer((x, memory)), rtol=1e-10)


@pytest.mark.parametrize("name", ["rotary", "alibi", "window"])
def test_what_is_near_depends_on_distances_alone(name):
    layer, x = double(PLACED[name]()), random(1, 3, 8)
    layer.causal = False
    ahead = random(1, 4, 8, seed=1)
    seen = np.zeros((7, 7), bool)
    seen[4:, 4:] = True
    moved = layer(np.concatenate([ahead, x], axis=1), seen)
    np.testing.assert_allclose(moved[:, 4:], layer(x), rtol=1e-10)


def test_beyond_the_window_nothing_is_seen():
    layer, x = double(nn.SlidingWindowAttention(4, 2, 2)), random(1, 6, 4)
    grad_output = np.zeros_like(layer(x))
    grad_output[:, 2] = 1
    assert layer.backward(grad_output).any(axis=-1).tolist() == [
        [False, True, True, True, False, False]
    ]


def test_grouped_queries_have_fewer_keys():
    layer = nn.GroupedQueryAttention(8, 4, 2)
    assert layer.qkv.weight.shape == (8, 8 + 4 + 4)
    with pytest.raises(ValueError, match="num_kv_heads must divide num_heads=4, got 3"):
        nn.GroupedQueryAttention(8, 4, 3)


# -- decoders ------------------------------------------------------------------------------------


def test_an_activation_may_be_a_layer():
    layer = nn.TransformerLayer(4, 2, 6, activation=nn.PReLU(), bias=False)
    x = random(2, 3, 4).astype(np.float32)
    layer.backward(layer(x))
    assert layer.activation.weight.grad.any()
    assert not any(path.endswith("bias") for path in layer.named_parameters())
    assert repr(layer) == "TransformerLayer(4, 2, 6, activation=PReLU(), bias=False)"
    other = nn.clone(layer)
    assert other.activation is other.layers[1].branch[2]
    relu = nn.TransformerLayer(4, 2, 6, activation="relu")
    assert isinstance(relu.layers[1].branch[2], nn.ReLU)
    for wrong in ("tanh", nn.SiLU):
        with pytest.raises((ValueError, TypeError), match="activation must be"):
            nn.TransformerLayer(4, 2, 6, activation=wrong)


def test_a_decoder_needs_a_memory():
    x = random(2, 3, 4).astype(np.float32)
    for layer in (nn.TransformerDecoderLayer(4, 2, 6), decoders()):
        with pytest.raises(TypeError, match=r"expected a tuple \(x, memory\), got ndarray"):
            layer(x)
        with pytest.raises(ValueError, match=r"expected a tuple \(x, memory\), got one of 3"):
            layer((x, x, x))
    with pytest.raises(ValueError, match="at least one layer"):
        nn.TransformerDecoder()
    with pytest.raises(ValueError, match=r"TransformerDecoder layer 0 › .*cross.*\(N, T, 4"):
        nn.TransformerDecoder(*decoders().layers)((x, x[..., :3]))


def decoders():
    return nn.TransformerDecoder(
        *[nn.TransformerDecoderLayer(4, 2, 6, causal=True) for _ in range(2)]
    )


def test_a_decoder_decodes_step_by_step():
    model, x, memory = double(decoders()), random(2, 5, 4), random(2, 3, 4, seed=1)
    with nn.decoding(model):
        parts = [model((x[:, t : t + 1], memory)) for t in range(5)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), model((x, memory)), rtol=1e-10)


# -- decoding ------------------------------------------------------------------------------------


def decoder():
    return double(
        nn.Sequential(
            nn.LearnedPositionalEmbedding(9, 4),
            nn.PositionalEncoding(4),
            nn.Residual(nn.MultiHeadAttention(4, 2, dropout=0.4, causal=True)),
            nn.MultiHeadAttention(4, 1, causal=True),
        )
    )


@pytest.mark.parametrize("pieces", [[1] * 8, [3, 1, 1, 3], [8]])
def test_decoding_in_pieces_gives_what_the_whole_gives(pieces):
    model, x = decoder(), random(2, 8, 4)
    ends = np.cumsum(pieces)
    with nn.decoding(model):
        parts = [model(x[:, end - size : end]) for size, end in zip(pieces, ends, strict=True)]
    whole = model.eval()(x)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12, atol=1e-13)


def test_decoding_carries_stateful_recurrent_layers_on():
    model, x = double(nn.Sequential(nn.GRU(4, 4, stateful=True), nn.Linear(4, 4))), random(2, 6, 4)
    with nn.decoding(model):
        parts = [model(x[:, :4]), model(x[:, 4:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), model(x), rtol=1e-12)


def test_decoding_leaves_no_trace():
    model, x = decoder(), random(2, 8, 4)
    model[2].eval()
    for _ in range(2):  # the second time starts from nothing again
        with nn.decoding(model):
            first = model(x[:, :2])
        np.testing.assert_allclose(first, model.astype(np.float64).eval()(x[:, :2]))
    assert model.training
    assert not model[2].training
    with pytest.raises(ValueError, match="at most 9"), nn.decoding(model):
        model(random(2, 10, 4))
    assert model(x).shape == x.shape
    model.backward(x)


def test_decoding_refuses_another_batch_and_too_long_a_sequence():
    model, x = decoder(), random(2, 8, 4)
    with nn.decoding(model):
        model(x)
        with pytest.raises(ValueError, match="decoding 2 sequences, got a batch of 3"):
            model[3](random(3, 1, 4))
        with pytest.raises(ValueError, match="at most 9 time steps, got 10"):
            model(x[:, :2])
        assert model(x[:, :1]).shape == (2, 1, 4)  # a refused call changes nothing


def test_decoding_needs_sequences_of_one_length():
    layer = nn.MultiHeadAttention(4, 2, causal=True)
    x = nn.Padded(np.zeros((2, 3, 4), np.float32), [1, 3])
    with nn.decoding(layer), pytest.raises(ValueError, match="got Padded ones"):
        layer(x)


def test_decoding_needs_a_causal_layer():
    layer = nn.MultiHeadAttention(4, 2)
    with nn.decoding(layer), pytest.raises(ValueError, match="decoding needs causal=True"):
        layer(np.zeros((1, 1, 4), np.float32))


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MultiHeadAttention(6, 4), "num_heads must divide d_model, got 4 heads for 6"),
        (lambda: nn.MultiHeadAttention(6, 0), "num_heads must be a whole number"),
        (lambda: nn.MultiHeadAttention(6.0, 2), "d_model must be a whole number"),
        (lambda: nn.MultiHeadAttention(6, 2, dropout=1.0), r"dropout must be a number in \[0, 1\)"),
        (lambda: nn.PositionalEncoding(0), "d_model must be a whole number"),
        (lambda: nn.LearnedPositionalEmbedding(0, 4), "max_length must be a whole number"),
        (lambda: nn.LearnedPositionalEmbedding(4, -1), "d_model must be a whole number"),
    ],
)
def test_refused_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_attention_without_a_time_step():
    with pytest.raises(ValueError, match="with T ≥ 1"):
        nn.MultiHeadAttention(6, 2)(np.zeros((2, 0, 6), np.float32))


@pytest.mark.parametrize("shape", [(3, 6), (2, 3, 5), (2, 2, 3, 6)])
@pytest.mark.parametrize(
    "layer",
    [nn.MultiHeadAttention(6, 2), nn.PositionalEncoding(6), nn.LearnedPositionalEmbedding(9, 6)],
    ids=lambda layer: type(layer).__name__,
)
def test_refused_shapes(layer, shape):
    with pytest.raises(ValueError, match=r"expected \(N, T, 6\)"):
        layer(np.zeros(shape, np.float32))


def test_too_long_a_sequence():
    with pytest.raises(ValueError, match="at most 4 time steps, got 5"):
        nn.LearnedPositionalEmbedding(4, 2)(np.zeros((1, 5, 2), np.float32))
