"""The curves while a model trains."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from nnlite.files.atomic import PathLike
from nnlite.plotting.chart import svg_page
from nnlite.training.callbacks.logging import Logger
from nnlite.training.curves import curves, quantities
from nnlite.training.history import History
from nnlite.training.progress import in_notebook
from nnlite.training.state import Training


class LivePlot(Logger):
    """The curves of the history, drawn anew after every epoch; needs no matplotlib.

        trainer.fit(x, y, epochs=20, callbacks=[nn.LivePlot()])              # in a notebook
        trainer.fit(x, y, epochs=20, callbacks=[nn.LivePlot("curves.svg")])  # in a script

    In a notebook they stand below the cell. In a file they can be watched in a browser, or in an
    editor that shows pictures.

    Args:
        path: a file that ends in .svg, replaced after each epoch (default None: in the notebook).

    Raises:
        ValueError: at the beginning of `fit`, without a path outside a notebook, and for a path
            with another ending.

    Warns:
        ModelWarning: once a run, when the file cannot be written, as on a full disk.
    """

    path: PathLike | None  # type: ignore[assignment]

    def __init__(self, path: PathLike | None = None) -> None:
        self.path = path

    def text(self, history: History) -> str:
        """A page of curves."""
        return svg_page([curves(history, name) for name in quantities(history)])

    def check_run(self, trainer: Training, epochs: int, updates: int | None) -> None:
        """Find a place that shows nothing now, not after an epoch."""
        if self.path is None:
            if not in_notebook():
                raise ValueError(
                    "LivePlot: there is no notebook to draw in; in a script name a file to watch: "
                    'nn.LivePlot("curves.svg")'
                )
            return
        if Path(self.path).suffix.lower() != ".svg":
            raise ValueError(
                f"LivePlot: path must end in .svg, got {str(self.path)!r}; for other pictures call "
                "history.plot(path=…) when fit has returned"
            )
        super().check_run(trainer, epochs, updates)

    def on_fit_begin(self, trainer: Training) -> None:
        """Nothing is drawn yet."""
        super().on_fit_begin(trainer)
        self._shown: Any = None

    def on_epoch_end(self, trainer: Training) -> None:
        """Draw."""
        if self.path is not None:
            super().on_epoch_end(trainer)
            return
        display = import_module("IPython.display")
        drawn = display.HTML(trainer.history.curves_html())
        if self._shown is None:
            self._shown = display.display(drawn, display_id=True)
        else:
            self._shown.update(drawn)
