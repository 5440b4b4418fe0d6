"""The file as it is opened: whole, checked, and no larger in memory than what lies on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnlite.interop.onnx.package import onnx

LENGTHS = 1 << 20  # of all vectors in a file together, up to which their numbers are followed
OLDEST = 7  # the first opset whose operators broadcast as NumPy does


def opened(path: Path) -> tuple[Any, int]:
    """(the model, checked and with the shapes that ONNX infers, how many bytes it was made from).

    Raises:
        ValueError: when it is not a whole ONNX file, its data lies where it must not, or its opset
            is one whose operators mean something else.
    """
    package = onnx()
    proto = package.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own kind
        raise ValueError("it is not a whole ONNX file; export or copy it again") from error
    _check_opset(proto)
    size = path.stat().st_size + _take_external_data(proto, path.parent)
    for node in proto.graph.node:  # for the checker's errors
        node.name = node.name or [*node.output, ""][0]
    try:
        package.checker.check_model(proto)
        _check_counts(proto.graph)
        return _with_shapes(proto), size
    except Exception as error:  # the checker's and the inference's own kinds
        said = " ".join(str(error).split())  # of several lines
        raise ValueError(f"it is not a valid ONNX file: {said}") from error


def _check_counts(graph: Any) -> None:
    """Refuse a Split into more outputs than it has: room would be made for all of them."""
    for each in _graphs(graph):
        for node in each.node:
            for attribute in node.attribute:
                if attribute.name == "num_outputs" and attribute.i != len(node.output):
                    raise ValueError(
                        f"{node.name!r} ({node.op_type}) promises {attribute.i} outputs and has "
                        f"{len(node.output)}"
                    )


def _with_shapes(proto: Any) -> Any:
    """The model with the shapes that ONNX infers, and no more memory than that needs.

    Where shapes are computed from shapes, inference writes down each of their sizes; a few nodes
    can make billions of them. So it begins without, which tells how many there would be.
    """
    del proto.functions[:]  # none has a layer; nested calls would be inferred each time
    inferred = onnx().shape_inference.infer_shapes(proto)
    lengths = 0
    for graph in _graphs(inferred.graph):
        for info in [*graph.input, *graph.value_info, *graph.output]:
            sizes = info.type.tensor_type.shape.dim
            lengths += sizes[0].dim_value if len(sizes) == 1 else 0
    if lengths > LENGTHS:
        return inferred
    return onnx().shape_inference.infer_shapes(proto, data_prop=True)


def _check_opset(proto: Any) -> None:
    """Refuse operators older than those read here, and newer than those that the package knows.

    Before opset 7 sums and products had an attribute `axis`, along which they broadcast.
    """
    newest = onnx().defs.onnx_opset_version()
    for each in proto.opset_import:
        if each.domain in ("", "ai.onnx") and not OLDEST <= each.version <= newest:
            raise ValueError(
                f"it has the opset {each.version}; expected {OLDEST} to {newest}: export it again "
                "with one of these, or update the onnx package"
            )


def _take_external_data(proto: Any, folder: Path) -> int:
    """Put the data of other files into their tensors; returns how much those files hold."""
    sizes: dict[Path, int] = {}
    taken = 0
    for tensor in _tensors(proto.graph):
        if tensor.data_location != onnx().TensorProto.EXTERNAL:
            continue
        place, offset, length = _place(tensor, folder)
        sizes[place] = place.stat().st_size
        taken += length
        if offset + length > sizes[place] or taken > sum(sizes.values()):
            raise ValueError(
                f"tensor {tensor.name!r} has the bytes {offset} to {offset + length} of "
                f"{place.name}, which holds {sizes[place]} for all tensors together"
            )
        with place.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = onnx().TensorProto.DEFAULT
        del tensor.external_data[:]
    return sum(sizes.values())


def _place(tensor: Any, folder: Path) -> tuple[Path, int, int]:
    """(the file, where in it the tensor's data begins, how many bytes it has)."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    place = (folder / location).resolve()
    if not location or not place.is_relative_to(folder.resolve()):
        raise ValueError(
            f"tensor {tensor.name!r} has its data in {location!r}; weights may lie only in the "
            "folder of the .onnx file"
        )
    if not place.is_file():
        raise ValueError(
            f"tensor {tensor.name!r} has its data in {location!r}, which is not there; it "
            "belongs beside the .onnx file"
        )
    try:
        length = (
            math.prod(tensor.dims)
            * onnx().helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        )
        offset = int(told.get("offset", 0))
        given = int(told.get("length", length))
    except (KeyError, ValueError) as error:
        raise ValueError(f"tensor {tensor.name!r}: {error} makes no sense") from error
    if offset < 0 or min(tensor.dims, default=0) < 0 or given != length:
        raise ValueError(
            f"tensor {tensor.name!r} of shape {tuple(tensor.dims)} needs {length} bytes; its file "
            f"promises {given} from {offset} on"
        )
    return place, offset, length


def _tensors(graph: Any) -> Iterator[Any]:
    """The tensors of a graph and of those inside its nodes."""
    for each in _graphs(graph):
        yield from each.initializer
        for node in each.node:
            for attribute in node.attribute:
                yield from [attribute.t, *attribute.tensors]


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _graphs(inner)
