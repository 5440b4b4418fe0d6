"""A graph of ONNX operators while it is written, and the values that flow through it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from nnlite.interop.onnx.package import onnx
from nnlite.layers.structure import Inner, place_name

Shape = tuple[int | None, ...]
Order = tuple[int, ...]


def channels_second(ndim: int) -> Order:
    """The order of axes that ONNX's convolutions take: (N, C, H, W) of (N, H, W, C)."""
    return (0, ndim - 1, *range(1, ndim - 1))


def time_first(ndim: int) -> Order:
    """The order of axes that ONNX's recurrent operators take: (T, N, D) of (N, T, D)."""
    return (1, 0, *range(2, ndim))


class Value(NamedTuple):
    """What a layer takes or returns, as it lies in the file.

    Attributes:
        name: of the tensor in the file.
        shape: as the layer sees it, channels last; None where a size is open, as the batch is.
        order: the file's tensor has as axis i the layer's axis order[i].
        rows: where image features were flattened channels first, the layer's number of each
            feature of the file, (D,); None where both count alike.
    """

    name: str
    shape: Shape
    order: Order
    rows: np.ndarray | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def axis(self, axis: int) -> int:
        """Where in the file the layer's axis lies."""
        return self.order.index(axis % self.ndim)

    def with_shape(self, name: str, shape: Sequence[int | None]) -> Value:
        """Another tensor, whose axes lie as the layer sees them."""
        return Value(name, tuple(shape), tuple(range(len(shape))))

    def without(self, name: str, *axes: int) -> Value:
        """Another tensor, which lacks these axes of the layer's."""
        kept = [axis for axis in range(self.ndim) if axis not in axes]
        order = tuple(kept.index(axis) for axis in self.order if axis in kept)
        return Value(name, tuple(self.shape[axis] for axis in kept), order)


class Graph:
    """Nodes and constants, in the order in which they are added.

    Attributes:
        nodes, constants: what goes into the file.
    """

    def __init__(self, shapes: dict[int, Any], export: Callable[[Any, Graph, Any], Any]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._export = export
        self._shapes = shapes  # by a layer's id, that of its output
        self._place: list[str] = []
        self._known: dict[tuple[Any, ...], str] = {}
        self._names: set[str] = set()

    # -- layers ----------------------------------------------------------------------------------

    def layer(self, layer: Inner, x: Any, *place: str) -> Any:
        """What the layer makes of x; `place` are the words that its container has for it.

        Raises:
            ValueError: when it cannot be written; the message names the layer and its place.
        """
        with self.inside(*place):
            y = self._export(layer, self, x)
            several = y if isinstance(y, tuple) and not isinstance(y, Value) else (y,)
            if not all(isinstance(each, Value) for each in several):
                raise self.refuse(layer, f"its to_onnx must return a Value, got {y!r}")
            shape = self._shapes.get(id(layer))
            if shape is None:
                return y
            if isinstance(y, Value):
                return y._replace(shape=shape)
            return tuple(each._replace(shape=s) for each, s in zip(y, shape, strict=True))

    @contextmanager
    def inside(self, *place: str) -> Iterator[None]:
        """A context in which layers have these words for their place."""
        self._place += place
        try:
            yield
        finally:
            del self._place[len(self._place) - len(place) :]

    def refuse(self, layer: Inner, why: str) -> ValueError:
        """The error for a layer that cannot be written, which names its place."""
        return ValueError(f"save_onnx: {place_name(tuple(self._place), layer)}: {why}")

    # -- nodes -----------------------------------------------------------------------------------

    def node(
        self,
        operator: str,
        *inputs: Any,
        outputs: int = 1,
        only: int | None = None,
        **attributes: Any,
    ) -> Any:
        """Add a node; returns the name of its output, or the list of their names.

        Args:
            operator: of ONNX, such as "Relu".
            inputs: values, names of tensors, or arrays and numbers, which become constants; None
                for an optional input that is left out.
            outputs: how many there are (default 1).
            only: which of them is used and returned (default None: all).
            attributes: of the operator.
        """
        name = self._unused("/".join([*self._words(), operator]))
        names = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        if only is not None:
            names = [""] * only + [name]
        self.nodes.append(
            onnx().helper.make_node(
                operator, [self._name_of(each) for each in inputs], names, name, **attributes
            )
        )
        return names if len(names) > 1 and only is None else name

    def map(self, operator: str, x: Value, *inputs: Any, **attributes: Any) -> Value:
        """Add a node that treats every value of x by itself."""
        return x._replace(name=self.node(operator, x, *inputs, **attributes))

    def sliced(self, x: Any, axis: int, begin: int, end: int | None) -> str:
        """From place `begin` to before `end` along one of the file's axes; None for the rest."""
        ends = [np.iinfo(np.int64).max if end is None else end]
        places = [np.array(each) for each in ([begin], ends, [axis])]
        return str(self.node("Slice", x, *places))

    def _name_of(self, given: Any) -> str:
        if given is None:
            return ""
        if isinstance(given, Value):
            return given.name
        return given if isinstance(given, str) else self.constant(given)

    def constant(self, values: Any, dtype: DTypeLike | None = None) -> str:
        """The name of a constant, floats in float32 unless told; each stands in the file once."""
        array = np.asarray(values, order="C")
        if dtype is None and array.dtype.kind == "f":
            dtype = np.float32
        array = array.astype(dtype or array.dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = self._unused("/".join([*self._words(), "constant"]))
            self._known[key] = name
            self.constants.append(onnx().numpy_helper.from_array(array, name))
        return self._known[key]

    def _words(self) -> list[str]:
        return [re.sub(r"\W+", "_", word) for word in self._place]

    def _unused(self, name: str) -> str:
        unused, count = name, 1
        while unused in self._names:
            count += 1
            unused = f"{name}_{count}"
        self._names.add(unused)
        return unused

    # -- where axes lie --------------------------------------------------------------------------

    def arranged(self, x: Value, order: Order) -> Value:
        """The same values with the file's axes in this order; a Transpose only where it differs."""
        if x.rows is not None:
            back = np.argsort(x.rows)
            x = x._replace(name=self.node("Gather", x, back, axis=1), rows=None)
        if x.order == order:
            return x
        axes = [x.order.index(axis) for axis in order]
        return x._replace(name=self.node("Transpose", x, perm=axes), order=order)

    def last(self, x: Value) -> Value:
        """The values with the file's axes as the layer sees them, channels last."""
        return self.arranged(x, tuple(range(x.ndim)))

    def first(self, x: Value) -> Value:
        """The values with channels second in the file."""
        return self.arranged(x, channels_second(x.ndim))

    def features(self, x: Value) -> Value:
        """The values with features last in the file, wherever the other axes lie."""
        return x if x.rows is None and x.order[-1] == x.ndim - 1 else self.last(x)

    def per_feature(self, array: np.ndarray, x: Value) -> np.ndarray:
        """One number for each feature of x, in a shape that meets x's features in the file."""
        if array.size == 1 or array.ndim > 1:  # several axes of features lie last
            return array
        if x.rows is not None:
            array = array[x.rows]
        return array.reshape([-1 if axis == x.ndim - 1 else 1 for axis in x.order])
