"""Recurrent layers, and positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.exports.affine import product
from nnlite.interop.onnx.exports.containers import joined
from nnlite.interop.onnx.graph import Graph, Value, time_first
from nnlite.interop.onnx.package import onnx
from nnlite.interop.onnx.registry import function_for, register
from nnlite.layers.sequences.recurrent import Recurrent

RECURRENT = {nn.RNN: "RNN", nn.LSTM: "LSTM", nn.GRU: "GRU"}
# ONNX's order of the gates, as places in nnlite's
GATES = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


@register(nn.RNN, nn.LSTM, nn.GRU)
def recurrent(layer: Recurrent, graph: Graph, x: Value) -> Value:
    _check(layer, graph)
    return _over_time(layer, graph, x, "forward")


@register(nn.Bidirectional)
def bidirectional(layer: nn.Bidirectional, graph: Graph, x: Value) -> Value:
    """One node where both directions are alike; else each has its own, and they are joined.

    "reverse" returns its states in x's order of time, as R f′(R x) is.
    """
    cells = layer.layer, layer.backwards
    for place, cell in layer.children():
        with graph.inside(place):
            _check(cell, graph)
    x = graph.arranged(x, time_first(x.ndim))
    alike = len({_kind(cell) for cell in cells}) == 1
    if alike and not any(cell.above or _projection(cell) is not None for cell in cells):
        return _level(cells, graph, x, "bidirectional")
    pairs = zip(cells, ("forward", "reverse"), strict=True)
    return joined(graph, [_over_time(cell, graph, x, direction) for cell, direction in pairs])


def _kind(layer: Recurrent) -> tuple[Any, ...]:
    """What the cells of one node have in common."""
    return type(layer), layer.hidden_size, layer.bias is None, *layer.cell_options().items()


def _check(layer: Any, graph: Graph) -> None:
    """Refuse what only a layer of its own can be, and states that go in and out."""
    function_for(layer, graph)
    if layer.return_state or layer.stateful:
        option = "return_state" if layer.return_state else "stateful"
        raise graph.refuse(
            layer,
            f"a file has no place for states that go in and out; build it with {option}=False",
        )


def _over_time(layer: Recurrent, graph: Graph, x: Value, direction: str) -> Value:
    """The layer and those above it, which read the states that it had at every step."""
    for level in [layer, *layer.above]:
        x = _level((level,), graph, graph.arranged(x, time_first(x.ndim)), direction)
    return x


def _level(cells: tuple[Recurrent, ...], graph: Graph, x: Value, direction: str) -> Value:
    """One recurrent operator, x (T, N, D) in the file; two cells for both directions."""
    layer: Any = cells[0]
    kind = next(name for cls, name in RECURRENT.items() if isinstance(layer, cls))

    def gates(arrays: list[np.ndarray]) -> np.ndarray:
        """Each (…, gates·H), as (directions, gates·H, …) in ONNX's order of the gates."""
        blocks = [np.split(array, len(GATES[kind]), axis=-1) for array in arrays]
        return np.stack([np.concatenate([b[g] for g in GATES[kind]], axis=-1).T for b in blocks])

    weights = [gates([c.weight_ih.data for c in cells]), gates([_recurrent(c) for c in cells])]
    if layer.bias is not None:  # ONNX has a second one beside the recurrent weights
        both = [gates([c.bias.data for c in cells if c.bias is not None]),
                gates([second_bias(c) for c in cells])]  # fmt: skip
        weights.append(np.concatenate(both, axis=1))
    options: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": direction}
    if kind == "GRU":
        options["linear_before_reset"] = int(layer.reset_after)
    elif kind == "RNN":
        options["activations"] = [layer.nonlinearity.capitalize()] * len(cells)
    last = not (layer.return_sequences or layer.above)
    states = graph.node(kind, x, *weights, only=int(last), **options)
    if len(cells) == 1:  # (T, 1, N, H), of the last step (1, N, H)
        states = graph.node("Squeeze", states, np.array([0 if last else 1]))
    else:  # (T, 2, N, H), of the last step (2, N, H)
        states = graph.node("Transpose", states, perm=(1, 0, 2) if last else (0, 2, 1, 3))
        states = graph.node("Reshape", states, np.array([0, -1] if last else [0, 0, -1]))
    count, steps, _ = x.shape
    features = len(cells) * layer.hidden_size
    if last:
        y = x.with_shape(states, (count, features))
    else:
        y = x._replace(name=states, shape=(count, steps, features))
    projection = _projection(layer)
    return y if projection is None else product(graph, y, projection, None)


def _projection(layer: Any) -> np.ndarray | None:
    """W_hr of an LSTM with proj_size."""
    weight = getattr(layer, "weight_hr", None)
    return None if weight is None else weight.data


def _recurrent(layer: Any) -> np.ndarray:
    """W_hh, (H, gates·H).

    With u_t = o ⊙ tanh(c_t), an LSTM's projected h_t = u_t W_hr meets the next gates as
    h_t W_hh = u_t (W_hr W_hh): it is one without projection whose states u are projected after it.
    """
    projection, weight = _projection(layer), layer.weight_hh.data
    return weight if projection is None else projection @ weight


def second_bias(layer: Any) -> np.ndarray:
    """The bias inside r ⊙ (h U_n + b_hn) of a GRU, among zeros for all other gates."""
    second = np.zeros_like(layer.bias.data)
    inner = getattr(layer, "bias_hn", None)
    if inner is not None:
        second[-layer.hidden_size :] = inner.data
    return second


def steps_of(graph: Graph, x: Value) -> str:
    """The numbers 0 … T − 1 of the steps of x (N, T, …), int64."""
    length = graph.node("Gather", graph.node("Shape", x), np.array(1), axis=0)
    return graph.node("Range", np.array(0), length, np.array(1))


def sines(graph: Graph, t: str, rates: np.ndarray, phase: Any) -> str:
    """sin(t · rates + phase) for places t, (T, …), in float64 until then: t may be large."""
    t = graph.node("Cast", t, to=onnx().TensorProto.DOUBLE)
    angles = graph.node("Mul", t, graph.constant(rates, np.float64))
    angles = graph.node("Add", angles, graph.constant(phase, np.float64))
    return str(graph.node("Cast", graph.node("Sin", angles), to=onnx().TensorProto.FLOAT))


@register(nn.PositionalEncoding, nn.LearnedPositionalEmbedding)
def positions(layer: Any, graph: Graph, x: Value) -> Value:
    x = graph.last(x)
    steps = x.shape[1]
    if steps is not None:
        return graph.map("Add", x, layer.rows(0, steps, np.dtype("float32")))
    if isinstance(layer, nn.LearnedPositionalEmbedding):
        rows = graph.node("Gather", layer.weight.data, steps_of(graph, x), axis=0)
        return graph.map("Add", x, rows)
    column = np.arange(layer.d_model)
    rates = 10_000.0 ** (-(column - column % 2) / layer.d_model)
    t = graph.node("Unsqueeze", steps_of(graph, x), np.array([1]))
    # cosines are sines a quarter ahead
    return graph.map("Add", x, sines(graph, t, rates, np.pi / 2 * (column % 2)))
