"""Models built anew, such as one for each fold of a cross-validation."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TypeVar

from nnlite.construction import Constructed, rebuild
from nnlite.files.architecture import tie, ties
from nnlite.files.model import parts
from nnlite.layers.base import Layer
from nnlite.optimizers.base import Optimizer
from nnlite.random import Rng, scope

Thing = TypeVar("Thing", bound=Constructed)


def clone(model: Thing, rng: Rng = None) -> Thing:
    """A model like this one that has learned nothing: the same constructor calls, fresh draws.

    Dtypes and shared parameters are as in `model`; weights, buffers, frozen parameters and modes
    are as after construction. `copy.deepcopy` makes the other kind of copy, with everything.

    Args:
        model: a layer, or anything else that is described by its constructor arguments: a loss,
            an initializer, a schedule.
        rng: a generator or seed for the fresh draws (default: see `nn.seed`).

    Raises:
        TypeError: when a part does not keep its constructor arguments under their own names, and
            for an optimizer or a trainer, which belong to the parameters of one model.
    """
    for part in (model, *getattr(model, "__dict__", {}).values()):
        if isinstance(part, Optimizer):
            name = type(part).__name__
            raise TypeError(
                f"clone: {type(model).__name__} updates the parameters of one model, and a clone "
                f"would update copies that no model has; clone the model, and build a new {name} "
                "from the clone's parameters()"
            )
    with nullcontext() if rng is None else scope(rng):
        made = rebuild(model)
    if isinstance(model, Layer) and isinstance(made, Layer):
        tie(made, ties(model))
        dtypes = {path: part.dtype for path, part in parts(model).items()}
        for path, part in parts(made).items():
            part.cast(dtypes[path])
    return made
