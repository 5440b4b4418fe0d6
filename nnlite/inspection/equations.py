"""Formulas with what a run has put in the place of their names: shapes, arrays, numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.reading import Reading, in_rows, numbers_of
from nnlite.inspection.component import Operand, Rule, shown
from nnlite.inspection.entries import Sheet, Unreadable
from nnlite.inspection.formula import SUBSCRIPTS, Sentence
from nnlite.layers.base import Layer

Shape = tuple[int, ...]
# not finite, 0 / 0, a root of less than 0, or a function of a user's line with too few arguments
NO_NUMBER = (ArithmeticError, ValueError, TypeError)
CHECKED = 4  # entries of a result that a rule is tried on before it is shown
PADDED = 150  # the same where sequences end: a rule may not hold beyond


class Value(NamedTuple):
    """An array of the step, under the name that the formulas use.

    Attributes:
        name: such as "G" or "dL/dW".
        array: its values.
        kernel: whether it belongs to a parameter, so that four axes are (kH, kW, I, O).
    """

    name: str
    array: np.ndarray
    kernel: bool = False

    def statistics(self) -> dict[str, float]:
        """Norm, smallest and largest value, and the share of zeros."""
        a = self.array
        if a.size == 0:
            return {"norm": 0.0, "min": 0.0, "max": 0.0, "zeros": 0.0}
        return {
            "norm": float(np.sqrt(np.square(a, dtype=np.float64).sum())),
            "min": float(a.min()),
            "max": float(a.max()),
            "zeros": float(np.mean(a == 0)),
        }


class Page:
    """All that the equations of one layer, in one run, stand for.

    Args:
        owner: what they belong to.
        lines: the equations (None: the owner's).
        reading: what their letters stand for, or a function that tells.
    """

    def __init__(
        self, owner: Any, lines: Mapping[str, str] | None, reading: Reading | Callable[[], Reading]
    ) -> None:
        self._owner, self._lines = owner, lines
        self._numbers: dict[str, float] = {}
        self.padded = False  # whether sequences end before x does
        self._reading = reading
        self._put: dict[str, tuple[np.ndarray, bool]] = {}

    @cached_property
    def lines(self) -> Mapping[str, str]:
        """The equations; the owner's own unless others were given."""
        found: Mapping[str, str] = self._owner.equations if self._lines is None else self._lines
        return found

    @cached_property
    def numbers(self) -> dict[str, float]:
        """By name, those that the owner has as attributes, and those that the run adds."""
        return {**self._numbers, **numbers_of(self._owner)}

    def count(self, name: str, number: float) -> None:
        """Let a name stand for a number."""
        self._numbers[name] = number

    @cached_property
    def reading(self) -> Reading:
        """Asked for when the first equation is looked at, and not while the step runs."""
        return self._reading if isinstance(self._reading, Reading) else self._reading()

    def put(self, name: str, array: np.ndarray, fold: bool = False) -> None:
        """Let a name stand for an array; what the layer says of it itself goes before.

        Args:
            name: in the equations.
            array: as the run had it.
            fold: whether it is one of x, y and G, that equations may see in another shape.
        """
        self._put[name] = array, fold

    def take(self, other: Page) -> None:
        """Let all names stand for what they stand for on another page."""
        self._put.update(other._put)

    @cached_property
    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name, an array as equations see it, and as the run had it."""
        reading, found = self.reading, {}
        for name, (array, fold) in self._put.items():
            seen = array
            if name in reading.shapes:
                seen = array.reshape(reading.shapes[name])
            elif fold and reading.fold is not None and array.ndim:
                seen = array.reshape(reading.fold(array.shape))
            found[name] = seen, array
        for name, value in reading.values.items():
            if isinstance(value, np.ndarray) and value.ndim:
                found[name] = value, value
            elif value is not None:
                self.numbers[name] = float(value)
        return found

    @cached_property
    def definitions(self) -> dict[str, str]:
        """What any line defines."""
        found: dict[str, str] = {}
        for line in [*self.lines.values(), *self.reading.components.values()]:
            found.update(Sentence(line).definitions)
        return found

    def equations(self, key: str, result: Value) -> list[Equation]:
        """Those of inner values on the way, in their order, and then that of the result."""
        line, components = self.lines.get(key, ""), self.reading.components
        read = components.get(result.name, components.get(key, line))
        return [*self._inner(key, line), Equation(self, line, result, line=read)]

    def named(self, names: Sequence[str]) -> list[Equation]:
        """Those of values that the layer tells of by name, in this order."""
        lines = self.reading.components
        return [Equation(self, lines[name], Value(name, self.arrays[name][1])) for name in names]

    def _inner(self, key: str, line: str) -> Iterator[Equation]:
        """What the line defines that the run has kept; of forward's values only forward tells."""
        told = {} if key == "forward" else Sentence(self.lines.get("forward", "")).definitions
        kept, components = self.reading.values, self.reading.components
        for name, meaning in reversed(Sentence(line).definitions.items()):
            if name not in told and isinstance(kept.get(name), np.ndarray) and kept[name].ndim:
                formula = f"{name} = {meaning}"
                read = components.get(name, formula)
                yield Equation(self, formula, Value(name, kept[name]), line=read)


class Equation:
    """One line of a layer with the arrays of a run.

    Attributes:
        formula: the line; empty where the layer has none.
        line: the same as it is read, where that differs: with names that tell new from old.
        result: what the run computed by it.
        heading: where among several of its kind it belongs, such as "time step 3".
        striking: an array in which the entry of the largest size is the one that an example is
            best of (default None: the result).
    """

    def __init__(
        self,
        page: Page,
        formula: str,
        result: Value,
        heading: str = "",
        line: str | None = None,
        striking: np.ndarray | None = None,
    ) -> None:
        self.page = page
        self.formula = formula
        self.line = formula if line is None else line
        self.result = result
        self.heading = heading
        self._striking = striking

    @property
    def seen(self) -> np.ndarray:
        """The result as the equation sees it."""
        array, reading, page = self.result.array, self.page.reading, self.page
        name = Sentence(self.line).left.removeprefix("dL/d") if self.line else ""
        shaped = page.arrays.get(name, page.arrays.get(name.rstrip(SUBSCRIPTS)))
        if shaped is not None and shaped[0].size == array.size:
            return array.reshape(shaped[0].shape)
        if name == "y" and reading.fold is not None and array.ndim:
            return array.reshape(reading.fold(array.shape))
        return array

    @cached_property
    def rule(self) -> Rule | None:
        """How each entry came about; None where the line does not say it, or only in words."""
        rule = self.unchecked
        return rule if rule is not None and self.agrees(rule) else None

    @cached_property
    def unchecked(self) -> Rule | None:
        """What the line says, whether it is so or not."""
        if not self.line:
            return None
        page = self.page
        shape = self.seen.shape
        name = Sentence(self.line).left
        axes = {"n": 0, "j": -1, "mean": -1, **page.reading.axes}
        sheet = Sheet(page.arrays, page.numbers, axes, page.reading.sizes)
        try:
            return sheet.rule(self.line, name, shape, page.definitions)
        except Unreadable:
            return None

    def agrees(self, rule: Rule) -> bool:
        """Whether the rule gives what the run computed, tried on a few entries."""
        seen = self.seen
        if seen.size == 0:
            return False
        largest = float(np.abs(seen).max())
        if not math.isfinite(largest):
            return False
        tried = PADDED if self.page.padded else CHECKED
        places = np.unique(np.linspace(0, seen.size - 1, tried).astype(int))
        precise = 1e-3 if seen.dtype.itemsize < 8 else 1e-6
        for place in [*places, int(np.abs(seen).argmax())]:
            entry = np.unravel_index(place, seen.shape)
            try:
                found = rule.value([int(i) for i in entry])
            except NO_NUMBER:
                return False
            if not abs(found - float(seen[entry])) <= precise * max(largest, 1e-3):
                return False
        return True

    @property
    def operands(self) -> list[Operand]:
        """What the rule reads; without one, what the line names, and G or x at least."""
        rule = self.rule or self.unchecked
        if rule is not None:
            return rule.operands
        return [Operand(name, *self.page.arrays[name]) for name in self._named()]

    def _named(self) -> list[str]:
        arrays = self.page.arrays
        right = Sentence(self.line).right if self.line else ""
        found = [
            name for name in arrays if re.search(rf"(?<![\w∂/]){re.escape(name)}(?![\w′'])", right)
        ]
        if not found:
            gradient = self.result.name.startswith("dL/d")
            found = [
                name for name in arrays if name.rstrip("₁₂₃₄₅₆₇₈₉") in ("xG" if gradient else "x")
            ]
        return found

    @property
    def entry(self) -> tuple[int, ...]:
        """The one that the example is of."""
        seen = self.seen
        sizes = seen if self._striking is None else self._striking.reshape(seen.shape)
        with np.errstate(invalid="ignore"):
            size = np.abs(sizes)
            # the first of those that differ in rounding only, which is the same everywhere
            place = int((size >= (1 - 1e-4) * size.max()).argmax()) if seen.size else 0
        return tuple(int(i) for i in np.unravel_index(place, seen.shape)) if seen.ndim else ()

    @cached_property
    def example(self) -> str | None:
        """The component form of one entry, with its numbers."""
        try:
            return None if self.rule is None else self.rule.with_numbers(self.entry)
        except NO_NUMBER:
            return None

    @property
    def matrix(self) -> list[str | dict[str, Any]]:
        """The right side in order: text, and operands by their numbers."""
        right = Sentence(self.formula).right if self.formula else ""
        names = {shown(operand.name): k for k, operand in enumerate(self.operands)}
        if not names:
            return [right] if right else []
        some = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
        alone = rf"(?<![\w∂/'])({some})(?![A-Za-z_\u0302′'])[{SUBSCRIPTS}]*(ᵀ?)"
        tokens: list[str | dict[str, Any]] = []
        start = 0
        for found in re.finditer(alone, right):
            if right[start : found.start()]:
                tokens.append(right[start : found.start()])
            tokens.append({"operand": names[found[1]], "transposed": bool(found[2])})
            start = found.end()
        return [*tokens, right[start:]] if right[start:] else tokens


def symbol(layer: Layer, name: str) -> str:
    """The letter that a layer's equations use for a parameter: W for weight, from "dL/dW = …"."""
    left = layer.equations.get(name, "").partition(" = ")[0]
    return left.removeprefix("dL/d") if left.startswith("dL/d") else name


def with_shapes(formula: str, shapes: Mapping[str, Shape], result: Shape) -> str:
    """The equation with the shape behind every symbol that stands for a whole array.

    "dL/dW = xᵀ G" becomes "dL/dW (64, 10) = xᵀ (64, 32) G (32, 10)". Entries such as x[n, i, c]
    stay as they are, and so does what is said in words.
    """
    found = re.fullmatch(r"(.*?) ([=←]) (.*)", formula)
    if found is None:
        return f"{formula} {result}"
    left, sign, right = found.groups()
    if not shapes:
        return f"{left} {result} {sign} {right}"
    if re.search("[xG]ᵀ", right):  # a product of matrices: all axes before the last are rows
        rows = {name: shape for name, shape in shapes.items() if name in ("x", "G")}
        shapes = {**shapes, **{name: in_rows(shape) for name, shape in rows.items()}}

    def filled(match: re.Match[str]) -> str:
        name, mark = match["name"], match["mark"]
        shape = shapes[name][::-1] if mark == "ᵀ" else shapes[name]
        return f"{name}{mark} {shape}"

    names = "|".join(sorted(map(re.escape, shapes), key=len, reverse=True))
    alone = rf"(?<![\w∂/'])(?P<name>{names})(?P<mark>[ᵀ\u0302]?)(?![\w′'\[₀-₉ₐ-ₜᵢⱼ])"
    first, *meanings = right.split(",  ")
    clauses = [re.sub(alone, filled, first)]
    clauses += [re.sub(alone, filled, each) if " = " in each else each for each in meanings]
    return f"{left} {result} {sign} {',  '.join(clauses)}"
