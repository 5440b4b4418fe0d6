"""Is training healthy? Statistics per layer, and what they mean, in words."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.parameter import Parameter
from nnlite.core.tables import html_lines, html_table, text_table
from nnlite.inspection.findings import Finding, LayerView, ParameterView, StepView, explain, ranked
from nnlite.inspection.one_step import OneStep, batch_of, parts
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.dropout import Dropout
from nnlite.layers.structure import nested, place_name, sub_layers, unwatch, watch
from nnlite.losses.base import Loss
from nnlite.plotting.canvas import PathLike, canvas
from nnlite.plotting.drawings import draw_sizes, tall

HEALTHY = "nothing to worry about"
MOST = 5  # findings: the ones that matter
PASSING = 0.01  # of the gradient: an activation that passes less of it is flat there
CERTAIN = 0.999  # a softmax's largest weight, from which on hardly any gradient passes


class Audit:
    """What one step, or a run, looks like from inside; prints as a table and findings.

    Attributes:
        rows: one `LayerView` per layer that computes, first to last; of layers made of layers,
            those with parameters of their own.
        findings: at most five, the most serious first; empty when all is well.
    """

    def __init__(self, rows: list[LayerView], findings: list[Finding]) -> None:
        self.rows = rows
        self.ranked: list[Finding] = []
        self.add(findings)

    @property
    def findings(self) -> list[str]:
        """What is unhealthy, in words."""
        return [finding.text for finding in self.ranked[:MOST]]

    def add(self, findings: list[Finding]) -> None:
        """Put more findings in their places among the others."""
        self.ranked = ranked([*self.ranked, *findings])

    @checked
    def plot(self, ax: Any = None, path: PathLike | None = None) -> None:
        """Draw how large outputs, gradients and updates are, layer by layer; needs matplotlib.

        Where gradients vanish or explode, their line leans to one side.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
        """
        sizes = {
            "output (std)": [row.std for row in self.rows],
            "gradient (rms)": [row.gradient for row in self.rows],
            "update / weight": [_ratio(row) for row in self.rows],
        }
        said = len(self.findings)
        title = f"{said} finding{'s' if said > 1 else ''}" if said else HEALTHY
        names = [row.name for row in self.rows]
        with canvas(ax, path, tall(len(names))) as axes:
            draw_sizes(axes, names, sizes, f"one step: {title}")

    def __repr__(self) -> str:
        return "\n".join([*text_table(self._cells()), "", *self._words()])

    def _repr_html_(self) -> str:
        """In a notebook."""
        return html_table(self._cells()) + html_lines(self._words())

    def _words(self) -> list[str]:
        """What stands below the table."""
        return [f"• {text}" for text in self.findings] or [HEALTHY]

    def _cells(self) -> list[list[str]]:
        """The header, and a row for each layer."""
        header = ["layer", "mean", "std", "dead", "flat", "gradient", "update/weight"]
        return [header] + [
            [
                row.name,
                f"{row.mean:.3g}",
                f"{row.std:.3g}",
                f"{row.dead:.0%}",
                f"{row.flat:.0%}",
                f"{row.gradient:.2g}",
                "-" if math.isnan(_ratio(row)) else f"{_ratio(row):.1e}",
            ]
            for row in self.rows
        ]


def _ratio(row: LayerView) -> float:
    """The largest update of a parameter, in units of its weights; NaN where there was none."""
    return max((p.ratio for p in row.parameters if p.ratio), default=math.nan)


@checked
def audit(model: Layer, loss: Loss, x: Any, y: Any) -> Audit:
    """Look at one training step from inside, on a copy.

    Reports on every layer: mean and spread of its output, units that never fire, values at which
    an activation is flat, the size of the gradient; and names what is unhealthy:

    - the first layer that is not finite
    - units that are copies of each other, because their weights began as one constant
    - a softmax before a loss that has its own; one that is saturated, in the loss or inside
    - inputs far from unit size, targets that are large or beyond the last activation's range
    - batch statistics over two or three values
    - gradients that vanish or explode from layer to layer, or from one time step to the next
    - dead units, saturated activations, parameters that no gradient reaches

    The callback `GradientAudit` sees more: what the optimizer and the order of the data do.

    Args:
        model: the layer to train; left as it is.
        loss: the loss.
        x, y: a batch, best a typical one; for a model with several inputs, x is their tuple.

    Returns:
        The audit; print it, or read `findings`.
    """
    x, y = batch_of("audit", loss, x, y)
    step = OneStep(model, loss)
    recorder = Recorder(step.layer)
    with np.errstate(all="ignore"):
        step.run(x, y)
    view = recorder.view(step.loss, y)
    return Audit(view.rows, explain(view))


class Recorder:
    """Watches the layers of a model during one step, and lets go when it is over.

    It is over when the model's backward returns, or when anything raises.

    Attributes:
        x: what the model was given.
        gradients: of each parameter, by path, once backward has returned.
    """

    def __init__(self, model: Layer) -> None:
        self._model = model
        self._parameters = model.named_parameters()
        self._places = list(_worth_a_row(model))
        self._seen: dict[int, _Seen] = {id(layer): _Seen() for _, layer in self._places}
        self.gradients: dict[str, np.ndarray] = {}
        self._prediction: Any = None
        self._ends: list[Callable[[], None]] = []
        self.x: Any = None
        for _, layer in self._places:
            if layer is not model:
                self._ends.append(self._watch(layer, self._seen[id(layer)]))
        self._ends.append(self._until_backward(model))

    def _watch(self, layer: Layer, seen: _Seen) -> Callable[[], None]:
        """Note what one layer takes and returns."""

        def forward(x: Any, y: Any) -> None:
            seen.note_forward(layer, x, y, parts(self._model, self.x))

        def backward(grad_output: Any, d_x: Any) -> None:
            seen.note_backward(layer, grad_output, d_x)

        end = watch(layer, forward, backward)
        through_time: Any = getattr(layer, "backward_step", None)
        if through_time is None:
            return end

        def back_one_step(t: int, d_states: tuple[np.ndarray, ...], run: Any) -> Any:
            before, d_a = through_time(t, d_states, run)
            seen.through_time.append(norm(list(before)))
            return before, d_a

        vars(layer)["backward_step"] = back_one_step

        def end_both() -> None:
            vars(layer).pop("backward_step", None)
            end()

        return end_both

    def _until_backward(self, model: Layer) -> Callable[[], None]:
        """End with the model's backward, or with the first error."""
        forward, backward, thread = model.forward, model.backward, get_ident()
        own = self._seen.get(id(model))  # of a model that is a single layer

        @functools.wraps(forward)
        def guarded_forward(x: Any) -> Any:
            here = get_ident() == thread
            if here:
                self.x = x
            try:
                y = forward(x)
            except BaseException:
                if here:
                    self.end()
                raise
            if here:
                self._prediction = y
                if own is not None:
                    own.note_forward(model, x, y, parts(model, x))
            return y

        @functools.wraps(backward)
        def guarded_backward(grad_output: np.ndarray) -> np.ndarray | None:
            try:
                d_x = backward(grad_output)
                if own is not None:
                    own.note_backward(model, grad_output, d_x)
                return d_x
            finally:
                self.gradients = {path: p.grad.copy() for path, p in self._parameters.items()}
                self.end()

        model.forward = guarded_forward  # type: ignore[method-assign]
        model.backward = guarded_backward  # type: ignore[method-assign]
        return lambda: unwatch(model)

    def end(self) -> None:
        """Stop watching."""
        for end in self._ends:
            end()
        self._ends = []

    def view(
        self, loss: Loss, target: Any, before: dict[str, np.ndarray] | None = None
    ) -> StepView:
        """What was seen.

        Args:
            loss: the loss.
            target: what the prediction should have been.
            before: each parameter before the update (default None: there was none).
        """
        paths = {id(p): path for path, p in self._parameters.items()}
        rows = []
        for place, layer in self._places:
            seen = self._seen[id(layer)]
            if seen.y and seen.g:
                own = [(paths[id(p)], p) for p in _own_parameters(layer)]
                with np.errstate(all="ignore"):  # what is not finite is a finding
                    views = [self._parameter(layer, path, p, before) for path, p in own]
                    rows.append(seen.row(place, layer, views))
        return StepView(rows, parts(self._model, self._prediction), loss, target, self._model)

    def _parameter(
        self, layer: Layer, path: str, parameter: Parameter, before: dict[str, np.ndarray] | None
    ) -> ParameterView:
        gradient, now = self.gradients[path], parameter.data
        start = now if before is None else before[path]
        gates = len(getattr(layer, "gate_scales", (1,)))
        return ParameterView(
            path,
            now.shape,
            rms(start),
            rms(gradient),
            None if before is None else rms(now - start),
            parameter.trainable,
            same_units(start, gates) and same_units(gradient, gates),
        )


