"""How the printed equations of a layer or a loss are to be read: what their letters stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Shape = tuple[int, ...]


class Reading(NamedTuple):
    """What stands beside `equations`, for those who show where each number comes from.

    x, y, G, the parameters and the number N of samples are known anyway.

    Attributes:
        values: by letter, numbers and arrays that forward kept, such as {"m": mask}.
        components: equations by entry, as "y[n,i] = W[x[n], i]", by the keys of `equations`, where
            these do not say it in a form that follows from shapes.
        fold: the shape in which equations see an array of x, y or G; by default it is their own.
        axes: of the letters that sums run over, and of "mean", the axes of the folded arrays.
        sizes: how far letters run that no array has an axis for, such as a kernel's.
        paths: of a container in which paths meet, by a child's words what the equations call its
            output and its share of dL/dx: {"branch": ("f(x)", "G J_f")}.
        between: in a layer with mathematics of its own between two children, the words of the child
            that forward's equations come before, and of the one that backward's come before.
        shapes: of parameters, by letter, where equations see them in another one.
    """

    values: Mapping[str, Any] = {}
    components: Mapping[str, str] = {}
    fold: Callable[[Shape], Shape] | None = None
    axes: Mapping[str, int | tuple[int, ...]] = {}
    sizes: Mapping[str, int] = {}
    paths: Mapping[str, tuple[str, str]] = {}
    between: tuple[str, str] | None = None
    shapes: Mapping[str, Shape] = {}


def in_rows(shape: Shape) -> Shape:
    """All axes before the last as one: (N, …, D) as (N·…, D)."""
    return math.prod(shape[:-1]), shape[-1]


def in_places(shape: Shape) -> Shape:
    """All axes between the first and the last as one: (N, H, W, C) as (N, H·W, C)."""
    return shape[0], math.prod(shape[1:-1]), shape[-1]


GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "theta": "θ", "lambd": "λ",
    "threshold": "θ", "scale": "λ", "rho": "ρ", "sigma": "σ", "momentum": "μ", "strength": "λ",
    "negative_slope": "a", "value": "v", "min_val": "low", "max_val": "high", "l1": "λ₁",
    "l2": "λ₂",
}  # fmt: skip


def numbers_of(owner: Any) -> dict[str, float]:
    """The numbers among an object's attributes, by name and by the letter for it."""
    found = {}
    every: dict[str, Any] = {}
    for cls in reversed(type(owner).__mro__):
        every |= vars(cls)
    every |= getattr(owner, "__dict__", {})
    for name, value in every.items():
        if isinstance(value, int | float) and not name.startswith("_"):
            found[name] = found[GREEK.get(name, name)] = float(value)
    return found
