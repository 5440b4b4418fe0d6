"""The loss around the weights that a training has found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.random import Rng, as_generator
from nnlite.inspection.one_step import OneStep, batch_of
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.plotting.canvas import PathLike, canvas, check_canvas
from nnlite.plotting.drawings import draw_surface


@checked
def loss_surface(
    model: Layer,
    loss: Loss,
    x: Any,
    y: Any,
    ax: Any = None,
    path: PathLike | None = None,
    distance: float = 1.0,
    steps: int = 21,
    rng: Rng = 0,
) -> None:
    """Draw the loss on a plane through the model's weights, as contours on a logarithmic scale.

        L(θ + a d + b e),   −distance ≤ a, b ≤ distance

    The directions d and e are drawn at random, and normalized filter by filter: each column of a
    weight W (…, out) in d has the length of that column of W, so that the picture does not depend
    on the scale of the weights, which the next layer's may undo. Biases, scales and shifts stay as
    they are. In eval mode, on a copy.

        nn.plot.loss_surface(model, nn.CrossEntropyLoss(), x[:256], y[:256])

    Args:
        model: a trained one.
        loss: the loss.
        x, y: a batch; steps² times as long as its forward takes, so take a few hundred rows.
        ax: axes of matplotlib to draw on (default None: a new figure).
        path: where to write the picture (default None: show it).
        distance: how far to go, in units of the weights' own length (default 1).
        steps: points along each axis (default 21).
        rng: a generator or seed for the directions (default 0: the same ones each time).

    Raises:
        ValueError: when the model has no weights with two axes or more, its loss is not
            finite, or data does not fit.

    Source: Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets", section 4.
    """
    check_canvas(ax, path)
    x, y = batch_of("loss_surface", loss, x, y)
    step = OneStep(model, loss)
    step.layer.eval()
    generator = as_generator(rng)
    weights = [p for p in step.layer.parameters() if p.data.ndim > 1 and p.dtype.kind == "f"]
    if not weights:
        raise ValueError(
            f"loss_surface: {model.label()} has no weights with two axes or more to move"
        )
    with np.errstate(all="ignore"):
        here = step.loss_of(x, y)
    if not math.isfinite(here):
        raise ValueError(f"loss_surface: the loss of the model is {here}; train it anew")
    start = [p.data.copy() for p in weights]
    first, second = ([_direction(w, generator) for w in start] for _ in range(2))
    places = np.linspace(-distance, distance, steps)
    losses = np.empty((steps, steps))
    with np.errstate(all="ignore"):  # far away it may overflow, and the picture has a gap
        for i, b in enumerate(places):
            for j, a in enumerate(places):
                for p, w, d, e in zip(weights, start, first, second, strict=True):
                    p.data = w + a * d + b * e
                losses[i, j] = step.loss_of(x, y)
    with canvas(ax, path, (5.4, 4.6)) as axes:
        draw_surface(axes, places, losses, here)


def _direction(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random direction whose columns (…, out) are as long as those of w."""
    d = rng.standard_normal(w.shape)
    axes = tuple(range(w.ndim - 1))
    lengths = (
        np.sqrt(np.square(d).sum(axis=axes)),
        np.sqrt(np.square(w, dtype=float).sum(axis=axes)),
    )
    return (d * (lengths[1] / np.maximum(lengths[0], 1e-300))).astype(w.dtype)
