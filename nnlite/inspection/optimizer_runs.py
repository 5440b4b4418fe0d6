"""Runs of an optimizer on made-up gradients: what an optimizer check is made of."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnlite.core.kinds import shown
from nnlite.core.parameter import Parameter
from nnlite.optimizers.base import Optimizer

Array = np.ndarray
Gradient = Callable[[int, int, Array], Array]  # of step k (0 first), parameter i, weights w
Path = list[list[Array]]  # after each step, the weights of each parameter

SEED = 0
STEPS = 10
SHAPES = ((3, 2), (3, 2), (4,))
ALIASES = {
    "lr": ("learning_rate",),
    "momentum": ("mu", "beta"),
    "alpha": ("rho", "decay", "decay_rate", "beta", "gamma"),
    "rho": ("alpha", "gamma"),
    "eps": ("epsilon",),
}
PAIRS = (("beta1", "beta2"), ("beta_1", "beta_2"), ("b1", "b2"))  # for betas
MISSING = object()


class OptimizerRuns:
    """Makes optimizers of one class, and runs them on gradients that are always the same.

    Args:
        optimizer: a class, or an optimizer whose options are taken.
        options: others.

    Attributes:
        cls: the class.
        subject: what to call it.
        takes: the names of its arguments, and their defaults.
        options: the arguments that it is made with.
        lr: a learning rate that suits it.
        rate: under what name it takes a learning rate; None if it takes none.
        ours: whether it is below `nn.Optimizer`.
        walked: whether its rule is walked over memory, as those are that write only `update`.
        seed: of what is made up.
        starts: the first weights of each parameter.
    """

    def __init__(self, optimizer: Any, options: Mapping[str, Any]) -> None:
        self.cls: Any = optimizer if isinstance(optimizer, type) else type(optimizer)
        step = getattr(self.cls, "step", None)
        if not callable(step):
            raise TypeError(
                f"check_optimizer: expected an optimizer or its class, got {shown(optimizer)}, "
                "which has no step()"
            )
        self.takes = dict.fromkeys(options) | _arguments(self.cls)
        given = {} if isinstance(optimizer, type) else self._arguments_of(optimizer)
        self.options = {**given, **options}
        self.rate = next((name for name in ("lr", *ALIASES["lr"]) if name in self.takes), None)
        if self.rate and self.takes[self.rate] is inspect.Parameter.empty:
            self.options.setdefault(self.rate, 0.01)
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
        self.walked = step is Optimizer.step
        self.seed = SEED
        rng = np.random.default_rng(self.seed)
        self.starts = [rng.standard_normal(shape) for shape in SHAPES]
        self._gradients = [
            [rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape) for shape in SHAPES]
            for _ in range(STEPS)
        ]

        if self.rate and self.rate not in inspect.signature(self.cls).parameters:
            try:
                self.make([Parameter(np.ones(2))], lr=self.lr)
            except TypeError:  # it gives its parent one itself
                self.rate = None

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

    def has(self, name: str) -> bool:
        """Whether the optimizer takes this option, under whatever name."""
        return self.option(name, MISSING) is not MISSING

    def option(self, name: str, default: Any = None) -> Any:
        """What the optimizer is made with under this name or one that means the same."""
        for each in (name, *ALIASES.get(name, ())):
            if each in self.options:
                return self.options[each]
            found = self.takes.get(each, inspect.Parameter.empty)
            if found is not inspect.Parameter.empty:
                return found
        if name == "betas":
            for pair in PAIRS:
                if pair[0] in self.takes:
                    return self.option(pair[0]), self.option(pair[1])
        return default

    def make(self, parameters: Any, **more: Any) -> Any:
        """An optimizer downhill, without decay and clipping, unless they are among `more`.

        `lr` is given under the name that the class has for it.
        """
        if self.rate and "lr" in more:
            more[self.rate] = more.pop("lr")
        off: dict[str, Any] = {
            "weight_decay": 0.0, "clip_norm": None, "clip_value": None, "maximize": False,
        }  # fmt: skip
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
        """Step k, 0 first, from gradients at the weights of now."""
        for i, p in enumerate(parameters):
            p.grad = (gradient or self.gradient)(k, i, p.data.copy()).astype(p.dtype)
        optimizer.step()

    def alone(self, i: int, **more: Any) -> Path:
        """The path of parameter i without the others."""
        return self.run([self.starts[i]], lambda k, _, w: self.gradient(k, i, w), **more)

    def if_taken(self, **options: Any) -> dict[str, Any]:
        """Those of the options that the class has."""
        return {name: value for name, value in options.items() if name in self.takes}

    def apart(self) -> bool:
        """Whether each parameter moves as it does alone."""
        together = self.run()
        return all(close([[w[i]] for w in together], self.alone(i)) for i in range(len(SHAPES)))

    def takes_one_vector(self) -> bool:
        """Whether all parameters are one vector to it on purpose, as they are to L-BFGS.

        Then their order makes no difference, while of state or a count that one parameter leaves
        to the next, it does. A rule that is walked over memory never sees all of them.
        """
        if self.walked or self.apart():
            return False
        backwards = self.run(self.starts[::-1], lambda k, i, w: self.gradient(k, ~i, w))
        return close([step[::-1] for step in backwards], self.run(), 1e-6)


def _arguments(cls: type) -> dict[str, Any]:
    """What the class takes beside its parameters, with defaults; by `**options`, its parents' too.

    Of a parent's, those with defaults: what has none, the class gives it.
    """
    found: dict[str, Any] = {}
    makers = [each for each in cls.__mro__ if "__init__" in vars(each)]
    for each in makers:
        arguments = [*inspect.signature(each).parameters.values()][1:]
        for p in arguments:
            named = p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            if named and (each is makers[0] or p.default is not p.empty):
                found.setdefault(p.name, p.default)
        if all(p.kind is not p.VAR_KEYWORD for p in arguments):
            break
    return found


def close(first: Path, second: Path, share: float = 1e-9) -> bool:
    """Whether all weights are equal, but for rounding."""
    return all(
        np.allclose(a, b, rtol=share, atol=share * 1e-3)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def same(first: Path, second: Path) -> bool:
    """Whether all weights are equal to the bit."""
    return all(
        np.array_equal(a, b, equal_nan=True)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )
