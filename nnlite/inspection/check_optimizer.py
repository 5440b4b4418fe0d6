"""The optimizer checker: does a rule do on small problems what such a rule must do?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.parameter import Parameter
from nnlite.inspection.known_path import known_name, known_path
from nnlite.inspection.known_rules import KNOWN
from nnlite.inspection.optimizer_runs import (
    SHAPES,
    STEPS,
    Array,
    OptimizerRuns,
    Path,
    close,
    same,
)
from nnlite.inspection.report import Diagnosis
from nnlite.optimizers.packing import CHUNK

LONG = 8 * CHUNK // 5  # more weights than an optimizer walks over at once; half is not
DECOUPLED = {"AdamW", "NAdamW", "RAdamW", "Adafactor", "Lion", "Muon"}
ONE_VECTOR = "its step takes all parameters as one vector"


class OptimizerError(AssertionError):
    """An optimizer that does not do what its rule says, or what every optimizer must.

    Attributes:
        report: the `OptimizerReport` behind it.
    """

    def __init__(self, report: OptimizerReport) -> None:
        super().__init__(str(report))
        self.report = report


class Check(NamedTuple):
    """One thing that was looked at: what, and what is wrong with it (None: nothing)."""

    name: str
    diagnosis: Diagnosis | None

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.diagnosis is None


class OptimizerReport:
    """The result of `check_optimizer`; prints as a list, iterates over its checks.

    Attributes:
        subject: what was checked.
        checks: one `Check` for each thing that was looked at.
        notes: what could not be looked at and why; not a failure.
    """

    def __init__(self, subject: str, checks: list[Check], notes: list[str]) -> None:
        self.subject = subject
        self.checks = checks
        self.notes = notes

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return all(check.ok for check in self.checks)

    @property
    def kinds(self) -> set[str]:
        """The keys of all diagnoses."""
        return {check.diagnosis.kind for check in self.checks if check.diagnosis}

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __repr__(self) -> str:
        lines = [f"{self.subject}: {'all is right' if self.ok else 'something is wrong'}", ""]
        for name, diagnosis in self.checks:
            lines.append(f"✗ {name}: {diagnosis.text}" if diagnosis else f"✓ {name}")
        if self.notes:
            lines += ["", *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)


@checked
def check_optimizer(optimizer: Any, raises: bool = True, **options: Any) -> OptimizerReport:
    """Try an optimizer on small problems with a known answer, and say what is wrong.

    Every step runs on weights made for it; the optimizer in hand, its parameters and its state are
    left as they are. Looked at is, in float64 unless said otherwise:

    - every weight moves, the first step goes downhill, a bowl and a small least-squares fit are
      descended, and the same run twice gives the same bits;
    - gradients are left alone, float32 stays float32, frozen parameters and weights without a
      gradient stay where they are;
    - parameters do not mix: each moves as it does alone, unless a `step` of its own takes all of
      them as one vector, as L-BFGS does; and a long vector moves as its pieces;
    - options: the learning rate counts, groups have their own, a schedule is followed, weight
      decay stands in one of its two right places (unless the class says `own_decay`), clip_norm is
      that of all gradients together, and maximize turns the gradients round;
    - state_dict and load_state_dict continue a run to the bit;
    - a rule that is, or by its name or parent says it is, one of SGD (Momentum, Nesterov), ASGD,
      Rprop, Adagrad, Adadelta, RMSprop, Adam, AdamW, Adamax, NAdam, NAdamW, RAdam, RAdamW,
      Adafactor, LAMB, Lion or Muon, moves as that rule written plainly (other forms in use, and
      numbers written into a rule, are right too).

    Args:
        optimizer: a class, such as one of your own below `nn.Optimizer`, or an optimizer, whose
            options are taken. Any class with `step()` that is made from a list of parameters will
            do; what it does not offer (groups, schedules, state_dict) is noted, and no fault.
        raises: whether to raise when something is wrong (default True).
        options: arguments for the class, beside its parameters.

    Returns:
        The report; it prints well and iterates over its checks.

    Raises:
        OptimizerError: names what is wrong, and the mistake in words.
        TypeError: when optimizer has no `step`, or needs arguments that were not given.
    """
    runs = OptimizerRuns(optimizer, options)
    with np.errstate(all="ignore"):
        report = _report(runs)
    if not report.ok and raises:
        raise OptimizerError(report)
    return report


def _report(runs: OptimizerRuns) -> OptimizerReport:
    """The basic things first; without them nothing else can be looked at."""
    notes: list[str] = []
    checks: list[Check] = []
    for name, look in [*BASIC, *OTHERS]:
        try:
            found = look(runs)
        except _NotOffered as reason:
            notes.append(f"{name}: not looked at, {reason}")
            continue
        except Exception as error:
            text = f"it raises {type(error).__name__}: {error}"
            found = Diagnosis("raises", text)
        checks.append(Check(name, found))
        if found and len(checks) <= len(BASIC):
            break
    return OptimizerReport(runs.subject, _without_echo(checks), notes)


class _NotOffered(Exception):
    """What an optimizer does not have cannot be wrong."""


def _needs_rate(runs: OptimizerRuns) -> None:
    if runs.rate is None:
        raise _NotOffered("it takes no lr")


def _moves(runs: OptimizerRuns) -> Diagnosis | None:
    try:
        path = runs.run()
    except Exception as error:
        runs.alone(0)  # may raise too
        text = f"with parameters of several shapes it raises {type(error).__name__}: {error}"
        return Diagnosis("shared state", f"{text}. State must be kept for each parameter")
    if not all(np.isfinite(w).all() for w in path[-1]):
        return Diagnosis("not finite", "after a few steps the weights are not finite")
    still = [
        int(np.all([step[i] == w0 for step in path], axis=0).sum())
        for i, w0 in enumerate(runs.starts)
    ]
    if not any(still):
        return None
    text = "weights with a gradient stay where they are"
    if sum(still) == sum(w.size for w in runs.starts):
        text = "the weights stay where they are: write into them, w −= …, not w = w − …"
    return Diagnosis("unmoved", text)


def _first_step(runs: OptimizerRuns) -> Diagnosis | None:
    first = runs.run(steps=1)[0]
    along = sum(
        float(((w - w0) * runs.gradient(0, i, w0)).sum())
        for i, (w, w0) in enumerate(zip(first, runs.starts, strict=True))
    )
    if along <= 0:
        return None
    return Diagnosis("sign", "it goes uphill: subtract the step, w −= lr · g")


def _descent(runs: OptimizerRuns) -> Diagnosis | None:
    """In units of the learning rate, so that none is too large or too small."""
    _needs_rate(runs)
    lr, rng = runs.lr, np.random.default_rng(1)
    start = [100 * lr * rng.uniform(0.5, 1.5, (3, 2))]
    a = rng.standard_normal((8, 3)) / 4
    problems: dict[str, Callable[[Array], Array]] = {
        "bowl": lambda w: w, "least-squares fit": lambda w: a.T @ (a @ w)
    }  # fmt: skip
    for name, slope in problems.items():
        path = runs.run(start, lambda k, i, w, f=slope: f(w) * 0.1 / lr, steps=300, lr=lr)  # type: ignore[misc]
        losses = [float((w * slope(w)).sum()) for w in (start[0], path[-1][0])]
        if not losses[1] < losses[0]:
            text = f"on a {name} the loss goes from {losses[0]:.3g} to {losses[1]:.3g}"
            return Diagnosis("ascent", f"{text} in 300 small steps")
    return None


def _twice(runs: OptimizerRuns) -> Diagnosis | None:
    if same(runs.run(), runs.run()):
        return None
    text = "two runs on the same gradients differ: is something kept on the class, or drawn?"
    return Diagnosis("not deterministic", text)


def _gradients_kept(runs: OptimizerRuns) -> Diagnosis | None:
    parameters = [Parameter(w, dtype=np.float64) for w in runs.starts]
    optimizer = runs.make(parameters)
    for k in range(2):
        runs.step(k, optimizer, parameters)
        for i, p in enumerate(parameters):
            if not np.array_equal(p.grad, runs.gradient(k, i, p.data)):
                text = "step changes grad: work on a copy, g = g + …, and let no state alias it"
                return Diagnosis("gradient", text)
    return None


def _dtypes(runs: OptimizerRuns) -> Diagnosis | None:
    parameters = [Parameter(w, dtype=np.float32) for w in runs.starts]
    optimizer = runs.make(parameters)
    for k in range(2):
        runs.step(k, optimizer, parameters)
    text = "in float32 the {} float64: make state with zeros_like(w), and use Python's numbers"
    if any(p.data.dtype != np.float32 for p in parameters):
        return Diagnosis("dtype", text.format("weights become"))
    states = [vars(optimizer)] + ([optimizer.state_dict()] if _has_state(optimizer) else [])
    if any(a.dtype == np.float64 and a.size > 1 for a in _arrays(states)):
        return Diagnosis("dtype", text.format("state is"))
    return None


def _apart(runs: OptimizerRuns) -> Diagnosis | None:
    if runs.apart():
        return None
    if runs.takes_one_vector():
        raise _NotOffered(ONE_VECTOR)
    return Diagnosis(
        "shared state",
        "a parameter moves in another way beside others: state and step count belong to each "
        "parameter, and are counted up once per step. A norm, mean or length of w or g "
        "mixes them too",
    )


def _pieces(runs: OptimizerRuns) -> Diagnosis | None:
    if not runs.walked:
        raise _NotOffered("it does not walk over the memory of nn.Optimizer")
    if runs.cls.whole:
        raise _NotOffered("the rule takes whole parameters")
    rng = np.random.default_rng(2)
    w, g = rng.standard_normal((2, LONG)).astype(np.float32)
    cuts = [slice(0, LONG // 2), slice(LONG // 2, LONG)]
    whole = runs.run([w], lambda k, i, _: g, 2, np.float32)[-1][0]
    parts = [
        runs.run([w[cut]], lambda k, i, _, cut=cut: g[cut], 2, np.float32)[-1][0]  # type: ignore[misc]
        for cut in cuts
    ]
    if np.allclose(whole, np.concatenate(parts), rtol=1e-5, atol=1e-7):
        return None
    return Diagnosis(
        "pieces",
        "update is called for stretches of a long vector: it must not keep or count anything "
        "on self, nor take a norm or mean over w or g. Declare state, take k, or say whole = "
        "True",
    )


def _frozen(runs: OptimizerRuns) -> Diagnosis | None:
    parameters = [Parameter(w, dtype=np.float64) for w in runs.starts]
    parameters[0].trainable = False
    optimizer = runs.make(parameters, **runs.if_taken(weight_decay=0.1))
    for k in range(3):
        runs.step(k, optimizer, parameters)
    if np.array_equal(parameters[0].data, runs.starts[0]):
        return None
    text = "one with trainable=False moves: leave it out of the update and of weight decay"
    return Diagnosis("frozen", text)


def _still(runs: OptimizerRuns) -> Diagnosis | None:
    if runs.option("eps", 1) == 0:
        raise _NotOffered("with eps=0 it divides 0 by 0")
    off = runs.if_taken(lambd=0.0)  # ASGD's own decay
    last = runs.run(gradient=lambda k, i, w: np.zeros_like(w), steps=3, **off)[-1]
    if not all(np.isfinite(w).all() for w in last):
        text = "a gradient of 0 makes the weights NaN: add ε to what it divides by"
        return Diagnosis("eps", text)
    if close([last], [runs.starts], 1e-12):  # w ← 0.1 w + 0.9 w may round
        return None
    text = "weights move though every gradient was 0, and there is no weight decay"
    return Diagnosis("drift", text)


def _decay(runs: OptimizerRuns) -> Diagnosis | None:
    if "weight_decay" not in runs.takes:
        raise _NotOffered("it has no weight_decay")
    if runs.ours and runs.cls.own_decay:
        raise _NotOffered("its rule has a place of its own for it")
    _needs_rate(runs)
    lr, rate = runs.lr, 0.1
    found = runs.run(weight_decay=rate, lr=lr)

    def added(rate: float, shrink: float = 0.0) -> Path:  # L2: λ w in the gradient
        return runs.run(
            gradient=lambda k, i, w: runs.gradient(k, i, w) + rate * w,
            before=_shrinking(shrink), lr=lr,
        )  # fmt: skip

    def shrunk(rate: float) -> Path:  # decoupled: w by itself, before the step or after it
        return runs.run(before=_shrinking(rate), lr=lr)

    def after(rate: float) -> Path:
        path = runs.run(before=lambda k, o, p: _shrinking(rate if k else 0)(k, o, p), lr=lr)
        return [[w * (1 - rate) for w in step] for step in path]

    decoupled = _is_decoupled(runs)
    right = []
    if decoupled is not False:
        right += [shrunk(lr * rate), after(lr * rate)]
    if decoupled is not True:
        right.append(added(rate))
    if any(close(found, path) for path in right):
        return None
    wrong: list[tuple[Path, str]] = [
        (runs.run(lr=lr), "it makes no difference"),
        (added(rate), "λ w goes through the gradient and so through the state: decoupled, "
         "the weights shrink by themselves, w ← w − lr λ w"),
        (shrunk(lr * rate), "the weights shrink by themselves: L2 decay adds λ w to g, before "
         "the state sees it"),
        (added(2 * rate), "it is applied twice"),
        (shrunk(2 * lr * rate), "it is applied twice"),
        (added(rate, lr * rate), "it is applied twice, in the gradient and to the weights"),
        (shrunk(rate), "lr is missing: the weights shrink by lr λ, not by λ"),
        (after(rate), "lr is missing: the weights shrink by lr λ, not by λ"),
        (added(-rate), "it has the wrong sign, and lets the weights grow"),
        (shrunk(-lr * rate), "it has the wrong sign, and lets the weights grow"),
        (added(lr * rate), "λ w is multiplied by lr twice"),
        (added(rate / 2), "it is half as strong: the gradient of ½ λ w² is λ w"),
    ]  # fmt: skip
    for path, text in wrong:
        if close(found, path):
            return Diagnosis("decay", text)
    text = "it is neither λ w added to the gradient nor lr λ w taken from the weights"
    return Diagnosis("decay", text)


def _schedule(runs: OptimizerRuns) -> Diagnosis | None:
    _needs_rate(runs)
    if close(runs.run(lr=runs.lr), runs.run(lr=runs.lr / 2)):
        return Diagnosis("lr", "the learning rate makes no difference")

    def rate(k: int) -> float:
        return runs.lr / (1 + k)

    try:
        found = runs.run(lr=rate)
    except Exception as error:
        if runs.ours:
            raise
        raise _NotOffered("lr cannot be a function") from error
    if not runs.ours:
        return None

    def by_hand(k: int, optimizer: Any, parameters: list[Parameter]) -> None:
        optimizer.lr = rate(k)

    if close(found, runs.run(lr=runs.lr, before=by_hand)):
        return None
    text = "step k does not use lr(k), k completed steps: take lr as update is given it"
    return Diagnosis("schedule", text)


def _groups(runs: OptimizerRuns) -> Diagnosis | None:
    _needs_rate(runs)
    lrs = (runs.lr, 3 * runs.lr)
    parameters = [Parameter(w, dtype=np.float64) for w in runs.starts[:2]]
    name = "lr" if runs.ours else runs.rate  # in groups, whatever the constructor calls it
    groups = [{"params": [p], name: lr} for p, lr in zip(parameters, lrs, strict=True)]
    try:
        optimizer = runs.make(groups)
        for k in range(STEPS):
            runs.step(k, optimizer, parameters)
    except Exception as error:
        if runs.ours:
            raise
        raise _NotOffered("it takes no groups") from error
    if runs.takes_one_vector():
        raise _NotOffered(ONE_VECTOR)
    for i, (p, lr) in enumerate(zip(parameters, lrs, strict=True)):
        if not close([[p.data]], runs.alone(i, lr=lr)[-1:]):
            text = "one group does not move as it does alone, with its own lr"
            if i and close([[p.data]], runs.alone(i, lr=lrs[0])[-1:]):
                text = "the second group moves with the learning rate of the first"
            return Diagnosis("groups", f"{text}: read options from each parameter's group")
    return None


def _clipping(runs: OptimizerRuns) -> Diagnosis | None:
    if "clip_norm" not in runs.takes:
        raise _NotOffered("it has no clip_norm")
    limit = 2.0

    def wide(k: int, i: int, w: Array) -> Array:
        return runs.gradient(k, i, w) * (0.1 if k % 2 else 3.0)

    def clipped(k: int, i: int, w: Array) -> Array:
        every = [wide(k, j, w) for j in range(len(SHAPES))]
        norm = np.sqrt(sum(float((g * g).sum()) for g in every))
        return every[i] * min(1.0, limit / (norm + 1e-6))

    if close(runs.run(gradient=wide, clip_norm=limit), runs.run(gradient=clipped), 1e-4):
        return None
    return Diagnosis(
        "clipping", "gradients are not scaled by min(1, clip_norm / norm), with one norm of all"
    )


def _uphill(runs: OptimizerRuns) -> Diagnosis | None:
    if "maximize" not in runs.takes:
        raise _NotOffered("it has no maximize")

    def turned(k: int, i: int, w: Array) -> Array:
        return -runs.gradient(k, i, w)

    if close(runs.run(maximize=True), runs.run(gradient=turned)):
        return None
    return Diagnosis("maximize", "with maximize it does not move as on gradients of opposite sign")


def _resumes(runs: OptimizerRuns) -> Diagnosis | None:
    parameters = [Parameter(w, dtype=np.float64) for w in runs.starts]
    optimizer = runs.make(parameters)
    if not _has_state(optimizer):
        raise _NotOffered("it has no state_dict and load_state_dict")
    half = STEPS // 2
    for k in range(half):
        runs.step(k, optimizer, parameters)
    state = copy.deepcopy(optimizer.state_dict())
    others = [Parameter(p.data, dtype=np.float64) for p in parameters]
    second = runs.make(others)
    second.load_state_dict(state)
    for k in range(half, STEPS):
        runs.step(k, second, others)
    if same([[p.data for p in others]], runs.run()[-1:]):
        return None
    text = "after loading, the run goes another way: something that the rule keeps between "
    return Diagnosis("state", text + "steps is not in state_dict (m, v, the step count)")


def _known_path(runs: OptimizerRuns) -> Diagnosis | None:
    name = known_name(runs.cls)
    if name is None:
        raise _NotOffered("by its name and parents it is no rule that is known here")
    _needs_rate(runs)
    usual = {key: value for key, value in KNOWN[name].options.items() if key != "lr"}
    group = runs.make([Parameter(np.ones(2))]).groups[0] if runs.ours else {}
    options = {key: group.get(key, runs.option(key, value)) for key, value in usual.items()}
    if any(map(callable, options.values())):
        raise _NotOffered("an option is a schedule")
    return known_path(runs, name, options)


def _is_decoupled(runs: OptimizerRuns) -> bool | None:
    """Whether weight decay bypasses the gradient; None where the class does not say."""
    if runs.ours:
        return bool(runs.cls.decoupled)
    known = known_name(runs.cls)
    return None if known is None else known in DECOUPLED


def _shrinking(rate: float) -> Callable[[int, Any, list[Parameter]], None]:
    def shrink(k: int, optimizer: Any, parameters: list[Parameter]) -> None:
        for p in parameters:
            p.data = p.data * (1 - rate)

    return shrink


def _has_state(optimizer: Any) -> bool:
    return hasattr(optimizer, "state_dict") and hasattr(optimizer, "load_state_dict")


def _arrays(value: Any) -> Iterator[Array]:
    """All arrays in dictionaries, lists and tuples."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _arrays(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arrays(each)


