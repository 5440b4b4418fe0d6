"""A trace as text, as Markdown and as plain data."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlite.inspection.picture import picture

if TYPE_CHECKING:
    from nnlite.inspection.trace import Trace, TraceStep, Value

SHOWN = 64  # arrays of up to so many values are printed whole


def text(trace: Trace) -> str:
    """The whole step, forward and backward, for a terminal."""
    lines = [f"one training step, loss {trace.loss_value:.6g}", ""]
    lines += [
        "  " * depth + (f"{place}: {name}" if place else name)
        for depth, place, name in trace.structure
    ]
    lines += ["", "forward"]
    for step in trace.forward:
        lines += [f"  {heading(step)}", f"    {step.shapes}"]
        lines += _indented(value_text(step.result), 4)
    lines += ["", "backward"]
    for step in trace.steps:
        lines += _indented(str(step), 2)
    lines += ["  6. update the weights: after the last gradient is known, optimizer.step()"]
    return "\n".join(lines)


def step_text(step: TraceStep) -> str:
    """One step: what it is, its formula, the shapes, and what came out."""
    lines = [f"{step.number}. {step.title}, {heading(step)}", f"   {step.formula}"]
    if step.shapes != step.formula:
        lines.append(f"   {step.shapes}")
    return "\n".join([*lines, *_indented(value_text(step.result), 3)])


def heading(step: TraceStep) -> str:
    """The path of the layer and what it is."""
    return " › ".join([*step.place, step.layer])


def value_text(value: Value) -> str:
    """Statistics, and the values themselves where they are few."""
    s = value.statistics()
    line = (
        f"{value.name} {value.array.shape}: norm {s['norm']:.4g}, "
        f"min {s['min']:.4g}, max {s['max']:.4g}, zeros {s['zeros']:.0%}"
    )
    if value.array.size > SHOWN:
        return line
    shown = np.array2string(value.array, precision=4, suppress_small=True, max_line_width=96)
    return f"{line}\n{shown}"


def _indented(block: str, by: int) -> list[str]:
    return [" " * by + line for line in block.splitlines()]


def markdown(trace: Trace) -> str:
    """Headings for layers, tables for gradients."""
    lines = [
        "# One training step",
        "",
        f"`{trace.loss}` gives a loss of **{trace.loss_value:.6g}**.",
        "",
        *("  " * depth + f"- {f'{place}: ' if place else ''}`{name}`"
          for depth, place, name in trace.structure),
        "",
        "## Forward",
        "",
        *_table_head("layer", "formula"),
        *(_row(heading(step), step) for step in trace.forward),
        "",
        "## Backward",
    ]  # fmt: skip
    for name, steps in groupby(trace.steps, heading):
        lines += ["", f"### {name}", "", *_table_head("step", "formula")]
        lines += [_row(f"{step.number}. {step.title}", step) for step in steps]
    return "\n".join([*lines, ""])


def _table_head(first: str, second: str) -> list[str]:
    return [f"| {first} | {second} | norm | min | max | zeros |", "| - | - | -: | -: | -: | -: |"]


def _row(first: str, step: TraceStep) -> str:
    s = step.result.statistics()
    formula = step.shapes.replace("|", "\\|")
    return (
        f"| {first} | {formula} | {s['norm']:.4g} | {s['min']:.4g} | {s['max']:.4g} "
        f"| {s['zeros']:.0%} |"
    )


def as_dict(trace: Trace, size: int) -> dict[str, Any]:
    """Plain lists and numbers."""
    return {
        "loss": trace.loss,
        "loss_value": trace.loss_value,
        "structure": [
            {"depth": depth, "place": place, "layer": name}
            for depth, place, name in trace.structure
        ],
        "forward": [_step_dict(step, size) for step in trace.forward],
        "steps": [_step_dict(step, size) for step in trace.steps],
    }


def _step_dict(step: TraceStep, size: int) -> dict[str, Any]:
    return {
        "number": step.number,
        "title": step.title,
        "place": list(step.place),
        "layer": step.layer,
        "formula": step.formula,
        "shapes": step.shapes,
        "incoming": step.incoming and _value_dict(step.incoming, size),
        "result": _value_dict(step.result, size),
    }


def _value_dict(value: Value, size: int) -> dict[str, Any]:
    drawn = picture(value.array, size, value.kernel)
    return {
        "name": value.name,
        "shape": list(value.array.shape),
        **{key: _plain(number) for key, number in value.statistics().items()},
        "block": list(drawn.block),
        "tiles": drawn.tiles and drawn.tiles._asdict(),
        "values": [[_plain(v) for v in row] for row in drawn.values.tolist()],
    }


def _plain(number: float) -> float | str:
    """Six digits; JSON has no infinity and no NaN."""
    return float(f"{number:.6g}") if np.isfinite(number) else str(number)
