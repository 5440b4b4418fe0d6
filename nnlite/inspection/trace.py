"""One training step, written out: what forward and backward really computed, in order."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlite.checks import check_instance
from nnlite.inspection import trace_text
from nnlite.inspection.equations import symbol, with_shapes
from nnlite.inspection.structure import place_name, places, sub_layers, watch
from nnlite.layers.base import Layer
from nnlite.layers.containers import Sequential
from nnlite.layers.shape import Identity, Permute, Reshape
from nnlite.losses.base import Loss
from nnlite.padded import masked, plain
from nnlite.parameter import Parameter
from nnlite.slot import inference

ACTIVATION = "go backward through the activation"
UPSTREAM = "pass the gradient upstream"
THROUGH_TIME = "go back through time"
PAGE = 2048  # values of an array that the page draws
MOVES = (Identity, Reshape, Permute)  # compute nothing


class Value(NamedTuple):
    """An array of the step, under the name that the formulas use.

    Attributes:
        name: such as "G" or "dL/dW".
        array: its values.
        kernel: whether it belongs to a parameter, so that four axes are (kH, kW, I, O).
    """

    name: str
    array: np.ndarray
    kernel: bool = False

    def statistics(self) -> dict[str, float]:
        """Norm, smallest and largest value, and the share of zeros."""
        a = self.array
        if a.size == 0:
            return {"norm": 0.0, "min": 0.0, "max": 0.0, "zeros": 0.0}
        return {
            "norm": float(np.sqrt(np.square(a, dtype=np.float64).sum())),
            "min": float(a.min()),
            "max": float(a.max()),
            "zeros": float(np.mean(a == 0)),
        }


class TraceStep:
    """One line of the loop on one layer.

    Attributes:
        number: of the step in the six-step loop; 0 for a forward.
        title: what the loop calls it.
        place: where in the model, such as ("layer 2", "branch"); () for the model and the loss.
        incoming: G, or x in a forward; None for the loss gradient.
        result: what was computed.
    """

    def __init__(
        self,
        number: int,
        title: str,
        place: tuple[str, ...],
        source: Layer | Loss,
        key: str,
        incoming: Value | None,
        result: Value,
        symbols: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.number = number
        self.title = title
        self.place = place
        self.incoming = incoming
        self.result = result
        self._source = source
        self._key = key
        self._symbols = symbols

    @property
    def layer(self) -> str:
        """The layer's (or the loss's) repr; a container by its class alone."""
        source = self._source
        return place_name((), source) if isinstance(source, Layer) else repr(source)

    @property
    def formula(self) -> str:
        """The layer's equation, with G for the incoming gradient."""
        return self._source.equations.get(self._key, self.result.name)

    @property
    def shapes(self) -> str:
        """The equation with this run's shapes."""
        return with_shapes(self.formula, self._symbols, self.result.array.shape)

    def __str__(self) -> str:
        return trace_text.step_text(self)


