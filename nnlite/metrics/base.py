"""What metrics share: running sums, never a mean of batch means, so uneven batches are exact."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from nnlite.construction import Constructed, remembered


class Metric(Constructed):
    """A number about predictions and targets, gathered batch by batch.

    Attributes:
        larger_is_better: what callbacks that wait for an improvement go by (default True).
    """

    larger_is_better: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The key in histories: the class's name in snake_case."""
        words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
        return re.sub(words, "_", type(self).__name__).lower()

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} must define reset")

    def update(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def result(self) -> Any:
        """The value over all batches since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def state_dict(self) -> dict[str, Any]:
        """What was gathered so far, for checkpoints: all that is not a constructor argument."""
        return remembered(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        vars(self).update(state)


class Mean(Metric):
    """A weighted mean of one value per element: Σ w value / Σ w."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Both sums at zero."""
        self._total = self._weight = 0.0

    def _add(self, values: np.ndarray, sample_weight: np.ndarray | None) -> None:
        if sample_weight is None:
            self._total += float(values.sum())
            self._weight += values.size
        else:
            weight = spread(sample_weight, values.shape)
            self._total += float((values * weight).sum())
            self._weight += float(weight.sum())

    def result(self) -> float:
        """The mean; NaN before the first batch."""
        return self._total / self._weight if self._weight else float("nan")


def spread(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weights on the leading axes, the same along the others."""
    weight = np.asarray(weight)
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)
