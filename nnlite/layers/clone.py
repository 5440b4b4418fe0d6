"""Models built anew, such as one for each fold of a cross-validation."""

from __future__ import annotations

from typing import TypeVar

from nnlite.construction import Constructed, rebuild
from nnlite.layers.base import Layer
from nnlite.parameter import Buffer, Parameter

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
        _tie(model, made)
        dtypes = {path: part.dtype for path, part in _state(model).items()}
        for path, part in _state(made).items():
            part.cast(dtypes[path])
    return made


def _state(model: Layer) -> dict[str, Parameter | Buffer]:
    return {**model.named_parameters(), **dict(model.named_parts(Buffer))}


def _tie(model: Layer, made: Layer) -> None:
    """Share the parameters that the model shares, by whatever means it came to do so."""
    layers = made.named_layers()
    first: dict[int, Parameter] = {}
    for path, layer in model.named_layers().items():
        for name, value in vars(layer).items():
            if isinstance(value, Parameter) and not name.startswith("_"):
                shared = first.setdefault(id(value), getattr(layers[path], name))
                if getattr(layers[path], name) is not shared:
                    setattr(layers[path], name, shared)
