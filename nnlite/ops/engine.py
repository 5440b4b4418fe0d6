"""Which engine computes: NumPy, whose functions are the definitions, or their compiled twins.

A function of `ops/` that is marked with `twin` has a second version of the same name, with the
same arguments and results (to rounding), in the module of the same name in `ops/compiled/`. With
the engine "numba" that one runs. It is compiled when it is first called, and kept on disk for the
next process where a folder for that can be written. Whatever keeps Numba from working is said in
one warning, and NumPy goes on.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from nnlite.core.arguments import checked
from nnlite.core.checks import warn

Engine = Literal["numpy", "numba"]
Function = TypeVar("Function", bound=Callable[..., Any])

VARIABLE = "NNLITE_ENGINE"
OLDEST = (0, 61)  # of Numba, the first one for NumPy 2.2


class _State:
    """The engine in use, and all functions that have a twin, each with its switch."""

    def __init__(self) -> None:
        self.engine = "numpy"
        self.switches: dict[Callable[..., Any], Callable[[], None]] = {}

    def use(self, engine: str) -> None:
        self.engine = engine
        for switch in self.switches.values():
            switch()


_state = _State()


@checked
def set_engine(name: Engine) -> None:
    """Choose what computes: "numpy", or "numba" for the compiled twins of its functions.

    The engine belongs to the process. A training may be resumed with another one; its numbers then
    differ by rounding. `NNLITE_ENGINE=numba` in the environment chooses it from the start.

    Args:
        name: "numpy" (the default) or "numba", which needs `pip install 'nnlite[fast]'`.

    Warns:
        ModelWarning: when Numba cannot be used; NumPy goes on.
    """
    if name == "numba" and (problem := _problem_of_numba()):
        warn(f"engine: {problem}; NumPy computes")
        name = "numpy"
    _state.use(name)


def engine() -> str:
    """The engine that computes, "numpy" or "numba"."""
    return _state.engine


def begin(name: str | None) -> None:
    """Choose the engine that the environment names, without importing anything yet.

    Warns:
        ModelWarning: when there is no such engine; NumPy computes.
    """
    if name in (None, "", "numpy"):
        return
    if name == "numba":
        _state.use(name)
    else:
        warn(f'{VARIABLE} must be "numpy" or "numba", got {name!r}; NumPy computes')


def twin(function: Function) -> Function:
    """Mark a function of `ops/` that has a compiled twin.

    The module of the twin is imported at the first call. Should Numba fail to compile it, NumPy
    goes on.
    """
    failures: tuple[type[Exception], ...] = ()
    compiled: Callable[..., Any] = function

    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return compiled(*arguments, **named)
        except failures as error:
            _give_up(f"Numba failed to compile {function.__name__}: {_first_line(error)}")
            return function(*arguments, **named)
        except SystemError as error:  # what Numba makes of Ctrl-C while it builds a result's array
            cause: BaseException | None = error
            while isinstance(cause, SystemError):
                cause = cause.__cause__
            raise cause or error from None

    def first(*arguments: Any, **named: Any) -> Any:
        nonlocal compiled, failures
        found = _twin_of(function)
        if found is None:
            return function(*arguments, **named)
        from numba.core.errors import NumbaError

        compiled, failures = found, (NumbaError,)
        use(call)
        return call(*arguments, **named)

    # What everybody imports is one object, whose function is exchanged: a partial without
    # arguments passes a call on in 0.03 µs, a function of Python would take ten times as long.
    marked = functools.update_wrapper(functools.partial(function), function)

    def use(chosen: Callable[..., Any]) -> None:
        marked.__setstate__((chosen, (), {}, marked.__dict__))  # type: ignore[attr-defined]

    def switch() -> None:
        use(first if _state.engine == "numba" else function)

    switch()
    marked.definition = function  # type: ignore[attr-defined]  # what the twin has to equal
    _state.switches[marked] = switch
    return marked  # type: ignore[return-value]  # the same call


def marked() -> list[Callable[..., Any]]:
    """All functions that have a twin, of the modules that are imported by now."""
    return list(_state.switches)


def _twin_of(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The compiled version; None, with a warning, when there can be none."""
    if problem := _problem_of_numba():
        _give_up(problem)
        return None
    name = function.__module__.replace("nnlite.ops.", "nnlite.ops.compiled.", 1)
    found: Callable[..., Any] = getattr(importlib.import_module(name), function.__name__)
    return found


def _give_up(problem: str) -> None:
    if _state.engine == "numba":
        _state.use("numpy")
        warn(f"engine: {problem}; NumPy goes on")


@functools.cache
def _problem_of_numba() -> str:
    """Why Numba cannot be used, and what to do; empty where it can."""
    try:
        import numba
    except ImportError as error:
        if error.name == "numba":
            return "Numba is not installed: pip install 'nnlite[fast]'"
        return f"Numba cannot be imported: {_first_line(error)}"
    except Exception as error:  # a NumPy that is too new for it, say
        return f"Numba cannot be imported: {_first_line(error)}"
    version = tuple(int(part) for part in numba.__version__.split(".")[:2])
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"Numba {numba.__version__} is too old, nnlite needs {oldest}: pip install -U numba"
    return ""


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


begin(os.environ.get(VARIABLE))
