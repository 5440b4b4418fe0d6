"""What the numbers of an audited step mean: what is seen, why, and what to do.

Each rule looks for one cause, and speaks only well outside of what healthy trainings show: a
healthy one that is blamed is worse than a sick one that is missed. The thresholds below stand
between what was measured on 36 healthy trainings with three to seven seeds each (`HEALTHY` in
tests/audited.py: digits, convolutions, recurrent nets, transformers, regression, autoencoders;
Adam, AdamW, SGD, RMSprop) and on sick ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.losses.classification import CrossEntropyLoss
from nnlite.training.mistakes import squashed_logits

# healthy, at most (or at least); sick
DEAD = 0.6  # share of units that never fire: 0.50; 1.0
FLAT = 0.75  # share of values that pass less than 1 % of the gradient, until learned: 0.41; 0.92
TREND = 1e3  # ratio of the gradients' norms at the ends of the model: 35 and 1/13; 7e6 and 4e-6
BACK_IN_TIME = 1e5  # growth of the states' gradients from the last time step to the first: 8e3
FRESH = 5e2  # the same before the first update, when no layer has learned to look back: 50; 3e4
LARGE = 10.0  # root mean square of inputs: 1.1; 120
TINY = 0.01  # largest size of an input: 0.8; 0.004, images divided by 255 twice
BEYOND = 1.5  # size of targets, in units of the largest that the last activation gives: 1; 5 to 25
PEAKED = 0.9  # share of a softmax's rows in which one weight is nearly 1: 0.10; 0.97
FEW = 3  # values under one mean and variance; a variance of 4 is still 60 % off
FAR = 100.0  # root mean square of targets that predictions have not come near: 1; 1e4
DROPPED = 0.8  # share of values that dropout sets to zero: 0.3
SUMS = 8  # entries of a bias; of ±1 in 32 rows, a single sum is 0 in one step of seven, eight never
WRONG = 0.3  # share of rows whose softmax is certain of a wrong class: 0; 0.31 to 0.97


KINDS = (  # the most serious first, causes before what they cause
    "not finite", "same units", "softmax twice", "sorted data", "unscaled input",
    "unscaled target", "batch statistics", "dropout", "recurrence", "decay", "saturated softmax",
    "trend", "forgotten", "saturated loss", "fast", "slow", "grown", "dead", "no gradient", "flat",
)  # fmt: skip


class Finding(NamedTuple):
    """Something worth a look: what is seen, why, and what to do; `kind` is one of KINDS."""

    kind: str
    text: str


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The most serious first."""
    return sorted(findings, key=lambda finding: KINDS.index(finding.kind))


class ParameterView(NamedTuple):
    """One parameter in one step.

    Attributes:
        path: such as "2.weight".
        shape: its shape.
        weight, gradient: root mean squares, before the update.
        update: that of the update, None where there was none.
        trainable: whether the optimizer may change it.
        same: whether all units have the same weights, and get the same gradient.
    """

    path: str
    shape: tuple[int, ...]
    weight: float
    gradient: float
    update: float | None
    trainable: bool
    same: bool

    @property
    def ratio(self) -> float | None:
        """Update to weight, where there was an update and the weight is not about zero.

        A weight (…, out) that sums up K inputs has entries of about 1/√K; one of a tenth of that,
        and a bias, may well begin at zero, and then any update is large beside it.
        """
        if self.update is None or len(self.shape) < 2:
            return None
        inputs = math.prod(self.shape[:-1])
        return self.update / self.weight if self.weight > 0.1 / math.sqrt(inputs) else None


