"""The optimizer checker: does a rule do on small problems what such a rule must do?"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.parameter import Parameter
from nnlite.inspection.known_rules import KNOWN, Known
from nnlite.inspection.report import Diagnosis
from nnlite.optimizers.base import Optimizer
from nnlite.optimizers.packing import CHUNK

Array = np.ndarray
Gradient = Callable[[int, int, Array], Array]  # of step k (0 first), parameter i, weights w
Path = list[list[Array]]  # after each step, the weights of each parameter

SEED = 0
STEPS = 10
SHAPES = ((3, 2), (3, 2), (4,))
LONG = 8 * CHUNK // 5  # more weights than an optimizer walks over at once; half is not
SHARED = ("weight_decay", "clip_norm", "clip_value")
ALIASES = {"momentum": ("mu", "beta"), "alpha": ("rho", "decay", "beta"), "rho": ("alpha",),
           "eps": ("epsilon",), "lr": ("learning_rate",)}  # fmt: skip
ADJECTIVES = ("my", "own", "our", "simple", "plain", "tiny", "mini", "custom", "hand", "numpy")
# Rules whose names end like those of others.
OTHERS = {"signsgd", "adamax", "amsgrad", "radamw", "signmomentum", "quasihyperbolicadam"}


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
    - parameters do not mix: each moves as it does alone, and a long vector moves as its pieces;
    - options: the learning rate counts, groups have their own, a schedule is followed, weight
      decay stands in one of its two right places, clip_norm is that of all gradients together;
    - state_dict and load_state_dict continue a run to the bit;
    - a rule that is, or by its name or parent says it is, one of SGD (Momentum, Nesterov), Adam,
      AdamW, NAdam, RAdam, Adagrad, Adadelta, RMSprop or Lion, moves as that rule written plainly.

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
    lab = _Lab(optimizer, options)
    with np.errstate(all="ignore"):
        report = lab.report()
    if not report.ok and raises:
        raise OptimizerError(report)
    return report


class _Lab:
    """Makes optimizers of one kind, and runs them."""

    def __init__(self, optimizer: Any, options: Mapping[str, Any]) -> None:
        self.cls: Any = optimizer if isinstance(optimizer, type) else type(optimizer)
        if not callable(getattr(self.cls, "step", None)):
            raise TypeError(
                f"check_optimizer: expected an optimizer or its class, got {optimizer!r}, "
                "which has no step()"
            )
        parameters = [*inspect.signature(self.cls).parameters.values()][1:]
        self.takes = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}
        if len(self.takes) < len(parameters):  # **options, which the base class takes
            self.takes |= dict.fromkeys(SHARED, 0) if issubclass(self.cls, Optimizer) else {}
        given = {} if isinstance(optimizer, type) else self._arguments_of(optimizer)
        self.options = {**given, **options}
        if self.takes.get("lr") is inspect.Parameter.empty:
            self.options.setdefault("lr", 0.01)
        missing = [
            name
            for name, default in self.takes.items()
            if default is inspect.Parameter.empty and name not in self.options
        ]
        if missing:
            raise TypeError(
                f"check_optimizer: {self.cls.__name__} needs {', '.join(missing)}; give "
                f"check_optimizer({self.cls.__name__}, {missing[0]}=…)"
            )
        lr = self.option("lr")
        lr = lr(0) if callable(lr) else lr
        self.lr = float(lr) if isinstance(lr, int | float | np.number) and lr > 0 else 0.01
        self.subject = repr(optimizer) if given else self.cls.__name__
        self.ours = issubclass(self.cls, Optimizer)
        self.notes: list[str] = []
        rng = np.random.default_rng(SEED)
        self.starts = [rng.standard_normal(shape) for shape in SHAPES]
        self._gradients = [
            [rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape) for shape in SHAPES]
            for _ in range(STEPS)
        ]

    def _arguments_of(self, optimizer: Any) -> dict[str, Any]:
        """The arguments that made this optimizer, as far as it keeps them."""
        groups = getattr(optimizer, "groups", None)
        group = groups[0] if isinstance(groups, list) and groups else {}
        found = {}
        for name in self.takes:
            if name in group:
                found[name] = copy.deepcopy(group[name])
            elif hasattr(optimizer, name):
                found[name] = copy.deepcopy(getattr(optimizer, name))
        return found

    def option(self, name: str, default: Any = None) -> Any:
        """What the optimizer is made with under this name or one that means the same."""
        for each in (name, *ALIASES.get(name, ())):
            if each in self.options:
                return self.options[each]
            found = self.takes.get(each, inspect.Parameter.empty)
            if found is not inspect.Parameter.empty:
                return found
        if name == "betas" and "beta1" in self.takes:
            return self.option("beta1"), self.option("beta2")
        return default

    # -- runs ------------------------------------------------------------------------------------

    def make(self, parameters: Any, **more: Any) -> Any:
        """An optimizer without decay and clipping, unless they are among `more`."""
        off: dict[str, Any] = {"weight_decay": 0.0, "clip_norm": None, "clip_value": None}
        quiet = {name: value for name, value in off.items() if name in self.takes}
        return self.cls(parameters, **{**self.options, **quiet, **more})

    def gradient(self, k: int, i: int, w: Array) -> Array:
        """The same gradients in every run, whatever the weights."""
        return self._gradients[k % STEPS][i]

    def run(
        self,
        starts: list[Array] | None = None,
        gradient: Gradient | None = None,
        steps: int = STEPS,
        dtype: Any = np.float64,
        before: Callable[[int, Any, list[Parameter]], None] | None = None,
        **more: Any,
    ) -> Path:
        """The weights after each step; `before` may change something before it."""
        starts = self.starts if starts is None else starts
        parameters = [Parameter(w, dtype=dtype) for w in starts]
        optimizer = self.make(parameters, **more)
        path = []
        for k in range(steps):
            if before is not None:
                before(k, optimizer, parameters)
            self.step(k, optimizer, parameters, gradient)
            path.append([p.data.copy() for p in parameters])
        return path

    def step(
        self, k: int, optimizer: Any, parameters: list[Parameter], gradient: Gradient | None = None
    ) -> None:
        for i, p in enumerate(parameters):
            p.grad = (gradient or self.gradient)(k, i, p.data.copy()).astype(p.dtype)
        optimizer.step()

    def alone(self, i: int, **more: Any) -> Path:
        """The path of parameter i without the others."""
        return self.run([self.starts[i]], lambda k, _, w: self.gradient(k, i, w), **more)

    # -- the checks ------------------------------------------------------------------------------

    def report(self) -> OptimizerReport:
        """The basic things first; without them nothing else can be looked at."""
        basic = [("a step runs, and moves every weight", self.moves)]
        others = [
            ("it moves as its rule says", self.known_path),
            ("the first step goes downhill", self.first_step),
            ("a bowl and a least-squares fit are descended", self.descent),
            ("the same run twice gives the same bits", self.twice),
            ("gradients are left alone", self.gradients_kept),
            ("float32 stays float32", self.dtypes),
            ("each parameter moves as it does alone", self.apart),
            ("a long vector moves as its pieces", self.pieces),
            ("frozen parameters stay", self.frozen),
            ("without a gradient nothing moves", self.still),
            ("weight decay is in its place", self.decay),
            ("the learning rate counts, and a schedule is followed", self.schedule),
            ("groups have their own learning rate", self.groups),
            ("clip_norm is that of all gradients together", self.clipping),
            ("state_dict continues a run to the bit", self.resumes),
        ]
        checks: list[Check] = []
        for name, look in [*basic, *others]:
            try:
                found = look()
            except _NotOffered as reason:
                self.notes.append(f"{name}: not looked at, {reason}")
                continue
            except Exception as error:
                text = f"it raises {type(error).__name__}: {error}"
                found = Diagnosis("raises", text)
            checks.append(Check(name, found))
            if found and len(checks) == 1:
                break
        return OptimizerReport(self.subject, _without_echo(checks), self.notes)

    def moves(self) -> Diagnosis | None:
        try:
            path = self.run()
        except Exception as error:
            self.alone(0)  # may raise too
            text = f"with parameters of several shapes it raises {type(error).__name__}: {error}"
            return Diagnosis("shared state", f"{text}. State must be kept for each parameter")
        if not all(np.isfinite(w).all() for w in path[-1]):
            return Diagnosis("not finite", "after a few steps the weights are not finite")
        still = [
            int(np.all([step[i] == w0 for step in path], axis=0).sum())
            for i, w0 in enumerate(self.starts)
        ]
        if not any(still):
            return None
        text = "weights with a gradient stay where they are"
        if sum(still) == sum(w.size for w in self.starts):
            text = "the weights stay where they are: write into them, w −= …, not w = w − …"
        return Diagnosis("unmoved", text)

    def first_step(self) -> Diagnosis | None:
        first = self.run(steps=1)[0]
        along = sum(
            float(((w - w0) * self.gradient(0, i, w0)).sum())
            for i, (w, w0) in enumerate(zip(first, self.starts, strict=True))
        )
        if along <= 0:
            return None
        return Diagnosis("sign", "it goes uphill: subtract the step, w −= lr · g")

    def descent(self) -> Diagnosis | None:
        """In units of the learning rate, so that none is too large or too small."""
        lr, rng = self.lr, np.random.default_rng(1)
        start = [100 * lr * rng.uniform(0.5, 1.5, (3, 2))]
        a = rng.standard_normal((8, 3)) / 4
        problems: dict[str, Callable[[Array], Array]] = {
            "bowl": lambda w: w, "least-squares fit": lambda w: a.T @ (a @ w)
        }  # fmt: skip
        for name, slope in problems.items():
            path = self.run(start, lambda k, i, w, f=slope: f(w) * 0.1 / lr, steps=300, lr=lr)  # type: ignore[misc]
            losses = [float((w * slope(w)).sum()) for w in (start[0], path[-1][0])]
            if not losses[1] < losses[0]:
                text = f"on a {name} the loss goes from {losses[0]:.3g} to {losses[1]:.3g}"
                return Diagnosis("ascent", f"{text} in 300 small steps")
        return None

    def twice(self) -> Diagnosis | None:
        if _same(self.run(), self.run()):
            return None
        text = "two runs on the same gradients differ: is something kept on the class, or drawn?"
        return Diagnosis("not deterministic", text)

    def gradients_kept(self) -> Diagnosis | None:
        parameters = [Parameter(w, dtype=np.float64) for w in self.starts]
        optimizer = self.make(parameters)
        for k in range(2):
            self.step(k, optimizer, parameters)
            for i, p in enumerate(parameters):
                if not np.array_equal(p.grad, self.gradient(k, i, p.data)):
                    text = "step changes grad: work on a copy, g = g + …, and let no state alias it"
                    return Diagnosis("gradient", text)
        return None

    def dtypes(self) -> Diagnosis | None:
        parameters = [Parameter(w, dtype=np.float32) for w in self.starts]
        optimizer = self.make(parameters)
        for k in range(2):
            self.step(k, optimizer, parameters)
        text = "in float32 the {} float64: make state with zeros_like(w), and use Python's numbers"
        if any(p.data.dtype != np.float32 for p in parameters):
            return Diagnosis("dtype", text.format("weights become"))
        states = [vars(optimizer)] + ([optimizer.state_dict()] if _has_state(optimizer) else [])
        if any(a.dtype == np.float64 and a.size > 1 for a in _arrays(states)):
            return Diagnosis("dtype", text.format("state is"))
        return None

    def apart(self) -> Diagnosis | None:
        together = self.run()
        for i in range(len(SHAPES)):
            if not _close([[step[i]] for step in together], self.alone(i)):
                return Diagnosis(
                    "shared state",
                    "together they move otherwise: state and step count belong to each parameter, "
                    "and are counted up once per step. A norm or mean over w or g mixes them too",
                )
        return None

    def pieces(self) -> Diagnosis | None:
        if not self.ours:
            raise _NotOffered("it does not walk over the memory of nn.Optimizer")
        if self.cls.whole:
            raise _NotOffered("the rule takes whole parameters")
        rng = np.random.default_rng(2)
        w, g = rng.standard_normal((2, LONG)).astype(np.float32)
        cuts = [slice(0, LONG // 2), slice(LONG // 2, LONG)]
        whole = self.run([w], lambda k, i, _: g, 2, np.float32)[-1][0]
        parts = [
            self.run([w[cut]], lambda k, i, _, cut=cut: g[cut], 2, np.float32)[-1][0]  # type: ignore[misc]
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

    def frozen(self) -> Diagnosis | None:
        parameters = [Parameter(w, dtype=np.float64) for w in self.starts]
        parameters[0].trainable = False
        optimizer = self.make(parameters, **self._if_taken(weight_decay=0.1))
        for k in range(3):
            self.step(k, optimizer, parameters)
        if np.array_equal(parameters[0].data, self.starts[0]):
            return None
        text = "one with trainable=False moves: leave it out of the update and of weight decay"
        return Diagnosis("frozen", text)

    def still(self) -> Diagnosis | None:
        if self.option("eps", 1) == 0:
            raise _NotOffered("with eps=0 it divides 0 by 0")
        last = self.run(gradient=lambda k, i, w: np.zeros_like(w), steps=3)[-1]
        if not all(np.isfinite(w).all() for w in last):
            text = "a gradient of 0 makes the weights NaN: add ε to what it divides by"
            return Diagnosis("eps", text)
        if all(np.array_equal(w, w0) for w, w0 in zip(last, self.starts, strict=True)):
            return None
        text = "weights move though every gradient was 0, and there is no weight decay"
        return Diagnosis("drift", text)

    def decay(self) -> Diagnosis | None:
        if "weight_decay" not in self.takes:
            raise _NotOffered("it has no weight_decay")
        lr, rate = self.lr, 0.1
        found = self.run(weight_decay=rate, lr=lr)

        def added(rate: float, shrink: float = 0.0) -> Path:  # L2: λ w in the gradient
            return self.run(
                gradient=lambda k, i, w: self.gradient(k, i, w) + rate * w,
                before=_shrinking(shrink), lr=lr,
            )  # fmt: skip

        def shrunk(rate: float) -> Path:  # decoupled: w by itself, before the step or after it
            return self.run(before=_shrinking(rate), lr=lr)

        def after(rate: float) -> Path:
            path = self.run(before=lambda k, o, p: _shrinking(rate if k else 0)(k, o, p), lr=lr)
            return [[w * (1 - rate) for w in step] for step in path]

        decoupled = self._is_decoupled()
        right = []
        if decoupled is not False:
            right += [shrunk(lr * rate), after(lr * rate)]
        if decoupled is not True:
            right.append(added(rate))
        if any(_close(found, path) for path in right):
            return None
        wrong: list[tuple[Path, str]] = [
            (self.run(lr=lr), "it makes no difference"),
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
            if _close(found, path):
                return Diagnosis("decay", text)
        if self.ours and self.cls.whole and decoupled is None:
            return None
        text = "it is neither λ w added to the gradient nor lr λ w taken from the weights"
        return Diagnosis("decay", text)

    def schedule(self) -> Diagnosis | None:
        if "lr" not in self.takes:
            raise _NotOffered("it has no lr")
        if _close(self.run(lr=self.lr), self.run(lr=self.lr / 2)):
            return Diagnosis("lr", "the learning rate makes no difference")

        def rate(k: int) -> float:
            return self.lr / (1 + k)

        try:
            found = self.run(lr=rate)
        except Exception as error:
            if self.ours:
                raise
            raise _NotOffered("lr cannot be a function") from error
        if not self.ours:
            return None

        def by_hand(k: int, optimizer: Any, parameters: list[Parameter]) -> None:
            optimizer.lr = rate(k)

        if _close(found, self.run(lr=self.lr, before=by_hand)):
            return None
        text = "step k does not use lr(k), k completed steps: take lr as update is given it"
        return Diagnosis("schedule", text)

    def groups(self) -> Diagnosis | None:
        lrs = (self.lr, 3 * self.lr)
        parameters = [Parameter(w, dtype=np.float64) for w in self.starts[:2]]
        groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters, lrs, strict=True)]
        try:
            optimizer = self.make(groups)
            for k in range(STEPS):
                self.step(k, optimizer, parameters)
        except Exception as error:
            if self.ours:
                raise
            raise _NotOffered("it takes no groups") from error
        for i, (p, lr) in enumerate(zip(parameters, lrs, strict=True)):
            if not _close([[p.data]], self.alone(i, lr=lr)[-1:]):
                text = "one group does not move as it does alone, with its own lr"
                if i and _close([[p.data]], self.alone(i, lr=lrs[0])[-1:]):
                    text = "the second group moves with the learning rate of the first"
                return Diagnosis("groups", f"{text}: read options from each parameter's group")
        return None

    def clipping(self) -> Diagnosis | None:
        if "clip_norm" not in self.takes:
            raise _NotOffered("it has no clip_norm")
        limit = 2.0

        def wide(k: int, i: int, w: Array) -> Array:
            return self.gradient(k, i, w) * (0.1 if k % 2 else 3.0)

        def clipped(k: int, i: int, w: Array) -> Array:
            every = [wide(k, j, w) for j in range(len(SHAPES))]
            norm = np.sqrt(sum(float((g * g).sum()) for g in every))
            return every[i] * min(1.0, limit / (norm + 1e-6))

        if _close(self.run(gradient=wide, clip_norm=limit), self.run(gradient=clipped), 1e-4):
            return None
        return Diagnosis(
            "clipping", "gradients are not scaled by min(1, clip_norm / norm), with one norm of all"
        )

    def resumes(self) -> Diagnosis | None:
        parameters = [Parameter(w, dtype=np.float64) for w in self.starts]
        optimizer = self.make(parameters)
        if not _has_state(optimizer):
            raise _NotOffered("it has no state_dict and load_state_dict")
        half = STEPS // 2
        for k in range(half):
            self.step(k, optimizer, parameters)
        state = copy.deepcopy(optimizer.state_dict())
        others = [Parameter(p.data, dtype=np.float64) for p in parameters]
        second = self.make(others)
        second.load_state_dict(state)
        for k in range(half, STEPS):
            self.step(k, second, others)
        if _same([[p.data for p in others]], self.run()[-1:]):
            return None
        text = "after loading, the run goes another way: something that the rule keeps between "
        return Diagnosis("state", text + "steps is not in state_dict (m, v, the step count)")

    def known_path(self) -> Diagnosis | None:
        name = self._known_name()
        if name is None:
            raise _NotOffered("by its name and parents it is no rule that is known here")
        known = KNOWN[name]
        options = {key: self.option(key, value) for key, value in known.options.items()}
        if any(callable(value) for key, value in options.items() if key != "lr"):
            raise _NotOffered("an option is a schedule")
        options["lr"] = self.lr
        scale = np.array([[1.0, 1e-2], [1e-4, 1e-6], [30.0, 1e-3]])

        def gradient(k: int, i: int, w: Array) -> Array:
            return scale * self.gradient(k, 0, w)

        lr: dict[str, Any] = self._if_taken(lr=self.lr)
        found = [step[0] for step in self.run(self.starts[:1], gradient, **lr)]

        def matches(wrong: str) -> bool:
            expected = _plainly(known, options, self.starts[0], gradient, wrong)
            return _along(found, expected, self.starts[0])

        variants = () if self._is_builtin() else known.variants
        if any(matches(form) for form in ("", *variants)):
            return None
        for mistake, text in known.mistakes.items():
            if matches(mistake):
                return Diagnosis("rule", text)
        return Diagnosis("rule?", f"its path is not that of {name}, for none of the usual reasons")

    # -- what the class says of itself -----------------------------------------------------------

    def _is_builtin(self) -> bool:
        return bool(self.cls.__module__.startswith("nnlite."))

    def _known_name(self) -> str | None:
        """The rule that the class is or says it is, by its name or that of a parent.

        A class that writes another rule below a known one, under a name without the known one's,
        says nothing.
        """
        own = _plain_name(self.cls)
        if own in OTHERS:
            return None
        by_name = {name.lower(): name for name in KNOWN}
        rewritten = False
        for cls in self.cls.__mro__:
            said = by_name.get(_plain_name(cls))
            if said and (cls is self.cls or said.lower() in own or not rewritten):
                return said
            rewritten |= not {"update", "step"}.isdisjoint(vars(cls))
        return None

    def _is_decoupled(self) -> bool | None:
        """Whether weight decay bypasses the gradient; None where the class does not say."""
        if self.ours:
            return bool(self.cls.decoupled)
        known = self._known_name()
        return None if known is None else known in ("AdamW", "Lion")

    def _if_taken(self, **options: Any) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in self.takes}


class _NotOffered(Exception):
    """What an optimizer does not have cannot be wrong."""


def _plain_name(cls: type) -> str:
    """The class's name without what learners put before and behind it: MyAdam2 is adam."""
    name = cls.__name__.strip("_0123456789").lower().replace("_", "")
    for adjective in ADJECTIVES:
        name = name.removeprefix(adjective)
    return name


def _shrinking(rate: float) -> Callable[[int, Any, list[Parameter]], None]:
    def shrink(k: int, optimizer: Any, parameters: list[Parameter]) -> None:
        for p in parameters:
            p.data = p.data * (1 - rate)

    return shrink


def _plainly(
    known: Known, options: Mapping[str, Any], start: Array, gradient: Gradient, wrong: str
) -> list[Array]:
    """The path of the rule as it is written in `known_rules`."""
    w, state, path = start.copy(), {}, []  # type: tuple[Array, dict[str, Any], list[Array]]
    for k in range(STEPS):
        w = known.rule(w, gradient(k, 0, w), state, k + 1, options, wrong)
        path.append(w)
    return path


def _along(found: list[Array], expected: list[Array], start: Array) -> bool:
    """Whether every weight has gone the same way, to a millionth of it."""
    return all(
        bool((abs(a - b) <= 1e-6 * abs(b - start) + 1e-14 * (1 + abs(start))).all())
        for a, b in zip(found, expected, strict=True)
    )


def _close(first: Path, second: Path, share: float = 1e-9) -> bool:
    return all(
        np.allclose(a, b, rtol=share, atol=share * 1e-3)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def _same(first: Path, second: Path) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=True)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


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
