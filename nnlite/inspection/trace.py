"""One training step, written out: what forward and backward really computed, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.parameter import Parameter
from nnlite.inspection.equations import symbol
from nnlite.inspection.one_step import OneStep, batch_of, parts
from nnlite.inspection.record import Trace, TraceStep, Value, subscript
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.structure import nested, sub_layers, watch
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalized, Penalty

ACTIVATION = "go backward through the activation"
UPSTREAM = "pass the gradient upstream"
THROUGH_TIME = "go back through time"


@checked
def trace(model: Layer, loss: Loss, x: Any, y: Any, penalties: Sequence[Penalty] = ()) -> Trace:
    """Run one training step on a copy, and write down everything that it computes.

    Nothing is computed anew: the arrays shown are those that forward and backward returned, and
    that backward wrote into the gradients. In recurrent layers every step in time is shown.

    Args:
        model: the layer to train, usually a `Sequential`; left as it is.
        loss: the loss.
        x, y: one batch; a small one reads best. For a model with several inputs, x is their tuple.
        penalties: as of the `Trainer` (default: none).

    Returns:
        The trace; print it, iterate over it, or write it with `to_html`.
    """
    x, y = batch_of("trace", loss, x, y)
    step = OneStep(model, loss, penalties)
    recorder = _Recorder()
    layers = list(nested(step.layer))
    for place, layer in layers:
        recorder.attach(layer, place)
    ran = step.run(x, y)
    title, result = "compute the loss gradient", _values(step.layer, "G", ran.grad)
    first = TraceStep(1, title, (), step.loss, "prediction", [], result, {})
    steps = [first, *recorder.backward, *_of_penalties(step.penalized)]
    return Trace(layers, step.loss, ran.loss, recorder.forward, steps, ran.terms)


def _of_penalties(penalized: Penalized) -> Iterator[TraceStep]:
    """What each penalty adds to each gradient; the place is the parameter's path."""
    for penalty, path, p in penalized:
        title = f"add the gradient of {penalty.name}"
        gradient = Value("dP/dw", penalty.strength * penalty.gradient(p.data), True)
        shapes = {"w": p.shape}
        w = [Value("w", p.data.copy(), True)]
        yield TraceStep(3, title, (path,), penalty, "gradient", w, [gradient], shapes)


def _values(layer: Layer, name: str, value: Any) -> list[Value]:
    """One array under its name, or several as x₁, x₂, …; none where there is no gradient."""
    arrays = parts(layer, value)
    names = [name] if len(arrays) == 1 else [name + subscript(i + 1) for i in range(len(arrays))]
    return [Value(*pair) for pair in zip(names, arrays, strict=True) if pair[1] is not None]


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

        reasons = surrogates(layer)

        def step(
            number: int, title: str, key: str, incoming: list[Value], result: list[Value]
        ) -> TraceStep:
            if key in reasons:
                title += f", a surrogate: {reasons[key]}"
            return TraceStep(number, title, place, layer, key, incoming, result, shapes)

        def forward(x: Any, y: Any) -> None:
            given, made = _values(layer, "x", x), _values(layer, "y", y)
            shapes.update({value.name: value.array.shape for value in [*given, *made]})
            shapes.update({value.name.replace("y", "G"): value.array.shape for value in made})
            if not inside:
                self.forward.append(step(0, "forward", "forward", given, made))

        def backward(grad_output: Any, d_x: Any) -> None:
            g, upstream = _values(layer, "G", grad_output), _values(layer, "dL/dx", d_x)
            for name, parameter in own.items():
                gradient = Value(f"dL/d{symbol(layer, name)}", self._added(parameter), True)
                number, title = 4 if name == "bias" else 3, f"compute the {name} gradient"
                self.backward.append(step(number, title, name, g, [gradient]))
            if upstream and layer.kind != "chain":  # its first layer said it
                # an activation keeps the shape, while pooling or the last of all steps do not
                keeps = [value.array.shape for value in g] == [v.array.shape for v in upstream]
                acts = keeps and len(upstream) == 1 and layer.kind != "rearrangement"
                number, title = (2, ACTIVATION) if acts and not (own or inside) else (5, UPSTREAM)
                self.backward.append(step(number, title, "input", g, upstream))

        through_time: Any = getattr(layer, "backward_step", None)

        def back_one_step(t: int, d_states: tuple[np.ndarray, ...], run: Any) -> Any:
            before, d_a = through_time(t, d_states, run)
            g, d_h = (
                Value(name, d[0].T.copy()) for name, d in (("G", d_states), ("dL/dh", before))
            )
            self.backward.append(step(5, f"{THROUGH_TIME}, step {t}", "state", [g], [d_h]))
            return before, d_a

        watch(layer, forward, backward)
        if through_time is not None:
            vars(layer)["backward_step"] = back_one_step

    def _added(self, parameter: Parameter) -> np.ndarray:
        """What this backward added to the gradient."""
        before = self._so_far.get(id(parameter), 0)
        self._so_far[id(parameter)] = parameter.grad.copy()
        return self._so_far[id(parameter)] - before
