"""What is measured over many batches: the loss and the metrics."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.core.forms import ANYTHING, REAL, SUM, Table, check_form
from nnlite.losses.base import Loss
from nnlite.metrics import Metric
from nnlite.training.history import as_number

FORM = {"total": REAL, "weight": SUM, "metrics": Table(ANYTHING)}


class Measures:
    """The loss, Σ L D / Σ D with each batch's loss L and divisor D, and metrics, over batches."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self._total = self._weight = 0.0

    def reset(self) -> None:
        """Forget all batches."""
        self._total = self._weight = 0.0
        for metric in self.metrics:
            metric.reset()

    def add(
        self,
        value: float,
        loss: Loss,
        prediction: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
    ) -> None:
        """Add a batch, for which `loss` has just returned `value`.

        Metrics are given what the loss counts, and read it as the loss does.
        """
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
        """Loss and metrics since `reset`."""
        return {"loss": self.loss(), **{m.name: as_number(m.result()) for m in self.metrics}}

    def fresh(self) -> Measures:
        """Others of the same kind, so that measuring there leaves these as they are."""
        other = Measures(copy.deepcopy(self.metrics))
        other.reset()
        return other

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        metrics = {metric.name: metric.state_dict() for metric in self.metrics}
        return {"total": self._total, "weight": self._weight, "metrics": metrics}

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Refuse what `load_state_dict` cannot take over.

        Raises:
            TypeError, ValueError: when something is missing, or of another kind.
        """
        check_form("measures", state, FORM)
        names = [metric.name for metric in self.metrics]
        if list(state["metrics"]) != names:
            raise ValueError(f"it holds the metrics {list(state['metrics'])}, not {names}")
        for metric in self.metrics:
            metric.check_state_dict(state["metrics"][metric.name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned for the same metrics."""
        self._total, self._weight = state["total"], state["weight"]
        for metric in self.metrics:
            metric.load_state_dict(state["metrics"][metric.name])
