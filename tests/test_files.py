"""Files: models come back whole, damage is refused, and a failed save leaves what was there."""

import errno
import gc
import json
import multiprocessing
import os
import resource
import stat
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of
from cases.attention import Attending
from cases.core import Cube, Halves
from cases.sequences import Ending, Tokens

import nnlite as nn
from nnlite.files import archive, atomic, tree
from nnlite.initializers import He, Initializer, Orthogonal


class Tied(nn.Layer):
    """y = x Wᵀ with the weight of another layer."""

    def __init__(self, weight):
        self.weight = weight

    def forward(self, x):
        y = x @ self.weight.data.T
        self.save_for_backward(x)
        return y


class Bag(nn.Layer):
    """Parts in lists and dictionaries, and arguments of every kind."""

    def __init__(self, sizes, *names, table=None, kind=nn.ReLU, dtype=np.float32, **options):
        self.sizes = sizes
        self.names = names
        self.table = table
        self.kind = kind
        self.dtype = dtype
        self.options = options
        self.many = [nn.Parameter(np.zeros(n)) for n in sizes]
        self.by_name = {"steps": nn.Buffer(np.zeros((), np.int64)), "mean": nn.Buffer([0.5])}


def saved(model, tmp_path, custom=()):
    nn.save_model(model, tmp_path / "model.npz")
    return nn.load_model(tmp_path / "model.npz", custom)


def assert_same_state(first, second):
    a, b = first.state_dict(), second.state_dict()
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name])


SAVED = {name: case for name, case in LAYERS.items() if name != "Lambda"}


@pytest.mark.parametrize("case", SAVED.values(), ids=SAVED.keys())
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_every_layer_comes_back(case, dtype, tmp_path):
    layer, x = layer_of(case, dtype), layer_input(case, dtype)
    layer(x)  # generators and running statistics have moved on
    twin = saved(layer, tmp_path, [Cube, Ending, Attending, Halves, Tokens])
    assert repr(twin) == repr(layer)
    assert_same_state(twin, layer)
    y = layer(x)
    np.testing.assert_array_equal(y, twin(x))
    for each in (layer, twin):
        each.backward(np.ones_like(y))
    for one, other in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad)


