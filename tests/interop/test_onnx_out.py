"""Every layer as an ONNX file, which another runtime computes to the same numbers."""

import sys

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of
from cases.attention import Attending
from cases.core import Cube, Halves
from cases.sequences import Ending, Tokens

import nnlite as nn
from interop.files import image_net, images
from nnlite.interop.onnx import Graph, Value, export
from nnlite.interop.onnx.registry import REFUSALS, WRITES

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
runtime.set_default_logger_severity(4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def run(path, *inputs):
    session = runtime.InferenceSession(path)
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs, strict=True)})


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def expect_same(layer, path, *inputs, channels_first=False, tolerance=1e-5, counts=(1, 5)):
    """At batch 1 and 5, within the tolerance of the largest value."""
    for count in counts:
        batch = [np.concatenate([x] * 5)[:count] for x in inputs]
        with layer.evaluation():
            y = layer(tuple(batch) if len(batch) > 1 else batch[0])
        if channels_first:
            batch = [np.moveaxis(x, -1, 1) for x in batch]
            y = np.moveaxis(y, -1, 1)
        outputs = run(path, *batch)
        for expected, got in zip(y if isinstance(y, tuple) else (y,), outputs, strict=True):
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype
            assert np.abs(got - expected).max() <= tolerance * max(1, np.abs(expected).max())


# -- the rows of all layers --------------------------------------------------------------------


@pytest.fixture
def with_theirs(monkeypatch):
    """The layers that these tests wrote themselves, registered as a user would."""

    def cube(layer, graph, x):
        return graph.map("Mul", graph.map("Mul", x, x), x)

    def halves(layer, graph, x):
        x, sizes = graph.last(x), np.array([2, x.shape[-1] - 2])
        names = graph.node("Split", x, sizes, axis=-1, outputs=2)
        return tuple(
            x.with_shape(name, (*x.shape[:-1], size))
            for name, size in zip(names, sizes.tolist(), strict=True)
        )

    def tokens(layer, graph, x):
        floor = graph.node("Floor", graph.node("Mul", graph.node("Abs", x), 4.0))
        whole = graph.node("Cast", floor, to=onnx.TensorProto.INT64)
        name = graph.node("Mod", whole, np.array(layer.num_embeddings))
        looked_up = graph.node("Gather", layer.weight.data, name)
        return x.with_shape(looked_up, (*x.shape, layer.embedding_dim))

    def attending(layer, graph, x):
        if layer.mask is not None:
            raise graph.refuse(layer, "a mask; give it a to_onnx")
        x = graph.last(x)
        if not layer.at:
            return graph.layer(layer.layer, x, "layer")
        parts = (0, layer.at), (layer.at, None)
        sizes = layer.at, x.shape[1] and x.shape[1] - layer.at
        names = [graph.sliced(x, 1, *part) for part in parts]
        values = [
            x.with_shape(name, (None, size, x.shape[2]))
            for name, size in zip(names, sizes, strict=True)
        ]
        return graph.layer(layer.layer, tuple(values), "layer")

    theirs = ((Cube, cube), (Halves, halves), (Tokens, tokens), (Attending, attending))
    for cls, write in theirs:
        monkeypatch.setattr(cls, "to_onnx", lambda *args, write=write: write(*args), raising=False)


MADE = {name: case.make() for name, case in LAYERS.items()}
REFUSED = {"Lambda": "Lambda"} | {
    name: type(layer).__name__
    for name, layer in MADE.items()
    if isinstance(layer, Ending) or (isinstance(layer, Attending) and layer.mask is not None)
}


def test_every_public_layer_is_written_or_refused_with_a_reason():
    public = {getattr(nn.layers, name) for name in nn.layers.__all__} - {nn.layers.decoding}
    assert public == {*WRITES, *REFUSALS} & public
    assert set(REFUSALS) == {nn.Layer, nn.Elementwise, nn.Lambda}
    assert not set(WRITES) & set(REFUSALS)
    inside = {type(part) for layer in MADE.values() for part in layer.named_layers().values()}
    # each is in a row of those that are compared, or in `language_model`
    assert set(WRITES) & public - {nn.Embedding} <= inside


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in REFUSED])
def test_row(name, path, with_theirs):
    case = LAYERS[name]
    layer, x = layer_of(case, np.float32), layer_input(case, np.float32)
    nn.interop.save_onnx(layer, path, x.shape[1:])
    # statistics of the batch's own need two rows
    expect_same(layer, path, x, counts=(2, 5) if "untracked" in name else (1, 5))


