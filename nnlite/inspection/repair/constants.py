"""What a backward takes for a constant, though it depends on what is differentiated.

One term of the product rule, a norm, a gate, the second use of a weight is often left out. Then
backward is the gradient of another forward, in which one expression is held at its value. So the
source of a hand-written forward is read, one expression after another is held, and the differences
of the forward that results are taken. Where they are what backward gives, that expression is it.
"""

from __future__ import annotations

import ast
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from nnlite.inspection.causes.evidence import close
from nnlite.inspection.repair.corrections import code, shortened
from nnlite.inspection.repair.harmless import by_hand, is_harmless, source_of
from nnlite.inspection.report import Diagnosis

FORWARDS = ("forward", "function", "__call__")  # of a layer, of a loss
MOST = 60  # expressions that are held

Slopes = Callable[[], dict[str, np.ndarray]]  # by differences of forward, by name


class _Held:
    """An expression's values, in the order in which it is computed: noted once, then repeated."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.values: list[Any] = []
        self.at: int | None = None  # None while they are noted

    def __call__(self, value: Any) -> Any:
        if time.thread_time() > self.end:
            raise TimeoutError
        if self.at is None:
            self.values.append(np.copy(value) if isinstance(value, np.ndarray) else value)
            return value
        self.at += 1
        return self.values[(self.at - 1) % len(self.values)]


def taken_for_constant(
    part: Any, run: Callable[[], Any], slopes: Slopes, given: dict[str, np.ndarray], seconds: float
) -> Diagnosis | None:
    """The expression of forward that backward holds constant, if there is one.

    Args:
        part: a copy of the layer or loss, in which another forward is put.
        run: runs it forward.
        slopes: the slopes of forward as it then is, one for each name in `given`.
        given: what backward says they are.
        seconds: of computing.
    """
    own = by_hand(part, FORWARDS)
    if own is None:
        return None
    method, original = own
    function = source_of(original)
    if function is None or original.__code__.co_freevars:
        return None
    end = time.thread_time() + seconds
    if not is_harmless(_compiled(function, original, _Held(end)), part):
        return None
    for parent, field, at, line in _places(function)[:MOST]:
        node = getattr(parent, field) if at is None else getattr(parent, field)[at]
        held = _Held(end)
        call = ast.parse(f"_held({ast.unparse(node)})", mode="eval").body
        _put(parent, field, at, call)
        changed = _compiled(function, original, held)
        _put(parent, field, at, node)
        vars(part)[method] = types.MethodType(changed, part)
        try:
            run()
            if held.values:
                held.at = 0
                found = slopes()
                if all(close(given[name], found[name]) for name in given):
                    text = ast.unparse(line).split("\n")[0]
                    way = "by the product rule"
                    if len(held.values) > 1:
                        way = "by a state that is carried from step to step"
                    return Diagnosis(
                        "constant",
                        f"{code(node)} in forward's {code(shortened(text))} is treated as a "
                        "constant, but it depends on what is differentiated: a term is missing, "
                        f"what comes through it, as {way}",
                    )
        except TimeoutError:
            break
        except Exception:  # a forward that cannot be held there
            continue
        finally:
            del vars(part)[method]
    return None


def _places(function: ast.FunctionDef) -> list[tuple[ast.AST, str, int | None, ast.stmt]]:
    """Where expressions stand that may be held: operands and arguments, the outermost first."""
    found: list[tuple[ast.AST, str, int | None, ast.stmt]] = []
    lines = [n for n in ast.walk(function) if isinstance(n, ast.stmt) and n is not function]
    for line in lines:
        queue: list[ast.AST] = [line]
        while queue:
            parent = queue.pop(0)
            if "save_for_backward" in ast.unparse(parent).split("(")[0]:
                continue
            for field, value in ast.iter_fields(parent):
                for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                    if not isinstance(node, ast.expr) or isinstance(node, ast.Constant):
                        continue
                    queue.append(node)
                    if field in ("left", "right", "operand", "value", "args") and isinstance(
                        node, ast.BinOp | ast.Call | ast.Name | ast.Attribute | ast.Subscript
                    ):
                        found.append((parent, field, at, line))
    return found


def _put(parent: ast.AST, field: str, at: int | None, node: ast.expr) -> None:
    if at is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[at] = node


def _compiled(
    function: ast.FunctionDef, original: types.FunctionType, held: _Held
) -> types.FunctionType:
    """The forward as its tree now is."""
    tree = ast.fix_missing_locations(ast.Module([function], []))
    scope = {**original.__globals__, "_held": held}
    exec(compile(tree, "<held>", "exec"), scope)
    made: types.FunctionType = scope[function.name]
    return made
