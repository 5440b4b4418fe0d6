"""Activations: one node where ONNX has them, or a few."""

from __future__ import annotations

import math

from nnlite import layers as nn
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.registry import register
from nnlite.layers.base import Layer


def _operator(kind: type[Layer], operator: str, **attributes: float) -> None:
    """The layer is one operator with these attributes."""

    @register(kind)
    def write(layer: Layer, graph: Graph, x: Value) -> Value:
        return graph.map(operator, x, **attributes)


_operator(nn.ReLU, "Relu")
_operator(nn.Sigmoid, "Sigmoid")
_operator(nn.Tanh, "Tanh")
_operator(nn.Softsign, "Softsign")
_operator(nn.HardSwish, "HardSwish")
_operator(nn.HardSigmoid, "HardSigmoid", alpha=1 / 6, beta=0.5)
_operator(nn.SELU, "Selu", alpha=nn.SELU.alpha, gamma=nn.SELU.scale)


@register(nn.LeakyReLU)
def leaky_relu(layer: nn.LeakyReLU, graph: Graph, x: Value) -> Value:
    return graph.map("LeakyRelu", x, alpha=float(layer.negative_slope))


@register(nn.RReLU)
def rrelu(layer: nn.RReLU, graph: Graph, x: Value) -> Value:
    """In eval mode the slope is the mean of the bounds."""
    return graph.map("LeakyRelu", x, alpha=(float(layer.lower) + float(layer.upper)) / 2)


@register(nn.PReLU)
def prelu(layer: nn.PReLU, graph: Graph, x: Value) -> Value:
    return graph.map("PRelu", x, graph.per_feature(layer.weight.data, x))


@register(nn.ReLU6)
def relu6(layer: nn.ReLU6, graph: Graph, x: Value) -> Value:
    return graph.map("Clip", x, 0.0, 6.0)


@register(nn.HardTanh)
def hard_tanh(layer: nn.HardTanh, graph: Graph, x: Value) -> Value:
    return graph.map("Clip", x, float(layer.min_val), float(layer.max_val))


@register(nn.Threshold)
def threshold(layer: nn.Threshold, graph: Graph, x: Value) -> Value:
    low = graph.node("LessOrEqual", x, float(layer.threshold))
    return x._replace(name=graph.node("Where", low, float(layer.value), x))


@register(nn.Hardshrink)
def hard_shrink(layer: nn.Hardshrink, graph: Graph, x: Value) -> Value:
    return graph.map("Shrink", x, lambd=float(layer.lambd), bias=0.0)


@register(nn.Softshrink)
def soft_shrink(layer: nn.Softshrink, graph: Graph, x: Value) -> Value:
    return graph.map("Shrink", x, lambd=float(layer.lambd), bias=float(layer.lambd))


@register(nn.Tanhshrink)
def tanh_shrink(layer: nn.Tanhshrink, graph: Graph, x: Value) -> Value:
    return graph.map("Sub", x, graph.node("Tanh", x))


@register(nn.ELU)
def elu(layer: nn.ELU, graph: Graph, x: Value) -> Value:
    return graph.map("Elu", x, alpha=float(layer.alpha))


@register(nn.CELU)
def celu(layer: nn.CELU, graph: Graph, x: Value) -> Value:
    return graph.map("Celu", x, alpha=float(layer.alpha))


@register(nn.SiLU)
def silu(layer: nn.SiLU, graph: Graph, x: Value) -> Value:
    return graph.map("Mul", x, graph.node("Sigmoid", x))


@register(nn.GELU)
def gelu(layer: nn.GELU, graph: Graph, x: Value) -> Value:
    """x Φ(x), with Φ(x) = ½ (1 + erf(x/√2)), or σ(2u) as the layer's documentation has it."""
    if layer.approximate == "tanh":
        cube = graph.node("Mul", graph.node("Mul", x, x), x)
        u = graph.node("Add", x, graph.node("Mul", cube, 0.044715))
        phi = graph.node("Sigmoid", graph.node("Mul", u, 2 * math.sqrt(2 / math.pi)))
        return graph.map("Mul", x, phi)
    erf = graph.node("Erf", graph.node("Mul", x, math.sqrt(0.5)))
    return graph.map("Mul", graph.map("Mul", x, 0.5), graph.node("Add", erf, 1.0))


@register(nn.Mish)
def mish(layer: nn.Mish, graph: Graph, x: Value) -> Value:
    return graph.map("Mul", x, graph.node("Tanh", graph.node("Softplus", x)))


@register(nn.Softplus)
def softplus(layer: nn.Softplus, graph: Graph, x: Value) -> Value:
    beta = float(layer.beta)
    if beta == 1:
        return graph.map("Softplus", x)
    return graph.map("Div", graph.map("Softplus", graph.map("Mul", x, beta)), beta)


@register(nn.LogSigmoid)
def log_sigmoid(layer: nn.LogSigmoid, graph: Graph, x: Value) -> Value:
    return graph.map("Neg", graph.map("Softplus", graph.map("Neg", x)))


@register(nn.GLU)
def glu(layer: nn.GLU, graph: Graph, x: Value) -> Value:
    if x.rows is not None:
        x = graph.last(x)
    a, b = graph.node("Split", x, axis=x.axis(layer.axis), outputs=2)
    return x._replace(name=graph.node("Mul", a, graph.node("Sigmoid", b)))


@register(nn.Softmax)
def softmax(layer: nn.Softmax, graph: Graph, x: Value) -> Value:
    return graph.map("Softmax", x, axis=x.axis(layer.axis))


@register(nn.Softmin)
def softmin(layer: nn.Softmin, graph: Graph, x: Value) -> Value:
    return graph.map("Softmax", graph.map("Neg", x), axis=x.axis(layer.axis))


@register(nn.LogSoftmax)
def log_softmax(layer: nn.LogSoftmax, graph: Graph, x: Value) -> Value:
    return graph.map("LogSoftmax", x, axis=x.axis(layer.axis))
