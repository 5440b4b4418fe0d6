"""Whole PyTorch modules with the same weights as nnlite's layers."""

import numpy as np
import pytest

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")
theirs_of = pytest.importorskip("reference.attention")
F = torch.nn.functional


@pytest.mark.parametrize("causal", [False, True])
def test_core_is_scaled_dot_product_attention(causal):
    rng = np.random.default_rng(0)
    layer = nn.MultiHeadAttention(8, 2, causal=causal)
    layer.qkv.weight.data = np.eye(8, 24) + np.eye(8, 24, 8) + np.eye(8, 24, 16)
    layer.out.weight.data = np.eye(8)
    x, grad_output = rng.standard_normal((2, 3, 7, 8)).astype(np.float32)
    y, d_x = layer(x), layer.backward(grad_output)

    tensor = torch.tensor(x, requires_grad=True)
    heads = tensor.unflatten(-1, (2, 4)).transpose(1, 2)
    expected = F.scaled_dot_product_attention(heads, heads, heads, is_causal=causal)
    expected = expected.transpose(1, 2).flatten(2)
    expected.backward(torch.tensor(grad_output))
    assert_close(y, expected, "outputs")
    assert_close(d_x, tensor.grad, "gradients of input")


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("bias_kv", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hides", ["nothing", "keys", "pairs", "both"])
@pytest.mark.parametrize("sizes", [(None, None), (5, 3)])
def test_attention_is_pytorchs_module(bias, bias_kv, zero, hides, sizes):
    rng = np.random.default_rng(0)
    kdim, vdim = sizes
    options = {"bias": bias, "add_bias_kv": bias_kv, "add_zero_attn": zero}
    ours = nn.MultiHeadAttention(6, 3, kdim=kdim, vdim=vdim, **options).astype(np.float64)
    theirs = torch.nn.MultiheadAttention(
        6, 3, kdim=kdim, vdim=vdim, batch_first=True, dtype=torch.float64, **options
    )
    for parameter in ours.parameters():
        parameter.data = rng.standard_normal(parameter.shape)
    values = {name: p.data for name, p in ours.named_parameters().items()}
    state = {"out_proj.weight": values["out.weight"].T}
    if kdim is None:
        state["in_proj_weight"] = values["qkv.weight"].T
    else:
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        state |= {name: values[f"qkv.{i}.weight"].T for i, name in enumerate(names)}
    if bias:
        parts = ["qkv.bias"] if kdim is None else [f"qkv.{i}.bias" for i in range(3)]
        state["in_proj_bias"] = np.concatenate([values[part] for part in parts])
        state["out_proj.bias"] = values["out.bias"]
    if bias_kv:
        state |= {name: values[name][None, None] for name in ("bias_k", "bias_v")}
    theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()})

    query, key, value = (rng.standard_normal((2, t, d)) for t, d in
                         ((4, 6), (5, kdim or 6), (5, vdim or 6)))  # fmt: skip
    lengths = np.array([3, 5])
    seen = rng.random((2, 3, 4, 5)) < 0.6
    seen[..., 0] = True
    mask = np.where(seen, rng.standard_normal(seen.shape), -np.inf)
    pairs, ends = hides in ("pairs", "both"), hides in ("keys", "both")
    padded = [nn.Padded(a, lengths) if ends else a for a in (key, value)]
    y = ours((query, *padded), mask if pairs else None)
    grad_output = rng.standard_normal(y.shape)
    found = ours.backward(grad_output)

    tensors = [torch.tensor(a, requires_grad=True) for a in (query, key, value)]
    beyond = np.where(np.arange(5) >= lengths[:, None], -np.inf, 0.0)
    expected, _ = theirs(
        *tensors, key_padding_mask=torch.tensor(beyond) if ends else None, need_weights=False,
        attn_mask=torch.tensor(mask.reshape(6, 4, 5)) if pairs else None,
    )  # fmt: skip
    expected.backward(torch.tensor(grad_output))
    assert_close(y, expected, "outputs")
    for gradient, tensor in zip(found, tensors, strict=True):
        assert_close(gradient, tensor.grad, "gradients of input")
    assert_close(ours.out.weight.grad.T, theirs.out_proj.weight.grad, "gradients of out")
    if kdim is None:
        assert_close(ours.qkv.weight.grad.T, theirs.in_proj_weight.grad, "gradients of qkv")
    if bias_kv:
        assert_close(ours.bias_v.grad[None, None], theirs.bias_v.grad, "gradients of bias_v")
        assert_close(ours.bias_k.grad[None, None], theirs.bias_k.grad, "gradients of bias_k")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_decoder_is_pytorchs_decoder(bias, norm_first, activation, padded):
    rng = np.random.default_rng(0)
    options = {"norm_first": norm_first, "activation": activation, "bias": bias}
    layers = [nn.TransformerDecoderLayer(6, 3, 5, causal=True, **options) for _ in range(2)]
    ours = nn.TransformerDecoder(*layers).astype(np.float64)
    for parameter in ours.parameters():
        parameter.data = rng.standard_normal(parameter.shape)
    layer = torch.nn.TransformerDecoderLayer(
        6, 3, 5, 0.0, batch_first=True, dtype=torch.float64, **options
    )
    theirs = torch.nn.TransformerDecoder(layer, 2)
    order = theirs_of.DECODER_NORM_FIRST if norm_first else theirs_of.DECODER_NORM_LAST
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        weights = [torch.tensor(parameter.data) for parameter in one.parameters()]
        other.load_state_dict(theirs_of.in_their_layout(order, weights, bias))

    x, memory = rng.standard_normal((2, 4, 6)), rng.standard_normal((2, 5, 6))
    steps, ends = np.array([4, 2]), np.array([3, 5])
    given = (nn.Padded(x, steps), nn.Padded(memory, ends)) if padded else (x, memory)
    y = ours(given)
    grad_output = rng.standard_normal(x.shape)
    if padded:
        grad_output *= given[0].mask[..., None]
    d_x, d_memory = ours.backward(grad_output)

    t_x, t_memory = (torch.tensor(a, requires_grad=True) for a in (x, memory))
    hidden = {"tgt_key_padding_mask": steps, "memory_key_padding_mask": ends} if padded else {}
    hidden = {
        name: torch.arange(4 if name[0] == "t" else 5) >= torch.tensor(lengths)[:, None]
        for name, lengths in hidden.items()
    }
    future = torch.ones(4, 4, dtype=torch.bool).triu(1)
    expected = theirs(t_x, t_memory, tgt_mask=future, **hidden)
    expected.backward(torch.tensor(grad_output))
    if padded:
        real = torch.tensor(given[0].mask[..., None])
        y, expected = y.data * given[0].mask[..., None], expected * real
    assert_close(y, expected, "outputs")
    assert_close(d_x, t_x.grad, "gradients of input")
    assert_close(d_memory, t_memory.grad, "gradients of the memory")
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        names = [name for name in order if bias or not name.endswith("bias")]
        for parameter, name in zip(one.parameters(), names, strict=True):
            theirs_grad = other.get_parameter(name).grad
            assert_close(parameter.grad, theirs_grad.T if theirs_grad.ndim == 2 else theirs_grad)
