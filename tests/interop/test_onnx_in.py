"""Files that others wrote become nnlite's layers, which compute the same and can be trained."""

import contextlib
import io
import itertools
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of
from cases.core import Halves
from cases.sequences import Ending, Tokens

import nnlite as nn
from interop.files import image_net, images

onnx = pytest.importorskip("onnx")
helper = pytest.importorskip("onnx.helper")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


# -- what nnlite wrote itself ------------------------------------------------------------------

# what nnlite writes as several nodes and does not recognize again
ONE_WAY = (
    "Attention", "Transformer", "Positional", "RMSNorm", "Adaptive", "GLU axis", "Circular",
    "LPPool", "MaxUnpool", "GaussianSample", "divisor", "untracked", "AvgPool1d ceil", "Threshold",
)  # fmt: skip
ONE_WAY_ROWS = {
    "Bidirectional two", "AvgPool2d ceil", "Elementwise", "Lambda", "Parallel", "Join",
    "Permute",  # images are channels last for a model, whatever the file has
    "MaxPool1d dilation padding", "Upsample2d factor", "Upsample2d size",
    "Upsample2d bilinear factor", "Upsample2d bicubic size",
    "Upsample1d size", "Upsample1d linear factor", "Upsample2d bicubic corners",
    "LocalResponseNorm", "LocalResponseNorm even", "LocalResponseNorm alone",
    "LocalResponseNorm wide",
}  # fmt: skip


def returns(name):
    case = LAYERS[name]
    theirs = isinstance(case.make(), Ending | Tokens | Halves)
    return not theirs and name not in ONE_WAY_ROWS and not any(w in name for w in ONE_WAY)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LAYERS if returns(name)])
def test_row_there_and_back(name, path):
    case = LAYERS[name]
    layer, x = layer_of(case, np.float32), layer_input(case, np.float32)
    nn.interop.save_onnx(layer, path, x.shape[1:])
    model = nn.interop.load_onnx(path)
    assert isinstance(model, nn.Sequential)
    assert all(part.data.flags.owndata for part in [*model.parameters(), *model.buffers()])
    expected = layer.predict(x)
    found = model.predict(x)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    assert repr(model)


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_net_comes_back_as_it_was_written(path, channels_first):
    model = image_net()
    nn.interop.save_onnx(model, path, (6, 4, 3), channels_first=channels_first)
    back = nn.interop.load_onnx(path)
    assert repr(back) == repr(model)
    np.testing.assert_allclose(
        back.predict(images(2, 6, 4, 3)), model.predict(images(2, 6, 4, 3)), atol=1e-6
    )


@pytest.mark.slow
def test_what_was_read_is_summarized_traced_and_trained(path):
    nn.interop.save_onnx(image_net(), path, (6, 4, 3))
    model = nn.interop.load_onnx(path)
    x, y = images(12, 6, 4, 3), np.arange(12) % 5
    assert nn.summary(model, (6, 4, 3)).total.parameters > 0
    assert nn.trace(model, nn.CrossEntropyLoss(), x, y).steps
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), lr=0.01))
    loss = trainer.fit(x, y, epochs=15, verbose=False)["loss"]
    assert loss[-1] < loss[0] / 2


# -- what PyTorch writes ---------------------------------------------------------------------------


