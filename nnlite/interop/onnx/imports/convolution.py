"""Convolutions and their transposes."""

from __future__ import annotations

from typing import Any

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import (
    as_images,
    as_sequences,
    constant,
    padding_of,
    pads_of,
    reads,
    set_values,
    size_of,
    tensor_of,
)
from nnlite.interop.onnx.tensors import OPEN, Node, Tensor


@reads("Conv", "ConvTranspose")
def conv(node: Node, x: Any, weight: Any, bias: Any = None) -> Tensor:
    weight, bias = constant(node, weight, "kernel"), constant(node, bias, "bias")
    x = tensor_of(node, x)
    if x.is_flat and weight.shape[2] == 1:
        return as_images(conv(*as_sequences(node, x), weight[:, :, 0], bias))
    x = x.first(node)
    count = weight.ndim - 2
    strides, dilations = node.get("strides", [1] * count), node.get("dilations", [1] * count)
    groups = node.get("group", 1)
    kernel = weight.shape[2:]
    padding = padding_of(node, x, kernel, strides, dilations)
    options: dict[str, Any] = {
        "stride": size_of(strides), "padding": pads_of(padding), "dilation": size_of(dilations),
        "groups": groups, "bias": bias is not None,
    }  # fmt: skip
    kinds: list[Any] = [nn.Conv1d, nn.Conv2d]
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    order = (*range(2, count + 2), 1, 0)
    if node.operator == "ConvTranspose":
        if "output_shape" in node.attributes or node.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise node.refuse("output_shape and auto_pad are not supported")
        kinds = [nn.ConvTranspose1d, nn.ConvTranspose2d]
        inputs, outputs = weight.shape[0], weight.shape[1] * groups
        order = (*range(2, count + 2), 0, 1)
        options["output_padding"] = size_of(node.get("output_padding", [0] * count))
    x.expect(inputs, node)
    plain = {
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "output_padding": 0,
        "bias": True,
    }
    options = {name: value for name, value in options.items() if value != plain[name]}
    layer = kinds[count - 1](inputs, outputs, size_of(kernel), **options)
    set_values(layer.weight, weight.transpose(order))
    if bias is not None:
        set_values(layer.bias, bias)
    return x.then(layer, node, shape=(x.shape[0], outputs, *[OPEN] * count))
