"""Weights from Keras: the same outputs from models and both kinds of files, and what is refused."""

import io
import json
import os
import warnings
import zipfile

import numpy as np
import pytest

import nnlite as nn
from interop.files import changed, net

h5py = pytest.importorskip("h5py")
load = nn.interop.load_keras
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept")  # Keras's


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


def images(keras):
    t = keras.layers
    theirs = keras.Sequential([
        keras.Input((8, 8, 3)), t.Conv2D(4, 3, padding="same"), t.BatchNormalization(), t.ReLU(),
        t.DepthwiseConv2D(3, depth_multiplier=2), t.SeparableConv2D(5, 3),
        keras.Sequential([
            t.Conv2DTranspose(2, 3, strides=2, padding="same"), t.PReLU(shared_axes=[1, 2]),
        ]),
        t.MaxPooling2D(2), t.Flatten(), t.Dense(3),
    ])  # fmt: skip
    ours = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU(),
        nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.Conv2d(8, 5, 1),
        nn.ConvTranspose2d(5, 2, 3, stride=2, padding=((0, 1), (0, 1))), nn.PReLU(2),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 3),
    )  # fmt: skip
    return theirs, ours, (3, 8, 8, 3)


def sequences(keras):
    t = keras.layers
    x = tokens = keras.Input((None,), dtype="int32")
    x = t.Embedding(10, 6)(x)
    x = t.LSTM(4, return_sequences=True)(x)
    x = t.Bidirectional(t.GRU(3, return_sequences=True))(x)
    x = t.Add()([x, t.MultiHeadAttention(2, 3)(x, x)])
    x = t.LayerNormalization()(x)
    x = t.Add()([x, t.Dense(6)(t.Dense(12, activation="relu")(t.RMSNormalization()(x)))])
    x = t.Bidirectional(t.LSTM(2, return_sequences=True))(x)
    x = t.SimpleRNN(3, return_sequences=True, use_bias=False)(x)
    x = t.GRU(5, reset_after=False)(x)
    forward = nn.Sequential(nn.RMSNorm(6, eps=1e-6), nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 6))
    ours = nn.Sequential(
        nn.Embedding(10, 6), nn.LSTM(6, 4), nn.Bidirectional(nn.GRU(4, 3)),
        nn.Residual(nn.MultiHeadAttention(6, 2)), nn.LayerNorm(6, eps=1e-3), nn.Residual(forward),
        nn.Bidirectional(nn.LSTM(6, 2)), nn.RNN(4, 3, bias=False),
        nn.GRU(3, 5, reset_after=False, return_sequences=False),
    )  # fmt: skip
    return keras.Model(tokens, x), ours, None


def one_axis(keras):
    t = keras.layers
    theirs = keras.Sequential([
        keras.Input((9, 4)), t.Conv1D(6, 3, strides=2), t.GroupNormalization(2),
        t.Conv1DTranspose(4, 3, strides=2), t.DepthwiseConv1D(3),
        t.BatchNormalization(center=False), t.SeparableConv1D(3, 2), t.BatchNormalization(),
        t.GlobalAveragePooling1D(), t.Dense(2, use_bias=False),
    ])  # fmt: skip
    ours = nn.Sequential(
        nn.Conv1d(4, 6, 3, stride=2), nn.GroupNorm(2, 6, eps=1e-3),
        nn.ConvTranspose1d(6, 4, 3, stride=2), nn.Conv1d(4, 4, 3, groups=4),
        nn.BatchNorm1d(4, eps=1e-3, bias=False), nn.Conv1d(4, 4, 2, groups=4, bias=False),
        nn.Conv1d(4, 3, 1), nn.BatchNorm1d(3, eps=1e-3), nn.GlobalAvgPool1d(),
        nn.Linear(3, 2, bias=False),
    )  # fmt: skip
    return theirs, ours, (2, 9, 4)


def randomized(model):
    rng = np.random.default_rng(0)
    model.set_weights([
        rng.uniform(0.5, 1.5, w.shape) if "variance" in w.path else rng.standard_normal(w.shape) / 2
        for w in model.weights
    ])  # fmt: skip
    return model


