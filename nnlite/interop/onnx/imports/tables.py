"""Operators of the domain ai.onnx.ml, which models of tables become, such as scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.affine import linear
from nnlite.interop.onnx.imports.numbers import affine
from nnlite.interop.onnx.imports.reading import reads
from nnlite.interop.onnx.tensors import Node, Tensor

ML = "ai.onnx.ml."


@reads(ML + "Scaler")
def scaler(node: Node, x: Tensor) -> Tensor:
    """(x − offset) scale."""
    given = (node.get(name, [usual]) for name, usual in (("scale", 1.0), ("offset", 0.0)))
    scale, offset = (x.per_feature(np.array(each, np.float32)) for each in given)
    if scale is None or offset is None:
        raise node.refuse(f"it has not one number for each feature of shape {x.shape}")
    return affine(x, scale, -scale * offset, node)


@reads(ML + "LinearRegressor")
def linear_regressor(node: Node, x: Tensor) -> Tensor:
    return _linear(node, x, node.get("targets", 1))


@reads(ML + "LinearClassifier")
def linear_classifier(node: Node, x: Tensor) -> list[Any]:
    """The label, which has no layer, and the scores."""
    if node.outputs[0]:
        scores = node.proto.output[1]
        raise node.refuse(f"its label is not computed here; output={scores!r} are the scores")
    return [None, _linear(node, x, len(node.get("intercepts")))]


def _linear(node: Node, x: Tensor, rows: int) -> Tensor:
    weight = np.array(node.get("coefficients"), np.float32).reshape(rows, -1).T
    bias = node.get("intercepts")
    y = linear(node, x, weight, None if bias is None else np.array(bias, np.float32))
    after = {b"NONE": None, b"SOFTMAX": nn.Softmax, b"LOGISTIC": nn.Sigmoid}
    transform = node.get("post_transform", b"NONE")
    if transform not in after:
        raise node.refuse(f"its post_transform {transform.decode()} is not supported")
    kind = after[transform]
    return y if kind is None else y.then(kind(), node)


@reads(ML + "Normalizer")
def normalizer(node: Node, x: Tensor) -> Tensor:
    if not isinstance(x.point.layer, nn.Softmax) or node.get("norm") != b"L1":
        raise node.refuse("nnlite has no layer that divides rows by their length")
    return x  # which sums to 1 already
