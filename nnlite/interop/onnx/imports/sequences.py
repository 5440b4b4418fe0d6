"""Recurrent operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.exports.sequences import GATES
from nnlite.interop.onnx.graph import time_first
from nnlite.interop.onnx.imports.reading import (
    constant,
    reads,
    set_values,
)
from nnlite.interop.onnx.tensors import DIRECTION, Node, Tensor


@reads("RNN", "LSTM", "GRU")
def recurrent(node: Node, x: Tensor, *rest: Any) -> list[Any]:
    """Y (T, directions, N, H), and Y_h (directions, N, H) after the last step."""
    weight, recurrence, bias, lengths, *states = [*rest, *[None] * (7 - len(rest))][:7]
    if lengths is not None:
        raise node.refuse("sequence_lens is not supported")
    for state in states:
        if state is not None and np.any(constant(node, state, "initial state")):
            raise node.refuse("it does not start from zeros, or has peepholes")
    if node.get("layout", 0) or node.get("clip") or node.get("input_forget", 0):
        raise node.refuse("layout, clip and input_forget are not supported")
    x = x.plain(node) if None in x.axes else x
    x = x.arranged(time_first(3), node)
    turned = node.get("direction", b"forward")
    if turned == b"reverse":
        raise node.refuse("it reads from the end only; nnlite has Bidirectional")
    directions = 2 if turned == b"bidirectional" else 1
    inputs, hidden = weight.shape[-1], recurrence.shape[-1]
    x.expect(inputs, node)
    rows = len(GATES[node.operator]) * hidden
    for name, array, shape in (
        ("W", weight, (directions, rows, inputs)),
        ("R", recurrence, (directions, rows, hidden)),
        ("B", bias, (directions, 2 * rows)),
    ):
        if array is not None and constant(node, array, name).shape != shape:
            raise node.refuse(f"its {name} has shape {array.shape}; expected {shape}")
    every, final = node.outputs[:1] != [""], len(node.outputs) > 1 and node.outputs[1] != ""
    if every and final and directions > 1:
        raise node.refuse("all steps and the last states of both directions are used")
    cells = [
        _cell(node, weight[d], recurrence[d], None if bias is None else bias[d], d, every)
        for d in range(directions)
    ]
    layer = cells[0] if directions == 1 else nn.Bidirectional(*cells)
    steps, count, _ = x.shape
    y = x.then(layer, node)
    axis = None if directions == 1 else DIRECTION
    if every:
        last = y.then(nn.LastStep(), node, shape=(1, count, hidden), axes=(None, 0, 1))
        return [y._replace(shape=(steps, directions, count, hidden), axes=(1, axis, 0, 2)), last]
    return [None, y._replace(shape=(directions, count, hidden), axes=(axis, 0, 1))]


def _cell(node: Node, weight: Any, recurrence: Any, bias: Any, d: int, every: bool) -> Any:
    """One direction's layer."""
    kind, hidden = node.operator, recurrence.shape[-1]
    places = np.argsort(GATES[kind])

    def gates(array: np.ndarray) -> np.ndarray:
        """(gates·H, …) as (…, gates·H), in nnlite's order of the gates."""
        blocks = np.split(array, len(places))
        return np.concatenate([blocks[gate] for gate in places]).T

    options: dict[str, Any] = {} if every else {"return_sequences": False}
    usual = {"RNN": [b"Tanh"], "LSTM": [b"Sigmoid", b"Tanh", b"Tanh"], "GRU": [b"Sigmoid", b"Tanh"]}
    used = node.get("activations", usual[kind] * (d + 1))
    used = [a.capitalize() for a in used[d * len(usual[kind]) : (d + 1) * len(usual[kind])]]
    if kind == "RNN" and used == [b"Relu"]:
        options["nonlinearity"] = "relu"
    elif used != usual[kind]:
        raise node.refuse(f"it has the activations {[a.decode() for a in used]}")
    if kind == "GRU" and not node.get("linear_before_reset", 0):
        options["reset_after"] = False
    cls: Any = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}[kind]
    layer = cls(weight.shape[1], hidden, bias=bias is not None, **options)
    set_values(layer.weight_ih, gates(weight))
    set_values(layer.weight_hh, gates(recurrence))
    if bias is not None:
        outer, inner = (gates(part) for part in np.split(bias, 2))
        if kind == "GRU" and layer.bias_hn is not None:  # the one inside the reset gate
            set_values(layer.bias_hn, inner[-hidden:])
            inner[-hidden:] = 0
        set_values(layer.bias, outer + inner)
    return layer