class _Seen:
    """What one layer took and returned in the step."""

    def __init__(self) -> None:
        self.x: list[np.ndarray] = []
        self.y: list[np.ndarray] = []
        self.g: list[np.ndarray] = []
        self.d_x: list[np.ndarray] = []
        self.raw = False
        self.certain = 0.0
        self.through_time: list[float] = []

    def note_forward(self, layer: Layer, x: Any, y: Any, inputs: list[np.ndarray]) -> None:
        """After forward of x; `inputs` is what the model was given."""
        self.x, self.y = parts(layer, x), parts(layer, y)
        self.raw = any(np.may_share_memory(a, b) for a in self.x for b in inputs)
        self.certain = max(
            (certain_rows(a) for a in _slot_arrays(layer._slot) if not _among(a, self.x)),
            default=0.0,
        )

    def note_backward(self, layer: Layer, grad_output: Any, d_x: Any) -> None:
        """After backward."""
        self.g, self.d_x = (
            [a for a in parts(layer, given) if a is not None] for given in (grad_output, d_x)
        )

    def row(
        self, place: tuple[str, ...], layer: Layer, parameters: list[ParameterView]
    ) -> LayerView:
        """The statistics."""
        y, g = (np.concatenate([a.ravel() for a in arrays]) for arrays in (self.y, self.g))
        floats = [a.ravel() for a in self.x if a.dtype.kind == "f"]
        flat = 0.0
        elementwise = layer.kind in ("activation", "rectifier") and len(self.d_x) == len(self.g)
        if elementwise and "input" not in surrogates(layer):
            d_x = np.concatenate([a.ravel() for a in self.d_x])
            flat = float(1 - (np.abs(d_x) >= PASSING * np.abs(g)).mean())
        counts = layer.training and layer.min_batch > 1
        return LayerView(
            place_name(place, layer),
            layer.kind,
            float(y.mean()),
            float(y.std()),
            self._dead(layer),
            flat,
            rms(g),
            parameters,
            (bool(np.isfinite(y).all()), bool(np.isfinite(g).all())),
            norm(self.g),
            not sub_layers(layer),
            rms(np.concatenate(floats)) if self.raw and floats else None,
            max(float(np.abs(a).max()) for a in floats) if self.raw and floats else None,
            self.certain,
            self.x[0].size // self.x[0].shape[-1] if counts else None,
            layer.p if isinstance(layer, Dropout) and layer.training else 0.0,
            self.through_time,
        )

    def _dead(self, layer: Layer) -> float:
        """The share of units that are zero for every sample, but not because their input is.

        Of activations, and of layers that may be some: without parameters and chance.
        """
        known = layer.kind in ("activation", "rectifier")
        if not known and (layer.kind != "map" or _learns_or_draws(layer)):
            return 0.0
        if [a.shape for a in self.x] != [a.shape for a in self.y]:
            return 0.0
        dead = [_always_zero(y) & ~_always_zero(x) for x, y in zip(self.x, self.y, strict=True)]
        return float(np.concatenate(dead).mean())


