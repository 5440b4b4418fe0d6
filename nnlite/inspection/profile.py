"""Where the time of a training step goes, layer by layer, and into what.

Every layer is timed on a copy, and a layer made of layers without the time of those inside it, so
that the rows add up to the step. Then a row's time is told apart, by three measurements:

- *Calls* are what a layer costs whatever the batch: Python and NumPy are called once for each
  operation, not once for each row. The same step is timed on part of the batch, and the line
  through both times, t(rows) = a + b·rows, starts at a. Where the batch cannot be cut, a is what
  the two other shares leave.
- *Products* are multiply-adds at this machine's rate: the fastest product seen, be it the large
  one that is measured for comparison or one of the model's own. So a row never has more than
  100 % of it.
- *Memory* is the rest: work value by value, in which arrays are read and written, and which waits
  for memory longer than it computes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.tables import html_lines, html_table, text_table
from nnlite.inspection.one_step import OneStep, batch_of, flat, parts
from nnlite.inspection.summary import format_bytes
from nnlite.layers.base import Layer
from nnlite.layers.structure import nested, place_name, sub_layers
from nnlite.losses.base import Loss
from nnlite.plotting.canvas import PathLike, canvas
from nnlite.plotting.drawings import draw_bars, tall

SECONDS = 0.5  # of measuring
PRODUCT = 512  # side of the matrices whose product tells how fast this machine multiplies
COPIED = 1 << 24  # bytes of the array whose copy tells how fast this machine moves memory
CUT = 8  # the part of the batch that is timed too


class ProfileRow(NamedTuple):
    """One layer, or the loss, in one step.

    Attributes:
        name: where and what it is; a layer made of layers has "itself" behind it.
        forward, backward: seconds, the median over the steps, without those of layers inside.
        multiply_adds: of forward and backward together (backward counts twice).
        bytes_moved: of inputs, outputs, parameters and their gradients, both ways.
        products: seconds that the multiply-adds alone take at this machine's rate.
        calls: seconds of calls, which a larger batch would share among more rows.
    """

    name: str
    forward: float
    backward: float
    multiply_adds: int
    bytes_moved: int
    products: float
    calls: float

    @property
    def seconds(self) -> float:
        """Forward and backward: calls, products and memory together."""
        return self.forward + self.backward

    @property
    def memory(self) -> float:
        """Seconds of reading and writing arrays."""
        return self.seconds - self.calls - self.products

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second, two for each multiply-add."""
        return 2e-9 * self.multiply_adds / self.seconds if self.seconds else 0.0


