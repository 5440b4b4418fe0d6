"""The audit while a model trains."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.inspection.audit import Audit, Recorder, norm
from nnlite.inspection.findings import Finding, LayerView, StepView, explain, listed, ranked
from nnlite.inspection.one_step import OneStep
from nnlite.losses.base import Loss
from nnlite.plotting.canvas import PathLike, canvas
from nnlite.plotting.drawings import draw_flow, tall
from nnlite.training.callbacks import Callback
from nnlite.training.state import Training

# Measured as in findings.py: healthy, at most (or at least); sick
GROWN = 1e3  # times its first size, from which on a gradient is out of proportion
FAST = 0.1  # update-to-weight ratio from which on a step is tried again: 0.28, SGD on 9 weights,
WORSE = 1.5  # and the loss of its batch after it, in units of that before, is 1.1; 2 to 1000
SLOW = 2e-4  # ratio below which a longer step is tried: 6e-4 until learned; 1e-5,
REASONABLE = 0.01  # such as this one,
BETTER = 0.999  # which leaves so much of the loss: there was something to gain
LEARNED = (
    0.5  # share of the first loss: below, sharp activations, short steps and decay are no fault
)
DECAY = 1.0  # decay's part of an update, in units of the gradient's: 0.05 until learned; 4 to 90
WITHIN = 0.5  # variance of the targets within batches, in units of all: 0.95; 0.01 to 0.08
ROWS = 64  # targets more than batches, from which on that share is no chance


class GradientAudit(Callback):
    """Looks at the first step of an epoch from inside, and says what is wrong at the end.

    Besides what `audit` reports it knows what the optimizer did, and names:

    - a learning rate that is too large: the step changes weights by more than a tenth of their
      size, and makes the loss of its own batch worse
    - one that is too small: a step many times as long would have lowered the loss more
    - weight decay that outweighs the gradient
    - parameters that do not move, and gradients that have grown since the first audit
    - batches that hold one kind of target after another, because the data is sorted

    The live layers are watched during that one step only; of the first epoch, the targets too.

    Args:
        every_epochs: how often to look (default 1: every epoch).
        verbose: whether to print the last audit when the run ends (default True).

    Attributes:
        audits: one `Audit` per step that was looked at.
        findings: of the whole run, each kind once, where it was seen first; printed at the end.
    """

    def __init__(self, every_epochs: int = 1, verbose: bool = True) -> None:
        self.every_epochs = every_epochs
        self.verbose = verbose
        self._forget()

    def _forget(self) -> None:
        self._audits: list[Audit] = []
        self._epochs: list[int] = []  # in which they were made, counted from 1
        self._recorder: Recorder | None = None
        self._before: dict[str, np.ndarray] = {}
        self._first: tuple[StepView, float] | None = None  # and its loss
        self._targets: list[_Spread] = []  # of each batch of the first audited epoch
        self._lasting: list[Finding] = []  # what is true of the data, and said in every audit
        self._target: Any = None
        self._listening = False

    @property
    def audits(self) -> list[Audit]:
        """One per step that was looked at."""
        return self._audits

    @property
    def findings(self) -> list[str]:
        """What was unhealthy in the run, the most serious first."""
        first: dict[str, Finding] = {}
        for audit in self._audits:
            for finding in audit.ranked:
                first.setdefault(finding.kind, finding)
        return [finding.text for finding in ranked(first.values())]

    @checked
    def plot(self, ax: Any = None, path: PathLike | None = None) -> None:
        """Draw the gradient of every layer over time, as colours; needs matplotlib.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).

        Raises:
            ValueError: when no step was looked at yet.
        """
        if not self._audits:
            raise ValueError(
                "GradientAudit.plot: no step was looked at yet; give it to fit(..., callbacks=[…])"
            )
        names = list(dict.fromkeys(row.name for audit in self._audits for row in audit.rows))
        seen = [{row.name: row.gradient for row in audit.rows} for audit in self._audits]
        flow = np.array([[step.get(name, math.nan) for step in seen] for name in names])
        with canvas(ax, path, tall(len(names))) as axes:
            draw_flow(axes, names, self._epochs, flow)

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Refuse a run in parallel, in which each process sees its part of the gradients."""
        if trainer.ranks is not None:
            raise ValueError(
                f"{self!r}: in parallel each rank sees the gradients of its own rows only; audit a "
                "short run without parallel, in which all numbers are the same"
            )

    def on_fit_begin(self, trainer: Training) -> None:
        """Forget the last run."""
        self._forget()

    def on_epoch_begin(self, trainer: Training) -> None:
        """Begin to watch."""
        if trainer.epoch % self.every_epochs == 0:
            parameters = trainer.model.named_parameters()
            self._before = {path: p.data.copy() for path, p in parameters.items()}
            self._recorder = Recorder(trainer.model)
            self._listening = not self._audits
            once_checked(trainer.loss, functools.partial(self._note_target, trainer))

    def _note_target(self, trainer: Training, target: Any) -> None:
        if not trainer.model.training:  # of validation, by a copy of the loss
            return
        self._target = target
        if self._listening:
            self._targets.append(_Spread.of(np.asarray(target)))

    def on_step_end(self, trainer: Training) -> None:
        """After the first step: write down what was seen."""
        if self._recorder is not None:
            self._write_down(trainer, self._recorder)
            self._recorder = None
        if self._listening:
            once_checked(trainer.loss, functools.partial(self._note_target, trainer))

    def _write_down(self, trainer: Training, recorder: Recorder) -> None:
        recorder.end()
        step = recorder.view(trainer.loss, self._target, self._before)
        if self._first is None:
            self._first = step, trainer.last_loss
        first, first_loss = self._first
        learned = trainer.last_loss < LEARNED * first_loss
        step = step._replace(fresh=trainer.optimizer.steps == 1, learned=learned)
        with np.errstate(all="ignore"):
            found = [
                *explain(step),
                *_forgotten(trainer, step),
                *_decay(trainer, step, recorder, self._before),
                *_grown(first.rows, step.rows),
            ]
            found += _rate(trainer, step, recorder.x, self._before, not found)
        self._audits.append(Audit(step.rows, found + self._lasting))
        self._epochs.append(trainer.epoch + 1)

    def on_epoch_end(self, trainer: Training) -> None:
        """After the first epoch: whether its batches were alike."""
        if self._listening:
            self._listening = False
            self._lasting = [] if _carries(trainer) else _sorted(self._targets)
            self._audits[-1].add(self._lasting)

    def on_fit_end(self, trainer: Training) -> None:
        """Say how it looked last, and what was unhealthy before."""
        vars(trainer.loss).pop("check", None)
        if self.verbose and self._audits:
            last = self._audits[-1]
            print(last)
            for text in [text for text in self.findings if text not in last.findings]:
                print(f"• earlier: {text}")


