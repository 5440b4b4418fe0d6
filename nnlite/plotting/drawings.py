"""What is drawn on axes of matplotlib that are no curves: matrices, bars, sizes, points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnlite.plotting.canvas import COLORS, GREY, MARKERS, color_of, colors_taken
from nnlite.plotting.chart import Chart, Line
from nnlite.plotting.tiles import colored, mosaic

LETTERS = 34  # of a layer's name beside an axis
NAMED = 12  # curves; more of them have no names
WRITTEN = 16  # classes, up to which counts are written into their cells
DARK = 0.55  # share of a colour map, from which on text on it is white


def tall(rows: int) -> tuple[float, float]:
    """The size in inches of a picture with a line for each row."""
    return 7.0, max(2.4, 1.2 + 0.28 * rows)


# -- matrices --------------------------------------------------------------------------------------


def draw_matrix(ax: Any, matrix: np.ndarray, title: str, x_label: str, y_label: str) -> None:
    """A matrix as colours, white at zero."""
    largest = max(float(np.abs(matrix).max(initial=0)), 1e-12)
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
    ax.set_title(_short(title, 60), fontsize="medium", wrap=True)
    ax.set(xlabel=x_label, ylabel=y_label)
    _whole_ticks(ax)
    ax.get_figure().colorbar(image, ax=ax)


def draw_counts(
    ax: Any, counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], labels: Sequence[str]
) -> None:
    """Counts (R, C), each row's shares as colours.

    Args:
        ax: the axes.
        counts: ≥ 0.
        rows, columns: what stands beside them.
        labels: of the x-axis, and of the y-axis.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    if max(counts.shape) > WRITTEN:
        _whole_ticks(ax)
        return
    slanted = max(map(len, columns)) > 3
    ax.set_xticks(range(len(columns)), columns, rotation=40 if slanted else 0)
    if slanted:
        for text in ax.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[i, j] > DARK else "black"
            ax.text(j, i, f"{count:.4g}", ha="center", va="center", color=color, fontsize=8)


def draw_flow(ax: Any, names: Sequence[str], epochs: Sequence[int], sizes: np.ndarray) -> None:
    """The sizes of gradients (layers, epochs) as colours, on a logarithmic scale."""
    there = np.isfinite(sizes) & (sizes > 0)
    logs = np.log10(np.where(there, sizes, 1.0))
    image = ax.imshow(
        np.ma.masked_array(logs, ~there), cmap="cividis", aspect="auto", interpolation="nearest"
    )
    ax.set(title="gradient: log₁₀ of its root mean square", xlabel="epoch")
    _name_rows(ax, names)
    shown = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), 8)).round().astype(int))
    ax.set_xticks(shown, [str(epochs[i]) for i in shown])
    ax.get_figure().colorbar(image, ax=ax)


def draw_surface(ax: Any, places: np.ndarray, losses: np.ndarray, here: float) -> None:
    """Losses (K, K) over a plane as contours on a logarithmic scale; the middle is marked.

    Losses that are not positive have a linear scale.
    """
    from matplotlib.colors import LogNorm

    there = np.isfinite(losses)
    low, high = float(losses[there].min(initial=here)), float(losses[there].max(initial=here))
    log = low > 0 and high > 1.01 * low
    high = max(high, low + 1e-6 * max(abs(low), 1.0))
    levels = np.geomspace(low, high, 16) if log else np.linspace(low, high, 16)
    shown = np.ma.masked_array(np.where(there, losses, high), ~there)
    filled = ax.contourf(
        places, places, shown, levels, cmap="cividis", norm=LogNorm() if log else None
    )
    ax.contour(places, places, shown, levels, colors="white", linewidths=0.4, alpha=0.6)
    ax.plot([0], [0], "*", color=COLORS[1], markersize=13, markeredgecolor="white")
    ax.set(
        title=f"loss around the weights ({here:.3g} at ★)", xlabel="direction 1",
        ylabel="direction 2", aspect="equal",
    )  # fmt: skip
    ticks = levels[::3]
    bar = ax.get_figure().colorbar(filled, ax=ax, ticks=ticks, format=lambda v, _: f"{v:.3g}")
    bar.ax.minorticks_off()


# -- images ----------------------------------------------------------------------------------------


def draw_image(ax: Any, image: np.ndarray, title: str) -> None:
    """An image of values, see `tiles.colored`."""
    ax.imshow(colored(image), interpolation="nearest")
    ax.set_title(_short(title, 70), fontsize="medium", wrap=True)
    ax.set_axis_off()


