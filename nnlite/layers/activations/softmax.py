"""Softmax, softmin and log-softmax: every output depends on every input of its row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import check_axis
from nnlite.core.padded import Padded, data_and_lengths, ended, within
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.ops.softmax import at_largest, log_softmax, softmax


class _AlongAxis(Layer):
    """What these layers share: the axis, and sequences that end before their array does."""

    accepts_padded = True

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def scores(self, x: np.ndarray | Padded) -> tuple[np.ndarray, np.ndarray | None]:
        """The data of x, checked, and where its sequences end.

        Along time, what stands beyond becomes −∞: e^−∞ = 0 takes no part in a sum.
        """
        data, lengths = data_and_lengths(x)
        self.check_floating(data)
        check_axis(self, self.axis, data.shape)
        if data.shape[self.axis] == 0:  # no values, no sum of 1
            raise ValueError(
                f"{self!r}: expected at least one value along axis {self.axis}, got {data.shape}"
            )
        axis = self.axis % data.ndim
        if lengths is not None and axis == 0:
            raise ValueError(f"{self!r}: Padded sequences end at steps of their own; use axis=1")
        return within(data, lengths, -np.inf if axis == 1 else 0.0), lengths


class Softmax(_AlongAxis):
    """Scores into probabilities that sum to 1.

    Forward      pᵢ = e^xᵢ / Σⱼ e^xⱼ
    Backward     dL/dx = p ⊙ (G − Σⱼ Gⱼ pⱼ)
                 the Jacobian is full, ∂pⱼ/∂xᵢ = pⱼ (δᵢⱼ − pᵢ): raising one score lowers all
                 other probabilities. So dL/dxᵢ = Σⱼ Gⱼ pⱼ (δᵢⱼ − pᵢ) = pᵢ (Gᵢ − Σⱼ Gⱼ pⱼ).
                 Since Σ p = 1, the same number may be subtracted from all Gⱼ of a row: the code
                 takes the Gⱼ of the largest pⱼ, so that nothing cancels where that is near 1
    Shapes       any, y like x; sums and products run along the axis, and for `Padded` sequences
                 to their ends, if that is the time axis: p and dL/dx are 0 beyond
    Saves        p, the lengths
    Args         axis: along which the probabilities sum to 1 (default −1)
    Raises       ValueError: when x has no such axis or nothing along it, it is the batch's and x is
                 `Padded`, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Bridle 1990

    For training a classifier use `CrossEntropyLoss` on the scores themselves, without this layer.
    """

    equations: ClassVar = {"forward": "p = eˣ / Σⱼ e^xⱼ", "input": "dL/dx = p ⊙ (G − Σⱼ Gⱼ pⱼ)"}

    def reading(self, p: Any = None, lengths: Any = None) -> Reading:
        return Reading(values={"p": p}, axes={"j": self.axis})

    def forward(self, x: np.ndarray | Padded) -> Any:
        scores, lengths = self.scores(x)
        p = softmax(scores, self.axis)
        self.save_for_backward(p, lengths)
        return ended(p, lengths)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        p, lengths = self.saved()
        self.check_grad_output(grad_output, p.shape)
        grad_output = within(grad_output, lengths)
        grad_output = grad_output - at_largest(p, grad_output, self.axis)
        return p * (grad_output - (grad_output * p).sum(axis=self.axis, keepdims=True))


class Softmin(Softmax):
    """Costs into probabilities that sum to 1: the smaller, the likelier.

    Forward      pᵢ = e^−xᵢ / Σⱼ e^−xⱼ, the softmax of −x
    Backward     dL/dx = −p ⊙ (G − Σⱼ Gⱼ pⱼ), as derived in `Softmax`, with d(−x)/dx = −1
    Shapes       any, y like x, as in `Softmax`
    Saves        p, the lengths
    Args         axis: along which the probabilities sum to 1 (default −1)
    Raises       as `Softmax`
    Source       Bridle 1990, on −x
    """

    equations: ClassVar = {
        "forward": "p = e⁻ˣ / Σⱼ e^(−xⱼ)",
        "input": "dL/dx = −p ⊙ (G − Σⱼ Gⱼ pⱼ)",
    }

    def scores(self, x: np.ndarray | Padded) -> tuple[np.ndarray, np.ndarray | None]:
        data, lengths = data_and_lengths(x)
        self.check_floating(data)
        return super().scores(-data if lengths is None else Padded(-data, lengths))

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        return -super().backward(grad_output)


class LogSoftmax(_AlongAxis):
    """Scores into log-probabilities.

    Forward      yᵢ = xᵢ − log Σⱼ e^xⱼ
    Backward     dL/dx = G − p Σⱼ Gⱼ,  p = e^y
                 ∂yⱼ/∂xᵢ = δᵢⱼ − pᵢ, so dL/dxᵢ = Σⱼ Gⱼ (δᵢⱼ − pᵢ) = Gᵢ − pᵢ Σⱼ Gⱼ,
                 taken as −pᵢ (Σⱼ Gⱼ − Gᵢ) − Gᵢ (pᵢ − 1) with p − 1 = e^y − 1, exact for p near 1
    Shapes       any, y like x; sums run along the axis, and for `Padded` sequences to their ends,
                 if that is the time axis: y and dL/dx are 0 beyond
    Saves        y, the lengths
    Args         axis: along which the probabilities sum to 1 (default −1)
    Raises       ValueError: when x has no such axis or nothing along it, it is the batch's and x is
                 `Padded`, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = x − log Σⱼ e^xⱼ", "input": "dL/dx = G − e^y Σⱼ Gⱼ"}

    def reading(self, *saved: Any) -> Reading:
        return Reading(axes={"j": self.axis})

    def forward(self, x: np.ndarray | Padded) -> Any:
        scores, lengths = self.scores(x)
        y = log_softmax(scores, self.axis)
        self.save_for_backward(y, lengths)
        return ended(y, lengths)

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        y, lengths = self.saved()
        self.check_grad_output(grad_output, y.shape)
        grad_output = within(grad_output, lengths)
        others = grad_output.sum(axis=self.axis, keepdims=True) - grad_output
        return -np.exp(y) * others - grad_output * np.expm1(y)