def _without_echo(checks: list[Check]) -> list[Check]:
    """A path that is nobody's says nothing where another check has found the reason."""
    found = [check for check in checks if check.diagnosis]
    if len(found) > 1:
        return [c for c in checks if c.diagnosis is None or c.diagnosis.kind != "rule?"]
    return checks


Looks = list[tuple[str, Callable[[OptimizerRuns], Diagnosis | None]]]

BASIC: Looks = [
    ("a step runs, and moves every weight", _moves),
    ("the same run twice gives the same bits", _twice),
]
OTHERS: Looks = [
    ("it moves as its rule says", _known_path),
    ("the first step goes downhill", _first_step),
    ("a bowl and a least-squares fit are descended", _descent),
    ("gradients are left alone", _gradients_kept),
    ("float32 stays float32", _dtypes),
    ("each parameter moves as it does alone", _apart),
    ("a long vector moves as its pieces", _pieces),
    ("frozen parameters stay", _frozen),
    ("without a gradient nothing moves", _still),
    ("weight decay is in its place", _decay),
    ("the learning rate counts, and a schedule is followed", _schedule),
    ("groups have their own learning rate", _groups),
    ("clip_norm is that of all gradients together", _clipping),
    ("maximize turns the gradients round", _uphill),
    ("state_dict continues a run to the bit", _resumes),
]
