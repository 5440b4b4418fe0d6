"""A run of several processes, each on its rows of every batch: where they meet.

All of them run the same script, and so the same `fit`, callbacks included. What they do not know by
themselves they tell each other here:

- at the beginning, that they were called alike, and the weights of rank 0 (`begin`);
- between the loss and its backward, Σ D and Σ L D of the whole batch, and whether one of them shall
  end (`whole_loss`). The loss then has the denominator of the whole batch, so that its backward is
  this rank's rows of the one gradient;
- before the update, the sum of the gradients: one call for each flat vector of the optimizer, which
  stays where it is;
- after an epoch, what the metrics have gathered, and whether the weights are the same bits.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np

from nnlite.core.checks import ModelWarning
from nnlite.core.ranks import Ranks, Share
from nnlite.core.terms import loss_terms
from nnlite.layers.base import Layer
from nnlite.layers.normalization.channels import BatchNorm
from nnlite.losses.base import Loss
from nnlite.metrics import Metric, OutputMetric
from nnlite.training import checkpoint
from nnlite.training.fingerprint import weights_hash
from nnlite.training.state import RunState, Training

Method = TypeVar("Method", bound=Callable[..., Any])


def together(fit: Method) -> Method:
    """A trainer's `fit` that fails on all ranks if it does on one, and warns on rank 0 alone."""

    @functools.wraps(fit)
    def guarded(trainer: Any, *args: Any, **named: Any) -> Any:
        ranks = trainer.ranks
        if ranks is None:
            return fit(trainer, *args, **named)
        quiet = warnings.catch_warnings(action="ignore", category=ModelWarning)
        with ranks.failing(), quiet if ranks.rank else nullcontext():
            return fit(trainer, *args, **named)

    return guarded  # type: ignore[return-value]  # the same call, as wraps says


# -- what cannot be made equal ---------------------------------------------------------------------


def check_parts(trainer: Training) -> None:
    """Refuse what would not give the result of one process.

    Raises:
        ValueError: names the layer, the loss or the metric, and what to do.
    """
    for path, layer in trainer.model.named_layers().items():
        place = f"layer {path}, {layer!r}," if path else repr(layer)
        _check_layer(f"in parallel: {place}", layer)
    for loss in (trainer.loss, *trainer.loss.parts.values()):
        own = [n for n in ("__call__", "backward") if not _is_ours(getattr(type(loss), n))]
        if own:
            raise ValueError(
                f"in parallel: {loss!r} has a {own[0]} of its own, and the mean over the rows of "
                "all ranks needs Loss's; define function and derivative, see help(nn.Loss)"
            )
    if any(part.parts for part in trainer.loss.parts.values()):
        raise ValueError("in parallel: Losses inside of Losses; put all of them into one")
    for metric in trainer.metrics:
        one = metric.metric if isinstance(metric, OutputMetric) else metric
        if type(one).merge is Metric.merge:
            raise ValueError(
                f"in parallel: {one!r} must define merge(self, state), which adds what another "
                "rank gathered, its state_dict(), to its own"
            )
    for name in ("train_step", "accumulated_step"):
        if not _is_ours(getattr(type(trainer), name)):
            raise ValueError(
                f"in parallel: {type(trainer).__name__} has a {name} of its own, which does not "
                "sum over ranks; leave parallel out"
            )


def _check_layer(name: str, layer: Layer) -> None:
    ours = _is_ours(type(layer).forward)
    if layer.stateful:
        raise ValueError(
            f"{name} is stateful, and the state of each row is on one rank alone, where no file "
            "would find it; set stateful=False"
        )
    mixes = layer.min_batch > 1 or 0 in layer.mixed_axes
    if mixes and not (ours and isinstance(layer, BatchNorm)):
        raise ValueError(
            f"{name} mixes the rows of a batch, and each rank has some of them only; of all layers "
            "only BatchNorm1d and BatchNorm2d sum over ranks"
        )
    if not ours and any(isinstance(v, np.random.Generator) for v in vars(layer).values()):
        raise ValueError(
            f"{name} draws random numbers, and each rank would draw others than one process does "
            "for its rows; draw with the Dropout or GaussianNoise of nnlite as a part of the layer"
        )


