"""A metric of one output of a model that has several."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.metrics.base import Metric


class OutputMetric(Metric):
    """A metric of one of several outputs: `OutputMetric("digit", Accuracy())`.

    In the history it is called after both, `digit_accuracy`. A Trainer gives it that output, its
    target, and what the loss of that output counts; see `Losses`.

    Args:
        output: the name of the output, as in `Losses`.
        metric: what to measure there.
    """

    def __init__(self, output: str, metric: Metric) -> None:
        self.output = output
        self.metric = metric

    @property
    def name(self) -> str:
        """The output's name and the metric's."""
        return f"{self.output}_{self.metric.name}"

    @property
    def larger_is_better(self) -> bool:  # type: ignore[override]
        """As the metric says."""
        return self.metric.larger_is_better

    def follow(self, multi_label: bool | None, threshold: float | None) -> None:
        self.metric.follow(multi_label, threshold)

    def reset(self) -> None:
        self.metric.reset()

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        self.metric.update(prediction, target, sample_weight)

    def result(self) -> Any:
        return self.metric.result()

    def merge(self, state: dict[str, Any]) -> None:
        self.metric.merge(state)

    def state_dict(self) -> dict[str, Any]:
        return self.metric.state_dict()

    def check_state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        return self.metric.check_state_dict(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.metric.load_state_dict(state)
