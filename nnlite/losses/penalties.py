"""Penalties: terms of the loss that keep parameters small, or few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from nnlite.core.construction import Constructed, snake_case
from nnlite.core.parameter import Parameter
from nnlite.core.terms import loss_terms
from nnlite.layers.structure import Node, matching, named_parts


class Penalty(Constructed):
    """A term P = λ Σ p(w) over chosen parameters, that a `Trainer` adds to the loss.

        penalties = [nn.L1Penalty(1e-4, "0.*"), nn.L2Penalty(1e-3, "*.weight")]
        nn.Trainer(model, loss, optimizer, penalties=penalties)

    Step 3 of the loop is then dL/dw + dP/dw: after the model's backward, the penalty adds its own
    gradient to that of each parameter. In the history P has a column of its own, named after the
    class (`l1_penalty`), and is part of `loss`; in validation too. A subclass writes p, summed over
    an array, and its derivative:

        class CubicPenalty(nn.Penalty):
            def value(self, w):
                return np.abs(w**3).sum()

            def gradient(self, w):
                return 3 * w * np.abs(w)

    Args:
        strength: λ ≥ 0.
        paths: a pattern of the shell's, or several, for the paths that `named_parameters()` and
            `named_layers()` have, as for `Layer.freeze` (default "*": all parameters, biases too;
            "*weight" spares these). Frozen ones do not count.

    Attributes:
        equations: P under "penalty", and dP/dw under "gradient".
    """

    equations: ClassVar[dict[str, str]] = {}

    def __init__(self, strength: float, paths: str | Sequence[str] = "*") -> None:
        self.strength = strength
        self.paths = paths

    @property
    def name(self) -> str:
        """The column in the history: the class's name in snake_case."""
        return snake_case(type(self).__name__)

    # -- what a subclass writes ------------------------------------------------------------------

    def value(self, w: np.ndarray) -> float:
        """Σ p(w), over one parameter."""
        raise NotImplementedError(f"{type(self).__name__} must define value(w)")

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """dp/dw, in w's shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define gradient(w)")


class Penalized:
    """Penalties, each with the parameters of one model that it is for.

    Args:
        penalties, model: what penalizes what.
        where: what errors begin with.

    Attributes:
        pairs: each penalty with its parameters by path.

    Raises:
        ValueError: when a pattern matches no parameter; it lists the paths that are near.
    """

    def __init__(self, penalties: Sequence[Penalty], model: Node, where: str) -> None:
        paths = {id(p): path for path, p in named_parts(model, Parameter)} if penalties else {}
        self.pairs = [
            (penalty, {paths[id(p)]: p for p in matching(model, penalty.paths, where)})
            for penalty in penalties
        ]

    def __iter__(self) -> Iterator[tuple[Penalty, str, Parameter]]:
        """(penalty, path, parameter) of all that count: what is trained."""
        for penalty, parameters in self.pairs:
            for path, p in parameters.items():
                if p.trainable and p.dtype.kind == "f":
                    yield penalty, path, p

    def add_terms(self, terms: loss_terms) -> None:
        """Add each P to what the loss has besides."""
        if not self.pairs:
            return
        for penalty, _ in self.pairs:
            terms.add(penalty.name, 0.0)  # a column also while all is frozen
        for penalty, _, p in self:
            terms.add(penalty.name, penalty.strength * float(penalty.value(p.data)))

    def add_gradients(self, factor: float = 1.0) -> None:
        """Add each dP/dw, times a factor (default 1), to its parameter's gradient."""
        if not self.pairs:
            return
        for penalty, _, p in self:
            p.add_grad(factor * penalty.strength * penalty.gradient(p.data))


class L1Penalty(Penalty):
    """Pulls every weight towards 0 by the same force, so that many end near 0 (the lasso).

    Value        P = λ Σ |w|
    Gradient     dP/dw = λ sign w; sign 0 = 0, one of the slopes that |w| has there
    Args         strength: λ ≥ 0
                 paths: which parameters, as for `Layer.freeze` (default "*": all)
    Raises       ValueError: when λ is negative; by `Trainer`, when a pattern matches no parameter
    Source       Tibshirani 1996, "Regression Shrinkage and Selection via the Lasso"
    """

    equations: ClassVar = {"penalty": "P = λ Σ |w|", "gradient": "dP/dw = λ sign w"}

    def value(self, w: np.ndarray) -> float:
        return float(np.abs(w).sum())

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return np.sign(w)


class L2Penalty(Penalty):
    """Pulls weights towards 0 by a force that grows with them (ridge).

    Value        P = λ Σ w²
    Gradient     dP/dw = 2 λ w
    Args         strength: λ ≥ 0
                 paths: which parameters, as for `Layer.freeze` (default "*": all)
    Raises       ValueError: when λ is negative; by `Trainer`, when a pattern matches no parameter
    Source       Hoerl & Kennard 1970, "Ridge Regression"; λ Σ w² as in Keras

    With plain SGD it is `weight_decay` = 2λ, but visible in the loss, and for chosen parameters.
    `clip_norm` clips its gradient with the others. Adam divides it by the size of past gradients;
    AdamW's decay does not.
    """

    equations: ClassVar = {"penalty": "P = λ Σ w²", "gradient": "dP/dw = 2 λ w"}

    def value(self, w: np.ndarray) -> float:
        return float(np.square(w).sum())

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return 2 * w
