"""A loss's own gradient against the number that the loss returns, with and without weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from nnlite.inspection.contract import in_words
from nnlite.inspection.numeric import Compared, Verdict, compare
from nnlite.inspection.probe import beside
from nnlite.inspection.report import Diagnosis, GradientRow
from nnlite.losses.base import Loss


class LossCheck:
    """One loss on one prediction; every run is on a copy, so that one that draws draws the same."""

    def __init__(
        self, loss: Loss, prediction: np.ndarray, target: Any, mask: np.ndarray | None
    ) -> None:
        self.loss = loss
        self.p = prediction.copy()
        self.target = np.array(target)
        self.mask = mask

    def report(self) -> tuple[GradientRow | None, list[Diagnosis]]:
        """The row of the prediction's gradient, and what breaks the contract."""
        found = self._contract()
        if found:
            return None, found
        found = self._repeated()
        row = self._row(self.mask, "")
        weight = 0.5 + np.random.default_rng(9).random(len(self.p))
        if self.mask is not None:
            weight = self.mask * weight.reshape(-1, *[1] * (self.mask.ndim - 1))
        try:
            value, twice = self._run(self.p, weight)[0], self._run(self.p, 2 * weight)[0]
        except Exception:  # a loss that takes no weights
            return row, found
        if row.ok:
            weighted = self._row(weight, "with sample weights, ")
            row = row if weighted.ok else weighted
        if self.loss.reduction == "mean" and not np.isclose(value, twice, rtol=1e-6):
            text = "its mean grows with the sample weights: divide by the sum of what they count"
            found.append(self._wrong(text))
        return row, found

    def _run(self, p: np.ndarray, weight: np.ndarray | None) -> tuple[float, Any]:
        criterion = copy.deepcopy(self.loss)
        value = criterion(p, self.target, weight)
        return value, criterion.backward()

    def _wrong(self, text: str) -> Diagnosis:
        return Diagnosis("loss", f"{self.loss!r}: {text}")

    def _contract(self) -> list[Diagnosis]:
        """Whether it returns a number and a gradient, and leaves what it is given alone."""
        p, target = self.p.copy(), self.target.copy()
        try:
            value, grad = self._run(self.p, self.mask)
        except Exception as error:
            if in_words(error):
                raise
            return [self._wrong(f"it raises {type(error).__name__}: {error}")]
        if not np.array_equal(self.p, p, equal_nan=True):
            return [self._wrong("it modifies the prediction in place")]
        if not np.array_equal(self.target, target):
            return [self._wrong("it modifies the target in place")]
        if not np.isscalar(value) and np.shape(value) != ():
            return [self._wrong(f"it returns an array {np.shape(value)}, not one number")]
        if not isinstance(grad, np.ndarray) or grad.shape != p.shape:
            what = f"shape {grad.shape}" if isinstance(grad, np.ndarray) else type(grad).__name__
            return [self._wrong(f"backward returns {what}, for a prediction of shape {p.shape}")]
        if grad.dtype != p.dtype:
            text = f"backward returns {grad.dtype} for a prediction of {p.dtype}"
            return [Diagnosis("dtype", f"{self.loss!r}: {text}")]
        return []

    def _repeated(self) -> list[Diagnosis]:
        """Whether backward belongs to the last call alone."""
        _, grad = self._run(self.p, self.mask)
        used = copy.deepcopy(self.loss)
        for _ in range(2):
            used(self.p, self.target, self.mask)
            again = used.backward()
        if np.array_equal(grad, again) or any(
            isinstance(value, np.random.Generator) for value in vars(self.loss).values()
        ):
            return []
        return [self._wrong("backward gives another gradient when the same call is repeated")]

    def _row(self, weight: np.ndarray | None, when: str) -> GradientRow:
        """The worst entry of the gradient with these weights."""
        found, kinks = self._compared(self.p, weight)
        if found.verdict >= Verdict.UNSURE or kinks:
            found = self._compared(beside(self.p), weight).worst
        if found.verdict < Verdict.OUTSIDE:
            return GradientRow("prediction", *found[:4])
        c = found.analytic / found.numeric if found.numeric else float("nan")
        text = (
            f"{when}the gradient of {self.loss!r} is not the derivative of the number that it "
            f"returns; at the worst entry it is {c:.4g} times the slope (N = {len(self.p)}, "
            f"{self.p.size} values)"
        )
        return GradientRow("prediction", *found[:4], Diagnosis("loss", text))

    def _compared(self, p: np.ndarray, weight: np.ndarray | None) -> Compared:
        p = p.copy()
        _, grad = self._run(p, weight)

        def value() -> np.ndarray:
            return np.array([copy.deepcopy(self.loss)(p, self.target, weight)])

        return compare(p, grad, value, np.ones(1))
