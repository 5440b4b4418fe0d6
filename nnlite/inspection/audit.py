"""Is training healthy? Statistics per layer, and what they mean, in words."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.parameter import Parameter
from nnlite.inspection.one_step import OneStep, bare
from nnlite.layers.base import Layer
from nnlite.layers.structure import nested, place_name, sub_layers, unwatch, watch
from nnlite.losses.base import Loss

MOST = 5  # findings: the ones that matter
DEAD = 0.6  # share of units that never fire, from which on it is worth a word
FLAT = 0.5  # share of values where an activation passes less than 1 % of the gradient
TREND = 1e3  # ratio of gradients at the two ends of the model
SLOW, FAST = 1e-6, 1e-1  # update-to-weight ratios


class AuditRow(NamedTuple):
    """One layer in one step.

    Attributes:
        name: where and what it is.
        kind: see `Layer`.
        mean, std: of the layer's output.
        dead: the share of units (last axis) that are zero for every sample.
        flat: the share of values through which less than 1 % of the gradient passes
            (activations and rectifiers only).
        gradient: root mean square of dL/dy.
        parameters: (path, rms of the weights, rms of their gradient, rms of the update or None).
        finite: whether the output is, and the gradient.
    """

    name: str
    kind: str
    mean: float
    std: float
    dead: float
    flat: float
    gradient: float
    parameters: list[tuple[str, float, float, float | None]]
    finite: tuple[bool, bool]


class Finding(NamedTuple):
    """Something worth a look; higher ranks matter more."""

    rank: float
    text: str


class Audit:
    """What one step, or a run, looks like from inside; prints as a table and findings.

    Attributes:
        rows: one `AuditRow` per layer, first to last.
        findings: at most five sentences, the most serious first; empty when all is well.
    """

    def __init__(self, rows: list[AuditRow], findings: list[Finding]) -> None:
        self.rows = rows
        ranked = sorted(findings, key=lambda finding: -finding.rank)
        self.findings = [finding.text for finding in ranked[:MOST]]

    def __repr__(self) -> str:
        cells = [["layer", "mean", "std", "dead", "flat", "gradient", "update/weight"]]
        cells += [
            [
                row.name,
                f"{row.mean:.3g}",
                f"{row.std:.3g}",
                f"{row.dead:.0%}",
                f"{row.flat:.0%}",
                f"{row.gradient:.2g}",
                _ratio_text(row),
            ]
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in cells
        ]
        words = [f"• {text}" for text in self.findings] or ["nothing to worry about"]
        return "\n".join([*lines, "", *words])


def _ratio_text(row: AuditRow) -> str:
    ratios = [update / weight for _, weight, _, update in row.parameters if update and weight]
    return f"{max(ratios):.1e}" if ratios else "-"


@checked
def audit(model: Layer, loss: Loss, x: Any, y: np.ndarray) -> Audit:
    """Look at one training step from inside, on a copy.

    Reports on every layer: mean and spread of its output, units that never fire, values at which
    an activation is flat, the size of the gradient; and on the whole: gradients that vanish or
    explode on their way, parameters that receive none, the first layer that is not finite.

    Args:
        model: the layer to train; left as it is.
        loss: the loss.
        x, y: a batch, best a typical one.

    Returns:
        The audit; print it, or read `findings`.
    """
    step = OneStep(model, loss)
    recorder = Recorder(step.layer)
    with np.errstate(all="ignore"):
        step.run(x, y)
    rows = recorder.rows()
    return Audit(rows, explain(rows))


class Recorder:
    """Watches the innermost layers of a model during one step, and lets go when it is over.

    It is over when the model's backward returns, or when anything raises.
    """

    def __init__(self, model: Layer) -> None:
        self._parameters = model.named_parameters()
        self._places = [(place, layer) for place, layer in nested(model) if not sub_layers(layer)]
        self._seen: dict[int, list[np.ndarray]] = {}
        self._gradients: dict[str, float] = {}
        self._ends: list[Callable[[], None]] = []
        for _, layer in self._places:
            seen = self._seen.setdefault(id(layer), [])

            def forward(x: Any, y: Any, seen: list[np.ndarray] = seen) -> None:
                seen[:] = [bare(y)]

            def backward(g: Any, d_x: Any, seen: list[np.ndarray] = seen) -> None:
                seen += [a for a in (bare(g), bare(d_x)) if a is not None]

            self._ends.append(watch(layer, forward, backward))
        self._ends.append(self._until_backward(model))

    def _until_backward(self, model: Layer) -> Callable[[], None]:
        """End with the model's backward, or with the first error."""
        forward, backward, thread = model.forward, model.backward, get_ident()

        @functools.wraps(forward)
        def guarded_forward(x: Any) -> Any:
            try:
                return forward(x)
            except BaseException:
                if get_ident() == thread:
                    self.end()
                raise

        @functools.wraps(backward)
        def guarded_backward(grad_output: np.ndarray) -> np.ndarray | None:
            try:
                return backward(grad_output)
            finally:
                self._gradients = {path: rms(p.grad) for path, p in self._parameters.items()}
                self.end()

        model.forward = guarded_forward  # type: ignore[method-assign]
        model.backward = guarded_backward  # type: ignore[method-assign]
        return lambda: unwatch(model)

    def end(self) -> None:
        """Stop watching."""
        for end in self._ends:
            end()
        self._ends = []

    def rows(self, updates: dict[str, float] | None = None) -> list[AuditRow]:
        """What was seen, with the size of each parameter's update where it is known."""
        updates = updates or {}
        paths = {id(p): path for path, p in self._parameters.items()}
        sizes = {
            id_: (path, rms(self._parameters[path].data), self._gradients[path], updates.get(path))
            for id_, path in paths.items()
        }
        return [
            _row(place, layer, seen, [sizes[id(p)] for p in layer.parameters()])
            for place, layer in self._places
            if len(seen := self._seen[id(layer)]) > 1
        ]


