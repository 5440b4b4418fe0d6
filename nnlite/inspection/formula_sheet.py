"""The formula sheet: every activation, loss, layer and optimizer with its formulas, on one page.

All of it comes from the classes: their equations, their docstrings, and the curves they compute.
"""

from __future__ import annotations

import html
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from nnlite import layers, losses, optimizers
from nnlite.core import random
from nnlite.core.arguments import checked
from nnlite.core.checks import check_place
from nnlite.files.atomic import atomic_write
from nnlite.inspection.curves import Plot, chart, of_activation, of_loss, of_penalty
from nnlite.inspection.specimens import batch_for, specimen
from nnlite.inspection.trace import trace
from nnlite.losses.penalties import Penalty
from nnlite.optimizers.base import Optimizer

SECTIONS = {  # of the layers, by their place in the package, in the order of a course
    "activations": "Activations",
    "linear": "Linear maps",
    "convolution": "Convolution",
    "pooling": "Pooling, borders, sizes",
    "normalization": "Normalization",
    "dropout": "Dropout and noise",
    "shape": "Shapes",
    "embedding": "Embedding",
    "sequences": "Sequences",
    "containers": "Containers",
    "terms": "Layers that add to the loss",
}
# What comes first in its section; the other files follow in alphabetical order.
FIRST = (
    "rectifiers",
    "smooth",
    "softmax",
    "regression",
    "binary",
    "classification",
    "multilabel",
    "sgd",
)
LONGEST = 220  # a longer component form says less than the matrix form
ACTIVATIONS = "nnlite.layers.activations"
SYMBOLS = {
    "x, y": "what a layer is given and what it returns; rows are samples, n = 1 … N",
    "G": "dL/dy, the gradient that comes from above, in y's shape",
    "W, b, γ, β": "the layer's parameters",
    "xᵀ": "the transpose: rows and columns change places",
    "x W": "side by side, capital letters are a product of matrices",
    "⊙": "a product value by value",
    "Σₙ": "the sum over n",
    "[x > 0]": "1 where that holds, 0 elsewhere",
    "[a, b]": "two arrays, joined along their last axis",
    "x[n,i]": "the entry of x in row n and column i",
    "J_f": "the Jacobian of the layer f, which its backward multiplies by",
    "ℓ, L": "the loss of one element, and the number that is minimized: L = Σ ℓ / D",
    "p, t, z": "a prediction, its target, a score (logit)",
    "w, g": "a weight and its gradient dL/dw",
    "lr, k": "the learning rate, and the number of the step, 1 first",
    "‖w‖": "the norm: the root of the sum of all squares",
}


class Line(NamedTuple):
    """One formula.

    Attributes:
        step: of the six-step loop; 0 for what is computed forward.
        formula: as the class gives it.
        components: the same entry by entry, after what is computed on the way to it.
    """

    step: int
    formula: str
    components: tuple[str, ...] = ()


class Entry(NamedTuple):
    """One class.

    Attributes:
        name: the class's.
        example: the instance that the formulas are those of; empty where none is needed.
        summary: the first line of its docstring.
        lines: its formulas.
        variants: further formulas by when they hold, such as "in eval mode".
        plots: its curves.
        derivation: how its docstring derives them.
    """

    name: str
    example: str
    summary: str
    lines: list[Line]
    variants: dict[str, list[Line]]
    plots: list[Plot]
    derivation: str


class Section(NamedTuple):
    """A heading, and entries in groups that one sentence describes."""

    title: str
    groups: list[tuple[str, list[Entry]]]


@checked
def formula_sheet(path: str | Path) -> None:
    """Write all formulas on one page: activations, losses, layers and optimizers.

    Each class is shown with its formulas forward and backward, as matrices and entry by entry;
    activations with f and f′ drawn, losses with their partial derivatives. It all comes from the
    classes themselves, so the sheet is that of this version.

    Args:
        path: where to; a name that ends in `.html` gives a page that needs no network, in `.md`
            a Markdown file, with tables of values in the place of drawings.

    Raises:
        ValueError: for another ending, or where no file can be written.
    """
    writers = {".html": _page, ".md": _markdown}
    ending = Path(path).suffix.lower()
    if ending not in writers:
        raise ValueError(
            f"formula_sheet: expected a path that ends in .html or .md, got {str(path)!r}"
        )
    check_place("formula_sheet", path)
    with atomic_write(path) as file:
        file.write(writers[ending](contents()).encode())


