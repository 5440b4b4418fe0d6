"""Curves as data, so that matplotlib and SVG draw the same chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from nnlite.plotting.canvas import ACROSS, color_of

WIDTH, HEIGHT = 380, 250  # of an SVG, in pixels
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 42, 36  # what is around the axes
LETTER = 6.2  # width of a letter of the legend
MARGIN = 0.04  # around the lines, in units of what they span
POINTS, MANY = 400, 4000  # of a line in an SVG, and on paper: more would not be seen
INSIDE = 6  # names in a legend; more of them stand beside the axes
FEW_DECADES = 1e3  # from which ratio on the ends of a logarithmic scale have ticks at 1 only
DASHES = {"solid": "", "dashed": "6 4", "dotted": "1 4"}


class Line(NamedTuple):
    """One curve.

    Attributes:
        x, y: (K,) each; where y is not finite there is a gap.
        label: in the legend; "" for none.
        color: which one, counted from 0, see `COLORS`; or its name.
        dash: "solid", "dashed" or "dotted".
    """

    x: np.ndarray
    y: np.ndarray
    label: str = ""
    color: int | str = 0
    dash: str = "solid"


class Mark(NamedTuple):
    """A point to look at; where it has a label, with a thin line from top to bottom."""

    x: float
    y: float
    label: str = ""
    color: int | str = 0


class Chart(NamedTuple):
    """Lines over one pair of axes.

    Attributes:
        title, x_label, y_label: what stands around it.
        lines: the curves.
        marks: points to look at.
        log: whether y has a logarithmic scale; all y > 0 then.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    log: bool = False

    # -- matplotlib ------------------------------------------------------------------------------

    def draw(self, ax: Any) -> None:
        """With matplotlib; what is on the axes already stays."""
        before = len(ax.lines)
        for line in self.lines:
            seen = _seen(line, np.arange(len(line.x)), MANY)
            ax.plot(
                line.x[seen],
                np.where(np.isfinite(line.y), line.y, np.nan)[seen],
                color=color_of(line.color),
                linestyle=line.dash,
                linewidth=1.8,
                marker="o" if len(line.x) == 1 else None,
                label=line.label or None,
            )
        for mark in self.marks:
            color = color_of(mark.color)
            if mark.label:
                ax.axvline(mark.x, color=color, linewidth=1, linestyle="dotted")
            ring = {"markerfacecolor": "none", "markeredgewidth": 1.8, "markersize": 8}
            ax.plot([mark.x], [mark.y], "o", color=color, label=mark.label or None, **ring)
        if not before:
            ax.set(title=self.title, xlabel=self.x_label, ylabel=self.y_label)
            ax.spines[["top", "right"]].set_visible(False)
            ax.grid(alpha=0.25)
        if self.x_label == "epoch":
            ax.xaxis.get_major_locator().set_params(integer=True)
        _scale(ax, self.log)
        labels = ax.get_legend_handles_labels()[1]
        if len(labels) > INSIDE:
            ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        elif labels:
            ax.legend(frameon=False)

    # -- SVG -------------------------------------------------------------------------------------

    def svg(self) -> str:
        """An SVG element that takes the page's text colour, so that dark pages can be read too."""
        x_low, x_high = _span([line.x for line in self.lines])
        y_low, y_high = _span([line.y for line in self.lines], self.log)
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

        def place_x(x: float) -> float:
            return LEFT + (x - x_low) / (x_high - x_low) * (right - LEFT)

        def place_y(y: float) -> float:
            low, high, y = map(math.log, (y_low, y_high, y)) if self.log else (y_low, y_high, y)
            return bottom - (y - low) / (high - low) * (bottom - TOP)

        parts = [_text(LEFT, 15, self.title, "start", 'font-weight="bold"')]
        for y in ticks(y_low, y_high, self.log):
            parts.append(_rule(LEFT, place_y(y), right, place_y(y)))
            parts.append(_text(LEFT - 6, place_y(y) + 4, f"{y:.4g}", "end"))
        parts += [
            _text(place_x(x), bottom + 16, f"{x:.4g}", "middle")
            for x in ticks(x_low, x_high, whole=self.x_label == "epoch")
        ]
        parts.append(_rule(LEFT, bottom, right, bottom, 0.6))
        parts.append(_text((LEFT + right) / 2, HEIGHT - 5, self.x_label, "middle"))
        for mark in self.marks:
            x, y, color = place_x(mark.x), place_y(mark.y), color_of(mark.color)
            parts.append(
                f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{color}" stroke-dasharray="2 3"/>'
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="none" stroke="{color}" '
                f'stroke-width="2"><title>{escape(mark.label)}</title></circle>'
            )
        for line in self.lines:
            color, dash = color_of(line.color), DASHES[line.dash]
            for run in _runs(line):
                points = [(place_x(x), place_y(y)) for x, y in run]
                style = f'stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"'
                if len(points) == 1:
                    x, y = points[0]
                    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')
                else:
                    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                    parts.append(f'<polyline points="{way}" fill="none" {style}/>')
        parts += self._legend()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11" '
            f'fill="currentColor" role="img" aria-label="{escape(self.title)}">'
            f"{''.join(parts)}</svg>"
        )

    def _legend(self) -> list[str]:
        """What the colours mean, in one row above the axes."""
        x, parts = float(LEFT), []
        labelled: list[Line | Mark] = [*self.lines, *self.marks]
        for each in labelled:
            if not each.label:
                continue
            color = color_of(each.color)
            if isinstance(each, Mark):
                parts.append(
                    f'<circle cx="{x + 8:.1f}" cy="29" r="4" fill="none" stroke="{color}" '
                    'stroke-width="2"/>'
                )
            else:
                parts.append(
                    f'<path d="M{x:.1f} 29h16" stroke="{color}" stroke-width="2" '
                    f'stroke-dasharray="{DASHES[each.dash]}"/>'
                )
            parts.append(_text(x + 20, 33, each.label, "start"))
            x += 30 + LETTER * len(each.label)
        return parts


