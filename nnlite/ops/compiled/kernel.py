"""How kernels are compiled."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# What loops may assume so that they vectorize: sums in any order, products joined with sums; not
# that there are no NaN or infinities.
FLAGS = {"contract", "reassoc", "nsz", "arcp"}
# Numba knows a kernel on disk by its name and the time of its own file: the name has to change
# with the helpers in other files too, and with the constants in those of the definitions.
VERSION = zlib.crc32(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parents[1].rglob("*.py")))
)


class _Cache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """Numba's files of one kernel; a disk that is full or a file that was cut off costs only time.

    Two processes that write at once may leave one kind of arguments with the code for another.
    """

    def load_overload(self, signature: Any, context: Any) -> Any:
        try:
            found = super().load_overload(signature, context)
        except Exception:
            found = None
            with suppress(Exception):
                self.flush()  # else nothing would ever be kept again
        return found if found is None or found.signature.args == tuple(signature) else None

    def save_overload(self, signature: Any, data: Any) -> None:
        with suppress(Exception):
            super().save_overload(signature, data)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called, and keep it on disk where that is possible.

    Division by zero gives infinity, as in NumPy (a check would keep loops from vectorizing), and
    other threads run meanwhile.
    """
    function.__qualname__ = f"{function.__qualname__}_{VERSION:08x}"
    options = {"error_model": "numpy", "nogil": True, "fastmath": FLAGS}
    compiled: Callable[..., Any] = numba.njit(**options)(function)
    with suppress(RuntimeError):  # no folder for it can be written
        compiled._cache = _Cache(function)  # type: ignore[attr-defined]  # as `cache=True` does
    return compiled


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what several kernels call, as a part of them."""
    compiled: Callable[..., Any] = numba.njit(error_model="numpy", fastmath=FLAGS)(function)
    return compiled


@intrinsic
def uncounted(_, array):
    """The array, whose views nobody counts: for a kernel's arguments, which its caller holds.

    Each view of a counted one costs two atomic operations, 10 ns, and far more where two threads
    count the views of the same array.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.return_type)(context, builder, arguments[0])
        view.meminfo, view.parent = view.meminfo.type(None), view.parent.type(None)
        return view._getvalue()

    return array(array), codegen


def fits(*arrays: np.ndarray) -> bool:
    """Whether kernels take these arrays: contiguous, of one dtype, float32 or float64."""
    kind = arrays[0].dtype
    if kind != FLOAT and kind != DOUBLE:
        return False
    for a in arrays:  # noqa: SIM110  # all() takes twice as long
        if a.dtype != kind or not a.flags.c_contiguous:
            return False
    return True


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The definition that a marked function has a twin of."""
    definition: Callable[..., Any] = function.definition  # type: ignore[attr-defined]
    return definition


def is_ours(function: Any, name: str) -> bool:
    """Whether nnlite wrote this method of a layer, and nobody put another in its place.

    `functools.wraps` copies the qualified name, but not the module in which a function's names are
    looked up.
    """
    home = getattr(function, "__globals__", {}).get("__name__", "")
    return function.__qualname__ == name and home.startswith("nnlite.layers.")


class ByName:
    """Kernels for methods of layers, which are not imported here: found by what they are called.

    An operation that is handed such a method, a derivative, say, or one step of a recurrent layer,
    looks here whether there is a kernel for all it would do with it. A method of somebody's own
    has none, whatever its name.

    Args:
        kernels: by module in `nnlite.layers` and qualified name, such as "linear:Linear.forward".
    """

    def __init__(self, kernels: dict[str, Any]) -> None:
        self._kernels: dict[FunctionType, Any] = {}
        for place, kernel in kernels.items():
            module, _, name = place.partition(":")
            function = attrgetter(name)(sys.modules[f"nnlite.layers.{module}"])
            if is_ours(function, name):
                self._kernels[function] = kernel

    def get(self, method: Callable[..., Any]) -> Any:
        """The kernel for it, or None."""
        function = getattr(method, "__func__", None)
        return self._kernels.get(function) if isinstance(function, FunctionType) else None


class Known:
    """A class of nnlite's layers, and what its passes are.

    Args:
        module, name: of the class, which is not imported here.
        methods: what the kernels compute, each with the class that has it.
    """

    def __init__(self, module: str, name: str, **methods: str) -> None:
        self.cls: Any = getattr(sys.modules[module], name)
        self._methods, self._names = attrgetter(*methods), frozenset(methods)
        ours = [f"{owner}.{method}" for method, owner in methods.items()]
        found = self._methods(self.cls)
        self._own = found if all(map(is_ours, found, ours)) else None

    def as_written(self) -> bool:
        """Whether nobody has put another method into the class."""
        return bool(self._methods(self.cls) == self._own)

    def runs(self, layer: Any) -> bool:
        """Whether nobody has put another method into the class, or into this layer of it."""
        return self.as_written() and vars(layer).keys().isdisjoint(self._names)
