"""One training step, written out: what forward and backward really computed, in order."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.formulas import subscript
from nnlite.core.padded import Padded
from nnlite.core.parameter import Buffer, Computed, Parameter
from nnlite.core.reading import Reading
from nnlite.inspection.captured.activation import Activation
from nnlite.inspection.captured.in_time import Cell, cell_equations, steps_of
from nnlite.inspection.captured.loss import LossRecord
from nnlite.inspection.captured.update import Update
from nnlite.inspection.equations import Page, Value, symbol
from nnlite.inspection.formula import SUBSCRIPTS
from nnlite.inspection.one_step import OneStep, batch_of, parts
from nnlite.inspection.record import Trace, TraceStep
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container
from nnlite.layers.structure import nested, watch
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalized, Penalty
from nnlite.optimizers.base import Optimizer

ACTIVATION = "go backward through the activation"
ALONG = re.compile(rf"(_t|[{SUBSCRIPTS}])$")  # what only says along which axis a name runs
UPSTREAM = "pass the gradient upstream"
THROUGH_TIME = "go back through time"


@checked
def trace(
    model: Layer,
    loss: Loss,
    x: Any,
    y: Any,
    penalties: Sequence[Penalty] = (),
    optimizer: Optimizer | None = None,
) -> Trace:
    """Run one training step on a copy, and write down everything that it computes.

    Nothing is computed anew: the arrays shown are those that forward and backward returned or
    kept, and that backward wrote into the gradients. Each comes with its equation's operands and
    with the rule that makes an entry of it. In recurrent layers every step in time is shown.

    Args:
        model: the layer to train, usually a `Sequential`; left as it is.
        loss: the loss.
        x, y: one batch; a small one reads best. For a model with several inputs, x is their tuple.
        penalties: as of the `Trainer` (default: none).
        optimizer: of the model's parameters, to show step 6 too, which it takes on the copy
            (default: none).

    Returns:
        The trace; print it, iterate over it, or write it with `to_html`.

    Raises:
        ValueError: when the optimizer has none of the model's parameters.
    """
    x, y = batch_of("trace", loss, x, y)
    step = OneStep(model, loss, penalties)
    recorder = _Recorder()
    update = None
    if optimizer is not None:
        update = Update(optimizer, model, step.layer, recorder.captured)
    layers = list(nested(step.layer))
    inside: dict[tuple[str, ...], list[tuple[str, Layer]]] = {}
    for place, layer in layers[1:]:
        inside.setdefault(place[:-1], []).append((place[-1], layer))
    for place, layer in layers:
        recorder.attach(layer, place, inside.get(place, []))
    of_loss = LossRecord(step.loss)
    ran = step.run(x, y)
    steps = [of_loss.gradient(ran.grad), *recorder.backward, *_of_penalties(step.penalized)]
    updated = [] if update is None else list(update.run())
    loss_step = of_loss.number(ran.loss)
    return Trace(
        layers, step.loss, ran.loss, recorder.forward, steps, ran.terms, loss_step, updated
    )


def _of_penalties(penalized: Penalized) -> Iterator[TraceStep]:
    """What each penalty adds to each gradient; the place is the parameter's path."""
    for penalty, path, p in penalized:
        title = f"add the gradient of {penalty.name}"
        gradient = Value("dP/dw", penalty.strength * penalty.gradient(p.data), True)
        w = Value("w", p.data.copy(), True)
        page = Page(penalty, penalty.equations, Reading())
        page.put("w", w.array)
        equations = page.equations("gradient", gradient)
        yield TraceStep(
            3, title, (path,), penalty, "gradient", [w], [gradient], {"w": p.shape},
            equations.copy,
        )  # fmt: skip


def _values(layer: Layer, name: str, value: Any) -> list[Value]:
    """One array under its name, or several as x₁, x₂, …; none where there is no gradient."""
    if type(value) is np.ndarray:
        return [Value(name, value)]  # nearly always
    arrays = parts(layer, value)
    names = [name] if len(arrays) == 1 else [name + subscript(i + 1) for i in range(len(arrays))]
    return [Value(*pair) for pair in zip(names, arrays, strict=True) if pair[1] is not None]


@functools.cache
def _names(letter: str, name: str) -> tuple[str, ...]:
    """What equations may call a parameter: its letter or its name, with or without an index."""
    return tuple(
        dict.fromkeys(each for full in (letter, name) for each in (full, ALONG.sub("", full)))
    )


