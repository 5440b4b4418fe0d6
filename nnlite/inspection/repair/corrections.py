"""Corrections of a backward in words: what stands where something else must stand."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from nnlite.inspection.repair.scope import Scope, uses
from nnlite.inspection.report import Diagnosis

LONGEST = 60  # of a line of code that is shown, in characters


class Correction(NamedTuple):
    """One way to change the source: what is wrong in a line, the code as it is and as it should be.

    `also` are other lines in which the same must be changed.
    """

    told: str
    line: str
    old: str = ""
    new: str = ""
    kind: str = "correction"
    also: tuple[str, ...] = ()

    def diagnosis(self) -> Diagnosis:
        """The mistake in words, and the correction."""
        text = f"in {code(shortened(self.line))} {self.told}"
        if self.new:
            text += f"; it is right with `{self.new}`"
            if self.old:
                text += f" for `{self.old}`"
        if self.also:
            text += f", and likewise in {', '.join(code(shortened(line)) for line in self.also)}"
        return Diagnosis(self.kind, text)


def shortened(line: str) -> str:
    """As much of a line of code as is shown."""
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def named_by_forward(
    correction: Correction, numbers: dict[str, float], forward: ast.AST | None
) -> Correction:
    """Of attributes that are equal by chance, the one that forward uses in such a place too.

    Where forward does not tell, all of them are named.
    """
    old, new = (uses(ast.parse(text)) for text in (correction.old, correction.new))
    known = uses(forward) if forward else {}
    for name in [name for name in new if name in numbers and name not in old]:
        equal = [name, *(q for q in numbers if q != name and numbers[q] == numbers[name])]
        right, *others = [q for q in equal if new[name] & known.get(q, set())] or equal
        told, changed = (
            re.sub(rf"{re.escape(name)}\b", right, text)
            for text in (correction.told, correction.new)
        )
        if others:
            told += f" (or {' or '.join(map(code, others))}, the same number here)"
        correction = correction._replace(told=told, new=changed)
    return correction


FORMS = {  # of derivatives, as they are usually written
    r"1 - \(?([\w.\[\]:, +-]+?)\)? \*\* 2": "tanh's derivative 1 − tanh²",
    r"([\w.]+(\[[^]]*\])?)\)? \* \(1 - \1": "the sigmoid's derivative σ′ = σ (1 − σ)",
    r"> 0": "ReLU's derivative, its mask",
}


def form(text: str) -> str:
    """The derivative whose form is in this expression; "" if none."""
    return next((name for known, name in FORMS.items() if re.search(known, text)), "")


def factor(text: str) -> str:
    """The factor, and what it is the derivative of where its form tells."""
    return f"{code(text)}, {form(text)}," if form(text) else named(text)


def code(text: str | ast.expr) -> str:
    """Marked as code."""
    if isinstance(text, ast.AST):
        text = ast.unparse(text)
    return f"`{text.strip()}`"


def named(text: str) -> str:
    """The variable, with what it is by its name."""
    what = {"x": "the input", "y": "the output", "grad_output": "the upstream gradient G"}.get(text)
    return f"{code(text)}" + (f", {what}," if what else "")


def place(old: str, new: str, scope: Scope) -> str:
    """What the right variable has that the wrong one has not."""
    if {old, new} == {"x", "y"}:
        places = ("output", "input") if old == "y" else ("input", "output")
        return f": it is taken at the {places[0]} instead of the {places[1]}"
    made, other = scope.made.get(new, ""), scope.made.get(old, "")
    if _reads(made, old):
        name = f", with {form(made)}," if form(made) else ""
        return f", which is {code(made)}{name} and so a factor or a term is missing"
    if _reads(other, new):
        name = f", with {form(other)}," if form(other) else ""
        return f", which is {code(other)}{name} and so a factor or a term too many"
    return ""


def path(text: str) -> str:
    """What a missing term stands for."""
    if text == "grad_output":
        return ": the direct path, a skip, has the derivative 1 (identity)"
    return ": another path by which the output depends on it"


def _reads(expression: str, name: str) -> bool:
    return name.isidentifier() and re.search(rf"\b{name}\b", expression) is not None
