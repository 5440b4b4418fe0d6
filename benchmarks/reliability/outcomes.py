"""How the cases of a subject ended, and a table of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.report import table

SHOWN = 20  # cases that ended wrongly of which all is said; of others, the number


class Outcome(NamedTuple):
    """How one case ended."""

    group: str  # the row of the table
    kind: str  # the column
    text: str = ""  # what there is to say about it


class Subject(NamedTuple):
    """What is tried, how often in full, and the ways in which a case may end."""

    name: str
    cases: int
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def module(self) -> str:
        """Where its `case(number)` stands."""
        return f"{__package__}.{self.name}"


FILES, KILLS, INTERRUPTS, THREADS = SUBJECTS = (
    Subject(
        "files", 10_000,
        ("refused", "trained on", "diverged"),
        ("raw error", "changed", "failed later", "memory", "hang", "crash"),
    ),
    Subject(
        "kills", 400,
        ("killed", "killed while writing", "signalled", "signalled while writing"),
        ("other bits", "left over", "hang", "crash"),
    ),
    Subject("interrupts", 2_000, ("as before",), ("changed", "swallowed", "hang", "crash")),
    Subject("threads", 30, ("unnoticed",), ("noticed", "hang", "crash")),
)  # fmt: skip


def counts(subject: Subject, outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many ended in each of the ways."""
    found = Counter(outcome.kind for outcome in outcomes)
    return {kind: found[kind] for kind in (*subject.right, *subject.wrong)}


def tell(subject: Subject, outcomes: Sequence[Outcome]) -> str:
    """A table by group, and below it the cases that ended wrongly, with the command to see them."""
    header = [subject.name, *subject.right, *subject.wrong]
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.group, []).append(outcome)
    rows = [
        [name, *(f"{n:,}" for n in counts(subject, groups[name]).values())]
        for name in sorted(groups)
    ]
    rows.append(["all", *(f"{n:,}" for n in counts(subject, outcomes).values())])
    wrong = [n for n, outcome in enumerate(outcomes) if outcome.kind not in subject.right]
    lines = [f"{subject.name} {n}: {': '.join(outcomes[n])}" for n in wrong[:SHOWN]]
    if wrong:
        numbers = " ".join(map(str, wrong))
        lines.append(f"again: python -m benchmarks.reliability {subject.name} {numbers}")
    return "\n".join([table(header, rows), *lines])