def _learns_or_draws(layer: Layer) -> bool:
    return layer.has_parameters() or any(layer.named_parts(np.random.Generator))


def _always_zero(a: np.ndarray) -> np.ndarray:
    """(C,), whether a unit is zero in every row."""
    units = a.reshape(-1, a.shape[-1]) if a.ndim > 1 else a.reshape(-1, 1)
    return (units == 0).all(axis=0)


def _worth_a_row(model: Layer) -> Iterator[tuple[tuple[str, ...], Layer]]:
    """The innermost layers, and those made of layers that own a parameter or a softmax."""
    for place, layer in nested(model):
        if not sub_layers(layer) or _own_parameters(layer) or hasattr(layer, "num_heads"):
            yield place, layer


def _own_parameters(layer: Layer) -> list[Parameter]:
    """Those that belong to no layer inside."""
    inside = {id(p) for _, child in sub_layers(layer) for p in child.parameters()}
    return [p for p in layer.parameters() if id(p) not in inside]


def _slot_arrays(value: Any) -> Iterator[np.ndarray]:
    for each in value or ():
        if isinstance(each, np.ndarray) and each.dtype.kind == "f":
            yield each


def _among(array: np.ndarray, others: list[np.ndarray]) -> bool:
    return any(np.may_share_memory(array, other) for other in others)


def certain_rows(p: np.ndarray) -> float:
    """Of probabilities (…, C), the share of rows in which one is nearly 1; 0 for other arrays."""
    if p.ndim < 2 or p.shape[-1] < 2 or p.size == 0 or not p.min() >= 0:
        return 0.0
    if not np.allclose(p.sum(axis=-1), 1, atol=1e-4):
        return 0.0
    return float((p.max(axis=-1) > CERTAIN).mean())


def same_units(a: np.ndarray, gates: int = 1) -> bool:
    """Whether all units, the columns of a weight (…, out), hold the same numbers.

    Of a weight with several gates side by side, those of each gate.
    """
    units = a.shape[-1] // gates if a.ndim > 1 else 0
    if units < 2:
        return False
    columns = a.reshape(-1, gates, units)
    slack = 1e-5 * float(np.abs(a).max())
    return bool((np.abs(columns - columns[..., :1]) <= slack).all())


def rms(array: np.ndarray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.square(array, dtype=np.float64).mean())) if array.size else 0.0


def norm(arrays: list[np.ndarray]) -> float:
    """The length of all arrays together, as one vector."""
    return math.sqrt(sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays))