def _is_ours(thing: Any) -> bool:
    return str(thing.__module__).startswith("nnlite.")


# -- a run -----------------------------------------------------------------------------------------


def begin(trainer: Training, ranks: Ranks, call: dict[str, Any]) -> None:
    """Compare how the ranks were called, and take over the weights, state and generators of rank 0.

    Args:
        trainer, ranks: of this process.
        call: what must be the same, by name.

    Raises:
        ValueError: names the rank, and what differs.
    """
    ranks.meet("fit")
    parameters = trainer.model.named_parameters()
    model = {f"parameter {path}": f"{p.dtype} {p.shape}" for path, p in parameters.items()}
    own = {**model, **call}
    first = ranks.from_first(lambda: own)
    for name in {**first, **own}:
        if first.get(name) != own.get(name):
            raise ValueError(
                f"fit: {name} is {own.get(name)} on rank {ranks.rank} and {first.get(name)} on "
                "rank 0. All ranks run the same script on the same data: each is given all rows, "
                "and takes its own of every batch by itself"
            )
    state = ranks.from_first(lambda: (trainer.run.seed, checkpoint.capture(trainer)))
    if ranks.rank:
        trainer.run.seed = state[0]
        checkpoint.restore_trained(trainer, state[1])


class Asked:
    """Whether this rank alone shall end, by Ctrl-C; the run does when all of them know."""

    interrupted = False


def agree(ranks: Ranks, run: RunState, asked: Asked, saves: bool) -> bool:
    """Let all ranks know whether one of them shall end; returns whether one of them saves."""
    numbers = np.array([run.interrupted or asked.interrupted, run.stop_training, saves], float)
    ranks.sum(numbers)
    _take_ends(run, numbers)
    return bool(numbers[2])


def _take_ends(run: RunState, ends: np.ndarray) -> None:
    """Those of all ranks."""
    if ends[0]:
        run.interrupted = True
    if ends[1]:
        run.stop_training = True


def whole_loss(share: Share, loss: Loss, terms: loss_terms, run: RunState, asked: Asked) -> float:
    """The loss of the whole batch, once each rank has called it for its rows.

    Args:
        share: which rows the loss and the terms are of.
        loss, terms: changed in place: denominators and terms become those of the whole batch.
        run, asked: whether the run shall end; the run is told.
    """
    parts = [*loss.parts.values()] or [loss]
    numbers = np.array(
        [
            *(run.interrupted or asked.interrupted, run.stop_training),
            *(number for part in parts for number in (part.numerator, part.denominator)),
            # means over rows; penalties are the same everywhere, and so are their means
            *(share.weight * term for term in terms.values.values()),
        ],
        float,
    )
    share.ranks.sum(numbers)
    ends, pairs, means = np.split(numbers, [2, 2 + 2 * len(parts)])
    _take_ends(run, ends)
    whole = []
    for part, (total, denominator) in zip(parts, pairs.reshape(-1, 2).tolist(), strict=True):
        part.denominator = denominator if part.reduction == "mean" else 1.0
        whole.append(total / part.denominator if part.denominator else 0.0)
    terms.values.update(zip(terms.values, means.tolist(), strict=True))
    terms.grad = share.weight
    if not loss.parts:
        return whole[0]
    loss.values = tuple(whole)  # type: ignore[attr-defined]
    return float(sum(c * v for c, v in zip(loss.part_weights, whole, strict=True)))  # type: ignore[attr-defined]


def check_alike(trainer: Training, ranks: Ranks) -> None:
    """Refuse to go on with weights that differ in a bit.

    Raises:
        RuntimeError: names the rank.
    """
    own = weights_hash(trainer.model)
    if ranks.from_first(lambda: own) != own:
        raise RuntimeError(
            f"the weights of rank {ranks.rank} are no longer those of rank 0, after epoch "
            f"{trainer.epoch}: something changes them on one rank alone, such as a callback that "
            "looks at the rank, at a clock or at random numbers of its own"
        )