def torch_models():
    import torch
    from torch import nn as t

    class Block(t.Module):
        def __init__(self, channels, out, stride=1):
            super().__init__()
            self.branch = t.Sequential(
                t.Conv2d(channels, out, 3, stride, 1, bias=False),
                t.BatchNorm2d(out),
                t.ReLU(),
                t.Conv2d(out, out, 3, 1, 1),
            )
            self.way = t.Conv2d(channels, out, 1, stride) if stride > 1 else t.Identity()

        def forward(self, x):
            return torch.relu(self.branch(x) + self.way(x))

    class Dense(t.Module):
        def __init__(self):
            super().__init__()
            self.conv = t.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            return torch.cat([x, self.conv(x)], 1)

    class View(t.Module):
        def forward(self, x):
            return x.view(x.size(0), -1)

    class Steps(t.Module):
        def __init__(self, kind, last=False, **options):
            super().__init__()
            self.layer, self.last = kind(6, 5, batch_first=True, **options), last

        def forward(self, x):
            y = self.layer(x)[0]
            return y[:, -1] if self.last else y

    image, steps = (3, 8, 8), (7, 6)
    models = {
        "mlp": (t.Sequential(t.Linear(5, 7), t.Tanh(), t.Linear(7, 3, bias=False)), (5,)),
        "lenet": (
            t.Sequential(
                t.Conv2d(3, 6, 3, padding=1),
                t.ReLU(),
                t.MaxPool2d(2),
                t.Conv2d(6, 8, 3),
                t.AvgPool2d(2),
                t.Dropout(),
                t.Flatten(),
                t.BatchNorm1d(8),
                t.Linear(8, 5),
            ),
            image,
        ),
        "view": (t.Sequential(t.Conv2d(3, 6, 3), t.MaxPool2d(2), View(), t.Linear(54, 5)), image),
        "features": (t.Sequential(t.Conv2d(3, 6, 3), View()), image),
        "resnet": (
            t.Sequential(
                t.Conv2d(3, 8, 3),
                Block(8, 8),
                Block(8, 12, 2),
                t.AdaptiveAvgPool2d(1),
                t.Flatten(),
                t.Linear(12, 4),
            ),
            image,
        ),
        "densenet": (t.Sequential(Dense(), t.Conv2d(7, 3, 1), Dense(), t.BatchNorm2d(7)), image),
        "norms": (
            t.Sequential(
                t.Conv2d(3, 4, 3),
                t.GroupNorm(2, 4),
                t.InstanceNorm2d(4),
                t.AvgPool2d(3, 1, padding=1, count_include_pad=False),
            ),
            image,
        ),
        "borders": (
            t.Sequential(
                t.ReflectionPad2d((1, 2, 0, 1)),
                t.ReplicationPad2d(1),
                t.ConstantPad2d(1, 2.0),
                t.MaxPool2d(3, 2, dilation=2),
                t.Upsample(scale_factor=2, mode="bilinear"),
            ),
            image,
        ),
        "larger": (
            t.Sequential(
                t.ConvTranspose2d(3, 4, 3, 2, 1, 1), t.Upsample(scale_factor=2), t.ZeroPad2d(1)
            ),
            image,
        ),
        "sequence": (
            t.Sequential(
                t.Conv1d(3, 6, 3, padding=1),
                t.BatchNorm1d(6),
                t.MaxPool1d(2),
                t.AdaptiveAvgPool1d(1),
                t.Flatten(),
                t.Linear(6, 2),
            ),
            (3, 12),
        ),
        "layer norm": (t.Sequential(t.Linear(6, 6), t.LayerNorm(6), t.Linear(6, 2)), (4, 6)),
        "tokens": (t.Sequential(t.Embedding(9, 6), Steps(t.LSTM, True), t.Linear(5, 2)), None),
        "LSTM": (Steps(t.LSTM), steps),
        "LSTM stacked both ways": (Steps(t.LSTM, num_layers=2, bidirectional=True), steps),
        "RNN last": (Steps(t.RNN, True), steps),
        "GLU": (t.Sequential(t.Linear(5, 6), t.GLU()), (5,)),
        "GRU": (Steps(t.GRU, num_layers=2), steps),
    }
    activations = [
        t.ReLU6(), t.LeakyReLU(0.2), t.ELU(0.5), t.SELU(), t.CELU(0.5), t.GELU(), t.GELU("tanh"),
        t.SiLU(), t.Mish(), t.Hardswish(), t.Hardsigmoid(), t.Hardtanh(-2, 1), t.Softplus(3),
        t.Softsign(), t.LogSigmoid(), t.Softmax(-1), t.LogSoftmax(-1), t.PReLU(5), t.Hardshrink(),
        t.Softshrink(0.2), t.Tanhshrink(), t.Sigmoid(),
    ]  # fmt: skip
    between = [t.Linear(5, 5) for _ in activations]  # so that each sees values of both signs
    models["activations"] = (
        t.Sequential(*itertools.chain(*zip(between, activations, strict=True))),
        (5,),
    )
    return models


# the newer exporter takes 2 s for each, and writes recurrent steps one by one
BY_THE_NEWER = {"resnet", "norms", "tokens", "activations"}