class LayerView(NamedTuple):
    """One layer in one step.

    Attributes:
        name: where and what it is.
        kind: see `Layer`.
        mean, std: of the layer's output.
        dead: the share of units (last axis) that are zero for every sample, whatever comes in.
        flat: the share of values through which less than 1 % of the gradient passes
            (activations and rectifiers only).
        gradient: root mean square of dL/dy.
        parameters: those that belong to it, and to no layer inside it.
        finite: whether the output is, and the gradient.
        gradient_norm: of dL/dy; unlike the root mean square, a mean over positions keeps it.
        innermost: whether there are no layers inside.
        raw_size: root mean square of what comes in, where that is the model's own input.
        raw_peak: its largest size.
        certain: the share of rows of a softmax inside in which one weight is above 99.9 %.
        statistics: how many values share one mean and variance of the batch, None without such.
        dropped: with what probability it sets values to zero, 0 for layers that do not.
        through_time: the norms of the gradients of a recurrent layer's states, last step first.
    """

    name: str
    kind: str
    mean: float
    std: float
    dead: float
    flat: float
    gradient: float
    parameters: list[ParameterView]
    finite: tuple[bool, bool]
    gradient_norm: float
    innermost: bool
    raw_size: float | None
    raw_peak: float | None
    certain: float
    statistics: int | None
    dropped: float
    through_time: list[float]


class StepView(NamedTuple):
    """One step: its layers, first to last, and what came out beside what should have.

    `fresh` says that the weights are known to be the first ones, `learned` that the loss is known
    to be far below the first one.
    """

    rows: list[LayerView]
    prediction: list[np.ndarray]
    loss: Loss
    target: Any
    model: Layer
    fresh: bool = False
    learned: bool = False


def explain(step: StepView) -> list[Finding]:
    """What is out of the ordinary in one step."""
    broken = _not_finite(step.rows)
    if broken:
        return broken
    found = [
        *_symmetric(step.rows),
        *_softmax_twice(step),
        *_unscaled(step.rows),
        *_unscaled_target(step),
        *_few_statistics(step.rows),
        *_dropped(step.rows),
        *_exploding_recurrence(step),
        *_certain_and_wrong(step),
        *_peaked(step.rows),
        *(finding for row in step.rows for finding in _dead(row)),
        *_flat(step),
        *_trend(step.rows),
    ]
    return found + _without_gradient(step.rows)


def _not_finite(rows: list[LayerView]) -> list[Finding]:
    forward = [row.name for row in rows if not row.finite[0]]
    backward = [row.name for row in reversed(rows) if not row.finite[1]]
    if not (forward or backward):
        return []
    what = "output" if forward else "gradient"
    text = (
        f"{(forward or backward)[0]} is the first layer whose {what} is not finite; lower the "
        "learning rate, set clip_norm, and look at the data it gets"
    )
    return [Finding("not finite", text)]


def _symmetric(rows: list[LayerView]) -> list[Finding]:
    paths = [p.path for row in rows for p in row.parameters if p.same and p.trainable]
    if not paths:
        return []
    return [
        Finding(
            "same units",
            f"all units of {listed(paths)} have the same weights and get the same gradient, so "
            "they stay copies of one unit; draw the weights at random, as by default, instead of "
            "zeros or one constant",
        )
    ]


def _softmax_twice(step: StepView) -> list[Finding]:
    """By what came out, so that a softmax in a layer of one's own is seen too."""
    if isinstance(step.loss, CrossEntropyLoss) and len(step.prediction) == 1:
        p = step.prediction[0]
        if p.min() >= 0 and np.allclose(p.sum(axis=-1), 1, atol=1e-4):
            return [
                Finding(
                    "softmax twice",
                    "softmax twice: the model's outputs are probabilities already (they sum to "
                    "1), and CrossEntropyLoss takes the softmax of what it is given. Gradients "
                    "are small and the loss cannot reach 0: remove the model's softmax",
                )
            ]
    squashed = squashed_logits(step.model, step.loss)
    return [] if squashed is None else [Finding("softmax twice", squashed)]


def _unscaled(rows: list[LayerView]) -> list[Finding]:
    found = []
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        takes = any(len(p.shape) > 1 for p in row.parameters)
        normalized = after is not None and after.statistics is not None
        if not takes or normalized or row.raw_size is None or row.raw_peak is None:
            continue
        if row.raw_size > LARGE:
            seen, cure = f"of size {row.raw_size:.2g} (root mean square)", "by 255"
        elif 0 < row.raw_peak < TINY:
            seen, cure = f"of at most {row.raw_peak:.2g}", "by 255 only once"
        else:
            continue
        text = (
            f"{row.name} gets inputs {seen}, while its first weights are made for about 1; "
            f"standardize the data (nn.data.standardize), or divide images {cure}"
        )
        found.append(Finding("unscaled input", text))
    return found[:1]


