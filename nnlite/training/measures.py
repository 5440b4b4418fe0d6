"""What is measured over many batches: the loss, its terms, and the metrics."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.forms import ANYTHING, REAL, SUM, Maybe, Table, check_form
from nnlite.core.terms import loss_terms
from nnlite.losses.base import Loss
from nnlite.metrics import Metric
from nnlite.training.history import as_number

FORM = {
    "total": REAL,
    "weight": SUM,
    "terms": Maybe(Table(REAL)),  # older files have none
    "metrics": Table(ANYTHING),
}


class Measured(NamedTuple):
    """What one batch gave.

    Attributes:
        value: what `loss` returned: the loss without its terms.
        loss: the loss, which has the divisor of this batch.
        prediction, y, weight: prediction and weights without padding, and the targets.
        terms: what layers and penalties add to the loss.
    """

    value: float
    loss: Loss
    prediction: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    terms: loss_terms


class Measures:
    """The loss, Σ L D / Σ D with each batch's loss L and divisor D, and metrics, over batches.

    What layers and penalties add to the loss is in it, and is summed by name besides.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self._total = self._weight = 0.0
        self._terms: dict[str, float] = {}

    def reset(self) -> None:
        """Forget all batches."""
        self._total = self._weight = 0.0
        self._terms = {}
        for metric in self.metrics:
            metric.reset()

    def add(
        self,
        value: float,
        loss: Loss,
        prediction: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        terms: loss_terms | None = None,
    ) -> None:
        """Add a batch, as `Measured` describes it (default: without terms).

        Metrics are given what the loss counts, and read it as the loss does.
        """
        if terms is not None:
            value += terms.total
            for name, term in terms.values.items():
                self._terms[name] = self._terms.get(name, 0.0) + term * loss.denominator
        self._total += value * loss.denominator
        self._weight += loss.denominator
        if not self.metrics:
            return
        prediction, y, weight = loss.for_metrics(prediction, y, weight)
        if len(y) == 0:  # all rows are ignored
            return
        for metric in self.metrics:
            metric.follow(loss.multi_label, loss.decision_threshold)
            metric.update(prediction, y, weight)

    def loss(self) -> float:
        """The loss since `reset`."""
        return self._total / self._weight if self._weight else 0.0

    def results(self) -> dict[str, Any]:
        """Loss, terms and metrics since `reset`."""
        weight = self._weight
        terms = {name: v / weight if weight else 0.0 for name, v in self._terms.items()}
        metrics = {m.name: as_number(m.result()) for m in self.metrics}
        return {"loss": self.loss(), **terms, **metrics}

    def fresh(self) -> Measures:
        """Others of the same kind, so that measuring there leaves these as they are."""
        other = Measures(copy.deepcopy(self.metrics))
        other.reset()
        return other

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        metrics = {metric.name: metric.state_dict() for metric in self.metrics}
        sums = {"total": self._total, "weight": self._weight, "terms": dict(self._terms)}
        return {**sums, "metrics": metrics}

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
        for metric in self.metrics:
            metric.load_state_dict(state["metrics"][metric.name])
