"""Pictures, with matplotlib (`pip install "nnlite[plot]"`), imported only when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnlite.core.checks import check_place


def _pyplot(path: str | None) -> Any:
    """Matplotlib's functions, when there is a place for the picture, and it can be written so."""
    if path is not None:
        check_place("plot", path)
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'pictures need matplotlib: python -m pip install "nnlite[plot]"'
        ) from error
    if path is not None:
        _check_format(path)
    return plt


def _check_format(path: str) -> None:
    """Refuse an ending that matplotlib cannot write; without one it adds .png."""
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    ending = Path(path).suffix.removeprefix(".").lower()
    if ending and ending not in formats:
        raise ValueError(
            f"plot: no picture can be written as .{ending}; name a file that ends in one of "
            f"{', '.join(sorted(formats))}"
        )


def finish(figure: Any, path: str | None) -> None:
    """Write the picture, or show it where there is no path."""
    plt = _pyplot(path)
    if path is None:
        plt.show()
    else:
        figure.savefig(path)
    plt.close(figure)


def draw_matrix(
    matrix: np.ndarray, title: str, x_label: str, y_label: str, path: str | None
) -> None:
    """A matrix as colours, white at zero."""
    plt = _pyplot(path)
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    largest = max(float(np.abs(matrix).max(initial=0)), 1e-12)
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    figure.colorbar(image)
    finish(figure, path)


def draw_lr_range(
    lrs: np.ndarray,
    losses: np.ndarray,
    smoothed: np.ndarray,
    suggestion: float | None,
    path: str | None,
) -> None:
    """The loss over the learning rate, and the suggestion where there is one."""
    plt = _pyplot(path)
    figure, axes = plt.subplots(layout="constrained")
    axes.plot(lrs, losses, alpha=0.3, label="loss")
    axes.plot(lrs, smoothed, label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, linestyle="--", label=f"suggestion {suggestion:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.legend()
    finish(figure, path)
