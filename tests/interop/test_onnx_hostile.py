"""Files that are broken, or written to do harm: no code runs, and memory is bounded."""

import os
import resource

import numpy as np
import pytest

import nnlite as nn

onnx = pytest.importorskip("onnx")
helper = pytest.importorskip("onnx.helper")

FLOAT, INT, BOOL = 1, 7, 9
info = helper.make_tensor_value_info
HUGE = 10**12


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.fixture(autouse=True)
def bounded_memory():
    """No file may make the process larger than 1 GB more than it is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def made(nodes, constants=(), shape=("N", 4)):
    """A model with an input x and an output y."""
    constants = dict(constants)
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(*n[:3], **(n[3] if len(n) > 3 else {})) for n in nodes],
            "test",
            [info("x", FLOAT, shape)],
            [info("y", FLOAT, ("N", "M"))],
            [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("theirs", 1)],
        ir_version=8,
    )


def refused(path, proto, match):
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=match) as caught:
        nn.interop.load_onnx(path)
    assert str(caught.value).startswith(f"load_onnx: {path}: ")


# -- broken ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_part_of_a_file_is_refused(path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    nn.interop.save_onnx(model, path, 4)
    whole = path.read_bytes()
    for end in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"no.* ONNX file"):
            nn.interop.load_onnx(path)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x80\x04K\x01.", bytes(range(256))])
def test_other_files(path, data):
    path.write_bytes(data)
    with pytest.raises(ValueError, match="ONNX file"):
        nn.interop.load_onnx(path)
    with pytest.raises(ValueError, match="is no file; name one"):
        nn.interop.load_onnx(path.parent)


def test_unknown_operators(path):
    nodes = [("Relu", ["x"], ["h"], {"name": "first"}), ("Fancy", ["h"], ["y"], {"name": "it"})]
    refused(path, made(nodes), r"(?s)Fancy.*Name: it")
    nodes[1] = ("Fancy", ["h"], ["y"], {"name": "it", "domain": "theirs"})
    refused(path, made(nodes), r"node 1 'it' \(Fancy\): nnlite has no layer for theirs\.Fancy; "
                               r"with output='h' the model would end before it")  # fmt: skip


def test_what_the_checker_refuses_names_the_node_on_one_line(path):
    weight = {"w": np.ones((4, 3), "f")}
    proto = made([("Gemm", ["x", "w"], ["y"], {"alpha": "much"})], weight)
    refused(path, proto, r"^[^\n]*alpha[^\n]*Name: y OpType: Gemm$")


@pytest.mark.parametrize("opset", [0, 6, 99])
def test_opsets_whose_operators_may_mean_something_else(path, opset):
    proto = made([("Relu", ["x"], ["y"])])
    proto.opset_import[0].version = opset
    refused(path, proto, rf"it has the opset {opset}; expected 7 to \d+: export it again")


@pytest.mark.parametrize("kind", [0, 8, 9, 77])
def test_inputs_that_are_no_numbers(path, kind):
    proto = made([("Identity", ["x"], ["y"])])
    proto.graph.input[0].type.tensor_type.elem_type = kind
    refused(path, proto, "its input 'x' is no tensor of floats or whole numbers")


@pytest.mark.parametrize(
    ("nodes", "constants", "match"),
    [
        ([("LSTM", ["x", "w", "r"], ["", "", "y"], {"hidden_size": 3})],
         {"w": np.ones((1, 12, 6), "f"), "r": np.ones((1, 12, 3), "f")},
         "does not compute 'y'; name another"),
        ([("MaxPool", ["x"], ["m", "i"], {"kernel_shape": [2]}), ("Cast", ["i"], ["y"], {"to": 1})],
         {}, r"node 1 'y' \(Cast\): nnlite does not read its input 'i'"),
        ([("BatchNormalization", ["x", *"sbmv"], ["y"], {"training_mode": 1})],
         dict.fromkeys("sbmv", np.ones(4, "f")), r"\(BatchNorm.*training mode; export"),
        ([("Reshape", ["s", "n"], ["w"]), ("Add", ["x", "w"], ["y"])],
         {"s": np.ones(4, "f"), "n": np.array([3, -1])},
         r"node 0 'w' \(Reshape\): it cannot be computed from constants of shape \(4,\), \(2,\)"),
        ([("Add", ["s", "n"], ["w"]), ("Add", ["x", "w"], ["y"])],
         {"s": np.ones(4, "f"), "n": np.ones(3, "f")},
         r"node 0 'w' \(Add\): it cannot be computed from constants of shape \(4,\), \(3,\)"),
        ([("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}),
          ("Split", ["t"], ["a", "b", "c", "d"], {"axis": 1}), ("Relu", ["a"], ["y"])], {},
         r"\(Split\): 6 features cannot be cut into 4"),
    ],
)  # fmt: skip
def test_what_has_no_layer_is_named(path, nodes, constants, match):
    refused(path, made(nodes, constants, shape=("N", 4, 6)), match)


def test_cycles_and_names_that_nobody_has(path):
    nodes = [("Add", ["x", "b"], ["a"], {"name": "one"}), ("Relu", ["a"], ["b"]),
             ("Relu", ["b"], ["y"])]  # fmt: skip
    refused(path, made(nodes), r"(?s)topologically sorted.*one")
    refused(path, made([("Relu", ["z"], ["y"])]), "'z'")
    refused(path, made([("Relu", ["x"], ["y"]), ("Tanh", ["x"], ["y"])]), r"SSA.*'y'")


@pytest.mark.parametrize(
    ("node", "constants", "match"),
    [
        (("Transpose", ["x"], ["y"], {"perm": [1, 7]}), {}, "(?s)Transpose.*perm"),
        (("MatMul", ["x", "w"], ["y"]), {"w": np.ones((3, 2, 2), "f")}, "MatMul"),
        (("Gemm", ["x", "w", "b"], ["y"]), {"w": np.ones((4, 3), "f"), "b": np.ones((5, 1), "f")},
         "Gemm"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(path, node, constants, match):
    refused(path, made([node], constants), match)


LONG = ("N", 3, 8)
RECURRENT = ("LSTM", ["x", "w", "r", "b"], ["y"], {"hidden_size": 3})


@pytest.mark.parametrize(
    ("nodes", "shapes", "shape"),
    [
        ([("MatMul", ["x", "w"], ["y"])], {"w": (5, 2)}, ("N", 4)),
        ([("Gemm", ["x", "w"], ["y"], {"transB": 1})], {"w": (2, 5)}, ("N", 4)),
        ([("Conv", ["x", "w"], ["y"])], {"w": (2, 5, 3)}, LONG),
        ([("Conv", ["x", "v"], ["h"]), ("Conv", ["h", "w"], ["y"])],
         {"v": (4, 3, 1), "w": (2, 5, 3)}, LONG),
        ([("ConvTranspose", ["x", "w"], ["y"])], {"w": (5, 2, 3)}, LONG),
        ([("BatchNormalization", ["x", *"sbmv"], ["y"])], dict.fromkeys("sbmv", (5,)), LONG),
        ([("InstanceNormalization", ["x", *"sb"], ["y"])], dict.fromkeys("sb", (5,)), LONG),
        ([RECURRENT], {"w": (1, 12, 5), "r": (1, 12, 3), "b": (1, 24)}, LONG),
        ([("Transpose", ["x"], ["t"], {"perm": [0, 2, 3, 1]}), ("Flatten", ["t"], ["f"]),
          ("MatMul", ["f", "w"], ["y"])], {"w": (5, 2)}, ("N", 2, 1, 1)),
    ],
)  # fmt: skip
def test_weights_for_another_number_of_features(path, nodes, shapes, shape):
    constants = {name: np.ones(each, "f") for name, each in shapes.items()}
    refused(path, made(nodes, constants, shape), r"its weights are for 5 features; its input of")


@pytest.mark.parametrize(
    ("node", "shapes", "match"),
    [
        (("Add", ["x", "w"], ["y"]), {"w": (5,)}, r"\(5,\) is not one number for each feature of"),
        (("PRelu", ["x", "w"], ["y"]), {"w": (5,)}, r"slopes of shape \(5,\) are not one for each"),
        (("LayerNormalization", ["x", "w"], ["y"]), {"w": (5,)}, r"scale of shape \(5,\) is not"),
        (("Gemm", ["x", "w", "b"], ["y"]), {"w": (8, 3), "b": (5,)}, r"\(5,\) where \(3,\)"),
        (("Gemm", ["x", "w"], ["y"]), {"w": (8,)}, r"weight has shape \(8,\); a Linear's has two"),
        (("Conv", ["x", "w"], ["y"]), {"w": (5, 3, 1, 1)}, r"kernel \(1, 1\).* are not those of"),
        (("Conv", ["x", "w"], ["y"], {"pads": [1, 1, 1]}), {"w": (5, 3, 1)}, r"pads \(1, 1, 1\)"),
        (("MaxPool", ["x"], ["y"], {"kernel_shape": [2], "strides": [1, 1]}), {}, "strides.* not"),
        (RECURRENT, {"w": (1, 11, 8), "r": (1, 12, 3), "b": (1, 24)},
         r"its W has shape \(1, 11, 8\); expected \(1, 12, 8\)"),
        (RECURRENT, {"w": (2, 12, 8), "r": (2, 12, 3), "b": (2, 24)}, r"expected \(1, 12, 8\)"),
        (RECURRENT, {"w": (1, 12, 8), "r": (1, 13, 3), "b": (1, 24)}, r"its R .*\(1, 12, 3\)"),
        (RECURRENT, {"w": (1, 12, 8), "r": (1, 12, 3), "b": (1, 12)}, r"its B .*\(1, 24\)"),
        (("Softmax", ["x"], ["y"], {"axis": 5}), {}, "the axis 5 of a tensor with 3 axes"),
        (("Split", ["x"], ["y", "z"], {"axis": -4}), {}, "the axis -4 of a tensor with 3 axes"),
        (("ReduceMean", ["x"], ["y"], {"axes": [4]}), {}, "the axis 4 of a tensor with 3 axes"),
        (("Flatten", ["x"], ["y"], {"axis": 4}), {}, "joins the batch"),
    ],
)  # fmt: skip
def test_weights_and_axes_that_the_input_has_no_place_for(path, node, shapes, match):
    constants = {name: np.ones(each, "f") for name, each in shapes.items()}
    last = node[0] in ("Conv", "MaxPool", "BatchNormalization")
    shape = (2, 3, 8) if last or node is RECURRENT else ("N", 4, 8)
    refused(path, made([node], constants, shape), match)


# -- what asks for more than there is --------------------------------------------------------------


@pytest.mark.parametrize(
    "nodes",
    [
        [("ConstantOfShape", ["n"], ["w"]), ("MatMul", ["x", "w"], ["y"])],
        [("ConstantOfShape", ["n"], ["w"]), ("Neg", ["w"], ["v"]), ("MatMul", ["x", "v"], ["y"])],
        [("ConstantOfShape", ["n"], ["w"]), ("Gemm", ["x", "w"], ["y"], {"alpha": 2.0})],
        [("Expand", ["one", "n"], ["w"]), ("MatMul", ["x", "w"], ["y"])],
        [("Tile", ["one", "n"], ["w"]), ("MatMul", ["x", "w"], ["y"])],
        [("Range", ["zero", "many", "step"], ["w"]), ("Mul", ["x", "w"], ["y"])],
        [("Pad", ["one", "around"], ["w"]), ("MatMul", ["x", "w"], ["y"])],
        [("Mul", ["x", "two"], ["y"])],
    ],
)
def test_sizes_that_only_a_number_asks_for(path, nodes):
    constants = {
        "n": np.array([4, HUGE]), "one": np.ones((1, 1), "f"), "zero": np.array(0),
        "many": np.array(HUGE), "step": np.array(1), "around": np.array([0, 0, 0, HUGE]),
        "two": np.float32(2),
    }  # fmt: skip
    used = {name for node in nodes for name in node[1]}
    constants = {name: array for name, array in constants.items() if name in used}
    shape = ("N", HUGE) if "two" in constants else ("N", 4)
    refused(
        path,
        made(nodes, constants, shape),
        r"node \d '.*' \(\w+\): .*(larger|file holds|Pad|num_feat)",
    )


@pytest.mark.parametrize("sizes", [[2**40, 2**40], [1] * 65, [4, -5]])
@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_shapes_that_no_array_has(path, operator, sizes):
    inputs = ["n"] if operator == "ConstantOfShape" else ["one", "n"]
    constants = {"n": np.array(sizes), "one": np.ones((1, 1), "f")}
    proto = made([(operator, inputs, ["w"]), ("MatMul", ["x", "w"], ["y"])], constants)
    refused(path, proto, rf"node 0 'w' \({operator}\): no array can have the shape that it")


@pytest.mark.slow
def test_shapes_that_double(path):
    nodes = [("Concat", [f"s{i}"] * 2, [f"s{i + 1}"], {"axis": 0}) for i in range(40)]
    proto = made([("Shape", ["x"], ["s0"]), *nodes, ("Reshape", ["x", "s40"], ["y"])])
    refused(path, proto, r"\(Concat\): what it computes is larger than what the file holds")


def test_a_split_into_more_than_its_outputs(path):
    weight = {"w": np.ones((4, 6), "f")}
    split = ("Split", ["w"], ["a", "b"], {"num_outputs": HUGE})
    proto = made([split, ("MatMul", ["x", "a"], ["y"])], weight)
    proto.opset_import[0].version = 18
    refused(path, proto, rf"'a' \(Split\) promises {HUGE} outputs and has 2")


def test_functions_that_call_each_other(path):
    proto = made([("F25", ["x"], ["y"], {"domain": "theirs"})])
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("theirs", 1)]
    for i in range(26):  # 2²⁵ calls in all
        inner = [("Neg", "")] * 2 if i == 0 else [(f"F{i - 1}", "theirs")] * 2
        nodes = [
            helper.make_node(operator, [start], [end], domain=domain)
            for (operator, domain), start, end in zip(inner, "ab", "bc", strict=True)
        ]
        proto.functions.append(helper.make_function("theirs", f"F{i}", ["a"], ["c"], nodes, sets))
    refused(path, proto, r"\(F25\): nnlite has no layer for theirs.F25")


@pytest.mark.slow
def test_constants_that_double(path):
    nodes = [("Concat", [f"w{i}"] * 2, [f"w{i + 1}"], {"axis": 1}) for i in range(40)]
    proto = made([*nodes, ("MatMul", ["x", "w40"], ["y"])], {"w0": np.ones((4, 1), "f")})
    refused(path, proto, r"\(Concat\): what it computes is larger than what the file holds")


def test_tensors_that_promise_more_than_they_hold(path):
    proto = made([("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 2), "f")})
    proto.graph.initializer[0].dims[1] = HUGE
    refused(path, proto, "w")


@pytest.mark.slow
def test_long_chains(path):
    count = 100
    nodes = [("Relu" if i % 2 else "Tanh", [f"h{i}"], [f"h{i + 1}"]) for i in range(count)]
    nodes[0] = ("Tanh", ["x"], ["h1"])
    proto = made([*nodes, ("Identity", [f"h{count}"], ["y"])])
    path.write_bytes(proto.SerializeToString())
    x = np.ones((1, 4), np.float32)
    assert nn.interop.load_onnx(path).predict(x).shape == (1, 4)
    sums = [("Add", [f"h{i}"] * 2, [f"h{i + 1}"]) for i in range(100)]
    sums[0] = ("Add", ["x", "x"], ["h1"])  # 2¹⁰⁰ ways from one end to the other
    proto = made([*sums, ("Identity", ["h100"], ["y"])])
    path.write_bytes(proto.SerializeToString())
    np.testing.assert_allclose(nn.interop.load_onnx(path).predict(x), 2.0**100 * x)


def test_loops_and_branches_are_not_run(path):
    yes = helper.make_tensor("yes", BOOL, [], [True])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["v"], ["w"])],
        "body",
        [info("i", INT, []), info("go", BOOL, []), info("v", FLOAT, [1])],
        [info("on", BOOL, []), info("w", FLOAT, [1])],
    )
    nodes = [("Loop", ["", "yes", "s"], ["t"], {"body": body, "name": "for ever"}),
             ("Mul", ["x", "t"], ["y"])]  # fmt: skip
    proto = made(nodes, {"s": np.ones(1, "f")})
    proto.graph.initializer.append(yes)
    refused(path, proto, r"node 0 'for ever' \(Loop\): nnlite runs no nodes inside")


# -- weights in other files ------------------------------------------------------------------------


def outside(location, offset=None, length=None, shape=(4, 3)):
    """A Linear whose weight lies in another file."""
    proto = made([("MatMul", ["x", "w"], ["y"])], {"w": np.ones(shape, "f")})
    (tensor,) = proto.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return proto


def test_weights_beside_the_file(path):
    weight = np.arange(12, dtype=np.float32)
    (path.parent / "weights").mkdir()
    (path.parent / "weights" / "w.bin").write_bytes(b"1234" + weight.tobytes())
    path.write_bytes(outside("weights/w.bin", 4, 48).SerializeToString())
    model = nn.interop.load_onnx(path)
    np.testing.assert_array_equal(model[0].weight.data, weight.reshape(4, 3))


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "", ".."])
def test_weights_elsewhere(tmp_path, location):
    (tmp_path / "secret").write_bytes(bytes(48))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "secret")
    refused(tmp_path / "here" / "model.onnx", outside(location), "'w' has its data in.*folder")


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"location": "no.bin"}, "'no.bin', which is not there"),
        ({"location": "w.bin", "offset": 4}, "bytes 4 to 52 of w.bin, which holds 48"),
        ({"location": "w.bin", "offset": -4}, "promises 48 from -4"),
        ({"location": "w.bin", "length": HUGE}, f"needs 48 bytes; its file promises {HUGE}"),
        ({"location": "w.bin", "length": "many"}, "many.*makes no sense"),
        ({"location": "w.bin", "shape": (4, HUGE)}, "which holds 48"),
    ],
)
def test_weights_that_are_not_there(path, told, match):
    (path.parent / "w.bin").write_bytes(bytes(48))
    proto = outside(**{**told, "shape": (4, 3)})
    if "shape" in told:
        proto.graph.initializer[0].dims[1] = HUGE
    refused(path, proto, match)


def test_one_file_read_again_and_again(path):
    (path.parent / "w.bin").write_bytes(bytes(48))
    proto = outside("w.bin")
    for i in range(50):
        more = proto.graph.initializer.add()
        more.CopyFrom(proto.graph.initializer[0])
        more.name = f"w{i}"
    refused(path, proto, "for all tensors together")