def test_ties_generators_modes_and_frozen_parts_come_back(tmp_path):
    rng = np.random.Generator(np.random.MT19937(3))
    first, second = nn.Linear(4, 4, weight_init=He("normal")), nn.Linear(4, 4)
    second.weight = first.weight
    model = nn.Sequential(
        first, nn.Dropout(0.5, rng=rng), nn.Residual(second), nn.Dropout(0.2, rng=rng),
        Tied(first.weight),
    )  # fmt: skip
    model[2].eval()
    first.bias.trainable = False
    # a file restores a generator's state; its kind is the constructor's
    for dropout in (model[1], model[3]):
        dropout.rng = model[1].rng = np.random.default_rng(5)
    model[3].rng = model[1].rng
    twin = saved(model, tmp_path, [Tied])
    assert twin[0].weight is twin[2].branch.weight is twin[4].weight
    assert twin[1].rng is twin[3].rng
    assert [p.trainable for p in twin.parameters()] == [True, False, True]
    assert [layer.training for layer in twin] == [True, True, False, True, True]
    x = np.ones((3, 4), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(model(x), twin(x))


def test_arguments_of_every_kind_come_back(tmp_path):
    bag = Bag([2, 3], "a", "b", table=np.arange(3), kind=nn.GELU, dtype=np.float64, extra=(1, None))
    bag.by_name["steps"].data = np.int64(7)
    twin = saved(bag, tmp_path, [Bag])
    assert (twin.sizes, twin.names, twin.kind) == ([2, 3], ("a", "b"), nn.GELU)
    assert twin.options == {"extra": (1, None)}
    assert np.dtype(twin.dtype) == np.float64
    np.testing.assert_array_equal(twin.table, np.arange(3))
    assert_same_state(twin, bag)


class Placed(nn.Layer):
    """Arguments that can only be given by position."""

    def __init__(self, width, /, *sizes, height=2):
        self.width = width
        self.sizes = sizes
        self.height = height


@pytest.mark.parametrize(
    "layer", [Placed(3), Placed(3, height=4), Placed(3, 4, 5, height=6)], ids=repr
)
def test_arguments_without_names_come_back(layer, tmp_path):
    assert repr(saved(layer, tmp_path, [Placed])) == repr(nn.clone(layer)) == repr(layer)


class Fails(nn.Layer):
    """A layer whose constructor fails, once that is wanted."""

    wanted = False

    def __init__(self):
        if self.wanted:
            raise KeyError("size")


def test_what_a_constructor_of_the_users_raises_is_told(tmp_path, monkeypatch):
    nn.save_model(Fails(), tmp_path / "model.npz")
    monkeypatch.setattr(Fails, "wanted", True)
    with pytest.raises(nn.CheckpointError, match=r"cannot be built: Fails raised KeyError: 'size'"):
        nn.load_model(tmp_path / "model.npz", [Fails])


def test_numpy_opens_the_file(tmp_path):
    nn.save_model(nn.Sequential(nn.Linear(3, 2, weight_init=Orthogonal())), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert set(file.files) == {"header", "arrays/0.weight", "arrays/0.bias"}
        assert file["arrays/0.weight"].shape == (3, 2)
        header = json.loads(file["header"].item())
    assert (header["format"], header["version"], header["kind"]) == ("nnlite", 1, "model")


def test_equal_models_give_equal_bytes(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    for name in ("a.npz", "b.npz"):
        nn.save_model(model, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_cannot_be_built_is_refused_when_saving(tmp_path):
    class Linear(nn.Layer):
        pass

    class Forgetful(nn.Layer):
        def __init__(self, size):
            pass

    for model, match in (
        (nn.Sequential(nn.Lambda(np.sin, np.cos)), r"model\.0\.function: a file cannot hold"),
        (nn.Linear(2, 2, weight_init=lambda shape, rng: np.zeros(shape)), r"model\.weight_init"),
        (Forgetful(3), "does not keep its constructor argument 'size'"),
    ):
        with pytest.raises(TypeError, match=match):
            nn.save_model(model, tmp_path / "model.npz")
    with pytest.raises(ValueError, match="Linear has the name of another class"):
        nn.save_model(Linear(), tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_only_known_classes_are_built(tmp_path):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Sequential(nn.Linear(2, 2), Cube()), path)
    with pytest.raises(nn.CheckpointError, match=r"model\.npz.*pass it in custom_layers=\[Cube\]"):
        nn.load_model(path)
    with pytest.raises(TypeError, match="classes of layers"):
        nn.load_model(path, [os.system])
    with pytest.raises(TypeError, match=r"expected a list of classes: \[Cube\]"):
        nn.load_model(path, Cube)
    other = type("Linear", (nn.Layer,), {})
    with pytest.raises(ValueError, match="two classes named Linear"):
        nn.load_model(path, [other])


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        nn.load_model(tmp_path / "model.npz")


def rewritten(path, change):
    """The same file with its header changed."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").item())
    change(header)
    np.savez(path, header=np.array(json.dumps(header).encode()), **arrays)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda h: h.update(format="other"), "not written by nnlite"),
        (lambda h: h.update(version=2), "format version 2.*read it with the version"),
        (lambda h: h.update(kind="checkpoint"), "holds a checkpoint, expected a model"),
        (lambda h: h["arrays"].pop("arrays/bias"), "do not agree on"),
        (lambda h: h["arrays"].update(more=["<f4", [2]]), "do not agree on"),
        (lambda h: h["arrays"].update({"arrays/bias": ["<f4", [3]]}), "but the header says"),
        (lambda h: h["arrays"].update({"arrays/bias": ["<f8", [2]]}), "but the header says"),
        (lambda h: h["content"].pop("architecture"), "cannot be built"),
        (lambda h: h["content"].update(architecture=5), "holds no layer"),
        (lambda h: h["content"]["architecture"].update(object="system"), "needs the class system"),
        (lambda h: h["content"]["architecture"]["arguments"].update(in_features=4), "weight is"),
        (lambda h: h["content"]["architecture"]["arguments"].update(in_features=-1), "in_features"),
        (lambda h: h["content"]["architecture"]["arguments"].update(other=1), "other"),
        (lambda h: h["content"].update(generators={"rng": {}}), "generators at"),
        (lambda h: h["content"].update(frozen=["gain"]), "there is no gain"),
        (lambda h: h["content"].update(ties=[["bias", "gain"]]), "cannot be tied"),
        (lambda h: h["content"].update(ties=[["bias", "weight"]]), "weight cannot be tied to bias"),
        (lambda h: h["content"].update(ties=[[1]]), r"ties\[0\]\[0\] must be a string"),
        (lambda h: h["content"].update(carried={"": [1]}), "carries no state"),
        (lambda h: h["content"].pop("eval"), "eval is missing"),
        (lambda h: h["content"].update(eval={}), "eval must be a list"),
        (lambda h: h["content"].update(more=1), "unknown entry 'more'"),
        (lambda h: h.update(arrays=[]), "header: arrays must be a dictionary"),
        (lambda h: h.update(version=True), "header: version must be"),
        (lambda h: h["content"]["architecture"].pop("starred"), "starred is missing"),
        (lambda h: h["content"]["architecture"].update(starred=[3]), "without names"),
        (lambda h: h["content"].update(architecture={}), "a part of its architecture is {}"),
        (lambda h: h["content"].update(architecture={"dtype": "O"}), "a type of numbers"),
        (lambda h: h["content"].update(architecture={"part": ["Parameter"]}), "must be a list"),
        (lambda h: h["content"]["arrays"].pop("bias"), r"refers to \['arrays/bias'\]"),
        (
            lambda h: h["content"]["arrays"].update(bias={"$array": "arrays/weight"}),
            "no array 'arrays/weight', or it is referred to twice",
        ),
        (lambda h: h["content"].update(arrays={"bias": {"$pickle": 1}}), "unknown kind"),
    ],
)
def test_false_headers_are_refused(change, match, tmp_path):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(3, 2), path)
    rewritten(path, change)
    with pytest.raises(nn.CheckpointError, match=match) as caught:
        nn.load_model(path)
    assert "model.npz" in str(caught.value)


def test_a_file_of_the_other_kind_says_what_reads_it(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters()))
    nn.save_model(model, tmp_path / "model.npz")
    trainer.save(tmp_path / "run.npz")
    with pytest.raises(nn.CheckpointError, match=r"a checkpoint; nn\.load_model\(path\) reads it$"):
        trainer.load(tmp_path / "model.npz")
    with pytest.raises(nn.CheckpointError, match=r"a model; trainer\.load\(path\) reads it$"):
        nn.load_model(tmp_path / "run.npz")


def test_absurd_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    deep = b'{"format":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    nn.save_model(nn.Linear(3, 2), path)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:100], np.random.default_rng(0).bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(nn.CheckpointError, match=r"model\.npz cannot be read"):
            nn.load_model(path)
    np.savez_compressed(path, header=np.zeros(1 << 20, "S8"))
    with pytest.raises(nn.CheckpointError, match="compressed or encrypted"):
        nn.load_model(path)
    np.savez(path, weight=np.zeros(3))
    with pytest.raises(nn.CheckpointError, match=r"no header, or .* it is no file of nnlite"):
        nn.load_model(path)
    np.savez(path, header=np.array(deep))
    with pytest.raises(nn.CheckpointError, match="recursion"):
        nn.load_model(path)
    np.savez(path, header=np.array([{}], object))
    with pytest.raises(nn.CheckpointError, match="not expected here"):
        nn.load_model(path)
    path.write_bytes(whole)
    monkeypatch.setattr(archive, "LARGEST_HEADER", 100)
    with pytest.raises(nn.CheckpointError, match="too large"):
        nn.load_model(path)


@pytest.mark.parametrize(
    ("described", "match"),
    [
        ("'<f4', 'fortran_order': False, 'shape': (3L, 2L)", "no header of NumPy"),
        ("'<f4', 'fortran_order': False, 'shape': (3, True)", "no header of NumPy"),
        ("[('a', '<f4')], 'fortran_order': False, 'shape': (3, 2)", "no header of NumPy"),
        ("'<f4', 'fortran_order': True, 'shape': (3, 2)", "holds <f4, which is not expected"),
        ("'<M8[s]', 'fortran_order': False, 'shape': (3,)", "not expected here"),
        ("'<f3', 'fortran_order': False, 'shape': (8,)", "a type of numbers"),
        ("'|S99999999999', 'fortran_order': False, 'shape': (8,)", "no header|not expected"),
        (f"'<f4', 'fortran_order': False, 'shape': (0, {2**62}, {2**62})", "24 bytes for shape"),
        (f"'<f4', 'fortran_order': False, 'shape': ({'9' * 1400},)", "24 bytes for shape"),
        (f"'<f4', 'fortran_order': False, 'shape': ({'9' * 60_000}!", "no header of NumPy"),
    ],
    ids=range(10),
)
def test_a_false_description_of_an_array_is_refused(described, match, tmp_path, recwarn):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(3, 2, bias=False), path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    text = f"{{'descr': {described}, }}\n".encode()
    values = members["arrays/weight.npy"][-24:]
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {**members, "arrays/weight.npy": member}.items():
            file.writestr(name, content)
    with pytest.raises(nn.CheckpointError, match=match) as caught:
        nn.load_model(path)
    assert "damaged" not in str(caught.value)  # what stands for errors of other libraries
    assert not recwarn.list


@pytest.mark.parametrize("dtype", [">f4", np.float16, np.longdouble])
def test_values_are_of_types_that_layers_have(dtype, tmp_path):
    path = tmp_path / "model.npz"
    content = {
        "architecture": thing("Linear", in_features=3, out_features=2, bias=False),
        "ties": [],
        **{name: {} for name in ("arrays", "generators", "carried")},
        **{name: [] for name in ("frozen", "eval")},
    }
    content["arrays"]["weight"] = np.zeros((3, 2), dtype)
    archive.write(path, "model", content)
    with pytest.raises(nn.CheckpointError, match=r"weight is .* instead of float32 \(3, 2\)"):
        nn.load_model(path)


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    nn.save_model(nn.Linear(3, 2), tmp_path / "model.npz")

    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", denied)
    with pytest.raises(
        nn.CheckpointError, match="cannot be read: the disk gave: Permission denied"
    ):
        nn.load_model(tmp_path / "model.npz")


class Deep(nn.Layer):
    """As many layers as one likes, from two numbers; what it keeps for itself is in no file."""

    def __init__(self, size, depth):
        self.size = size
        self.depth = depth
        self.inner = [nn.Linear(size, size) for _ in range(depth)]
        self._projection = nn.Linear(size, 3, rng=5)


def thing(kind, *starred, **arguments):
    return {"object": kind, "arguments": arguments, "starred": list(starred)}


LONG = 2**31 - 1


@pytest.mark.parametrize(
    "architecture",
    [
        thing("LSTM", input_size=1, hidden_size=1, num_layers=10**9),
        thing("Sequential", *[thing("LSTM", input_size=1, hidden_size=1, num_layers=1000)] * 90),
        thing("LSTM", input_size=20_000, hidden_size=20_000),
        thing("Sequential", *[thing("Linear", in_features=5000, out_features=5000)] * 40),
        thing("Linear", in_features=LONG, out_features=LONG),
        thing("Embedding", num_embeddings=10**9, embedding_dim=100, padding_idx=3),
        thing("BatchNorm1d", num_features=LONG),
        thing("LayerNorm", num_features=LONG),
        thing("PReLU", num_parameters=LONG),
        thing("Deep", size=1, depth=10**9),
        thing("Deep", size=30_000, depth=1),
        thing("Sequential", {"part": ["Parameter", "<f4", [10**6, 10**6]]}),
        thing("Sequential", *[thing("ReLU")] * 9000),
        [[]] * 300_000,
    ],
    ids=lambda architecture: str(architecture)[:60],
)
def test_a_small_file_builds_no_large_model(architecture, tmp_path):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(3, 2), path)
    rewritten(path, lambda h: h["content"].update(architecture=tree.encode(architecture, "", {})))
    too_large = r"num_layers must|larger than|more layers|far more than"
    tracemalloc.start()
    with pytest.raises(nn.CheckpointError, match=too_large):
        nn.load_model(path, [Deep])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * path.stat().st_size + (32 << 20)


def test_a_model_takes_the_memory_of_its_file(tmp_path):
    """Once for the values, and once for the gradients; not for first values."""
    path = tmp_path / "model.npz"
    model = nn.Sequential(nn.Linear(900, 1000), nn.LSTM(500, 400), nn.Embedding(1000, 500))
    nn.save_model(model, path)
    tracemalloc.start()
    loaded = nn.load_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_same_state(loaded, model)
    assert peak < 2.2 * path.stat().st_size


def test_first_values_that_the_file_brings_are_not_drawn(tmp_path, monkeypatch):
    nn.seed(3)
    model = nn.Sequential(nn.Linear(4, 3), nn.GRU(3, 2, num_layers=2), nn.LayerNorm(2))
    after = nn.Linear(3, 3)
    nn.save_model(model, tmp_path / "model.npz")
    with monkeypatch.context() as patch:
        patch.setattr(Initializer, "__call__", None)
        nn.seed(3)
        loaded = nn.load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(nn.Linear(3, 3).weight.data, after.weight.data)
    x = np.ones((2, 5, 4), np.float32)
    for each in (model, loaded):
        each(x)
        each.backward(np.ones((2, 5, 2), np.float32))
    for a, b in zip(model.parameters(), loaded.parameters(), strict=True):
        np.testing.assert_array_equal(a.grad, b.grad)


def test_what_a_layer_of_the_users_draws_for_itself_is_drawn(tmp_path):
    model = Deep(2, 2)
    loaded = saved(model, tmp_path, [Deep])
    assert_same_state(loaded, model)
    np.testing.assert_array_equal(loaded._projection.weight.data, model._projection.weight.data)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    layer = nn.Linear(2, 2)
    trainer = nn.Trainer(layer, nn.MSELoss(), nn.SGD(layer.parameters(), lr=0.1))
    for load in (nn.load_model, trainer.load):
        for path in (tmp_path / "pipe", "/dev/zero"):
            with pytest.raises(FileNotFoundError, match="is not a regular file"):
                load(path)


PCG = np.random.default_rng(0).bit_generator.state
TWISTER = np.random.MT19937(0).state


@pytest.mark.parametrize(
    "value",
    [
        {"$scalar": ["|S1", 10**10]},
        {"$scalar": ["<i4", 2**31]},
        {"$scalar": ["<f8", 10**400]},
        {"$scalar": 3},
        {"$items": [[[1], 2]]},
        {"$items": [1]},
        {"$tuple": 3},
        {"$array": [1]},
        {"$generator": 5},
        {"$generator": PCG | {"has_uint32": 2}},
        {"$generator": PCG | {"more": 2}},
        {"$generator": PCG | {"state": PCG["state"] | {"inc": 4}}},  # would draw zeros for ever
        {"$generator": PCG | {"state": PCG["state"] | {"state": -1}}},
    ],
    ids=str,
)
def test_false_values_are_refused(value):
    with pytest.raises(ValueError, match=r"must be|\$items|no int32|no float64|no array|expected|"
                       "generator|no such state"):  # fmt: skip
        tree.decode(value, {})


@pytest.mark.parametrize(
    "change",
    [
        {"pos": 10**6},
        {"pos": -1},
        {"key": np.zeros(624, np.uint32)},
        {"key": np.ones(3, "u4")},
        {"key": np.eye(1, 624, dtype=np.uint32)[0]},
        {"key": np.ones(624)},
        {"key": [1] * 624},
    ],
)
def test_no_place_beyond_the_end_of_a_generators_buffer(change):
    """NumPy would read there."""
    with pytest.raises(ValueError, match="state"):
        tree.generator(TWISTER | {"state": TWISTER["state"] | change})


def test_keys_that_have_one_hash_are_refused():
    """A dictionary of 100,000 of them would take minutes."""
    keys = [number * sys.hash_info.modulus for number in range(3000)]
    with pytest.raises(ValueError, match="the same hash"):
        tree.decode({"$items": [[key, 0] for key in keys]}, {})
    some = {"$items": [[key, 0] for key in [*keys[:9], "a", 0.5]]}
    assert list(tree.decode(some, {})) == [*keys[:9], "a", 0.5]


class Masked(nn.Layer):
    """y = m ⊙ x with a mask of flags."""

    def __init__(self, features):
        self.features = features
        self.mask = nn.Buffer(np.arange(features) % 2 == 0)


def test_flags_are_zero_or_one(tmp_path):
    """Other bytes would let NumPy count more places than it then writes."""
    path = tmp_path / "model.npz"
    nn.save_model(Masked(4), path)
    assert nn.load_model(path, [Masked]).mask.data.tolist() == [True, False, True, False]
    with np.load(path) as file:
        arrays = dict(file) | {"arrays/mask": np.frombuffer(bytes([1, 0, 7, 0]), bool)}
    np.savez(path, **arrays)
    with pytest.raises(nn.CheckpointError, match=r"arrays/mask\.npy holds bytes that are neither"):
        nn.load_model(path, [Masked])


def test_members_that_overlap_are_refused(tmp_path):
    """A zip whose directory lists the same bytes many times unfolds to more than its size."""
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(30, 30), path)
    with zipfile.ZipFile(path, "a") as file:
        largest = max(file.infolist(), key=lambda member: member.file_size)
        for number in range(20):
            twin = zipfile.ZipInfo(f"{number}.npy")
            for name in ("file_size", "compress_size", "CRC", "header_offset"):
                setattr(twin, name, getattr(largest, name))
            file.filelist.append(twin)
        file._didModify = True
    with pytest.raises(nn.CheckpointError, match="larger than the file"):
        nn.load_model(path)


# -- writing -----------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(3, 2), path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(nn.CheckpointError, match=r"model\.npz could not be saved: No space left.*"
                       "was there before is unchanged"):  # fmt: skip
        nn.save_model(nn.Linear(30, 20), path)
    with pytest.raises(nn.CheckpointError, match=r"No space left on device$"):
        nn.save_model(nn.Linear(30, 20), tmp_path / "new.npz")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.npz"]


LIMITS = [0, 1, 500, 5_000, 100_000, 361_000]  # bytes


def _save_within_limits(path, queue):
    """In a process that may not write files larger than a limit: the kernel refuses midway."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in LIMITS:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            nn.save_model(nn.Linear(300, 300), path)
            said = "saved"
        except nn.CheckpointError as error:
            said = str(error)
        queue.put((said, path.read_bytes(), os.listdir(path.parent)))


def test_a_disk_that_fills_up_midway_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(3, 2), path)
    before = path.read_bytes()
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    process = spawn.Process(target=_save_within_limits, args=(path, queue))
    process.start()
    for limit in LIMITS:
        said, content, names = queue.get(timeout=60)
        assert "could not be saved: File too large" in said, limit
        assert content == before, limit
        assert names == ["model.npz"], limit
    process.join()


def _save_often(path, value, times):
    model = nn.Linear(200, 200)
    for p in model.parameters():
        p.data = np.full(p.shape, value)
    for _ in range(times):
        nn.save_model(model, path)


def test_two_processes_never_leave_a_mixed_file(tmp_path):
    path = tmp_path / "model.npz"
    _save_often(path, 1.0, 1)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_save_often, args=(path, v, 60)) for v in (1.0, 2.0)]
    for process in processes:
        process.start()
    seen = set()
    while any(process.is_alive() for process in processes):
        values = {float(v) for p in nn.load_model(path).parameters() for v in np.unique(p.data)}
        assert len(values) == 1
        seen |= values
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert seen == {1.0, 2.0}
    assert os.listdir(tmp_path) == ["model.npz"]


def test_leftovers_of_dead_processes_are_removed_and_others_kept(tmp_path):
    path = tmp_path / "model.npz"
    dead = tmp_path / ".model.npz.0123456789abcdef.tmp"
    foreign = tmp_path / ".other.npz.0123456789abcdef.tmp"
    for file in (dead, foreign):
        file.write_bytes(b"half")
    with atomic.atomic_write(path) as writing:
        writing.write(b"first")
        assert not dead.exists()
        with atomic.atomic_write(path) as second:  # does not take the first one's for a leftover
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert sorted(os.listdir(tmp_path)) == [foreign.name, "model.npz"]


def test_ctrl_c_twice_in_an_array_is_ctrl_c(tmp_path, monkeypatch, recwarn):
    """The second one comes while the array's member of the archive is being closed."""
    write, close = zipfile._ZipWriteFile.write, zipfile._ZipWriteFile.close

    def once(file, data):
        write(file, data)
        raise KeyboardInterrupt

    def again(file):
        monkeypatch.setattr(zipfile._ZipWriteFile, "close", close)
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile._ZipWriteFile, "write", once)
    monkeypatch.setattr(zipfile._ZipWriteFile, "close", again)
    with pytest.raises(KeyboardInterrupt):
        nn.save_model(nn.Linear(2, 2), tmp_path / "model.npz")
    gc.collect()
    assert not list(tmp_path.iterdir())
    assert not recwarn.list


