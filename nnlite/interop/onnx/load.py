"""Read a model from an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.room import Room, blank, building
from nnlite.files.atomic import PathLike
from nnlite.interop.loading import check_file
from nnlite.interop.onnx.file import opened
from nnlite.interop.onnx.folding import UNKNOWN, Folding
from nnlite.interop.onnx.graph import channels_second, time_first
from nnlite.interop.onnx.imports import READS
from nnlite.interop.onnx.imports.numbers import ELEMENTWISE, FLOATS, finished
from nnlite.interop.onnx.imports.pieces import PIECEWISE
from nnlite.interop.onnx.imports.shapes import OF_FEATURES
from nnlite.interop.onnx.package import onnx
from nnlite.interop.onnx.paths import Point, model_of
from nnlite.interop.onnx.tensors import OPEN, Node, Refusal, Tensor
from nnlite.layers.containers.sequential import Sequential

RECURRENT = {"RNN", "LSTM", "GRU"}
# these have channels second
SPATIAL = {
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
    "BatchNormalization", "InstanceNormalization", "Resize", "Upsample", "LRN", "LpPool",
}  # fmt: skip
# Numbers that a file may have in its model beside those that it holds, for weights that it
# computes, such as a table of positions. In memory these are 128 MB.
ROOM = 1 << 25
WHOLE = (2, 3, 4, 5, 6, 7, 12, 13)  # ONNX's numbers for the integers of 8 to 64 bits
TELLING = SPATIAL | RECURRENT  # how an input's axes lie
# through these an input keeps its axes on the way to a node that tells what they are
PASSING = ELEMENTWISE | {"Transpose", "Identity", "Cast", "Dropout", "Pad", "PRelu"}


@checked
def load_onnx(path: PathLike, output: str | None = None) -> Sequential:
    """Read an ONNX file as a `Sequential` of nnlite's own layers, which can be trained further.

    Images are channels last for the model, and sequences batch first, whatever the file has. Sums
    and concatenations of branches become `Residual`, `Add` and `Concat`; a scale and shift of their
    own an `Affine`. What several nodes compute together (GELU, SiLU, …) is recognized by its
    values. Dropout is gone: exporters leave it out.

    Nothing in the file is run, and the model takes no more memory than a few times what the file
    holds (and 128 MB for weights that it computes), whatever it asks for.

    Args:
        path: of the file; weights that it keeps in other files must lie in its folder.
        output: the tensor with which the model ends (default None: the file's first output); name
            an inner one to leave out what comes after it, such as the labels of a classifier.

    Raises:
        ImportError: without the onnx package (`pip install "nnlite[onnx]"`).
        OSError: when there is no such file.
        ValueError: when it is not a whole ONNX file, or a node cannot become a layer; the message
            names the file, the node and its operator.
    """
    onnx()  # whose absence is said before that of the file
    check_file("load_onnx", path)
    try:
        return _Reading(*opened(Path(path)), output).model()
    except ValueError as error:
        raise ValueError(f"load_onnx: {path}: {error}") from error
    except RecursionError as error:
        raise ValueError(f"load_onnx: {path}: its nodes are nested too deeply") from error


class _Reading:
    """What is known while a file is read.

    Args:
        proto: the file.
        size: how many bytes it holds.
        output: the tensor with which the model ends; None for the file's first output.

    Attributes:
        values: each tensor by its name: a constant array, or a `Tensor`.
    """

    def __init__(self, proto: Any, size: int, output: str | None) -> None:
        graph = proto.graph
        self.room = size + ROOM
        self.fold = Folding(self.room)
        self.opset = next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)
        outputs = [each.name for each in graph.output]
        self.target = [*outputs, ""][0] if output is None else output
        if self.target not in {name for node in graph.node for name in node.output}:
            raise ValueError(
                f"it has no output {self.target!r}; its outputs are {', '.join(outputs)}"
            )
        self.nodes = _needed(graph, self.target)
        self.users: dict[str, set[str]] = {self.target: {"the end"}}
        for number, node in self.nodes:
            if any(a.HasField("g") or a.graphs for a in node.attribute):
                raise ValueError(f"{_words(number, node)}: nnlite runs no nodes inside a node")
            for name in node.input:
                self.users.setdefault(name, set()).add(node.op_type)
        kept = {each.name: each for each in graph.initializer if each.name in self.users}
        inputs = [e for e in graph.input if e.name in self.users and e.name not in kept]
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs) or "none"
            raise ValueError(f"expected one input, it has {names}")
        self.source = _source(inputs[0], [node for _, node in self.nodes])
        self.values: dict[str, Any] = {"": None, inputs[0].name: self.source}
        for name, tensor in kept.items():
            self.values[name] = _array(tensor)
        self.shapes = {
            info.name: _sizes(info) for info in [*graph.value_info, *graph.output]
        }  # as far as ONNX can tell

    def model(self) -> Sequential:
        """The layers from the input to the target."""
        with building(Room(0, 16 * len(self.nodes) + 64, self.room)), blank(True):
            for number, proto in self.nodes:
                read = self._read(self._node(number, proto))
                self.values |= {name: value for name, value in read.items() if name}
            return self._finished()

    def _finished(self) -> Sequential:
        """The model, with the target's axes as they are usual."""
        if self.target not in self.values:
            raise ValueError(f"nnlite does not compute {self.target!r}; name another output=")
        y = finished(self.values[self.target])
        if isinstance(y, Tensor) and y.merged:
            raise ValueError(f"{self.target} has the batch joined with another axis")
        if isinstance(y, Tensor) and y.piece:
            raise ValueError(f"{self.target} is a part of a tensor, which no layer cuts out")
        if not isinstance(y, Tensor):
            raise ValueError(f"{self.target} does not depend on the input")
        last = Node("", {}, f"the output {self.target}", None, [], set(), self.opset, [])
        y = y.in_rows(last)
        rank = len(y.axes)
        told = self.source.axes != tuple(range(len(self.source.axes))) or any(
            node.op_type in TELLING for _, node in self.nodes
        )
        usual = [tuple(range(rank))]
        if told and rank > 2:
            usual += [channels_second(rank), time_first(rank)]
        if y.axes not in usual:
            y = y.first(last) if told and rank in (3, 4) and None in y.axes else y.plain(last)
        return model_of(self.source.point, y.point)

    def _node(self, number: int, proto: Any) -> Node:
        attributes = {a.name: onnx().helper.get_attribute_value(a) for a in proto.attribute}
        words = _words(number, proto)
        outputs = [name if name in self.users else "" for name in proto.output]
        used = set().union(*(self.users.get(name, set()) for name in proto.output))
        reads = [name for name in proto.input if isinstance(self.values.get(name), Tensor)
                 and self.values[name] is not self.source]  # fmt: skip
        return Node(proto.op_type, attributes, words, proto, outputs, used, self.opset, reads)

    def _read(self, node: Node) -> dict[str, Any]:
        """What the node's outputs are.

        Raises:
            ValueError: names the node, whatever it was that went wrong.
        """
        try:
            missing = [name for name in node.proto.input if name not in self.values]
            if missing:  # which the checker lets pass: other outputs, and sparse constants
                raise node.refuse(f"nnlite does not read its input {missing[0]!r}")
            return self._outputs(node, [self.values[name] for name in node.proto.input])
        except Refusal:
            raise
        except Exception as error:  # what a malformed node can lead to has many kinds
            said = f"it is not as opset {node.opset} defines it, or nnlite does not know this form"
            raise node.refuse(str(error) if isinstance(error, ValueError) else said) from error

    def _outputs(self, node: Node, inputs: list[Any]) -> dict[str, Any]:
        own = node.proto.domain in ("", "ai.onnx")
        if own and not any(isinstance(each, Tensor) for each in inputs):
            return dict(zip(node.outputs, self.fold(node, inputs), strict=False))
        if own and node.operator == "Shape":
            sizes = np.array([UNKNOWN if n == OPEN else n for n in inputs[0].shape])
            return {node.outputs[0]: sizes[node.get("start", 0) : node.get("end")]}
        known = node.operator if own else f"{node.proto.domain}.{node.operator}"
        if known not in READS:
            raise node.refuse(f"nnlite has no layer for {known}")
        if any(np.size(each) > self.room for each in inputs if not isinstance(each, Tensor)):
            raise node.refuse("it needs more values than the file holds")
        pieces = any(isinstance(each, Tensor) and each.piece for each in inputs)
        if pieces and known not in PIECEWISE:
            raise node.refuse("it takes a part of a tensor; nnlite has no layer that cuts one out")
        merged = any(isinstance(each, Tensor) and each.merged for each in inputs)
        if merged and known not in OF_FEATURES | ELEMENTWISE:
            raise node.refuse("the batch has been joined with another axis before it")
        if known not in ELEMENTWISE:
            inputs = [finished(each) for each in inputs]
        made = READS[known](node, *inputs)
        read = dict(zip(node.outputs, made if isinstance(made, list) else [made], strict=False))
        for name, tensor in read.items():
            if isinstance(tensor, Tensor) and len(self.shapes.get(name, ())) == len(tensor.axes):
                if node.operator == "InstanceNormalization":  # whose groups may be gone
                    continue
                read[name] = tensor._replace(shape=self.shapes[name])
        return read


def _words(number: int, proto: Any) -> str:
    """What errors say about a node."""
    return f"node {number} {proto.name!r} ({proto.op_type})"


def _needed(graph: Any, target: str) -> list[tuple[int, Any]]:
    """The nodes that the target is computed from, in order, with their numbers."""
    wanted, needed = {target}, []
    for number, node in reversed(list(enumerate(graph.node))):
        if wanted & set(node.output):
            wanted |= set(node.input)
            needed.append((number, node))
    return needed[::-1]


def _array(tensor: Any) -> np.ndarray:
    """The values of a tensor in the file."""
    try:
        return np.asarray(onnx().numpy_helper.to_array(tensor))
    except Exception as error:  # too few bytes, or too many, or a type that NumPy does not have
        raise ValueError(
            f"tensor {tensor.name!r} holds no array of shape {tuple(tensor.dims)}, or its type "
            f"{tensor.data_type} is none of NumPy's"
        ) from error


def _sizes(info: Any) -> tuple[int, ...]:
    """The sizes that the file declares; OPEN for a name, and for the batch."""
    return tuple(
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else OPEN
        for size in info.type.tensor_type.shape.dim
    )


def _source(info: Any, nodes: list[Any]) -> Tensor:
    """The model's input, with the axes that the first telling node gives them."""
    shape = _sizes(info)
    reached: dict[str, list[int]] = {info.name: list(range(len(shape)))}
    axes: tuple[Any, ...] = tuple(range(len(shape)))
    for node in nodes:
        found = [reached[name] for name in node.input[:1] if name in reached]
        if not found:
            continue
        (lie,) = found
        if node.op_type in TELLING and len(lie) > 2:
            order = (time_first if node.op_type in RECURRENT else channels_second)(len(lie))
            axes = tuple(order[lie.index(axis)] for axis in range(len(lie)))
            break
        if node.op_type in PASSING:
            if node.op_type == "Transpose":
                perm = next((list(a.ints) for a in node.attribute), list(range(len(lie)))[::-1])
                if sorted(perm) != list(range(len(lie))):
                    break  # which is said where the node is read
                lie = [lie[i] for i in perm]
            reached |= dict.fromkeys(node.output, lie)
    kind = info.type.tensor_type.elem_type
    if kind not in (*FLOATS, *WHOLE):
        raise ValueError(f"its input {info.name!r} is no tensor of floats or whole numbers")
    whole = onnx().helper.tensor_dtype_to_np_dtype(kind).name if kind in WHOLE else ""
    return Tensor(Point(node="the input"), shape, axes, whole=whole)
