"""Metrics of classifiers, which read scores and targets in one of two ways.

- *Classes.* Scores (N, …, C) stand against integer classes (N, …), or against rows (N, …, C),
  one-hot or soft, whose class is the largest entry. The highest score is the predicted class.
- *Labels.* Every score stands by itself against a target of its own, in the same shape: C labels
  on the last axis of (N, …, C), and one label for (N,) and (N, 1). A score above `threshold`
  predicts the label, a target above 1/2 has it.

In a Trainer, the loss says which (`Loss.multi_label`, `Loss.decision_threshold`). Alone, single
scores are a label and others are of classes, unless `multi_label=True`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.forms import SUM, Array, check_form
from nnlite.metrics.base import Mean, Metric, numbers, spread
from nnlite.ops.ranks import ranks

IGNORED = -100  # as the default `ignore_index` of the losses

LABEL_COUNTS = ("rightly absent", "false alarm", "missed", "found")  # of (absent, there)²

Read = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # two that belong together, and weights


class Following(Metric):
    """A metric that remembers how the Trainer's loss reads targets."""

    _loss_reads: tuple[bool | None, float | None] = (None, None)  # multi_label and threshold

    def follow(self, multi_label: bool | None, threshold: float | None) -> None:
        """Take both for what the metric's own options leave open."""
        self._loss_reads = multi_label, threshold

    def state_dict(self) -> dict[str, Any]:
        """What was gathered so far; the loss is not part of it."""
        state = super().state_dict()
        state.pop("_loss_reads", None)
        return state


class Reading(Following):
    """What tells classes from labels: the metric's own options, or the Trainer's loss.

    Args:
        multi_label: whether targets in the scores' shape are labels, each by itself (True), or
            rows of one class each (False). Default None: as the Trainer's loss says; alone False,
            and the rows must be one-hot or sum to 1.
        ignore_index: a target that marks what to leave out (default −100). In a Trainer, what the
            loss ignores is left out before.
    """

    def __init__(self, multi_label: bool | None = None, ignore_index: int = IGNORED) -> None:
        self.multi_label = multi_label
        self.ignore_index = ignore_index
        self.reset()

    def read(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None
    ) -> Read:
        """(scores, actual, weights or None), without what is ignored.

        Of classes (R, C), (R,) and (R,); of labels all of them (R, C), or (R,) of a single one.

        Raises:
            TypeError, ValueError: names the metric, when shapes or targets do not fit.
        """
        prediction = numbers(self, "prediction", prediction)
        target = numbers(self, "target", target)
        multi_label = self._loss_reads[0] if self.multi_label is None else self.multi_label
        if multi_label or is_single(prediction):
            return read_labels(self, prediction, target, sample_weight, self.ignore_index)
        if multi_label is None and target.shape == prediction.shape:
            check_rows(self, target, sample_weight, "for labels set multi_label=True")
        return read_classes(self, prediction, target, sample_weight, self.ignore_index)


