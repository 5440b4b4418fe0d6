"""Pictures, with matplotlib (`pip install "nnlite[plot]"`), which is imported when one is drawn."""

from __future__ import annotations

from typing import Any

from nnlite.training.lr_range import LRRange


def plot_lr_range(found: LRRange, axes: Any = None) -> Any:
    """Draw what `lr_range_test` measured: the loss over the learning rate, and the suggestion.

    Args:
        found: the result of the test.
        axes: matplotlib axes to draw on (default None: those of a new figure).

    Returns:
        The axes.
    """
    axes = _axes(axes)
    axes.plot(found.lrs, found.losses, alpha=0.3, label="loss")
    axes.plot(found.lrs, found.smoothed, label="smoothed")
    axes.axvline(found.suggestion, linestyle="--", label=f"suggestion {found.suggestion:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.legend()
    return axes


def _axes(axes: Any) -> Any:
    """The given axes, or new ones."""
    if axes is not None:
        return axes
    import matplotlib.pyplot as plt

    return plt.figure(layout="constrained").add_subplot()