class _Recorder:
    """Notes what the layers of one model return, in the order in which they do."""

    def __init__(self) -> None:
        self.forward: list[TraceStep] = []
        self.backward: list[TraceStep] = []
        self._so_far: dict[int, np.ndarray] = {}  # gradients of parameters used more than once
        self._shares: dict[int, np.ndarray] = {}  # of gradients, what the last backward added
        self._between: list[tuple[str, ...]] = []  # layers with mathematics between children
        self._incoming: dict[int, list[Value]] = {}  # by layer, the G of its last backward
        self._data: dict[int, np.ndarray] = {}  # parameters as they were before the update
        self._returned: dict[int, list[Value]] = {}  # by layer, what it returned last

    def attach(
        self, layer: Layer, place: tuple[str, ...], children: list[tuple[str, Layer]]
    ) -> None:
        """Record every forward and backward of this layer, which has these inside."""
        inside = bool(children)
        own = _own_parameters(layer) if inside else layer.named_parameters()
        letters = {name: symbol(layer, name) for name in own}
        shapes = {letters[name]: p.shape for name, p in own.items()}
        known = type(layer).reading(layer) if isinstance(layer, Container) else Reading()
        paths, between = known.paths, known.between
        # attention scales the queries where its child has left them
        written = any(place[: len(above)] == above for above in self._between)
        if between:
            self._between.append(place)
        pages: list[Page] = []  # of the last forward
        kept: list[Any] = []  # what that saved

        cells: list[Page] = []  # of a recurrent layer's steps
        reasons = surrogates(layer)

        def owned() -> Iterator[tuple[str, Any]]:
            """Parameters, weights that a container makes of others, and running statistics."""
            yield from own.items()
            for name, value in vars(layer).items():
                if isinstance(value, Computed | Buffer):
                    yield name, value

        def step(
            number: int, title: str, key: str, incoming: list[Value], result: list[Value],
            **more: Any,
        ) -> TraceStep:  # fmt: skip
            if key in reasons:
                title += f", a surrogate: {reasons[key]}"
            page = pages[-1]
            in_time = cells.copy() if key == "forward" else []
            more.setdefault(
                "equations",
                lambda: [
                    *cell_equations(in_time),
                    *(e for value in result for e in page.equations(key, value)),
                ],
            )
            return TraceStep(number, title, place, layer, key, incoming, result, shapes, **more)

        def put_paths(page: Page, backward: bool) -> None:
            """What the children returned, under the names that the equations have for it."""
            for words, child in children:
                name = paths.get(words)
                returned = self._returned.get(id(child))
                if name is not None and returned:
                    page.put(name[backward], returned[0].array)

        def forward(x: Any, y: Any) -> None:
            given, made = _values(layer, "x", x), _values(layer, "y", y)
            if written:
                made = [value._replace(array=value.array.copy()) for value in made]
            kept[:] = [vars(layer).get("_slot") or ()]
            saved = kept[0]
            page = Page(layer, None, lambda: type(layer).reading(layer, *saved))
            pages[:] = [page]
            page.padded = isinstance(x, Padded)
            if through_time is not None and saved:
                cells[:] = steps_of(layer, saved[0])
                later.clear()
            for value in [*given, *made]:
                page.put(value.name, value.array, fold=True)
            if given and given[0].array.ndim:
                page.count("N", len(given[0].array))
                if given[0].array.ndim > 2:
                    page.count("T", given[0].array.shape[1])
            for name, p in owned():
                data = self._before(p)
                for each in _names(letters.get(name) or symbol(layer, name), name):
                    page.put(each, data)
            put_paths(page, backward=False)
            self._returned[id(layer)] = made
            shapes.update({value.name: value.array.shape for value in [*given, *made]})
            shapes.update({value.name.replace("y", "G"): value.array.shape for value in made})
            if between:
                own = page.named([name for name in page.reading.components if name in page.arrays])
                inner = step(
                    0, "forward", "forward", given, [e.result for e in own], equations=lambda: own
                )
                _insert(self.forward, inner, (*place, between[0]))
            elif not inside or paths:
                self.forward.append(step(0, "forward", "forward", given, made))

        def backward(grad_output: Any, d_x: Any) -> None:
            g, upstream = _values(layer, "G", grad_output), _values(layer, "dL/dx", d_x)
            self._incoming[id(layer)] = g
            page = pages[-1]
            if between:
                self._back_between(layer, children, between, kept[0], step, place)
            for value in g:
                page.put(value.name, value.array, fold=True)
            put_paths(page, backward=True)
            self._returned[id(layer)] = upstream
            for name, parameter in own.items():
                gradient = Value(f"dL/d{letters[name]}", self._added(parameter), True)
                number, title = 4 if name == "bias" else 3, f"compute the {name} gradient"
                self.backward.append(step(number, title, name, g, [gradient]))
            if upstream and layer.kind != "chain" and not between:  # its first layer said it
                acts = _is_activation(layer, g, upstream) and not (own or inside)
                number, title = (2, ACTIVATION) if acts else (5, UPSTREAM)
                more: dict[str, Any] = {}
                if acts and layer.kind in ("activation", "rectifier"):
                    activation = Activation(layer, page, kept[0], g[0], upstream[0])
                    more = {"equations": activation.equations, "curve": activation.curve}
                self.backward.append(step(number, title, "input", g, upstream, **more))

        through_time: Any = getattr(layer, "backward_step", None)
        later: list[np.ndarray] = []  # dL/dh from the step after

        def back_one_step(t: int, d_states: tuple[np.ndarray, ...], run: Any) -> Any:
            before, d_a = through_time(t, d_states, run)
            cell = Cell(
                layer, pages[-1], cells[t], t, d_states, before, d_a, later[-1] if later else None
            )
            later[:] = [cell.before[0].T]
            g, d_h = Value("G", cell.d_states[0].T), Value("dL/dh", cell.before[0].T)
            title = f"{THROUGH_TIME}, step {t}"
            self.backward.append(step(5, title, "state", [g], [d_h], equations=cell.equations))
            return before, d_a

        watch(layer, forward, backward)
        if through_time is not None:
            vars(layer)["backward_step"] = back_one_step

    def _back_between(
        self, layer: Any, children: list[tuple[str, Layer]], between: tuple[str, str],
        saved: tuple[Any, ...], step: Any, place: tuple[str, ...],
    ) -> None:  # fmt: skip
        """The equations of a layer between the backward of its last child and of its first."""
        last, first = (dict(children)[words] for words in between)
        d_out = self._returned[id(last)][0]
        given = [value.array for value in self._incoming[id(first)]]
        reading = layer.reading_back(d_out.array, given, *saved)
        page = Page(layer, reading.components, reading)
        own = page.named(list(reading.components))
        found = step(5, UPSTREAM, "input", [d_out], [e.result for e in own], equations=lambda: own)
        _insert(self.backward, found, (*place, between[1]))

    def _added(self, parameter: Parameter) -> np.ndarray:
        """What this backward added to the gradient."""
        before, now = self._so_far.get(id(parameter)), parameter.grad.copy()
        share = now if before is None else now - before
        self._so_far[id(parameter)], self._shares[id(parameter)] = now, share
        return share

    def captured(self, parameter: Parameter) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradient before the update: the very arrays that the steps show."""
        of_last, whole = self._shares.get(id(parameter)), parameter.grad
        same = of_last is not None and np.array_equal(of_last, whole)
        return self._before(parameter), of_last if same and of_last is not None else whole.copy()

    def _before(self, parameter: Any) -> np.ndarray:
        """A parameter's values, in memory that the update does not write to."""
        return self._data.setdefault(id(parameter), parameter.data.copy())


def _own_parameters(layer: Layer) -> dict[str, Parameter]:
    """Those of a layer itself, and not of the layers inside."""
    return {
        name: part
        for name, part in vars(layer).items()
        if isinstance(part, Parameter) and not isinstance(part, Computed) and name[0] != "_"
    }


def _insert(steps: list[TraceStep], step: TraceStep, place: tuple[str, ...]) -> None:
    """Put a step before those of a child's last pass, which have just been recorded."""
    at = len(steps)
    while at and steps[at - 1].place[: len(place)] == place:
        at -= 1
    steps.insert(at, step)


def _is_activation(layer: Layer, g: list[Value], upstream: list[Value]) -> bool:
    """Whether the layer treats each value by itself: it says so, or it is a user's that may.

    A layer of nnlite that mixes values, or drops some, is none although the shape stays.
    """
    if layer.kind in ("activation", "rectifier"):
        return len(upstream) == 1
    keeps = [value.array.shape for value in g] == [value.array.shape for value in upstream]
    ours = type(layer).__module__.startswith("nnlite.")
    return keeps and len(upstream) == 1 and layer.kind == "map" and not ours
