"""Which well-known rule an optimizer says it is, and how its path differs from that rule's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from nnlite.inspection.known_rules import KNOWN, NUMBERS, Known
from nnlite.inspection.optimizer_runs import STEPS, Array, OptimizerRuns
from nnlite.inspection.report import Diagnosis

ADJECTIVES = ("my", "own", "our", "simple", "plain", "tiny", "mini", "custom", "hand", "numpy")
# Rules whose names end like those of others.
OTHERS = {"signsgd", "amsgrad", "signmomentum", "quasihyperbolicadam"}


def known_name(of: type) -> str | None:
    """The rule that the class is or says it is, by its name or that of a parent.

    A class that writes another rule below a known one, under a name without the known one's,
    says nothing.
    """
    own = _plain_name(of)
    if own in OTHERS:
        return None
    by_name = {name.lower(): name for name in KNOWN}
    rewritten = False
    for cls in of.__mro__:
        said = by_name.get(_plain_name(cls))
        if said and (cls is of or said.lower() in own or not rewritten):
            return said
        rewritten |= not {"update", "step"}.isdisjoint(vars(cls))
    return None


def _plain_name(cls: type) -> str:
    """The class's name without what learners put before and behind it: MyAdam2 is adam."""
    name = cls.__name__.strip("_0123456789").lower().replace("_", "")
    for adjective in ADJECTIVES:
        name = name.removeprefix(adjective)
    return name


def known_path(runs: OptimizerRuns, name: str, options: dict[str, Any]) -> Diagnosis | None:
    """What is wrong with the path, or None.

    Args:
        runs: the optimizer.
        name: the rule that it should be, one of KNOWN.
        options: what the rule needs, but for lr.
    """
    known = KNOWN[name]
    lr = 0.83 * runs.lr  # no 1 − μ by chance
    options = {**options, "lr": lr}
    # of all sizes, so that ε counts, and a sign hangs on the last gradient by a hair
    rng = np.random.default_rng(runs.seed)
    start = rng.standard_normal((64, 4))
    sizes = 10 ** rng.uniform(-6, 1.5, (STEPS, *start.shape))
    gradients = sizes * rng.choice([-1.0, 1.0], sizes.shape)
    found = [step[0] for step in runs.run([start], lambda k, i, w: gradients[k], lr=lr)]

    def moves_as(wrong: str, options: Mapping[str, Any] = options) -> bool:
        return _along(found, _plainly(known, options, start, gradients, wrong), start)

    variants = () if runs.cls.__module__.startswith("nnlite.") else known.variants
    if any(moves_as(form) for form in ("", *variants)):
        return None
    for mistake, text in known.mistakes.items():
        if moves_as(mistake):
            return Diagnosis("rule", text)
    for numbers in _other_numbers(options):
        if moves_as("", numbers):
            different = {key for key, value in numbers.items() if value != options[key]}
            if not any(runs.has(key) for key in different):
                return None  # numbers that are written into the rule are its own
            is_, made = (_told(each, different) for each in (numbers, options))
            return Diagnosis("rule", f"it moves as with {is_}, though it is made with {made}")
    told = _told(options, options.keys() - {"lr"})
    text = f"its path is not that of {name} with {told}, for none of the usual reasons"
    return Diagnosis("rule?", text)


def _plainly(
    known: Known, options: Mapping[str, Any], start: Array, gradients: Array, wrong: str
) -> list[Array]:
    """The path of the rule as it is written in `known_rules`."""
    w, state, path = start.copy(), {}, []  # type: tuple[Array, dict[str, Any], list[Array]]
    for k, g in enumerate(gradients):
        w = known.rule(w, g, state, k + 1, options, wrong)
        path.append(w)
        if wrong.startswith("forgets"):  # all of it, or what is named
            for name in wrong.split()[1:] or list(state):
                del state[name]
    return path


def _other_numbers(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options with other numbers that are in use, in all combinations."""
    choices = [(value, *NUMBERS.get(key, ())) for key, value in options.items()]
    for values in itertools.product(*choices):
        yield dict(zip(options, values, strict=True))


def _told(options: Mapping[str, Any], names: Set[str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items() if key in names)


def _along(found: list[Array], expected: list[Array], start: Array) -> bool:
    """Whether every weight has gone the same way, to a millionth of it."""
    return all(
        bool((abs(a - b) <= 1e-6 * abs(b - start) + 1e-14 * (1 + abs(start))).all())
        for a, b in zip(found, expected, strict=True)
    )
