"""What the expressions of a backward are made of: its variables, and the layer's parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.parameter import Parameter

LONGEST_PART = 24  # of a part of an array that may stand elsewhere as well


class Scope(NamedTuple):
    """What an expression of this backward could have been made of.

    A gradient is linear in G: a product with one factor that grows with G and others that do not.

    Attributes:
        gradients: variables that grow with G, as expressions.
        factors: variables, parts of them, and parameters that do not.
        numbers: attributes of the layer that are numbers, by their expressions.
        made: the expressions that variables are made from, by name.
        masks: the variables that hold True and False.
        softmaxes: the variables that are probabilities, 1 in all along the last axis.
        indices: the variables that hold whole numbers.
        counts: variables and attributes that are whole numbers, such as a stride.
        lengths: numbers of values, along axes of the variables and in all, as expressions.
    """

    gradients: list[str]
    factors: list[str]
    numbers: dict[str, float]
    made: dict[str, str]
    masks: set[str]
    softmaxes: set[str]
    indices: set[str]
    counts: list[str]
    lengths: dict[str, int]

    def alike(self, text: str) -> list[str]:
        """What could stand in the place of this variable."""
        both = [*self.factors, *self.numbers]
        if text in self.gradients:
            both = self.gradients + (both if text in both else [])
        return [other for other in dict.fromkeys(both) if other != text]


def scope_of(
    function: ast.FunctionDef, part: Any, values: dict[str, Any], doubled: dict[str, Any]
) -> Scope:
    """All that the backward reads or makes, and the parameters and numbers of the layer."""
    found: dict[str, None] = {argument.arg: None for argument in function.args.args[1:]}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = None
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            text = ast.unparse(node)
            if isinstance(node.value, ast.Name) and len(text) < LONGEST_PART:
                found |= dict.fromkeys([text, *(new for _, new in neighbours(node))])
    grows = {name: _grows(v, doubled.get(name)) for name, v in values.items()}
    gradients = [text for text in found if grows.get(text.split("[")[0]) in (True, None)]
    factors = [text for text in found if grows.get(text.split("[")[0]) in (False, None)]
    own = function.args.args[0].arg  # self
    factors += [f"{own}.{k}.data" for k, v in vars(part).items() if isinstance(v, Parameter)]
    numbers = {
        f"{own}.{k}": v
        for k, v in vars(part).items()
        if type(v) in (int, float) and not k.startswith("_") and k.isidentifier()
    }
    whole = [name for name, v in numbers.items() if type(v) is int]
    made = {
        node.targets[0].id: ast.unparse(node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    arrays = {name: v for name, v in values.items() if isinstance(v, np.ndarray)}
    return Scope(
        gradients,
        factors,
        numbers,
        made,
        masks={name for name, v in arrays.items() if v.dtype == bool},
        softmaxes={name for name, v in arrays.items() if _is_softmax(v)},
        indices={name for name, v in arrays.items() if v.dtype.kind in "iu"},
        counts=[name for name, v in values.items() if type(v) is int] + whole,
        lengths=_lengths(values),
    )


def _lengths(values: dict[str, Any]) -> dict[str, int]:
    """The whole numbers among the variables, and the lengths of the arrays."""
    found = {name: v for name, v in values.items() if type(v) is int}
    arrays = {name: v for name, v in values.items() if isinstance(v, np.ndarray) and v.ndim}
    for name, v in arrays.items():
        found |= {f"{name}.shape[{axis}]": v.shape[axis] for axis in range(1, v.ndim)}
        found |= {f"{name}.shape[{axis - v.ndim}]": v.shape[axis] for axis in range(1, v.ndim)}
        if v.ndim == 4:
            found[f"{name}.shape[1] * {name}.shape[2]"] = v.shape[1] * v.shape[2]
    for name, v in arrays.items():
        found |= {f"len({name})": len(v), f"{name}.shape[0]": len(v), f"{name}.size": v.size}
    return found


def _is_softmax(value: np.ndarray) -> bool:
    """Whether these are probabilities: positive, and 1 in all along the last axis."""
    if value.dtype.kind != "f" or value.ndim == 0 or value.shape[-1] < 2:
        return False
    return bool((value >= 0).all() and np.allclose(value.sum(axis=-1), 1))


def _grows(value: Any, doubled: Any) -> bool | None:
    """Whether a variable is twice as large where G is; None where it is zero or no array."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.any():
        return None if isinstance(value, np.ndarray) and value.dtype.kind == "f" else False
    return isinstance(doubled, np.ndarray) and not np.array_equal(value, doubled)


def neighbours(node: ast.Subscript) -> Iterator[tuple[int, str]]:
    """The axis and the same entry one place before and after, for every index that is computed."""
    index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for at, one in enumerate(index):
        if isinstance(one, ast.Slice) or is_int(one):
            continue
        for shift in (" - 1", " + 1"):
            new = [ast.unparse(i) for i in index]
            new[at] = re.sub(r" \+ 1 - 1$| - 1 \+ 1$", "", new[at] + shift)
            yield at, f"{ast.unparse(node.value)}[{', '.join(new)}]"


def uses(tree: ast.AST) -> dict[str, set[type]]:
    """What each attribute is part of, such as a product, a sum or a slice."""
    found: dict[str, set[type]] = {}
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.Attribute):
                what = type(getattr(parent, "op", parent))
                found.setdefault(ast.unparse(node), set()).add(what)
    return found


def is_int(node: ast.expr) -> bool:
    """Whether this is a whole number, written out."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) is int
