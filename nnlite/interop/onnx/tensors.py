"""What stands for the file's tensors while it is read."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.graph import channels_second
from nnlite.interop.onnx.package import onnx
from nnlite.interop.onnx.paths import Point
from nnlite.layers.base import Layer

OPEN = -1  # a size that the file leaves open, as Reshape writes it
DIRECTION = "direction"  # the axis of both directions, which nnlite has joined with the features
Axes = tuple[Any, ...]


class Refusal(ValueError):
    """An error that names the node already."""


class Node(NamedTuple):
    """A node of the file, with what errors say about it."""

    operator: str
    attributes: dict[str, Any]
    words: str
    proto: Any
    outputs: list[str]  # their names, "" for those that nothing uses
    consumers: set[str]  # the operators that use them
    opset: int
    reads: list[str]  # the names of its inputs that are computed from the model's input

    def refuse(self, why: str) -> Refusal:
        """The error for a node that cannot become a layer."""
        ends = " or ".join(f"output={name!r}" for name in dict.fromkeys(self.reads))
        hint = f"; with {ends} the model would end before it" if ends else ""
        return Refusal(f"{self.words}: {why}{hint}")

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def axis(self, axis: int, rank: int) -> int:
        """One of so many axes, counted from the front."""
        if not -rank <= axis < rank:
            raise self.refuse(f"it has the axis {axis} of a tensor with {rank} axes")
        return axis % rank


class Term:
    """A number-by-number function of a tensor that has not become a layer yet.

    Attributes:
        node: the last node of it.
        arguments: tensors, with terms of their own, and numbers.
        depth: how many nodes follow each other in it.
        numbers: the constants in it, of which float32 has seven digits.
        result: the tensor after the layer, once it is known, so that all users share it.
    """

    def __init__(self, node: Node, arguments: tuple[Any, ...]) -> None:
        self.node = node
        self.arguments = arguments
        tensors = [each for each in arguments if isinstance(each, Tensor)]
        terms = [each.term for each in tensors if each.term is not None]
        self.depth: int = 1 + max((term.depth for term in terms), default=0)
        own = (each for each in arguments if each is not None and not isinstance(each, Tensor))
        self.numbers = {float(f"{float(number):.7g}") for number in own}
        self.numbers = self.numbers.union(*(term.numbers for term in terms))
        self.result: Tensor | None = None

    def at(self, x: np.ndarray, known: dict[int, np.ndarray] | None = None) -> np.ndarray:
        """Its values where its tensor has the values x; `known` are those of other terms."""
        known = {} if known is None else known
        if id(self) not in known:
            given = [
                (each.term.at(x, known) if each.term else x) if isinstance(each, Tensor) else each
                for each in self.arguments
            ]
            known[id(self)] = evaluate(self.node, given)[0]
        return known[id(self)]


class Tensor(NamedTuple):
    """A tensor of the file as a value of the model.

    Attributes:
        point: the value.
        shape: the file's sizes, OPEN where they are.
        axes: for each of the file's axes, which one of the value it is; None for an axis of size 1
            that the value lacks, DIRECTION for the one that the value has joined with features.
        rows: where an image was flattened: the file's number of each feature, (H, W, C).
        term: what is yet to be done to the value.
        before: what a Reshape made it of.
        whole: the dtype of whole numbers, as tokens are; "" for floats.
        piece: which of how many equal parts of the features, or of the directions, it is; the value
            is the whole then, and None where the tensor is that too.
        merged: the file's sizes before a Reshape made all axes but the features' one, as exporters
            do around a product; the value has them still.
    """

    point: Point
    shape: tuple[int, ...]
    axes: Axes
    rows: np.ndarray | None = None
    term: Term | None = None
    before: Any = None
    whole: str = ""
    piece: tuple[int, int] | None = None
    merged: tuple[int, ...] | None = None

    def then(self, layer: Layer, node: Node, **changed: Any) -> Tensor:
        """After another layer."""
        changed = {"before": None, "whole": "", "piece": None, **changed}
        return self._replace(point=Point(layer, (self.point,), node.words), **changed)

    @property
    def is_flat(self) -> bool:
        """Whether it is a sequence in the form of an image of height 1, channels second."""
        return self.axes == (0, 2, None, 1)

    def arranged(self, axes: Axes, node: Node) -> Tensor:
        """With the value's axes so that the file's are these, by layers that move them."""
        if self.axes == axes:
            return self
        if DIRECTION in self.axes or self.axes[axes.index(0)] not in (0, None):
            raise node.refuse("the batch would not be the first axis")
        lie = [axes.index(axis) for axis in range(len(axes))]  # where in the file each axis lies
        moved = [self.axes[i] for i in lie if self.axes[i] is not None]
        tensor = self
        if moved != sorted(moved):
            tensor = tensor.then(nn.Permute(*moved[1:]), node)
        if None in self.axes:
            sizes = [self.shape[i] for i in lie[1:]]
            if sizes.count(OPEN) > 1:
                raise node.refuse("several sizes are open where an axis of 1 is added")
            tensor = tensor.then(nn.Reshape(*sizes), node)
        return tensor._replace(axes=axes)

    def first(self, node: Node) -> Tensor:
        """As images or sequences with channels second in the file."""
        if len(self.shape) not in (3, 4):
            raise node.refuse(f"expected 3 or 4 axes, got {len(self.shape)}")
        return self.in_rows(node).arranged(channels_second(len(self.shape)), node)

    def plain(self, node: Node) -> Tensor:
        """With the file's axes as they are."""
        return self.in_rows(node).arranged(tuple(range(len(self.shape))), node)

    def in_rows(self, node: Node) -> Tensor:
        """Flattened features in the file's order."""
        if self.rows is None:
            return self
        corner = (0,) * self.rows.ndim
        steps = [np.diff(self.rows, axis=k)[corner] if n > 1 else 0
                 for k, n in enumerate(self.rows.shape)]  # fmt: skip
        order = sorted(range(self.rows.ndim), key=lambda k: -steps[k])
        image = self.then(nn.Reshape(*self.rows.shape), node, rows=None)
        return image.then(nn.Permute(*(k + 1 for k in order)), node).then(nn.Flatten(), node)

    def flat(self, node: Node) -> Tensor:
        """One row for each sample, in the value's own order, and what the file's order is."""
        value = [axis for axis in self.axes if axis is not None]
        if DIRECTION in value or value[:1] != [0]:
            raise node.refuse("the batch is not the first axis")
        sizes = [size for size, axis in zip(self.shape, self.axes, strict=True) if axis is not None]
        features = OPEN if OPEN in sizes[1:] else math.prod(sizes[1:])
        shape, axes = (self.shape[0], features), (0, 1)
        if len(value) == 2:
            return self._replace(shape=shape, axes=axes)
        if value == sorted(value):
            return self.then(nn.Flatten(), node, shape=shape, axes=axes)
        if features == OPEN:
            raise node.refuse("an image of open size cannot be flattened")
        # the file's number of each feature, in the value's order
        numbers = np.arange(features).reshape(sizes[1:])
        rows = numbers.transpose([value.index(axis) - 1 for axis in range(1, len(value))])
        return self.then(nn.Flatten(), node, shape=shape, axes=axes, rows=rows)

    def features(self, node: Node) -> int:
        """How many features the value has, along its last axis."""
        if self.width == OPEN:
            raise node.refuse("the number of features is not known")
        return self.width

    @property
    def width(self) -> int:
        """The size along the value's last axis, OPEN where it is."""
        last = max((axis for axis in self.axes if isinstance(axis, int)), default=0)
        known = DIRECTION not in self.axes and last != 0
        return self.shape[self.axes.index(last)] if known else OPEN

    def expect(self, count: int, node: Node) -> None:
        """Refuse weights that are for another number of features."""
        if self.width not in (OPEN, count):
            raise node.refuse(
                f"its weights are for {count} features; its input of shape {self.shape} has "
                f"{self.width}"
            )

    def per_feature(self, array: np.ndarray) -> np.ndarray | None:
        """A constant that the file broadcasts to this tensor as one number for each feature.

        None where it varies along another axis, or is for another number of features.
        """
        if array.ndim > len(self.axes):
            return None
        if array.size == 1:
            return array.reshape(1)
        if DIRECTION in self.axes:
            return None
        wide = array.reshape([1] * (len(self.axes) - array.ndim) + list(array.shape))
        last = max(axis for axis in self.axes if axis is not None)
        if wide.size != wide.shape[self.axes.index(last)] or self.width not in (OPEN, wide.size):
            return None
        flat = wide.ravel()
        return flat if self.rows is None else flat[self.rows.ravel()]


def evaluate(node: Node, inputs: list[Any]) -> list[np.ndarray]:
    """What ONNX's own definition of the operator makes of these arrays."""
    helper, undefined = onnx().helper, onnx().TensorProto.UNDEFINED
    names = [name for name in node.proto.input if name]
    given = dict(zip(names, (each for each in inputs if each is not None), strict=True))
    graph = helper.make_graph(
        [node.proto],
        "node",
        [helper.make_tensor_value_info(name, undefined, None) for name in given],
        [helper.make_tensor_value_info(name, undefined, None) for name in node.proto.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)])
    return [
        np.asarray(each) for each in onnx().reference.ReferenceEvaluator(model).run(None, given)
    ]
