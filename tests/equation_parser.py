"""A small reader of printed formulas: it computes what a line says, with NumPy.

The signs, and the parts that lines fall into, are those of `nnlite.inspection.formula`, where the
conventions are written down. What they mean is worked out here once more, for whole arrays; a sign
that is read in the wrong way gives other numbers than the code's.

Beside these conventions, a name of a map (f, J_f) before or behind a value is applied to it,
[a, b] is one array of both, and "[a, b] = x" cuts x into two.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnlite.inspection.formula import (
    BARE,
    ENDS,
    MARKS,
    PLAIN,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    Scanner,
    split,
)

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal, "<": np.less, ">": np.greater, "≤": np.less_equal, "≥": np.greater_equal,
    "≠": np.not_equal,
}  # fmt: skip


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "log": np.log, "tanh": np.tanh, "cosh": np.cosh, "max": np.maximum, "min": np.minimum,
    "sign": np.sign, "clip": np.clip, "softmax": softmax,
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "Φ": np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2),
    "φ": lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
}  # fmt: skip


class Sheet:
    """The lines of one page of formulas, and the values that are known.

    Args:
        values: arrays, numbers and maps (one argument each) by name.
        axes: the axis of each letter that sums run over; "mean" has a tuple of axes.
        along: the axis along which [a, b] joins and cuts.
    """

    def __init__(
        self, values: Mapping[str, Any], axes: Mapping[str, Any] | None = None, along: int = -1
    ) -> None:
        self.values = dict(values)
        self.axes = dict(axes or {})
        self.along = along
        self.outside = 0.0  # what an array is where it has no entries
        self.definitions: dict[str, str] = {}
        self.computed: dict[str, Any] = {}

    def define(self, line: str) -> str:
        """Take over what the line defines behind its first comma; returns what it states."""
        first, *others = split(line)
        for other in others:
            if found := re.fullmatch(r"where \w is (\S+) outside", other):
                self.outside = float(found[1].replace("−", "-"))
            left, defines, right = other.partition(" = ")
            if defines:  # not a remark in words
                names = left.strip("[]").split(", ") if left.startswith("[") else [left]
                self.definitions.update(dict.fromkeys(names, f"{left} = {right}"))
        return first

    def evaluate(self, line: str, shape: tuple[int, ...] | None = None) -> Any:
        """What the line's right side is; `shape` is that of the left one."""
        statement = self.define(line)
        left, right = re.split(r" [=←] ", statement, maxsplit=1)
        entry = next((name for name in self.definitions if name.startswith(f"{left}[")), None)
        if entry is not None:  # "y = x ⋆ W,  y[n,i,o] = …" says what ⋆ is
            right = self.definitions[entry].partition(" = ")[2]
        found = self.words(right)
        if found is None:
            found = _Reader(right, self, shape).read()
        if shape is None:
            return found
        size = int(np.prod(shape))
        return found.reshape(shape) if np.size(found) == size else np.broadcast_to(found, shape)

    def words(self, text: str) -> Any:
        """What a rearrangement in words is; None for formulas."""
        if found := re.fullmatch(r"(\w) in (\w)'s shape", text):
            return self.values[found[1]].reshape(self.values[found[2]].shape)
        if found := re.fullmatch(r"(\w) in the shape \(N, (.*)\)", text):
            x = self.values[found[1]]
            return x.reshape(len(x), *(int(n.replace("−", "-")) for n in found[2].split(", ")))
        if found := re.fullmatch(r"(\w) with its axes in the order \((.*)\)", text):
            return self.values[found[1]].transpose([int(n) for n in found[2].split(", ")])
        return None

    def lookup(self, name: str) -> Any:
        """The value of a name, which a definition may have to be computed for."""
        if name in self.values:
            return self.values[name]
        if name not in self.computed:
            left, _, right = self.definitions[name].partition(" = ")
            value = _Reader(right, self, None).read()
            if left.startswith("["):
                names = left.strip("[]").split(", ")
                parts = np.split(value, len(names), axis=self.along)
                self.computed.update(zip(names, parts, strict=True))
            else:
                self.computed[name] = value
        return self.computed[name]

    def knows(self, name: str) -> bool:
        return name in self.values or name in self.definitions


