"""The file as it is opened: whole, checked, and no larger in memory than what lies on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnlite.interop.onnx.package import onnx


def opened(path: Path) -> tuple[Any, int]:
    """(the model, checked and with the shapes that ONNX infers, how many bytes it was made from).

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is not a whole ONNX file, or its data lies where it must not.
    """
    package = onnx()
    if not path.is_file():
        raise FileNotFoundError(f"load_onnx: there is no file {path}")
    proto = package.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own kind
        raise ValueError(f"it is not a whole ONNX file: {error}") from error
    size = path.stat().st_size + _take_external_data(proto, path.parent)
    try:
        package.checker.check_model(proto)
        return package.shape_inference.infer_shapes(proto, data_prop=True), size
    except Exception as error:  # the checker's and the inference's own kinds
        raise ValueError(f"it is not a valid ONNX file: {error}") from error


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
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t, *attribute.tensors]
            for inner in [attribute.g, *attribute.graphs]:
                yield from _tensors(inner)
