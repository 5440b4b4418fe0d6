"""Curves of one variable: what a class computes, sampled, and as a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalty
from nnlite.plotting.chart import Chart, Line

POINTS = 361  # odd, so that the middle of a range is one of them
FAR = 3.6  # what is drawn on both sides of 0: there ticks 2 apart have room
FAINT = "#8888"  # axes through 0
STEEP = 20  # more than this between two points, per unit of x, is a jump


class Plot(NamedTuple):
    """Curves over one axis.

    Attributes:
        says: what else holds, such as "t = 1"; may be empty.
        variable: what runs along the axis, such as "x".
        x: the points.
        curves: values by name, such as "f" and "f′".
    """

    says: str
    variable: str
    x: np.ndarray
    curves: Mapping[str, np.ndarray]

    def at(self, x: float) -> dict[str, float]:
        """The values at the point nearest to x."""
        place = int(np.abs(self.x - x).argmin())
        return {name: float(y[place]) for name, y in self.curves.items()}


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


# -- what classes compute ------------------------------------------------------------------------

# Activations that take rows: where x stands in a row of two, and what stands beside it.
IN_A_ROW = {"GLU": (1, 1.0), "LogSoftmax": (0, 0.0), "Softmax": (0, 0.0), "Softmin": (0, 0.0)}


def of_activation(layer: Layer) -> Plot:
    """f and f′ as forward and backward give them, the latter for G = 1."""
    x = np.linspace(-FAR, FAR, POINTS)
    layer.eval()
    slope: Any
    if type(layer).__name__ not in IN_A_ROW:
        y, says = layer.forward(x), ""
        slope = layer.backward(np.ones_like(y))
    else:
        place, beside = IN_A_ROW[type(layer).__name__]
        rows = np.full((POINTS, 2), beside)
        rows[:, place] = x
        y = layer.forward(rows)
        first = np.zeros_like(y)
        first[:, 0] = 1
        slope = layer.backward(first)
        y, slope = y[:, 0], slope[:, place]
        row = f"(x, {beside:g})" if place == 0 else f"({beside:g}, x)"
        says = f"the first output for the row {row}"
    return Plot(says, "x", x, {"f": y, "f′": slope})


class View(NamedTuple):
    """A loss along one axis: prediction and target, made from the points x of that axis."""

    says: str
    low: float
    high: float
    prediction: Callable[[np.ndarray], Any]
    target: Callable[[np.ndarray], Any]


def _itself(x: np.ndarray) -> np.ndarray:
    return x


def _row(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.zeros_like(x)])


def _beside(value: float) -> Callable[[np.ndarray], Any]:
    return lambda x: (x, np.full_like(x, value))


def _all(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.full_like(x, value)


def _first_class(x: np.ndarray) -> np.ndarray:
    return np.zeros(x.shape, int)


def _labels(x: np.ndarray) -> np.ndarray:
    return np.tile([0, -1], (len(x), 1))  # −1 ends the list


def _hot(x: np.ndarray) -> np.ndarray:
    return np.tile([1.0, 0.0], (len(x), 1))


def _of(targets: tuple[float, ...], low: float, high: float) -> list[View]:
    return [View(f"t = {_number(t)}", low, high, _itself, _all(t)) for t in targets]


_SCORES = View("scores (z, 0), the class is the first", -FAR, FAR, _row, _first_class)
VIEWS: dict[str, list[View]] = {
    "BCELoss": _of((1, 0), 0.02, 0.98),
    "BCEWithLogitsLoss": _of((1, 0), -FAR, FAR),
    "CrossEntropyLoss": [_SCORES],
    "FocalLoss": [_SCORES],
    "GaussianNLLLoss": [View("t = 0, σ² = 1", -3, 3, _beside(1), _all(0))],
    "HingeEmbeddingLoss": _of((1, -1), 0, 3),
    "HingeLoss": _of((1, -1), -3, 3),
    "HuberLoss": _of((0,), -3, 3),
    "KLDivLoss": _of((0.5,), -4, 0),
    "LogCoshLoss": _of((0,), -3, 3),
    "MAELoss": _of((0,), -3, 3),
    "MSELoss": _of((0,), -3, 3),
    "MarginRankingLoss": [View("b = 0, t = 1", -3, 3, _beside(0), _all(1))],
    "MultiLabelMarginLoss": [View("scores (x, 0), the label is the first", -3, 3, _row, _labels)],
    "MultiLabelSoftMarginLoss": [View("scores (z, 0), labels (1, 0)", -FAR, FAR, _row, _hot)],
    "MultiMarginLoss": [
        View("scores (x, 0), the class is the first", -3, 3, _row, _first_class)
    ],
    "NLLLoss": [View("t is the class of log p", -4, 0, _row, _first_class)],
    "PoissonNLLLoss": _of((2,), -2, 2),
    "QuantileLoss": _of((0,), -3, 3),
    "SoftMarginLoss": _of((1, -1), -3, 3),
}  # fmt: skip


def of_loss(cls: type[Loss]) -> Iterator[Plot]:
    """ℓ and its partial derivative, where one variable is enough to draw them."""
    for view in VIEWS.get(cls.__name__, ()):
        loss = cls(reduction="none")
        x = np.linspace(view.low, view.high, POINTS)
        value = loss(view.prediction(x), view.target(x))
        slope = loss.backward(np.ones_like(value))
        slope = slope[0] if loss.takes_several else slope
        line = next(line for key, line in loss.derivation.items() if key != "forward")
        partial = line.partition(" = ")[0]
        variable = partial.removeprefix("dℓ/d").strip("()")
        curves = {"ℓ": value.reshape(POINTS, -1)[:, 0], partial: slope.reshape(POINTS, -1)[:, 0]}
        yield Plot(view.says, variable, x, curves)


def of_penalty(penalty: Penalty) -> Plot:
    """P and dP/dw of a single weight."""
    w = np.linspace(-2, 2, POINTS)
    value = penalty.strength * np.array([penalty.value(each) for each in w])
    slope = penalty.strength * penalty.gradient(w)
    return Plot(f"λ = {penalty.strength:g}", "w", w, {"P": value, "dP/dw": slope})


# -- drawing -------------------------------------------------------------------------------------


def chart(plot: Plot, title: str) -> Chart:
    """The plot with both axes through 0, cut at ±3.6; a jump is a gap."""
    values = np.concatenate([*plot.curves.values()])
    bottom, top = max(values.min(), -FAR), min(values.max(), FAR)
    across, up = (np.array(ends) for ends in ((plot.x[0], plot.x[-1]), (bottom, top)))
    zero = np.zeros(2)
    lines = [Line(across, zero, color=FAINT)]
    if plot.x[0] < 0 < plot.x[-1]:
        lines.append(Line(zero, up, color=FAINT))
    gap = STEEP * (plot.x[1] - plot.x[0])
    for i, (name, y) in enumerate(plot.curves.items()):
        shown = (abs(y) <= FAR) & (abs(np.diff(y, prepend=y[0])) <= gap)
        lines.append(Line(plot.x, np.where(shown, y, np.nan), name, i, ("solid", "dashed")[i]))
    return Chart(f"{title}: {plot.says}" if plot.says else title, plot.variable, "", lines)
