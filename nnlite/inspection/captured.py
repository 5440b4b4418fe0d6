"""What is captured beside the layers' passes: slopes of activations, the loss, the update."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.reading import Reading
from nnlite.inspection.component import Rule
from nnlite.inspection.equations import Equation, Page, Value, symbol
from nnlite.inspection.formula import Sentence
from nnlite.inspection.record import Curve, Printed, TraceStep, subscript
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss
from nnlite.optimizers.base import Optimizer

POINTS = 81  # of a curve


# -- activations -----------------------------------------------------------------------------------


class Slope(Equation):
    """f′(x), of which the activation's own line says how it is made: what is left without G."""

    @cached_property
    def rule(self) -> Rule | None:
        """The line's own, without G."""
        rule = Equation(self.page, self.page.lines.get("input", ""), self.result).unchecked
        if rule is None:
            return None
        g = [operand.name for operand in rule.operands].index("G")
        body = without(rule.body, g)
        others = [operand for operand in rule.operands if operand.name != "G"]
        found = Rule(rule.indices, renumbered(body, g), others, self.result.name)
        return found if self.agrees(found) else None


def slope_of(line: str) -> str:
    """f′(x) from "dL/dx = G ⊙ f′(x)"; empty where the line is none."""
    right = line.partition(" = ")[2]
    found = re.sub(r"\bG( ⊙ )?", "", right, count=1).strip()
    return f"1 {found}" if found.startswith("/") else found or ("1" if right else "")


def without(node: Any, operand: int) -> Any:
    """The tree with 1 in the place of this operand's entry."""
    if not isinstance(node, list):
        return node
    if node[0] == "at":
        return 1.0 if node[1] == operand else node
    if node[0] in ("sum", "largest"):
        return [*node[:2], without(node[2], operand)]
    named = 2 if node[0] in ("f", "is") else 1
    found = [*node[:named], *(without(each, operand) for each in node[named:])]
    if found[0] == "*" and 1.0 in found[1:]:
        return found[2] if found[1] == 1.0 else found[1]
    return found


def renumbered(node: Any, gone: int) -> Any:
    """The tree after one operand has left the list."""
    if not isinstance(node, list):
        return node
    if node[0] == "at":
        return ["at", node[1] - (node[1] > gone), node[2]]
    return [renumbered(each, gone) for each in node]


class Activation:
    """One activation's step back: f′ from what its forward saved, by its own backward."""

    def __init__(
        self, layer: Layer, page: Page, kept: tuple[Any, ...], g: Value, d_x: Value
    ) -> None:
        self.layer, self.page, self.kept, self.g, self.d_x = layer, page, kept, g, d_x

    def equations(self) -> list[Equation]:
        """f′(x), then dL/dx = G ⊙ f′(x)."""
        slope = self.slope(self.kept, np.ones_like(self.g.array))
        if slope is None or slope.shape != self.g.array.shape:
            return self.page.equations("input", self.d_x)
        meaning = slope_of(self.page.lines.get("input", ""))
        of_slope = Page(None, {}, Reading(values={"f′(x)": slope}))
        of_slope.put("G", self.g.array)
        product = Equation(of_slope, "dL/dx = G ⊙ f′(x)", self.d_x)
        formula = f"f′(x) = {meaning}" if meaning else ""
        return [Slope(self.page, formula, Value("f′(x)", slope)), product]

    def slope(self, kept: tuple[Any, ...], ones: np.ndarray) -> np.ndarray | None:
        """What the layer's backward makes of G = 1; it adds to no gradient: there is none."""
        if self.layer.has_parameters():
            return None
        self.layer.save_for_backward(*kept)
        found: np.ndarray | None = type(self.layer).backward(self.layer, ones)
        return found

    def curve(self) -> Curve | None:
        """f and f′ at points over the range of x, where they are the same for every value."""
        x = self.page.arrays["x"][0]
        random = next(self.layer.named_parts(np.random.Generator), None)
        if (
            self.layer.has_parameters()
            or random is not None
            or not np.isfinite(x).all()
            or not x.size
        ):
            return None
        low, high = min(float(x.min()), -3.0), max(float(x.max()), 3.0)
        points = np.linspace(low, high, POINTS, dtype=x.dtype).reshape(-1, 1)
        with np.errstate(all="ignore"):
            f = type(self.layer).forward(self.layer, points)
            kept = vars(self.layer).get("_slot")
            slope = self.slope(kept or (), np.ones_like(points))
        if slope is None or f.shape != points.shape:
            return None
        return Curve(points.ravel(), f.ravel(), slope.ravel())


