"""The record of one training step, and how it reads as text, Markdown, plain data and a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import check_place
from nnlite.files.atomic import atomic_write
from nnlite.inspection.component import Operand
from nnlite.inspection.component import shown as plain_name
from nnlite.inspection.equations import Equation, Value, with_shapes
from nnlite.inspection.page import page
from nnlite.inspection.picture import picture
from nnlite.layers.base import Layer
from nnlite.layers.structure import place_name
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalty
from nnlite.optimizers.base import Optimizer

SHOWN = 64  # arrays of up to so many values are printed whole
ONE_LINE = 72  # operands of up to so many characters stand behind their name
# of all steps in time, by name: what each one's equation calls it, and how many stand before
STEPS_OF = {"A": ("A_t", 0), "h": ("h_t", 1)}
DIGITS, OF_MEANS = 6, 4  # of the values in a file, and of those that stand for several
VISIBLE = 1e-3  # arrays without a value of that size are printed with exponents
INNER = 8  # inner equations of a step that are printed
PAGE = 1024  # values of an array that the page draws


class Curve(NamedTuple):
    """An activation and its slope, as the layer itself computes them, over its range."""

    x: np.ndarray
    f: np.ndarray
    slope: np.ndarray


class Printed:
    """An optimizer as far as a step shows it: its name, and the lines of one parameter."""

    def __init__(self, optimizer: Optimizer, equations: Mapping[str, str]) -> None:
        self.optimizer = optimizer
        self.equations = equations

    def __repr__(self) -> str:
        return repr(self.optimizer)


class TraceStep:
    """One line of the loop on one layer.

    Attributes:
        number: of the step in the six-step loop; 0 for a forward.
        title: what the loop calls it.
        place: where in the model, such as ("layer 2", "branch"); () for the model and the loss.
        inputs: G, or x in a forward; several arrays where a layer takes a tuple, and none for the
            loss gradient.
        results: what was computed; several arrays where a layer returns a tuple.
        equations: with operands, in the order of computation; the last ones give the results.
        curve: of an activation, f and f′ over the range of this layer's values; else None.
    """

    def __init__(
        self,
        number: int,
        title: str,
        place: tuple[str, ...],
        source: Layer | Loss | Penalty | Printed,
        key: str,
        inputs: list[Value],
        results: list[Value],
        symbols: Mapping[str, tuple[int, ...]],
        equations: Callable[[], list[Equation]] = list,
        curve: Callable[[], Curve | None] = lambda: None,
    ) -> None:
        self.number = number
        self.title = title
        self.place = place
        self.inputs = inputs
        self.results = results
        self._source = source
        self._key = key
        self._symbols = symbols
        self._equations = equations
        self._curve = curve

    @cached_property
    def equations(self) -> list[Equation]:
        """Found when first asked for: a step that nobody looks at costs nothing."""
        return self._equations()

    @cached_property
    def curve(self) -> Curve | None:
        """As `equations`, when first asked for."""
        return self._curve()

    @property
    def incoming(self) -> Value | None:
        """The first of the inputs."""
        return self.inputs[0] if self.inputs else None

    @property
    def result(self) -> Value:
        """The first of the results."""
        return self.results[0]

    @property
    def layer(self) -> str:
        """The layer's (or the loss's) repr; a container by its class alone."""
        source = self._source
        return place_name((), source) if isinstance(source, Layer) else repr(source)

    @property
    def formula(self) -> str:
        """The layer's equation, with G for the incoming gradient."""
        return self._source.equations.get(self._key, self.result.name)

    @property
    def shapes(self) -> str:
        """The equation with this run's shapes."""
        if len(self.results) == 1:
            return with_shapes(self.formula, self._symbols, self.result.array.shape)
        sizes = ", ".join(f"{value.name} {value.array.shape}" for value in self.results)
        return f"{self.formula}: {sizes}"

    def __str__(self) -> str:
        return step_text(self)


