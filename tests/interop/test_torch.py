"""Weights from PyTorch, and models to it: equal outputs, and errors that say what does not fit."""

import pickle
import re
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of
from cases.attention import Attending
from cases.core import Halves
from cases.sequences import Ending, Tokens

import nnlite as nn
from interop.files import changed, net

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


def test_gradients_are_those_of_pytorch():
    theirs, ours, shape = images()
    randomized(theirs).train()
    theirs[8].p = 0.0
    ours = nn.Sequential(*ours[:8], *ours[9:])
    load(ours, theirs)
    x = example(shape)
    y, expected = ours(x), theirs(tensors(x).movedim(-1, 1))
    g = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    d_x = ours.backward(g)
    first = tensors(x).movedim(-1, 1).requires_grad_()
    theirs(first).backward(torch.from_numpy(g))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(d_x, first.grad.movedim(1, -1).numpy(), rtol=1e-4, atol=2e-5)
    expected = theirs[10].weight.grad.numpy().reshape(6, 8, 4).swapaxes(1, 2).reshape(6, 32).T
    np.testing.assert_allclose(ours[9].weight.grad, expected, rtol=1e-4, atol=2e-5)


def test_modes_ties_frozen_parameters_and_randomness_are_kept():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[2].weight = model[0].weight
    model[0].freeze("bias")
    model[3].eval()
    before = torch.get_rng_state()
    module = to_torch(model)
    assert torch.equal(before, torch.get_rng_state())
    assert module[0].weight is module[2].weight
    assert [p.requires_grad for p in module[0].parameters()] == [True, False]
    assert [each.training for each in module] == [True, True, True, False]
    model[0].weight.data += 1  # the module's are copies
    assert not np.array_equal(module[0].weight.detach().numpy().T, model[0].weight.data)
    assert to_torch(nn.Linear(2, 2).astype(np.float64)).weight.dtype == torch.float64


def test_a_layer_without_a_counterpart_is_named_by_its_place():
    model = nn.Sequential(nn.Residual(nn.Sequential(nn.Lambda(np.tanh, lambda g, x: g))))
    with pytest.raises(TypeError, match=r"^to_torch: layer 0 › branch › layer 0 › Lambda"):
        to_torch(model)


def test_a_flatten_in_front_keeps_the_order_of_what_it_gets():
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    x = example((3, 2, 4, 3))
    assert_equal_outputs(model, to_torch(model), x)
    theirs = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 2))
    model = nn.Sequential(nn.Permute(3, 1, 2), *model)
    load(model, theirs)
    expected = theirs(tensors(x).movedim(-1, 1)).detach().numpy()
    np.testing.assert_allclose(model(x), expected, rtol=2e-5, atol=2e-5)


def test_rows_become_images_and_images_rows():
    t = torch.nn
    theirs = t.Sequential(t.Linear(5, 24), t.Unflatten(1, (4, 3, 2)), t.Conv2d(4, 3, 2),
                          t.Flatten(), t.Linear(6, 2))  # fmt: skip
    model = nn.Sequential(
        nn.Linear(5, 24), nn.Reshape(4, 3, 2), nn.Permute(2, 3, 1), nn.Conv2d(4, 3, 2),
        nn.Reshape(6), nn.Linear(6, 2),
    )  # fmt: skip
    load(model, theirs)
    x = example((3, 5))
    np.testing.assert_allclose(model(x), theirs(tensors(x)).detach(), rtol=2e-5, atol=2e-5)
    assert_equal_outputs(model, to_torch(model), x)
    assert torch.equal(to_torch(model)[5].weight, theirs[4].weight)


def test_a_flatten_behind_a_layer_of_your_own_is_not_guessed():
    class Body(nn.Layer):
        def __init__(self):
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(x)

    model = nn.Sequential(Body(), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))
    conv, linear = torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(18, 3)
    theirs = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), linear)
    with pytest.warns(nn.ModelWarning, match=r"put Permute\(3, 1, 2\) before the Flatten"):
        load(model, theirs)
    model = nn.Sequential(*model[:2], nn.Permute(3, 1, 2), *model[2:])
    load(model, theirs)
    x = example((2, 5, 5, 1))
    expected = theirs(tensors(x).movedim(-1, 1))
    np.testing.assert_allclose(model(x), expected.detach().numpy(), rtol=2e-5, atol=2e-5)


