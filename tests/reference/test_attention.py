"""Whole PyTorch modules with the same weights as nnlite's layers."""

import numpy as np
import pytest

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")
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
