"""One loss for each output of a model that has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnlite.losses.base import Loss, Reduction, check_one_number, times


class Losses(Loss):
    """A weighted sum of losses, one for each output of a model.

    Forward      L = Σᵢ cᵢ Lᵢ(predictionᵢ, targetᵢ)
    Backward     dL/dpredictionᵢ = cᵢ dLᵢ/dpredictionᵢ: no loss sees another one's output
    Shapes       prediction and target are tuples with one element for each loss; sample weights
                 (N,) are those of all of them
    Args         losses: one for each output, with reduction="mean" or "sum"
                 weights: c, one number for each (default None: all 1)
                 names: what the outputs are called (default None: "output_0", "output_1", …)
    Raises       TypeError: when prediction or target is not a tuple
                 ValueError: when it has another number of elements, and for names that are not
                 words, or twice the same
    Source       standard result

        loss = nn.Losses(nn.CrossEntropyLoss(), nn.MSELoss(), weights=(1, 0.5),
                         names=("digit", "angle"))
        trainer = nn.Trainer(model, loss, nn.Adam(model.parameters()),
                             metrics=[nn.OutputMetric("digit", nn.Accuracy())])
        trainer.fit(x, (digits, angles), validation_split=0.1)

    The history then has `loss`, `digit_loss`, `angle_loss`, `digit_accuracy`, and each with `val_`.
    Over an epoch every Lᵢ is averaged by what it counts itself, and `loss` is the sum of these.
    """

    takes_several = True

    def __init__(
        self,
        *losses: Loss,
        weights: Sequence[float] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        if not losses:
            raise ValueError("Losses needs at least one loss, one for each output")
        for number, loss in enumerate(losses):
            check_one_number(f"Losses: losses[{number}]", loss)
        for name, given in (("weights", weights), ("names", names)):
            if given is not None and len(given) != len(losses):
                raise ValueError(
                    f"Losses: {name} must have one entry for each of {len(losses)} losses, got "
                    f"{given!r}"
                )
        if names is not None:
            words = all(isinstance(name, str) and name.isidentifier() for name in names)
            if not words or len(set(names)) < len(names):
                raise ValueError(
                    f"Losses: names must be words, each of its own, got {list(names)}; they become "
                    "columns of the history, such as digit_loss"
                )
        self.losses = losses
        self.weights = weights
        self.names = names
        self.values: tuple[float, ...] = ()  # each loss's, of the last call

    @property
    def parts(self) -> Mapping[str, Loss]:
        """The losses by the names of their outputs."""
        names = self.names or [f"output_{number}" for number in range(len(self.losses))]
        return dict(zip(names, self.losses, strict=True))

    @property
    def part_weights(self) -> Sequence[float]:
        """The weight c of each loss."""
        return (1.0,) * len(self.losses) if self.weights is None else self.weights

    @property
    def reduction(self) -> Reduction:  # type: ignore[override]
        """Where all losses are means, "mean": then it does not grow with the sample weights."""
        return "mean" if all(loss.reduction == "mean" for loss in self.losses) else "sum"

    @property
    def equations(self) -> Mapping[str, str]:
        """The sum, and each loss's own lines."""
        weights = zip(self.part_weights, self.parts, strict=True)
        total = " + ".join(f"L_{name}" if c == 1 else f"{c:g} L_{name}" for c, name in weights)
        lines = {"loss": f"L = {total}"}
        for name, loss in self.parts.items():
            lines |= {f"{name}: {key}": line for key, line in loss.equations.items()}
        return lines

    def check(self, prediction: Any, target: Any) -> Any:
        """One element of both for each loss, which checks its own."""
        for what, values in (("prediction", prediction), ("target", target)):
            if not isinstance(values, tuple):
                raise TypeError(
                    f"Losses: expected the {what} as a tuple of {len(self.losses)}, one for each "
                    f"loss, got {type(values).__name__}"
                )
            if len(values) != len(self.losses):
                raise ValueError(
                    f"Losses: {len(self.losses)} losses need as many {what}s, got {len(values)}"
                )
        return target

    def __call__(
        self, prediction: Any, target: Any, sample_weight: np.ndarray | None = None
    ) -> float:
        """L, a Python float; each loss's own is in `values`."""
        self.check(prediction, target)
        values = []
        for (name, loss), p, t in zip(self.parts.items(), prediction, target, strict=True):
            try:
                values.append(loss(p, t, sample_weight))
            except (TypeError, ValueError) as error:
                error.add_note(f"in the loss of output {name}")
                raise
        self.values = tuple(values)
        self.save_for_backward()
        return float(sum(c * value for c, value in zip(self.part_weights, values, strict=True)))

    def backward(self, grad_output: np.ndarray | None = None) -> tuple[Any, ...]:
        """dL/dprediction, a tuple like it."""
        self.saved()
        if grad_output is not None:
            raise ValueError("Losses: backward takes no gradient: the loss is one number")
        gradients = [loss.backward() for loss in self.losses]
        return tuple(times(g, float(c)) for g, c in zip(gradients, self.part_weights, strict=True))

    def clear_saved(self) -> None:
        """Empty its own slot and those of the losses."""
        super().clear_saved()
        for loss in self.losses:
            loss.clear_saved()
