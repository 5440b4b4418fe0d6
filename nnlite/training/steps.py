"""What a trainer does with a batch: a step of the loop, or a measurement."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from nnlite.checks import check_instance, check_instances
from nnlite.construction import Constructed
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.metrics import Metric
from nnlite.optimizers.base import Optimizer
from nnlite.padded import masked
from nnlite.training.call import Call
from nnlite.training.diagnosis import NonFiniteLossError, first_non_finite
from nnlite.training.measures import Measures
from nnlite.training.samples import Samples
from nnlite.training.stream import Feed, as_feed


class Steps(Constructed):
    """The parts of a training, and the steps of the loop over them; the base of `Trainer`."""

    def __init__(
        self, model: Layer, loss: Loss, optimizer: Optimizer, metrics: Sequence[Metric]
    ) -> None:
        for name, value, kind in (
            ("model", model, Layer),
            ("loss", loss, Loss),
            ("optimizer", optimizer, Optimizer),
        ):
            check_instance(f"Trainer: {name}", value, kind)
        check_instances("Trainer: metrics", metrics, Metric)
        own = {id(parameter) for parameter in model.parameters()}
        if not any(id(parameter) in own for parameter in optimizer.parameters):
            raise ValueError(
                "Trainer: the optimizer updates none of the model's parameters; build it from "
                "this model's parameters()"
            )
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"Trainer: two metrics have the same name, got {names}")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.measures = Measures(self.metrics)
        self.epoch = 0
        self.step = 0
        self.last_loss = math.nan
        self.call: Call | None = None
        self._generators: list[np.random.Generator] = []  # the model's, during a fit

    # -- one step --------------------------------------------------------------------------------

    def train_step(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
        """One step of the loop on one batch; returns the loss."""
        prediction, weight = self._forward(x, y, weight)
        grad = self.loss.backward()  # 1. compute the loss gradient
        self.model.backward(grad)  # 2. to 5. through every layer, last to first
        self.optimizer.step()  # 6. update the weights
        self.optimizer.zero_grad()
        self.measures.add(self.last_loss, self.loss, prediction, y, weight)
        return self.last_loss

    def accumulated_step(self, group: list[Samples]) -> None:
        """One update from several batches, exactly as if they were one.

        The gradient of a mean over all is Σ Dᵦ gᵦ / Σ Dᵦ, with Dᵦ each batch's own divisor.
        """
        total = 0.0
        for place, (x, y, weight) in enumerate(group):
            prediction, weight = self._forward(x, y, weight, place)
            grad = self.loss.backward()
            self.model.backward(grad * self.loss.denominator)
            total += self.loss.denominator
            self.measures.add(self.last_loss, self.loss, prediction, y, weight)
        mean = self.loss.reduction == "mean"
        self.optimizer.step(grad_scale=1 / total if mean and total else 1.0)
        self.optimizer.zero_grad()

    def _forward(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, place: int = 0
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Prediction and weights without padding; the loss goes to `last_loss` and must be finite.

        `place` counts the batches of this update.
        """
        drawn = [generator.bit_generator.state for generator in self._generators]
        prediction, weight = masked(self.model.forward(x), weight)
        self.last_loss = self.loss(prediction, y, weight)
        if not math.isfinite(self.last_loss):
            batches = 1 if self.call is None else self.call.settings["accumulate"]
            raise NonFiniteLossError(
                f"the loss is {self.last_loss} in epoch {self.epoch + 1}, "
                f"batch {self.step * batches + place + 1}: "
                f"{first_non_finite(self.model, x, drawn)}; "
                "a smaller learning rate or clip_norm may help"
            )
        return prediction, weight

    @contextmanager
    def training_mode(self) -> Iterator[None]:
        """Training mode (layers that were put in eval mode one by one stay there)."""
        if not self.model.training:
            self.model.train()
        needed = [(layer, layer.needs_input_grad) for layer in self.model.named_layers().values()]
        self.model.needs_input_grad = False  # nothing lies below the first layer
        self._generators = [g for _, g in self.model.named_parts(np.random.Generator)]
        try:
            self.optimizer.zero_grad()
            yield
        finally:
            for layer, flag in needed:  # containers have set their children's too
                layer.needs_input_grad = flag

    # -- measuring -------------------------------------------------------------------------------

    def evaluate(
        self, x: Any, y: Any = None, batch_size: int = 256, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Loss and metrics over all of `x` and `y`, in eval mode; nothing is changed.

        Args:
            x, y: inputs and targets; or a generator function alone, as for `fit`.
            batch_size: how many samples at a time (default 256).
            sample_weight: one weight per sample (default: all 1).

        Raises:
            TypeError, ValueError: when the data does not fit the model or the loss.
        """
        feed = as_feed(self.model, self.loss, x, y, sample_weight, measures=self.measures)
        return self.measure(feed, batch_size)

    def measure(self, samples: Feed, batch_size: int) -> dict[str, Any]:
        """`evaluate` on data that is checked already."""
        measures = self.measures.fresh()
        with self.model.evaluation(), closing(samples.batches(batch_size)) as feed:
            for x, y, weight in feed:
                prediction, weight = masked(self.model(x), weight)
                measures.add(self.loss(prediction, y, weight), self.loss, prediction, y, weight)
        return measures.results()
