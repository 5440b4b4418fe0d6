"""The base of all layers that treat every value by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from nnlite.layers.base import Kind, Layer
from nnlite.ops.special import apply, times_derivative


class Elementwise(Layer):
    """y = f(x), each value by itself; a subclass is its function and its derivative.

    Forward      y = f(x)
    Backward     dL/dx = G ⊙ f′(x)
                 because ∂yᵢ/∂xⱼ = f′(xᵢ) for i = j and 0 otherwise: the Jacobian is diagonal,
                 and a product with a diagonal matrix is elementwise
    Shapes       any, y like x
    Saves        y's shape, what `function` returns after y
    Raises       TypeError: when x does not hold floats, or `function` returns no tuple
                 ValueError: when G does not have y's shape

    A subclass writes two methods. `function(x)` returns y and, after it, whatever the derivative
    is simplest in; `derivative` is called with just that. For large arrays it is called for parts
    of the batch, in several threads, and so must not write to the layer. Both see a single number,
    an array without axes, as (1,):

        class Square(nn.Elementwise):
            def function(self, x):
                return x * x, x

            def derivative(self, x):
                return 2 * x
    """

    kind: Kind = "activation"

    def function(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """(y, *what `derivative` is called with)."""
        raise NotImplementedError(f"{type(self).__name__} must define function(x)")

    def derivative(self, *saved: Any) -> np.ndarray:
        """f′(x), from what `function` returned after y."""
        raise NotImplementedError(f"{type(self).__name__} must define derivative(...)")

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.check_floating(x)
        # NumPy's functions turn an array without axes into a scalar
        returned = apply(self.function, x if x.ndim else x.reshape(1))
        if not isinstance(returned, tuple):
            raise TypeError(
                f"{self!r}: function must return a tuple, (y, *what derivative is called with), "
                f"got {type(returned).__name__}"
            )
        y = returned[0] if x.ndim else returned[0].reshape(())
        self.save_for_backward(y.shape, *returned[1:])
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        shape, *saved = self.saved()
        self.check_grad_output(grad_output, shape)
        if not shape:
            return times_derivative(grad_output.reshape(1), self.derivative, saved).reshape(())
        return times_derivative(grad_output, self.derivative, saved)


class Lambda(Layer):
    """A layer from two functions, for one-offs.

    Forward      y = function(x)
    Backward     dL/dx = gradient(G, x)
    Shapes       those of the functions
    Saves        x
    Args         function: computes y from x
                 gradient: computes dL/dx from (grad_output, x)
    Source       the chain rule, written by whoever wrote the functions

        nn.Lambda(np.square, lambda grad_output, x: 2 * x * grad_output)

    A file cannot hold a function, so a model with a Lambda cannot be saved with its architecture;
    write a `Layer` for that.
    """

    equations: ClassVar = {"forward": "y = function(x)", "input": "dL/dx = gradient(G, x)"}

    def __init__(
        self,
        function: Callable[[np.ndarray], np.ndarray],
        gradient: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self.function = function
        self.gradient = gradient

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = self.function(x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (x,) = self.saved()
        return self.gradient(grad_output, x)
