"""The constructor convention: every argument is kept, untouched, under its own name.

What an object was built from can then be read back from the object itself, and `repr`, copies
with fresh draws and model files all follow without a line in the class. Three kinds of argument
differ from plain values:

- `rng` is left out: the attribute, where there is one, holds the generator in use.
- `bias=True` asks for a parameter, and the attribute of that name *is* the parameter, or None;
  both read back as the flag.
- `*layers` is kept as the tuple `layers`.

The constructors of nnlite's own classes are checked before they run (see `arguments.py`).
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np

from nnlite.core.arguments import check_constructor, checked
from nnlite.core.forms import ANYTHING, Table, check_form
from nnlite.core.kinds import shown
from nnlite.core.random import Rng, scope

Thing = TypeVar("Thing")

LINE = 88  # a repr that would be longer is broken up, one argument a line


@functools.cache
def signature(cls: Any) -> tuple[inspect.Parameter, ...]:
    """The constructor's parameters, without `rng`."""
    return tuple(p for p in inspect.signature(cls).parameters.values() if p.name != "rng")


@functools.cache
def varargs_name(cls: Any) -> str | None:
    """The name behind the star of `*layers`, if the constructor has one."""
    names = (p.name for p in signature(cls) if p.kind is p.VAR_POSITIONAL)
    return next(names, None)


def argument(owner: object, parameter: inspect.Parameter) -> Any:
    """The value that `owner` was given for one constructor argument."""
    value = getattr(owner, parameter.name)
    if parameter.name == "bias":  # without affine there is none, whatever the flag was
        flag = value is not None or not getattr(owner, "affine", True)
        return flag and value is not False  # the flag itself, where several layers have a bias
    return value


@checked
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
        if isinstance(part, OfOneModel):
            name = type(part).__name__
            raise TypeError(
                f"clone: {type(model).__name__} updates the parameters of one model, and a clone "
                f"would update copies that no model has; clone the model, and build a new {name} "
                "from the clone's parameters()"
            )
    if not isinstance(model, Constructed):
        raise TypeError(
            "clone: model must be a layer, or something else that is described by its constructor "
            f"arguments, got {shown(model)}"
        )
    with nullcontext() if rng is None else scope(rng):
        made: Any = rebuild(model)
    made._take_after(model)
    return made


def snake_case(name: str) -> str:
    """A class's name as a column of the history: "TopKAccuracy" is "top_k_accuracy"."""
    words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(words, "_", name).lower()


class OfOneModel:
    """What updates the parameters of one model, and so is never cloned: optimizers."""


def rebuild(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """What the same constructor calls make: new objects with fresh draws, in lists and dicts too.

    Arguments that are not `Constructed` are copied; what was shared is shared again.

    Raises:
        TypeError: when an object has no attribute of a constructor argument's name.
    """
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, Constructed):
        memo[id(value)] = made = _call_again(value, memo)
        return made
    if type(value) in (list, tuple):
        return type(value)(rebuild(item, memo) for item in value)
    if type(value) is dict:
        return {key: rebuild(item, memo) for key, item in value.items()}
    return copy.deepcopy(value, memo)


def _call_again(thing: Constructed, memo: dict[int, Any]) -> Any:
    cls: Any = type(thing)
    named: dict[str, Any] = {}
    starred: list[Any] = []
    for parameter in signature(cls):
        try:
            value = argument(thing, parameter)
        except AttributeError:
            raise TypeError(
                f"{cls.__name__} has no attribute {parameter.name!r}: constructor arguments must "
                "be kept under their own names"
            ) from None
        value = rebuild(value, memo)
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= value
        else:
            named[parameter.name] = value
    return construct(cls, named, starred)


def construct(cls: Any, named: Mapping[str, Any], starred: Sequence[Any]) -> Any:
    """The constructor call with these arguments; by position only what cannot be given by name.

    Args:
        cls: the class.
        named: all arguments that have a name.
        starred: those for `*varargs`.

    Raises:
        ValueError: when one of those before `starred` is missing.
    """
    named, positional = dict(named), []
    for parameter in signature(cls):
        before_star = starred and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if parameter.kind is parameter.POSITIONAL_ONLY or before_star:
            if parameter.name not in named:
                raise ValueError(f"{cls.__name__}: {parameter.name} is missing")
            positional.append(named.pop(parameter.name))
    return cls(*positional, *starred, **named)


def remembered(owner: object) -> dict[str, Any]:
    """The attributes that are not constructor arguments: what came after."""
    cls: Any = type(owner)
    given = {parameter.name for parameter in signature(cls)}
    return {name: value for name, value in vars(owner).items() if name not in given}


def check_remembered(owner: object, state: Mapping[str, Any]) -> None:
    """Refuse a state, from a file that anybody may have written, that would change more than that.

    What an object was built from stays the script's: a path in a file, taken over, would let the
    file's author choose where the script writes.

    Raises:
        ValueError, TypeError: names the entry that is a constructor argument, or part of the
            class, or of another form than the class's `remembers` says or, where it says nothing,
            of another kind than what is remembered now.
    """
    cls: Any = type(owner)
    given = {parameter.name for parameter in signature(cls)}
    check_form(f"{owner!r}: the state", dict(state), Table(ANYTHING))
    for name, value in state.items():
        if name in cls.remembers:
            check_form(f"{owner!r}: the state's {name!r}", value, cls.remembers[name])
            continue
        if name in given or hasattr(cls, name):
            raise ValueError(f"{owner!r}: a state must not hold {name!r}, which is not remembered")
        own = vars(owner).get(name)
        if own is not None and value is not None and _kind(own) != _kind(value):
            raise ValueError(
                f"{owner!r}: the state's {name!r} is a {_kind(value)} instead of a {_kind(own)}"
            )
        if own is None and cls.__module__.startswith("nnlite."):
            raise ValueError(f"{owner!r}: a state must not hold {name!r}, which is not remembered")


def _kind(value: object) -> str:
    """What a value is, as far as files keep it."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


class Constructed:
    """An object that prints as the call that makes it: `Linear(64, 10)`, `Adam(lr=0.01)`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_constructor(cls)

    def __repr__(self) -> str:
        cls: Any = type(self)
        texts = [text for p in signature(cls) for text in self._argument_texts(p)]
        name = cls.__name__
        line = f"{name}({', '.join(texts)})"
        if len(line) <= LINE and "\n" not in line:
            return line
        indented = ",\n".join(texts).replace("\n", "\n  ")
        return f"{name}(\n  {indented},\n)"

    def _take_after(self, original: Any) -> None:
        """What a clone takes over besides constructor arguments."""

    def _argument_texts(self, parameter: inspect.Parameter) -> list[str]:
        """How one argument stands in the call; nothing when it has its default value."""
        try:
            value = argument(self, parameter)
            if parameter.kind is parameter.VAR_POSITIONAL:
                return [shown(item) for item in value]
            if parameter.kind is parameter.VAR_KEYWORD:
                return [f"{key}={shown(item)}" for key, item in value.items()]
        except Exception:  # a class that does not follow the convention still has a repr
            return [f"{parameter.name}=?"]
        if parameter.default is parameter.empty:
            return [shown(value)]
        # Compared as text: an array, or a value whose == raises, must not break a repr.
        text = shown(value)
        return [] if text == shown(parameter.default) else [f"{parameter.name}={text}"]
