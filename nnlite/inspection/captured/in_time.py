"""The steps in time of a recurrent layer, there and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.inspection.equations import Equation, Page, Value, symbol
from nnlite.inspection.formula import Sentence


def steps_of(layer: Any, run: Any) -> list[Page]:
    """A page for each step of a recurrent layer's forward."""
    pages = []
    own = {name: p for name, p in layer.named_parameters().items() if "." not in name}
    letters = {symbol(layer, name): p.data.copy() for name, p in own.items()}
    for t in range(len(run.gates)):
        page = Page(layer, None, layer.reading_of_step(t, run))
        for letter, data in letters.items():
            page.put(letter, data)
        page.padded = run.padding is not None
        pages.append(page)
    return pages


def cell_equations(pages: list[Page]) -> list[Equation]:
    """What each step computes, in time's order."""
    found = []
    for t, page in enumerate(pages):
        meanings = Sentence(page.lines["forward"]).definitions
        for name in page.reading.values:
            if name in meanings:
                value = Value(name, page.reading.values[name])
                found.append(Equation(page, f"{name} = {meanings[name]}", value, f"time step {t}"))
    return found


class Cell:
    """One step back through time, as the run went through it."""

    def __init__(
        self, layer: Any, whole: Page, page: Page, t: int, d_states: tuple[np.ndarray, ...],
        before: tuple[np.ndarray, ...], d_a: np.ndarray, later: np.ndarray | None,
    ) -> None:  # fmt: skip
        self.layer, self.whole, self.page, self.t = layer, whole, page, t
        # the caller goes on to write into some of these
        self.d_states = tuple(d.copy() for d in d_states)
        self.before, self.d_a = tuple(d.copy() for d in before), d_a.copy()
        self.later = later

    def equations(self) -> list[Equation]:
        """δ_t, then A_t and its parts, then what goes on to the step before."""
        layer, heading = self.layer, f"time step {self.t}"
        g, later = self.from_outside(), self.later
        if layer.above:  # what comes down from there is not the layer's own G
            g = later = None
        reading = layer.reading_of_step_back(
            self.page.reading, g, self.d_states, self.before, self.d_a, later
        )
        page = Page(layer, None, reading)
        page.take(self.page)
        page.padded = self.page.padded
        lines = {**page.definitions, **_of_states(layer.equations["state"])}
        lines |= {name: Sentence(line).right for name, line in reading.components.items()}
        passed = layer.passed_letters[0] if layer.above else ""
        new = [name for name in reading.values if name not in {*self.page.reading.values, passed}]
        return [
            Equation(page, f"{name} = {lines[name]}", Value(name, reading.values[name]), heading)
            for name in new
            if name in lines and reading.values[name] is not None
        ]

    def from_outside(self) -> np.ndarray | None:
        """G_t; None where nothing arrives."""
        g = self.whole.arrays["G"][1]
        if self.layer.return_sequences:
            return g[:, self.t]
        return g if self.t == len(self.whole.arrays["h"][1][0]) - 2 else None


def _of_states(line: str) -> dict[str, str]:
    """The gradients of the states before a step, by name."""
    sentence = Sentence(line)
    return {sentence.left: sentence.right, **sentence.definitions}
