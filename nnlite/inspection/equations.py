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

    "dL/dW = xᵀ G" becomes "dL/dW (64, 10) = xᵀ (64, 32) G (32, 10)".
    """
    left, equals, right = formula.partition(" = ")
    if not equals:
        return f"{formula} {result}"

    if not shapes:
        return f"{left} {result} = {right}"

    def filled(match: re.Match[str]) -> str:
        name, transposed = match["name"], match["transposed"]
        shape = shapes[name][::-1] if transposed else shapes[name]
        return f"{name}{transposed} {shape}"

    names = "|".join(sorted(map(re.escape, shapes), key=len, reverse=True))
    alone = rf"(?<![\w∂/'])(?P<name>{names})(?P<transposed>ᵀ?)(?![\w′'₀-₉ₐ-ₜᵢⱼ])"
    return f"{left} {result} = {re.sub(alone, filled, right)}"
