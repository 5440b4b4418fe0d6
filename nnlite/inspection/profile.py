"""Where the time of a training step goes, layer by layer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.inspection.one_step import OneStep, bare
from nnlite.inspection.summary import format_bytes
from nnlite.layers.base import Layer
from nnlite.layers.structure import nested, place_name, sub_layers
from nnlite.losses.base import Loss

SECONDS = 0.5  # of measuring
PRODUCT = 512  # side of the matrices whose product tells how fast this machine multiplies
CALLS = 20e-6  # a layer below this is all call overhead


class ProfileRow(NamedTuple):
    """One layer, or the loss, in one step.

    Attributes:
        name: where and what it is.
        forward, backward: seconds, the median over the steps.
        multiply_adds: of forward and backward together (backward counts twice).
        bytes_moved: of inputs, outputs, parameters and their gradients, both ways.
        limit: seconds that the multiply-adds alone would take on this machine.
    """

    name: str
    forward: float
    backward: float
    multiply_adds: int
    bytes_moved: int
    limit: float

    @property
    def seconds(self) -> float:
        """Forward and backward."""
        return self.forward + self.backward

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second, two for each multiply-add."""
        return 2e-9 * self.multiply_adds / self.seconds if self.seconds else 0.0


class Profile:
    """The table; prints with the bottleneck named below it.

    Attributes:
        rows: one `ProfileRow` per innermost layer, and one for the loss.
        peak: 10⁹ floating-point operations a second of a large matrix product here.
    """

    def __init__(self, rows: list[ProfileRow], peak: float) -> None:
        self.rows = rows
        self.peak = peak

    @property
    def seconds(self) -> float:
        """Of all rows together."""
        return sum(row.seconds for row in self.rows)

    @property
    def bottleneck(self) -> str:
        """The row that takes most of the time, and what holds it up."""
        row = max(self.rows, key=lambda row: row.seconds)
        share = f"{row.name} takes {row.seconds / self.seconds:.0%} of the time"
        if row.seconds < CALLS:
            return f"{share}: so little that the calls cost more than the work; try larger batches"
        if row.limit > 0.5 * row.seconds:
            return (
                f"{share}: matrix products, at {row.limit / row.seconds:.0%} of this machine's rate"
            )
        return f"{share}: moving memory, {1e-9 * row.bytes_moved / row.seconds:.1f} GB/s"

    def __repr__(self) -> str:
        cells = [
            ["layer", "forward", "backward", "share", "multiply-adds", "GFLOP/s", "limit", "moved"]
        ]
        cells += [
            [
                row.name,
                _microseconds(row.forward),
                _microseconds(row.backward),
                f"{row.seconds / self.seconds:.0%}",
                f"{row.multiply_adds:,}",
                f"{row.gflops:.1f}",
                f"{row.limit / row.seconds:.0%}" if row.multiply_adds else "-",
                format_bytes(row.bytes_moved),
            ]
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in cells
        ]
        foot = (
            f"{_microseconds(self.seconds)} in all; a large matrix product here reaches "
            f"{self.peak:.0f} GFLOP/s"
        )
        return "\n".join([*lines, "", foot, self.bottleneck])


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs"


@checked
def profile(model: Layer, loss: Loss, x: Any, y: np.ndarray) -> Profile:
    """Time forward and backward of every layer, on a copy, over half a second of steps.

    Args:
        model: the layer to train; left as it is.
        loss: the loss.
        x, y: one batch, of the size to train with.

    Returns:
        The profile; print it.
    """
    step = OneStep(model, loss)
    step.layer.needs_input_grad = False  # as in training
    clocks = [
        _Clock(place_name(place, layer), layer)
        for place, layer in nested(step.layer)
        if not sub_layers(layer)
    ]
    of_loss: list[tuple[float, float]] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(of_loss) < 3:
        ran = step.run(x, y)
        of_loss.append(ran.loss_seconds)
    prediction = ran.prediction
    rate = _product_rate(prediction.dtype)
    rows = [clock.row(rate) for clock in clocks if clock.forward]
    forward, backward = (statistics.median(times) for times in zip(*of_loss, strict=True))
    rows.append(ProfileRow(repr(loss), forward, backward, 0, 2 * prediction.nbytes, 0.0))
    return Profile(rows, 2e-9 * rate)


class _Clock:
    """Times one layer, by wrapping its forward and backward."""

    def __init__(self, name: str, layer: Layer) -> None:
        self.name = name
        self.layer = layer
        self.forward: list[float] = []
        self.backward: list[float] = []
        self._shapes: tuple[tuple[int, ...], ...] = ((), ())
        self._bytes = 0
        forward = layer.forward

        def timed_forward(x: Any, *state: Any) -> Any:
            y = self._timed(self.forward, forward, x, *state)
            arrays = bare(x), bare(y)
            self._shapes = tuple(a.shape for a in arrays)
            self._bytes = sum(a.nbytes for a in arrays)
            return y

        layer.forward = timed_forward  # type: ignore[method-assign]
        backward = layer.backward

        def timed_backward(grad_output: Any) -> Any:
            return self._timed(self.backward, backward, grad_output)

        layer.backward = timed_backward  # type: ignore[method-assign]

    @staticmethod
    def _timed(times: list[float], call: Callable[..., Any], *values: Any) -> Any:
        start = time.perf_counter()
        result = call(*values)
        times.append(time.perf_counter() - start)
        return result

    def row(self, rate: float) -> ProfileRow:
        """The medians, with `rate` multiply-adds a second as the limit."""
        layer = self.layer
        forward = layer.multiply_adds(*self._shapes)
        count = forward * (3 if layer.needs_input_grad else 2) if self.backward else forward
        parameters = sum(p.data.nbytes for p in layer.parameters())
        return ProfileRow(
            self.name,
            statistics.median(self.forward),
            statistics.median(self.backward or [0.0]),
            count,
            2 * self._bytes + 3 * parameters,
            count / rate,
        )


def _product_rate(dtype: np.dtype[Any]) -> float:
    """Multiply-adds a second of a large matrix product."""
    a, b, out = (np.ones((PRODUCT, PRODUCT), dtype) for _ in range(3))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        times.append(time.perf_counter() - start)
    return PRODUCT**3 / min(times)