# -- what is on it -------------------------------------------------------------------------------


def contents() -> list[Section]:
    """Activations, losses, the other layers, optimizers."""
    with random.scope(0):  # what is built here draws from a root of its own
        of_layers = {
            title: _section(title, layers, f"nnlite.layers.{room}")
            for room, title in SECTIONS.items()
        }
        of_losses = _section("Losses", losses, "nnlite.losses")
        of_optimizers = _section("Optimizers", optimizers, "nnlite.optimizers")
    first, *others = of_layers.values()
    return [first, of_losses, *others, of_optimizers]


def _section(title: str, package: ModuleType, room: str) -> Section:
    """The package's public classes that are defined in this room, in the order of their files."""
    named = [getattr(package, name) for name in package.__all__]
    classes = [each for each in named if isinstance(each, type) and _within(each, room)]

    def place(cls: type) -> tuple[Any, ...]:
        file = cls.__module__.rpartition(".")[2]
        of_file = FIRST.index(file) if file in FIRST else len(FIRST)
        return of_file, cls.__module__, list(vars(sys.modules[cls.__module__])).index(cls.__name__)

    groups = []
    for file, members in groupby(sorted(classes, key=place), lambda cls: cls.__module__):
        entries = [entry for cls in members if (entry := _entry(cls)).lines]
        says = (sys.modules[file].__doc__ or "").partition("\n")[0]
        if entries:
            groups.append((says, entries))
    return Section(title, groups)


def _within(cls: type, room: str) -> bool:
    return f"{cls.__module__}.".startswith(f"{room}.")


def _entry(cls: type) -> Entry:
    """All about one class; without lines for a base that leaves its formulas to others."""
    made = specimen(cls)
    doc = inspect.getdoc(cls) or ""
    lines = _lines(cls, made.equations)
    activation = _within(cls, ACTIVATIONS)
    variants, plots = {}, []
    if issubclass(cls, layers.Layer):
        lines = _with_components(made, lines) if lines else []
        made.eval()
        variants = _changed(lines, {"in eval mode": _lines(cls, made.equations)})
        plots = [of_activation(made)] if activation and lines else []
    elif issubclass(cls, losses.Loss):
        plots = list(of_loss(cls))
    elif issubclass(cls, Penalty):
        plots = [of_penalty(made)] if lines else []
    elif issubclass(cls, Optimizer):
        variants = _changed(lines, dict(_with_options(cls)))
    return Entry(
        cls.__name__,
        repr(made) if issubclass(cls, layers.Layer) and not activation else "",
        doc.partition("\n")[0],
        lines,
        variants,
        plots,
        "\n".join(_derivation(doc, lines)),
    )


def _lines(cls: type, equations: Mapping[str, str]) -> list[Line]:
    """The formulas, each with its step of the loop."""
    if issubclass(cls, Optimizer):
        return [Line(6, formula) for formula in equations.values()]
    steps = {"forward": 0, "loss": 0, "penalty": 0, "bias": 4}
    steps["input"] = 2 if _within(cls, ACTIVATIONS) else 5
    others = 1 if issubclass(cls, losses.Loss) else 3
    return [Line(steps.get(key, others), formula) for key, formula in equations.items()]


def _with_components(layer: layers.Layer, lines: list[Line]) -> list[Line]:
    """The lines with the component forms by which a trace of the layer has found its numbers."""
    layer, x = layer.astype(np.float64), batch_for(layer)
    y = layer.forward(x)
    if isinstance(y, tuple):
        loss: losses.Loss = losses.Losses(*(losses.MSELoss() for _ in y))
    else:
        loss = losses.MSELoss()
    run = trace(layer, loss, x, y)
    found: dict[str, list[str]] = {}
    for step in [*run.forward, *run.steps]:
        if not step.place:  # of a cell's steps back, alike in their formula, the last one stays
            rules = [str(each.rule) for each in step.equations if each.rule is not None]
            found[step.formula] = [rule for rule in dict.fromkeys(rules) if len(rule) < LONGEST]

    def news(formula: str) -> tuple[str, ...]:
        """Those of entries that the formula does not name itself, as convolution's does."""
        named = {clause.partition(" = ")[0] for clause in formula.split(",  ")}
        return tuple(r for r in found.get(formula, ()) if r.partition(" = ")[0] not in named)

    return [line._replace(components=news(line.formula)) for line in lines]


