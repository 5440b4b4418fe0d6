"""Models built anew, such as one for each fold of a cross-validation."""

from __future__ import annotations

from typing import TypeVar

from nnlite.construction import Constructed, rebuild
from nnlite.files.architecture import tie, ties
from nnlite.files.model import parts
from nnlite.layers.base import Layer

Thing = TypeVar("Thing", bound=Constructed)


def clone(model: Thing) -> Thing:
    """A model like this one that has learned nothing: the same constructor calls, fresh draws.

    Dtypes and shared parameters are as in `model`; weights, buffers, frozen parameters and modes
    are as after construction. `copy.deepcopy` makes the other kind of copy, with everything.

    Args:
        model: a layer, or anything else that is described by its constructor arguments: a loss,
            an initializer, a schedule.

    Raises:
        TypeError: when a part does not keep its constructor arguments under their own names.
    """
    made = rebuild(model)
    if isinstance(model, Layer) and isinstance(made, Layer):
        tie(made, ties(model))
        dtypes = {path: part.dtype for path, part in parts(model).items()}
        for path, part in parts(made).items():
            part.cast(dtypes[path])
    return made