@pytest.mark.slow
@pytest.mark.parametrize("build", [images, sequences, one_axis])
def test_outputs_are_those_of_keras(keras, tmp_path, build):
    theirs, ours, shape = build(keras)
    randomized(theirs)
    theirs.save(tmp_path / "net.keras")
    theirs.save_weights(tmp_path / "net.weights.h5")
    rng = np.random.default_rng(1)
    x = rng.integers(0, 10, (3, 5)) if shape is None else rng.standard_normal(shape)
    expected = theirs.predict(x, verbose=0)
    for source in (theirs, tmp_path / "net.keras", tmp_path / "net.weights.h5"):
        model = nn.clone(ours)
        report = load(model, source)
        assert (report.missing, report.left_over) == ([], [])
        np.testing.assert_allclose(model.predict(x), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
def test_layers_of_one_name_in_two_models_keep_their_own_weights(keras):
    def tower():
        x = keras.Input((3,), dtype="float64")
        return keras.Model(x, keras.layers.Dense(3, name="dense", dtype="float64")(x))

    towers, x = (tower(), tower()), keras.Input((3,), dtype="float64")
    theirs = randomized(keras.Model(x, towers[1](towers[0](x))))
    ours = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).astype(np.float64)
    report = load(ours, theirs)
    for i, each in enumerate(towers):
        np.testing.assert_array_equal(ours[i].weight.data, each.get_weights()[0])
        assert dict(report.matched)[f"{i}.weight"] == f"{each.name}.dense/kernel"


@pytest.mark.slow
def test_settings_and_what_is_not_here(keras, tmp_path):
    t = keras.layers
    theirs = keras.Sequential([
        keras.Input((4, 4, 2)), t.Conv2D(3, 2, use_bias=False),
        t.BatchNormalization(scale=False), t.Flatten(), t.Dense(1000),
    ])  # fmt: skip
    randomized(theirs).save(tmp_path / "net.keras")
    conv = nn.Conv2d(2, 3, 2, bias=False)
    model = nn.Sequential(conv, nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 5))
    message = r"1, BatchNorm2d\(3\): eps is 1e-05 here and 0.001 in Keras"
    for source in (theirs, tmp_path / "net.keras"):
        with changed(model), pytest.raises(ValueError, match=message):
            load(model, source, strict=False)
    model = nn.Sequential(conv, nn.BatchNorm2d(3, eps=1e-3), *model[2:])
    with (
        changed(model),
        pytest.raises(ValueError, match=r"dense.0 \(27, 5\).*dense.0 \(27, 1000\)"),
    ):
        load(model, theirs)
    norm = [f"1.{name}" for name in ("bias", "running_mean", "running_var")]
    with changed(model, "0.weight", *norm):  # the weight is 1
        report = load(model, theirs, strict=False)
    assert report.missing == ["3.weight", "3.bias"]
    other = keras.Sequential([
        keras.Input((3, 2)), t.Bidirectional(t.LSTM(2, recurrent_activation="hard_sigmoid")),
    ])  # fmt: skip
    other.save(tmp_path / "other.keras")
    for source in (other, tmp_path / "other.keras"):
        with pytest.raises(ValueError, match="'hard_sigmoid'; here it is always 'sigmoid'"):
            load(nn.Sequential(nn.Bidirectional(nn.LSTM(2, 2))), source)
    for cell, own, message in [
        (
            t.LSTM(2, activation="relu"),
            nn.LSTM(2, 2),
            "activation='relu'; here it is always 'tanh'",
        ),
        (t.SimpleRNN(2, activation="relu"), nn.RNN(2, 2), "nonlinearity is 'tanh' here and 'relu'"),
    ]:
        other = keras.Sequential([keras.Input((3, 2)), t.Bidirectional(cell)])
        with pytest.raises(ValueError, match=message):
            load(nn.Sequential(nn.Bidirectional(own)), other)
    with pytest.raises(TypeError, match=r"expected a Keras model, .* got the class Sequential"):
        load(model, keras.Sequential)
    with pytest.raises(TypeError, match=r"0, WeightNorm.* has no counterpart in Keras"):
        load(nn.Sequential(nn.WeightNorm(nn.Linear(2, 2))), theirs)


# -- files -----------------------------------------------------------------------------------------


def weights(path, layers):
    """A `.weights.h5` file with these arrays."""
    with h5py.File(path, "w") as file:
        for place, arrays in layers.items():
            for i, array in enumerate(arrays):
                file.create_dataset(f"layers/{place}/vars/{i}", data=array)
    return path


