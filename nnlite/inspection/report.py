"""What a gradient check found, as rows and plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nnlite.core.tables import html_lines, html_table, text_table

VAGUE = ("unknown", "step")  # kinds not worth printing beside what is known more exactly


class GradientError(AssertionError):
    """A gradient that differs from the slope it should be, or a layer that breaks the contract.

    Attributes:
        report: the `GradientReport` behind it.
    """

    def __init__(self, report: GradientReport) -> None:
        super().__init__(str(report))
        self.report = report


class Diagnosis(NamedTuple):
    """What is wrong, as a short key for programs and in words for people, and what was raised."""

    kind: str
    text: str
    error: Exception | None = None


class GradientRow(NamedTuple):
    """The worst entry of one gradient.

    `where` is its index, () of a single number, or None where all entries were moved along a
    direction. `surrogate` says why it need not be the slope, where a layer declares that. `told` is
    False where differences are too rough, or not finite, to tell whether it is right.
    """

    name: str
    where: tuple[int, ...] | None
    analytic: float
    numeric: float
    error: float
    diagnosis: Diagnosis | None = None
    surrogate: str = ""
    told: bool = True

    @property
    def ok(self) -> bool:
        """Whether the gradient is the slope, or declared to be something else."""
        return self.diagnosis is None


class GradientReport:
    """The result of `check_gradients`: one row per gradient, and what else was noticed.

    Prints as a table with the explanations below it; iterates over its rows.

    Attributes:
        subject: what was checked.
        rows: one `GradientRow` for the input and for each parameter.
        findings: breaches of the contract that are not about a number, each a `Diagnosis`.
        notes: what could not be checked and why; not a failure.
        parts: reports on the layers inside that are wrong, when the model is.
    """

    def __init__(
        self,
        subject: str,
        rows: list[GradientRow],
        findings: list[Diagnosis],
        notes: list[str],
        parts: list[GradientReport] | None = None,
    ) -> None:
        self.subject = subject
        self.rows = rows
        self.findings = findings
        self.notes = notes
        self.parts = parts or []

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        right = not self.findings and all(row.ok for row in self.rows)
        return right and all(part.ok for part in self.parts)

    @property
    def kinds(self) -> set[str]:
        """The keys of all diagnoses, those of the parts included."""
        own = {finding.kind for finding in self.findings}
        own |= {row.diagnosis.kind for row in self.rows if row.diagnosis}
        return own.union(*(part.kinds for part in self.parts))

    def __iter__(self) -> Iterator[GradientRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        lines = [self._verdict()]
        if self.rows:
            lines += ["", *text_table(_cells(self.rows), left=6)]
        for text in self._mistakes():
            lines += ["", f"✗ {text}"]
        for part in self.parts:
            lines += ["", *str(part).splitlines()]
        if self.notes:
            lines += ["", *(f"note: {note}" for note in self.notes)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """In a notebook."""
        table = html_table(_cells(self.rows), left=6) if self.rows else ""
        below = [f"✗ {text}" for text in self._mistakes()]
        inside = "".join(
            f'<div style="margin-left:2em">{part._repr_html_()}</div>' for part in self.parts
        )
        notes = html_lines([f"note: {note}" for note in self.notes])
        return html_lines([self._verdict()], "strong") + table + html_lines(below) + inside + notes

    def _verdict(self) -> str:
        """The result in a line."""
        untold = [row.name for row in self.rows if not row.told]
        if self.ok and untold:
            return (
                f"{self.subject}: nothing wrong was found, but {', '.join(untold)} could not be "
                "checked"
            )
        verdict = "all gradients are right" if self.ok else "something is wrong"
        return f"{self.subject}: {verdict}"

    def _mistakes(self) -> list[str]:
        """What is wrong, in words; gradients with the same mistake stand before it together."""
        explained = bool(self.findings or self.parts) or any(
            row.diagnosis and row.diagnosis.kind not in VAGUE for row in self.rows
        )
        wrong: dict[str, list[str]] = {}  # the names by the text
        for row in self.rows:
            if row.diagnosis and not (explained and row.diagnosis.kind in VAGUE):
                wrong.setdefault(row.diagnosis.text, []).append(row.name)
        texts = [f"{', '.join(names)}: {text}" for text, names in wrong.items()]
        return [*texts, *(finding.text for finding in self.findings)]


def _mark(row: GradientRow) -> str:
    return "WRONG" if not row.ok else "ok" if row.told else "not told"


def _cells(rows: list[GradientRow]) -> list[list[str]]:
    """The header, and a row for each gradient."""
    header = ["gradient of", "worst at", "backward", "difference", "relative error", ""]
    return [header] + [
        [
            row.name,
            "a direction" if row.where is None else str(row.where),
            f"{row.analytic:.8g}",
            f"{row.numeric:.8g}" if np.isfinite(row.numeric) else "–",
            f"{row.error:.1e}" if np.isfinite(row.error) else "–",
            "surrogate" if row.surrogate else _mark(row),
        ]
        for row in rows
    ]