def _outputs(step: StepView) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions and their targets, one pair for each output."""
    targets = step.target if isinstance(step.target, tuple) else (step.target,)
    return [(p, np.asarray(t)) for p, t in zip(step.prediction, targets, strict=False)]


def _unscaled_target(step: StepView) -> list[Finding]:
    for p, target in _outputs(step):
        if found := _far_target(step, p, target):
            return found
    return []


def _far_target(step: StepView, p: np.ndarray, target: np.ndarray) -> list[Finding]:
    if target.dtype.kind != "f" or target.shape != p.shape:
        return []
    last, most = step.rows[-1], float(np.abs(p).max())
    if last.kind == "activation" and last.flat >= FLAT and most > 0.9:
        beyond = float((np.abs(target) > BEYOND * most).mean())
        if beyond > 0.5:
            text = (
                f"{last.name} ends the model and gives at most {most:.2g}, while {beyond:.0%} of "
                "the targets are far beyond; leave it out, or scale the targets to its range"
            )
            return [Finding("unscaled target", text)]
    size = math.sqrt(float(np.square(target, dtype=np.float64).mean()))
    error = math.sqrt(float(np.square(p - target, dtype=np.float64).mean()))
    if size <= FAR or error < 0.5 * size:
        return []
    text = (
        f"the targets have a size of {size:.2g} (root mean square), while a new model's outputs "
        "are about 1; standardize the targets, and undo it after predict"
    )
    return [Finding("unscaled target", text)]


def _dropped(rows: list[LayerView]) -> list[Finding]:
    much = [row for row in rows if row.dropped > DROPPED]
    if not much:
        return []
    text = (
        f"{much[0].name} sets {much[0].dropped:.0%} of the values to zero, so hardly anything gets "
        "through; p is the share that is dropped, usually 0.1 to 0.5"
    )
    return [Finding("dropout", text)]


def _few_statistics(rows: list[LayerView]) -> list[Finding]:
    few = [row for row in rows if row.statistics is not None and row.statistics <= FEW]
    if not few:
        return []
    text = (
        f"{few[0].name}: mean and variance of {few[0].statistics} values are mostly chance, and of "
        "two rows only the signs are left; take larger batches, or LayerNorm or GroupNorm"
    )
    return [Finding("batch statistics", text)]


def _exploding_recurrence(step: StepView) -> list[Finding]:
    found = []
    for row in step.rows:
        sizes = [size for size in row.through_time if size > 0]
        if len(sizes) < 3:
            continue
        growth = sizes[-1] / sizes[0]
        if growth > (FRESH if step.fresh else BACK_IN_TIME):
            each = growth ** (1 / (len(sizes) - 1))
            text = (
                f"{row.name}: on the way back through time the gradient grows {each:.2f} times a "
                f"step, {growth:.0e} times over {len(sizes)} steps (exploding recurrence); set "
                "clip_norm=1, take smaller or orthogonal recurrent weights, or an LSTM or GRU"
            )
            found.append(Finding("recurrence", text))
    return found[:1]


def _certain_and_wrong(step: StepView) -> list[Finding]:
    if not isinstance(step.loss, CrossEntropyLoss) or len(step.prediction) != 1:
        return []
    z, target = step.prediction[0], np.asarray(step.target)
    if target.dtype.kind not in "iu" or target.shape != z.shape[:-1]:
        return []
    p = np.exp(z - z.max(axis=-1, keepdims=True), dtype=np.float64)
    certain = p.max(axis=-1) > 0.999 * p.sum(axis=-1)
    wrong = certain & (z.argmax(axis=-1) != target) & (target >= 0)
    if wrong.mean() <= WRONG:
        return []
    text = (
        f"the loss's softmax is saturated: in {wrong.mean():.0%} of the rows a wrong class has "
        f"more than 99.9 % (scores have std {z.std():.1f}); take smaller first weights, "
        "standardized inputs, or a smaller learning rate"
    )
    return [Finding("saturated loss", text)]


def _peaked(rows: list[LayerView]) -> list[Finding]:
    peaked = [row for row in rows[:-1] if row.certain > PEAKED]
    if not peaked:
        return []
    text = (
        f"{peaked[0].name}: in {peaked[0].certain:.0%} of its rows the softmax gives one entry "
        "more than 99.9 % (saturated softmax), and hardly any gradient passes; make the scores "
        "smaller: divide by √d, smaller weights, or a normalization before it"
    )
    return [Finding("saturated softmax", text)]


def _dead(row: LayerView) -> list[Finding]:
    if row.dead < DEAD:
        return []
    text = (
        f"{row.name}: {row.dead:.0%} of the units are zero for every sample (dead); try a "
        "smaller learning rate, He initialization, or LeakyReLU"
    )
    return [Finding("dead", text)]


def _flat(step: StepView) -> list[Finding]:
    """Saturated activations, where they keep the model from learning.

    One that decides sharply because it has learned to is none, nor is one at the end whose values
    are where they should be.
    """
    if step.learned:
        return []
    rows = step.rows[:-1] if step.rows[-1].kind == "activation" and _close(step) else step.rows
    found = []
    for row in rows:
        if row.kind == "activation" and row.flat >= FLAT and row.dead == 0 and row.gradient > 0:
            text = (
                f"{row.name}: {row.flat:.0%} of the values are where it is flat (saturated), and "
                "pass almost no gradient; try smaller weights, standardized inputs, or ReLU"
            )
            found.append(Finding("flat", text))
    return found


def _close(step: StepView) -> bool:
    """Whether predictions are nearer to the targets than ¼ on average, of the 1 they span."""
    return all(
        p.shape == target.shape and bool(np.abs(p - target).mean() < 0.25)
        for p, target in _outputs(step)
    )


def _trend(rows: list[LayerView]) -> list[Finding]:
    """Gradients that shrink or grow from the last layer with parameters to the first."""
    sizes = [
        (row.name, row.gradient_norm)
        for row in rows
        if row.parameters and row.innermost and row.gradient_norm > 0
    ]
    if len(sizes) < 3:
        return []
    (first, small), (last, large) = sizes[0], sizes[-1]
    ratio = large / small
    if ratio > TREND:
        text = (
            f"gradients vanish: {large:.1e} at {last}, {small:.1e} at {first}; try ReLU, He or "
            "Glorot initialization, normalization, or Residual"
        )
        return [Finding("trend", text)]
    if ratio < 1 / TREND:
        text = (
            f"gradients explode: {large:.1e} at {last}, {small:.1e} at {first}; try a smaller "
            "initialization, normalization, or clip_norm"
        )
        return [Finding("trend", text)]
    return []


def _without_gradient(rows: list[LayerView]) -> list[Finding]:
    """Not where a weight of zeros holds it up that is about to move: a usual way to begin.

    Nor where the gradients of a few sums cancel, as signs do: those of MAELoss or HingeLoss.
    """
    pairs = [(row, p) for row in rows for p in row.parameters]
    if any(p.weight == 0 and p.gradient > 0 and len(p.shape) > 1 for _, p in pairs):
        return []
    missing = [
        p.path
        for row, p in pairs
        if p.gradient == 0 and p.trainable and not (_few_sums(p) and row.gradient > 0)
    ]
    if not missing:
        return []
    text = (
        f"no gradient reaches {listed(list(dict.fromkeys(missing)))}: what is before or behind is "
        "dead or saturated, or nothing uses it"
    )
    return [Finding("no gradient", text)]


def _few_sums(p: ParameterView) -> bool:
    return len(p.shape) < 2 and math.prod(p.shape) <= SUMS


def listed(paths: list[str]) -> str:
    """The first four, and how many more."""
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
