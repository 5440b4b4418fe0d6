"""A small model trained on the same batches has the same losses as in PyTorch."""

import numpy as np
import pytest

import nnlite as nn
from reference.compare import assert_close

torch = pytest.importorskip("torch")

N, BATCH, EPOCHS = 40, 16, 8  # the last batch of an epoch has 8 samples

RUNS = {
    "classes, SGD": (
        (nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()),
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ),
    "classes, AdamW": (
        (nn.CrossEntropyLoss(label_smoothing=0.1), torch.nn.CrossEntropyLoss(label_smoothing=0.1)),
        ("AdamW", {"lr": 0.01}),
    ),
    "values, RMSprop": ((nn.MSELoss(), torch.nn.MSELoss()), ("RMSprop", {"lr": 0.003})),
    "values, NAdam": ((nn.HuberLoss(), torch.nn.HuberLoss()), ("NAdam", {"lr": 0.01})),
}


class Losses(nn.Callback):
    def on_fit_begin(self, trainer):
        self.values = []

    def on_step_end(self, trainer):
        self.values.append(trainer.last_loss)


def models(dtype):
    ours = nn.Sequential(
        nn.Linear(5, 16), nn.Tanh(), nn.Residual(nn.Linear(16, 16)), nn.GELU(), nn.Linear(16, 3)
    ).astype(dtype)
    tensors = [torch.tensor(p.data, requires_grad=True) for p in ours.parameters()]

    def theirs(x):
        w1, b1, w2, b2, w3, b3 = tensors
        h = torch.tanh(x @ w1 + b1)
        return torch.nn.functional.gelu(h + h @ w2 + b2) @ w3 + b3

    return ours, theirs, tensors


def data(run, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 5)).astype(dtype)
    if run.startswith("classes"):
        return x, (x @ rng.standard_normal((5, 3))).argmax(axis=1)
    return x, np.sin(x[:, :3]).astype(dtype)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_losses_and_final_weights(run, dtype):
    (loss, their_loss), (optimizer, options) = RUNS[run]
    x, y = data(run, dtype)
    model, forward, tensors = models(dtype)

    losses = Losses()
    trainer = nn.Trainer(model, loss, getattr(nn, optimizer)(model.parameters(), **options))
    trainer.fit(x, y, EPOCHS, BATCH, callbacks=[losses], shuffle=False, verbose=False)

    theirs, expected = getattr(torch.optim, optimizer)(tensors, **options), []
    for _ in range(EPOCHS):
        for x_batch, y_batch in zip(
            torch.tensor(x).split(BATCH), torch.tensor(y).split(BATCH), strict=True
        ):
            value = their_loss(forward(x_batch), y_batch)
            theirs.zero_grad()
            value.backward()
            theirs.step()
            expected.append(value.detach())

    assert expected[-1] < 0.8 * expected[0]
    assert_close(np.array(losses.values, dtype), torch.stack(expected), "losses")
    for parameter, tensor in zip(model.parameters(), tensors, strict=True):
        assert_close(parameter.data, tensor, "weights")