@pytest.mark.parametrize("name", ["Lambda", "LSTM padded", "MultiHeadAttention masked"])
def test_what_cannot_be_written_is_refused_and_leaves_no_file(name, path):
    case = LAYERS[name]
    with pytest.raises(ValueError, match=f"{REFUSED[name]}.*to_onnx"):
        nn.interop.save_onnx(layer_of(case, np.float32), path, case.shape[1:])
    assert not path.exists()


OF_ONE_SIZE = {
    "Reshape inferred", "Flatten", "Sequential nested", "GLU axis", "Upsample1d size",
    "MaxPool1d dilation padding", *REFUSED,
} | {
    name for name in LAYERS
    if name.startswith(("Adaptive", "MaxUnpool", "LayerNorm axes", "RMSNorm axes"))
    or ("Pool1d" in name and "ceil" in name)
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, case in LAYERS.items() if len(case.shape) == 3 and n not in OF_ONE_SIZE]
)
def test_rows_of_sequences_with_an_open_length(name, path, with_theirs):
    case = LAYERS[name]
    layer, x = layer_of(case, np.float32), layer_input(case, np.float32)
    nn.interop.save_onnx(layer, path, (None, *x.shape[2:]))
    expect_same(layer, path, x)
    if "Learned" not in name:  # which has a greatest length
        expect_same(layer, path, np.concatenate([x, x, x], axis=1))


# -- axes ------------------------------------------------------------------------------------------


def test_one_transpose_for_images_and_none_for_channels_first(path):
    model, x = image_net(), images(2, 6, 4, 3)
    nn.interop.save_onnx(model, path, (6, 4, 3))
    assert operators(path).count("Transpose") == 1
    assert "Gather" not in operators(path)  # the rows of the Linear's weight moved instead
    expect_same(model, path, x)
    nn.interop.save_onnx(model, path, (6, 4, 3), channels_first=True)
    assert "Transpose" not in operators(path)
    np.testing.assert_allclose(run(path, np.moveaxis(x, -1, 1))[0], model.predict(x), atol=1e-6)


def test_a_shape_may_be_an_array(path):
    x = images(2, 6, 4, 3)
    nn.interop.save_onnx(image_net(), path, np.array(x.shape[1:]))
    assert run(path, x)[0].shape == (2, 5)
    with pytest.raises(ValueError, match="expected input_shape as sizes"):
        nn.interop.save_onnx(image_net(), path, np.array([6.0, 4.0, 3.0]))


def test_channels_first_on_both_ends(path):
    model, x = image_net()[:5], images(2, 6, 4, 3)
    nn.interop.save_onnx(model, path, (6, 4, 3), channels_first=True)
    assert "Transpose" not in operators(path)
    expect_same(model, path, x, channels_first=True)


@pytest.mark.parametrize(
    "after",
    [
        lambda: nn.BatchNorm1d(24),
        lambda: nn.LayerNorm(24),
        lambda: nn.RMSNorm(24),
        lambda: nn.PReLU(24),
        lambda: nn.GLU(),
        lambda: nn.Softmax(),
        lambda: nn.Concat(nn.Identity(), nn.Tanh()),
        lambda: nn.Residual(nn.Linear(24, 24)),
        lambda: nn.Residual(nn.Tanh()),
        lambda: nn.Reshape(4, 6),
    ],
)
def test_flattened_images_keep_the_order_of_their_features(after, path):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), after())
    for parameter in model.parameters():
        parameter.data = np.random.default_rng(0).uniform(0.5, 1.5, parameter.shape)
    nn.interop.save_onnx(model, path, (3, 2, 3))
    expect_same(model, path, images(2, 3, 2, 3))


@pytest.mark.parametrize(
    "model",
    [
        lambda: nn.Add(nn.Conv2d(3, 3, 1), nn.Identity()),
        lambda: nn.Concat(nn.Identity(), nn.Conv2d(3, 2, 1)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(4), nn.Conv2d(4, 2, 1)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(4, 2)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Permute(3, 1, 2), nn.Flatten()),
        lambda: nn.Sequential(nn.Permute(2, 3, 1), nn.Conv2d(3, 4, 1)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Reshape(-1, 4), nn.LSTM(4, 3), nn.LastStep()),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.MeanOverTime()),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softmax(axis=2)),
    ],
)
def test_layers_that_see_axes_elsewhere(model, path):
    model = model()
    nn.interop.save_onnx(model, path, (3, 2, 3))
    expect_same(model, path, images(2, 3, 2, 3))


# -- whole models ----------------------------------------------------------------------------------


