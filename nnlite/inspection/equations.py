"""Formulas with the shapes of a run filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nnlite.layers.base import Layer

Shape = tuple[int, ...]


def symbol(layer: Layer, name: str) -> str:
    """The letter that a layer's equations use for a parameter: W for weight, from "dL/dW = …"."""
    left = layer.equations.get(name, "").partition(" = ")[0]
    return left.removeprefix("dL/d") if left.startswith("dL/d") else name


def with_shapes(formula: str, shapes: Mapping[str, Shape], result: Shape) -> str:
    """The equation with the shape behind every symbol that stands for a whole array.

    "dL/dW = xᵀ G" becomes "dL/dW (64, 10) = xᵀ (64, 32) G (32, 10)". Entries such as x[n, i, c]
    stay as they are, and so does what is said in words.
    """
    left, equals, right = formula.partition(" = ")
    if not equals:
        return f"{formula} {result}"

    if not shapes:
        return f"{left} {result} = {right}"

    def filled(match: re.Match[str]) -> str:
        name, mark = match["name"], match["mark"]
        shape = shapes[name][::-1] if mark == "ᵀ" else shapes[name]
        return f"{name}{mark} {shape}"

    names = "|".join(sorted(map(re.escape, shapes), key=len, reverse=True))
    alone = rf"(?<![\w∂/'])(?P<name>{names})(?P<mark>[ᵀ\u0302]?)(?![\w′'\[₀-₉ₐ-ₜᵢⱼ])"
    first, *meanings = right.split(",  ")
    clauses = [re.sub(alone, filled, first)]
    clauses += [re.sub(alone, filled, each) if " = " in each else each for each in meanings]
    return f"{left} {result} = {',  '.join(clauses)}"