# -- steps in time ---------------------------------------------------------------------------------


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


# -- the loss --------------------------------------------------------------------------------------


LOSS_LETTERS = {
    "label_smoothing": "ε", "weight": "c", "pos_weight": "c", "margin": "m", "smooth": "s",
    "q": "q",
}  # fmt: skip


class LossRecord:
    """What a loss computes in one call: its elements, then their mean."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self._calls: list[tuple[Any, Any, Any]] = []
        self._weights: list[np.ndarray | None] = []
        function, check, weigh = loss.function, loss.check, loss.backward
        given: list[Any] = []  # the target as it came; a loss may write it in another way

        def checked(prediction: Any, target: Any) -> Any:
            given[:] = [target]
            return check(prediction, target)

        def watched(prediction: Any, target: Any) -> Any:
            returned = function(prediction, target)
            self._calls.append((prediction, given[0] if given else target, returned))
            return returned

        def backward(grad_output: Any = None) -> Any:
            self._weights.append((vars(loss).get("_slot") or (None,))[0])
            return weigh(grad_output)

        vars(loss)["check"] = checked
        vars(loss)["function"] = watched
        vars(loss)["backward"] = backward

    def number(self, value: float) -> TraceStep:
        """How L came about."""
        shown = [] if self.elements is None else [Value("ℓ", self.elements)]
        result = Value("L", np.array(value))
        return TraceStep(
            0, "compute the loss", (), self.loss, "loss", shown, [result], {},
            lambda: [
                *(e for each in shown for e in self.page.equations("forward", each)),
                *self.page.equations("loss", result),
            ],
        )  # fmt: skip

    def gradient(self, grad: Any) -> TraceStep:
        """Step 1 of the loop."""
        arrays = list(grad) if isinstance(grad, tuple) else [grad]
        keys = [key for key in self.loss.equations if key not in ("forward", "loss")]
        signs = [""] if len(arrays) == 1 else [subscript(i + 1) for i in range(len(arrays))]
        results = [Value(f"G{sign}", a) for sign, a in zip(signs, arrays, strict=True)]
        keys = keys[: len(results)] or ["prediction"] * len(results)
        return TraceStep(
            1, "compute the loss gradient", (), self.loss, keys[0], [], results, {},
            lambda: [
                equation
                for key, result in zip(keys, results, strict=True)
                for equation in self.page.equations(key, result)
            ],
        )  # fmt: skip

    @property
    def elements(self) -> np.ndarray | None:
        """ℓ, as `function` returned it; None for a loss that works in another way."""
        returned = self._calls[-1][2] if self._calls else None
        return np.asarray(returned[0]) if isinstance(returned, tuple) and returned else None

    @cached_property
    def page(self) -> Page:
        """What the loss's letters stand for."""
        loss, elements = self.loss, self.elements
        if elements is None:
            return Page(loss, loss.equations, Reading())
        prediction, target, returned = self._calls[-1]
        several = prediction if isinstance(prediction, tuple) else (prediction,)
        first, weight = several[0], self._weights[-1] if self._weights else None
        reading = loss.reading(*returned[1:])
        axis = first.shape[-1] if first.ndim else 1
        places = tuple(range(1, first.ndim - 1))
        reading = reading._replace(sizes={"j": axis}, axes={"j": -1, "p": places})
        page = Page(loss, loss.equations, reading)
        lines = [line for key, line in loss.equations.items() if key not in ("forward", "loss")]
        for array, line in zip(several, lines, strict=False):
            page.put(line.partition(" = ")[0].removeprefix("dL/d").strip("()"), array)
        page.put("ℓ", elements)
        page.numbers |= {"D": loss.denominator, "C": axis}
        for option, letter in LOSS_LETTERS.items():
            value = getattr(loss, option, None)
            if isinstance(value, int | float):
                page.numbers[letter] = float(value)
            elif value is not None and letter not in page.numbers:
                page.put(letter, np.asarray(value, float))
        if weight is not None:
            page.put("w", weight)
        if isinstance(target, np.ndarray):
            page.arrays["t"] = _beside(target, first), target
        return page