def _row(
    place: tuple[str, ...],
    layer: Layer,
    seen: list[np.ndarray],
    parameters: list[tuple[str, float, float, float | None]],
) -> AuditRow:
    y, g = seen[0], seen[1]
    units = y.reshape(-1, y.shape[-1]) if y.ndim > 1 else y[:, None]
    flat = 0.0
    if layer.kind in ("activation", "rectifier") and len(seen) > 2:
        passing = np.abs(seen[2]) >= 0.01 * np.abs(g)
        flat = float(1 - passing.mean())
    finite = (bool(np.isfinite(y).all()), bool(np.isfinite(g).all()))
    return AuditRow(
        place_name(place, layer),
        layer.kind,
        float(y.mean()),
        float(y.std()),
        float((units == 0).all(axis=0).mean()),
        flat,
        rms(g),
        parameters,
        finite,
    )


def rms(array: np.ndarray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.square(array, dtype=np.float64).mean())) if array.size else 0.0


def explain(rows: list[AuditRow]) -> list[Finding]:
    """What the numbers mean and what to try; only what is out of the ordinary."""
    forward = [row.name for row in rows if not row.finite[0]]
    backward = [row.name for row in reversed(rows) if not row.finite[1]]
    if forward or backward:
        what = "output" if forward else "gradient"
        text = (
            f"{(forward or backward)[0]} is the first layer whose {what} is not finite; lower the "
            "learning rate, set clip_norm, and look at the data it gets"
        )
        return [Finding(100, text)]
    found = [finding for row in rows for finding in _of_layer(row)]
    return found + _without_gradient(rows) + _trend(rows)


def _without_gradient(rows: list[AuditRow]) -> list[Finding]:
    paths = [path for row in rows for path, _, gradient, _ in row.parameters if gradient == 0]
    if not paths:
        return []
    names = ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
    return [
        Finding(9, f"no gradient reaches {names}: what follows is dead, or does not use it"),
    ]


def _of_layer(row: AuditRow) -> list[Finding]:
    found = []
    if row.dead >= DEAD:
        found.append(
            Finding(
                10 + row.dead,
                f"{row.name}: {row.dead:.0%} of the units are zero for every sample (dead); try a "
                "smaller learning rate, He initialization, or LeakyReLU",
            )
        )
    elif row.kind == "activation" and row.flat >= FLAT and row.dead == 0 and row.gradient > 0:
        found.append(
            Finding(
                8 * row.flat,
                f"{row.name}: {row.flat:.0%} of the values are where it is flat (saturated), and "
                "pass almost no gradient; try smaller weights, standardized inputs, or ReLU",
            )
        )
    for path, weight, gradient, update in row.parameters:
        if gradient > 0 and update is not None and weight > 0:
            found += _of_update(path, update / weight)
    return found


def _of_update(path: str, ratio: float) -> list[Finding]:
    if ratio == 0:
        return [Finding(15, f"{path} does not move: is it frozen, or not in the optimizer?")]
    if ratio > FAST:
        text = f"{path} changes by {ratio:.0%} of its size in a step; try a smaller learning rate"
        return [Finding(6 + math.log10(ratio), text)]
    if ratio < SLOW:
        text = f"{path} changes by {ratio:.0e} of its size in a step; try a larger learning rate"
        return [Finding(3, text)]
    return []


def _trend(rows: list[AuditRow]) -> list[Finding]:
    """Gradients that shrink or grow from the last layer with parameters to the first."""
    sizes = [(row.name, row.gradient) for row in rows if row.parameters and row.gradient > 0]
    if len(sizes) < 3:
        return []
    (first, small), (last, large) = sizes[0], sizes[-1]
    ratio = large / small
    if ratio > TREND:
        text = (
            f"gradients vanish: {large:.1e} at {last}, {small:.1e} at {first}; try ReLU, He or "
            "Glorot initialization, normalization, or Residual"
        )
        return [Finding(12, text)]
    if ratio < 1 / TREND:
        text = (
            f"gradients explode: {large:.1e} at {last}, {small:.1e} at {first}; try a smaller "
            "initialization, normalization, or clip_norm"
        )
        return [Finding(12, text)]
    return []


def sizes_of(parameters: dict[str, Parameter], before: dict[str, np.ndarray]) -> dict[str, float]:
    """How far each parameter has moved, as a root mean square."""
    return {path: rms(p.data - before[path]) for path, p in parameters.items()}