def kernels(*counts):
    """A dense layer for each count."""
    return [(np.full((2, n), n, np.float32), np.zeros(n, np.float32)) for n in counts]


def test_layers_are_in_the_order_of_their_numbers(tmp_path):
    sizes = range(2, 14)
    names = ["dense", *(f"dense_{i}" for i in range(1, 12))]
    path = weights(tmp_path / "n.weights.h5", dict(zip(names, kernels(*sizes), strict=True)))
    model = nn.Sequential(*(nn.Linear(2, n) for n in sizes))
    load(model, path)
    assert all((model[i].weight.data == n).all() for i, n in enumerate(sizes))


def test_an_order_that_no_file_tells_is_not_guessed(tmp_path):
    places = ("dense", "sequential/layers/dense")
    path = weights(tmp_path / "n.weights.h5", dict(zip(places, kernels(2, 2), strict=True)))
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    message = r"could be dense or sequential.dense of .* give the .keras file, or the model itself"
    with changed(model), pytest.raises(ValueError, match=message):
        load(model, path)


def external(path):
    path.with_name("secret.bin").write_bytes(b"0" * 32)
    with h5py.File(path, "w") as file:
        outside = [(str(path.with_name("secret.bin")), 0, 16)]
        file.create_dataset("layers/dense/vars/0", (2, 2), "f4", external=outside)


def linked(path):
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["vars/0"] = np.ones((2, 2), np.float32)
    with h5py.File(path, "w") as file:
        file.create_group("layers")["dense"] = h5py.ExternalLink("other.h5", "/")


def circle(path):
    with h5py.File(path, "w") as file:
        layers = file.create_group("layers")
        for i in range(20):  # more ways through than there is time for
            layers[f"sequential_{i}"] = file["/"]


def softly(path):
    with h5py.File(path, "w") as file:
        file.create_group("layers")["dense"] = h5py.SoftLink("/elsewhere")


def absurd(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "f4", chunks=(1000, 1000))


def packed(path):
    with h5py.File(path, "w") as file:
        zeros = np.zeros((1000, 1000), np.float32)
        file.create_dataset("layers/dense/vars/0", data=zeros, compression="gzip")


def text(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=["import os"], dtype=h5py.string_dtype())


def archive(config, compression=zipfile.ZIP_STORED):
    def write(path):
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            file["layers/dense/vars/0"] = np.zeros((100, 100), np.float32)
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr("config.json", config)
            file.writestr("model.weights.h5", content.getvalue())

    return write


HOSTILE = {
    "external data": (external, "claims 16 bytes|in another file"),
    "external link": (linked, "is a link to somewhere else"),
    "soft link": (softly, "is a link to somewhere else"),
    "circle": (circle, "/layers/sequential_0 is / again; Keras writes each once"),
    "absurd size": (absurd, "claims 4,000,000,000,000 bytes, and the file has 0 of it"),
    "compressed": (packed, "it is compressed, or its values are in another file"),
    "text": (text, "holds no numbers"),
    "no HDF5": (lambda p: p.write_bytes(b"no HDF5 at all"), "that can be read"),
    "empty": (lambda p: p.write_bytes(b""), "that can be read"),
    "Keras 2": (
        lambda p: h5py.File(p, "w").create_group("model_weights").file.close(),
        r"format of Keras 2; .*keras.models.load_model\(path\)",
    ),
    "no layers": (lambda p: h5py.File(p, "w").close(), "has no layers with weights"),
    "zip of something": (archive("[1, 2"), "that can be read"),
    "no model": (archive("[1, 2]"), "it describes no model"),
    "deep JSON": (archive("[" * 100_000), "that can be read"),
    "compressed zip": (archive("{}", zipfile.ZIP_DEFLATED), "has compressed parts"),
    "no class": (archive(json.dumps({"layers": [{}]})), "it describes no model"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_lies_is_refused(tmp_path, kind):
    write, message = HOSTILE[kind]
    write(tmp_path / "hostile.keras")
    layer = nn.Linear(2, 2)
    with changed(layer), pytest.raises(ValueError, match=message) as caught:
        load(layer, tmp_path / "hostile.keras")
    assert "hostile.keras" in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(net(1), tmp_path / "none.keras")
    with pytest.raises(TypeError, match="expected a Keras model, or the path"):
        load(net(1), 3)
