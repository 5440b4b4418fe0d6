"""Losses for one class out of many; the classes are on the last axis of the prediction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnlite.core.reading import Reading
from nnlite.losses.base import Loss, Reduction, one_per_sample
from nnlite.ops.softmax import at_classes, log_softmax, log_softmax_at, softmax_minus_one


class _ClassLoss(Loss):
    """What losses on integer classes share: their checks, class weights and ignored rows.

    In the formulas t is a row's class, and v its count: the weight of class t, or 0 if ignored.
    """

    multi_label = False

    def __init__(
        self,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.weight = weight
        self.ignore_index = ignore_index

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Integer classes, one per row, within the range."""
        return self._check_rows(prediction, self.check_arrays(prediction, target))

    def _check_rows(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        self._check_classes(prediction)
        if prediction.shape[:-1] != target.shape:
            raise ValueError(
                f"{self!r}: prediction {prediction.shape} needs targets {prediction.shape[:-1]}, "
                f"got {target.shape}{_rows_hint(prediction.shape, target.shape)}"
            )
        if target.dtype.kind not in "iu":
            whole = np.array_equal(target, np.round(target))
            raise TypeError(
                f"{self!r}: classes must be integers, got dtype {target.dtype}; "
                + ("convert with y.astype(np.int64)" if whole else "for numbers use MSELoss")
            )
        self._check_range(target, prediction.shape[-1])
        return target

    def _check_classes(self, prediction: np.ndarray) -> None:
        classes = prediction.shape[-1] if prediction.ndim > 1 else 0
        if classes < 2:
            raise ValueError(
                f"{self!r}: expected predictions (N, …, C) with at least 2 classes, got "
                f"{prediction.shape}; for a single score use BCEWithLogitsLoss"
            )
        if self.weight is not None and len(np.asarray(self.weight)) != classes:
            raise ValueError(
                f"{self!r}: weight has {len(np.asarray(self.weight))} entries for {classes} classes"
            )

    def _check_range(self, target: np.ndarray, classes: int) -> None:
        # argmin and argmax take a third of the time of min and max
        low, high = target.item(target.argmin()), target.item(target.argmax())
        if low >= 0 and high < classes:
            return
        outside = ((target < 0) | (target >= classes)) & (target != self.ignore_index)
        if outside.any():
            where = tuple(int(i) for i in np.argwhere(outside)[0])
            hint = _range_hint(target[target != self.ignore_index], classes)
            raise ValueError(
                f"{self!r}: class {target[where]} at row {where[0] if len(where) == 1 else where} "
                f"is outside 0 … {classes - 1}{hint}"
            )

    def printed_count(self) -> str:
        weight = "c[t]" if self.weight is not None else ""
        kept = f" [t ≠ {self.ignore_index}]".replace("-", "−") if self._counts is not None else ""
        return (weight + kept).strip()

    def times_count(self) -> tuple[str, str]:
        """How the equations multiply by v, and what they say of it."""
        count = self.printed_count()
        return ("v ", f",  v = {count}") if count else ("", "")

    def counts(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """v: the weight of each row's class, 0 for ignored rows; None when all are 1."""
        by_class = None if self.weight is None else np.asarray(self.weight, prediction.dtype)
        if self.ignore_index < 0 <= target.item(target.argmin()):
            # the usual case: ignored classes are below 0, and no target is
            return None if by_class is None else by_class[target]
        kept = target != self.ignore_index
        if by_class is None:
            return None if kept.all() else kept.astype(prediction.dtype)
        return by_class[np.where(kept, target, 0)] * kept

    def countable(self, target: np.ndarray) -> np.ndarray:
        """The classes, 0 in the place of those that do not count."""
        counts = self._counts
        return target if counts is None else np.where(counts > 0, target, 0)

    def counted(self, values: np.ndarray) -> np.ndarray:
        """One value for each row, 0 where it does not count (0 · −∞ would be NaN)."""
        counts = self._counts
        return values if counts is None else np.where(counts > 0, values, 0)


def _rows_hint(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    """What to add to an error about targets that are not one for each row of the prediction."""
    if target == (*prediction[:-1], 1):
        return "; use y[:, 0]"
    if len(prediction) > 2 and target == prediction[:1]:
        return one_per_sample(prediction)
    if len(prediction) == len(target) and prediction[:-1] == target[:-1]:
        return f"; the model's last layer needs {target[-1]} outputs, one for each class"
    return ""


def _range_hint(target: np.ndarray, classes: int) -> str:
    """What to add to an error about classes of which some are out of range."""
    low, high = int(target.min()), int(target.max())
    if low == 1 and high == classes:
        return "; classes count from 0: write y - 1"
    if low < 0:
        return "; classes count from 0"
    return f"; the model's last layer has {classes} outputs, and these classes need {high + 1}"


class NLLLoss(_ClassLoss):
    """Negative log-likelihood of log-probabilities, as from `LogSoftmax`.

    Forward      ℓ = −v log p_t
    Backward     dℓ/d(log pⱼ) = −v [j = t]: only the row's own class matters
    Shapes       prediction (N, …, C); target (N, …), integer classes
    Args         weight: one per class (default None: all 1)
                 ignore_index: a class number that marks rows to leave out (default −100)
                 reduction: "mean" (Σ ℓ / Σ v, default), "sum" or "none"
    Raises       TypeError: when the classes are not integers
                 ValueError: for a class out of range (its row is named), or shapes that differ
    Source       standard result
    """

    decision_threshold = -math.log(2)  # of log-probabilities, log ½

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        v, meaning = self.times_count()
        return {
            "forward": f"ℓ = −{v}log p_t{meaning}",
            "prediction": f"dℓ/d(log p) = −{v}[j = t]{meaning}",
        }

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        log_p_t, places = at_classes(prediction, self.countable(target))
        counts, log_p_t = self._counts, self.counted(log_p_t)
        values = -log_p_t if counts is None else -counts * log_p_t
        return values, prediction, counts, places

    def derivative(
        self, log_p: np.ndarray, counts: np.ndarray | None, places: np.ndarray
    ) -> np.ndarray:
        gradient = np.zeros(log_p.shape, log_p.dtype)
        gradient.put(places, -1 if counts is None else -counts)
        return gradient


class CrossEntropyLoss(_ClassLoss):
    """Softmax and negative log-likelihood in one, on scores (logits).

    The model ends in a `Linear` and not in a `Softmax`: a second softmax would flatten the scores
    and train slowly, without an error.

    Forward      ℓ = −v log p_t,  p = softmax(z)                for integer classes
                 ℓ = −Σⱼ qⱼ log pⱼ,  qⱼ = weightⱼ · targetⱼ     for one-hot or soft rows
    Backward     dℓ/dzⱼ = v (pⱼ − [j = t])        dℓ/dzⱼ = pⱼ Σₖ qₖ − qⱼ
                 because ∂ log pₖ/∂zⱼ = δⱼₖ − pⱼ, so −Σₖ qₖ (δⱼₖ − pⱼ) = pⱼ Σₖ qₖ − qⱼ:
                 prediction minus target. Where p is near 1, p − 1 is taken as e^(log p) − 1, also
                 in pⱼ Σₖ qₖ − qⱼ = pⱼ (Σₖ qₖ − qⱼ) + qⱼ (pⱼ − 1), so that it keeps its digits
    Shapes       prediction (N, …, C); target (N, …) integers, or (N, …, C) rows
    Args         weight: one per class (default None: all 1)
                 ignore_index: a class number that marks rows to leave out (default −100)
                 label_smoothing: ε, the share of the target spread evenly over all classes,
                 t → (1 − ε) t + ε/C, 0 ≤ ε ≤ 1 (default 0)
                 reduction: "mean" (Σ ℓ / Σ v, or Σ ℓ / rows for soft targets; default), "sum" or
                 "none"
    Raises       TypeError: when classes are not integers
                 ValueError: for a class out of range (its row is named), a negative soft target,
                 or shapes that differ
    Source       standard result; label smoothing: Szegedy et al. 2016, section 7
    """

    _soft: bool = False  # whether the last call's targets were rows

    def __init__(
        self,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = label_smoothing

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        v, meaning = self.times_count()
        if not (self._soft or self.label_smoothing):
            p = ",  p = softmax(z)"
            return {
                "forward": f"ℓ = −{v}log p_t{p}{meaning}",
                "prediction": f"dℓ/dz = {v}(p − [j = t]){p}{meaning}",
            }
        q = "t" if self._soft else "[j = t]"
        if self.label_smoothing:
            q = f"((1 − ε) {q} + ε/C)"
        if self.weight is not None:
            q = f"c ⊙ {q}"
        if self._counts is not None:
            q += f" [t ≠ {self.ignore_index}]".replace("-", "−")
        meanings = f",  p = softmax(z),  q = {q}"
        return {
            "forward": f"ℓ = −Σⱼ qⱼ log pⱼ{meanings}",
            "prediction": f"dℓ/dz = (p Σⱼ qⱼ − q){meanings}",
        }

    def reading(self, log_p: np.ndarray, *rest: Any) -> Reading:
        return Reading(values={"p": np.exp(log_p)})

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Integer classes, or rows of probabilities."""
        target = self.check_arrays(prediction, target)
        self._soft = target.shape == prediction.shape
        if not self._soft:
            return self._check_rows(prediction, target)
        self._check_classes(prediction)
        if not target.min() >= 0:  # NaN is not
            raise ValueError(f"{self!r}: soft targets must be ≥ 0, got {target.min()}")
        return target.astype(prediction.dtype, copy=False)

    def printed_count(self) -> str:
        return "" if self._soft else super().printed_count()

    def counts(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """Soft rows count 1 each."""
        return None if target.shape == prediction.shape else super().counts(prediction, target)

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        if target.shape != prediction.shape and not self.label_smoothing:
            log_p, log_p_t, places = log_softmax_at(prediction, self.countable(target))
            counts, log_p_t = self._counts, self.counted(log_p_t)
            return -log_p_t if counts is None else -counts * log_p_t, log_p, counts, places
        log_p = log_softmax(prediction)
        q = self._target_rows(log_p, target)
        # 0 log 0 = 0, also where log p rounds to −∞
        return -(q * np.where(q > 0, log_p, 0)).sum(axis=-1), log_p, q

    def _target_rows(self, log_p: np.ndarray, target: np.ndarray) -> np.ndarray:
        """q: the target of each row as a distribution, smoothed and weighted."""
        kept = None
        if target.shape != log_p.shape:
            kept = target != self.ignore_index
            target = np.where(kept, target, 0)[..., None] == np.arange(log_p.shape[-1])
        smooth = self.label_smoothing
        q = ((1 - smooth) * target + smooth / log_p.shape[-1]).astype(log_p.dtype, copy=False)
        if self.weight is not None:
            q = q * np.asarray(self.weight, q.dtype)
        return q if kept is None else q * kept[..., None]

    def derivative(self, log_p: np.ndarray, share: Any, places: Any = None) -> np.ndarray:
        if places is not None:
            gradient = softmax_minus_one(log_p, places)
            return gradient if share is None else gradient * share[..., None]  # share: v
        q = share  # pⱼ (Σₖ qₖ − qⱼ) + qⱼ (pⱼ − 1), (N, …, C)
        return np.exp(log_p) * (q.sum(axis=-1, keepdims=True) - q) + q * np.expm1(log_p)


class FocalLoss(_ClassLoss):
    """Cross entropy on scores, turned down for rows that are already right.

    Forward      ℓ = −v (1 − q)^γ log q,  q = p_t,  p = softmax(z)
    Backward     dℓ/dzⱼ = v (γ q (1 − q)^(γ−1) log q − (1 − q)^γ) ([j = t] − pⱼ)
                 the product rule for dℓ/dq, times ∂q/∂zⱼ = q ([j = t] − pⱼ)
    Shapes       prediction (N, …, C); target (N, …), integer classes
    Args         gamma: γ ≥ 0; 0 is cross entropy (default 2)
                 weight: one per class (default None: all 1)
                 ignore_index: a class number that marks rows to leave out (default −100)
                 reduction: "mean" (Σ ℓ / Σ v, default), "sum" or "none"
    Raises       TypeError: when classes are not integers
                 ValueError: for γ < 0, a class out of range, or shapes that differ
    Source       Lin et al. 2017, equation 4
    """

    def __init__(
        self,
        gamma: float = 2.0,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.gamma = gamma

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        v, meaning = self.times_count()
        q = f",  q = softmax(z)_t{meaning}"
        return {
            "forward": f"ℓ = −{v}(1 − q)^γ log q{q}",
            "prediction": f"dℓ/dz = {v}(γ q (1 − q)^(γ−1) log q − (1 − q)^γ) ([j = t] − p)"
            f",  p = softmax(z){q}",
        }

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        log_p, log_q, places = log_softmax_at(prediction, self.countable(target))
        counts, log_q = self._counts, self.counted(log_q)
        # 1 − q without cancellation; never quite 0, which a power γ − 1 < 0 could not take
        rest = np.maximum(-np.expm1(log_q), np.finfo(log_q.dtype).tiny)
        gamma = float(self.gamma)  # a NumPy scalar would turn float32 into float64
        focus = rest**gamma
        # γ q (1 − q)^(γ−1) log q − (1 − q)^γ
        slope = gamma * np.exp(log_q) * (focus / rest) * log_q - focus
        values = -focus * log_q
        if counts is not None:
            values, slope = values * counts, slope * counts
        return values, log_p, slope, places

    def derivative(self, log_p: np.ndarray, slope: np.ndarray, places: np.ndarray) -> np.ndarray:
        return softmax_minus_one(log_p, places) * -slope[..., None]


class MultiMarginLoss(_ClassLoss):
    """The hinge for many classes: the right score above each other one by the margin.

    Forward      ℓ = v/C Σ_{j≠t} hⱼ^q,  hⱼ = max(m − x_t + xⱼ, 0),  v the weight of class t
    Backward     dℓ/dxⱼ = v/C q hⱼ^(q−1) [hⱼ > 0] for j ≠ t,  and minus their sum for j = t
    Shapes       prediction (N, …, C); target (N, …), integer classes
    Args         p: q, 1 or 2 (default 1)
                 margin: m (default 1)
                 weight: one per class (default None: all 1); they do not count in the mean's
                 divisor, unlike those of `CrossEntropyLoss`
                 reduction: "mean" (over rows, default), "sum" or "none"
    Raises       TypeError: when classes are not integers
                 ValueError: for a class out of range, or shapes that differ
    Source       Weston & Watkins 1999; as PyTorch's
    """

    ignore_index: int | None = None  # type: ignore[assignment]

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: ArrayLike | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        Loss.__init__(self, reduction)
        self.p = p
        self.margin = margin
        self.weight = weight

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        v = "" if self.weight is None else "c[t] "
        h = "h = [j ≠ t] max(m − x_t + x, 0)"
        slope, power = ("[h > 0]", "") if self.p == 1 else ("2 h", "²")
        return {
            "forward": f"ℓ = {v}Σⱼ h{power} / C,  {h}",
            "prediction": f"dℓ/dx = {v}(s − [j = t] Σⱼ s) / C,  s = {slope},  {h}",
        }

    def printed_count(self) -> str:
        return ""

    def counts(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """Every row counts 1."""
        return None

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        right = np.take_along_axis(prediction, target[..., None], -1)
        h = np.maximum(float(self.margin) - right + prediction, 0)
        np.put_along_axis(h, target[..., None], 0, -1)
        share = np.full((), 1 / prediction.shape[-1], h.dtype)  # v/C
        if self.weight is not None:
            share = share * np.asarray(self.weight, h.dtype)[target]
        return share * (h**self.p).sum(axis=-1), h, share, target

    def derivative(self, h: np.ndarray, share: np.ndarray, target: np.ndarray) -> np.ndarray:
        slope = (h > 0).astype(h.dtype) if self.p == 1 else 2 * h
        np.put_along_axis(slope, target[..., None], -slope.sum(axis=-1, keepdims=True), -1)
        return slope * share[..., None]


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of the target from predicted log-probabilities.

    Forward      ℓ = t (log t − log p), with 0 log 0 = 0; the divergence is a row's sum of them
    Backward     dℓ/d(log p) = −t
    Shapes       prediction (N, …, C), log-probabilities; target alike, probabilities
    Args         reduction: "mean" (the sum, over the number of rows; default), "sum" or "none"
                 log_target: whether the target holds log t as well (default False)
    Raises       ValueError: when the shapes differ, or a target is negative
    Source       Kullback & Leibler 1951; for predictions (N, C) the mean over rows is
                 PyTorch's "batchmean", which for (N, T, C) divides by N alone
    """

    multi_label = False
    decision_threshold = -math.log(2)  # of log-probabilities, log ½
    _mean_of = "rows"

    def __init__(self, reduction: Reduction = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        if self.log_target:  # t is the logarithm
            return {"forward": "ℓ = eᵗ (t − log p)", "prediction": "dℓ/d(log p) = −eᵗ"}
        return {"forward": "ℓ = t (log t − log p)", "prediction": "dℓ/d(log p) = −t"}

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Targets must not be negative, unless they are logarithms."""
        target = super().check(prediction, target)
        if not self.log_target and target.min() < 0:
            raise ValueError(
                f"{self!r}: targets are probabilities and cannot be negative, got "
                f"{target.min():.4g}; for their logarithms use log_target=True"
            )
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        t = np.exp(target) if self.log_target else target
        some = t > 0
        log_t = np.where(some, target, 0) if self.log_target else np.log(np.where(some, t, 1))
        log_p = np.where(some, prediction, 0)  # 0 · ∞ would be NaN
        return t * (log_t - log_p), t

    def _divisor(
        self, values: np.ndarray, weight: np.ndarray | None, counts: np.ndarray | None
    ) -> float:
        """The number of rows, or the sum of their weights."""
        divisor = super()._divisor(values, weight, counts)
        return divisor / values.shape[-1] if self.reduction == "mean" and values.ndim else divisor

    def derivative(self, target: np.ndarray) -> np.ndarray:
        return -target
