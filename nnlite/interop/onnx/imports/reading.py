"""Which function reads an operator, and what the functions share.

A function takes the node and its inputs, tensors or constant arrays, and returns the output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnlite.core.construction import argument, signature
from nnlite.interop.onnx.tensors import OPEN, Node, Tensor

Read = Callable[..., Any]
READS: dict[str, Read] = {}


def reads(*operators: str) -> Callable[[Read], Read]:
    """The function reads these operators."""

    def register(function: Read) -> Read:
        READS.update(dict.fromkeys(operators, function))
        return function

    return register


def constant(node: Node, array: Any, name: str) -> Any:
    """An input that must be a constant."""
    if isinstance(array, Tensor):
        raise node.refuse(
            f"its {name} is computed from the model's input; nnlite has no such layer"
        )
    return array


def set_values(part: Any, values: np.ndarray) -> None:
    """Make these the values of a parameter or buffer that has none yet.

    Raises:
        ValueError: when they have another shape.
    """
    if values.shape != part.shape:
        raise ValueError(f"it has values of shape {values.shape} where {part.shape} are needed")
    part.adopt(np.array(values, np.float32, order="C"))


def tensor_of(node: Node, x: Any) -> Tensor:
    """An input that must not be a constant."""
    if not isinstance(x, Tensor):
        raise node.refuse("it has a constant where nnlite needs a value")
    return x


def eps_of(eps: float) -> dict[str, Any]:
    """The argument, where it is not what the layer has anyway; float32 has seven digits."""
    eps = float(f"{eps:.7g}")
    return {} if eps == 1e-5 else {"eps": eps}


def padding_of(node: Node, x: Tensor, kernel: Any, strides: Any, dilations: Any) -> list[Any]:
    """What is added before and after along each spatial axis."""
    count = len(x.shape) - 2
    pads = node.get("pads", [0] * 2 * count)
    if [len(each) for each in (kernel, strides, dilations, pads)] != [count] * 3 + [2 * count]:
        raise node.refuse(
            f"its kernel {tuple(kernel)}, strides {tuple(strides)}, dilations {tuple(dilations)} "
            f"and pads {tuple(pads)} are not those of an input of shape {x.shape}"
        )
    automatic = node.get("auto_pad", b"NOTSET")
    if automatic in (b"NOTSET", b"VALID"):
        pads = pads if automatic == b"NOTSET" else [0] * 2 * count
        return list(zip(pads[:count], pads[count:], strict=True))
    padding = []
    for size, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        if size == OPEN and s > 1:
            raise node.refuse("auto_pad with strides needs a size that is known")
        reach = d * (k - 1) + 1
        missing = max(reach - s if size == OPEN or size % s == 0 else reach - size % s, 0)
        fewer, more = missing // 2, missing - missing // 2
        padding.append((fewer, more) if automatic == b"SAME_UPPER" else (more, fewer))
    return padding


def size_of(values: Any) -> Any:
    """A number where all are equal, and a tuple else."""
    values = tuple(values)
    return values[0] if len(set(values)) == 1 else values


def pads_of(padding: list[Any]) -> Any:
    """Padding as simple as a layer takes it."""
    if all(before == after for before, after in padding):
        return size_of(before for before, _ in padding)
    return tuple(padding) if len(padding) > 1 else padding[0]


def without(x: Tensor, places: set[int], keep: bool = False) -> Tensor:
    """The tensor after a layer that took the axes at these places of the file out of the value."""
    gone = {x.axes[i] for i in places}
    kept = [axis for axis in sorted(a for a in x.axes if a is not None) if axis not in gone]
    axes, shape = [], []
    for i, (axis, size) in enumerate(zip(x.axes, x.shape, strict=True)):
        if i not in places:
            axes.append(None if axis is None else kept.index(axis))
            shape.append(size)
        elif keep:
            axes.append(None)
            shape.append(1)
    return x._replace(axes=tuple(axes), shape=tuple(shape))


def without_ones(x: Tensor, places: set[int]) -> Tensor:
    """The tensor without the axes at these places of the file, which the value lacks anyway."""
    kept = [i for i in range(len(x.axes)) if i not in places]
    return x._replace(axes=tuple(x.axes[i] for i in kept), shape=tuple(x.shape[i] for i in kept))


def as_sequences(node: Node, x: Tensor) -> tuple[Node, Tensor]:
    """The node, and a tensor that is a sequence as an image of height 1, without this axis.

    Exporters write what runs along sequences so.
    """
    attributes = dict(node.attributes)
    for name in ("strides", "dilations", "kernel_shape", "pads", "output_padding"):
        if name in attributes:
            heights, attributes[name] = attributes[name][::2], attributes[name][1::2]
            if name == "pads" and any(heights):
                raise node.refuse("its padding changes the height of 1")
    n, channels, _, steps = x.shape
    return node._replace(attributes=attributes), x._replace(
        axes=(0, 2, 1), shape=(n, channels, steps)
    )


def as_images(y: Tensor) -> Tensor:
    """A sequence (N, C, L) of the file as an image of height 1 again; its sizes are found anew."""
    return y._replace(axes=(0, 2, None, 1), shape=(y.shape[0], OPEN, 1, OPEN))


def built_again(layer: Any, **changed: Any) -> Any:
    """A layer like this one, but for these arguments, with the same values where it had some."""
    cls: Any = type(layer)
    given = {p.name: argument(layer, p) for p in signature(cls)}
    copy = cls(**given | changed)
    own = copy.named_parameters()
    for name, parameter in layer.named_parameters().items():
        set_values(own[name], parameter.data)
    return copy
