"""A loss's own gradient against the number that the loss returns, with and without weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from nnlite.inspection.causes.diagnosis import certain, statistics
from nnlite.inspection.causes.evidence import CLOSE, Evidence, close
from nnlite.inspection.contract import in_words
from nnlite.inspection.joined import as_given
from nnlite.inspection.numeric import Compared, Verdict, compare, jacobian_by_differences
from nnlite.inspection.probe import beside, random_upstream
from nnlite.inspection.repair.constants import taken_for_constant
from nnlite.inspection.repair.search import Runs, mend
from nnlite.inspection.report import Diagnosis, GradientRow
from nnlite.losses.base import Loss

NO_CAUSE = "is not the derivative of the number that it returns"
SECONDS = 1.0  # for the search of a wrong loss's source


def run_loss(
    loss: Loss, prediction: np.ndarray, target: Any, weight: np.ndarray | None
) -> tuple[Any, Any]:
    """(the number, its gradient) of a copy; of elements apart, their sum with fixed factors."""
    criterion = copy.deepcopy(loss)
    value = criterion(prediction, target, weight)
    factors = _factors(loss, value)
    number = float((factors[0] * value).sum()) if factors else value
    return number, criterion.backward(*factors)


def _factors(loss: Loss, value: Any) -> tuple[np.ndarray, ...]:
    """What to call backward with: for elements apart fixed factors, one for each."""
    return (random_upstream(np.shape(value)),) if loss.reduction == "none" else ()


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
        return run_loss(self.loss, p, self.target, weight)

    def _wrong(self, text: str) -> Diagnosis:
        return Diagnosis("loss", f"{self.loss!r}: {text}")

    def _contract(self) -> list[Diagnosis]:
        """Whether it returns a number and a gradient, and leaves what it is given alone."""
        p, target = self.p.copy(), self.target.copy()
        try:
            value, grad = self._run(self.p, self.mask)
        except Exception as error:
            if in_words(error) and not isinstance(error, NotImplementedError):
                raise
            text = f"it raises {type(error).__name__}: {error}"
            return [self._wrong(text)._replace(error=error)]
        if not np.array_equal(self.p, p, equal_nan=True):
            return [self._wrong("it modifies the prediction in place")]
        if not np.array_equal(self.target, target):
            return [self._wrong("it modifies the target in place")]
        if not np.isscalar(value) and np.shape(value) != ():
            return [self._wrong(f"it returns an array {np.shape(value)}, not one number")]
        if not np.isfinite(value):
            return [self._wrong(f"it returns {value} for this prediction and target")]
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
            value = used(self.p, self.target, self.mask)
            again = used.backward(*_factors(used, value))
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
            told = found.verdict != Verdict.UNSURE
            return GradientRow("prediction", *found[:4], told=told)
        kind, text, _ = self._explained(weight)
        if when and NO_CAUSE in text:
            why = "is right without them: backward must weigh each sample as the loss does;"
            text = text.replace(f"{NO_CAUSE}:", why)
        return GradientRow("prediction", *found[:4], Diagnosis(kind, f"{when}{text}"))

    def _explained(self, weight: np.ndarray | None) -> Diagnosis:
        """Why its gradient is not the derivative of the number that it returns."""
        p, criterion = beside(self.p), copy.deepcopy(self.loss)
        loss = type(as_given(self.loss)).__name__

        factors: list[np.ndarray] = []

        def value() -> np.ndarray:
            return np.array([self._run(p, weight)[0]])

        def forward() -> None:
            factors[:] = _factors(criterion, criterion(p.copy(), self.target.copy(), weight))

        def backward(times: float = 1.0) -> dict[str, np.ndarray]:
            return {"prediction": np.array(criterion.backward(*factors))}

        def holds(names: set[str]) -> bool:
            """Whether it is right for other predictions and targets too."""
            return all(self._agrees(criterion, p, weight, size) for size in (1, 4))

        true = jacobian_by_differences(p, value)
        forward()
        ours = backward()["prediction"]
        slope = true.reshape(p.shape)
        e = Evidence("prediction", true, ours.reshape(1, -1), p.shape, np.ones(1), slope, ours,
                     0 * p, p, np.zeros(len(p)))  # fmt: skip
        runs = Runs(criterion, forward, backward, {"prediction": slope}, {"prediction"}, holds)

        def number(prediction: np.ndarray) -> np.ndarray:
            """The number of the loss whose function may have been changed."""
            elements = criterion.__call__(prediction, self.target, weight)
            return np.array([np.sum(factors[0] * elements) if factors else elements])

        def slopes() -> dict[str, np.ndarray]:
            moved = p.copy()
            rows = jacobian_by_differences(moved, lambda: number(moved))
            return {"prediction": rows.reshape(p.shape)}

        found = (
            certain(e)
            or mend(runs, SECONDS).get("prediction")
            or statistics(e)
            or _by_target(ours, slope, p, self.target)
            or taken_for_constant(
                criterion,
                lambda: number(p),
                slopes,
                {"prediction": ours},
                SECONDS,
            )
        )
        if found:
            return Diagnosis("loss", f"the gradient of {loss} is wrong: {found.text}")
        at = np.unravel_index(int(np.abs(ours - slope).argmax()), p.shape)
        where = tuple(int(i) for i in at)
        return Diagnosis(
            "loss",
            f"the gradient of {loss} {NO_CAUSE}: at {where}, where the prediction is "
            f"{p[at]:.4g}, backward gives {ours[at]:.4g} and the difference is {slope[at]:.4g}",
        )

    def _agrees(
        self, criterion: Loss, p: np.ndarray, weight: np.ndarray | None, size: float
    ) -> bool:
        """Whether this loss's gradient agrees with the slopes where the values of p, so many times
        as large, and rows of the target are mixed.
        """
        rng = np.random.default_rng(12)
        rows = rng.integers(0, len(p), len(p) + 2)
        mixed = (
            size
            * rng.uniform(0.8, 1, (len(rows), *p.shape[1:]))
            * rng.choice(p.ravel(), (len(rows), *p.shape[1:]))
        )
        target, weights = self.target[rows], None if weight is None else weight[rows]

        def value() -> np.ndarray:
            return np.array([run_loss(self.loss, mixed, target, weights)[0]])

        try:
            factors = _factors(criterion, criterion(mixed, target, weights))
            grad = np.array(criterion.backward(*factors))
            return compare(mixed, grad, value, np.ones(1)).worst.verdict < Verdict.OUTSIDE
        except Exception:  # it cannot be asked
            return True

    def _compared(self, p: np.ndarray, weight: np.ndarray | None) -> Compared:
        p = p.copy()
        _, grad = self._run(p, weight)

        def value() -> np.ndarray:
            return np.array([self._run(p, weight)[0]])

        return compare(p, grad, value, np.ones(1))


def _by_target(
    ours: np.ndarray, slope: np.ndarray, p: np.ndarray, target: np.ndarray
) -> Diagnosis | None:
    """Wrong for some targets and right for the others, as by one of two terms."""
    off = np.abs(ours - slope) > CLOSE * np.abs(slope).max()
    for where, there in _places(p, target, off):
        if there.any() and not there.all() and np.array_equal(off, there):
            a, b = ours[there], slope[there]
            times = a / b if b.all() else np.arange(2.0)
            if close(a, -b):
                how = "there it has the opposite sign"
            elif not a.any():
                how = "there it is 0: a term is missing"
            elif np.ptp(a - b) < CLOSE * np.abs(b).max():
                how = f"there {(b - a)[0]:.4g} is missing, the same for all"
            elif np.ptp(times) < CLOSE:
                how = f"there it is {times[0]:.4g} times the slope"
            else:
                how = f"there it is {a[0]:.4g} for {b[0]:.4g}"
            return Diagnosis("target", f"it is right but where {where}, and {how}")
    at = np.unravel_index(int(np.abs(ours - slope).argmax()), p.shape)
    example = f"at {tuple(map(int, at))} it is {ours[at]:.4g} for {slope[at]:.4g}"
    for where, there in _places(p, target, off):
        if np.count_nonzero(off) > 1 and not there.all() and (off <= there).all():
            return Diagnosis("target", f"it is wrong only where {where}: {example}")
    return None


def _places(p: np.ndarray, target: np.ndarray, off: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Entries of the prediction that a loss may treat in another way than the rest, in words; those
    that are off tell how far from the target this may begin.
    """
    if target.shape == p.shape:
        if len(kinds := np.unique(target)) <= 3:
            for kind in kinds:
                yield f"the target is {kind:g}", target == kind
        yield "the prediction is larger than the target", p > target
        yield "the prediction is smaller than the target", p < target
        distance = np.abs(p - target)
        for limit in (
            (distance[off].min(), distance[~off].min()) if 0 < off.sum() < off.size else ()
        ):
            yield f"it is at least {limit:.3g} away from the target", distance >= limit
            yield f"it is less than {limit:.3g} away from the target", distance < limit
    elif target.shape == p.shape[:-1] and target.dtype.kind in "iu":
        own = target[..., None] == np.arange(p.shape[-1])
        yield "the class is the target (its one-hot 1)", own
        yield "the class is not the target", ~own
