"""Files of safetensors, and what a load reports, refuses and leaves alone."""

import json
import struct
import warnings

import numpy as np
import pytest

import nnlite as nn
from interop.files import changed, net

safetensors = pytest.importorskip("safetensors.numpy")
save, load = nn.interop.save_safetensors, nn.interop.load_safetensors


def written(path, header, data=b""):
    """A file with a header that anybody may have made up."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_weights_go_there_and_back(tmp_path):
    model, other = net(1), net(2)
    save(model, tmp_path / "net.safetensors")
    report = load(other, tmp_path / "net.safetensors")
    for path, values in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[path], values)
    assert (report.missing, report.left_over) == ([], [])
    assert dict(report.matched)["0.weight"] == "0.weight"
    assert "matched: 8 of the model's 8 arrays\n  0.weight (3, 3, 1, 4)" in repr(report)


def test_a_count_of_batches_alone_at_its_path(tmp_path):
    layer, other = nn.BatchNorm1d(2, momentum=None), nn.BatchNorm1d(2, momentum=None)
    layer(np.eye(2, dtype=np.float32))
    save(layer, tmp_path / "norm.safetensors")
    assert not load(other, tmp_path / "norm.safetensors").missing
    assert other.num_batches_tracked.data == 1
    save(nn.BatchNorm1d(2), tmp_path / "none.safetensors")
    load(other, tmp_path / "none.safetensors")
    assert other.num_batches_tracked.data == 1


def test_a_file_that_does_not_say_its_layout(tmp_path):
    from safetensors.numpy import save_file

    for shape, layer in (((2, 3), nn.Linear(2, 3)), ((2, 2), nn.Linear(2, 2))):
        weight = np.arange(6, dtype=np.float32)[: shape[0] * shape[1]].reshape(shape)
        save_file({"weight": weight, "bias": layer.bias.data.copy()}, tmp_path / "other")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            load(layer, tmp_path / "other")
        np.testing.assert_array_equal(layer.weight.data, weight)
        assert ["all its matrices are square" in str(each.message) for each in told] == (
            [True] if shape == (2, 2) else []
        )


def test_the_file_holds_values_and_not_memory(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2))
    nn.Adam(model.parameters())  # whose flat vector they are views of
    model[0].weight._data = np.asfortranarray(model[0].weight.data)
    save(model, tmp_path / "f.safetensors")
    found = safetensors.load_file(tmp_path / "f.safetensors")
    np.testing.assert_array_equal(found["0.weight"], model[0].weight.data)


def test_ties_are_written_once_and_restored(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save(model, tmp_path / "tied.safetensors")
    assert "1.weight" not in safetensors.load_file(tmp_path / "tied.safetensors")
    apart = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for other in (nn.clone(model), apart):
        load(other, tmp_path / "tied.safetensors")
        np.testing.assert_array_equal(other[1].weight.data, model[0].weight.data)
    save(apart, tmp_path / "apart.safetensors")
    load(model, tmp_path / "apart.safetensors")
    apart[1].weight.data += 1
    save(apart, tmp_path / "apart.safetensors")
    with pytest.raises(ValueError, match=r"0.weight and 1.weight are tied in the model"):
        load(model, tmp_path / "apart.safetensors")


def test_a_part_is_loaded_and_the_rest_reported(tmp_path):
    save(net(1), tmp_path / "net.safetensors")
    model = nn.Sequential(*net(2)[:-1], nn.Linear(16, 5), nn.Linear(5, 2))
    norm = [f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    with changed(model, "0.weight", "0.bias", *norm):
        report = load(model, tmp_path / "net.safetensors", strict=False)
    assert report.missing == ["4.weight", "4.bias", "5.weight", "5.bias"]
    assert report.left_over == ["4.bias", "4.weight"]
    assert "missing: nothing was loaded into\n  4.weight (16, 5)" in repr(report)
    assert "left over: nothing took\n  4.bias (3,)\n  4.weight (16, 3)" in repr(report)
    with (
        changed(model),
        pytest.raises(ValueError, match=r"4\.bias is \(5,\) in the model and \(3,\) in "),
    ):
        load(model, tmp_path / "net.safetensors")
    alone = nn.Sequential(nn.Flatten(), nn.Linear(7, 7))
    with changed(alone), pytest.warns(nn.ModelWarning, match="nothing was loaded"):
        load(alone, tmp_path / "net.safetensors", strict=False)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F64"])
def test_other_precisions_become_the_models(tmp_path, dtype):
    values = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
    data = {"F16": values.astype(np.float16), "F64": values.astype(np.float64)}.get(dtype)
    data = (values.view(np.uint32) >> 16).astype(np.uint16) if data is None else data
    entry = {"dtype": dtype, "shape": [2, 2], "data_offsets": [0, data.nbytes]}
    header = {"weight": entry, "__metadata__": {"format": "nnlite"}}
    path = written(tmp_path / "half.safetensors", header, data.tobytes())
    layer = nn.Linear(2, 2, bias=False)
    load(layer, path)
    np.testing.assert_array_equal(layer.weight.data, values)
    assert layer.weight.dtype == np.float32


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
HOSTILE = {
    "truncated header": (b'{"weight": {"dtype"', b"", "or damaged"),
    "no JSON": (b"\xff\xfe garbage", b"", "or damaged"),
    "absurd size": ({"weight": {**ENTRY, "shape": [2**40, 2**20]}}, b"0" * 16, "or damaged"),
    "beyond the end": ({"weight": {**ENTRY, "data_offsets": [0, 2**40]}}, b"0" * 16, "or damaged"),
    "truncated data": ({"weight": ENTRY}, b"0" * 8, "or damaged"),
    "overlapping": ({"weight": ENTRY, "bias": ENTRY}, b"0" * 16, "or damaged"),
    "no NumPy type": (
        {"weight": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}, b"0" * 4,
        "holds F8_E4M3, which NumPy has not",
    ),
    "of PyTorch": (
        {"weight": ENTRY, "__metadata__": {"format": "pt"}}, b"0" * 16, r"use load_torch\(model",
    ),
    "objects": ({"weight": {**ENTRY, "dtype": "OBJ"}}, b"0" * 16, "or damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_lies_is_refused(tmp_path, kind):
    header, data, message = HOSTILE[kind]
    path = written(tmp_path / "hostile.safetensors", header, data)
    layer = nn.Linear(2, 2, bias=False)
    with changed(layer), pytest.raises(ValueError, match=message) as caught:
        load(layer, path)
    assert "hostile.safetensors" in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(net(1), tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="is no file"):
        load(net(1), tmp_path)
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="or damaged"):
        load(net(1), tmp_path / "empty.safetensors")
    huge = tmp_path / "huge.safetensors"
    huge.write_bytes(struct.pack("<Q", 2**60))
    with pytest.raises(ValueError, match="or damaged"):
        load(net(1), huge)


def test_values_that_do_not_fit_change_nothing(tmp_path):
    wide = nn.Linear(2, 2).astype(np.float64)
    wide.weight.data[0, 0] = 1e300
    save(wide, tmp_path / "wide.safetensors")
    layer = nn.Linear(2, 2)
    with changed(layer), pytest.raises(ValueError, match="do not fit into float32"):
        load(layer, tmp_path / "wide.safetensors")
