"""Whether a backward (or a forward) only computes, so that changed copies of it may be run."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import textwrap
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

MODULES = ("numpy", "math", "nnlite")  # and what is in them
BUILTINS = (
    abs, all, any, bool, dict, divmod, enumerate, float, int, isinstance, len, list, max, min, pow,
    range, reversed, round, set, slice, sorted, str, sum, super, tuple, zip, ArithmeticError,
    AssertionError, Exception, IndexError, KeyError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
EFFECTS = {  # names in NumPy, nnlite and files that do more than compute
    "DataSource", "close", "ctypeslib", "distutils", "dump", "dumps", "exec", "f2py", "fit",
    "flush", "fromfile", "genfromtxt", "load", "load_model", "loadtxt", "memmap", "open",
    "open_memmap", "os", "popen", "random", "rename", "save", "save_model", "savetxt", "savez",
    "savez_compressed", "seed", "send", "set_engine", "set_printoptions", "setbufsize", "setflags",
    "seterr", "seterrcall", "sys", "system", "test", "testing", "tofile", "unlink", "write",
    "writelines",
}  # fmt: skip


def by_hand(part: Any, names: tuple[str, ...]) -> tuple[str, types.FunctionType] | None:
    """The first of these methods that is not nnlite's, with its name."""
    for name in names:
        method = getattr(type(part), name, None)
        if isinstance(method, types.FunctionType) and not str(method.__module__).startswith(
            "nnlite."
        ):
            return name, method
    return None


def source_of(function: types.FunctionType) -> ast.FunctionDef | None:
    """Its source as a tree, without decorators and lines that print; None where it is not known.

    It may have been changed since it was compiled: ask `is_harmless` of what the tree gives.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(tree, ast.FunctionDef):
        return None
    tree.decorator_list = []
    for parent in ast.walk(tree):
        for field in ("body", "orelse"):
            body: Any = getattr(parent, field, None)
            for at, line in enumerate(body if isinstance(body, list) else ()):
                if ast.unparse(line).startswith("print("):
                    body[at] = ast.copy_location(ast.Pass(), line)
    return tree


def is_harmless(function: types.FunctionType, part: Any) -> bool:
    """Whether it, and what it calls, reads nothing but numbers and writes nothing but arrays.

    It may use NumPy, builtins that compute, methods and layers of the part that only compute, and
    functions and numbers beside it.
    """
    queue, seen = [function], set[types.CodeType]()
    while queue:
        one = queue.pop()
        if one.__module__.split(".")[0] in MODULES or one.__code__ in seen:
            continue
        seen.add(one.__code__)
        for code in _codes(one.__code__):
            steps = {(step.opname, step.argval) for step in dis.get_instructions(code)}
            kinds = {kind for kind, _ in steps}
            if EFFECTS & set(code.co_names) or kinds & {"IMPORT_NAME", "STORE_GLOBAL"}:
                return False
            names = {name for kind, name in steps if kind in ("LOAD_GLOBAL", "LOAD_NAME")}
            for value in _read(names, set(code.co_names) - names, one, part):
                if isinstance(value, types.FunctionType):
                    queue.append(value)
                elif not _is_plain(value, part):
                    return False
    return True


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """This code, and the functions and comprehensions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _read(
    names: set[str], attributes: set[str], function: types.FunctionType, part: Any
) -> Iterator[Any]:
    """What it reads by these names from around it, and as attributes of the part and its layers."""
    for cell in function.__closure__ or ():
        yield cell.cell_contents
    for name in names:
        yield function.__globals__.get(name, getattr(builtins, name, None))
    layers = part.named_layers().values() if hasattr(part, "named_layers") else (part,)
    for owner in layers:
        for name in attributes:
            yield from (vars(c)[name] for c in type(owner).__mro__ if _has_function(c, name))
            if isinstance(vars(owner).get(name), types.FunctionType):
                yield vars(owner)[name]


def _has_function(owner: type, name: str) -> bool:
    return isinstance(vars(owner).get(name), types.FunctionType)


def _is_plain(value: Any, part: Any) -> bool:
    """Numbers, arrays and texts, what is in MODULES, and what builtins compute with."""
    if isinstance(value, types.ModuleType):
        return value.__name__.split(".")[0] in MODULES
    if isinstance(value, type) and isinstance(part, value):
        return True  # super()
    if isinstance(value, tuple):
        return all(_is_plain(each, part) for each in value)
    if any(value is one for one in BUILTINS):
        return True
    if getattr(builtins, getattr(value, "__name__", ""), None) is value:
        return False
    if value is None or isinstance(value, int | float | str | np.ndarray | np.generic | np.ufunc):
        return True
    return str(getattr(value, "__module__", "")).split(".")[0] in MODULES
