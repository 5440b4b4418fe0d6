"""The way back from maxima: each to the place that it was taken from."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import check_sides, check_sizes
from nnlite.core.reading import Reading, in_places
from nnlite.layers.base import Layer
from nnlite.layers.pooling.windows import Padding, Size, check_channels_last


class MaxUnpool(Layer):
    """What `MaxUnpool1d` and `MaxUnpool2d` share: all places of a sample are one axis."""

    spatial: ClassVar[int]
    equations: ClassVar = {
        "forward": "y[n,p,c] = Σ_q [index[n,q,c] = p] x[n,q,c],  for the last of equal indices",
        "input": "dL/dx[n,q,c] = G[n, index[n,q,c], c],  and 0 for the others",
    }

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        output_size: Size | None = None,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.output_size = output_size
        name, axes = type(self).__name__, self.spatial
        stride = kernel_size if stride is None else stride
        self._kernel = check_sizes(f"{name}: kernel_size", kernel_size, axes)
        self._stride = check_sizes(f"{name}: stride", stride, axes)
        self._sides = check_sides(f"{name}: padding", padding, axes)
        self._output = None
        if output_size is not None:
            self._output = check_sizes(f"{name}: output_size", output_size, axes)

    def reading(self, places: Any = None, stays: Any = None, *shapes: Any) -> Reading:
        if places is None:
            return Reading()
        return Reading(
            values={"index": places, "m": stays.astype(float)},
            components={
                "forward": "y[n,p,c] = Σ_q [index[n,q,c] = p] m[n,q,c] x₁[n,q,c]",
                "input": "dL/dx₁[n,q,c] = m[n,q,c] G[n, index[n,q,c], c]",
            },
            fold=in_places,
        )

    def sizes(self, pooled: tuple[int, ...]) -> tuple[int, ...]:
        """Those of y, given x's: the smallest that give these when pooled, if not told."""
        if self._output is not None:
            return self._output
        along = zip(pooled, self._kernel, self._stride, self._sides, strict=True)
        sizes = tuple((size - 1) * s + k - sum(sides) for size, k, s, sides in along)
        if min(sizes) < 1:
            raise ValueError(f"{self!r}: the padding leaves nothing of the sizes {pooled}")
        return sizes

    def forward(self, x: Any) -> np.ndarray:
        values, indices = self._checked(x)
        sizes = self.sizes(values.shape[1:-1])
        number = math.prod(sizes)
        if indices.size and not (indices.min() >= 0 and indices.max() < number):
            raise ValueError(
                f"{self!r}: expected indices from 0 to {number - 1}, for y of the size {sizes}, "
                f"got {indices.min()} to {indices.max()}; output_size= tells another size"
            )
        n, channels = len(values), values.shape[-1]
        places = indices.reshape(n, math.prod(values.shape[1:-1]), channels)  # (N, Q, C)
        y = np.zeros((n, number, channels), values.dtype)
        np.put_along_axis(y, places, values.reshape(places.shape), axis=1)
        # of values with the same place the last one stays, and only that one has a gradient
        order = np.broadcast_to(np.arange(places.shape[1])[:, None], places.shape)
        last = np.zeros(y.shape, order.dtype)
        np.put_along_axis(last, places, order, axis=1)
        stays = np.take_along_axis(last, places, axis=1) == order
        y = y.reshape(n, *sizes, channels)
        self.save_for_backward(places, stays, values.shape, y.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> Any:
        places, stays, x_shape, y_shape = self.saved()
        self.check_grad_output(grad_output, y_shape)
        rows = grad_output.reshape(len(places), math.prod(y_shape[1:-1]), y_shape[-1])
        d_x = np.where(stays, np.take_along_axis(rows, places, axis=1), 0)
        return d_x.reshape(x_shape), None

    def _checked(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """The values and the indices.

        Raises:
            TypeError: when x is not a tuple of floats and integers.
            ValueError: when they do not have the same shape (N, …, C).
        """
        if not isinstance(x, tuple) or len(x) != 2:
            raise TypeError(
                f"{self!r}: expected (values, indices), as MaxPool{self.spatial}d returns them "
                f"with return_indices=True, got {type(x).__name__}"
            )
        values, indices = x
        check_channels_last(self, values, self.spatial)
        if not isinstance(indices, np.ndarray) or indices.dtype.kind not in "iu":
            kind = getattr(indices, "dtype", type(indices).__name__)
            raise TypeError(f"{self!r}: expected whole numbers as indices, got {kind}")
        if indices.shape != values.shape:
            raise ValueError(
                f"{self!r}: expected one index for each value of {values.shape}, "
                f"got {indices.shape}"
            )
        return values, indices


class MaxUnpool1d(MaxUnpool):
    """Maxima put back where `MaxPool1d` found them in the sequence, among zeros.

    Forward      y_p = x_q for the place p = index_q, 0 elsewhere
    Backward     dL/dx_q = G_p, p = index_q: ∂y_p/∂x_q is 1 there, and no other y depends on x_q
                 (where windows overlap and share a maximum, y_p is the last one's, and so is G_p)
    Shapes       x = (values (N, L, C), indices (N, L, C)) → y (N, L', C),
                 L' = (L − 1) stride + kernel_size − padding at both ends, or output_size;
                 backward returns (dL/dvalues, None)
    Saves        where the values went, the sizes
    Args         kernel_size, stride, padding: as those of the `MaxPool1d` that is undone
                 output_size: L', where pooling left a rest (default None: as above)
    Raises       TypeError: when x is not a tuple of floats and whole numbers
                 ValueError: for other sizes, when values are not (N, L, C), when there is not one
                 index within y for each, and when G is not in y's shape
    Source       Zeiler et al. 2011, "Adaptive Deconvolutional Networks", section 2.2

        pool = nn.MaxPool1d(2, return_indices=True)
        nn.Sequential(pool, nn.Parallel(inside, nn.Identity()), nn.MaxUnpool1d(2))
    """

    spatial = 1


class MaxUnpool2d(MaxUnpool):
    """Maxima put back where `MaxPool2d` found them in the image, among zeros.

    Forward      y_p = x_q for the place p = index_q, 0 elsewhere
    Backward     dL/dx_q = G_p, p = index_q: ∂y_p/∂x_q is 1 there, and no other y depends on x_q
                 (where windows overlap and share a maximum, y_p is the last one's, and so is G_p)
    Shapes       x = (values (N, H, W, C), indices (N, H, W, C)) → y (N, H', W', C),
                 H' = (H − 1) stride + kernel − padding on both sides, or output_size;
                 backward returns (dL/dvalues, None)
    Saves        where the values went, the sizes
    Args         kernel_size, stride, padding: as those of the `MaxPool2d` that is undone
                 output_size: H' = W', or (H', W'), where pooling left a rest (default None: as
                 above)
    Raises       TypeError: when x is not a tuple of floats and whole numbers
                 ValueError: for other sizes, when values are not (N, H, W, C), when there is not
                 one index within y for each, and when G is not in y's shape
    Source       Zeiler et al. 2011, "Adaptive Deconvolutional Networks", section 2.2
    """

    spatial = 2
