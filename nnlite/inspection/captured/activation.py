"""The slope of an activation: f′ of the very values that its forward saw."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import numpy as np

from nnlite.core.reading import Reading
from nnlite.inspection.component import Rule
from nnlite.inspection.equations import Equation, Page, Value
from nnlite.inspection.record import Curve
from nnlite.layers.base import Layer

POINTS = 81  # of a curve
# parentheses around all but the definitions
ENCLOSED = re.compile(r"^\(((?:[^()]|\([^()]*\))*)\)(,  .*)?$")


class Slope(Equation):
    """f′(x), of which the activation's own line says how it is made: what is left without G."""

    @cached_property
    def rule(self) -> Rule | None:
        """The line's own, without G."""
        rule = Equation(self.page, self.page.lines.get("input", ""), self.result).unchecked
        if rule is None:
            return None
        g = [operand.name for operand in rule.operands].index("G")
        body = without(rule.body, g)
        others = [operand for operand in rule.operands if operand.name != "G"]
        found = Rule(rule.indices, renumbered(body, g), others, self.result.name)
        return found if self.agrees(found) else None


def slope_of(line: str) -> str:
    """f′(x) from "dL/dx = G ⊙ f′(x)"; empty where the line is none."""
    right = line.partition(" = ")[2]
    found = re.sub(r"\bG( ⊙ )?", "", right, count=1).strip()
    found = re.sub(ENCLOSED, r"\1\2", found)
    return f"1 {found}" if found.startswith("/") else found or ("1" if right else "")


def without(node: Any, operand: int) -> Any:
    """The tree without this operand's entry: gone as a factor, and 1 elsewhere."""
    if not isinstance(node, list):
        return node
    if node[0] == "at":
        return 1.0 if node[1] == operand else node
    if node[0] == "*":
        for each, other in (node[1:], node[:0:-1]):
            if isinstance(each, list) and each[:2] == ["at", operand]:
                return without(other, operand)
    if node[0] in ("sum", "largest"):
        return [*node[:2], without(node[2], operand)]
    named = 2 if node[0] in ("f", "is") else 1
    return [*node[:named], *(without(each, operand) for each in node[named:])]


def renumbered(node: Any, gone: int) -> Any:
    """The tree after one operand has left the list."""
    if not isinstance(node, list):
        return node
    if node[0] == "at":
        return ["at", node[1] - (node[1] > gone), node[2]]
    return [renumbered(each, gone) for each in node]


class Activation:
    """One activation's step back: f′ from what its forward saved, by its own backward."""

    def __init__(
        self, layer: Layer, page: Page, kept: tuple[Any, ...], g: Value, d_x: Value
    ) -> None:
        self.layer, self.page, self.kept, self.g, self.d_x = layer, page, kept, g, d_x

    def equations(self) -> list[Equation]:
        """f′(x), then dL/dx = G ⊙ f′(x)."""
        slope = self.slope(self.kept, np.ones_like(self.g.array))
        if slope is None or slope.shape != self.g.array.shape:
            return self.page.equations("input", self.d_x)
        meaning = slope_of(self.page.lines.get("input", ""))
        of_slope = Page(None, {}, Reading(values={"f′(x)": slope}))
        of_slope.put("G", self.g.array)
        product = Equation(of_slope, "dL/dx = G ⊙ f′(x)", self.d_x)
        formula = f"f′(x) = {meaning}" if meaning else ""
        return [Slope(self.page, formula, Value("f′(x)", slope)), product]

    def slope(self, kept: tuple[Any, ...], ones: np.ndarray) -> np.ndarray | None:
        """What the layer's backward makes of G = 1; it adds to no gradient: there is none."""
        if self.layer.has_parameters():
            return None
        self.layer.save_for_backward(*kept)
        found: np.ndarray | None = type(self.layer).backward(self.layer, ones)
        return found

    def curve(self) -> Curve | None:
        """f and f′ at points over the range of x, where they are the same for every value."""
        x = self.page.arrays["x"][0]
        random = next(self.layer.named_parts(np.random.Generator), None)
        if (
            self.layer.has_parameters()
            or random is not None
            or not np.isfinite(x).all()
            or not x.size
        ):
            return None
        low, high = min(float(x.min()), -3.0), max(float(x.max()), 3.0)
        points = np.linspace(low, high, POINTS, dtype=x.dtype).reshape(-1, 1)
        with np.errstate(all="ignore"):
            f = type(self.layer).forward(self.layer, points)
            kept = vars(self.layer).get("_slot")
            slope = self.slope(kept or (), np.ones_like(points))
        if slope is None or f.shape != points.shape:
            return None
        return Curve(points.ravel(), f.ravel(), slope.ravel())
