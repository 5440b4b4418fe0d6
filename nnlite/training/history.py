"""What a training run recorded: one list per quantity, one entry per epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nnlite.core.arguments import checked
from nnlite.core.kinds import number_of
from nnlite.core.tables import html_table, text_table
from nnlite.plotting.canvas import PathLike, colors_taken, panels
from nnlite.training.curves import best_epoch, curves, quantities

SHOWN = 10  # epochs of a table in a notebook that are seen without a click


class History(dict[str, list[Any]]):
    """Lists by name (`loss`, `lr`, metrics, `val_…`), one entry per epoch; prints as a table.

        history = trainer.fit(x, y, epochs=10)
        history["val_loss"][-1]
        print(history)
        history.plot()

    It is a dictionary, so that `pandas.DataFrame(history)` has a column for each name.

    Args:
        columns: what was recorded before (default: nothing).
    """

    def __init__(self, columns: Mapping[str, list[Any]] | None = None) -> None:
        super().__init__(columns or {})

    def append(self, row: Mapping[str, Any]) -> None:
        """Add what one epoch measured; NaN stands for what this epoch, or one before, did not."""
        epochs = self.epochs
        for name in {**self, **row}:
            value = as_number(row.get(name, math.nan))
            self.setdefault(name, [math.nan] * epochs).append(value)

    def to_dict(self) -> dict[str, list[Any]]:
        """A plain dictionary of copied lists."""
        return {name: list(values) for name, values in self.items()}

    def to_frame(self) -> Any:
        """A data frame of pandas: a column for each name, a row for each epoch, counted from 1.

        Raises:
            ImportError: without pandas.
        """
        try:
            from pandas import DataFrame, RangeIndex
        except ImportError as error:
            raise ImportError(
                'History.to_frame needs pandas: python -m pip install "nnlite[pandas]"'
            ) from error
        return DataFrame(self, index=RangeIndex(1, self.epochs + 1, name="epoch"))

    def __missing__(self, name: str) -> list[Any]:
        if not self:
            raise KeyError(f"{name!r}: no whole epoch was recorded")
        raise KeyError(f"{name!r} was not recorded; there are {sorted(self)}")

    @property
    def epochs(self) -> int:
        """How many epochs were recorded."""
        return max((len(values) for values in self.values()), default=0)

    @checked
    def plot(
        self,
        ax: Any = None,
        path: PathLike | None = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        """Draw the curves, losses on a logarithmic scale; needs matplotlib.

        The epoch with the lowest loss (of validation, if there was one) is marked. To compare runs,
        draw them on the same axes, each with a label of its own; dotted is training then:

            figure, ax = plt.subplots()
            with_adam.plot(ax, label="Adam")
            with_sgd.plot(ax, label="SGD")

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
            name: what to draw, without `val_`, such as "accuracy" (default None: all that was
                measured, a panel for each; on given axes, the loss).
            label: of this run in the legend (default None: training and validation have one each).

        Raises:
            TypeError: when ax are no axes.
            ValueError: when nothing was recorded, or nothing of that name; when there is no place
                for the picture.
            ImportError: without matplotlib.
        """
        there = quantities(self)
        if not there:
            raise ValueError("History.plot: there is nothing to draw: no whole epoch was recorded")
        if name is not None and name not in there:
            raise ValueError(
                f"History.plot: there is no curve of {name!r}; there are {', '.join(there)}"
            )
        if isinstance(ax, str) and ax in there:
            raise TypeError(
                f"History.plot: ax must be axes of matplotlib, got {ax!r}; a curve is name={ax!r}"
            )
        names = [name] if name else there[:1] if ax is not None else there
        with panels(ax, path, len(names)) as axes:
            for each, own in zip(names, axes, strict=True):
                curves(self, each, label or "", colors_taken(own)).draw(own)

    def __repr__(self) -> str:
        """A table of all that is a single number."""
        cells = self._cells()
        return "\n".join(text_table(cells, left=0)) if cells else "History(no epochs)"

    def _cells(self) -> list[list[str]]:
        """The header, and a row for each epoch; nothing where there are none."""
        names = [n for n, values in self.items() if all(isinstance(v, float) for v in values)]
        if not names:
            return []
        rows = [
            [str(epoch + 1), *(format_value(self[name][epoch]) for name in names)]
            for epoch in range(self.epochs)
        ]
        return [["epoch", *names], *rows]

    def _repr_html_(self) -> str:
        """In a notebook: the curves, and the table below them, folded up where it is long."""
        cells = self._cells()
        if not cells:
            return "History(no epochs)"
        table, best = html_table(cells, left=0), best_epoch(self)
        if self.epochs > SHOWN and best is not None:
            few = html_table([cells[k] for k in dict.fromkeys([0, best, self.epochs])], left=0)
            table = (
                f"best and last epoch{few}<details><summary>all epochs</summary>{table}</details>"
            )
        return self.curves_html() + table

    def curves_html(self) -> str:
        """The curves as an element of a page, side by side where there is room."""
        charts = "".join(curves(self, name).svg() for name in quantities(self))
        return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{charts}</div>'


def as_number(value: Any) -> Any:
    """A Python float of what is a number, of NumPy too; anything else as it is."""
    number = number_of(value)
    return value if number is None else float(number)


def format_value(value: float) -> str:
    """Four decimals below 10, two below 100,000, else an exponent: 0.9812, 12.35, 1.0e-05."""
    size = abs(value)
    if size and not 1e-3 <= size < 1e5:
        return f"{value:.1e}"
    return f"{value:.4f}" if size < 10 else f"{value:.2f}"
