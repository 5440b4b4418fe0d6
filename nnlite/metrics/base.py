"""What metrics share: running sums, never a mean of batch means, so uneven batches are exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from nnlite.core.construction import Constructed, check_remembered, remembered, snake_case
from nnlite.core.foreign import as_array, number_hint
from nnlite.core.forms import ANYTHING, REAL, SUM, Table, check_form


class Metric(Constructed):
    """A number about predictions and targets, gathered batch by batch.

    In a Trainer, `update` is given plain arrays of what the loss counts: rows of an ignored class
    are taken out, padding weighs 0, and labels −1 and 1 have become 0 and 1.

    Attributes:
        larger_is_better: what callbacks that wait for an improvement go by (default True).
        remembers: what a file may hold of what was gathered, as forms by name (see
            `core/forms.py`); what is not named must be of the same kind as it is now.
    """

    larger_is_better: ClassVar[bool] = True
    remembers: ClassVar[Mapping[str, Any]] = {}

    @property
    def name(self) -> str:
        """The key in histories: the class's name in snake_case."""
        return snake_case(type(self).__name__)

    def follow(self, multi_label: bool | None, threshold: float | None) -> None:
        """Read targets as a loss does; a Trainer says so before each update.

        Args:
            multi_label, threshold: the loss's `multi_label` and `decision_threshold`.
        """

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

    def merge(self, state: dict[str, Any]) -> None:
        """Add what another process gathered, its `state_dict()`: training in parallel needs it."""
        raise NotImplementedError(f"{type(self).__name__} must define merge")

    def state_dict(self) -> dict[str, Any]:
        """What was gathered so far, for checkpoints: all that is not a constructor argument."""
        return remembered(self)

    def check_state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state as `load_state_dict` will take it over.

        Raises:
            ValueError, TypeError: when it is not what this metric gathers.
        """
        check_form(f"{self!r}: the state", state, Table(ANYTHING))
        own = self.state_dict().keys()
        if own and own != state.keys():
            raise ValueError(f"{self!r}: a state must hold {sorted(own)}, got {sorted(state)}")
        check_remembered(self, state)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: when `check_state_dict` refuses it; nothing has changed then.
        """
        vars(self).update(self.check_state_dict(state))


class Mean(Metric):
    """A weighted mean of one value per element: Σ w value / Σ w, summed in double precision."""

    remembers: ClassVar = {"_total": REAL, "_weight": SUM}

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._total = self._weight = 0.0

    def merge(self, state: dict[str, Any]) -> None:
        self._total += state["_total"]
        self._weight += state["_weight"]

    def _add(self, values: np.ndarray, weight: np.ndarray | None) -> None:
        """Add values, with a weight for each."""
        if weight is None:
            # counting flags is twice as fast as adding them up
            total = np.count_nonzero(values) if values.dtype == bool else values.sum(dtype=float)
            self._total += float(total)
            self._weight += values.size
        else:
            self._total += float((values * weight).sum(dtype=float))
            self._weight += float(weight.sum(dtype=float))

    def result(self) -> float:
        """The mean; NaN as long as nothing counts."""
        return self._total / self._weight if self._weight else float("nan")


def numbers(metric: Metric, name: str, values: Any) -> np.ndarray:
    """The values as an array of numbers.

    Raises:
        TypeError, ValueError: names the metric, and says what to write instead.
    """
    if type(values) is np.ndarray and values.dtype.kind in "fiub":
        return values
    name = f"{metric!r}: {name}"
    array = as_array(name, values)
    if array.dtype.kind not in "fiub":
        hint = number_hint(name, array)
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{hint}")
    return array


def spread(
    metric: Metric, sample_weight: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray | None:
    """Weights on the leading axes, the same along the others.

    Raises:
        TypeError, ValueError: names the metric, when the weights are no numbers from 0 on, or their
            leading axes differ.
    """
    if sample_weight is None:
        return None
    weight = numbers(metric, "sample_weight", sample_weight)
    if weight.size and not weight.min() >= 0:  # NaN is not
        raise ValueError(f"{metric!r}: sample_weight must be ≥ 0, got {weight.min()}")
    if weight.shape == shape:
        return weight
    if weight.ndim == 0 or weight.shape != shape[: weight.ndim]:
        raise ValueError(
            f"{metric!r}: sample_weight {weight.shape} cannot be broadcast to {shape}: it must "
            "match the leading axes"
        )
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)
