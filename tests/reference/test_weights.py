"""A training with spectral normalization goes as in PyTorch."""

import numpy as np
import pytest

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")


def test_spectral_norm_over_several_steps():
    layer = nn.SpectralNorm(nn.Linear(4, 3, rng=0), rng=1)
    module = torch.nn.Linear(4, 3)
    with torch.no_grad():
        module.weight[:] = torch.tensor(layer.original.data.T)
        module.bias[:] = torch.tensor(layer.layer.bias.data)
    module = torch.nn.utils.parametrizations.spectral_norm(module)
    vectors = module.parametrizations.weight[0]
    vectors._u[:], vectors._v[:] = torch.tensor(layer.u.data), torch.tensor(layer.v.data)
    original = module.parametrizations.weight.original
    rng = np.random.default_rng(0)
    for _ in range(4):
        x = rng.standard_normal((5, 4)).astype(np.float32)
        g = rng.standard_normal((5, 3)).astype(np.float32)
        layer.zero_grad()
        module.zero_grad()
        y, expected = layer(x), module(torch.tensor(x))
        assert_close(y, expected, "outputs")
        expected.backward(torch.tensor(g))
        layer.backward(g)
        assert_close(layer.original.grad.T, original.grad, "gradients of weight")
        assert_close(layer.u.data, vectors._u, "u")
        layer.original.data -= np.float32(0.1) * layer.original.grad
        with torch.no_grad():
            original -= 0.1 * original.grad
    assert_close(layer.eval()(x), module.eval()(torch.tensor(x)), "outputs in eval mode")
