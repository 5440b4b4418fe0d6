"""What a classifier of two features decides, all over the plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.foreign import as_array, number_hint
from nnlite.core.inputs import as_numbers, check_finite
from nnlite.layers.base import Layer
from nnlite.ops.softmax import softmax
from nnlite.plotting.canvas import PathLike, canvas, check_canvas
from nnlite.plotting.drawings import draw_regions

SIDE = 200  # points of the grid along each axis
MARGIN = 0.1  # around the data, in units of its spread
SHOWN = 2000  # points of the data: more would hide each other


@checked
def decision_boundary(
    model: Layer,
    x: Any,
    y: Any,
    ax: Any = None,
    path: PathLike | None = None,
    threshold: float = 0.0,
) -> None:
    """Draw which class a model predicts at each point of the plane, and the data on top.

    The nearer two classes are in probability, the paler the colour. Scores become probabilities by
    softmax (of one score, by the sigmoid of what it is above the threshold); rows that are
    probabilities already are taken as they are.

        nn.plot.decision_boundary(model, x, y)

    Args:
        model: takes (N, 2), gives scores (N, C) of C classes, or one score, (N, 1) or (N,).
        x: (N, 2), the data; its range is what is drawn.
        y: (N,), whole numbers: the classes.
        ax: axes of matplotlib to draw on (default None: a new figure).
        path: where to write the picture (default None: show it).
        threshold: the score above which class 1 is predicted, of a model with one (default 0, for
            logits; probabilities need 0.5).

    Raises:
        TypeError: when x holds no numbers, or y no whole ones.
        ValueError: when x is not (N, 2) or not finite, y does not fit, or the model gives something
            else, or scores that are not finite.
    """
    check_canvas(ax, path)
    x, y = as_numbers("decision_boundary: x", x), as_array("decision_boundary: y", y)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(
            f"decision_boundary: x must be points of the plane (N, 2), got {x.shape}; of more "
            "features draw two principal components, with a model that was trained on them"
        )
    check_finite("decision_boundary: x", x)
    x = x.astype(np.float64)  # of whole numbers differences may overflow
    if y.dtype.kind == "f" and np.array_equal(y, np.rint(y)):  # as BCELoss takes them
        y = y.astype(int)
    if y.dtype.kind not in "iub":
        hint = number_hint("y", y) if y.dtype.kind != "f" else ""
        raise TypeError(
            f"decision_boundary: y must hold classes, whole numbers, got dtype {y.dtype}{hint}"
        )
    if y.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(
            f"decision_boundary: y must be ({len(x)},) as x is {x.shape}, got {y.shape}"
        )
    low, high = x.min(axis=0), x.max(axis=0)
    apart = np.where(high > low, high - low, 1.0)
    first, second = np.linspace(low - MARGIN * apart, high + MARGIN * apart, SIDE).T  # (SIDE,) each
    plane = np.stack(np.meshgrid(first, second), axis=-1)  # (SIDE, SIDE, 2)
    scores = model.predict(plane.reshape(-1, 2), batch_size=4096)
    if not isinstance(scores, np.ndarray) or scores.ndim > 2 or scores.size == 0:
        got = getattr(scores, "shape", type(scores).__name__)
        raise ValueError(
            f"decision_boundary: expected a model with scores (N, C) or (N,), got {got}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("decision_boundary: the model's scores are not finite; train it anew")
    shares = _probabilities(scores.reshape(len(scores), -1), threshold)
    if y.max() >= shares.shape[1] or y.min() < 0:
        raise ValueError(
            f"decision_boundary: y must be from 0 to {shares.shape[1] - 1}, for a model of "
            f"{shares.shape[1]} classes, got {y.min()} to {y.max()}"
        )
    every = -(-len(x) // SHOWN)
    with canvas(ax, path, (5.4, 4.6)) as axes:
        draw_regions(
            axes, first, second, shares.reshape(SIDE, SIDE, -1), x[::every], y.ravel()[::every]
        )


def _probabilities(scores: np.ndarray, threshold: float) -> np.ndarray:
    """(N, C) of scores (N, C); of one score, (N, 2), with ½ at the threshold."""
    scores = scores.astype(np.float64)
    within = scores.min() >= 0 and scores.max() <= 1 + 1e-5
    if scores.shape[1] == 1:
        if within and 0 < threshold < 1:  # ½ at the threshold, whatever that is
            below, above = scores / threshold, (scores - threshold) / (1 - threshold)
            of_one = np.where(scores < threshold, 0.5 * below, 0.5 + 0.5 * above)
            return np.hstack([1 - of_one, of_one])
        scores = np.hstack([np.zeros_like(scores), scores - threshold])
    elif within and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        return scores
    return softmax(scores)