# -- what does not fit -----------------------------------------------------------------------------


def small():
    t = torch.nn
    return t.Sequential(t.Conv2d(1, 4, 3), t.BatchNorm2d(4), t.ReLU(), t.Flatten(), t.Linear(16, 3))


def test_what_does_not_fit_is_named_with_both_shapes():
    model = net(1)
    message = (
        "load_torch: 4, Linear(16, 3) expected, in the layout of PyTorch, weight (3, 16), bias "
        "(3,); got 4 (weight (7, 16), bias (7,)). strict=False loads what fits"
    )
    with changed(model), pytest.raises(ValueError, match=re.escape(message)):
        load(model, torch.nn.Sequential(*small()[:4], torch.nn.Linear(16, 7)))
    with changed(model), pytest.raises(ValueError, match="the source ends before 4, Linear"):
        load(model, torch.nn.Sequential(torch.nn.Identity(), *small()[:4]))
    with changed(model), pytest.raises(ValueError, match=r"the model ends before 6 \(weight"):
        load(model, torch.nn.Sequential(torch.nn.Identity(), *small(), torch.nn.Linear(3, 3)))
    module = small()
    module[1].eps = 1e-3
    with changed(model), pytest.raises(ValueError, match=r"eps is 1e-05 here and 0.001 in PyTorch"):
        load(model, module)
    t = torch.nn
    for module, layer, message in [
        (t.TransformerEncoderLayer(8, 2, 4), nn.TransformerLayer(8, 2, 4), "norm_first is True h"),
        (
            t.TransformerEncoderLayer(8, 2, 4, norm_first=True), nn.TransformerLayer(8, 2, 4),
            "activation is 'gelu' here and 'relu'",
        ),
        (t.MultiheadAttention(8, 4), nn.MultiHeadAttention(8, 2), "num_heads is 2 here and 4"),
        (t.RNN(2, 3, nonlinearity="relu"), nn.RNN(2, 3), "nonlinearity is 'tanh' here and 'relu'"),
        (t.Conv2d(2, 3, 3, stride=2), nn.Conv2d(2, 3, 3), r"stride is 1 here and \(2, 2\)"),
        (t.Conv1d(2, 3, 3, padding="same"), nn.Conv1d(2, 3, 3), r"padding is 0 here and \(1,\)"),
        (t.Conv1d(2, 3, 3, padding="valid"), nn.Conv1d(2, 3, 3, padding=1), r"padding is 1 here"),
        (t.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 3), r"padding is 0 here and \(1, 1\)"),
        (
            t.ConvTranspose1d(2, 3, 3, 2, output_padding=1), nn.ConvTranspose1d(2, 3, 3, stride=2),
            r"output_padding is 0 here and \(1,\)",
        ),
        (
            t.utils.parametrizations.weight_norm(t.Conv2d(2, 3, 3, stride=2)),
            nn.WeightNorm(nn.Conv2d(2, 3, 3)), r"stride is 1 here and \(2, 2\)",
        ),
        (
            t.TransformerEncoderLayer(8, 2, 4, activation=t.ReLU(), norm_first=True),
            nn.TransformerLayer(8, 2, 4), "activation is 'gelu' here and 'relu'",
        ),
        (
            t.RNN(2, 3, nonlinearity="relu", bidirectional=True), nn.Bidirectional(nn.RNN(2, 3)),
            "nonlinearity is 'tanh' here and 'relu'",
        ),
        (
            t.MultiheadAttention(8, 2, add_zero_attn=True), nn.MultiHeadAttention(8, 2),
            "add_zero_attn is False here and True",
        ),
        (t.GRU(2, 3).state_dict(), nn.GRU(2, 3, reset_after=False), "reset_after is False here"),
        (
            t.GRU(2, 3, bidirectional=True), nn.Bidirectional(nn.GRU(2, 3, reset_after=False)),
            "reset_after is False here",
        ),
        (t.Conv1d(2, 3, 3, padding_mode="reflect"), nn.Conv1d(2, 3, 3), "padding_mode='reflect'"),
        (t.LazyLinear(3), nn.Linear(2, 3), "has no shape yet; call the module once"),
        (t.GroupNorm(1, 4), nn.GroupNorm(1, 4, bias=False), "build it with bias=True"),
    ]:  # fmt: skip
        if isinstance(module, t.GroupNorm):
            randomized(module)
        with changed(layer), pytest.raises(ValueError, match=message):
            load(layer, module)
    with pytest.raises(TypeError, match="load_torch: model must be a Layer, got 3"):
        load(3, small())
    with pytest.raises(ValueError, match=r"strict"):
        load(model, small(), strict="no")
    for source, kind in ((3, "an int"), (torch.nn.Linear, "the class Linear")):
        with pytest.raises(TypeError, match=rf"expected a torch.nn.Module, .*got {kind}"):
            load(model, source)


