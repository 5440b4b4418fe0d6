"""Which inputs matter to an output: its gradient with respect to x, plain, smoothed, integrated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.foreign import as_array
from nnlite.core.inputs import as_input
from nnlite.core.kinds import shown
from nnlite.core.padded import Padded, data_and_lengths, within
from nnlite.core.random import Rng, as_generator
from nnlite.inspection.one_step import Replica
from nnlite.inspection.probe import check_one_input
from nnlite.layers.base import Layer, floating_dtype

ROWS = 256  # that run at a time, as in predict


@checked
def saliency(model: Layer, x: Any, output: Any = None) -> np.ndarray:
    """How one output of each row changes with each input: ∂y_c/∂x.

        g = nn.saliency(model, x)          # of the class that the model predicts
        np.abs(g).reshape(-1, 8, 8)        # large where a digit's pixels matter

    It is what backward returns for G = 1 at output c and 0 elsewhere, in eval mode, on a copy.

    Args:
        model: any layer or model with outputs (N, C), (N, 1) or (N,); left as it is. For scores
            (logits) rather than probabilities, which are flat where a model is sure.
        x: the inputs, floats (N, …) or `Padded` sequences.
        output: which output c, a number or one for each row (default None: the row's largest).

    Returns:
        An array in x's shape; zero in the padding.

    Raises:
        TypeError: when x does not hold floats or is a tuple, or output no whole numbers.
        ValueError: when x is empty or not finite, output is out of range, or the model has other
            outputs.

    Source: Simonyan et al. 2014, "Deep Inside Convolutional Networks", section 3.
    """
    explained = _Explained("saliency", model, x, output)
    return explained.gradient(explained.x)


@checked
def smooth_grad(
    model: Layer,
    x: Any,
    output: Any = None,
    noise: float = 0.15,
    samples: int = 50,
    rng: Rng = None,
) -> np.ndarray:
    """The mean of `saliency` at x with noise, in which what holds at x alone averages out.

        1/n Σₖ ∂y_c/∂x (x + εₖ),    εₖ normal with mean 0 and deviation noise · (max x − min x)

    Args:
        model, x, output: as for `saliency`; c is the same at all points.
        noise: the deviation as a part of the range of each row's values (default 0.15; the paper
            recommends 0.1 to 0.2).
        samples: n, how many points (default 50).
        rng: a generator or seed for the noise (default: see `nn.seed`).

    Returns:
        An array in x's shape; zero in the padding.

    Raises:
        TypeError, ValueError: as `saliency`.

    Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise", section 3.
    """
    generator, explained = as_generator(rng), _Explained("smooth_grad", model, x, output)
    center, axes = explained.x, tuple(range(1, explained.x.ndim))
    high = within(center, explained.lengths, -np.inf).max(axis=axes, keepdims=True)
    low = within(center, explained.lengths, np.inf).min(axis=axes, keepdims=True)
    deviation = noise * (high - low)  # (N, 1, …)
    total = np.zeros_like(center)
    for _ in range(samples):
        drawn = generator.standard_normal(center.shape, np.float32)
        total += explained.gradient(center + deviation * drawn.astype(center.dtype, copy=False))
    return total / samples


@checked
def integrated_gradients(
    model: Layer, x: Any, output: Any = None, baseline: Any = 0.0, steps: int = 50
) -> np.ndarray:
    """What each input contributes to y_c, compared with a baseline x′ that stands for nothing.

        (x − x′) ⊙ ∫₀¹ ∂y_c/∂x (x′ + α (x − x′)) dα

    By the fundamental theorem of calculus the contributions of a row sum to y_c(x) − y_c(x′)
    (completeness), where `saliency` is zero on a flat piece however far it is from x′. The integral
    is the mean over the midpoints α = (k + ½)/n of n equal steps; the sum tells if n is enough.

    Args:
        model, x, output: as for `saliency`; c is the same all along the way.
        baseline: x′, a number or an array that broadcasts to x (default 0).
        steps: n (default 50; the paper: 20 to 300).

    Returns:
        An array in x's shape; zero in the padding.

    Raises:
        TypeError, ValueError: as `saliency`, and when the baseline holds no finite numbers or does
            not broadcast to x.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", equations 1 and 3.
    """
    explained = _Explained("integrated_gradients", model, x, output)
    way = explained.x - _baseline(baseline, explained.x)
    total = np.zeros_like(way)
    for k in range(steps):
        total += explained.gradient(explained.x - (1 - (k + 0.5) / steps) * way)
    return way * total / steps


def _baseline(baseline: Any, x: np.ndarray) -> np.ndarray:
    """x′, which broadcasts to x."""
    name = "integrated_gradients: baseline"
    values: np.ndarray = as_input(name, np.atleast_1d(as_array(name, baseline)), x.dtype)
    try:
        return np.broadcast_to(values.astype(x.dtype, copy=False), x.shape)
    except ValueError:
        raise ValueError(
            f"{name} must be a number, or broadcast to x {x.shape}, got {values.shape}"
        ) from None


class _Explained:
    """One output of each row, and its gradient at any x, on a copy of the model in eval mode.

    Attributes:
        x: the inputs as an array of the model's dtype, and `lengths` where they are padded.
    """

    def __init__(self, name: str, model: Layer, x: Any, output: Any) -> None:
        check_one_input(name, x)
        self.name = name
        self.replica = Replica(model)
        self.replica.layer.eval()
        self.x, self.lengths = data_and_lengths(as_input(f"{name}: x", x, floating_dtype(model)))
        if self.x.dtype.kind != "f":
            raise TypeError(
                f"{name}: x must hold floats, got dtype {self.x.dtype}; whole numbers have no "
                "gradient: of tokens look at what Embedding makes of them, with the model behind it"
            )
        self.x = within(self.x, self.lengths)
        scores = np.concatenate([self._scores(x, rows) for x, rows in self._pieces(self.x)])
        self.output = self._chosen(scores, output)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """∂y_c/∂x of each row, in x's shape."""
        return np.concatenate([self._gradient(part, rows) for part, rows in self._pieces(x)])

    def _gradient(self, x: np.ndarray, rows: slice) -> np.ndarray:
        g = np.zeros_like(self._scores(x, rows))
        g[np.arange(len(g)), self.output[rows]] = 1
        return np.asarray(self.replica.backward(g.reshape(self._shape)))

    def _scores(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """(n, C), what the model makes of some rows."""
        lengths = self.lengths
        y = self.replica.forward(x if lengths is None else Padded(x, lengths[rows]))
        if not isinstance(y, np.ndarray) or y.ndim > 2 or len(y) != len(x):
            raise ValueError(
                f"{self.name}: expected a model with one row of outputs for each row of x, (N, C), "
                f"got {getattr(y, 'shape', type(y).__name__)} for {len(x)} rows; end it in "
                "LastStep(), MeanOverTime() or Flatten(), say"
            )
        self._shape = y.shape
        return y.reshape(len(y), -1)

    def _pieces(self, x: np.ndarray) -> Iterator[tuple[np.ndarray, slice]]:
        """The rows, some at a time."""
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            yield x[rows], rows

    def _chosen(self, scores: np.ndarray, output: Any) -> np.ndarray:
        """(N,), the output of each row."""
        if output is None:
            return scores.argmax(axis=1)
        name, (rows, count) = f"{self.name}: output", scores.shape
        chosen = as_array(name, output)
        if chosen.dtype.kind not in "iu":
            raise TypeError(f"{name} must be whole numbers, got {shown(output)}")
        if chosen.shape not in ((), (rows,)):
            raise ValueError(
                f"{name} must be one number, or one for each of {rows} rows, got {chosen.shape}"
            )
        outside = (chosen < 0) | (chosen >= count)
        if outside.any():
            raise ValueError(
                f"{name} must be from 0 to {count - 1}, for {count} outputs, got "
                f"{chosen[outside].flat[0]}"
            )
        return np.broadcast_to(chosen, (rows,))