def _changed(lines: list[Line], others: Mapping[str, list[Line]]) -> dict[str, list[Line]]:
    """Of each variant the lines that differ; none without."""
    known = {line.formula for line in lines}
    changed = {
        when: [line for line in those if line.formula not in known]
        for when, those in others.items()
    }
    return {when: those for when, those in changed.items() if those}


def _with_options(cls: type[Optimizer]) -> Iterator[tuple[str, list[Line]]]:
    """The rule with each option on that is off by default, by itself or with momentum."""
    before: list[dict[str, str]] = [dict(specimen(cls).equations)]
    for name, parameter in inspect.signature(cls).parameters.items():
        if name == "maximize" or parameter.default not in (False, 0.0):
            continue
        on = {name: True if parameter.default is False else 0.1 if "decay" in name else 0.9}
        for options in (on, {"momentum": 0.9, **on}):
            try:
                equations = dict(specimen(cls, **options).equations)
            except (TypeError, ValueError):  # that option needs another one
                continue
            if equations not in before:
                before.append(equations)
                shown = ", ".join(f"{key}={value}" for key, value in options.items())
                yield f"with {shown}", _lines(cls, equations)
                break


# In a docstring's Args, a name that stands for one letter: "eps: ε, added to the variance".
SYMBOL = re.compile(r"\w[\w, ]*: \(?[^\W\d_][₀-₉₊₋]?(?:$|[,;)]| \(| [<>≥≤]| in \[)")


def _derivation(doc: str, lines: list[Line]) -> Iterator[str]:
    """How a docstring comes to the formulas, and what their letters are called in the code."""
    formulas = [line.formula for line in lines]
    for heading in ("Rule", "Backward"):
        yield from (line for line in part_of(doc, heading) if line not in formulas)
    yield from filter(SYMBOL.match, part_of(doc, "Args"))


def part_of(doc: str, heading: str) -> list[str]:
    """The lines of a docstring under a heading, without their indentation."""
    found = re.search(rf"^{heading} +(.*(?:\n {{9,}}.*)*)", doc, re.MULTILINE)
    return [line.strip() for line in found[1].splitlines()] if found else []


# -- as a page -----------------------------------------------------------------------------------


def _page(sections: list[Section]) -> str:
    template = Path(__file__).with_name("formula_sheet.html").read_text(encoding="utf-8")
    body = "".join(_section_html(section) for section in sections)
    links = "".join(
        f"<li><a href='#{_anchor(section.title)}'>{html.escape(section.title)}</a><p>"
        + " ".join(
            f"<a href='#{entry.name}'>{entry.name}</a>"
            for _, entries in section.groups
            for entry in entries
        )
        + "</p></li>"
        for section in sections
    )
    symbols = "".join(
        f"<div><dt>{typeset(symbol)}</dt><dd>{html.escape(meaning)}</dd></div>"
        for symbol, meaning in SYMBOLS.items()
    )
    parts = {"__CONTENTS__": links, "__SYMBOLS__": symbols, "__SECTIONS__": body}
    return re.sub("|".join(parts), lambda found: parts[found[0]], template)


def _anchor(title: str) -> str:
    return "-".join(re.findall(r"\w+", title.lower()))


def _section_html(section: Section) -> str:
    groups = "".join(
        f"<p class='group'>{html.escape(says)}</p><div class='entries'>"
        + "".join(_entry_html(entry) for entry in entries)
        + "</div>"
        for says, entries in section.groups
    )
    heading = f"<h2>{html.escape(section.title)}</h2>"
    return f"<section id='{_anchor(section.title)}'>{heading}{groups}</section>"


