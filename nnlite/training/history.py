"""What a training run recorded: one list per quantity, one entry per epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nnlite.core.kinds import number_of


class History(dict[str, list[Any]]):
    """Lists by name (`loss`, `lr`, metrics, `val_…`), one entry per epoch; prints as a table.

    history = trainer.fit(x, y, epochs=10)
    history["val_loss"][-1]
    print(history)

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

    def __repr__(self) -> str:
        """A table of all that is a single number."""
        names = [n for n, values in self.items() if all(isinstance(v, float) for v in values)]
        if not names:
            return "History(no epochs)"
        rows = [["epoch", *names]]
        rows += [
            [str(epoch + 1), *(format_value(self[name][epoch]) for name in names)]
            for epoch in range(self.epochs)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            for row in rows
        )


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
