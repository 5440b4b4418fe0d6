"""What is added to the loss, against PyTorch: penalties, activity and the KL divergence."""

import numpy as np
import pytest

import nnlite as nn

torch = pytest.importorskip("torch")


def test_gradients_of_all_terms_are_those_of_autograd():
    nn.seed(0)
    net = nn.Sequential(
        nn.Linear(5, 8), nn.ActivityRegularization(0.02, 0.03), nn.GaussianSample(0.4),
        nn.Linear(4, 3),
    ).astype(np.float64)  # fmt: skip
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 5)), rng.standard_normal((6, 3))
    draws = net[2].rng.bit_generator.state
    noise = net[2].rng.standard_normal((6, 4), np.float32)
    net[2].rng.bit_generator.state = draws

    weights = [torch.tensor(p.data.copy(), requires_grad=True) for p in net.parameters()]
    w1, b1, w2, b2 = weights
    h = torch.tensor(x) @ w1 + b1
    mean, log_variance = h.split(4, dim=1)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum() / 6
    z = mean + q.stddev * torch.tensor(noise)
    value = torch.nn.functional.mse_loss(z @ w2 + b2, torch.tensor(y)) + 0.4 * kl
    value = value + (0.02 * h.abs().sum() + 0.03 * h.square().sum()) / 6
    value = value + 0.05 * (w1.abs().sum() + b1.abs().sum()) + 0.06 * w2.square().sum()
    value.backward()

    before = [p.data.copy() for p in net.parameters()]
    penalties = [nn.L1Penalty(0.05, "0"), nn.L2Penalty(0.06, "3.weight")]
    optimizer = nn.SGD(net.parameters(), lr=1.0)
    trainer = nn.Trainer(net, nn.MSELoss(), optimizer, penalties=penalties)
    assert trainer.train_step(x, y) == pytest.approx(value.item(), rel=1e-12)
    for p, old, w in zip(net.parameters(), before, weights, strict=True):
        np.testing.assert_allclose(old - p.data, w.grad.numpy(), rtol=1e-9, atol=1e-12)
