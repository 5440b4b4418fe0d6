"""How the loss, and its gradient, came about in one call."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from nnlite.core.formulas import subscript
from nnlite.core.reading import Reading
from nnlite.inspection.equations import Page, Value
from nnlite.inspection.record import TraceStep
from nnlite.losses.base import Loss

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