class Trace:
    """The record of one step; prints as text, iterates over the steps of the backward pass.

    Attributes:
        loss: the loss's repr; `loss_value` is the number, with all terms.
        terms: what layers and penalties have added to it, by name.
        forward: one `TraceStep` per layer, first to last.
        loss_step: how the number came about.
        steps: the loss gradient, then the backward pass, last layer to first.
        update: with an optimizer, one step for each parameter: step 6; else nothing.
        structure: (depth, place, name) of every layer, containers included.
    """

    def __init__(
        self,
        layers: list[tuple[tuple[str, ...], Layer]],
        loss: Loss,
        loss_value: float,
        forward: list[TraceStep],
        steps: list[TraceStep],
        terms: Mapping[str, float],
        loss_step: TraceStep,
        update: list[TraceStep],
    ) -> None:
        self.terms = dict(terms)
        self.loss_step = loss_step
        self.update = update
        self._layers = layers
        self._loss = loss
        self.loss_value = loss_value
        self.forward = forward
        self.steps = steps

    @property
    def loss(self) -> str:
        """The loss's repr."""
        return repr(self._loss)

    @property
    def structure(self) -> list[tuple[int, str, str]]:
        """(depth, place, name) of every layer, containers included, outermost first."""
        return [
            (len(place), "".join(place[-1:]), place_name((), layer))
            for place, layer in self._layers
        ]

    def __iter__(self) -> Iterator[TraceStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return text(self)

    def to_markdown(self) -> str:
        """The steps as Markdown, a heading per layer and a table row per gradient."""
        return markdown(self)

    @checked
    def to_dict(self, size: int = 4096) -> dict[str, Any]:
        """Everything in plain lists and numbers.

        Args:
            size: arrays of more values are averaged over blocks to at most this (default 4096);
                of images and kernels the first ones that fit.

        Raises:
            ValueError: when `size` is not a whole number ≥ 1.
        """
        return as_dict(self, size)

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @checked
    def to_html(self, path: str | Path) -> None:
        """Write a page to step through: one file that needs no network.

        Each step is an equation drawn with its numbers. An entry that is pointed at lights what
        made it, and a number that is clicked leads to the step that computed it.
        """
        check_place("to_html", path)
        with atomic_write(path) as file:
            file.write(self.page().encode())

    def page(self) -> str:
        """The page as text."""
        return page(self.to_dict(PAGE))

    def _repr_html_(self) -> str:
        """How a notebook shows it: the page, in a frame of its own."""
        quoted = self.page().replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{quoted}" width="100%" height="700" style="border:0"></iframe>'


def text(trace: Trace) -> str:
    """The whole step, forward and backward, for a terminal."""
    terms = ", ".join(f"{name} {value:.6g}" for name, value in trace.terms.items())
    of_terms = f" with {terms}" if terms else ""
    lines = [f"one training step, loss {trace.loss_value:.6g}{of_terms}", ""]
    lines += [
        "  " * depth + (f"{place}: {name}" if place else name)
        for depth, place, name in trace.structure
    ]
    lines += ["", "forward"]
    for step in [*trace.forward, trace.loss_step]:
        lines += [f"  {heading(step)}", f"    {step.shapes}", *_indented(equations_text(step), 4)]
    lines += ["", "backward"]
    for step in [*trace.steps, *trace.update]:
        lines += _indented(str(step), 2)
    if not trace.update:
        lines += ["  6. update the weights: after the last gradient is known, optimizer.step()"]
    return "\n".join(lines)


def step_text(step: TraceStep) -> str:
    """One step: what it is, its formula, the shapes, its operands, and what came of them."""
    lines = [f"{step.number}. {step.title}, {heading(step)}", f"   {step.formula}"]
    if step.shapes != step.formula:
        lines.append(f"   {step.shapes}")
    return "\n".join([*lines, *_indented(equations_text(step), 3)])


def equations_text(step: TraceStep) -> str:
    """Small operands, the results, and of each one entry with the numbers that made it."""
    lines: list[str] = []
    told: set[str] = set()
    printed: list[np.ndarray] = []
    inner = [equation for equation in step.equations if not _gives_result(equation, step)]
    for equation in step.equations:
        if equation in inner:
            if len(inner) > INNER:
                continue  # every step in time has several
            lines.append(equation.formula)
        for operand in equation.operands:
            if operand.array.size <= SHOWN and operand.name not in told:
                lines.append(f"with {operand_text(operand)}")
                told.add(operand.name)
        if not any(equation.result.array is array for array in printed):
            lines.append(value_text(equation.result, equation.seen))
            printed.append(equation.result.array)
        told.add(equation.result.name)
        if equation.example is not None and equation.result.array.size:
            lines.append(equation.example)
    return "\n".join(lines)


def _gives_result(equation: Equation, step: TraceStep) -> bool:
    return any(equation.result.array is value.array for value in step.results)


def operand_text(operand: Operand) -> str:
    """An array and its values, in one line where they fit."""
    name, shape = plain_name(operand.name), operand.array.shape
    values = values_text(operand.array)
    one_line = " ".join(values.split())
    if len(one_line) <= ONE_LINE:
        return f"{name} {shape} = {one_line}"
    return f"{name} {shape}:\n{values}"


def heading(step: TraceStep) -> str:
    """The path of the layer and what it is."""
    return " › ".join([*step.place, step.layer])


def value_text(value: Value, seen: np.ndarray) -> str:
    """Statistics, and the values themselves where they are few, in the shape of the equation."""
    if value.array.ndim == 0:
        return f"{value.name} = {value.array:.6g}"
    s = value.statistics()
    shape = str(value.array.shape)
    if seen.shape != value.array.shape:
        shape += f", read as {seen.shape}"
    line = (
        f"{value.name} {shape}: norm {s['norm']:.4g}, "
        f"min {s['min']:.4g}, max {s['max']:.4g}, zeros {s['zeros']:.0%}"
    )
    if value.array.size > SHOWN:
        return line
    return f"{line}\n{values_text(seen)}"


def values_text(array: np.ndarray) -> str:
    """All values; those that would round to 0 with four decimals only where others do not."""
    small = float(np.abs(array).max(initial=0)) < VISIBLE
    return np.array2string(array, precision=4, suppress_small=not small, max_line_width=96)


def _indented(block: str, by: int) -> list[str]:
    return [" " * by + line for line in block.splitlines()]


def markdown(trace: Trace) -> str:
    """Headings for layers, tables for gradients."""
    lines = [
        "# One training step",
        "",
        f"`{trace.loss}` gives a loss of **{trace.loss_value:.6g}**.",
        "",
        *("  " * depth + f"- {f'{place}: ' if place else ''}`{name}`"
          for depth, place, name in trace.structure),
        "",
        "## Forward",
        "",
        *_table_head("layer"),
        *(
            row
            for step in [*trace.forward, trace.loss_step]
            for row in _rows(heading(step), step)
        ),
        "",
        "## Backward",
    ]  # fmt: skip
    for name, steps in groupby([*trace.steps, *trace.update], heading):
        lines += ["", f"### {name}", "", *_table_head("step")]
        for step in steps:
            lines += _rows(f"{step.number}. {step.title}", step)
    return "\n".join([*lines, ""])


def _table_head(first: str) -> list[str]:
    return [
        f"| {first} | formula | norm | min | max | zeros | one entry |",
        "| - | - | -: | -: | -: | -: | - |",
    ]


def _rows(first: str, step: TraceStep) -> Iterator[str]:
    """One for each array that the step made."""
    formula = step.shapes.replace("|", "\\|")
    examples = {id(e.result.array): e.example for e in step.equations if e.result.array.size}
    for value in step.results:
        s = value.statistics()
        example = (examples.get(id(value.array)) or "").replace("|", "\\|")
        yield (
            f"| {first} | {formula} | {s['norm']:.4g} | {s['min']:.4g} | {s['max']:.4g} "
            f"| {s['zeros']:.0%} | {example} |"
        )


def as_dict(trace: Trace, size: int) -> dict[str, Any]:
    """Plain lists and numbers."""
    gradients = (value for step in trace.steps if step.number in (3, 4) for value in step.results)
    kernels = {(v.name.removeprefix("dL/d"), v.array.shape) for v in gradients if v.kernel}
    table = _Table(size, kernels)
    parts = {
        "forward": trace.forward,
        "loss_step": [trace.loss_step],
        "steps": trace.steps,
        "update": trace.update,
    }
    found = {
        part: [table.step(step, part, number) for number, step in enumerate(steps)]
        for part, steps in parts.items()
    }
    return {
        "loss": trace.loss,
        "loss_value": _plain(trace.loss_value),
        "terms": {name: _plain(value) for name, value in trace.terms.items()},
        "structure": [
            {"depth": depth, "place": place, "layer": name}
            for depth, place, name in trace.structure
        ],
        "values": table.values,
        **found,
        "loss_step": found["loss_step"][0],
    }


class _Table:
    """The arrays of a trace, each once, and who computed them.

    Args:
        size: how many values of an array are kept.
        kernels: the parameters' letters and shapes; where an equation reads one, it says no more.
    """

    def __init__(self, size: int, kernels: set[tuple[str, tuple[int, ...]]]) -> None:
        self.size = size
        self.kernels = kernels
        self.values: list[dict[str, Any]] = []
        self._ids: dict[tuple[Any, ...], int] = {}
        self._sources: dict[int, dict[str, Any]] = {}
        self._in_time: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}

    def id(self, name: str, array: np.ndarray, kernel: bool = False) -> int:
        """The place of an array among the values."""
        key = (array.__array_interface__["data"][0], array.shape, array.strides)
        if key not in self._ids:
            self._ids[key] = len(self.values)
            kernel = kernel or (name, array.shape) in self.kernels
            self.values.append(_value_dict(Value(name, array, kernel), self.size))
        return self._ids[key]

    def ref(self, name: str, array: np.ndarray, whole: np.ndarray) -> dict[str, Any]:
        """How an equation reads an array, and where that came from."""
        number = self.id(name, whole)
        found = {"name": plain_name(name), "value": number, "shape": list(array.shape)}
        return {**found, "from": self._sources.get(number)}

    def operand(self, operand: Operand, place: tuple[str, ...]) -> dict[str, Any]:
        """The same of an operand, whose entries may come from several equations, or from a part.

        What all steps in time have made together came from each step's equation; other operands
        are cut from results, or put together of them, and lie in the same memory.
        """
        found = self.ref(*operand)
        each, later = STEPS_OF.get(operand.name, ("", 0))
        if made := self._in_time.get((place, each)):
            by_index = [made.get(t - later) for t in range(operand.array.shape[1])]
            return {**found, "slices": {"axis": 1, "from": by_index}}
        if found["from"] is None and (parts := self._overlapping(operand.whole)):
            strides = [stride // operand.whole.itemsize for stride in operand.whole.strides]
            return {**found, "views": {"strides": strides, "parts": parts}}
        return found

    def _overlapping(self, array: np.ndarray) -> list[dict[str, Any]]:
        """The results that lie in this array's memory, or it in theirs, counted in its entries.

        So one half of G leads to the G that was cut, heads to the array that was split into them,
        and what was put together to its parts.
        """
        first, size = array.__array_interface__["data"][0], array.itemsize
        low, high = _reach(first, array.shape, array.strides)
        found = []
        for (start, shape, strides), number in self._ids.items():
            begin, end = _reach(start, shape, strides)
            if begin <= high and low <= end and number in self._sources:
                steps = [stride // size for stride in strides]
                place = {"start": (start - first) // size, "strides": steps, "shape": list(shape)}
                found.append({"from": self._sources[number], **place})
        return found

    def step(self, step: TraceStep, part: str, number: int) -> dict[str, Any]:
        """One step with its equations."""
        inputs = [self.id(*value) for value in step.inputs]
        results = [self.id(*value) for value in step.results]
        return {
            "number": step.number,
            "title": step.title,
            "place": list(step.place),
            "layer": step.layer,
            "formula": step.formula,
            "shapes": step.shapes,
            "incoming": inputs,
            "results": results,
            "equations": [
                self.equation(equation, {"part": part, "step": number, "equation": k}, step.place)
                for k, equation in enumerate(step.equations)
            ],
            "curve": step.curve
            and {name: _plain_list(a) for name, a in step.curve._asdict().items()},
        }

    def equation(
        self, equation: Equation, here: dict[str, Any], place: tuple[str, ...]
    ) -> dict[str, Any]:
        """One equation; from here on its result comes from it."""
        rule = equation.rule
        operands = [self.operand(operand, place) for operand in equation.operands]
        result = self.ref(equation.result.name, equation.seen, equation.result.array)
        self._sources[result["value"]] = here
        if equation.heading:
            steps = self._in_time.setdefault((place, equation.result.name), {})
            steps[int(equation.heading.rpartition(" ")[2])] = here
        return {
            "formula": equation.formula,
            "heading": equation.heading,
            "matrix": equation.matrix,
            "component": rule and str(rule),
            "result": {**result, "from": here},
            "operands": operands,
            "rule": rule and {"indices": rule.indices, "body": rule.body},
            "example": rule and {"entry": list(equation.entry), "text": equation.example},
        }


def _reach(first: int, shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """The addresses of an array's lowest and highest entry."""
    spans = [(length - 1) * stride for length, stride in zip(shape, strides, strict=True)]
    return first + sum(min(span, 0) for span in spans), first + sum(max(span, 0) for span in spans)


def _value_dict(value: Value, size: int) -> dict[str, Any]:
    array = value.array
    corner = array[corner_of(array.shape, size, value.kernel)]
    whole = corner.size == array.size and array.ndim < 4  # images and kernels lie in tiles
    drawn = None if whole else picture(array, max(size // 2, 1), value.kernel)
    return {
        "name": value.name,
        "shape": list(array.shape),
        "kernel": value.kernel,
        **{key: _plain(number) for key, number in value.statistics().items()},
        "corner": {"shape": list(corner.shape), "values": _plain_list(corner.ravel())},
        "picture": drawn
        and {
            "block": list(drawn.block),
            "tiles": drawn.tiles and drawn.tiles._asdict(),
            "values": [
                _plain_list(row, DIGITS if drawn.block == (1, 1) else OF_MEANS)
                for row in drawn.values
            ],
        },
    }


def corner_of(shape: Sequence[int], size: int, kernel: bool = False) -> tuple[slice, ...]:
    """The first entries along every axis, at most `size` in all.

    Of samples fewer are kept before anything of one is cut off; of the rest the longest axes are
    cut first.
    """
    kept = list(shape)

    def count() -> int:
        return int(np.prod(kept))

    while count() > size and len(kept) > 1 and not kernel and kept[0] > 1:
        kept[0] = max(1, min(kept[0] - 1, size * kept[0] // count()))
    while count() > size:
        longest = int(np.argmax(kept))
        kept[longest] = -(-kept[longest] // 2)
    return tuple(slice(0, length) for length in kept)


def _plain_list(values: np.ndarray, digits: int = DIGITS) -> list[float | str]:
    """Numbers that JSON can hold; whole ones without a point."""
    if values.dtype.kind in "iub":
        return [int(v) for v in values.tolist()]
    return [_plain(v, digits) for v in values.tolist()]


def _plain(number: float, digits: int = DIGITS) -> float | str:
    """So many digits; JSON has no infinity and no NaN."""
    return float(f"{number:.{digits}g}") if np.isfinite(number) else str(number)