def write_torch(module, x, path, dynamo):
    import torch

    names = {"dynamic_axes": {"x": {0: "N"}}, "input_names": ["x"]}
    if dynamo:
        names = {"dynamic_shapes": ({0: torch.export.Dim("N", min=2)},), "external_data": False}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), path, dynamo=dynamo, verbose=False, **names)


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [False, True])
def test_what_torch_writes(path, dynamo):
    torch = pytest.importorskip("torch")
    if dynamo:
        pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    wrong = {}
    for name, (module, shape) in torch_models().items():
        if dynamo and name not in BY_THE_NEWER:
            continue
        for part in module.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.running_mean.uniform_(-1, 1)
                part.running_var.uniform_(0.5, 2)
        module.eval()
        x = torch.randint(0, 9, (2, 6)) if shape is None else torch.randn(2, *shape)
        write_torch(module, x, path, dynamo)
        model = nn.interop.load_onnx(path)
        channels = x.ndim == 4 or name == "sequence"
        expected = module(x).detach().numpy()
        expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
        given = np.moveaxis(x.numpy(), 1, -1) if channels else x.numpy()
        found = model.predict(given)
        same = found.shape == expected.shape
        if not same or np.abs(found - expected).max() > 1e-5 * max(1, np.abs(expected).max()):
            wrong[name] = model
    assert not wrong


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_residual_net_of_torch_is_readable(path):
    torch = pytest.importorskip("torch")
    module, shape = torch_models()["resnet"]
    write_torch(module.eval(), torch.randn(2, *shape), path, dynamo=False)
    assert repr(nn.interop.load_onnx(path)) == repr(
        nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.Residual(
                nn.Sequential(
                    nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)
                )
            ),
            nn.ReLU(),
            nn.Add(
                nn.Sequential(
                    nn.Conv2d(8, 12, 3, stride=2, padding=1),
                    nn.ReLU(),
                    nn.Conv2d(12, 12, 3, padding=1),
                ),
                nn.Conv2d(8, 12, 1, stride=2),
            ),
            nn.ReLU(),
            nn.GlobalAvgPool2d(),
            nn.Linear(12, 4),
        )
    )


# -- real models -----------------------------------------------------------------------------------


