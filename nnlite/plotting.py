"""Pictures, with matplotlib (`pip install "nnlite[plot]"`), imported only when one is drawn."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nnlite.training.lr_range import LRRange


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'pictures need matplotlib: python -m pip install "nnlite[plot]"'
        ) from error
    return plt


def finish(figure: Any, path: str | None) -> None:
    """Write the picture, or show it where there is no path."""
    plt = _pyplot()
    if path is None:
        plt.show()
    else:
        figure.savefig(path)
    plt.close(figure)


def draw_matrix(
    matrix: np.ndarray, title: str, x_label: str, y_label: str, path: str | None
) -> None:
    """A matrix as colours, white at zero."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    largest = max(float(np.abs(matrix).max(initial=0)), 1e-12)
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    figure.colorbar(image)
    finish(figure, path)


def draw_lr_range(found: LRRange, path: str | None) -> None:
    """The loss over the learning rate, and the suggestion where there is one."""
    plt = _pyplot()
    figure, axes = plt.subplots(layout="constrained")
    axes.plot(found.lrs, found.losses, alpha=0.3, label="loss")
    axes.plot(found.lrs, found.smoothed, label="smoothed")
    with suppress(ValueError):  # nothing fell: the picture shows it
        axes.axvline(found.suggestion, linestyle="--", label=f"suggestion {found.suggestion:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.legend()
    finish(figure, path)
