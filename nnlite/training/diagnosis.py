"""Where a model's numbers stopped being finite."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnlite.core.padded import plain
from nnlite.core.ranks import Share
from nnlite.layers.base import Layer
from nnlite.layers.structure import watch

FINITE = "all layer outputs are finite"


class NonFiniteLossError(RuntimeError, FloatingPointError):
    """A loss that is NaN or infinite: the message says when, and where the numbers went wrong."""


class _Found(Exception):
    """Stops the forward pass at the layer that was looked for."""


def first_non_finite(
    model: Layer,
    x: np.ndarray,
    generator_states: Sequence[Mapping[str, Any]] = (),
    terms: Mapping[str, float] | None = None,
    share: Share | None = None,
) -> str:
    """Name the first parameter, layer output or term of the loss that is not finite.

    It runs `x` on a copy. With the states that the model's generators had before the forward that
    failed, the copy draws the same numbers again. Where x is a share of a batch, all ranks look,
    each for itself, and all are told of the first that found something.
    """
    own = _first(model, x, generator_states, terms or {}, share)
    if share is None:
        return own
    found = enumerate(share.ranks.gather(own) or ())
    named = (f"on rank {rank}, {text}" for rank, text in found if not text.startswith(FINITE))
    return share.ranks.from_first(lambda: next(named, own))


def _first(
    model: Layer,
    x: np.ndarray,
    generator_states: Sequence[Mapping[str, Any]],
    terms: Mapping[str, float],
    share: Share | None,
) -> str:
    """The same of these rows alone."""
    for path, parameter in model.named_parameters().items():
        if not np.isfinite(parameter.data).all():
            return f"parameter {path} holds values that are not finite"
    probe = copy.deepcopy(model)
    generators = (generator for _, generator in probe.named_parts(np.random.Generator))
    for generator, state in zip(generators, generator_states, strict=False):
        generator.bit_generator.state = state
    for path, layer in probe.named_layers().items():
        watch(layer, functools.partial(_stop_unless_finite, layer, path))
    try:
        with np.errstate(all="ignore"):
            probe(x) if share is None else share.by_itself().run(probe, x)
    except _Found as found:
        return str(found)
    for name, value in terms.items():
        if not math.isfinite(value):
            return f"{FINITE}, but the loss's term {name} is {value}"
    return f"{FINITE}, so the loss itself is not: look at the targets"


def _stop_unless_finite(layer: Layer, path: str, x: Any, y: Any) -> None:
    if not _finite(y):
        where = f"layer {path}, {layer!r}" if path else layer.label()
        raise _Found(f"the first output that is not finite is that of {where}")


def _finite(y: Any) -> bool:
    """Whether all of an output is finite, states beside it too."""
    if isinstance(y, tuple):
        return all(_finite(part) for part in y)
    return bool(np.isfinite(plain(y)).all())
