"""Write a model as an ONNX file."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnlite.core import VERSION
from nnlite.core.arguments import checked
from nnlite.core.checks import check_place, is_whole
from nnlite.files.atomic import PathLike, atomic_write
from nnlite.interop.onnx.exports import export
from nnlite.interop.onnx.graph import Graph, Value, channels_second
from nnlite.interop.onnx.package import onnx
from nnlite.layers.base import Layer, floating_dtype
from nnlite.layers.structure import nested, place_name, watch

OPSET, IR_VERSION = 17, 8  # older runtimes refuse newer ones
LARGEST = 2**31 - 1  # bytes of one file, by its format
OPEN_SIZES = ((256, 512), (64, 128), (16, 32), (4, 8), (2, 4), (1, 2))  # tried in the place of None


@checked
def save_onnx(model: Layer, path: PathLike, input_shape: Any, channels_first: bool = False) -> None:
    """Write the model, in eval mode, as an ONNX file that other runtimes compute with.

    The file has opset 17 and float32 numbers, tokens are int64, and the batch may have any size.
    Images are channels last on the outside, as in nnlite; there is one Transpose in front of the
    first convolution, and none with `channels_first`. ONNX's own checker has passed the file.

    Args:
        model: a layer, usually a container.
        path: of the file, usually with the ending .onnx.
        input_shape: of one sample, without the batch axis: 64 or (28, 28, 1); None in the place of
            a size that stays open, as in (None, 16) for sequences of any length. For a model with
            several inputs one shape each, in parentheses of its own: ((4,), (28, 28, 1)).
        channels_first: whether the file takes and returns (N, C, …) where the model has (N, …, C)
            (default False). input_shape stays channels last.

    Raises:
        ImportError: without the onnx package (`pip install "nnlite[onnx]"`).
        ValueError: when a layer cannot be written (it is named, with its place), or input_shape
            does not fit the model.
        OSError: when the file cannot be written.
    """
    package = onnx()
    check_place("save_onnx", path)
    given = _each_shape(input_shape)
    for place, layer in nested(model):
        if "forward" in vars(layer):
            raise ValueError(
                f"save_onnx: {place_name(place, layer)}: its forward was replaced, and a file "
                "cannot hold a function of Python; write a layer with a method to_onnx(graph, x)"
            )
    trial = _tried(model, given)
    graph = Graph(trial.shapes, export)
    values, inputs = [], []
    for i, (shape, whole) in enumerate(zip(given, trial.tokens, strict=True)):
        name = "input" if len(given) == 1 else f"input_{i}"
        value = Value(name, (None, *shape), tuple(range(len(shape) + 1)))
        if channels_first:
            value = value._replace(order=channels_second(value.ndim))
        values.append(value)
        inputs.append(_declared(value, whole, str(i or "")))
    y = graph.layer(trial.model, values[0] if len(given) == 1 else tuple(values))
    outputs = []
    ends = (y,) if isinstance(y, Value) else y
    for i, (value, whole) in enumerate(zip(ends, trial.whole, strict=True)):
        name = "output" if len(ends) == 1 else f"output_{i}"
        order = channels_second(value.ndim) if channels_first else tuple(range(value.ndim))
        value = graph.arranged(value, order)
        graph.nodes.append(package.helper.make_node("Identity", [value.name], [name], name))
        outputs.append(_declared(value._replace(name=name), whole))
    size = sum(len(constant.raw_data) for constant in graph.constants)
    if size > LARGEST:
        raise ValueError(
            f"save_onnx: the weights take {size:,} bytes; an ONNX file can hold {LARGEST:,}"
        )
    made = package.helper.make_graph(graph.nodes, "nnlite", inputs, outputs, graph.constants)
    proto = package.helper.make_model(
        made,
        opset_imports=[package.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nnlite",
        producer_version=VERSION,
    )
    try:
        package.checker.check_model(proto, full_check=True)
    except Exception as error:  # the checker's and the inference's own kinds
        said = " ".join(str(error).split())  # of several lines
        raise ValueError(
            f"save_onnx: a layer's to_onnx has written what ONNX does not know: {said}"
        ) from error
    with atomic_write(path) as file:
        file.write(proto.SerializeToString())


def _each_shape(input_shape: Any) -> list[tuple[int | None, ...]]:
    """The shape of each input's samples.

    Raises:
        ValueError: when it holds anything but sizes, or is of one kind for one input only.
    """
    if isinstance(input_shape, np.ndarray):
        input_shape = input_shape.tolist()
    shapes = [input_shape]
    if isinstance(input_shape, tuple | list):
        several = [isinstance(each, tuple | list) for each in input_shape]
        shapes = list(input_shape) if several and all(several) else [tuple(input_shape)]
    found: list[tuple[int | None, ...]] = []
    for shape in shapes:
        sizes = (shape,) if is_whole(shape) else shape
        if not isinstance(sizes, tuple | list) or not all(
            size is None or (is_whole(size) and size >= 1) for size in sizes
        ):
            raise ValueError(
                "save_onnx: expected input_shape as sizes ≥ 1, or None for an open one, such as 64 "
                "or (None, 16); of several inputs one shape each, ((4,), (28, 28, 1)); got "
                f"{input_shape!r}"
            )
        found.append(tuple(None if size is None else int(size) for size in sizes))
    return found


def _declared(value: Value, whole: bool, mark: str = "") -> Any:
    """How the file declares an input or output: its type and its sizes, or names of open ones.

    The mark makes these names the input's own, but for the batch's.
    """
    kind = onnx().TensorProto.INT64 if whole else onnx().TensorProto.FLOAT
    names = ["N", *(size + mark for size in ("T" if value.ndim < 4 else "HW"))]
    sizes: list[Any] = [
        names[axis] if size is None and axis < len(names) else size
        for axis, size in enumerate(value.shape)
    ]
    return onnx().helper.make_tensor_value_info(value.name, kind, [sizes[i] for i in value.order])


# -- sizes -----------------------------------------------------------------------------------------


class Trial(NamedTuple):
    """What a copy of the model made of zeros.

    Attributes:
        model: the copy, in eval mode.
        tokens: for each input, whether it holds whole numbers.
        whole: for each output, whether it does.
        shapes: of the output of every layer, by the layer's id; None where a size is open.
    """

    model: Layer
    tokens: tuple[bool, ...]
    whole: tuple[bool, ...]
    shapes: dict[int, Any]


def _tried(model: Layer, given: list[tuple[int | None, ...]]) -> Trial:
    """The model on zeros: floats at first, then tokens where it refuses floats.

    Where sizes are open it runs with two of them: what differs is open after each layer too.
    """
    replica = copy.deepcopy(model).eval()
    dtype = floating_dtype(model)
    open_sizes = OPEN_SIZES if any(None in shape for shape in given) else ((1, 1),)
    misfit: Exception | None = None
    mistaken: Exception | None = None
    for tokens in itertools.product((False, True), repeat=len(given)):
        for sizes in open_sizes:
            try:
                (y, first), (_, second) = (
                    _run(replica, [
                        np.zeros([2, *(n or size for n in shape)], np.int64 if whole else dtype)
                        for shape, whole in zip(given, tokens, strict=True)
                    ])
                    for size in sizes
                )  # fmt: skip
            except TypeError as error:  # tokens in the place of floats, or the reverse
                mistaken = mistaken or error
                break
            except ValueError as error:  # the size does not fit
                misfit = misfit or error
            else:
                whole = tuple(each.dtype.kind in "iu" for each in _arrays(y))
                shapes = {key: _open(first[key], second[key]) for key in first}
                return Trial(replica, tokens, whole, shapes)
    why = misfit or mistaken
    raise ValueError(
        f"save_onnx: {why}; input_shape is that of one sample, without the batch axis, and only "
        "sizes that may vary are None"
    ) from why


def _run(model: Layer, inputs: list[np.ndarray]) -> tuple[Any, dict[int, Any]]:
    """(y, the shape of every layer's output, or of each of several)."""
    shapes: dict[int, Any] = {}

    def watched(layer: Any) -> Callable[[], None]:
        def note(x: Any, y: Any) -> None:
            found = [each.shape for each in _arrays(y)]
            shapes[id(layer)] = found if isinstance(y, tuple) else found[0]

        return watch(layer, note)

    ends = [watched(layer) for _, layer in nested(model)]
    try:
        with model.evaluation():
            x: Any = inputs[0] if len(inputs) == 1 else tuple(inputs)
            return model.forward(x), shapes
    finally:
        for end in ends:
            end()


def _arrays(y: Any) -> tuple[np.ndarray, ...]:
    return y if isinstance(y, tuple) else (y,)


def _open(first: Any, second: Any) -> Any:
    """The batch's size, and what differs between the two, is open."""
    if isinstance(first, list):
        return [_open(a, b) for a, b in zip(first, second, strict=True)]
    sizes = (a if a == b else None for a, b in zip(first[1:], second[1:], strict=True))
    return (None, *sizes) if first else ()