class ClassMetric(Reading):
    """What metrics of classifiers share that look at the class that a score decides for.

    Args:
        threshold: the score above which a label is predicted (default None: as the Trainer's
            loss says; alone 0, for logits; probabilities need 0.5).
        multi_label: whether targets in the scores' shape are labels, each by itself (True), or
            rows of one class each (False). Default None: as the Trainer's loss says; alone False,
            and the rows must be one-hot or sum to 1.
        ignore_index: a target that marks what to leave out (default −100). In a Trainer, what the
            loss ignores is left out before.
    """

    def __init__(
        self,
        threshold: float | None = None,
        multi_label: bool | None = None,
        ignore_index: int = IGNORED,
    ) -> None:
        self.threshold = threshold
        super().__init__(multi_label, ignore_index)

    def decide(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[Read, int]:
        """((predicted, actual, weights), C): classes (R,) out of C, or flags (R, C) of C labels.

        A single label is two classes, False and True.

        Raises:
            TypeError, ValueError: names the metric, when shapes or targets do not fit.
        """
        scores, actual, weight = self.read(prediction, target, sample_weight)
        if scores.shape != actual.shape:  # one class per row
            return (scores.argmax(axis=-1), actual, weight), scores.shape[1]
        threshold = self._loss_reads[1] if self.threshold is None else self.threshold
        guess = scores > (0.0 if threshold is None else threshold)
        return (guess, actual, weight), scores.shape[1] if scores.ndim > 1 else 2


class Accuracy(ClassMetric, Mean):
    """The share of rows whose class is right; of labels, the share of them that are right.

    Args:
        threshold, multi_label, ignore_index: how to read, see `ClassMetric`.
    """

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        (guess, actual, weight), _ = self.decide(prediction, target, sample_weight)
        self._add(guess == actual, weight)


class TopKAccuracy(Following, Mean):
    """The share of rows whose class is among the k highest scores.

    Args:
        k: how many scores count (default 5).
        ignore_index: a class that marks rows to leave out (default −100).
    """

    def __init__(self, k: int = 5, ignore_index: int = IGNORED) -> None:
        super().__init__()
        self.k = k
        self.ignore_index = ignore_index

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        prediction = numbers(self, "prediction", prediction)
        target = numbers(self, "target", target)
        if is_single(prediction):
            raise ValueError(f"{self!r}: expected scores (N, …, C), got shape {prediction.shape}")
        if self._loss_reads[0] is not False and target.shape == prediction.shape:
            check_rows(self, target, sample_weight, "it needs one class per row")
        scores, actual, weight = read_classes(
            self, prediction, target, sample_weight, self.ignore_index
        )
        self._add(ranks(scores, actual) < self.k, weight)


class ConfusionMatrix(ClassMetric):
    """How often each class (row) was taken for each class (column), an array (C, C).

    Of C > 1 labels, one such matrix (absent, there) for each, an array (C, 2, 2).

    Args:
        threshold, multi_label, ignore_index: how to read, see `ClassMetric`.

    `plot` draws them, and a notebook shows them:

        matrix = nn.ConfusionMatrix()
        matrix.update(model.predict(x_test), y_test)
        matrix.plot()
    """

    remembers: ClassVar = {"_counts": Array("f", axes=(2, 3))}

    def reset(self) -> None:
        self._counts = np.zeros((0, 0))

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        (guess, actual, weight), classes = self.decide(prediction, target, sample_weight)
        # as numbers: flags would pick rows instead of counting as 0 and 1
        place = tuple(taken.astype(np.intp, copy=False) for taken in (actual, guess))
        one = 1.0 if weight is None else weight
        if guess.ndim == 1:
            self._counts = sized(self, self._counts, (classes, classes))
            np.add.at(self._counts, place, one)
        else:
            self._counts = sized(self, self._counts, (classes, 2, 2))
            np.add.at(self._counts, (np.arange(classes), *place), one)

    def merge(self, state: dict[str, Any]) -> None:
        counts = state["_counts"]
        if counts.size:
            self._counts = sized(self, self._counts, counts.shape) + counts

    def result(self) -> np.ndarray:
        """The counts (sums of weights, where weights were given)."""
        return self._counts.copy()

    @checked
    def plot(
        self,
        ax: Any = None,
        path: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Draw the counts, coloured by the share of their row; needs matplotlib.

        Of labels there is a row for each, with what was rightly and wrongly said of it.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
            class_names: of the classes or labels (default None: their numbers).

        Raises:
            ValueError: when nothing was counted yet, or there is not a name for each class.
        """
        from nnlite.plotting.canvas import canvas
        from nnlite.plotting.drawings import draw_counts

        if not self._counts.size:
            raise ValueError(
                "ConfusionMatrix.plot: nothing was counted yet; call "
                "update(model.predict(x), y) first"
            )
        size = 4.2 + 0.22 * min(len(self._counts), 16)
        rows, columns, counts = self._laid_out(class_names)
        with canvas(ax, path, (size + 0.6, size)) as axes:
            if self._counts.ndim == 2:
                draw_counts(axes, counts, rows, columns, ("predicted class", "actual class"))
            else:
                draw_counts(axes, counts, rows, columns, ("", "label"))

    def _repr_html_(self) -> str:
        """In a notebook: the counts, shaded by the share of their row."""
        from nnlite.core.tables import html_lines, html_table

        if not self._counts.size:
            return html_lines([repr(self)])
        rows, columns, counts = self._laid_out(None)
        cells = [[f"{count:.4g}" for count in row] for row in counts]
        table = [
            ["actual", *columns],
            *([name, *row] for name, row in zip(rows, cells, strict=True)),
        ]
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
        return html_lines([repr(self)], "strong") + html_table(table, shades=shares.tolist())

    def _laid_out(
        self, class_names: Sequence[str] | None
    ) -> tuple[Sequence[str], Sequence[str], np.ndarray]:
        """The names of rows and columns, and the counts: (C, C), or (C, 4) of C labels."""
        counts = self._counts
        names = [str(c) for c in range(len(counts))] if class_names is None else class_names
        if len(names) != len(counts):
            raise ValueError(
                f"ConfusionMatrix.plot: class_names must be {len(counts)} names, got {len(names)}"
            )
        if counts.ndim == 2:
            return names, names, counts
        return names, LABEL_COUNTS, counts.reshape(len(counts), 4)


class _PerClass(ClassMetric):
    """A share per class, or per label, and the average over them.

    - "auto": of two classes, or of a single label, the share of class 1 ("binary" in
      scikit-learn). Of more, or of labels, the mean over those that occur in targets or
      predictions.
    - "macro", "weighted", "micro": as scikit-learn defines them. The mean over classes that occur,
      or over all labels; the mean weighted by how often each is really there; the share of all
      counted together.

    A share that is not defined (0/0) counts as 0.

    Args:
        threshold, multi_label, ignore_index: how to read, see `ClassMetric`.
        average: which of them (default "auto").
    """

    remembers: ClassVar = {"_tally": Array("f", axes=(2,)), "_weight": SUM}

    def __init__(
        self,
        threshold: float | None = None,
        multi_label: bool | None = None,
        ignore_index: int = IGNORED,
        average: Literal["auto", "macro", "micro", "weighted"] = "auto",
    ) -> None:
        self.average = average
        super().__init__(threshold, multi_label, ignore_index)

    @property
    def name(self) -> str:
        """The key in histories; an average that was asked for stands in it: f1_macro."""
        return super().name if self.average == "auto" else f"{super().name}_{self.average}"

    def reset(self) -> None:
        self._tally = np.zeros((3, 0))  # hits, taken, there of each class
        self._weight = 0.0
        self._of_labels = False

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        (guess, actual, weight), classes = self.decide(prediction, target, sample_weight)
        if guess.ndim == 2:
            flags = np.array([guess & actual, guess, actual])  # (3, R, C)
            tally = (flags if weight is None else flags * weight).sum(axis=1, dtype=float)
        else:
            right = guess == actual
            tally = np.empty((3, classes))
            tally[0] = np.bincount(guess, right if weight is None else right * weight, classes)
            tally[1] = np.bincount(guess, weight, classes)
            tally[2] = np.bincount(actual, weight, classes)
            tally = self._asked_for(tally)
        self._tally = sized(self, self._tally, tally.shape) + tally
        self._weight += guess.size if weight is None else float(weight.sum(dtype=float))
        self._of_labels = guess.ndim == 2

    def merge(self, state: dict[str, Any]) -> None:
        tally = state["_tally"]
        if tally.size:
            self._tally = sized(self, self._tally, tally.shape) + tally
            self._weight += state["_weight"]
            self._of_labels = state["_of_labels"]

    def _asked_for(self, tally: np.ndarray) -> np.ndarray:
        """The classes (3, C) that the average is over: of two, class 1 alone unless told."""
        return tally[:, 1:] if self.average == "auto" and tally.shape[1] == 2 else tally

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        """The share of each class, given what was rightly found, taken for it, really there."""
        raise NotImplementedError

    def result(self) -> float:
        """The average; NaN as long as nothing counts."""
        if not self._weight:
            return float("nan")
        if self.average == "micro":
            return float(self.share(*self._tally.sum(axis=1)))
        hits, taken, there = self._tally
        share = self.share(hits, taken, there)
        if self.average == "weighted":
            return float((share * there).sum() / there.sum()) if there.any() else 0.0
        if self.average == "auto" or not self._of_labels:
            share = share[taken + there > 0]
        return float(share.mean()) if share.size else 0.0

    def check_state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state as it will be taken over.

        That of older files was a confusion matrix (C, C); later ones did not tell labels apart.
        """
        if isinstance(state, dict) and "_counts" in state:
            counts = state["_counts"]
            check_form(f"{self!r}: the state's '_counts'", counts, Array("f", axes=(2,)))
            if counts.shape[0] != counts.shape[1]:
                raise ValueError(f"{self!r}: its counts are no square, but {counts.shape}")
            tally = np.array([counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)])
            state = {"_tally": self._asked_for(tally), "_weight": float(counts.sum())}
        if isinstance(state, dict):
            state = {"_of_labels": False, **state}
        state = super().check_state_dict(state)
        if len(state["_tally"]) != 3:
            raise ValueError(f"{self!r}: its tally must be (3, C), got {state['_tally'].shape}")
        return state


class Precision(_PerClass):
    """Of what was taken for a class, the share that is of it.

    With two classes that of class 1, with more, or with labels, the mean over them; those that
    occur neither in targets nor in predictions are left out. `average` asks for another.

    Args:
        threshold, multi_label, ignore_index: how to read, see `ClassMetric`.
        average: "macro", "micro" or "weighted", as scikit-learn defines them: the mean over classes
            that occur, or over all labels; that of all counted together; the mean weighted by how
            often each is there. What is 0/0 counts as 0. Default "auto": as above.
    """

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        return _ratio(hits, taken)


class Recall(_PerClass):
    """Of what is of a class, the share that was found.

    With two classes that of class 1, with more, or with labels, the mean over them; those that
    occur neither in targets nor in predictions are left out. `average` asks for another.

    Args:
        threshold, multi_label, ignore_index: how to read, see `ClassMetric`.
        average: "macro", "micro" or "weighted", as scikit-learn defines them: the mean over classes
            that occur, or over all labels; that of all counted together; the mean weighted by how
            often each is there. What is 0/0 counts as 0. Default "auto": as above.
    """

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        return _ratio(hits, there)


class F1(_PerClass):
    """The harmonic mean of precision and recall, 2 hits / (taken + there).

    With two classes that of class 1, with more, or with labels, the mean over them; those that
    occur neither in targets nor in predictions are left out. `average` asks for another.

    Args:
        threshold, multi_label, ignore_index: how to read, see `ClassMetric`.
        average: "macro", "micro" or "weighted", as scikit-learn defines them: the mean over classes
            that occur, or over all labels; that of all counted together; the mean weighted by how
            often each is there. What is 0/0 counts as 0. Default "auto": as above.
    """

    def share(self, hits: np.ndarray, taken: np.ndarray, there: np.ndarray) -> np.ndarray:
        return _ratio(2 * hits, taken + there)


def is_single(prediction: np.ndarray) -> bool:
    """Whether there is one score per row instead of one per class."""
    return prediction.ndim < 2 or prediction.shape[-1] == 1


def check_rows(
    metric: Metric, target: np.ndarray, sample_weight: np.ndarray | None, hint: str
) -> None:
    """Refuse rows (N, …, C) that are neither one-hot nor shares of one class each.

    Raises:
        ValueError: names the metric and the first such row, unless it weighs 0.
    """
    wrong = ~(np.abs(target.sum(axis=-1) - 1) < 1e-3) | ~(target.min(axis=-1) >= 0)
    weight = spread(metric, sample_weight, wrong.shape)
    if weight is not None:
        wrong &= weight > 0
    if wrong.any():
        row = target[tuple(np.argwhere(wrong)[0])]
        raise ValueError(
            f"{metric!r}: target rows {target.shape} must be one-hot or sum to 1, got one that "
            f"sums to {row.sum():.4g}; {hint}"
        )


def read_classes(
    metric: Metric,
    prediction: np.ndarray,
    target: np.ndarray,
    sample_weight: np.ndarray | None,
    ignore_index: int,
) -> Read:
    """(scores (R, C), classes (R,), weights (R,) or None), without ignored rows.

    Raises:
        ValueError: names the metric, when shapes or classes do not fit.
    """
    classes = prediction.shape[-1]
    scores = prediction.reshape(-1, classes)
    if target.shape == prediction.shape:
        weight = spread(metric, sample_weight, target.shape[:-1])
        actual = target.argmax(axis=-1).ravel()
        return scores, actual, None if weight is None else weight.ravel()
    if target.shape != prediction.shape[:-1]:
        raise _misfit(metric, prediction, target)
    weight = spread(metric, sample_weight, target.shape)
    weight = None if weight is None else weight.ravel()
    actual = target.ravel().astype(np.int64, copy=False)
    if target.dtype.kind not in "iub" and not np.array_equal(actual, target.ravel()):
        raise ValueError(f"{metric!r}: classes must be whole numbers, got {target.dtype} values")
    if 0 <= ignore_index < classes or not _within(actual, classes - 1):
        kept = actual != ignore_index
        scores, actual = scores[kept], actual[kept]
        weight = None if weight is None else weight[kept]
        if not _within(actual, classes - 1):
            raise ValueError(
                f"{metric!r}: targets from {actual.min()} to {actual.max()} are not classes "
                f"0 … {classes - 1}"
            )
    return scores, actual, weight


def read_labels(
    metric: Metric,
    prediction: np.ndarray,
    target: np.ndarray,
    sample_weight: np.ndarray | None,
    ignore_index: int,
) -> Read:
    """(scores (R, C), flags, weights or None), all (R,) of a single label; ignored ones weigh 0.

    Raises:
        ValueError: names the metric, when shapes or targets do not fit.
    """
    if target.shape != prediction.shape:
        raise _misfit(metric, prediction, target)
    weight = spread(metric, sample_weight, target.shape)
    if ignore_index in (0, 1) or not _within(target, 1):
        kept = target != ignore_index
        weight = kept.astype(np.float64) if weight is None else weight * kept
        if not _within(target[kept], 1):
            low, high = target[kept].min(), target[kept].max()
            raise ValueError(
                f"{metric!r}: labels must be 0 and 1, or between, got {low:.4g} to {high:.4g}"
            )
    rows = (-1,) if is_single(prediction) else (-1, prediction.shape[-1])
    weight = None if weight is None else weight.reshape(rows)
    return prediction.reshape(rows), (target > 0.5).reshape(rows), weight


def sized(metric: Metric, counts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The counts so far, or zeros before the first batch.

    Raises:
        ValueError: names the metric, when there were other classes before.
    """
    if counts.size == 0:
        return np.zeros(shape)
    if counts.shape != shape:
        raise ValueError(
            f"{metric!r}: the number of classes is another than in the batches before (counts "
            f"{shape}, before {counts.shape}); call reset() in between"
        )
    return counts


def _within(values: np.ndarray, high: int) -> bool:
    """Whether all lie in [0, high]; NaN does not."""
    # argmin and argmax find both ends in a fraction of the time that min and max take
    return values.size == 0 or (
        values.item(values.argmin()) >= 0 and values.item(values.argmax()) <= high
    )


def _misfit(metric: Metric, prediction: np.ndarray, target: np.ndarray) -> ValueError:
    return ValueError(
        f"{metric!r}: predictions {prediction.shape} do not fit targets {target.shape}: "
        "expected integer classes without the last axis, or rows of the same shape"
    )


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros(np.shape(top)), where=bottom > 0)
