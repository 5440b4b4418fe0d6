"""The learning rate range test: which rates make this model learn on this data."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite.checks import check_whole
from nnlite.padded import masked
from nnlite.training.feeding import Batch, Dataset, as_dataset
from nnlite.training.state import Training

KEEP = 0.9  # of the running mean that smooths the losses
TOO_HIGH = 2.0  # times the first loss: how far the smoothed loss may rise above its lowest


@dataclass(frozen=True)
class LRRange:
    """What `lr_range_test` measured.

    Attributes:
        lrs: the learning rate of each step, rising.
        losses: the loss of each step's batch.
        smoothed: the running mean of the losses, without the bias of its beginning.
        suggestion: the rate at which the smoothed loss falls fastest, over log lr.
    """

    lrs: np.ndarray
    losses: np.ndarray

    @property
    def smoothed(self) -> np.ndarray:
        """The running mean of the losses."""
        means, mean = [], 0.0
        for k, loss in enumerate(self.losses, start=1):
            mean = KEEP * mean + (1 - KEEP) * float(loss)
            means.append(mean / (1 - KEEP**k))
        return np.array(means)

    @property
    def suggestion(self) -> float:
        """The rate of the steepest fall: a good first choice."""
        slope = np.gradient(self.smoothed, np.log(self.lrs))
        return float(self.lrs[slope.argmin()])

    def plot(self, path: str | None = None) -> None:
        """Draw the losses over the learning rates; needs matplotlib.

        Args:
            path: where to write the picture (default None: show it).
        """
        from nnlite.plotting import draw_lr_range

        draw_lr_range(self, path)


def lr_range_test(
    trainer: Training,
    x: Any,
    y: Any = None,
    min_lr: float = 1e-6,
    max_lr: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
) -> LRRange:
    """Train a copy with a learning rate that grows at every step, and watch the loss.

        found = nn.lr_range_test(trainer, x, y)
        trainer.optimizer.lr = found.suggestion

    The loss stays where it is while the rate is too small, falls, and shoots up when the rate is
    too large; there the test ends early. The trainer, its model, optimizer and generators are as
    before afterwards.

    Args:
        trainer: what would be trained.
        x, y: inputs and targets, as for `fit`; walked through as often as it takes.
        min_lr, max_lr: the first and the last rate (default 1e-6 and 1), of every group.
        steps: how many rates between them, evenly spaced in log lr, ≥ 10 (default 100).
        batch_size: samples per step (default 32); at most all.

    Raises:
        TypeError, ValueError: when the data does not fit, or for arguments out of range.
        RuntimeError: when the loss shoots up at once; try a smaller `min_lr`.

    Source: Smith 2017, "Cyclical Learning Rates", section 3.3.
    """
    if not 0 < min_lr < max_lr < math.inf:
        raise ValueError(f"lr_range_test: expected 0 < min_lr < max_lr, got {min_lr} and {max_lr}")
    check_whole("lr_range_test: steps", steps, least=10)
    check_whole("lr_range_test: batch_size", batch_size)
    model, loss, optimizer, rng = copy.deepcopy(
        (trainer.model, trainer.loss, trainer.optimizer, trainer.rng)
    )
    feed = as_dataset(model, loss, x, y)
    if not model.training:
        model.train()  # as in `fit`, layers that were put in eval mode one by one stay there
    model.reset_state()
    optimizer.lr_scale = 1.0
    optimizer.zero_grad()

    lrs, losses = [], []
    rates = np.geomspace(min_lr, max_lr, steps).tolist()
    with (
        closing(_forever(feed, batch_size, rng)) as endless,
        np.errstate(all="ignore"),  # to overflow is part of it
    ):
        for lr, (x_batch, y_batch, weight) in zip(rates, endless, strict=False):
            prediction, weight = masked(model.forward(x_batch), weight)
            value = loss(prediction, y_batch, weight)
            if not math.isfinite(value):
                break
            lrs.append(lr)
            losses.append(value)
            smoothed = LRRange(np.array(lrs), np.array(losses)).smoothed
            if smoothed[-1] > smoothed.min() + TOO_HIGH * abs(losses[0]):
                break
            model.backward(loss.backward())
            optimizer.lr = lr
            try:
                optimizer.step()
            except RuntimeError:  # clip_norm met a gradient that is not finite
                break
            optimizer.zero_grad()
    if len(lrs) < 3:
        raise RuntimeError(
            f"lr_range_test: the loss shot up after {len(lrs)} steps; try a min_lr below {min_lr}"
        )
    return LRRange(np.array(lrs), np.array(losses))


def _forever(
    feed: Dataset, batch_size: int, rng: np.random.Generator
) -> Generator[Batch, None, None]:
    """Full batches in random order, epoch after epoch."""
    size = min(batch_size, feed.rows or batch_size)
    while True:
        yield from feed.batches(size, feed.draw(rng, shuffle=True), drop_last=True)
