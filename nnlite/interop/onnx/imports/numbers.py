"""Numbers by numbers, until it is known which layer they make up; and where values meet."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.pieces import gated, reunited
from nnlite.interop.onnx.imports.reading import READS, built_again, reads, set_values, tensor_of
from nnlite.interop.onnx.paths import Point
from nnlite.interop.onnx.tensors import OPEN, Node, Refusal, Tensor, Term
from nnlite.layers.base import Layer

ELEMENTWISE = {
    "Abs", "Add", "And", "Cast", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Greater",
    "GreaterOrEqual", "HardSigmoid", "HardSwish", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max",
    "Min", "Mish", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid",
    "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "Where",
}  # fmt: skip
ACTIVATIONS: list[Callable[[], Layer]] = [
    nn.ReLU, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.GELU, lambda: nn.GELU("tanh"), nn.Mish, nn.HardSwish,
    nn.HardSigmoid, nn.Tanhshrink, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.ReLU6, nn.SELU,
]  # fmt: skip
FLOATS = (1, 10, 11, 16)  # ONNX's numbers for float32, float16, float64 and bfloat16
DEEPEST = 32  # no activation has more nodes
WITH_BIAS = {nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d}
PROBE = np.linspace(-8, 8, 65, dtype=np.float32)


def elementwise(node: Node, *inputs: Any) -> Any:
    """Numbers by numbers: kept as they are until it is known which activation they make up."""
    tensors = [each for each in inputs if isinstance(each, Tensor)]
    if len(tensors) == 2 and any(each.piece for each in tensors):
        return gated(node, *tensors)
    same = all(
        each.point is tensors[0].point and each.axes == tensors[0].axes for each in tensors[1:]
    )
    numbers = [each for each in inputs if each is not None and not isinstance(each, Tensor)]
    rank = len(tensors[0].axes)
    if same and all(np.size(each) == 1 and np.ndim(each) <= rank for each in numbers):
        if any(each.term and each.term.depth >= DEEPEST for each in tensors):
            return elementwise(node, *map(finished, inputs))
        scalars = tuple(
            each if each is None or isinstance(each, Tensor) else np.asarray(each).reshape(())
            for each in inputs
        )
        return tensors[0]._replace(term=Term(node, scalars))
    return meet(node, *inputs)


def finished(x: Any) -> Any:
    """The tensor with a layer in the place of what was yet to be done."""
    if not isinstance(x, Tensor) or x.term is None:
        return x
    term = x.term
    if term.result is None:
        try:
            term.result = _recognized(x._replace(term=None), term)
        except Refusal:
            raise
        except (ValueError, TypeError) as error:
            raise term.node.refuse(str(error)) from error
    return term.result


def _recognized(x: Tensor, term: Term) -> Tensor:
    """The layer whose values are the term's; or one for its last node, after those before it."""
    if x.whole:  # tokens stay what they are, but for those that count from the end
        tokens = np.arange(100, dtype=x.whole)
        if (term.at(tokens) == tokens).all():
            return x
        raise term.node.refuse("nnlite has no layer for arithmetic on whole numbers")
    y = term.at(PROBE)
    if np.allclose(y, PROBE, 1e-6, 1e-6):
        return x
    for make in [*ACTIVATIONS, *_with_options(term, y)]:
        layer = make()
        with layer.evaluation():
            if np.allclose(layer(PROBE), y, rtol=2e-5, atol=2e-5):
                return x.then(layer, term.node)
    before = tuple(map(finished, term.arguments))
    points = {each.point for each in before if isinstance(each, Tensor)}
    if term.depth > 1 and len(points) == 1:
        last = next(each for each in before if isinstance(each, Tensor))
        return _recognized(last, Term(term.node, before))
    if term.node.operator in ("Add", "Sub", "Mul", "Div", "Neg"):
        return meet(term.node, *before)
    raise term.node.refuse(f"nnlite has no layer for {term.node.operator}")


