"""Where a picture goes: on axes of the caller's, into a file, or on the screen.

Matplotlib (`pip install "nnlite[plot]"`) is imported only when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnlite.core.checks import check_place
from nnlite.core.foreign import kind_of

PathLike = str | os.PathLike[str]

# Told apart by eyes of all kinds, and on white as on black paper (Okabe & Ito 2008, "Color
# universal design"); markers and dashes tell them apart in print.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#7F7F7F"  # of what is there to compare with
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ACROSS = 3  # panels in a row
SMALLER = 0.75  # than a picture by itself
DPI = 160  # of files: sharp in print, and a screen wide


def check_canvas(ax: Any, path: PathLike | None) -> None:
    """Refuse, before anything is computed, a picture that could not be drawn or written.

    Args:
        ax: axes to draw on, or None.
        path: the file to write, or None.

    Raises:
        TypeError: when ax are no axes.
        ValueError: when there are both, when the folder is not there or takes no file, when no
            picture can be written with this ending, and when there is no screen to show it on.
        ImportError: without matplotlib; it says how to get it.
    """
    if ax is not None and not hasattr(ax, "get_figure"):
        hint = f"; a file is path={os.fspath(ax)!r}" if isinstance(ax, str | os.PathLike) else ""
        hint = "; give one of them, such as axes.flat[0]" if hasattr(ax, "flat") else hint
        raise TypeError(f"plot: ax must be axes of matplotlib, got {kind_of(ax)}{hint}")
    if ax is not None and path is not None:
        raise ValueError("plot: give ax or path, not both; ax.figure.savefig(path) writes yours")
    if path is not None:
        check_place("plot", path)
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'pictures need matplotlib: python -m pip install "nnlite[plot]"'
        ) from error
    if path is not None:
        _check_format(path)
    elif ax is None:
        _check_screen(matplotlib.get_backend())


def _check_format(path: PathLike) -> None:
    """Refuse an ending that matplotlib cannot write; without one it adds .png."""
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending and ending not in formats:
        raise ValueError(
            f"plot: no picture can be written as .{ending}; name a file that ends in one of "
            f"{', '.join(sorted(formats))}"
        )


def _check_screen(backend: str) -> None:
    """Refuse to show a picture where nobody would see it."""
    from matplotlib.backends.registry import BackendFilter, backend_registry

    without: Any = backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE)  # type: ignore[no-untyped-call]
    if backend.lower() in without:
        raise ValueError(
            f"plot: there is no screen to show the picture on (matplotlib draws with {backend}); "
            'write a file: path="picture.png"'
        )


def color_of(index: int | str) -> str:
    """The colour of a number, counted from 0, or that of the name."""
    return COLORS[index % len(COLORS)] if isinstance(index, int) else index


def colors_taken(ax: Any) -> int:
    """How many colours the lines on the axes have already, so that the next ones take others."""
    return len({line.get_color() for line in ax.lines} & set(COLORS))


@contextmanager
def canvas(ax: Any, path: PathLike | None, size: tuple[float, float] = (6.0, 4.0)) -> Iterator[Any]:
    """Axes to draw on: those given, or of a new figure, which is then written or shown."""
    with panels(ax, path, 1, size) as (axes,):
        yield axes


@contextmanager
def panels(
    ax: Any, path: PathLike | None, count: int, size: tuple[float, float] = (6.0, 4.0)
) -> Iterator[list[Any]]:
    """The same for several panels in rows of three, smaller ones; only one where ax is."""
    check_canvas(ax, path)
    if ax is not None:
        yield [ax]
        return
    columns = min(count, ACROSS)
    rows = -(-count // columns)
    part = 1 if count == 1 else SMALLER
    figsize = part * size[0] * columns, part * size[1] * rows
    if path is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=figsize, layout="constrained")
        yield _axes(figure, rows, columns, count)
        figure.savefig(path, dpi=DPI)
        return
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=figsize, layout="constrained")
    try:
        yield _axes(figure, rows, columns, count)
        plt.show()
    finally:
        plt.close(figure)


def _axes(figure: Any, rows: int, columns: int, count: int) -> list[Any]:
    """The first `count` places of a grid."""
    return [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