def draw_strips(ax: Any, names: Sequence[str], strips: Sequence[np.ndarray]) -> None:
    """A row of images (C, H, W) for each name, each row on a scale of its own."""
    for row, strip in enumerate(strips):
        pixels = mosaic(strip, len(strip))
        width = pixels.shape[1] / (strip.shape[1] + 1)  # of all, in units of a row's height
        ax.imshow(
            colored(pixels), extent=(0, width, row + 0.95, row + 0.05), interpolation="nearest"
        )
    widest = max(strip.shape[0] * (strip.shape[2] + 1) / (strip.shape[1] + 1) for strip in strips)
    ax.set(xlim=(0, widest), ylim=(len(strips), 0), xticks=[])
    ax.set_yticks(
        np.arange(len(strips)) + 0.5, [_short(name, LETTERS) for name in names], fontsize=8
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def draw_regions(
    ax: Any, first: np.ndarray, second: np.ndarray, shares: np.ndarray, x: np.ndarray, y: np.ndarray
) -> None:
    """Probabilities over a plane as mixed colours, the borders between classes, and points.

    Args:
        ax: the axes.
        first, second: (K,) each, the places along the axes.
        shares: (K, K, C), second axis down.
        x, y: points (N, 2), and their classes (N,).
    """
    from matplotlib.colors import to_rgb

    classes = shares.shape[-1]
    colors = np.array([to_rgb(color_of(c)) for c in range(classes)])  # (C, 3)
    pale = 1 - 0.55 * (1 - colors)
    ax.imshow(
        shares @ pale, origin="lower", aspect="auto", interpolation="bilinear",
        extent=(first[0], first[-1], second[0], second[-1]),
    )  # fmt: skip
    for c in range(classes):
        ahead = shares[..., c] - np.delete(shares, c, axis=-1).max(axis=-1, initial=0)
        if ahead.min() < 0 < ahead.max():
            ax.contour(first, second, ahead, [0], colors="#333333", linewidths=0.8)
        of_it = x[y == c]
        ax.scatter(
            of_it[:, 0], of_it[:, 1], s=16, color=color_of(c), marker=MARKERS[c % len(MARKERS)],
            edgecolors="white", linewidths=0.5, label=f"class {c}",
        )  # fmt: skip
    ax.set(xlabel="x₁", ylabel="x₂", xlim=first[[0, -1]], ylim=second[[0, -1]])
    if classes <= len(COLORS):
        ax.legend(fontsize=8, framealpha=0.85)


# -- rows with names -------------------------------------------------------------------------------


def draw_bars(
    ax: Any, names: Sequence[str], parts: Mapping[str, Sequence[float]], title: str, x_label: str
) -> None:
    """A bar for each row, made of parts."""
    left = np.zeros(len(names))
    for (label, widths), color, hatch in zip(parts.items(), COLORS, ("", "//", ".."), strict=False):
        ax.barh(
            range(len(names)), widths, left=left, color=color, hatch=hatch, edgecolor="white",
            linewidth=0, label=label,
        )  # fmt: skip
        left += widths
    ax.set(title=title, xlabel=x_label, xlim=(0, 1.05 * max(left.max(initial=0), 1e-12)))
    _name_rows(ax, names)
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)


def draw_sizes(
    ax: Any, names: Sequence[str], sizes: Mapping[str, Sequence[float]], title: str
) -> None:
    """A line of points for each kind of size, a row for each name, on a logarithmic scale."""
    rows = np.arange(len(names))
    for (label, values), color, marker in zip(sizes.items(), COLORS, MARKERS, strict=False):
        x = np.array(values, dtype=float)
        there = np.isfinite(x) & (x > 0)
        if there.any():
            ax.plot(x[there], rows[there], marker=marker, color=color, label=label, linewidth=1)
    ax.set(title=title, xscale="log")
    _name_rows(ax, names)
    ax.invert_yaxis()
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.lines:
        ax.legend(fontsize=8)


# -- curves ----------------------------------------------------------------------------------------


def draw_curves(
    ax: Any,
    curves: Sequence[tuple[np.ndarray, np.ndarray, str]],
    chance: tuple[float, float] | None,
    labels: tuple[str, str],
) -> None:
    """Curves in the unit square, each x, y and a name; what is on the axes already stays.

    Args:
        ax: the axes.
        curves: in order.
        chance: the ends of a line to compare with, drawn once.
        labels: of the x-axis, and of the y-axis.
    """
    before, named = colors_taken(ax), len(curves) <= NAMED
    lines = [
        Line(x, y, name if named else "", before + c, ("solid", "dashed")[c // len(COLORS) % 2])
        for c, (x, y, name) in enumerate(curves)
    ]
    if chance is not None and not before:
        lines.append(Line(np.array([0, 1]), np.array(chance), "chance", GREY, "dotted"))
    Chart("", *labels, lines).draw(ax)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))


# -- points over a scale ---------------------------------------------------------------------------


def draw_lr_range(
    ax: Any, lrs: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float | None
) -> None:
    """The loss over the learning rate, and the suggestion where there is one."""
    ax.plot(lrs, losses, ".", color=GREY, markersize=4, label="loss of a batch")
    ax.plot(lrs, smoothed, color=COLORS[0], linewidth=1.8, label="smoothed")
    if suggestion is not None:
        label = f"suggestion: {suggestion:.2g}"
        ax.axvline(suggestion, color=COLORS[1], linestyle="dashed", label=label)
    low, first = float(losses.min()), float(np.median(losses[: max(len(losses) // 10, 1)]))
    if math.isfinite(low) and first > low:
        ax.set_ylim(low - 0.1 * (first - low), first + 0.6 * (first - low))
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)


# -- what they share -------------------------------------------------------------------------------


def _name_rows(ax: Any, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), [_short(name, LETTERS) for name in names], fontsize=8)


def _whole_ticks(ax: Any) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)


def _short(text: str, letters: int) -> str:
    """The text, its middle left out where it is too long."""
    text = " ".join(text.split())
    half = (letters - 1) // 2
    return text if len(text) <= letters else f"{text[:half]}…{text[-half:]}"
