"""An activation and its derivative."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.slot import inference
from nnlite.layers.base import Layer
from nnlite.plotting.canvas import PathLike, canvas, check_canvas, colors_taken
from nnlite.plotting.chart import Chart, Line

POINTS = 801


@checked
def activation(
    layer: Layer, ax: Any = None, path: PathLike | None = None, low: float = -5.0, high: float = 5.0
) -> None:
    """Draw y = f(x) of a layer that treats each value by itself, and dy/dx dashed.

    The derivative is what the layer's own backward gives for G = 1. Several layers are compared on
    the same axes. In eval mode, on a copy.

        nn.plot.activation(nn.GELU())

    Args:
        layer: an activation, such as `nn.GELU()`, of your own too, or a `Sequential` of them.
        ax: axes of matplotlib to draw on (default None: a new figure).
        path: where to write the picture (default None: show it).
        low, high: the ends of the x-axis (default −5 and 5).

    Raises:
        ValueError: when a value's output depends on other values, as with `Softmax`, or low is not
            below high.
    """
    check_canvas(ax, path)
    if not low < high:
        raise ValueError(f"activation: low must be below high, got {low} and {high}")
    layer = copy.deepcopy(layer)
    layer.eval()
    x = np.linspace(low, high, POINTS)[:, None]
    with np.errstate(all="ignore"):  # logarithms below zero leave gaps
        y = _outputs(layer, x)
        if not np.array_equal(_outputs(layer, x.T), y.T, equal_nan=True):
            raise ValueError(
                f"activation: expected a layer that treats each value by itself, got {layer!r}; "
                "nn.jacobian(layer, x).plot() draws how outputs depend on inputs"
            )
        layer.zero_grad()
        with inference(False):
            layer.forward(x)
        slope = np.broadcast_to(np.asarray(layer.backward(np.ones_like(y)), float), x.shape)
    name = " ".join(repr(layer).split())
    with canvas(ax, path) as axes:
        color = colors_taken(axes)
        lines = [
            Line(x[:, 0], y[:, 0], name, color),
            Line(x[:, 0], slope[:, 0], "its derivative", color, "dashed"),
        ]
        Chart("", "x", "y", lines).draw(axes)


def _outputs(layer: Layer, x: np.ndarray) -> np.ndarray:
    """y, in x's shape.

    Raises:
        ValueError: when the layer does not take x, or returns something else.
    """
    wanted = "activation: expected a layer that treats each value by itself"
    try:
        with layer.evaluation():
            y = layer.forward(x)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{wanted}; {error}") from error
    if not isinstance(y, np.ndarray) or y.shape != x.shape:
        got = getattr(y, "shape", type(y).__name__)
        raise ValueError(f"{wanted}; {layer!r} makes {got} of {x.shape}")
    return y
