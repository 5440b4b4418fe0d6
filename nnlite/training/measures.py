"""What is measured over many batches: the loss, its terms, and the metrics."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.forms import ANYTHING, REAL, SUM, Maybe, Table, check_form
from nnlite.core.padded import masked
from nnlite.core.ranks import Ranks
from nnlite.core.terms import loss_terms
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalty
from nnlite.losses.several import Losses
from nnlite.metrics import Metric, OutputMetric
from nnlite.training.history import as_number

FORM = {
    "total": REAL,
    "weight": SUM,
    "terms": Maybe(Table(REAL)),  # older files have none
    "metrics": Table(ANYTHING),
    "parts": Maybe(Table({"total": REAL, "weight": SUM, "share": REAL})),
}


def term_names(model: Layer, penalties: Sequence[Penalty]) -> list[str]:
    """The names of what layers and penalties add to the loss, each once: columns of the history."""
    layers = [layer.term for layer in model.named_layers().values() if layer.term]
    return list(dict.fromkeys([*layers, *(penalty.name for penalty in penalties)]))


class Measured(NamedTuple):
    """What one batch gave.

    Attributes:
        value: what `loss` returned: the loss without its terms.
        loss: the loss, which has the divisor of this batch.
        prediction, y, weight: prediction and weights without padding, and the targets.
        terms: what layers and penalties add to the loss.
        counted: whether metrics count these rows; not where another rank has the same.
    """

    value: float
    loss: Loss
    prediction: Any
    y: Any
    weight: np.ndarray | None
    terms: loss_terms
    counted: bool = True


class Measures:
    """The loss, Σ L D / Σ D with each batch's loss L and divisor D, and metrics, over batches.

    What layers and penalties add to the loss is in it, and is summed by name besides. Of a sum of
    losses each part is averaged so, by its own divisor, and the loss is their sum.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self._total = self._weight = 0.0
        self._terms: dict[str, float] = {}
        self._parts: dict[str, dict[str, float]] = {}  # of several losses, each one's sums

    def reset(self) -> None:
        """Forget all batches."""
        self._total = self._weight = 0.0
        self._terms = {}
        self._parts = {}
        for metric in self.metrics:
            metric.reset()

    def add(
        self,
        value: float,
        loss: Loss,
        prediction: Any,
        y: Any,
        weight: np.ndarray | None,
        terms: loss_terms | None = None,
        counted: bool = True,
    ) -> None:
        """Add a batch, as `Measured` describes it (default: without terms).

        Metrics are given what the loss counts, and read it as the loss does.
        """
        if terms is not None and terms.values:
            value += terms.total
            for name, term in terms.values.items():
                self._terms[name] = self._terms.get(name, 0.0) + term * loss.denominator
        self._total += value * loss.denominator
        self._weight += loss.denominator
        metrics = self.metrics if counted else ()
        if isinstance(loss, Losses):
            self._add_parts(metrics, loss, prediction, y, weight)
        elif metrics:
            self._update(metrics, loss, prediction, y, weight)

    def _add_parts(
        self,
        metrics: Sequence[Metric],
        loss: Losses,
        prediction: Any,
        y: Any,
        weight: np.ndarray | None,
    ) -> None:
        """Add a batch to each loss's sums, and each output to its metrics."""
        outputs = zip(loss.parts.items(), loss.values, loss.part_weights, strict=True)
        for number, ((name, part), value, share) in enumerate(outputs):
            sums = self._parts.setdefault(name, {"total": 0.0, "weight": 0.0, "share": 1.0})
            sums["total"] += value * part.denominator
            sums["weight"] += part.denominator
            sums["share"] = float(share)
            own = [m for m in metrics if isinstance(m, OutputMetric) and m.output == name]
            if own:
                p, w = masked(prediction[number], weight)
                self._update(own, part, p, y[number], w)
        for metric in metrics:
            if not isinstance(metric, OutputMetric):
                metric.update(prediction, y, weight)

    def _update(
        self,
        metrics: Sequence[Metric],
        loss: Loss,
        prediction: Any,
        y: np.ndarray,
        weight: np.ndarray | None,
    ) -> None:
        prediction, y, weight = loss.for_metrics(prediction, y, weight)
        if len(y) == 0:  # all rows are ignored
            return
        for metric in metrics:
            metric.follow(loss.multi_label, loss.decision_threshold)
            metric.update(prediction, y, weight)

    def loss(self) -> float:
        """The loss since `reset`."""
        if self._parts:
            means = self._means()
            total = sum(sums["share"] * means[name] for name, sums in self._parts.items())
            return total + sum(self._mean_terms().values())
        return self._total / self._weight if self._weight else 0.0

    def results(self) -> dict[str, Any]:
        """Loss, those of several outputs, terms and metrics since `reset`."""
        parts = {f"{name}_loss": mean for name, mean in self._means().items()}
        metrics = {m.name: as_number(m.result()) for m in self.metrics}
        return {"loss": self.loss(), **parts, **self._mean_terms(), **metrics}

    def _mean_terms(self) -> dict[str, float]:
        """What each term adds to the loss."""
        weight = self._weight
        return {name: v / weight if weight else 0.0 for name, v in self._terms.items()}

    def _means(self) -> dict[str, float]:
        """Each loss's mean, of several."""
        return {
            name: sums["total"] / sums["weight"] if sums["weight"] else 0.0
            for name, sums in self._parts.items()
        }

    def gather(self, ranks: Ranks) -> None:
        """Move what metrics have gathered on other ranks to rank 0; the loss is known to all."""
        if not self.metrics:
            return
        states = ranks.gather([metric.state_dict() for metric in self.metrics])
        if states is None:
            for metric in self.metrics:
                metric.reset()
            return
        for others in states[1:]:
            for metric, state in zip(self.metrics, others, strict=True):
                metric.merge(state)

    def fresh(self) -> Measures:
        """Others of the same kind, so that measuring there leaves these as they are."""
        other = Measures(copy.deepcopy(self.metrics))
        other.reset()
        return other

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        metrics = {metric.name: metric.state_dict() for metric in self.metrics}
        sums = {"total": self._total, "weight": self._weight, "terms": dict(self._terms)}
        parts = {"parts": copy.deepcopy(self._parts)} if self._parts else {}
        return {**sums, **parts, "metrics": metrics}

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse what `load_state_dict` cannot take over.

        Raises:
            TypeError, ValueError: when something is missing, or of another kind.
        """
        check_form("measures", state, FORM)
        names = [metric.name for metric in self.metrics]
        if list(state["metrics"]) != names:
            raise ValueError(f"it holds the metrics {list(state['metrics'])}, not {names}")
        taken = {"loss", *names} & set(state.get("terms", {}))
        if taken:
            raise ValueError(f"it holds terms named {sorted(taken)}, which are other columns")
        for metric in self.metrics:
            metric.check_state_dict(state["metrics"][metric.name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned for the same metrics."""
        self._total, self._weight = state["total"], state["weight"]
        self._terms = dict(state.get("terms", {}))
        self._parts = copy.deepcopy(state.get("parts", {}))
        for metric in self.metrics:
            metric.load_state_dict(state["metrics"][metric.name])
