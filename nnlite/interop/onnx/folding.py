"""What a file computes from constants alone, such as the shape that a Reshape is given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.interop.onnx.package import onnx
from nnlite.interop.onnx.tensors import OPEN, Node, Refusal, evaluate

# What a Shape has in the place of a size that is open. It is far from all sizes, so that what is
# computed from it is known; and a power of two, which floats hold.
UNKNOWN = -(1 << 40)
# number by number, each result as large as the inputs broadcast together
NUMBERS = {
    "Abs", "Add", "And", "Ceil", "Clip", "Cos", "DequantizeLinear", "Div", "Equal", "Erf", "Exp",
    "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul",
    "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus",
    "Sqrt", "Sub", "Sum", "Tanh", "Where",
}  # fmt: skip
ARITHMETIC = {"Add", "Ceil", "Div", "Floor", "Max", "Min", "Mod", "Mul", "Neg", "Round", "Sub"}
# what moves values, or sums them up: no result is larger than all inputs together
MOVES = {
    "Cast", "CastLike", "Concat", "CumSum", "Flatten", "Identity", "ReduceL2", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Reshape",
    "ScatterElements", "ScatterND", "Shape", "Size", "Slice", "Split", "Squeeze", "Transpose",
    "Trilu", "Unsqueeze",
}  # fmt: skip


class Folding:
    """Computes nodes whose inputs are constants, as long as there is room.

    Args:
        room: how many numbers all results together may have: a few bytes can ask for any shape.
    """

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, node: Node, inputs: list[Any]) -> list[Any]:
        """The node's outputs.

        Raises:
            ValueError: when it is no operator that is computed here, or the result is too large.
        """
        if node.operator == "Constant":
            return [_constant(node)]
        if node.operator == "ConstantOfShape":  # which takes no memory yet
            value = node.get("value")
            fill = np.zeros(1, np.float32) if value is None else onnx().numpy_helper.to_array(value)
            return [np.broadcast_to(fill.ravel()[0], _open_as_one(node, inputs[0]))]
        try:
            self.room -= _size(node, inputs)
            if self.room < 0:
                raise node.refuse("what it computes is larger than what the file holds")
            if node.operator == "Expand":
                return [inputs[0] * np.ones(_open_as_one(node, inputs[1]), inputs[0].dtype)]
            outputs = evaluate(node, inputs)
        except Refusal:
            raise
        except Exception as error:  # of many kinds
            shapes = ", ".join(str(np.shape(each)) for each in inputs if each is not None)
            raise node.refuse(f"it cannot be computed from constants of shape {shapes}") from error
        if node.operator in ARITHMETIC and any(_unknown(each).any() for each in inputs):
            told = np.broadcast_arrays(*(_unknown(each) for each in inputs if each is not None))
            (y,) = outputs
            return [np.where(np.any(told, axis=0), np.array(UNKNOWN, y.dtype), y)]
        if node.operator == "ReduceProd" and _unknown(inputs[0]).any():
            return [np.full_like(outputs[0], UNKNOWN)]
        return outputs


def _open_as_one(node: Node, shape: np.ndarray) -> Any:
    """A shape in which what is open is 1: that is broadcast where it is used.

    Raises:
        ValueError: when no array can have it.
    """
    sizes = np.where(np.isin(shape, (OPEN, UNKNOWN)), 1, shape)
    too_large = sizes.size > 64 or _count(np.maximum(sizes, 1)) > np.iinfo(np.intp).max // 8
    if too_large or (sizes < 0).any():
        raise node.refuse("no array can have the shape that it asks for")
    return sizes


def _unknown(x: Any) -> Any:
    """Where sizes are not known."""
    return np.equal(x, UNKNOWN) if x is not None and np.size(x) < 64 else np.zeros(1, bool)


def _constant(node: Node) -> Any:
    """The value of a Constant."""
    (name, value), *others = node.attributes.items()
    if others or name in ("sparse_value", "value_string", "value_strings"):
        raise node.refuse("it is no array of numbers")
    if name == "value":
        return onnx().numpy_helper.to_array(value)
    return np.array(value, np.int64 if "int" in name else np.float32)


def _size(node: Node, inputs: list[Any]) -> int:
    """How many numbers come out, at most; found out before they take any memory."""
    given = [np.asarray(each) for each in inputs if each is not None]
    shapes = [each.shape for each in given]
    operator = node.operator
    if operator in NUMBERS:
        return math.prod(np.broadcast_shapes(*shapes))
    if operator in MOVES:
        return sum(each.size for each in given)
    if operator == "Expand":
        return _count(np.maximum(_open_as_one(node, given[1]), 1)) * max(given[0].size, 1)
    if operator == "Range":
        start, stop, step = (float(each) for each in given)
        return max(0, math.ceil((stop - start) / step)) if step else 0
    if operator == "Tile":
        return given[0].size * _count(given[1])
    if operator == "Gather":
        row = math.prod(shapes[0]) // max(shapes[0][node.get("axis", 0)], 1)
        return row * given[1].size
    if operator == "MatMul":
        return given[0].size * shapes[1][-1]
    raise node.refuse(f"nnlite does not compute {operator} from constants")


def _count(sizes: np.ndarray) -> int:
    """The product, in Python's numbers, which do not overflow."""
    return math.prod(sizes.ravel().tolist())
