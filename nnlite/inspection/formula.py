"""Printed formulas as trees: "dL/dW = xᵀ G" is a product of a transposed x and of G.

The conventions are those on paper:

- Names are single letters, with marks: x̂, β₁, W_ih, h_{t−1}; or words that the reader is given.
- Capital letters side by side are matrices, x W; anything else side by side is multiplied value by
  value, as ⊙ says it.
- Σⱼ and Σ_jk run over the axes of these letters, and Σ alone over all axes that the result lacks.
- [x > 0] is 1 where this holds and 0 elsewhere, W[x] the entries at x (0 outside).
- What follows a comma defines names of the line: "y = x s,  s = σ(x)"; σ² may be such a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

Tree = tuple[Any, ...]

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ˣᵏᵗᵖᶻᵇᵘ", "0123456789−xktpzbu", strict=True))
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦ"
PLAIN = dict(zip(SUBSCRIPTS, "0123456789+-aehijklmnoprstuvxβ", strict=True))
MARKS = rf"\u0302?[′ʰᶜ]?(?:_\{{[^}}]*\}}|_[A-Za-z]+)?[{SUBSCRIPTS}]*′?"
FUNCTIONS = ("log", "tanh", "cosh", "max", "min", "sign", "clip", "softmax", "σ", "Φ", "φ")
BARE = ("log", "tanh", "cosh", "sign")  # functions that need no parentheses
RELATIONS = "=<>≤≥≠"
ENDS = "+−,)]|‖⌋⌉=<>≤≥≠"


class Sentence:
    """One printed line: what it states, and what it defines behind commas.

    Attributes:
        left: the name of what it gives, "dL/dW".
        indices: its letters where it speaks of entries, ["i", "j"]; None where of whole arrays.
        right: the formula.
        definitions: by name, as text.
        outside: what arrays are where they have no entries.
    """

    def __init__(self, line: str) -> None:
        first, *others = split(line)
        self.definitions: dict[str, str] = {}
        self.outside: dict[str, float] = {}
        indexed = None
        left, _, right = re.sub(" ← ", " = ", first).partition(" = ")
        for other in others:
            if found := re.fullmatch(r"where (\w) is (−?[\d.]+) outside", other):
                self.outside[found[1]] = float(found[2].replace("−", "-"))
                continue
            name, defines, meaning = other.partition(" = ")
            if not defines or other.startswith("where"):
                continue
            if name.startswith(f"{left}["):  # "y = x ⋆ W,  y[n,i,o] = …" says what ⋆ is
                indexed = other
            else:
                self.definitions[name] = meaning
        if indexed is not None:
            left, _, right = indexed.partition(" = ")
        found = re.fullmatch(r"(.*)\[([a-z, ]+)\]", left)
        self.left = found[1] if found else left
        self.indices = [each.strip() for each in found[2].split(",")] if found else None
        self.right = right


def split(line: str) -> list[str]:
    """The parts of a line between commas that stand in no brackets."""
    found, depth = [""], 0
    for character in line:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [part.strip() for part in found]


def tree_of(text: str, known: Iterable[str]) -> Tree:
    """The tree of an expression.

    Nodes are ("number", v), ("name", s), ("entry", array, indices), ("call", f, arguments),
    ("transposed", a), ("negative", a), ("+", a, b) and so on with − · / ^ mod, ("matmul", a, b)
    where two matrices may stand side by side, ("sum", letters or None, a), ("largest", letters,
    a), ("mean", a), ("holds", relations, values) and ("join", values).

    Args:
        text: the expression.
        known: names that may stand in it, which count as one word where they are longer.

    Raises:
        SyntaxError: when it is no formula, but words perhaps.
    """
    return _Reader(text, known).read()


class Scanner:
    """A place in an expression, and what comes next there; a reader adds the grammar."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

    def unread(self) -> SyntaxError:
        """What is raised where it cannot go on."""
        return SyntaxError(f"cannot read {self.text[self.place :]!r} in {self.text!r}")

    def peek(self, *expected: str) -> str:
        """The next character, behind spaces, if it is one of the expected."""
        rest = self.text[self.place :].lstrip()
        return rest[0] if rest and rest[0] in expected else ""

    def take(self, *expected: str) -> str:
        """Go past the next character if it is one of the expected."""
        found = self.peek(*expected)
        if found:
            self.place = self.text.index(found, self.place) + 1
        return found

    def need(self, expected: str) -> None:
        """Go past the next character, which must be this one."""
        if not self.take(expected):
            raise self.unread()

    def token(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what the pattern matches next."""
        while self.text[self.place : self.place + 1] == " ":
            self.place += 1
        found = pattern.match(self.text, self.place)
        self.place = found.end() if found else self.place
        return found

    def listed(self, each: Callable[[], Any], closing: str) -> list[Any]:
        """What `each` reads between commas, as far as the closing bracket."""
        values = [each()]
        while self.take(","):
            values.append(each())
        self.need(closing)
        return values


class _Reader(Scanner):
    """A recursive descent through one expression."""

    def __init__(self, text: str, known: Iterable[str]) -> None:
        super().__init__(text)
        self.known = set(known)
        # what a container's equations say of a child, such as "G J_f", is one name
        self.phrase = re.compile(
            "|".join(
                re.escape(name)
                for name in sorted(self.known, key=len, reverse=True)
                if re.search(r"[ (√]", name)
            )
            or "(?!)"
        )
        every = [*self.known, *FUNCTIONS]
        words = {found[0] for each in every if (found := re.match(r"[^\W\d_]{2}\w*", each))}
        words = {re.escape(word) for word in words}
        names = [*sorted(words, key=len, reverse=True), "max_[a-z]+", "mean", r"[^\W\d_]"]
        self.name = re.compile(rf"(?:dL/d|dℓ/d)?(?:{'|'.join(names)}){MARKS}")

    def read(self) -> Tree:
        found = self.sum()
        if self.text[self.place :].strip():
            raise self.unread()
        return found

    def sum(self) -> Tree:
        value = ("negative", self.product()) if self.take("−") else self.product()
        while sign := self.take("+", "−"):
            value = (sign, value, self.product())
        return value

    def product(self) -> Tree:
        value = self.factor()
        while True:
            if self.take("/"):
                value = ("/", value, self.factor())
            elif sign := self.take("⊙", "·"):
                value = (sign, value, self.factor())
            elif self.token(re.compile("mod ")):
                value = ("mod", value, self.factor())
            elif self.peek(*ENDS) or not self.text[self.place :].strip():
                return value
            else:
                right = self.factor()
                value = ("matmul" if is_matrix(right) else " ", value, right)

    def factor(self) -> Tree:
        """A name, a number, … with its powers."""
        value = self.primary()
        while True:
            if self.take("^"):
                raised = ("negative", self.factor()) if self.take("−") else self.factor()
                value = ("^", value, raised)
            elif found := self.token(re.compile(rf"ᵀ|[{''.join(SUPERSCRIPTS)}]+")):
                if found[0] == "ᵀ":
                    value = ("transposed", value)
                else:
                    value = ("^", value, self.power(found[0]))
            elif self.text.startswith("_t", self.place):
                self.place += 2
                value = ("class", value, ("name", "t"))
            else:
                return value

    def power(self, marks: str) -> Tree:
        return _Reader("".join(SUPERSCRIPTS[mark] for mark in marks), self.known).read()

    def primary(self) -> Tree:
        if found := self.token(self.phrase):
            return self.with_indices(found[0])
        if found := self.token(re.compile(r"\d+(?:\.\d+)?(?:e[-−]?\d+)?|½|∞")):
            known = {"½": 0.5, "∞": float("inf")}
            return "number", known.get(found[0]) or float(found[0].replace("−", "-"))
        if found := self.token(re.compile(rf"Σ([{SUBSCRIPTS}]+|_[a-z]+)?")):
            letters = found[1] and [PLAIN.get(letter, letter) for letter in found[1].strip("_")]
            return "sum", letters, self.product()
        if opened := self.take("(", "|", "√", "⌊", "⌈", "‖"):
            return self.enclosed(opened)
        if self.take("["):
            return self.bracket()
        named = self.token(self.name)
        if named is None:
            raise self.unread()
        return self.named(named[0])

    def enclosed(self, opened: str) -> Tree:
        if opened == "√":
            return "call", "sqrt", [self.factor()]
        value = self.sum()
        self.need({"(": ")", "⌊": "⌋", "⌈": "⌉"}.get(opened, opened))
        if opened == "(":
            return "group", value
        name = {"|": "abs", "⌊": "floor", "⌈": "ceil", "‖": "norm"}[opened]
        return "call", name, [value]

    def bracket(self) -> Tree:
        """A condition, or several arrays joined."""
        values, relations = [self.sum()], []
        while sign := self.take(*RELATIONS):
            relations.append(sign)
            values.append(self.sum())
        if relations:
            self.need("]")
            return "holds", relations, values
        while self.take(","):
            values.append(self.sum())
        self.need("]")
        return "join", values

    def named(self, name: str) -> Tree:
        if name == "mean":
            return "mean", self.factor()
        if name.startswith("max_"):
            return "largest", list(name[4:]), self.product()
        if name in FUNCTIONS and name not in self.known and (name in BARE or self.peek("(")):
            raised = self.token(re.compile(rf"[{''.join(SUPERSCRIPTS)}]+"))
            given = self.listed(self.sum, ")") if self.take("(") else [self.factor()]
            value: Tree = ("call", name, given)
            return ("^", value, self.power(raised[0])) if raised else value
        return self.with_indices(self.base(name))

    def with_indices(self, name: str) -> Tree:
        """A name, or an entry of what it stands for."""
        if self.text[self.place : self.place + 1] == "[":
            self.place += 1
            return "entry", ("name", name), self.listed(self.sum, "]")
        return "name", name

    def base(self, name: str) -> str:
        """The name without marks that only say along which axis it runs, as in xₙ."""
        if name in self.known or f"{name}²" in self.known:
            return name
        base = name.rstrip(SUBSCRIPTS)
        if base == name and name[1:] == "_t" and name[0] in self.known:
            self.place -= 2  # p_t: that of the row's class
            return name[0]
        return base


def is_matrix(tree: Tree) -> bool:
    """Whether what stands before this, side by side, is multiplied with it as a matrix."""
    name = tree[1] if tree[0] == "transposed" else tree
    return name[0] == "name" and name[1].removeprefix("dL/d")[:1].isupper()