def expect_same_as_runtime(file):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(file)
    (given,) = session.get_inputs()
    x = images(*(size if isinstance(size, int) else 2 for size in given.shape))
    expected = session.run(None, {given.name: x})[0]
    model = nn.interop.load_onnx(file)
    found = model.predict(np.moveaxis(x, 1, -1) if x.ndim == 4 else x)
    found = np.moveaxis(found, -1, 1) if found.ndim == 4 else found
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def package(name, *places):
    """The folder of a package's data; it is not imported."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    (folder,) = find_spec(name).submodule_search_locations
    return Path(folder, *places)


def dnsmos(name):
    return package("speechmos", "dnsmos_models") / f"{name}.onnx"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model_v8", "sig", "bak_ovr"])
def test_dnsmos(name):
    expect_same_as_runtime(dnsmos(name))


@pytest.mark.slow
def test_a_speech_model_is_traced_and_fine_tuned():
    """A net of 24 layers that rates recordings learns other marks for pieces of spectrograms."""
    model = nn.interop.load_onnx(dnsmos("sig"))
    assert len(model) == 24
    model = model[1:]  # a spectrogram (N, T, F, 1) of any size: the Reshape before fixes it
    x = np.concatenate([images(4, 32, 24, 1) - 1, images(4, 32, 24, 1) + 1])
    y = np.repeat(np.float32([[1.0], [5.0]]), 4, axis=0)
    assert "Conv2d(1, 128, 3, padding=1)" in str(nn.summary(model, (32, 24, 1)))
    steps = nn.trace(model, nn.MSELoss(), x[:1], y[:1]).steps
    assert {step.place for step in steps} > {(f"layer {i}",) for i in range(23)}
    model.freeze("0").freeze("2")
    before = model[0].weight.data.copy(), model[-1].weight.data.copy()
    trainer = nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters(), lr=1e-3))
    loss = trainer.fit(x, y, epochs=15, batch_size=4, verbose=False)["loss"]
    assert loss[-1] < loss[0] / 4
    np.testing.assert_array_equal(model[0].weight.data, before[0])
    assert (model[-1].weight.data != before[1]).any()


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet50", "shufflenet", "densenet121", "inception_v1", "inception_v2", "squeezenet"]
)
def test_the_light_models_of_onnx(name):
    expect_same_as_runtime(LIGHT / f"light_{name}.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bvlc_alexnet", "vgg19", "zfnet512"])
def test_light_models_whose_weights_are_larger_than_what_the_file_may_ask_for(name):
    """They have 60 to 140 million weights, each file a few kilobytes."""
    with pytest.raises(ValueError, match="more values than the file holds"):
        nn.interop.load_onnx(LIGHT / f"light_{name}.onnx")


@pytest.mark.slow
def test_one_of_them_with_more_room(monkeypatch):
    monkeypatch.setattr("nnlite.interop.onnx.load.ROOM", 1 << 27)
    expect_same_as_runtime(LIGHT / "light_bvlc_alexnet.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("silero_vad", r"\(If\): nnlite runs no nodes inside a node"),
        ("silero_vad_16k_sequence", "expected one input, it has input, h, c"),
    ],
)
def test_what_silero_vad_needs_is_named(name, why):
    """Its states go in and out, and its sampling rate chooses between two nets."""
    with pytest.raises(ValueError, match=rf"{name}.onnx: .*{why}"):
        nn.interop.load_onnx(package("silero_vad", "data") / f"{name}.onnx")


@pytest.mark.slow
def test_what_scikit_learn_becomes(path):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    x = images(60, 5)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    short = {"max_iter": 20, "tol": 1.0}
    for estimator in (
        make_pipeline(StandardScaler(), MLPClassifier((8, 6), **short)),
        MLPClassifier((8,), activation="tanh", **short),
        LogisticRegression(),
        LinearRegression(),
        make_pipeline(MinMaxScaler(), MLPRegressor(activation="logistic", **short)),
    ):
        classifies = hasattr(estimator, "predict_proba")
        estimator.fit(x, y if classifies else x[:, 0])
        options = {"zipmap": False} if classifies else None
        onnx.save(to_onnx(estimator, x[:1], options=options), path)
        model = nn.interop.load_onnx(path, output="probabilities" if classifies else None)
        expected = estimator.predict_proba(x) if classifies else estimator.predict(x)[:, None]
        np.testing.assert_allclose(model.predict(x), expected, atol=2e-5)
        if classifies:
            with pytest.raises(ValueError, match="output='probab"):
                nn.interop.load_onnx(path)


def keras_models():
    import keras
    from keras import layers as k

    def net(shape, *layers, dtype="float32"):
        return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])

    x = keras.Input((8, 8, 3))
    y = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    y = k.Activation("relu")(k.Add()([y, k.Conv2D(8, 3, padding="same")(y)]))
    y = k.GlobalAveragePooling2D()(k.Conv2D(12, 3, strides=2, padding="same")(y))
    image, steps = (8, 8, 3), (12, 3)
    return {
        "mlp": net((5,), k.Dense(7, "tanh"), k.Dropout(0.3), k.Dense(3)),
        "lenet": net(image, k.Conv2D(6, 3, activation="relu"), k.MaxPooling2D(2),
                     k.Conv2D(8, 2, padding="same"), k.AveragePooling2D(2), k.Flatten(),
                     k.Dense(5)),
        "resnet": keras.Model(x, k.Dense(4, activation="softmax")(y)),
        "depthwise": net(image, k.SeparableConv2D(6, 3, padding="same"), k.DepthwiseConv2D(3)),
        "larger": net(image, k.Conv2DTranspose(4, 3, strides=2, padding="same"),
                      k.ZeroPadding2D(1)),
        "sequence": net(steps, k.Conv1D(6, 3, padding="same", activation="relu"),
                        k.MaxPooling1D(2), k.GlobalMaxPooling1D(), k.Dense(2)),
        "causal": net(steps, k.Conv1D(6, 3, padding="causal", dilation_rate=2),
                      k.GlobalAveragePooling1D()),
        "LSTM": net(steps, k.LSTM(5, return_sequences=True), k.LSTM(4), k.Dense(2)),
        "over time": net(steps, k.Dense(5, "relu"), k.Conv1D(4, 3), k.Dense(2, "softmax")),
        "both ways": net(steps, k.Bidirectional(k.LSTM(5)), k.Dense(2)),
        "tokens": net((7,), k.Embedding(9, 4), k.GlobalAveragePooling1D(), dtype="int32"),
        "activations": net((5,), *(k.Dense(6, name) for name in (
            "elu", "selu", "softplus", "relu6", "hard_sigmoid", "mish", "silu", "log_softmax"))),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_keras_writes(path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    for model in keras_models().values():
        shape = (2, *model.input_shape[1:])
        x = images(*shape)
        if model.inputs[0].dtype == "int32":
            x = np.arange(14, dtype=np.int32).reshape(shape) % 9
        expected = np.asarray(model(x, training=False))  # export asks for a call before it
        model.export(path, format="onnx", verbose=False)
        found = nn.interop.load_onnx(path).predict(x)
        np.testing.assert_allclose(found, expected, atol=2e-5)


# -- single nodes ----------------------------------------------------------------------------------


def write(path, nodes, constants, shape=("N", 4)):
    """A file with an input x and an output y."""
    kind = onnx.TensorProto.FLOAT
    made = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, [f"M{i}" for i in range(len(shape))])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=8), path)


def test_gemm_with_alpha_beta_and_a_transposed_weight(path):
    w, b, x = images(3, 4), images(3), images(2, 4)
    options = {"alpha": 0.5, "beta": 2.0, "transB": 1}
    write(path, [("Gemm", ["x", "w", "b"], ["y"], options)], {"w": w, "b": b})
    model = nn.interop.load_onnx(path)
    np.testing.assert_allclose(model.predict(x), 0.5 * x @ w.T + 2 * b, atol=1e-6)
    assert repr(model) == "Sequential(Linear(4, 3))"


def test_a_product_and_a_sum_are_one_linear_and_lone_ones_an_affine(path):
    w, b, s, x = images(4, 3), images(3), images(4), images(2, 4)
    nodes = [
        ("Mul", ["x", "s"], ["a"]),
        ("Sub", ["a", "s"], ["c"]),
        ("MatMul", ["c", "w"], ["p"]),
        ("Add", ["b", "p"], ["y"]),
    ]
    write(path, nodes, {"w": w, "b": b, "s": s})
    model = nn.interop.load_onnx(path)
    assert repr(model) == "Sequential(Affine(4), Linear(4, 3))"
    np.testing.assert_allclose(model.predict(x), (x * s - s) @ w + b, atol=1e-6)


def test_rows_of_all_steps_around_a_product(path):
    """As exporters write a dense layer on sequences."""
    w, x = images(4, 2), images(2, 3, 4)
    nodes = [
        ("Reshape", ["x", "rows"], ["r"]),
        ("MatMul", ["r", "w"], ["p"]),
        ("Relu", ["p"], ["a"]),
        ("Reshape", ["a", "steps"], ["y"]),
    ]
    constants = {"w": w, "rows": np.array([-1, 4]), "steps": np.array([-1, 3, 2])}
    write(path, nodes, constants, shape=("N", 3, 4))
    model = nn.interop.load_onnx(path)
    assert repr(model) == "Sequential(Linear(4, 2, bias=False), ReLU())"
    np.testing.assert_allclose(model.predict(x), np.maximum(x @ w, 0), atol=1e-6)
    nodes[2] = ("ReduceMean", ["p"], ["a"], {"axes": [0], "keepdims": 1})
    write(path, nodes, constants, shape=("N", 3, 4))
    with pytest.raises(ValueError, match=r"\(ReduceMean\): the batch has been joined"):
        nn.interop.load_onnx(path)


def test_a_convolution_along_sequences_as_images_of_height_one(path):
    w, b = images(5, 4, 1, 3), images(1, 5, 1)
    nodes = [
        ("Unsqueeze", ["x", "one"], ["i"]),
        ("Transpose", ["i"], ["t"], {"perm": [0, 3, 1, 2]}),
        ("Conv", ["t", "w"], ["c"], {"pads": [0, 1, 0, 1]}),
        ("MaxPool", ["c"], ["m"], {"kernel_shape": [1, 2], "strides": [1, 2]}),
        ("Squeeze", ["m", "two"], ["s"]),
        ("Add", ["s", "b"], ["y"]),
    ]
    constants = {"w": w, "b": b, "one": np.array([1]), "two": np.array([2])}
    write(path, nodes, constants, shape=("N", 6, 4))
    model = nn.interop.load_onnx(path)
    assert repr(model) == (
        "Sequential(Conv1d(4, 5, 3, padding=1, bias=False), MaxPool1d(2), Affine(5))"
    )
    x = images(2, 6, 4)
    y = onnx.reference.ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})[0]
    np.testing.assert_allclose(model.predict(x), y.transpose(0, 2, 1), atol=1e-5)


def test_pieces_of_features(path):
    halves = ("Split", ["x"], ["a", "b"], {"axis": 1})
    gate = ("Sigmoid", ["b"], ["g"])
    write(path, [halves, gate, ("Mul", ["g", "a"], ["y"])], {})
    assert repr(nn.interop.load_onnx(path)) == "Sequential(GLU())"
    write(path, [halves, ("Concat", ["a", "b"], ["y"], {"axis": 1})], {})
    assert repr(nn.interop.load_onnx(path)) == "Sequential()"
    for nodes in (
        [halves, ("Concat", ["b", "a"], ["y"], {"axis": 1})],
        [halves, ("Relu", ["b"], ["y"])],
        [halves, ("Mul", ["a", "b"], ["y"])],
        [halves, gate, ("Mul", ["g", "b"], ["y"])],
        [halves, ("Identity", ["b"], ["y"])],
        [("Slice", ["x", "at", "to", "along"], ["y"])],
    ):
        at = {"at": np.array([1]), "to": np.array([3]), "along": np.array([1])}
        write(path, nodes, at if len(nodes) == 1 else {})
        with pytest.raises(ValueError, match=r"part|half"):
            nn.interop.load_onnx(path)


def test_a_batch_of_another_size_is_refused(path):
    write(path, [("Reshape", ["x", "to"], ["y"])], {"to": np.array([3, 2, -1])})
    with pytest.raises(ValueError, match="makes a batch of 3 out of one of any size"):
        nn.interop.load_onnx(path)


def test_sizes_that_are_computed_from_open_ones(path):
    """What is added to a size that is not known is not known."""
    nodes = [
        ("Shape", ["x"], ["s"]),
        ("Gather", ["s", "zero"], ["n"]),
        ("Add", ["n", "three"], ["m"]),
        ("Concat", ["m", "two"], ["to"], {"axis": 0}),
        ("Reshape", ["x", "to"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "three": np.array([3]), "two": np.array([2])}
    write(path, nodes, constants)
    with pytest.raises(ValueError, match=r"\(Reshape\): it joins the batch with another axis"):
        nn.interop.load_onnx(path)


def test_the_last_state_taken_by_its_index(path):
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((1, 20, 3)), "r": rng.standard_normal((1, 20, 5))}
    constants = {name: array.astype(np.float32) for name, array in arrays.items()}
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}),
        ("LSTM", ["t", "w", "r"], ["", "h"], {"hidden_size": 5}),
        ("Gather", ["h", "last"], ["y"], {"axis": 0}),
    ]
    write(path, nodes, constants | {"last": np.array(-1)}, ("N", 4, 3))
    model = nn.interop.load_onnx(path)
    assert repr(model) == "Sequential(LSTM(3, 5, bias=False, return_sequences=False))"
    x = rng.standard_normal((2, 4, 3)).astype(np.float32)
    (y,) = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-5, atol=1e-6)


def test_output_cuts_the_head(path):
    nodes = [("Relu", ["x"], ["h"]), ("ArgMax", ["h"], ["y"])]
    write(path, nodes, {})
    with pytest.raises(ValueError, match=r"node 1 'y' \(ArgMax\).*output="):
        nn.interop.load_onnx(path)
    assert repr(nn.interop.load_onnx(path, output="h")) == "Sequential(ReLU())"
    with pytest.raises(ValueError, match="no output 'z'; its outputs are y"):
        nn.interop.load_onnx(path, output="z")


def test_refusals(path):
    write(path, [("Sign", ["x"], ["y"])], {})
    with pytest.raises(ValueError, match=r"node 0 'y' \(Sign\): nnlite has no layer for Sign"):
        nn.interop.load_onnx(path)
    write(path, [("Tanh", ["x"], ["a"]), ("Exp", ["x"], ["b"]), ("Mul", ["a", "b"], ["y"])], {})
    with pytest.raises(ValueError, match=r"\(Exp\): nnlite has no layer"):
        nn.interop.load_onnx(path)
    path.write_bytes(b"no file of ONNX")
    with pytest.raises(ValueError, match="is not a whole ONNX file"):
        nn.interop.load_onnx(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        nn.interop.load_onnx(path.with_name("other.onnx"))


def test_branches_that_are_not_nested_are_refused(path):
    nodes = [
        ("Tanh", ["x"], ["a"]),
        ("Softmax", ["a"], ["b"]),
        ("Softmax", ["x"], ["c"]),
        ("Add", ["b", "c"], ["d"]),
        ("Softmax", ["d"], ["e"]),
        ("Add", ["e", "a"], ["y"]),
    ]
    write(path, nodes, {})
    with pytest.raises(ValueError, match="several branches that are not nested"):
        nn.interop.load_onnx(path)


def test_without_the_package_the_error_says_how_to_install_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "nnlite\[onnx\]"'):
        nn.interop.load_onnx(path)