def _beside(array: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """One value for each row, so that it stands beside a row of the prediction."""
    return array[..., None] if array.ndim == prediction.ndim - 1 else array


# -- the update ------------------------------------------------------------------------------------


class Update:
    """Step 6, taken on a copy of the model by a copy of the optimizer.

    Raises:
        ValueError: when the optimizer has none of the model's parameters.
    """

    def __init__(
        self, optimizer: Optimizer, model: Layer, copied: Layer,
        captured: Callable[[Parameter], tuple[np.ndarray, np.ndarray]],
    ) -> None:  # fmt: skip
        self.captured = captured
        twins = {
            id(own): twin for own, twin in zip(model.parameters(), copied.parameters(), strict=True)
        }
        if not any(id(p) in twins for p in optimizer.parameters):
            raise ValueError(
                "trace: the optimizer has none of the model's parameters; give the one that was "
                "made with model.parameters()"
            )
        self.optimizer = copy.deepcopy(optimizer, dict(twins))
        self.paths = {id(p): path for path, p in copied.named_parameters().items()}

    def run(self) -> Iterator[TraceStep]:
        """One step for each parameter that the optimizer has of the model."""
        optimizer = self.optimizer
        pairs = [(p, group) for group in optimizer.groups for p in group["params"]]
        pairs = [(p, group) for p, group in pairs if id(p) in self.paths and p.trainable]
        before = {id(p): self.captured(p) for p, _ in pairs}
        options = optimizer.options_now()
        states = self._states()
        optimizer.step()
        after = self._states()
        for p, group in pairs:
            one = {**group, "params": [p]}
            yield self._one(p, one, options[id(group)], *before[id(p)], states[id(p)], after[id(p)])

    def _states(self) -> dict[int, dict[str, Any]]:
        every = self.optimizer.state_dict()["parameters"]
        return {id(p): s for p, s in zip(self.optimizer.parameters, every, strict=True)}

    def _one(
        self, p: Parameter, group: Mapping[str, Any], options: Mapping[str, Any],
        w: np.ndarray, g: np.ndarray, old: Mapping[str, Any], new: Mapping[str, Any],
    ) -> TraceStep:  # fmt: skip
        optimizer, lines = self.optimizer, self.optimizer.printed(group)
        result = Value("w", p.data.copy(), True)
        subtracted = Value("Δw", w - result.array, True)
        inputs = [Value("w", w, True), Value("dL/dw", g, True), subtracted]
        rule = Printed(optimizer, lines)
        files = {letter: name for letter, name in optimizer.state_names().items() if name in old}
        before = {letter: old[name] for letter, name in files.items()}
        after = {letter: new[name] for letter, name in files.items()} | {"w": result.array}
        numbers = letters_of(options, float(np.finfo(w.dtype).eps))
        numbers |= {"k": optimizer.steps, "size": w.size}
        numbers |= optimizer.rule_numbers(options, optimizer.steps)
        if w.ndim == 2:
            numbers |= {"n": w.shape[0], "m": w.shape[1]}
        if optimizer.clip_norm is not None and optimizer.grad_norm is not None:
            numbers["c"] = min(1.0, optimizer.clip_norm / (optimizer.grad_norm + 1e-6))
        if optimizer.clip_value is not None:
            numbers["clip_value"] = optimizer.clip_value

        def equations() -> list[Equation]:
            known = {"w": w, "dL/dw": g, **before}
            own = list(_in_order(lines, known, after, numbers, subtracted.array))
            page = Page(self, {}, Reading(values={"w": w, "Δw": subtracted.array}))
            shown = Equation(page, "w ← w − Δw", result, striking=subtracted.array)
            return [*own, shown]

        return TraceStep(
            6, "update the weights", (self.paths[id(p)],), rule, "w", inputs,
            [result], {}, equations,
        )  # fmt: skip


def _in_order(
    lines: Mapping[str, str], known: Mapping[str, Any], after: Mapping[str, Any],
    numbers: Mapping[str, float], striking: np.ndarray,
) -> Iterator[Equation]:  # fmt: skip
    """The lines one after another: each reads the newest of what the ones before have made."""
    arrays = dict(known)
    versions: dict[str, str] = {}
    definitions: dict[str, str] = {}

    def newest(text: str) -> str:
        """The text with each name as its newest version."""
        for name, version in versions.items():
            text = re.sub(rf"(?<![\w/]){re.escape(name)}(?![A-Za-z_\u0302′₀-₉])", version, text)
        return text

    last = {line.split(" ")[0]: key for key, line in lines.items()}
    for key, line in lines.items():
        sentence = Sentence(line)
        name = sentence.left
        own = {left: newest(meaning) for left, meaning in sentence.definitions.items()}
        right = newest(sentence.right)
        if name in after and last[name] == key:
            values = {each: array for each, array in arrays.items() if array is not None}
            reading = Reading(values={**numbers, **values}, axes={"i": 0, "j": 1})
            page = Page(None, {}, reading)
            page.definitions.update({**definitions, **own})
            result = Value(name, np.asarray(after[name]), True)
            reads_g = "g" in lines and re.search(r"(?<![A-Za-z])g(?![A-Za-z_])", sentence.right)
            printed = f"{line},  {lines['g']}" if reads_g else line
            here = striking if name == "w" else None
            yield Equation(page, printed, result, line=f"{name} ← {right}", striking=here)
        definitions |= own
        letter, _, word = name.partition("_")
        version = f"{letter}_{{{word},{len(versions) + 1}}}"
        if " times" in line:
            versions[name] = "what words say"
        elif name in after and last[name] == key:
            arrays[version] = after[name]
            versions[name] = version
        else:
            definitions[version] = right
            versions[name] = version


LETTERS = {
    "lr": "lr", "weight_decay": "λ", "momentum": "μ", "dampening": "τ", "eps": "ε", "alpha": "α",
    "rho": "ρ", "lr_decay": "lr_decay", "momentum_decay": "ψ", "lambd": "λ₀", "t0": "t₀",
    "beta2_decay": "beta2_decay", "d": "d",
}  # fmt: skip
PAIRS = {
    "betas": ("β₁", "β₂"), "etas": ("η₋", "η₊"), "step_sizes": ("s_min", "s_max"),
    "ns_coefficients": ("c₁", "c₃", "c₅"), "eps": ("ε₁", "ε₂"),
}  # fmt: skip


def letters_of(options: Mapping[str, Any], precision: float) -> dict[str, float]:
    """An optimizer's options under the letters of its equations, and under their own names.

    One that is None stands for the floats' precision, as in Adafactor.
    """
    found: dict[str, float] = {}
    for name, value in options.items():
        if isinstance(value, tuple):
            pairs = zip(PAIRS.get(name, ()), value, strict=False)
            found |= {letter: precision if v is None else v for letter, v in pairs}
        elif isinstance(value, int | float):
            found[name] = found[LETTERS.get(name, name)] = value
    return found
