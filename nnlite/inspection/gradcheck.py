"""Numeric gradients: what backward says against what forward does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from nnlite.layers.base import Layer
from nnlite.losses.base import Loss

STEP = 1e-5
TOLERANCE = 1e-6
SMALLEST = 1e-4
# Not one that x was drawn with: with R parallel to x, a normalization's gradient is all but zero.
PROJECTION_SEED = 1_618_033_988


class GradientError(AssertionError):
    """A gradient that differs from the slope it should be."""


class GradientRow(NamedTuple):
    """The worst entry of one gradient."""

    name: str
    where: tuple[int, ...]
    analytic: float
    numeric: float
    error: float


def check_gradients(
    layer: Layer,
    x: np.ndarray,
    loss: Loss | None = None,
    target: np.ndarray | None = None,
) -> list[GradientRow]:
    """Compare backward with central differences of forward, in float64, on a copy.

    Every entry of the input and of every parameter is moved by ±h, and the change of one number
    is compared with what backward says of it:

        (L(w + h) − L(w − h)) / 2h  ≈  dL/dw,   L = the loss, or Σ R ⊙ y with fixed random R

    The error is |analytic − numeric| over the largest entry of that gradient (or over 1e-4, if
    that is smaller: differences round off at about 1e-11); above 1e-6 the check fails. Random
    layers draw the same numbers in every run. Keep x away from kinks such as ReLU's zero, by more
    than 1e-5, or the difference straddles them.

    Args:
        layer: a layer or a whole model; it is copied, and left as it is.
        x: an input; floats are checked too, integers are not.
        loss, target: check dL/dw of this loss (default: of a random projection of y).

    Returns:
        One row per gradient, each with its worst entry.

    Raises:
        GradientError: names the worst entry, with its analytic and its numeric value.
        ValueError: when only one of `loss` and `target` is given.
    """
    if (loss is None) != (target is None):
        raise ValueError("check_gradients: give loss and target together")
    model = copy.deepcopy(layer).astype(np.float64)
    model.needs_input_grad = True
    floating = np.issubdtype(x.dtype, np.floating)
    x = np.array(x, dtype=np.float64 if floating else x.dtype)

    run = _repeatable(model)
    y = run(x)
    if loss is None:
        projection = np.random.default_rng(PROJECTION_SEED).standard_normal(y.shape)
        grad_output = projection

        def objective() -> float:
            return float((projection * run(x)).sum())
    else:
        criterion = copy.deepcopy(loss)
        criterion(y, target)  # type: ignore[arg-type]  # given together
        grad_output = criterion.backward()

        def objective() -> float:
            return criterion(run(x), target)  # type: ignore[arg-type]

    model.zero_grad()
    run(x)
    d_x = model.backward(grad_output)
    analytic = {name: (p.data, p.grad.copy()) for name, p in model.named_parameters().items()}
    if floating:
        analytic["input"] = (x, np.array(d_x))
    rows = [_worst(name, data, grad, objective) for name, (data, grad) in analytic.items()]
    wrong = [row for row in rows if not row.error <= TOLERANCE]
    if wrong:
        worst = max(wrong, key=lambda row: row.error)
        raise GradientError(
            f"{type(layer).__name__}: the gradient of {worst.name} is wrong, worst at index "
            f"{worst.where}: backward gives {worst.analytic:.8g}, the difference of forward "
            f"{worst.numeric:.8g} (relative error {worst.error:.2g})"
        )
    return rows


def _repeatable(model: Layer) -> Callable[[np.ndarray], np.ndarray]:
    """The model's forward, with generators, buffers and carried states as before each run."""
    generators = [(g, g.bit_generator.state) for _, g in model.named_parts(np.random.Generator)]
    buffers = [(buffer, buffer.data.copy()) for buffer in model.buffers()]

    def run(x: np.ndarray) -> np.ndarray:
        for generator, state in generators:
            generator.bit_generator.state = state
        for buffer, data in buffers:
            buffer.data = data
        model.reset_state()
        return model(x)

    return run


def _worst(
    name: str, data: np.ndarray, grad: np.ndarray, objective: Callable[[], float]
) -> GradientRow:
    """The entry where the gradient differs most from the slope."""
    numeric = np.array([_slope(data, index, objective) for index in _indices(data)])
    numeric = numeric.reshape(data.shape)
    scale = max(SMALLEST, float(np.abs(numeric).max(initial=0)))
    error = np.abs(grad - numeric) / scale
    error[~np.isfinite(error)] = np.inf
    index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), data.shape))
    return GradientRow(name, index, float(grad[index]), float(numeric[index]), float(error[index]))


def _indices(data: np.ndarray) -> Iterator[tuple[int, ...]]:
    return iter(np.ndindex(data.shape))


def _slope(data: np.ndarray, index: tuple[int, ...], objective: Callable[[], float]) -> float:
    """(L(w + h) − L(w − h)) / 2h for one entry w."""
    value = data[index]
    data[index] = value + STEP
    above = objective()
    data[index] = value - STEP
    below = objective()
    data[index] = value
    return (above - below) / (2 * STEP)