def _with_options(term: Term, y: np.ndarray) -> list[Callable[[], Layer]]:
    """Activations whose options can be read off their values y."""
    node = term.node
    low, high = float(y.min()), float(y.max())
    slope = float(f"{y[0] / PROBE[0]:.7g}")
    at_zero = float(y[len(y) // 2])
    alpha = float(f"{node.get('alpha', 1.0):.7g}")
    made: list[Callable[[], Layer]] = [lambda: nn.LeakyReLU(slope)]
    if node.operator in ("Clip", "Min", "Max") and low < high:
        bounds = [float(each) for each in _bounds(term)]
        made.append(lambda: nn.HardTanh(*bounds))
    if node.operator == "Elu":
        made.append(lambda: nn.ELU(alpha))
    if node.operator == "Celu":
        made.append(lambda: nn.CELU(alpha))
    if node.operator in ("Where", "Add", "Mul"):
        for number in sorted(term.numbers):  # where it changes
            made.append(partial(nn.Hardshrink, abs(number)))
            made.append(partial(nn.Threshold, number, float(y[0])))
        made.append(lambda: nn.Softshrink(max(0.0, float(f"{PROBE[-1] - y[-1]:.7g}"))))
    if at_zero > 0:
        made.append(lambda: nn.Softplus(float(f"{math.log(2) / at_zero:.6g}")))
    return made


def _bounds(term: Term) -> tuple[Any, Any]:
    """Between which numbers the values of a Clip, Min or Max lie."""
    largest = float(np.finfo(np.float32).max)
    ends = term.at(np.array([-largest, largest], np.float32))
    return ends[0], ends[1]


def meet(node: Node, *inputs: Any) -> Tensor:
    """Tensors that meet in a sum, or one that meets a constant for each feature."""
    x = [finished(each) for each in inputs]
    tensors = [each for each in x if isinstance(each, Tensor)]
    if node.operator == "Neg":
        return affine(x[0], np.full(1, -1.0), np.zeros(1), node)
    if len(tensors) == len(x):
        if node.operator not in ("Add", "Sum"):
            raise node.refuse(f"nnlite has no layer that computes {node.operator} of two values")
        return joined(node, nn.Add, tensors)
    if len(x) != 2 or node.operator not in ("Add", "Sub", "Mul", "Div"):
        raise node.refuse(f"nnlite has no layer for {node.operator} with such a constant")
    (tensor,) = tensors
    constant = np.asarray(next(each for each in x if not isinstance(each, Tensor)), np.float32)
    values = tensor.per_feature(constant)
    if values is None:
        raise node.refuse(f"a constant of shape {constant.shape} is not one number for each "
                          f"feature of shape {tensor.shape}")  # fmt: skip
    one, zero = np.ones_like(values), np.zeros_like(values)
    ahead = isinstance(x[0], Tensor)
    if node.operator == "Div" and not (ahead and values.all()):
        raise node.refuse("nnlite has no layer for a constant over x, or for x over 0")
    scale, shift = {
        "Add": (one, values),
        "Sub": (one, -values) if ahead else (-one, values),
        "Mul": (values, zero),
        "Div": (1 / np.where(values == 0, one, values), zero),
    }[node.operator]
    return affine(tensor, scale, shift, node)


def affine(x: Tensor, scale: np.ndarray, shift: np.ndarray, node: Node) -> Tensor:
    """s ⊙ x + b, as the bias of a product before it where it is just that."""
    before: Any = x.point.layer
    if type(before) in WITH_BIAS and before.bias is None and (scale == 1).all():
        layer = built_again(before, bias=True)
        set_values(layer.bias, np.broadcast_to(shift, layer.bias.shape))
        return x._replace(point=Point(layer, x.point.inputs, node.words))
    if isinstance(before, nn.Affine):
        own: Any = before
        scale, shift = scale * own.weight.data, shift + scale * own.bias.data
        x = x._replace(point=x.point.inputs[0])
    made: Any = nn.Affine(x.features(node))
    set_values(made.weight, np.broadcast_to(scale, made.weight.shape))
    set_values(made.bias, np.broadcast_to(shift, made.bias.shape))
    return x.then(made, node)


def joined(node: Node, container: type, tensors: list[Tensor]) -> Tensor:
    """Several tensors in one, with the value's axes alike."""
    if len(tensors) == 1:
        return tensors[0]
    rows = [each.rows for each in tensors]
    if container is not nn.Add or len({None if r is None else r.tobytes() for r in rows}) > 1:
        tensors = [each.in_rows(node) for each in tensors]
    axes = tensors[0].axes
    if any(each.axes != axes for each in tensors):
        shapes = [each.shape for each in tensors]
        if len({len(shape) for shape in shapes}) > 1:
            raise node.refuse(f"shapes {shapes} differ, and nnlite does not broadcast")
        as_they_are = tuple(range(len(axes)))
        moved = (e.axes for e in tensors if e.axes != as_they_are and None not in e.axes)
        axes = next(moved, as_they_are)
        tensors = [each.arranged(axes, node) for each in tensors]
    point = Point(container, tuple(each.point for each in tensors), node.words)
    return tensors[0]._replace(point=point, axes=axes)


@reads("Sum")
def sum_of(node: Node, *inputs: Any) -> Any:
    return meet(node, *inputs) if len(inputs) > 1 else inputs[0]


@reads("Concat")
def concat(node: Node, *inputs: Any) -> Tensor:
    tensors = [tensor_of(node, each) for each in inputs]
    axis = node.axis(node.get("axis", 0), len(tensors[0].axes))
    if any(each.piece for each in tensors):
        return reunited(node, tensors, axis)
    x = joined(node, nn.Concat, tensors)
    if x.axes[axis] != max(a for a in x.axes if a is not None):
        raise node.refuse("it joins along another axis than the features'")
    sizes = [each.shape[axis] for each in tensors]
    total = OPEN if OPEN in sizes else sum(sizes)
    return x._replace(shape=(*x.shape[:axis], total, *x.shape[axis + 1 :]))


@reads("Cast")
def cast(node: Node, x: Tensor) -> Any:
    """Numbers stay what they are: floats may become other floats, and tokens other tokens."""
    if x.term or x.whole:
        return elementwise(node, x)
    if node.get("to") not in FLOATS:
        raise node.refuse("nnlite has no layer that rounds")
    return x


READS.update(dict.fromkeys(ELEMENTWISE - {"Cast"}, elementwise))
