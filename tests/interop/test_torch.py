"""Weights from PyTorch, and models to it: equal outputs, and errors that say what does not fit."""

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of
from cases.attention import Attending
from cases.core import Halves
from cases.sequences import Ending, Tokens

import nnlite as nn

torch = pytest.importorskip("torch")
load, to_torch = nn.interop.load_torch, nn.interop.to_torch
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")

REFUSED = {  # with what to do instead
    "Elementwise": "write it as a torch.nn.Module",
    "Lambda": "write it as a torch.nn.Module",
    "AvgPool1d divisor": "use AvgPool2d",
    "AvgPool2d uneven without padding": "does not count",
    **dict.fromkeys([n for n in LAYERS if n.startswith("GRU before")], "reset_after=True"),
    **dict.fromkeys(
        [n for n in LAYERS if n.startswith(("ActivityReg", "GaussianSample"))], "take it out"
    ),
}


def fill(layer, seed=1):
    """Other values for all that the layer has."""
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter.data = 0.5 * rng.standard_normal(parameter.shape)
    for buffer in layer.buffers():
        if buffer.dtype.kind == "f":
            buffer.data = rng.uniform(0.5, 1.5, buffer.shape)
    return layer


def inner(layer, x):
    """What a row's wrapper is there for, as PyTorch's users have it: (layer, its input)."""
    if isinstance(layer, Tokens):
        tokens = np.floor(4 * np.abs(x)).astype(np.int64) % layer.num_embeddings
        plain = nn.Embedding(layer.num_embeddings, layer.embedding_dim, layer.padding_idx)
        return plain.eval(), tokens
    if isinstance(layer, Attending):
        return layer.layer, (x[:, : layer.at], x[:, layer.at :]) if layer.at else x
    if isinstance(layer, Ending):
        return layer.layer, x
    if isinstance(layer, nn.Sequential) and layer.layers and isinstance(layer[0], Halves):
        return layer[1:], (x[..., :2], x[..., 2:])
    return layer, x


def tensors(x):
    if isinstance(x, tuple):
        return tuple(map(tensors, x))
    return torch.from_numpy(np.ascontiguousarray(x))


def assert_equal_outputs(model, module, x):
    y, expected = model(x), module(tensors(x)).detach().numpy()
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5 * max(1, np.abs(y).max(initial=0)))


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_there_and_back(name):
    case = LAYERS[name]
    layer, x = inner(layer_of(case, np.float32).eval(), layer_input(case, np.float32))
    if name in REFUSED:
        with pytest.raises(TypeError, match=REFUSED[name]):
            to_torch(layer)
        return
    module = to_torch(fill(layer))
    assert_equal_outputs(layer, module, x)
    other, _ = inner(layer_of(case, np.float32).eval(), layer_input(case, np.float32))
    if not other.state_dict():
        return
    for source in (module, module.state_dict()):
        report = load(fill(other, seed=2), source)
        assert not report.missing
        assert not report.left_over
        np.testing.assert_array_equal(other(x), layer(x))


# -- nets that somebody wrote in PyTorch -----------------------------------------------------------


class Both(torch.nn.Module):
    """Stacked, in both directions, and a head on every step."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(5, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class Encoder(torch.nn.Module):
    def __init__(self, norm_first):
        super().__init__()
        self.embed = torch.nn.Embedding(11, 8, padding_idx=0)
        layer = torch.nn.TransformerEncoderLayer(
            8, 2, 16, 0.1, "gelu", batch_first=True, norm_first=norm_first
        )
        self.encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = torch.nn.RMSNorm(8)
        self.out = torch.nn.Linear(8, 11, bias=False)

    def forward(self, x):
        return self.out(self.norm(self.encoder(self.embed(x))))


class Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.down = torch.nn.ConvTranspose2d(4, 4, 3, padding=1, groups=2)

    def forward(self, x):
        return self.bn1(self.conv1(x)).relu() + self.down(x)


def images():
    t = torch.nn
    theirs = t.Sequential(
        t.Conv2d(3, 4, 3, stride=2, padding=1), t.BatchNorm2d(4), t.PReLU(4), Residual(),
        t.Conv2d(4, 8, 3, padding="same", groups=4), t.GroupNorm(2, 8), t.MaxPool2d(2),
        t.Flatten(), t.Dropout(0.3), t.BatchNorm1d(32), t.Linear(32, 6), t.ReLU(), t.Linear(6, 2),
    )  # fmt: skip
    ours = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.PReLU(4),
        nn.Residual(
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            nn.ConvTranspose2d(4, 4, 3, padding=1, groups=2),
        ),
        nn.Conv2d(4, 8, 3, padding="same", groups=4), nn.GroupNorm(2, 8), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.BatchNorm1d(32), nn.Linear(32, 6), nn.ReLU(),
        nn.Linear(6, 2),
    )  # fmt: skip
    return theirs, ours, (2, 8, 8, 3)


def both_directions(kind):
    recurrent = getattr(nn, kind)
    ours = nn.Sequential(
        nn.Bidirectional(recurrent(5, 4)), nn.Bidirectional(recurrent(8, 4)), nn.Linear(8, 3)
    )
    return Both(getattr(torch.nn, kind)), ours, (2, 6, 5)


def encoder(norm_first):
    ours = nn.Sequential(
        nn.Embedding(11, 8, padding_idx=0),
        *[nn.TransformerLayer(8, 2, 16, 0.1, norm_first) for _ in range(2)],
        nn.RMSNorm(8),
        nn.Linear(8, 11, bias=False),
    )
    return Encoder(norm_first), ours, None


NETS = {
    "images": images,
    **{kind: lambda kind=kind: both_directions(kind) for kind in ("RNN", "LSTM", "GRU")},
    "encoder norm first": lambda: encoder(True),
    "encoder norm last": lambda: encoder(False),
}


def randomized(module):
    """Other values for all that a module has, which are not those of a fresh one."""
    generator = torch.Generator().manual_seed(3)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            values = torch.rand(value.shape, generator=generator)
            value.copy_(values + 0.5 if "var" in name else values - 0.5)
    return module


def example(shape):
    rng = np.random.default_rng(0)
    if shape is None:
        return rng.integers(1, 11, (3, 5))
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_net_written_in_pytorch(name):
    theirs, ours, shape = NETS[name]()
    randomized(theirs).eval()
    x = example(shape)
    report = load(ours, theirs)
    assert not report.missing
    assert not report.left_over
    first = tensors(x).movedim(-1, 1) if name == "images" else tensors(x)
    expected = theirs(first).detach().numpy()
    np.testing.assert_allclose(ours.predict(x), expected, rtol=2e-5, atol=2e-5)
    back = to_torch(ours.eval())
    np.testing.assert_allclose(back(tensors(x)).detach().numpy(), expected, rtol=2e-5, atol=2e-5)
    other = nn.clone(ours)
    load(other, back.state_dict())
    np.testing.assert_array_equal(other.predict(x), ours.predict(x))