class _Reader(Scanner):
    """A recursive descent through one expression."""

    def __init__(self, text: str, sheet: Sheet, shape: tuple[int, ...] | None) -> None:
        super().__init__(text)
        self.sheet, self.shape = sheet, shape
        self.outside = sheet.outside
        known = [*sheet.values, *sheet.definitions, *FUNCTIONS]
        words = {found[0] for each in known if (found := re.match(r"[^\W\d_]{2}\w*", each))}
        every = [*sorted(words, key=len, reverse=True), "max_[a-z]+", "mean", r"[^\W\d_]"]
        self.name = re.compile(rf"(?:dL/d)?(?:{'|'.join(every)}){MARKS}")

    def read(self) -> Any:
        value = self.sum()
        if self.place < len(self.text):
            raise self.unread()
        return value

    def sum(self) -> Any:
        value = -self.product() if self.take("−") else self.product()
        while sign := self.take("+", "−"):
            term = self.product()
            value = value + term if sign == "+" else value - term
        return value

    def product(self) -> Any:
        value, _ = self.factor()
        while True:
            if self.take("/"):
                value = value / self.factor()[0]
            elif self.take("⊙", "·"):
                value = value * self.factor()[0]
            elif self.token(re.compile("mod ")):
                value = value % self.factor()[0]
            elif self.peek(*ENDS) or not self.text[self.place :].strip():
                return value
            else:
                value = self.beside(value, *self.factor())

    def beside(self, left: Any, right: Any, matrix: bool) -> Any:
        if callable(right):
            return right(left)
        if matrix and np.ndim(left) > 1 and np.ndim(right) > 1:
            return left @ right
        return left * right

    def factor(self) -> tuple[Any, bool]:
        """(the value, whether it is a matrix): a name, a number, … with its powers."""
        value, matrix = self.primary()
        while True:
            if self.take("^"):
                value, matrix = value ** (self.negative() or self.factor()[0]), False
            elif found := self.token(re.compile(rf"ᵀ|[{''.join(SUPERSCRIPTS)}]+")):
                if found[0] == "ᵀ":
                    value = np.swapaxes(value, -1, -2)
                else:
                    value, matrix = value ** self.power(found[0]), False
            elif self.text[self.place :].startswith("_t"):
                self.place += 2
                t = np.clip(
                    self.sheet.lookup("t"), 0, value.shape[-1] - 1
                )  # a row left out counts 0
                value = np.take_along_axis(value, t, -1)
            else:
                return value, matrix

    def negative(self) -> Any:
        return -self.factor()[0] if self.take("−") else None

    def power(self, marks: str) -> Any:
        plain = "".join(SUPERSCRIPTS[mark] for mark in marks)
        return _Reader(plain, self.sheet, self.shape).read()

    def primary(self) -> tuple[Any, bool]:
        if found := self.token(re.compile(r"\d+(?:\.\d+)?(?:e[-−]?\d+)?|½|∞")):
            known = {"½": 0.5, "∞": np.inf}
            return known.get(found[0]) or float(found[0].replace("−", "-")), False
        if found := self.token(re.compile(rf"Σ([{SUBSCRIPTS}]+|_[a-z]+)?")):
            return self.added(found[1]), False
        if opened := self.take("(", "|", "√", "⌊", "‖"):
            return self.enclosed(opened)
        if self.take("["):
            return self.bracket(), False
        found = self.token(self.name)
        if found is None:
            raise self.unread()
        return self.named(found[0])

    def enclosed(self, opened: str) -> tuple[Any, bool]:
        if opened == "√":
            return np.sqrt(self.factor()[0]), False
        value = self.sum()
        self.need({"(": ")", "⌊": "⌋"}.get(opened, opened))
        if opened == "(":
            return value, False
        return {"|": np.abs, "⌊": np.floor, "‖": np.linalg.norm}[opened](value), False

    def added(self, letters: str | None) -> Any:
        value = self.product()
        if letters is not None:
            names = [PLAIN.get(letter, letter) for letter in letters.strip("_")]
            axes = [self.sheet.axes[name] for name in names]
            return value.sum(axis=tuple(np.hstack(axes).astype(int)), keepdims=True)
        if not self.shape:
            return value.sum()
        lost = value.ndim - len(self.shape)
        value = value.sum(axis=tuple(range(lost)))
        narrow = tuple(i for i, n in enumerate(self.shape) if n == 1 < value.shape[i])
        return value.sum(axis=narrow, keepdims=True)

    def bracket(self) -> Any:
        """A condition, or several arrays joined."""
        values, holds = [self.sum()], True
        while sign := self.take(*COMPARE):
            values.append(self.sum())
            holds = holds & COMPARE[sign](values[-2], values[-1])
        if len(values) == 1:
            while self.take(","):
                values.append(self.sum())
            self.need("]")
            return np.concatenate(values, axis=self.sheet.along)
        self.need("]")
        return np.asarray(holds, np.float64)

    def named(self, name: str) -> tuple[Any, bool]:
        sheet = self.sheet
        if name == "mean":
            return np.mean(self.factor()[0], axis=sheet.axes["mean"], keepdims=True), False
        if name.startswith("max_"):
            axes = tuple(sheet.axes[letter] for letter in name[4:])
            self.outside = -np.inf
            value = self.product().max(axis=axes, keepdims=True)
            self.outside = sheet.outside
            return value, False
        if name in FUNCTIONS and (name in BARE or self.peek("(")):
            raised = self.token(re.compile(rf"[{''.join(SUPERSCRIPTS)}]+"))
            if self.take("("):
                value = FUNCTIONS[name](*self.listed(self.sum, ")"))
            else:
                value = FUNCTIONS[name](self.factor()[0])
            return value ** self.power(raised[0]) if raised else value, False
        if not sheet.knows(name) and sheet.knows(f"{name}²"):  # σ² is defined, not σ
            return np.sqrt(sheet.lookup(f"{name}²")), False
        if name == "e" and not sheet.knows("e"):
            return np.e, False
        if not sheet.knows(name):
            base = name.rstrip(SUBSCRIPTS)
            if base == name and name[1:] == "_t":
                self.place -= 2
                base = name[0]
            name = base
        value = sheet.lookup(name)
        if name[0] == "J":  # a Jacobian stands behind what it is applied to
            return value, False
        if callable(value):
            given = self.listed(self.sum, ")") if self.take("(") else [self.factor()[0]]
            return value(*given), False
        if self.text[self.place : self.place + 1] == "[":
            self.place += 1
            return entries(value, self.listed(self.sum, "]"), self.outside), False
        return value, name.removeprefix("dL/d")[0].isupper()


def entries(array: np.ndarray, index: list[Any], outside: float) -> Any:
    """array[index], and beyond its ends what is outside."""
    whole = [np.asarray(i).astype(np.int64) for i in index]
    inside, safe = np.asarray(True), []
    for i, size in zip(whole, array.shape, strict=False):
        inside = inside & (i >= 0) & (i < size)
        safe.append(np.clip(i, 0, size - 1))
    found = array[tuple(safe)]
    wide = inside.reshape(inside.shape + (1,) * (found.ndim - inside.ndim))
    return np.where(wide, found, outside)