def test_a_new_head_is_left_alone():
    theirs = torch.nn.ModuleDict({"features": small()[:2], "classifier": torch.nn.Linear(16, 1000)})
    model = net(1)
    norm = [f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    with changed(model, "0.weight", "0.bias", *norm):
        report = load(model, theirs.state_dict(), strict=False)
    assert report.missing == ["4.weight", "4.bias"]
    assert report.left_over == ["classifier.weight", "classifier.bias"]
    assert "0.weight (3, 3, 1, 4)  ←  features.0.weight (4, 1, 3, 3)" in repr(report)
    assert "classifier.weight (1000, 16)" in repr(report)


def test_a_layer_of_your_own_is_known_by_what_it_is():
    class Scaled(nn.Linear):
        def __init__(self, size):
            super().__init__(size, size)
            self.size = size

    class Scale(nn.Layer):
        def __init__(self):
            self.gain = nn.Parameter(np.ones((2, 3)))

    model = nn.Sequential(Scaled(3), Scale())
    weight, gain = np.arange(9.0).reshape(3, 3), np.arange(6.0).reshape(2, 3)
    load(model, {"fc.weight": weight, "fc.bias": np.zeros(3), "scale.gain": gain})
    np.testing.assert_array_equal(model[0].weight.data, weight.T)
    np.testing.assert_array_equal(model[1].gain.data, gain)


def test_tied_layers_have_to_agree_and_old_norms_are_known():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    with changed(model), pytest.raises(ValueError, match=r"0.weight is tied to 1, Linear"):
        load(model, module)
    module[1].weight = module[0].weight
    load(model, module)
    np.testing.assert_array_equal(model[0].weight.data, module[1].weight.detach().numpy().T)
    state = to_torch(nn.WeightNorm(nn.Linear(3, 2))).state_dict()
    old = {f"fc.weight_{'gv'[int(n[-1])]}" if n[-1] in "01" else "fc.bias": v
           for n, v in state.items()}  # fmt: skip
    layer = nn.WeightNorm(nn.Linear(3, 2))
    load(layer, old)
    np.testing.assert_array_equal(layer.direction.data, old["fc.weight_v"].numpy().T)


# -- files -----------------------------------------------------------------------------------------


def test_files_of_state_dicts(tmp_path):
    module = randomized(small())
    state = module.state_dict()
    torch.save(state, tmp_path / "net.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    half = {n: v.bfloat16() if v.is_floating_point() else v for n, v in state.items()}
    torch.save(half, tmp_path / "half.pt")
    sources = ["net.pt", "old.pt", "half.pt"]
    if find_spec("safetensors"):
        from safetensors.torch import save_file

        save_file(state, tmp_path / "net.safetensors", {"format": "pt"})
        sources.append("net.safetensors")
    for name in sources:
        model = net(1)
        assert not load(model, tmp_path / name).missing
        expected = state["4.weight"].numpy().reshape(3, 4, 4).swapaxes(1, 2).reshape(3, 16).T
        close = 1e-2 if name == "half.pt" else 0
        np.testing.assert_allclose(model[4].weight.data, expected, atol=close)


def test_a_file_of_safetensors_has_the_order_of_its_numbers(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors.torch import save_file

    t = torch.nn
    blocks = [t.ModuleDict({"up": t.Linear(3, 5), "norm": t.LayerNorm(5), "down": t.Linear(5, 3)})
              for _ in range(12)]  # fmt: skip
    module = t.ModuleDict({"blocks": t.ModuleList(blocks)})
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    model = nn.Sequential(*[
        layer for _ in blocks for layer in (nn.Linear(3, 5), nn.LayerNorm(5), nn.Linear(5, 3))
    ])  # fmt: skip
    load(model, tmp_path / "net.safetensors")
    for i, block in enumerate(blocks):
        expected = block["down"].weight.detach().numpy().T
        np.testing.assert_array_equal(model[3 * i + 2].weight.data, expected)
    module = t.ModuleDict({"up": t.Linear(3, 3), "down": t.Linear(3, 3)})
    save_file(module.state_dict(), tmp_path / "two.safetensors")
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    message = r"could be down or up of .*does not keep the order of its layers; load it into the"
    with changed(model), pytest.raises(ValueError, match=message):
        load(model, tmp_path / "two.safetensors")


def test_a_file_in_another_layout_is_refused(tmp_path):
    arrays = pytest.importorskip("safetensors.numpy")
    layer, path = nn.Linear(2, 2, bias=False), tmp_path / "net.safetensors"
    for kind, message in (("flax", r"format 'pt'.*\(format 'flax'\)"), ("nnlite", "use load_saf")):
        arrays.save_file({"weight": np.eye(2)}, path, {"format": kind})
        with changed(layer), pytest.raises(ValueError, match=message):
            load(layer, path)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


def compressed(path):
    """A file of torch.save, packed."""
    torch.save({"weight": torch.zeros(1000, 1000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {m.filename: archive.read(m) for m in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def program(path):
    """What torch.jit.save writes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("net/constants.pkl", "net/data.pkl", "net/code/__torch__.py"):
            archive.writestr(name, b"")


HOSTILE = {
    "code": (lambda p: torch.save({"weight": Evil()}, p), "would run code from the file"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps(Evil())), "would run code|or damaged"),
    "whole module": (lambda p: torch.save(small(), p), r"torch.save\(module.state_dict\(\), path"),
    "bytes": (
        lambda p: p.write_bytes(b"no zip at all"),
        r"or damaged; save the weights alone: torch.save\(m",
    ),
    "empty": (lambda p: p.write_bytes(b""), "not a file of torch.save, or damaged"),
    "compressed": (compressed, "has compressed parts"),
    "program": (program, r"torch.jit; where you trust it, .*torch.jit.load\(path\)"),
    "absurd size": (
        lambda p: torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, p),
        r"weight \(1000000, 1000000\) .* claims 4,000,000,000,000 bytes and has 4",
    ),
    "sparse": (lambda p: torch.save({"weight": torch.eye(2).to_sparse()}, p), "no ordinary tensor"),
    "checkpoint": (
        lambda p: torch.save({"epoch": 3, "model": {"weight": torch.eye(2)}}, p),
        r"checkpoint with the parts 'epoch', 'model'; .*\['model'\]\)",
    ),
    "a number": (lambda p: torch.save({"weight": 3}, p), "weight of .* is no array but 3"),
    "a list": (lambda p: torch.save([torch.eye(2)], p), "expected a state dict in .* got a list"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_lies_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    write, message = HOSTILE[kind]
    write(tmp_path / "hostile.pt")
    layer = nn.Linear(2, 2, bias=False)
    with changed(layer), pytest.raises((ValueError, TypeError), match=message) as caught:
        load(layer, tmp_path / "hostile.pt")
    assert "hostile.pt" in str(caught.value)
    assert not (tmp_path / "touched").exists()


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(net(1), tmp_path / "none.pt")
    with pytest.raises(ValueError, match="is no file; name one"):
        load(net(1), tmp_path)


def test_a_cut_file_is_refused(tmp_path):
    torch.save(small().state_dict(), tmp_path / "cut.pt")
    whole = (tmp_path / "cut.pt").read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        model = net(1)
        with changed(model), pytest.raises(ValueError, match=r"cut.pt"):
            load(model, tmp_path / "cut.pt")
