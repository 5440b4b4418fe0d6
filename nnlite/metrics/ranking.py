"""Areas under curves, which ask how well scores rank; they need all scores at once.

Going down the scores, the threshold passes the distinct ones s₁ > s₂ > … . At each, with weights w,

    hits(s) = Σ w [score ≥ s, there]        misses(s) = Σ w [score ≥ s, not there]

so that rows of equal scores enter together, and their order does not matter.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Literal

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.forms import Array
from nnlite.metrics.classification import IGNORED
from nnlite.metrics.probabilities import ProbabilityMetric
from nnlite.ops.softmax import log_softmax

Average = Literal["macro", "micro", "weighted"]


class RankingMetric(ProbabilityMetric):
    """What areas under curves share: every score is kept until `result` sorts them.

    Of C > 2 classes each is taken against all others, by its probability ("one versus rest"), and
    of labels each is taken by itself; two classes, or a single label, are one area.

    Args:
        average: how to make one number of several areas (default "macro").
        from_logits, multi_label, ignore_index: how to read, see `ProbabilityMetric`.
    """

    axis_labels: ClassVar[tuple[str, str]]  # of the plot
    remembers: ClassVar = {
        "_scores": Array("f", axes=(1, 2)),
        "_actual": Array("iub", axes=(1, 2)),
        "_weights": Array("f", axes=(1, 2)),
    }

    def __init__(
        self,
        average: Average = "macro",
        from_logits: bool | None = None,
        multi_label: bool | None = None,
        ignore_index: int = IGNORED,
    ) -> None:
        self.average = average
        super().__init__(from_logits, multi_label, ignore_index)

    @property
    def name(self) -> str:
        """The key in histories; an average other than "macro" stands in it: auroc_micro."""
        return super().name if self.average == "macro" else f"{super().name}_{self.average}"

    def reset(self) -> None:
        self._batches: list[tuple[np.ndarray, ...]] = []

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        (scores, actual, weight), logits = self.read_scores(prediction, target, sample_weight)
        if len(scores) == 0:
            return
        dtype = np.result_type(scores, np.float32)
        if scores.shape != actual.shape:
            if logits:  # logarithms rank as probabilities do, and do not round to 1
                scores = log_softmax(scores.astype(np.float64))
            if scores.shape[1] == 2:
                scores, actual = scores[:, 1], actual > 0
        weight = np.ones(actual.shape) if weight is None else weight.astype(np.float64)
        # copies, for the arrays of a batch may be used again
        self._keep(scores.astype(dtype), actual.copy(), weight)

    def merge(self, state: dict[str, Any]) -> None:
        if state["_scores"].size:
            self._keep(*(state[name] for name in self.remembers))

    def _keep(self, scores: np.ndarray, actual: np.ndarray, weight: np.ndarray) -> None:
        """Put a batch beside the others."""
        if self._batches and self._batches[0][0].shape[1:] != scores.shape[1:]:
            raise ValueError(
                f"{self!r}: the number of classes is another than in the batches before (scores "
                f"{scores.shape}, before {self._batches[0][0].shape}); call reset() in between"
            )
        self._batches.append((scores, actual, weight))

    def _kept(self) -> tuple[np.ndarray, ...]:
        """Scores, what is actual, and weights of all batches, in one array each from now on."""
        if len(self._batches) > 1:
            self._batches = [tuple(map(np.concatenate, zip(*self._batches, strict=True)))]
        return self._batches[0] if self._batches else (np.zeros(0), np.zeros(0, bool), np.zeros(0))

    def area(self, actual: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
        """The area of one label, all of shape (R,)."""
        raise NotImplementedError

    def curve(self, hits: np.ndarray, misses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the curve above that area, from what `passed` counts, neither of them none."""
        raise NotImplementedError

    def chance(self, share: float | None) -> tuple[float, float] | None:
        """The ends of the line that chance reaches where such a share is there, None for several.

        None where there is no such line.
        """
        raise NotImplementedError

    @checked
    def plot(
        self, ax: Any = None, path: str | os.PathLike[str] | None = None, label: str | None = None
    ) -> None:
        """Draw the curve, or one for each class or label; needs matplotlib.

        Several models are compared on the same axes, each with a label of its own.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
            label: of the model in the legend (default None: the metric's name, or each class's).

        Raises:
            ValueError: when nothing was gathered yet, when a score is NaN, and when each class is
                there in all rows or in none.
        """
        from nnlite.plotting.canvas import canvas, check_canvas
        from nnlite.plotting.drawings import draw_curves

        check_canvas(ax, path)
        name = f"{type(self).__name__}.plot"
        scores, actual, weights = self._kept()
        if not scores.size or np.isnan(scores).any():
            what = "a score is NaN" if scores.size else "nothing was gathered yet"
            raise ValueError(f"{name}: {what}; call update(model.predict(x), y) with scores first")
        share = None
        if scores.ndim == 1:
            each = [("", actual, scores, weights)]
            share = float(weights[actual > 0].sum() / weights.sum())
        else:
            arrays = [a.T for a in self._each_alone(actual, scores, weights)]
            each = [(f"class {c}", *one) for c, one in enumerate(zip(*arrays, strict=True))]
        curves = []
        for subject, *one in each:
            hits, misses = passed(*one)
            if hits[-1] and misses[-1]:
                model = label or ("" if subject else type(self).__name__)
                words = [model, subject, f"({self.area(*one):.3f})"]
                curves.append((*self.curve(hits, misses), " ".join(filter(None, words))))
        if not curves:
            raise ValueError(
                f"{name}: there is no curve where a class is there in all rows, or in none"
            )
        with canvas(ax, path, (5.4, 4.6)) as axes:
            draw_curves(axes, curves, self.chance(share), self.axis_labels)

    @staticmethod
    def _each_alone(
        actual: np.ndarray, scores: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All three as (R, C): of classes, each against the others."""
        if actual.ndim == 1:
            actual = actual[:, None] == np.arange(scores.shape[1])
            weights = np.broadcast_to(weights[:, None], scores.shape)
        return actual, scores, weights

    def result(self) -> float:
        """The average of the areas; NaN as long as nothing counts, and where a score is NaN."""
        scores, actual, weights = self._kept()
        if scores.size == 0 or np.isnan(scores).any():
            return float("nan")
        if scores.ndim == 1:
            return self.area(actual, scores, weights)
        actual, scores, weights = self._each_alone(actual, scores, weights)
        if self.average == "micro":
            return self.area(actual.ravel(), scores.ravel(), weights.ravel())
        there = (weights * actual).sum(axis=0)
        shares = there if self.average == "weighted" else np.ones(there.shape)
        if not shares.any():
            return 0.0
        areas = [
            self.area(actual[:, c], scores[:, c], weights[:, c]) for c in np.flatnonzero(shares)
        ]
        return float(np.average(areas, weights=shares[shares > 0]))

    def state_dict(self) -> dict[str, Any]:
        """All that is kept: three arrays."""
        return dict(zip(self.remembers, self._kept(), strict=True))

    def check_state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        state = super().check_state_dict(state)
        scores, actual, weights = (state[name] for name in self.remembers)
        classes = scores.shape[1] if scores.ndim > actual.ndim else 2
        if (
            weights.shape != actual.shape
            or actual.shape not in (scores.shape, scores.shape[:1])
            or not weights.min(initial=0) >= 0  # NaN is not
            or actual.min(initial=0) < 0
            or actual.max(initial=0) >= classes
        ):
            raise ValueError(
                f"{self!r}: scores {scores.shape}, classes or labels {actual.shape} and weights "
                f"{weights.shape} of the state do not belong together"
            )
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        state = self.check_state_dict(state)
        self._batches = []
        if state["_scores"].size:
            self._batches.append(tuple(state[name] for name in self.remembers))


class AUROC(RankingMetric):
    """Area under the ROC curve: the chance that a row that is there scores above one that is not.

    With hits P and misses N in all, the curve goes from (0, 0) through (misses/N, hits/P), and

        AUROC = Σᵢ (missesᵢ − missesᵢ₋₁) (hitsᵢ + hitsᵢ₋₁) / (2 P N)

    so that a pair with equal scores counts one half. 1 is perfect, 1/2 what chance reaches.

    Of C > 2 classes each is taken against all others by its probability ("one versus rest"), of
    labels each by itself. "macro" is the mean over them, "weighted" that weighted by how often each
    is there, and "micro" the area of all pairs of a row and a class taken together.

    It is exact, not by buckets, and equal to scikit-learn's `roc_auc_score`; so every score is kept
    until `reset`: for each row its C scores (4 bytes each in float32), and for each class index or
    label 8 bytes of weight and up to 8 of target. A million rows of ten classes in float32 are
    56 MB, in checkpoints too; `result` sorts them.

    Args:
        average: how to make one number of several areas (default "macro").
        from_logits: whether scores are logits (True) or probabilities (False), which matters for
            more than two classes. Default None: as the Trainer's loss says; alone True.
        multi_label, ignore_index: how to read, see `ClassMetric`.

    `result` is NaN where all that counts is there, or nothing is: then no pair can be ranked. With
    "macro" one such class is enough, as in scikit-learn; "weighted" leaves out what is never there.

    `plot` draws the curve.

    Source: Hanley & McNeil 1982; ties as in Fawcett 2006, "An introduction to ROC analysis".
    """

    axis_labels = ("false positive rate", "true positive rate")

    def area(self, actual: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
        hits, misses = passed(actual, scores, weights)
        pairs = hits[-1] * misses[-1]
        if not pairs:
            return float("nan")
        return float((np.diff(misses) * (hits[1:] + hits[:-1])).sum() / (2 * pairs))

    def curve(self, hits: np.ndarray, misses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return misses / misses[-1], hits / hits[-1]

    def chance(self, share: float | None) -> tuple[float, float] | None:
        return 0.0, 1.0


class AveragePrecision(RankingMetric):
    """Area under the precision-recall curve, in steps: the mean precision over what is there.

        AP = Σᵢ (recallᵢ − recallᵢ₋₁) precisionᵢ
        precision = hits / (hits + misses),  recall = hits / P

    Nothing is interpolated: straight lines between the points (a trapezoid rule) would promise
    more than any threshold gives. 1 is perfect; chance reaches the share that is there.

    Classes and labels, averages, and memory are those of `AUROC`; it is equal to scikit-learn's
    `average_precision_score`. Where nothing is there, it is 0.

    Args:
        average, from_logits, multi_label, ignore_index: see `AUROC`.

    `plot` draws the curve, its steps included.

    Source: Davis & Goadrich 2006, "The relationship between precision-recall and ROC curves".
    """

    axis_labels = ("recall", "precision")

    def area(self, actual: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
        hits, misses = passed(actual, scores, weights)
        if not hits[-1]:
            return 0.0
        precision = hits[1:] / (hits[1:] + misses[1:])
        return float((np.diff(hits) * precision).sum() / hits[-1])

    def curve(self, hits: np.ndarray, misses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        precision = hits[1:] / (hits[1:] + misses[1:])
        return np.repeat(hits / hits[-1], 2)[1:-1], np.repeat(precision, 2)

    def chance(self, share: float | None) -> tuple[float, float] | None:
        return None if share is None else (share, share)


def passed(
    actual: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(hits, misses) from 0 on, after each distinct score going down; (R,) each at most."""
    order = np.argsort(-scores, kind="stable")
    order = order[weights[order] > 0]
    actual, scores, weights = actual[order].astype(bool), scores[order], weights[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], scores.size > 0))  # of equal scores
    sums = (np.cumsum(weights * flags)[last] for flags in (actual, ~actual))
    hits, misses = (np.concatenate([[0.0], each]) for each in sums)
    return hits, misses