class Trace:
    """The record of one step; prints as text, iterates over the steps of the backward pass.

    Attributes:
        loss: the loss's repr; `loss_value` is the number.
        forward: one `TraceStep` per layer, first to last.
        steps: the loss gradient, then the backward pass, last layer to first.
        structure: (depth, place, name) of every layer, containers included.
    """

    def __init__(
        self,
        layers: list[tuple[tuple[str, ...], Layer]],
        loss: Loss,
        loss_value: float,
        forward: list[TraceStep],
        steps: list[TraceStep],
    ) -> None:
        self._layers = layers
        self._loss = loss
        self.loss_value = loss_value
        self.forward = forward
        self.steps = steps

    @property
    def loss(self) -> str:
        """The loss's repr."""
        return repr(self._loss)

    @property
    def structure(self) -> list[tuple[int, str, str]]:
        """(depth, place, name) of every layer, containers included, outermost first."""
        return [
            (len(place), "".join(place[-1:]), place_name((), layer))
            for place, layer in self._layers
        ]

    def __iter__(self) -> Iterator[TraceStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return trace_text.text(self)

    def to_markdown(self) -> str:
        """The steps as Markdown, a heading per layer and a table row per gradient."""
        return trace_text.markdown(self)

    def to_dict(self, size: int = 4096) -> dict[str, Any]:
        """Everything in plain lists and numbers.

        Args:
            size: arrays of more values are averaged over blocks to at most this (default 4096);
                of images and kernels the first ones that fit.
        """
        return trace_text.as_dict(self, size)

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_html(self, path: str | Path) -> None:
        """Write a page to step through: one file that needs no network."""
        Path(path).write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """The page as text."""
        template = Path(__file__).with_name("trace.html").read_text(encoding="utf-8")
        data = json.dumps(self.to_dict(PAGE), ensure_ascii=False).replace("</", "<\\/")
        return template.replace("__TRACE__", data)

    def _repr_html_(self) -> str:
        """How a notebook shows it: the page, in a frame of its own."""
        quoted = self.page().replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{quoted}" width="100%" height="700" style="border:0"></iframe>'


def trace(model: Layer, loss: Loss, x: Any, y: np.ndarray) -> Trace:
    """Run one training step on a copy, and write down everything that it computes.

    Nothing is computed anew: the arrays shown are those that forward and backward returned, and
    that backward wrote into the gradients. In recurrent layers every step in time is shown.

    Args:
        model: the layer to train, usually a `Sequential`; left as it is.
        loss: the loss.
        x, y: one batch; a small one reads best.

    Returns:
        The trace; print it, iterate over it, or write it with `to_html`.
    """
    check_instance("trace: model", model, Layer)
    check_instance("trace: loss", loss, Loss)
    probe, criterion = copy.deepcopy(model), copy.deepcopy(loss)
    probe.zero_grad()
    probe.reset_state()
    recorder = _Recorder()
    layers = list(places(probe))
    for place, layer in layers:
        layer.needs_input_grad = True
        recorder.attach(layer, place)
    with inference(False):
        prediction, weight = masked(probe.forward(x), None)
        value = criterion(prediction, y, weight)
        grad = criterion.backward()
        title, result = "compute the loss gradient", Value("G", grad)
        first = TraceStep(1, title, (), criterion, "prediction", None, result, {})
        probe.backward(grad)
    return Trace(layers, criterion, value, recorder.forward, [first, *recorder.backward])


class _Recorder:
    """Notes what the layers of one model return, in the order in which they do."""

    def __init__(self) -> None:
        self.forward: list[TraceStep] = []
        self.backward: list[TraceStep] = []
        self._so_far: dict[int, np.ndarray] = {}  # gradients of parameters used more than once

    def attach(self, layer: Layer, place: tuple[str, ...]) -> None:
        """Record every forward and backward of this layer."""
        inside = bool(sub_layers(layer))
        named = layer.named_parameters()
        own = {name: p for name, p in named.items() if not inside or "." not in name}
        shapes = {symbol(layer, name): p.shape for name, p in own.items()}

        def step(number: int, title: str, key: str, incoming: Value, result: Value) -> TraceStep:
            return TraceStep(number, title, place, layer, key, incoming, result, shapes)

        def forward(x: Any, y: Any) -> None:
            x, y = plain(x), plain(y)
            shapes.update(x=x.shape, y=y.shape, G=y.shape)
            if not inside:
                self.forward.append(step(0, "forward", "forward", Value("x", x), Value("y", y)))

        def backward(grad_output: np.ndarray, d_x: np.ndarray | None) -> None:
            g = Value("G", grad_output)
            for name, parameter in own.items():
                gradient = Value(f"dL/d{symbol(layer, name)}", self._added(parameter), True)
                number, title = 4 if name == "bias" else 3, f"compute the {name} gradient"
                self.backward.append(step(number, title, name, g, gradient))
            if d_x is not None and not isinstance(layer, Sequential):  # its first layer said it
                upstream = own or inside or isinstance(layer, MOVES)
                number, title = (5, UPSTREAM) if upstream else (2, ACTIVATION)
                self.backward.append(step(number, title, "input", g, Value("dL/dx", d_x)))

        through_time: Any = getattr(layer, "backward_step", None)

        def back_one_step(t: int, d_states: tuple[np.ndarray, ...], run: Any) -> Any:
            before, d_a = through_time(t, d_states, run)
            g, d_h = (
                Value(name, d[0].T.copy()) for name, d in (("G", d_states), ("dL/dh", before))
            )
            self.backward.append(step(5, f"{THROUGH_TIME}, step {t}", "state", g, d_h))
            return before, d_a

        watch(layer, forward, backward)
        if through_time is not None:
            vars(layer)["backward_step"] = back_one_step

    def _added(self, parameter: Parameter) -> np.ndarray:
        """What this backward added to the gradient."""
        before = self._so_far.get(id(parameter), 0)
        self._so_far[id(parameter)] = parameter.grad.copy()
        return self._so_far[id(parameter)] - before