def once_checked(loss: Loss, note: Callable[[Any], None]) -> None:
    """Be told the target of the next call of this loss, in this thread; then it is let go."""
    check, thread = type(loss).check.__get__(loss), get_ident()

    def noting_check(prediction: np.ndarray, target: Any) -> Any:
        if get_ident() == thread:
            vars(loss).pop("check", None)
        checked = check(prediction, target)
        if get_ident() == thread:
            note(target)
        return checked

    vars(loss)["check"] = noting_check


def _frozen_end(step: StepView) -> list[Finding]:
    """The last layer's weights do not train; frozen layers below are a usual way to fine-tune."""
    last = next((row.parameters for row in reversed(step.rows) if row.parameters), [])
    if not last or any(p.trainable for p in last):
        return []
    text = (
        f"the last layer ({listed([p.path for p in last])}) does not move, because it is frozen "
        "(trainable = False), and the layers below have to adapt to what it drew; set trainable = "
        "True"
    )
    return [Finding("forgotten", text)]


def _forgotten(trainer: Training, step: StepView) -> list[Finding]:
    """Trainable parameters that get gradients and belong to no optimizer."""
    known = {id(p) for p in trainer.optimizer.parameters}
    parameters = trainer.model.named_parameters()
    paths = [path for path, p in parameters.items() if p.trainable and id(p) not in known]
    if not paths:
        return _frozen_end(step)
    text = (
        f"the optimizer does not have {listed(paths)}, so nothing moves them; build it from "
        "model.parameters(), or set trainable = False to say that it is meant"
    )
    return [Finding("forgotten", text)]


def _rate(
    trainer: Training, step: StepView, x: Any, before: dict[str, np.ndarray], alone: bool
) -> list[Finding]:
    """Whether the step was too long or too short, judged by the loss of its own batch.

    Too short, where nothing else explains it: small gradients make short steps too.
    """
    ratios = [p.ratio for row in step.rows for p in row.parameters if p.ratio]
    ratio = max(ratios, default=None)
    if step.target is None or ratio is None or SLOW <= ratio <= FAST:
        return []
    now = {path: p.data.copy() for path, p in trainer.model.named_parameters().items()}
    trial = OneStep(trainer.model, trainer.loss, trainer.penalties)

    def loss_after(stride: float) -> float:
        for path, p in trial.layer.named_parameters().items():
            p.data = before[path] + stride * (now[path] - before[path])
        return trial.loss_of(x, step.target)

    start = loss_after(0)
    if ratio > FAST:
        end = loss_after(1)
        if end <= WORSE * start:
            return []
        text = (
            f"a step changes weights by {ratio:.2g} times their size, and raises the loss of its "
            f"own batch from {start:.3g} to {end:.3g}; try a smaller learning rate"
        )
        return [Finding("fast", text)]
    if not alone or callable(trainer.optimizer.lr) or step.learned:
        return []
    times = REASONABLE / ratio
    end = loss_after(times)
    if not end < BETTER * start:
        return []
    text = (
        f"a step changes weights by {ratio:.0e} times their size at most, and one {times:.0f} "
        f"times as long would have brought the loss of its batch from {start:.3g} to {end:.3g}; "
        "try a larger learning rate"
    )
    return [Finding("slow", text)]


