"""Activations in one pass, forward and backward: which layers' methods have kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnlite.ops import special as definitions
from nnlite.ops.compiled import activations as kernels
from nnlite.ops.compiled.kernel import FLOAT, ByName, plain
from nnlite.ops.threads import over_parts

LEAST = 2048  # values; with fewer, NumPy's few short calls cost less than one of a kernel


class Function(NamedTuple):
    """How a layer's `function` is computed.

    Attributes:
        kernel: takes x, the arrays it fills, y first, and the options.
        filled: how many those are.
        returned: what `function` returns, as their numbers; x counts as −1.
        options: attributes of the layer, numbers.
        by: the attribute that chooses the kernel, of several by its values ("" for one kernel).
        least: how many values make it worth while.
    """

    kernel: Any
    filled: int
    returned: tuple[int, ...]
    options: tuple[str, ...] = ()
    by: str = ""
    least: int = LEAST


class Derivative(NamedTuple):
    """How its product with g is: the kernel takes g, what it fills, the saved and the options."""

    kernel: Any
    options: tuple[str, ...] = ()


def apply(function: Callable[..., Any], x: np.ndarray) -> Any:
    found = _FUNCTIONS.get(function)
    if found is None or x.size < found.least or not _fits(x):
        return plain(definitions.apply)(function, x)
    layer = function.__self__  # type: ignore[attr-defined]
    kernel = found.kernel[getattr(layer, found.by)] if found.by else found.kernel
    filled = [np.empty(x.size, x.dtype) for _ in range(found.filled)]
    _run(kernel, [x.reshape(-1), *filled], _options(layer, found.options))
    arrays = [*(a.reshape(x.shape) for a in filled), x]
    return tuple(arrays[i] for i in found.returned)


def times_derivative(
    g: np.ndarray, derivative: Callable[..., np.ndarray], saved: Sequence[Any]
) -> np.ndarray:
    found = _DERIVATIVES.get(derivative)
    if found is None or g.size < LEAST or not _fits(g, *saved):
        return plain(definitions.times_derivative)(g, derivative, saved)
    d_x = np.empty(g.size, g.dtype)
    flat = [g.reshape(-1), d_x, *(a.reshape(-1) for a in saved)]
    layer = derivative.__self__  # type: ignore[attr-defined]
    _run(found.kernel, flat, _options(layer, found.options))
    return d_x.reshape(g.shape)


def _fits(*arrays: np.ndarray) -> bool:
    return all(a.dtype == FLOAT and a.flags.c_contiguous for a in arrays)


def _options(layer: Any, names: tuple[str, ...]) -> list[float]:
    return [float(getattr(layer, name)) for name in names]


def _run(kernel: Any, arrays: list[np.ndarray], options: list[float]) -> None:
    """The kernel on parts of flat arrays, in several threads where that pays."""
    size = arrays[0].size
    if size <= definitions.SMALL:
        kernel(*arrays, *options)
    else:
        over_parts(lambda part: kernel(*(a[part] for a in arrays), *options), size, size)


SMOOTH, PIECES = "activations.smooth:", "activations.rectifiers:"
OF_EXPONENTIAL = ("scale", "alpha", "temperature")
_FUNCTIONS = ByName(
    {
        SMOOTH + "Sigmoid.function": Function(kernels.sigmoid_forward, 2, (0, 0, 1)),
        SMOOTH + "SiLU.function": Function(kernels.silu_forward, 3, (0, 0, 1, 2)),
        SMOOTH + "GELU.function": Function(
            kernels.GELU_FORWARD, 2, (0, 1), by="approximate", least=0
        ),
        SMOOTH + "Mish.function": Function(kernels.mish_forward, 5, (0, 1, 2, 3, 4)),
        SMOOTH + "Softplus.function": Function(kernels.softplus_forward, 1, (0, -1), ("beta",)),
        SMOOTH + "LogSigmoid.function": Function(kernels.log_sigmoid_forward, 1, (0, -1)),
        PIECES + "_Exponential.function": Function(
            kernels.exponential_forward, 2, (0, 0, 1), OF_EXPONENTIAL
        ),
    }
)
_DERIVATIVES = ByName(
    {
        PIECES + "ReLU.derivative": Derivative(kernels.relu_backward),
        SMOOTH + "Sigmoid.derivative": Derivative(kernels.sigmoid_backward),
        SMOOTH + "Tanh.derivative": Derivative(kernels.tanh_backward),
        SMOOTH + "SiLU.derivative": Derivative(kernels.silu_backward),
        SMOOTH + "GELU.derivative": Derivative(kernels.gelu_backward),
        SMOOTH + "Mish.derivative": Derivative(kernels.mish_backward),
        SMOOTH + "Softplus.derivative": Derivative(kernels.softplus_backward, ("beta",)),
        SMOOTH + "LogSigmoid.derivative": Derivative(kernels.log_sigmoid_backward),
        PIECES + "_Exponential.derivative": Derivative(
            kernels.exponential_backward, OF_EXPONENTIAL
        ),
    }
)