def language_model():
    return nn.Sequential(
        nn.Embedding(11, 8),
        nn.PositionalEncoding(8),
        nn.TransformerLayer(8, 2, 16, dropout=0.1, causal=True),
        nn.Bidirectional(nn.GRU(8, 6)),
        nn.LSTM(12, 5, num_layers=2, return_sequences=False),
        nn.Linear(5, 11),
    )


@pytest.mark.slow
def test_tokens_and_open_lengths(path):
    model = language_model()
    nn.interop.save_onnx(model, path, (None,))
    graph = onnx.load(path).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.INT64
    sizes = [d.dim_param for d in graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["N", "T"]
    for length in (1, 7, 300):
        expect_same(model, path, np.random.default_rng(0).integers(0, 11, (2, length)))


@pytest.mark.slow
def test_several_inputs_of_several_kinds(path):
    model = nn.Sequential(
        nn.Parallel(nn.Linear(4, 3), nn.Sequential(nn.Embedding(9, 5), nn.MeanOverTime())),
        nn.Join(),
        nn.Linear(8, 2),
    )
    nn.interop.save_onnx(model, path, ((4,), (6,)))
    x = images(2, 4), np.random.default_rng(0).integers(0, 9, (2, 6))
    expect_same(model, path, *x)


@pytest.mark.slow
def test_a_decoder_and_the_memory_that_it_reads(path):
    layers = nn.TransformerDecoderLayer(8, 2, 12, causal=True), nn.TransformerDecoderLayer(8, 4, 6)
    model = nn.Sequential(nn.TransformerDecoder(*layers), nn.Linear(8, 3))
    nn.interop.save_onnx(model, path, ((None, 8), (None, 8)))
    graph = onnx.load(path).graph
    sizes = [[d.dim_param for d in i.type.tensor_type.shape.dim][:2] for i in graph.input]
    assert sizes == [["N", "T"], ["N", "T1"]]
    expect_same(model, path, images(2, 5, 8), images(2, 3, 8))


@pytest.mark.parametrize("sizes", [((9, 4), (2, 4)), ((None, 4), (None, 4))])
def test_windows_that_lie_beyond_the_memory_see_nothing(path, sizes):
    layer = nn.SlidingWindowAttention(4, 2, 3)
    nn.interop.save_onnx(layer, path, sizes)
    expect_same(layer, path, images(2, 9, 4), images(2, 2, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.MultiHeadAttention(6, 2, add_bias_kv=True, add_zero_attn=True, causal=True),
        lambda: nn.RotaryAttention(6, 2, add_bias_kv=True),
        lambda: nn.ALiBiAttention(6, 3, add_zero_attn=True, causal=True),
        lambda: nn.SlidingWindowAttention(6, 2, 2, causal=True),
        lambda: nn.GroupedQueryAttention(6, 6, 2),
    ],
)
def test_attention_of_open_lengths(path, layer):
    layer = layer()
    for parameter in layer.parameters():
        parameter.data = np.random.default_rng(0).standard_normal(parameter.shape)
    nn.interop.save_onnx(layer, path, (None, 6))
    for length in (1, 2, 9):
        expect_same(layer, path, images(2, length, 6))


def test_maxima_and_where_they_were(path):
    pool = nn.MaxPool2d(2, return_indices=True)
    nn.interop.save_onnx(pool, path, (4, 6, 3))
    expect_same(pool, path, images(2, 4, 6, 3))
    assert onnx.load(path).graph.output[1].type.tensor_type.elem_type == onnx.TensorProto.INT64


@pytest.mark.slow
def test_running_statistics_and_the_model_left_alone(path):
    model, x = image_net(), images(8, 6, 4, 3)
    for _ in range(3):
        model(x)
    before = model.state_dict()
    nn.interop.save_onnx(model, path, (6, 4, 3))
    assert model.training
    assert "forward" not in vars(model)
    for name, data in model.state_dict().items():
        np.testing.assert_array_equal(data, before[name])
    expect_same(model, path, x)


@pytest.mark.slow
def test_the_file_runs_on_old_runtimes_and_holds_each_weight_once(path):
    tied, other = nn.Linear(300, 300), nn.Linear(300, 300)
    other.weight = tied.weight
    nn.interop.save_onnx(nn.Sequential(tied, nn.Tanh(), other), path, 300)
    proto = onnx.load(path)
    assert proto.ir_version == 8
    assert [opset.version for opset in proto.opset_import] == [17]
    assert path.stat().st_size < 1.1 * 4 * 300 * 300


# -- layers of one's own ---------------------------------------------------------------------------


class Swap(nn.Layer):
    """A user's layer, which says how it is written."""

    def forward(self, x):
        self.save_for_backward()
        return x[..., ::-1] * 2

    def backward(self, grad_output):
        self.saved()
        return 2 * grad_output[..., ::-1]

    def to_onnx(self, graph: Graph, x: Value) -> Value:
        x = graph.features(x)
        order = np.arange(x.shape[-1])[::-1]
        return graph.map("Mul", x._replace(name=graph.node("Gather", x, order, axis=-1)), 2.0)


class Wrong(Swap):
    """A layer whose to_onnx is a mistake."""

    def __init__(self, operator: str | None) -> None:
        self.operator = operator

    def to_onnx(self, graph: Graph, x: Value) -> Value:
        return graph.map(self.operator, x) if self.operator else None


def test_a_to_onnx_that_is_wrong_is_named(path):
    with pytest.raises(ValueError, match=r"layer 1 › Wrong\(None\).*must return a Value"):
        nn.interop.save_onnx(nn.Sequential(nn.Linear(4, 4), Wrong(None)), path, 4)
    with pytest.raises(ValueError, match=r"^save_onnx: [^\n]*Squared[^\n]*Name: layer_1/Squared"):
        nn.interop.save_onnx(nn.Sequential(nn.Linear(4, 4), Wrong("Squared")), path, 4)
    assert not path.exists()


def test_a_layer_with_to_onnx(path):
    model = nn.Sequential(nn.Linear(3, 4), nn.Residual(Swap()))
    nn.interop.save_onnx(model, path, 3)
    expect_same(model, path, images(2, 3))


class Third(nn.Layer):
    """Written by someone else."""

    def forward(self, x):
        self.save_for_backward()
        return abs(x)


def test_a_registered_layer(path):
    @export.register(Third)
    def third(layer, graph, x):
        return graph.map("Abs", x)

    nn.interop.save_onnx(Third(), path, 3)
    expect_same(Third(), path, images(2, 3))


class Blocks(nn.Sequential):
    """A subclass that only builds."""

    def __init__(self, width=4):
        self.width = width
        super().__init__(nn.Linear(3, width), nn.Tanh())


class Clipped(nn.ReLU):
    """A subclass that computes something else."""

    def function(self, x):
        y = np.clip(x, 0, 1)
        return y, y


class Leaky(nn.LSTM):
    """Another cell."""

    def step(self, t, run, weight):
        super().step(t, run, weight)
        run.states[0][t + 1] *= 0.9


def test_subclasses(path):
    nn.interop.save_onnx(Blocks(), path, 3)
    with pytest.raises(ValueError, match=r"Leaky\(.*: its class has a step"):
        nn.interop.save_onnx(nn.Bidirectional(Leaky(3, 2)), path, (4, 3))
    with pytest.raises(ValueError, match=r"Projections\(.*does not know how to write it"):
        nn.interop.save_onnx(nn.MultiHeadAttention(4, 2).qkv, path, (4, 4))
    relu = nn.ReLU()
    relu.forward = np.abs
    with pytest.raises(ValueError, match=r"layer 0 › ReLU\(\): its forward was replaced"):
        nn.interop.save_onnx(nn.Sequential(relu), path, 3)
    with pytest.raises(ValueError, match=r"layer 1 › Clipped\(\): its class has a function"):
        nn.interop.save_onnx(nn.Sequential(nn.Linear(3, 4), Clipped()), path, 3)


# -- refusals --------------------------------------------------------------------------------------


def test_refusals_name_the_place_and_what_to_do(path):
    unknown = nn.Lambda(np.sign, lambda g, x: 0 * g)
    model = nn.Sequential(nn.Linear(3, 3), nn.Residual(nn.Sequential(nn.ReLU(), unknown)))
    with pytest.raises(ValueError, match=r"layer 1 › branch › layer 1 › Lambda.*to_onnx"):
        nn.interop.save_onnx(model, path, 3)
    with pytest.raises(ValueError, match="stateful=False"):
        nn.interop.save_onnx(nn.GRU(3, 3, stateful=True), path, (4, 3))
    with pytest.raises(ValueError, match=r"Linear\(3, 4\): expected \(N, 3\), got \(2, 5\)"):
        nn.interop.save_onnx(nn.Linear(3, 4), path, 5)
    with pytest.raises(ValueError, match="expected input_shape as sizes"):
        nn.interop.save_onnx(nn.Linear(3, 4), path, ((3,), 4))
    with pytest.raises(ValueError, match=r"ceil_mode.*input_shape"):
        nn.interop.save_onnx(nn.MaxPool1d(2, ceil_mode=True), path, (None, 3))


def test_without_the_package_the_error_says_how_to_install_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "nnlite\[onnx\]"'):
        nn.interop.save_onnx(nn.Linear(3, 4), path, 3)
