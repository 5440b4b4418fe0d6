"""The rule for one entry of an array, as a small tree: dL/dW[i,j] = Σₙ x[n,i] G[n,j].

A page can evaluate it too. The nodes are numbers, letters of indices, and lists that begin with
their kind:

    ["at", k, [index, …]]                 an entry of operand k; 0 where there is none
    ["+", a, b], and so on with - * / ^ mod;  ["neg", a]
    ["sum", [[letter, size], …], a]       over all values of the letters, from 0
    ["largest", [[letter, size], …], a]   without what lies outside of arrays
    ["f", name, a, …]                     a function
    ["is", relation, a, b]                1 where it holds, else 0

A product or quotient whose first factor is 0 is 0, whatever stands behind.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Node = Any


class Known(float):
    """A number that has a letter, which is shown in the place of its digits."""

    letter: str

    def __new__(cls, letter: str, value: float) -> Known:
        """The number, and its letter."""
        made = super().__new__(cls, value)
        made.letter = letter
        return made


class Operand(NamedTuple):
    """An array that a rule reads.

    Attributes:
        name: as the formula calls it.
        array: as the formula sees it, so (N, T, D) in N·T rows.
        whole: the array that it is a view of.
    """

    name: str
    array: np.ndarray
    whole: np.ndarray


class Rule(NamedTuple):
    """How each entry of a result came about: result[indices] = body.

    Attributes:
        indices: the letters of the result's axes.
        body: the tree.
        operands: what it reads.
        result: the name of what it gives.
    """

    indices: list[str]
    body: Node
    operands: list[Operand]
    result: str

    def value(self, entry: Sequence[int]) -> float:
        """What the rule says of one entry."""
        return evaluate(self.body, dict(zip(self.indices, entry, strict=True)), self.operands)

    def __str__(self) -> str:
        """The component form: "dL/dW[i,j] = Σₙ x[n,i] G[n,j]"."""
        left = f"{self.result}[{','.join(self.indices)}]" if self.indices else self.result
        return f"{left} {self.sign} {written(self.body, self.operands)}"

    @property
    def sign(self) -> str:
        """The arrow of what takes the place of a value that it is made from."""
        return "←" if any(shown(operand.name) == self.result for operand in self.operands) else "="

    def with_numbers(self, entry: Sequence[int], terms: int = 4) -> str:
        """The same for one entry, then in numbers: "… = 0.31·(−0.12) + … = 0.0512"."""
        letters = dict(zip(self.indices, map(int, entry), strict=True))
        place = f"[{','.join(map(str, letters.values()))}]" if letters else ""
        body = decided(self.body, letters)
        symbols = written(body, self.operands, letters)
        numbers = in_numbers(body, letters, self.operands, terms)
        value = short(self.value(entry))
        right = [numbers] if numbers == value else [numbers, value]
        return f"{self.result}{place} {self.sign} {' = '.join([symbols, *right])}"


# -- numbers ---------------------------------------------------------------------------------------


def _stable_sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _log(x: float) -> float:
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


FUNCTIONS: dict[str, Callable[..., float]] = {
    "log": _log, "exp": lambda x: math.exp(min(x, 700.0)), "tanh": math.tanh,
    "cosh": lambda x: math.cosh(min(abs(x), 700.0)), "sqrt": math.sqrt, "abs": abs,
    "max": max, "min": min, "floor": math.floor, "ceil": math.ceil,
    "sign": lambda x: float((x > 0) - (x < 0)), "clip": lambda x, low, high: min(max(x, low), high),
    "sigma": _stable_sigma, "Phi": lambda x: math.erfc(-x / math.sqrt(2)) / 2,
    "phi": lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
}  # fmt: skip
RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
    "≤": lambda a, b: a <= b, "≥": lambda a, b: a >= b, "≠": lambda a, b: a != b,
}  # fmt: skip


def evaluate(node: Node, letters: dict[str, Any], operands: Sequence[Operand]) -> float:
    """The number that a tree is, for these values of its letters."""
    if isinstance(node, str):
        return letters[node]
    if not isinstance(node, list):
        return node
    kind = node[0]
    if kind == "at":
        return _entry(operands[node[1]].array, [evaluate(i, letters, operands) for i in node[2]])
    if kind == "*":
        a = evaluate(node[1], letters, operands)
        return a * evaluate(node[2], letters, operands) if a else 0.0
    if kind == "/":
        a = evaluate(node[1], letters, operands)
        return _ratio(a, evaluate(node[2], letters, operands)) if a else 0.0
    if kind in ("sum", "largest"):
        return _over_letters(node, letters, operands)
    if kind == "f":
        return FUNCTIONS[node[1]](*(evaluate(each, letters, operands) for each in node[2:]))
    if kind == "is":
        a, b = (evaluate(each, letters, operands) for each in node[2:])
        return float(RELATIONS[node[1]](a, b))
    if kind == "neg":
        return -evaluate(node[1], letters, operands)
    a, b = (evaluate(each, letters, operands) for each in node[1:])
    if kind == "+":
        return a + b
    if kind == "-":
        return a - b
    return a**b if kind == "^" else a % b


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.copysign(math.inf, a)


def _over_letters(node: Node, letters: dict[str, Any], operands: Sequence[Operand]) -> float:
    kind, over, body = node
    names = [letter for letter, _ in over]
    found = []
    for values in itertools.product(*(range(size) for _, size in over)):
        inner = {**letters, **dict(zip(names, values, strict=True))}
        if kind == "largest" and not _inside(body, inner, operands):
            continue
        found.append(evaluate(body, inner, operands))
    return max(found, default=-math.inf) if kind == "largest" else math.fsum(found)


def _inside(node: Node, letters: dict[str, Any], operands: Sequence[Operand]) -> bool:
    """Whether all entries of arrays that a tree reads are there."""
    if not isinstance(node, list):
        return True
    if node[0] == "at":
        index = [evaluate(i, letters, operands) for i in node[2]]
        return _place(operands[node[1]].array, index) is not None
    return all(_inside(each, letters, operands) for each in node[1:])


def _place(array: np.ndarray, index: Sequence[float]) -> tuple[int, ...] | None:
    place = []
    for at, size in zip(index, array.shape, strict=True):
        whole = int(at)
        if whole != at or not 0 <= whole < size:
            return None
        place.append(whole)
    return tuple(place)


def _entry(array: np.ndarray, index: Sequence[float]) -> float:
    place = _place(array, index)
    return 0.0 if place is None else float(array[place])


def decided(node: Node, letters: dict[str, Any]) -> Node:
    """The tree of one entry, without the parts that belong to others: [0 ≤ 8] [8 < 3] a is gone."""

    def known(node: Node) -> bool:
        if not isinstance(node, list):
            return not isinstance(node, str) or node in letters
        return node[0] in SIGNS and all(map(known, node[1:]))

    def decide(node: Node) -> Node:
        """True or False for a condition, and for what it alone decides."""
        if not isinstance(node, list) or node[0] == "at":
            return node
        kind = node[0]
        if kind == "is":
            sides = node[2:]
            if not all(map(known, sides)):
                return node
            return RELATIONS[node[1]](*(evaluate(each, letters, ()) for each in sides))
        first = 2 if kind in ("f", "sum", "largest") else 1
        parts = [decide(each) for each in node[first:]]
        if kind == "*" and any(each is False for each in parts):
            return False
        if kind in ("*", "+"):
            for each, other in (parts, parts[::-1]):
                if each is (kind == "*"):  # a factor 1, or a term 0
                    return other
        return [*node[:first], *map(number, parts)]

    def number(node: Node) -> Node:
        return float(node) if isinstance(node, bool) else node

    return number(decide(node))


# -- words -----------------------------------------------------------------------------------------

BINDING = {"+": 1, "-": 1, "neg": 2, "sum": 2, "largest": 2, "*": 3, "/": 3, "mod": 3, "^": 4}
SIGNS = {"+": " + ", "-": " − ", "*": " ", "/": " / ", "mod": " mod ", "^": "^"}
NAMES = {"sigma": "σ", "Phi": "Φ", "phi": "φ", "sqrt": "√"}
AROUND = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}


def written(node: Node, operands: Sequence[Operand], letters: Mapping[str, int] = {}) -> str:
    """The tree in the notation of component forms; letters with a value are replaced by it."""

    def show(node: Node, around: int = 0) -> str:
        if isinstance(node, str):
            return str(letters.get(node, node))
        if not isinstance(node, list):
            return node.letter if isinstance(node, Known) else short(node)
        kind = node[0]
        if kind == "at":
            name, sizes = shown(operands[node[1]].name), operands[node[1]].array.shape
            # an axis of size 1 says nothing
            places = [
                index(i) for i, size in zip(node[2], sizes, strict=True) if i != 0 or size > 1
            ]
            if places and re.search(r"[ /]", re.sub(r"^dL/d|\(.*?\)", "", name)):
                name = f"({name})"  # a product, whose entry is meant
            return f"{name}[{','.join(places)}]" if places else name
        if kind in ("sum", "largest"):
            names = "".join(letter for letter, _ in node[1])
            below = subscript(names)
            sign = f"max{below}" if kind == "largest" else f"Σ{below}"
            text = f"{sign} {show(node[2], BINDING['sum'])}"
        elif kind == "f":
            given = ", ".join(show(each) for each in node[2:])
            return applied(node[1], given)
        elif kind == "is":
            return f"[{show(node[2])} {node[1]} {show(node[3])}]"
        elif kind == "neg":
            text = f"−{show(node[1], BINDING['neg'] + 1)}"
        else:
            strength = BINDING[kind]
            right = strength + (kind in ("-", "/"))
            if kind == "*" and around < strength:
                right = BINDING["sum"]  # nothing follows that the sum could take in
            text = f"{show(node[1], strength)}{SIGNS[kind]}{show(node[2], right)}"
        return f"({text})" if BINDING[kind] < around else text

    def index(node: Node) -> str:
        text = re.sub(r" ([+−/]) ", r"\1", show(node))
        text = re.sub(r"(?<!mod) (?=\d)", "·", text)  # 2i + k, and for i = 1 2·1 + k
        return re.sub(r"(?<!mod) (?!mod)", "", text)

    return show(node)


def applied(name: str, given: str) -> str:
    """A function of what is given, as on paper."""
    if name in AROUND:
        left, right = AROUND[name]
        return f"{left}{given}{right}"
    return f"e^({given})" if name == "exp" else f"{NAMES.get(name, name)}({given})"


def subscript(letters: str) -> str:
    """Letters below the line, or behind a _ where there are none of that size."""
    below = dict(zip("aehijklmnoprstuv", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥ", strict=True))
    if all(letter in below for letter in letters):
        return "".join(below[letter] for letter in letters)
    return f"_{letters}"


def in_numbers(node: Node, letters: dict[str, Any], operands: Sequence[Operand], terms: int) -> str:
    """The tree with a number in the place of each entry, and sums written out as far as `terms`."""

    def show(node: Node, letters: dict[str, Any], around: int = 0) -> str:
        if isinstance(node, str | int | float):
            return signed(float(letters[node] if isinstance(node, str) else node), around)
        kind = node[0]
        if kind == "at":
            return signed(evaluate(node, letters, operands), around)
        if kind == "sum":
            return total(node, letters, around)
        if kind in ("largest", "is"):
            return signed(evaluate(node, letters, operands), around)
        if kind == "f":
            given = ", ".join(show(each, letters) for each in node[2:])
            return applied(node[1], given)
        if kind == "neg":
            text = f"−{show(node[1], letters, BINDING['neg'] + 1)}"
        else:
            strength = BINDING[kind]
            right = strength + (kind in ("-", "/"))
            sign = "·" if kind == "*" else SIGNS[kind]
            text = f"{show(node[1], letters, strength)}{sign}{show(node[2], letters, right)}"
        return f"({text})" if BINDING[kind] < around else text

    def total(node: Node, letters: dict[str, Any], around: int) -> str:
        _, over, body = node
        names = [letter for letter, _ in over]
        found: list[str] = []
        count = 0
        for values in itertools.product(*(range(size) for _, size in over)):
            inner = {**letters, **dict(zip(names, values, strict=True))}
            if len(over) > 1 and evaluate(body, inner, operands) == 0:
                continue  # outside of arrays, mostly
            count += 1
            if len(found) < terms:
                found.append(show(body, inner, BINDING["+"] + 1))
        if not found:
            return "0"
        text = " + ".join(found)
        if count > len(found):
            text += f" + … ({count} terms)"
        return f"({text})" if count > 1 and around > 1 else text

    return show(node, letters)


def signed(value: float, around: int = 0) -> str:
    """A number, in parentheses where its sign would meet another."""
    return f"({short(value)})" if value < 0 and around else short(value)


def short(value: float) -> str:
    """Four digits, with the minus of formulas; zero has no sign, and e is e."""
    return "e" if value == math.e else f"{value + 0.0:.4g}".replace("-", "−")


def shown(name: str) -> str:
    """A name without the number that tells its newer version from the older one."""
    return re.sub(r"_\{(\w*),\d+\}", lambda m: f"_{m[1]}" if m[1] else "", name)
