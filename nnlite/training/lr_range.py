"""The learning rate range test: which rates make this model learn on this data."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.padded import masked
from nnlite.core.terms import loss_terms
from nnlite.losses.penalties import Penalized
from nnlite.plotting.canvas import PathLike, canvas
from nnlite.plotting.drawings import draw_lr_range
from nnlite.training.feeding import Batch, Dataset, as_dataset
from nnlite.training.state import Training

WIDTH = 2.0  # the loss of a rate is averaged with those of the rates within this factor of it
TOO_HIGH = 2.0  # first losses: how far the mean of the last ones may rise above its lowest
SAFE = 10.0  # how far below the rate of the lowest loss it is safe to train
NOISE = 2.0  # standard deviations of one loss: a smaller fall may be chance
LEAST = 0.01  # of the loss at first: a smaller fall is none


@dataclass(frozen=True)
class LRRange:
    """What `lr_range_test` measured.

    Attributes:
        lrs: the learning rate of each step, rising.
        losses: the loss of each step's batch.
        smoothed: the mean of the losses of all rates within a factor of two of each rate.
        suggestion: a tenth of the rate at which the smoothed loss is lowest.
    """

    lrs: np.ndarray
    losses: np.ndarray

    @property
    def smoothed(self) -> np.ndarray:
        """The mean of the losses around each rate; unlike a running mean it does not lag behind."""
        count = len(self.lrs)
        half = min(_steps_within_width(self.lrs), count - 1)
        window = np.ones(2 * half + 1)  # at both ends, the part of it that there is
        sums, sizes = (
            np.convolve(values, window)[half : half + count]
            for values in (self.losses, np.ones(count))
        )
        return sums / sizes

    @property
    def suggestion(self) -> float:
        """A good first choice: a tenth of the rate at which the smoothed loss is lowest.

        At the lowest loss training is about to diverge; at a tenth of its rate it still learns
        fast. (The steepest fall, another common choice, is a chance one where the loss is noisy or
        has risen already.) Where the loss falls up to the last rate, a larger `max_lr` may find a
        higher suggestion.

        Raises:
            ValueError: when the loss never fell by more than its noise, or was lowest within ten
                times the first rate already, so that a tenth of it was not tried.

        Source: `minimum` of fastai's `lr_find`.
        """
        smoothed, first, last = self.smoothed, self.lrs[0], self.lrs[-1]
        lowest = int(smoothed.argmin())
        before = float(np.median(self.losses[: max(len(self.losses) // 10, 1)]))
        # the differences of neighbours are free of trend: σ √2 for losses of deviation σ, and the
        # median of the size of a normal variable is 0.6745 σ
        steps = np.abs(np.diff(self.losses[: lowest + 1]))
        noise = float(np.median(steps)) / (0.6745 * math.sqrt(2)) if lowest else 0.0
        if not before - smoothed[lowest] > max(NOISE * noise, LEAST * abs(before)):
            raise ValueError(
                f"lr_range_test: the loss did not fall between lr {first:.3g} and {last:.3g} (from "
                f"{before:.4g} to {smoothed[lowest]:.4g} at best, with noise of {noise:.2g}), so "
                "no rate can be suggested; try a smaller min_lr if it rose, a larger max_lr if it "
                "stayed level, and a larger batch_size if it is noisy"
            )
        rate = float(self.lrs[lowest]) / SAFE
        if not rate > first:
            raise ValueError(
                f"lr_range_test: the loss is lowest at lr {self.lrs[lowest]:.3g}, and a tenth of "
                f"it, a safe choice, lies below the first rate {first:.3g}; try a smaller min_lr"
            )
        return rate

    @checked
    def plot(self, ax: Any = None, path: PathLike | None = None) -> None:
        """Draw the losses over the learning rates; needs matplotlib.

        Losses far above the first one, where training diverges, are cut off.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
        """
        try:
            suggestion: float | None = self.suggestion
        except ValueError:  # nothing fell, as the picture shows
            suggestion = None
        with canvas(ax, path) as axes:
            draw_lr_range(axes, self.lrs, self.losses, self.smoothed, suggestion)


@checked
def lr_range_test(
    trainer: Training,
    x: Any,
    y: Any = None,
    min_lr: float = 1e-6,
    max_lr: float = 10.0,
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
        min_lr, max_lr: the first and the last rate (default 1e-6 and 10), of every group.
        steps: how many rates between them, evenly spaced in log lr, ≥ 10 (default 100; with fewer
            than 50, the suggestion is coarse).
        batch_size: samples per step (default 32); at most all.

    Raises:
        TypeError, ValueError: when the data does not fit, or for arguments out of range.
        RuntimeError: when the loss shoots up at once; try a smaller `min_lr`.

    Source: Smith 2017, "Cyclical Learning Rates", section 3.3; the range is that of fastai.
    """
    if min_lr >= max_lr:
        raise ValueError(f"lr_range_test: expected 0 < min_lr < max_lr, got {min_lr} and {max_lr}")
    model, loss, optimizer, rng = copy.deepcopy(
        (trainer.model, trainer.loss, trainer.optimizer, trainer.rng)
    )
    penalized = Penalized(trainer.penalties, model, "lr_range_test: penalties")
    feed = as_dataset(model, loss, x, y)
    if not model.training:
        model.train()  # as in `fit`, layers that were put in eval mode one by one stay there
    model.reset_state()
    optimizer.lr_scale = 1.0
    optimizer.zero_grad()

    lrs: list[float] = []
    losses: list[float] = []
    rates = np.geomspace(min_lr, max_lr, steps)
    window = _steps_within_width(rates) + 1
    lowest = math.inf
    with (
        closing(_forever(feed, batch_size, rng)) as endless,
        np.errstate(all="ignore"),  # to overflow is part of it
    ):
        for lr, (x_batch, y_batch, weight) in zip(rates.tolist(), endless, strict=False):
            with loss_terms() as terms:
                prediction, weight = masked(model.forward(x_batch), weight)
            penalized.add_terms(terms)
            value = loss(prediction, y_batch, weight) + terms.total
            if not math.isfinite(value):
                break
            lrs.append(lr)
            losses.append(value)
            recent = float(np.mean(losses[-window:]))
            lowest = min(lowest, recent)
            if recent > lowest + TOO_HIGH * abs(losses[0]):
                break
            model.backward(loss.backward())
            penalized.add_gradients()
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


def _steps_within_width(lrs: np.ndarray) -> int:
    """How many steps lead from one rate to `WIDTH` times it."""
    return round(math.log(WIDTH) / math.log(lrs[1] / lrs[0])) if len(lrs) > 1 else 0


def _forever(
    feed: Dataset, batch_size: int, rng: np.random.Generator
) -> Generator[Batch, None, None]:
    """Full batches in random order, epoch after epoch."""
    size = min(batch_size, feed.rows or batch_size)
    while True:
        yield from feed.batches(size, feed.draw(rng, shuffle=True), drop_last=True)
