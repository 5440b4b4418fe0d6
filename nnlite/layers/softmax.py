"""Softmax and log-softmax: every output depends on every input of its row."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nnlite.checks import check_axis
from nnlite.layers.base import Layer
from nnlite.ops.softmax import log_softmax, softmax


class Softmax(Layer):
    """Scores into probabilities that sum to 1.

    Forward      pᵢ = e^xᵢ / Σⱼ e^xⱼ
    Backward     dL/dx = p ⊙ (G − Σⱼ Gⱼ pⱼ)
                 the Jacobian is full, ∂pⱼ/∂xᵢ = pⱼ (δᵢⱼ − pᵢ): raising one score lowers all
                 other probabilities. So dL/dxᵢ = Σⱼ Gⱼ pⱼ (δᵢⱼ − pᵢ) = pᵢ (Gᵢ − Σⱼ Gⱼ pⱼ)
    Shapes       any, y like x; sums and products run along the axis
    Saves        p
    Args         axis: along which the probabilities sum to 1 (default −1)
    Raises       ValueError: when x has no such axis, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Bridle 1990

    For training a classifier use `CrossEntropyLoss` on the scores themselves, without this layer.
    """

    equations: ClassVar = {"forward": "p = eˣ / Σ eˣ", "input": "dL/dx = p ⊙ (G − Σⱼ Gⱼ pⱼ)"}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The probabilities."""
        self.check_floating(x)
        check_axis(self, self.axis, x.shape)
        p = softmax(x, self.axis)
        self.save_for_backward(p)
        return p

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """The product with the full Jacobian."""
        (p,) = self.saved()
        self.check_grad_output(grad_output, p.shape)
        return p * (grad_output - (grad_output * p).sum(axis=self.axis, keepdims=True))


class LogSoftmax(Layer):
    """Scores into log-probabilities.

    Forward      yᵢ = xᵢ − log Σⱼ e^xⱼ
    Backward     dL/dx = G − p Σⱼ Gⱼ,  p = e^y
                 ∂yⱼ/∂xᵢ = δᵢⱼ − pᵢ, so dL/dxᵢ = Σⱼ Gⱼ (δᵢⱼ − pᵢ) = Gᵢ − pᵢ Σⱼ Gⱼ
    Shapes       any, y like x; sums run along the axis
    Saves        y
    Args         axis: along which the probabilities sum to 1 (default −1)
    Raises       ValueError: when x has no such axis, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       standard result
    """

    equations: ClassVar = {"forward": "y = x − log Σ eˣ", "input": "dL/dx = G − e^y Σⱼ Gⱼ"}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The log-probabilities."""
        self.check_floating(x)
        check_axis(self, self.axis, x.shape)
        y = log_softmax(x, self.axis)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """The product with the full Jacobian."""
        (y,) = self.saved()
        self.check_grad_output(grad_output, y.shape)
        return grad_output - np.exp(y) * grad_output.sum(axis=self.axis, keepdims=True)