def _decay(
    trainer: Training, step: StepView, recorder: Recorder, before: dict[str, np.ndarray]
) -> list[Finding]:
    share = decay_share(trainer, recorder, before)
    if share < DECAY or step.learned:
        return []
    text = (
        f"weight decay pulls at the weights {share:.1f} times as strongly as the gradient, so "
        "they shrink whatever the data says; try a smaller weight_decay"
    )
    return [Finding("decay", text)]


def decay_share(trainer: Training, recorder: Recorder, before: dict[str, np.ndarray]) -> float:
    """The length of the decay's part of the update, in units of the gradient's."""
    optimizer, parameters = trainer.optimizer, trainer.model.named_parameters()
    paths = {id(p): path for path, p in parameters.items()}
    by_decay, by_gradient = [0.0], [0.0]
    for group in optimizer.groups:
        decay, lr = (
            each(optimizer.steps - 1) if callable(each) else each
            for each in (group["weight_decay"], group["lr"])
        )
        for p in group["params"]:
            path = paths.get(id(p))
            third_way = optimizer.own_decay and not optimizer.decoupled
            if path is None or not decay or not p.trainable or third_way:
                continue
            w, g = before[path], recorder.gradients[path]
            if optimizer.decoupled:
                decay_now = decay * lr * optimizer.lr_scale
                g = p.data - w + decay_now * w
                by_decay.append(norm([decay_now * w]))
            else:
                by_decay.append(norm([decay * w]))
            by_gradient.append(norm([g]))
    return math.hypot(*by_decay) / max(math.hypot(*by_gradient), 1e-30)


def _grown(first: list[LayerView], now: list[LayerView]) -> list[Finding]:
    """Gradients that have grown out of proportion since the first audit."""
    begun = {row.name: row for row in first}
    grown = [
        (row.gradient / begun[row.name].gradient, begun[row.name], row)
        for row in now
        if row.name in begun and 0 < GROWN * begun[row.name].gradient < row.gradient
    ]
    if not grown:
        return []
    _, before, after = max(grown, key=lambda found: found[0])
    text = (
        f"{after.name}: the gradient has grown from {before.gradient:.1e} to {after.gradient:.1e} "
        "since the first audit; try a smaller learning rate or clip_norm"
    )
    return [Finding("grown", text)]


class _Spread(NamedTuple):
    """Of one batch's targets: how many, their sum, and their sum of squares.

    Of classes, those of the indicator of each class, in the form of {class: count}.
    """

    rows: int
    total: Any
    squares: float
    classes: bool

    @classmethod
    def of(cls, target: np.ndarray) -> _Spread:
        rows = target.reshape(len(target), -1)
        if target.dtype.kind in "iub":
            values, counts = np.unique(rows, return_counts=True)
            return cls(
                rows.size, dict(zip(values.tolist(), counts.tolist(), strict=True)), rows.size, True
            )
        rows = rows.astype(np.float64)
        return cls(len(rows), rows.sum(axis=0), float(np.square(rows).sum()), False)


def within_share(batches: list[_Spread]) -> float:
    """The variance of targets within batches, in units of that of all; about 1 if shuffled.

    Both are unbiased: squares within are divided by N − K, with N rows in K batches, and all
    squares by N − 1. It is 1 too where there is too little to judge by.
    """
    n, k = sum(batch.rows for batch in batches), len(batches)
    if n - k < ROWS or k < 3 or len({batch.classes for batch in batches}) > 1:
        return 1.0
    if batches[0].classes:
        names = {name for batch in batches for name in batch.total}
        totals = [np.array([batch.total.get(name, 0) for name in names]) for batch in batches]
    else:
        totals = [batch.total for batch in batches]
    if len({total.shape for total in totals}) > 1:
        return 1.0
    squares = sum(batch.squares for batch in batches)
    whole = squares - float(np.square(np.sum(totals, axis=0)).sum()) / n
    within = squares - sum(
        float(np.square(total).sum()) / batch.rows
        for total, batch in zip(totals, batches, strict=True)
    )
    return within / (n - k) / (whole / (n - 1)) if whole > 1e-9 * squares else 1.0


def _sorted(batches: list[_Spread]) -> list[Finding]:
    share = within_share(batches)
    if share >= WITHIN:
        return []
    text = (
        f"the data is sorted: only {share:.0%} of the targets' variance is within a batch (of "
        "shuffled rows, nearly all), so each step forgets what other batches taught; shuffle "
        "the rows, as fit does by default"
    )
    return [Finding("sorted data", text)]


def _carries(trainer: Training) -> bool:
    """Whether batches follow each other in time on purpose."""
    return any(layer.stateful for layer in trainer.model.named_layers().values())
