"""The curves of a history: what it recorded as charts, a chart for each quantity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnlite.plotting.chart import Chart, Line, Mark


def quantities(history: Mapping[str, list[Any]]) -> list[str]:
    """What was measured, without `val_`: the numbers that are worth a curve, the loss first.

    A learning rate that never changed is none.
    """
    found = dict.fromkeys(name.removeprefix("val_") for name in history if _numbers(history, name))
    return [name for name in found if name != "lr" or len(set(history["lr"])) > 1]


def curves(history: Mapping[str, list[Any]], name: str, label: str = "", color: int = 0) -> Chart:
    """One quantity over the epochs, in training and in validation, with the best epoch marked.

    Args:
        history: the columns.
        name: the quantity.
        label: of the run, where several are compared; its curves are of one colour then.
        color: which one.
    """
    both = _numbers(history, name) and _numbers(history, f"val_{name}")
    lines: list[Line] = []
    for role, column in (("training", name), ("validation", f"val_{name}")):
        if not _numbers(history, column):
            continue
        y = np.array(history[column], dtype=float)
        x = np.arange(1, len(y) + 1)
        if not label:
            lines.append(Line(x, y, "" if name == "lr" else role, len(lines)))
        elif both and role == "training":
            lines.append(Line(x, y, "", color, "dotted"))
        else:
            lines.append(Line(x, y, label, color))
    found = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    log = (name == "loss" or name.endswith("_loss")) and bool((found > 0).all())
    marks = []
    best = best_epoch(history)
    if best is not None and name != "lr" and len(lines[-1].x) > 1:
        value = float(lines[-1].y[best - 1])
        if math.isfinite(value):
            text = "" if label else f"epoch {best}: {value:.4g}"
            marks.append(Mark(best, value, text, lines[-1].color))
    return Chart(name.replace("_", " "), "epoch", "", lines, marks, log)


def best_epoch(history: Mapping[str, list[Any]]) -> int | None:
    """The epoch, counted from 1, in which the loss was lowest: of validation, if there was one."""
    column = next((n for n in ("val_loss", "loss") if _numbers(history, n)), None)
    losses = np.array(history[column] if column else [], dtype=float)
    if not np.isfinite(losses).any():
        return None
    return int(np.where(np.isfinite(losses), losses, np.inf).argmin()) + 1


def _numbers(history: Mapping[str, list[Any]], name: str) -> bool:
    """Whether there is such a column, and a number for each epoch in it."""
    values = history.get(name, [])
    return bool(values) and all(isinstance(value, float) for value in values)
