"""Connectionist temporal classification: labels without their places in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.foreign import as_array
from nnlite.core.padded import Padded, masked
from nnlite.losses.base import Loss, Reduction


class CTCLoss(Loss):
    """Sequences of labels from longer sequences of frames, with no word about where each label is.

    A path π names one class for each frame, one of them the blank. Without its repetitions, and
    then without its blanks, it is a sequence of labels: "−aa−ab" is "aab". The target's probability
    P is that of all paths that become it, and they are too many to walk one by one. So the target
    y₁ … y_S is written with blanks around its labels, l = (−, y₁, −, y₂, …, y_S, −), L = 2S + 1
    states, and a path is a walk through them, one frame a step, by 0, 1 or 2 states. Two are
    allowed onto a label that differs from the one before: leaving the blank out between equal ones
    would make one label of them.

    Forward      ℓ = −log P,  P = Σ_π Πₜ pₜ(πₜ)
                 αₜ(s): the probability of all walks up to frame t that are in state s there
                     α₁(1) = p₁(−),  α₁(2) = p₁(y₁),  0 elsewhere
                     αₜ(s) = pₜ(l_s) (αₜ₋₁(s) + αₜ₋₁(s−1) + [l_s ≠ l_s₋₂] αₜ₋₁(s−2))
                 P = α_T(L) + α_T(L−1): a walk ends in the last blank or the last label
    Backward     βₜ(s): the probability of all that may follow frame t from state s
                     β_T(L) = β_T(L−1) = 1,  0 elsewhere
                     βₜ(s) = Σ_s′ βₜ₊₁(s′) pₜ₊₁(l_s′),  s′ = s, s+1, and s+2 if l_s₊₂ ≠ l_s
                 At any frame t every walk is in one state, so P = Σ_s αₜ(s) βₜ(s), and pₜ(k) is a
                 factor of just those terms in which l_s is class k, once in each:
                     ∂P/∂pₜ(k) = Σ_{s: l_s = k} αₜ(s) βₜ(s) / pₜ(k)
                 With ∂p/∂(log p) = p and ∂ℓ/∂P = −1/P that is
                     dℓ/d(log pₜ(k)) = −γₜ(k),  γₜ(k) = Σ_{s: l_s = k} αₜ(s) βₜ(s) / P
                 γ is the probability of class k at frame t, given the target. Behind `LogSoftmax`
                 the gradient of the scores is p − γ: prediction minus target, where the target is
                 what the loss itself expects of each frame.
    Shapes       prediction (N, T, C), log-probabilities; in `Padded` each row has frames of its own
                 target (N, S) integers, −1 after a row's last label; or `Padded`
    Args         blank: the class that stands for no label (default 0)
                 reduction: "mean" (of ℓ/S, ℓ over the number of labels; default), "sum" or "none"
                 zero_infinity: whether rows with too few frames for their target, whose ℓ is ∞,
                 count 0 (default False)
    Raises       TypeError: when labels are not integers
                 ValueError: for a label out of range, or the blank; for one that follows a −1; for
                 other shapes; for weights that differ from frame to frame of a row
    Source       Graves et al. 2006, equations 6 to 15 (their β has pₜ(l_s) as a factor as well)

    Probabilities of many frames are too small for floats: all of it is computed in logarithms, and
    in double precision, as differences of large logarithms decide. PyTorch's gradient is p − γ
    already; `LogSoftmax` makes the same of both.

        labels = nn.pad_sequences([[3, 1, 1], [2]], value=-1).data
        loss(log_p, labels)
    """

    _lengths: np.ndarray | None = None  # (N,) frames, of the call that runs, or of the last one

    def __init__(
        self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        log_p, share = ("(log P)", " / S") if self.reduction == "mean" else ("log P", "")
        return {
            "forward": f"ℓ = −{log_p}{share},  P = α_T(2S+1) + α_T(2S),  "
            "α_t(s) = p_t(l_s) (α_{t−1}(s) + α_{t−1}(s−1) + [l_s ≠ l_{s−2}] α_{t−1}(s−2))",
            "prediction": f"dℓ/d(log p) = −γ{share},  "
            "γ_t(k) = Σ_{s: l_s = k} α_t(s) β_t(s) / P,  "
            "β_t(s) = Σ_{s′ = s, s+1, and s+2 if l_{s+2} ≠ l_s} β_{t+1}(s′) p_{t+1}(l_{s′})",
        }

    def __call__(
        self, prediction: Any, target: Any, sample_weight: np.ndarray | None = None
    ) -> Any:
        """As of every loss; weights (N, T), as padding makes them, say where frames end."""
        prediction, sample_weight = masked(prediction, sample_weight)
        self._lengths = None
        if sample_weight is not None:
            weight = as_array(f"{self!r}: sample_weight", sample_weight)
            of_frames = weight.shape == getattr(prediction, "shape", ())[:2]
            if weight.ndim == 2 and of_frames and weight.dtype.kind in "fiub":
                self._lengths, sample_weight = self._frames(weight)
        return super().__call__(prediction, target, sample_weight)

    def check(self, prediction: np.ndarray, target: Any) -> np.ndarray:
        """Labels in range, (N, S), with −1 where there are none."""
        if isinstance(target, Padded):
            target = np.where(target.mask, target.data, np.int64(-1))  # not 255 for uint8
        target = self.check_arrays(prediction, target)
        if prediction.ndim != 3 or target.ndim != 2 or len(prediction) != len(target):
            raise ValueError(
                f"{self!r}: expected log-probabilities (N, T, C) and labels (N, S), got "
                f"{prediction.shape} and {target.shape}"
            )
        if target.dtype.kind not in "iu":
            raise TypeError(
                f"{self!r}: labels must be integers, got dtype {target.dtype}; "
                "convert with y.astype(np.int64)"
            )
        classes = prediction.shape[-1]
        if not self.blank < classes:
            raise ValueError(f"{self!r}: blank is class {self.blank} of {classes}, counted from 0")
        there = target != -1
        wrong = (target < -1) | (target >= classes) | (target == self.blank)
        wrong[:, 1:] |= there[:, 1:] & ~there[:, :-1]
        if wrong.any():
            row, place = (int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"{self!r}: row {row} has label {target[row, place]} at place {place}; labels are "
                f"0 … {classes - 1} but for the blank {self.blank}, and after the last one of a "
                "row −1 up to the end"
            )
        return target

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        batch, frames, _ = prediction.shape
        lengths = np.full(batch, frames) if self._lengths is None else self._lengths
        labels = (target >= 0).sum(axis=1)  # S, (N,)
        states = np.full((batch, 2 * target.shape[1] + 1), self.blank)  # l, (N, L)
        states[:, 1::2] = np.where(target >= 0, target, self.blank)
        skips = states[:, 2:] != states[:, :-2]  # whether state s + 2 can be reached from s
        place = np.arange(states.shape[1])
        ends = (place <= 2 * labels[:, None]) & (place >= 2 * labels[:, None] - 1)
        log_p = prediction.astype(np.float64)
        log_p = np.take_along_axis(log_p, states[:, None, :], axis=2)  # log pₜ(l_s), (N, T, L)

        alpha = np.full(log_p.shape, -np.inf)  # log αₜ(s)
        alpha[:, 0, :2] = log_p[:, 0, :2]
        for t in range(1, frames):
            alpha[:, t] = log_p[:, t] + _arriving(alpha[:, t - 1], skips)
        last = alpha[np.arange(batch), lengths - 1]
        values = -np.logaddexp.reduce(np.where(ends, last, -np.inf), axis=1)  # −log P

        share = 1 / np.maximum(labels, 1) if self.reduction == "mean" else np.ones(batch)
        possible = np.isfinite(values)
        shown = np.where(possible, values, 0) if self.zero_infinity else values
        saved = prediction, states, skips, ends, lengths, log_p, alpha, values, share
        return (shown * share).astype(prediction.dtype), *saved

    def derivative(
        self,
        prediction: np.ndarray,
        states: np.ndarray,
        skips: np.ndarray,
        ends: np.ndarray,
        lengths: np.ndarray,
        log_p: np.ndarray,
        alpha: np.ndarray,
        values: np.ndarray,
        share: np.ndarray,
    ) -> np.ndarray:
        batch, frames, _ = prediction.shape
        beta = np.full(alpha.shape, -np.inf)  # log βₜ(s)
        at_end = np.where(ends, 0, -np.inf)
        for t in reversed(range(frames)):
            if t + 1 < frames:  # from state L to state 1 it is the same walk
                after = beta[:, t + 1] + log_p[:, t + 1]
                beta[:, t] = _arriving(after[:, ::-1], skips[:, ::-1])[:, ::-1]
            beta[lengths == t + 1, t] = at_end[lengths == t + 1]

        log_1_over_P = np.where(np.isfinite(values), values, 0)  # without a walk all α β are 0
        gamma = np.exp(alpha + beta + log_1_over_P[:, None, None]) * share[:, None, None]
        gradient = np.zeros(prediction.shape, prediction.dtype)
        for s in range(states.shape[1]):  # several states may be of one class
            gradient[np.arange(batch), :, states[:, s]] -= gamma[:, :, s].astype(gradient.dtype)
        return gradient

    def _frames(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(how many frames each row has, its weight), of weights (N, T) that are 0 in padding."""
        rows = weight.max(axis=1, initial=0)
        lengths = np.where(rows > 0, (weight > 0).sum(axis=1), weight.shape[1])
        within = np.arange(weight.shape[1]) < lengths[:, None]
        if not np.array_equal(weight, rows[:, None] * within):
            raise ValueError(
                f"{self!r}: sample_weight {weight.shape} must be the same for all frames of a row; "
                "give one for each row"
            )
        return lengths, rows


def _arriving(before: np.ndarray, skips: np.ndarray) -> np.ndarray:
    """log of what comes into each state, (N, L), from itself, from one before and from two before.

    Args:
        before: log-probabilities of the states at the frame before, (N, L).
        skips: whether there is a way from state s to s + 2, (N, L − 2).
    """
    total = before.copy()
    total[:, 1:] = np.logaddexp(total[:, 1:], before[:, :-1])
    total[:, 2:] = np.logaddexp(total[:, 2:], np.where(skips, before[:, :-2], -np.inf))
    return total