class Profile:
    """The table; prints with the bottleneck named below it.

    Attributes:
        rows: one `ProfileRow` per layer, and one for the loss.
        peak: 10⁹ floating-point operations a second of the fastest product seen here.
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
        costs = {
            "the cost of calls, which larger batches share among more rows": row.calls,
            "matrix products, at the rate of this machine": row.products,
            "work on arrays value by value, which waits for memory": row.memory,
        }
        what = max(costs, key=lambda what: costs[what])
        return (
            f"{row.name} takes {row.seconds / self.seconds:.0%} of the time: "
            f"{costs[what] / row.seconds:.0%} of that is {what}"
        )

    @checked
    def plot(self, ax: Any = None, path: PathLike | None = None) -> None:
        """Draw where the time goes, a bar for each layer; needs matplotlib.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
        """
        names = [row.name for row in self.rows]
        parts = {
            "calls": [1e6 * row.calls for row in self.rows],
            "memory": [1e6 * row.memory for row in self.rows],
            "products": [1e6 * row.products for row in self.rows],
        }
        with canvas(ax, path, tall(len(names))) as axes:
            title = f"one step: {_microseconds(self.seconds)}"
            draw_bars(axes, names, parts, title, "forward and backward, µs")

    def __repr__(self) -> str:
        return "\n".join([*text_table(self._cells()), "", *self._foot()])

    def _repr_html_(self) -> str:
        """In a notebook."""
        return html_table(self._cells()) + html_lines(self._foot())

    def _cells(self) -> list[list[str]]:
        """The header, and a row for each layer and for the loss."""
        header = [
            "layer", "forward", "backward", "share", "calls", "memory", "products",
            "multiply-adds", "GFLOP/s", "moved",
        ]  # fmt: skip
        return [header] + [
            [
                row.name,
                _microseconds(row.forward),
                _microseconds(row.backward),
                f"{row.seconds / self.seconds:.0%}",
                *(
                    f"{part / row.seconds:.0%}" if row.seconds else "-"
                    for part in (row.calls, row.memory, row.products)
                ),
                f"{row.multiply_adds:,}",
                f"{row.gflops:.1f}",
                format_bytes(row.bytes_moved),
            ]
            for row in self.rows
        ]

    def _foot(self) -> list[str]:
        """What stands below the table."""
        return [
            f"{_microseconds(self.seconds)} in all; the fastest matrix product seen here reaches "
            f"{self.peak:.0f} GFLOP/s",
            self.bottleneck,
        ]


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs"


@checked
def profile(model: Layer, loss: Loss, x: Any, y: Any) -> Profile:
    """Time forward and backward of every layer, on a copy, over half a second of steps.

    Args:
        model: the layer to train; left as it is.
        loss: the loss.
        x, y: one batch, of the size to train with; for a model with several inputs, x is their
            tuple.

    Returns:
        The profile; print it. For each layer it tells what the time is spent on: calls, work on
        arrays value by value ("memory"), or matrix products.
    """
    x, y = batch_of("profile", loss, x, y)
    whole = _Timed(model, loss, x, y)
    few = max([len(y) // CUT, *(layer.min_batch for layer in model.named_layers().values())])
    part = _cut(model, loss, x, y, few) if 2 * few <= len(y) else None
    product, copied = _product_rate(whole.dtype), _copy_rate()
    clocks = whole.clocks
    rate = max([product, *(clock.multiply_adds / clock.seconds for clock in clocks)])
    rows = []
    for index, clock in enumerate(clocks):
        products = clock.multiply_adds / rate
        if part is None:
            calls = clock.seconds - products - clock.bytes / copied
        else:
            each = (clock.seconds - part.clocks[index].seconds) / (len(y) - few)
            calls = clock.seconds - len(y) * each
        calls = min(max(calls, 0.0), clock.seconds - products)
        rows.append(
            ProfileRow(
                clock.name, *clock.medians, clock.multiply_adds, clock.bytes, products, calls
            )
        )
    return Profile(rows, 2e-9 * rate)


def _cut(model: Layer, loss: Loss, x: Any, y: np.ndarray, rows: int) -> _Timed | None:
    """The same of the first rows; None when the model does not take fewer."""
    first = slice(rows)
    x = tuple(each[first] for each in x) if isinstance(x, tuple) else x[first]
    try:
        return _Timed(model, loss, x, y[first])
    except (ValueError, TypeError, RuntimeError, IndexError):
        return None  # a layer or a loss made for this very batch size


class _Timed:
    """Steps of one batch, timed.

    Attributes:
        clocks: one for each layer that ran, and the loss's.
        dtype: of the prediction.
    """

    def __init__(self, model: Layer, loss: Loss, x: Any, y: np.ndarray) -> None:
        step = OneStep(model, loss)
        step.layer.needs_input_grad = False  # as in training
        inside: list[float] = [0.0]
        clocks = [_LayerClock(place, layer, inside) for place, layer in nested(step.layer)]
        of_loss = _Clock(repr(loss))
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end or len(of_loss.forward) < 3:
            ran = step.run(x, y)
            of_loss.add(*ran.loss_seconds)
            for clock in clocks:
                clock.end_step()
        predictions = list(flat(ran.prediction))
        self.dtype = predictions[0].dtype
        of_loss.bytes = 2 * sum(each.nbytes for each in predictions)
        ran_too = [clock for clock in clocks if clock.ran]
        for clock in ran_too:
            clock.count()
        self.clocks: list[_Clock] = [*ran_too, of_loss]


class _Clock:
    """Times of forward and backward, one of each step, and what they did."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.forward: list[float] = []
        self.backward: list[float] = []
        self.multiply_adds = 0
        self.bytes = 0

    def add(self, forward: float, backward: float) -> None:
        """One step's."""
        self.forward.append(forward)
        self.backward.append(backward)

    @property
    def medians(self) -> tuple[float, float]:
        """Of forward and backward."""
        return statistics.median(self.forward), statistics.median(self.backward)

    @property
    def seconds(self) -> float:
        """Both."""
        return max(sum(self.medians), 1e-9)