def test_a_block_that_raises_leaves_nothing(tmp_path):
    def interrupted():
        with atomic.atomic_write(tmp_path / "x") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_older_files_are_kept_under_other_names(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    for links in (True, False):
        if not links:
            monkeypatch.setattr(os, "link", lambda *names: os.open(tmp_path / "none", os.O_RDONLY))
        for number in range(5):
            with atomic.atomic_write(path, keep=3) as file:
                file.write(str(number).encode())
        kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
        assert kept == {"run.npz": "4", "run.1.npz": "3", "run.2.npz": "2"}


def test_a_file_that_fails_moves_no_older_one(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"

    def write(text):
        with atomic.atomic_write(path, keep=3) as file:
            file.write(text)

    for number in range(3):
        write(str(number).encode())
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda number: os.open(tmp_path / "none", os.O_RDONLY))
            with pytest.raises(FileNotFoundError, match="none"):
                write(b"new")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.npz"
    link.symlink_to(tmp_path / "real" / "model.npz")
    nn.save_model(nn.Linear(3, 2), link)
    assert link.is_symlink()
    assert (tmp_path / "real" / "model.npz").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_only_a_file_that_may_be_written_is_replaced(tmp_path):
    model = nn.Linear(2, 3)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(nn.CheckpointError, match="pipe is not a regular file"):
        nn.save_model(model, pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises((nn.CheckpointError, ValueError), match="null is not a regular file"):
        nn.save_model(model, os.devnull)
    fixed = tmp_path / "fixed.npz"
    fixed.write_bytes(b"mine")
    fixed.chmod(0o400)
    with pytest.raises(nn.CheckpointError, match="read-only"):
        nn.save_model(model, fixed)
    assert fixed.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixed.npz", "pipe"]


def test_a_file_of_somebody_else_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_bytes(b"theirs")
    monkeypatch.setattr(os, "access", lambda place, mode: os.fspath(place) != os.fspath(path))
    with pytest.raises(nn.CheckpointError, match="read-only"):
        nn.save_model(nn.Linear(2, 3), path)
    assert path.read_bytes() == b"theirs"


@pytest.mark.parametrize("there", ["folder", "read-only", "too long"])
def test_only_files_are_kept_under_other_names(there, tmp_path):
    path = tmp_path / "run.npz"
    other, match = tmp_path / "run.1.npz", there
    if there == "folder":
        other.mkdir()
    elif there == "read-only":
        other.write_bytes(b"mine")
        other.chmod(0o400)
    else:
        path, match = tmp_path / ("a" * 251 + ".npz"), "name another file"
    before = sorted(os.listdir(tmp_path))
    model = nn.Linear(2, 3)
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    with pytest.raises(nn.CheckpointError, match=match):
        trainer.save(path, keep=3)
    x, y = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match=match):
        trainer.fit(x, y, callbacks=[nn.Checkpoint(path, keep=2)], verbose=False)
    assert trainer.optimizer.steps == 0
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(atomic.fcntl is None, reason="no locks here")
def test_ctrl_c_while_a_file_is_begun_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nn.save_model(nn.Linear(2, 3), tmp_path / "model.npz")
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fchmod"), reason="no modes here")
def test_a_replaced_file_keeps_its_mode(tmp_path):
    path = tmp_path / "model.npz"
    nn.save_model(nn.Linear(2, 3), path)
    path.chmod(0o640)
    nn.save_model(nn.Linear(2, 3), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("size", [200, 201, 240, 255])
def test_a_name_as_long_as_the_file_system_takes(tmp_path, size):
    path = tmp_path / ("é" * 20 + "a" * (size - 44) + ".npz")  # two bytes each
    dead = atomic._temporary(path)
    dead.write_bytes(b"half")
    nn.save_model(nn.Linear(3, 2), path)
    nn.save_model(nn.Linear(3, 2), path)
    assert os.listdir(tmp_path) == [path.name]
    assert nn.load_model(path).in_features == 3


@pytest.mark.parametrize("folder", ["/proc", "/sys"])
def test_a_folder_that_takes_no_files_is_told(folder):
    if not os.path.isdir(folder):
        pytest.skip(f"no {folder} here")
    with pytest.raises(nn.CheckpointError, match="name a file in another one"):
        nn.save_model(nn.Linear(3, 2), f"{folder}/model.npz")
    assert not [name for name in os.listdir(folder) if "model.npz" in name]
