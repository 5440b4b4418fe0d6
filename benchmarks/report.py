"""Results as a table, as JSON and as a chart."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frameworks import THREADS

PACKAGES = ("nnlite", "numpy", "numba", "torch", "jax", "keras", "scikit-learn")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in plain text too."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload]
    found = {"processor": processor(), "cores": str(os.cpu_count()), "threads": str(THREADS)}
    found |= {"python": platform.python_version(), "blas": f"{blas['name']} {blas['version']}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def duration(seconds: float) -> str:
    """Microseconds, milliseconds or seconds."""
    for limit, unit, factor in ((1e-3, "µs", 1e6), (1.0, "ms", 1e3)):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.2f} s"


def write_json(path: str, results: dict[str, Any]) -> None:
    """Everything that was measured."""
    Path(path).write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")


def draw(path: str, results: dict[str, dict[str, float]]) -> None:
    """Bars: times nnlite's time per step, by workload and framework."""
    import matplotlib.pyplot as plt

    names = sorted({name for row in results.values() for name in row})
    figure, axes = plt.subplots(figsize=(9, 0.7 * len(results) + 1.5), layout="constrained")
    height = 0.8 / max(len(names), 1)
    for index, name in enumerate(names):
        at = [row + (index - (len(names) - 1) / 2) * height for row in range(len(results))]
        axes.barh(at, [row.get(name, 0) for row in results.values()], height, label=name)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(
        yticks=range(len(results)), yticklabels=list(results), xscale="log",
        xlabel="time of a training step, in times nnlite's (right of the line: slower)",
    )  # fmt: skip
    axes.invert_yaxis()
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


def draw_growth(path: str, curves: dict[str, dict[str, dict[int, float]]]) -> None:
    """A panel for each thing that grows: seconds per step over its size, a line per framework.

    Args:
        path: the picture's file.
        curves: seconds by what grows, by framework and by size.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(curves), figsize=(4.5 * len(curves), 4), layout="constrained", squeeze=False
    )
    for axes, (what, lines) in zip(panels[0], curves.items(), strict=True):
        for name, line in lines.items():
            if line:
                style = "--" if name == "limit" else "-"
                axes.plot([*line], [s * 1e3 for s in line.values()], style, marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel=what, ylabel="ms per training step")
        sizes = [*next(iter(lines.values()))]
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0][0].legend()
    figure.savefig(path)
    plt.close(figure)