def _entry_html(entry: Entry) -> str:
    example = f"<p class='example'>{html.escape(entry.example)}</p>" if entry.example else ""
    lines = "".join(map(_line_html, entry.lines))
    for when, those in entry.variants.items():
        lines += f"<p class='when'>{html.escape(when)}</p>" + "".join(map(_line_html, those))
    plots = "".join(chart(plot, entry.name).svg() for plot in entry.plots)
    why = f"<pre>{html.escape(entry.derivation)}</pre>" if entry.derivation else ""
    plots = plots and f"<div>{plots}</div>"
    both = f"<div class='both'><div class='lines'>{lines}</div>{plots}</div>"
    summary = f"<p>{html.escape(entry.summary)}</p>"
    return (
        f"<article id='{entry.name}'><h3>{entry.name}</h3>{summary}{example}{both}{why}</article>"
    )


def _line_html(line: Line) -> str:
    first, *meanings = line.formula.split(",  ")
    step = f"<b>{line.step}</b>" if line.step else "<b></b>"
    rows = [f"<div class='formula'>{typeset(first)}</div>"]
    rows += [f"<div class='formula with'>{typeset(each)}</div>" for each in meanings]
    rows += [f"<div class='formula component'>{typeset(each)}</div>" for each in line.components]
    return f"<div class='line'>{step}<div>{''.join(rows)}</div></div>"


BRACKETS = {"(": 1, ")": -1, "{": 1, "}": -1}
LETTER = "A-Za-zα-ωΑ-ΡΤ-Ωℓ"  # and not Σ, which is a sign
PIECES = re.compile(
    r"\^(?P<exponent>\(|−?\w+(?:\[[^\]]*\])?)"
    r"|_(?P<below>\{|\w+)"
    r"|(?P<slope>d(?=[LℓP]/d)|/d(?=[^\W\d_]|\())"  # of dL/dx
    r"|(?P<word>max(?=_)|[A-Za-z]{2,}[A-Za-z0-9_]*)"
    rf"|(?P<letter>[{LETTER}]\u0302?)"
)


def typeset(formula: str) -> str:
    """A formula as HTML: letters slanted, indices below the line, exponents above it."""
    made, place = "", 0
    while found := PIECES.search(formula, place):
        made += html.escape(formula[place : found.start()])
        place, text = found.end(), html.escape(found[0])
        if moved := found["exponent"] or found["below"]:
            if moved in BRACKETS:
                place = _closing(formula, place)
                moved = formula[found.end() : place - 1]
            tag = "sup" if found["exponent"] else "sub"
            made += f"<{tag}>{typeset(moved)}</{tag}>"
        else:
            made += f"<i>{text}</i>" if found["letter"] else text
    return made + html.escape(formula[place:])


def _closing(formula: str, place: int) -> int:
    """Behind the bracket that closes the one before this place."""
    depth = 1
    while depth:
        depth += BRACKETS.get(formula[place], 0)
        place += 1
    return place


# -- as Markdown ---------------------------------------------------------------------------------


def _markdown(sections: list[Section]) -> str:
    lines = ["# Formula sheet", "", "| symbol | meaning |", "| --- | --- |"]
    lines += [f"| `{symbol}` | {meaning} |" for symbol, meaning in SYMBOLS.items()]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for says, entries in section.groups:
            lines += ["", f"*{says}*"]
            for entry in entries:
                lines += ["", *_entry_markdown(entry)]
    return "\n".join(lines) + "\n"


def _entry_markdown(entry: Entry) -> Iterator[str]:
    yield from (f"### {entry.name}", "", entry.summary, "")
    if entry.example:
        yield from (f"`{entry.example}`", "")
    yield "```text"
    for line in entry.lines:
        yield line.formula
        yield from (f"    {component}" for component in line.components)
    for when, those in entry.variants.items():
        yield f"{when}:"
        yield from (f"    {line.formula}" for line in those)
    yield "```"
    for plot in entry.plots:
        whole = np.arange(np.ceil(plot.x[0]), plot.x[-1])
        columns = whole if len(whole) > 3 else plot.x[:: (len(plot.x) - 1) // 8]
        yield from ("", plot.says, "") if plot.says else ("",)
        yield f"| {plot.variable} | " + " | ".join(f"{x:g}" for x in columns) + " |"
        yield "| --- |" + " --- |" * len(columns)
        for name in plot.curves:
            values = " | ".join(f"{plot.at(x)[name]:.4g}" for x in columns)
            yield f"| {name} | {values} |"
    if entry.derivation:
        yield from ("", "```text", entry.derivation, "```")