class _LayerClock(_Clock):
    """Times one layer, by wrapping its forward and backward.

    Args:
        place, layer: where and what it is.
        inside: seconds that the layers inside the running one have taken so far, the same list
            for all layers of a model.
    """

    def __init__(self, place: tuple[str, ...], layer: Layer, inside: list[float]) -> None:
        itself = " (itself)" if sub_layers(layer) else ""
        super().__init__(place_name(place, layer) + itself)
        self.layer = layer
        self.ran = False
        self._inside = inside
        self._now = [0.0, 0.0]  # seconds of this step
        self._x: list[Any] = []
        self._y: list[Any] = []
        self._back = False
        forward, backward = layer.forward, layer.backward

        def timed_forward(x: Any, *state: Any) -> Any:
            entered, above = self._enter()
            y = self._timed(0, forward, x, *state)
            self.ran = True
            self._x, self._y = parts(layer, x), parts(layer, y)
            self._leave(entered, above)
            return y

        def timed_backward(grad_output: Any) -> Any:
            entered, above = self._enter()
            d_x = self._timed(1, backward, grad_output)
            self._back = True
            self._leave(entered, above)
            return d_x

        layer.forward, layer.backward = timed_forward, timed_backward  # type: ignore[method-assign]

    def _enter(self) -> tuple[float, float]:
        above, self._inside[0] = self._inside[0], 0.0
        return time.perf_counter(), above

    def _leave(self, entered: float, above: float) -> None:
        """The layer above did not spend this time, nor that of the bookkeeping here."""
        self._inside[0] = above + time.perf_counter() - entered

    def _timed(self, which: int, call: Callable[..., Any], *values: Any) -> Any:
        start = time.perf_counter()
        result = call(*values)
        took = time.perf_counter() - start
        self._now[which] += max(took - self._inside[0], 0.0)
        return result

    def end_step(self) -> None:
        """Write down what the step took."""
        self.add(*self._now)
        self._now = [0.0, 0.0]

    def count(self) -> None:
        """Multiply-adds and bytes, from the last step's shapes."""
        layer = self.layer
        forward: int = layer.multiply_adds(_shapes(self._x), _shapes(self._y))
        inside = {id(p) for _, child in sub_layers(layer) for p in child.parameters()}
        own = [p.data.nbytes for p in layer.parameters() if id(p) not in inside]
        # backward has a product for each factor of forward's: dL/dx, unless nobody wants it, and
        # dL/dW; or, where two arrays are multiplied, the gradients of both
        backward = 2 if layer.needs_input_grad or not own else 1
        self.multiply_adds = forward * (1 + backward * self._back)
        self.bytes = 2 * sum(a.nbytes for a in [*self._x, *self._y]) + 3 * sum(own)


def _shapes(arrays: list[np.ndarray]) -> Any:
    """The shape of an array, or a tuple with those of several."""
    shapes = tuple(a.shape for a in arrays)
    return shapes[0] if len(shapes) == 1 else shapes


def _product_rate(dtype: np.dtype[Any]) -> float:
    """Multiply-adds a second of a large matrix product."""
    a, b, out = (np.ones((PRODUCT, PRODUCT), dtype) for _ in range(3))
    return PRODUCT**3 / _fastest(lambda: np.matmul(a, b, out=out))


def _copy_rate() -> float:
    """Bytes a second that are read and written when a large array is copied."""
    a, out = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    return 2 * COPIED / _fastest(lambda: np.copyto(out, a))


def _fastest(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