def svg_page(charts: Sequence[Chart]) -> str:
    """A file of its own: the charts in rows of three, black on white."""
    moved = [
        f'<g transform="translate({k % ACROSS * WIDTH} {k // ACROSS * HEIGHT})">{chart.svg()}</g>'
        for k, chart in enumerate(charts)
    ]
    width = WIDTH * min(max(len(charts), 1), ACROSS)
    height = HEIGHT * max(-(-len(charts) // ACROSS), 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" color="#222"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(moved)}</svg>\n"
    )


# -- scales ----------------------------------------------------------------------------------------


def ticks(low: float, high: float, log: bool = False, whole: bool = False) -> list[float]:
    """Round numbers between two ends: 1, 2 or 5 times a power of ten apart, or these themselves."""
    if log and high / low >= 10:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < FEW_DECADES else (1,)
        every = -(-len(decades) // 6)
        found = [step * 10.0**k for k in decades[::every] for step in steps]
        return [tick for tick in found if low <= tick <= high]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _scale(ax: Any, log: bool) -> None:
    """A logarithmic scale with plain numbers, also where it has less than a decade."""
    if not log:
        return
    from matplotlib import ticker

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low >= FEW_DECADES:
        return
    narrow = high / low < 10
    ax.yaxis.set_major_locator(
        ticker.MaxNLocator(5) if narrow else ticker.LogLocator(subs=(1, 2, 5))
    )
    ax.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:.4g}"))
    ax.yaxis.set_minor_locator(ticker.NullLocator())


def _span(arrays: Sequence[np.ndarray], log: bool = False) -> tuple[float, float]:
    """The ends of an axis, a little apart also where all values are one."""
    values = np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if log:
        return low / 1.05, high * 1.05
    apart = high - low
    if apart <= 1e-9 * max(abs(low), abs(high)):
        apart = max(abs(low), 1.0)
    return low - MARGIN * apart, high + MARGIN * apart


def _runs(line: Line) -> list[list[tuple[float, float]]]:
    """The stretches between gaps."""
    runs: list[list[tuple[float, float]]] = []
    finite = np.isfinite(line.y)
    for run in np.split(np.arange(len(line.x)), np.flatnonzero(np.diff(finite)) + 1):
        if not run.size or not finite[run[0]]:
            continue
        runs.append([(float(line.x[i]), float(line.y[i])) for i in _seen(line, run, POINTS)])
    return runs


def _seen(line: Line, run: np.ndarray, points: int) -> np.ndarray:
    """Which of a run of points to draw: of more than can be seen, each bin's lowest and highest."""
    if run.size <= points:
        return run
    bins = np.array_split(run, points // 2)
    ends = [(part[line.y[part].argmin()], part[line.y[part].argmax()]) for part in bins]
    return np.unique([run[0], *np.ravel(ends), run[-1]])


# -- elements --------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _rule(x: float, y: float, to_x: float, to_y: float, opacity: float = 0.15) -> str:
    return (
        f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="currentColor" '
        f'stroke-opacity="{opacity}"/>'
    )
