"""Step 6, taken on a copy: old weights, what is subtracted, new weights."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.reading import Reading
from nnlite.inspection.equations import Equation, Page, Value
from nnlite.inspection.formula import Sentence
from nnlite.inspection.record import Printed, TraceStep
from nnlite.layers.base import Layer
from nnlite.optimizers.base import Optimizer


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
            page = Page(None, {}, Reading(values={"w": w, "Δw": subtracted.array}))
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
