"""What arguments may be: one table of ranges, and one checker that reads the annotations.

Every constructor of nnlite is checked (see `construction.py`), and every public function that is
marked `@checked`, before its first line runs:

    Linear: out_features must be a whole number ≥ 1, got '7'

The annotation says what kind of value it is, the table below in which range. NumPy's numbers
become Python's on the way: a NumPy scalar would turn float32 into float64 later on. What relates
one argument to another stays in the constructor's body. Classes outside nnlite are left alone.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import os
import types
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import numpy as np

from nnlite.core.checks import instance_hint

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

LARGEST = 1e18  # of a number: beyond it a square leaves float32
EXACT = 2**53  # integers up to here are floats, too
LONGEST = 2**31 - 1  # of a size: a single axis of so many float64 fills 16 GB
REFUSED = object()  # what a kind makes of a value that is none of it
SHOWN = 200  # characters of a value in an error message


def shown(value: object) -> str:
    """The value as it stands in a repr or in an error message; never raises."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if inspect.isroutine(value) or isinstance(value, type):
        return value.__name__
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


# -- ranges ----------------------------------------------------------------------------------------


class Range(NamedTuple):
    """From `low` to `high`, with or without the ends."""

    low: float = -LARGEST
    high: float = LARGEST
    with_low: bool = True
    with_high: bool = True

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number inside."""
        low = self.low if self.with_low else math.nextafter(self.low, math.inf)
        high = self.high if self.with_high else math.nextafter(self.high, -math.inf)
        return low, high

    def text(self, value: object) -> str:
        """What to write behind "a number"; a high end that is out of sight only if it matters."""
        number = number_of(value)
        if self.high <= 1:
            left, right = "(["[self.with_low], ")]"[self.with_high]
            return f" in {left}{self.low:g}, {self.high:g}{right}"
        words = []
        if self.low > -LONGEST or (number is not None and number < self.low):
            words.append(f"{'≥' if self.with_low else '>'} {self.low:g}")
        if number is not None and number > self.high:
            words.append(f"≤ {self.high:g}" if self.high > LONGEST else f"≤ {int(self.high)}")
        return f" {' and '.join(words)}" if words else ""


ANY = Range()
NOT_NEGATIVE = Range(0)
POSITIVE = Range(0, with_low=False)
RATE = Range(0, 1e30, with_low=False)  # to let a run diverge on purpose
SHARE = Range(0, 1)  # [0, 1]
PART = Range(0, 1, with_high=False)  # [0, 1)
BETWEEN = Range(0, 1, with_low=False, with_high=False)  # (0, 1)


def at_least(low: int, high: int = LONGEST) -> Range:
    """The range of a size or a count."""
    return Range(low, high)


# -- kinds -----------------------------------------------------------------------------------------


def number_of(value: Any) -> int | float | None:
    """The Python number that it is, a NumPy scalar or an array of no axes too; None for no number.

    True and False are no numbers here.
    """
    if type(value) is int or type(value) is float:
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, float | np.floating) else None


class Kind:
    """A kind of value.

    Attributes:
        error: what is raised for values of another kind.
    """

    error: type[Exception] = ValueError

    def take(self, value: Any) -> Any:
        """The value to keep, or REFUSED."""
        raise NotImplementedError

    def wanted(self, value: Any) -> str:
        """What was expected, given what came."""
        raise NotImplementedError

    def hint(self, value: Any) -> str:
        """What to do about it; nothing unless overridden."""
        return ""

    def refusal(self, name: str, value: Any) -> Exception:
        """The error that says what was expected, what came, and where."""
        got = shown(value)
        got = got if len(got) <= SHOWN else f"{got[:SHOWN]}…"
        return self.error(f"{name} must be {self.wanted(value)}, got {got}{self.hint(value)}")


class Nothing(Kind):
    """None."""

    def take(self, value: Any) -> Any:  # noqa: D102
        return value if value is None else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "None"


class Flag(Kind):
    """True or False, and nothing that merely counts as such."""

    def take(self, value: Any) -> Any:  # noqa: D102
        if value is True or value is False:
            return value
        return bool(value) if isinstance(value, np.bool_) else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "True or False"


class Number(Kind):
    """A finite number in a range."""

    noun = "a number"

    def __init__(self, span: Range) -> None:
        self.span = span
        self.low, self.high = span.ends()

    def take(self, value: Any) -> Any:  # noqa: D102
        number = number_of(value)
        if number is None or not self.low <= number <= self.high:  # as NaN is not
            return REFUSED
        return float(number) if abs(number) > EXACT else number  # NumPy knows no huge integers

    def wanted(self, value: Any) -> str:  # noqa: D102
        return self.noun + self.span.text(value)


class Whole(Number):
    """A whole number in a range."""

    noun = "a whole number"

    def take(self, value: Any) -> Any:  # noqa: D102
        number = number_of(value)
        return number if type(number) is int and self.low <= number <= self.high else REFUSED


class Numbers(Kind):
    """An array of numbers in a range, or what can become one; kept as it is.

    Args:
        span: the range of each.
        axes: how many axes the array has (default None: any number).
    """

    def __init__(self, span: Range, axes: int | None = None) -> None:
        self.span = span
        self.axes = axes

    def take(self, value: Any) -> Any:  # noqa: D102
        try:
            array = np.asarray(value)
        except Exception:  # rows of different lengths, or an object that cannot be an array
            return REFUSED
        if array.dtype.kind not in "fiu" or array.size == 0 or self.axes not in (None, array.ndim):
            return REFUSED
        low, high = self.span.ends()
        if not (array.min() >= low and array.max() <= high):  # as NaN is not
            return REFUSED
        return number_of(value) if array.ndim == 0 else value

    def wanted(self, value: Any) -> str:  # noqa: D102
        of = "an array of numbers" if self.axes is None else "a list of numbers"
        return f"{of}, each{self.span.text(None)}"


class Choice(Kind):
    """One of a few strings."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def take(self, value: Any) -> Any:  # noqa: D102
        return str(value) if isinstance(value, str) and value in self.names else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        *names, last = (f'"{name}"' for name in self.names)
        return f"{', '.join(names)} or {last}" if names else last


class Text(Kind):
    """A string that is not empty."""

    def take(self, value: Any) -> Any:  # noqa: D102
        return value if isinstance(value, str) and value else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "a string" if not isinstance(value, str) else "a string that is not empty"


class Place(Kind):
    """The path of a file."""

    error = TypeError

    def take(self, value: Any) -> Any:  # noqa: D102
        text = isinstance(value, str) and value != ""
        path = isinstance(value, os.PathLike) and not isinstance(value, type)
        return value if text or path else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "a path, a string or an os.PathLike"


class Instance(Kind):
    """An object of a class, or one with the attributes of a protocol."""

    error = TypeError

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.attributes = cls.__annotations__ if getattr(cls, "_is_protocol", False) else None

    def take(self, value: Any) -> Any:  # noqa: D102
        if self.attributes is None:
            return value if isinstance(value, self.cls) else REFUSED
        return value if all(hasattr(value, name) for name in self.attributes) else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        name = self.cls.__name__
        if name in NOUNS:
            return NOUNS[name]
        return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"

    def hint(self, value: Any) -> str:  # noqa: D102
        return instance_hint(value, self.cls if self.attributes is None else None)


class Generator(Kind):
    """What `as_generator` takes: one of NumPy's sources of randomness, a seed or None."""

    error = TypeError
    seed = Whole(Range(0, float("inf")))

    def __init__(self, classes: tuple[type, ...]) -> None:
        self.classes = classes

    def take(self, value: Any) -> Any:  # noqa: D102
        if value is None or isinstance(value, self.classes):
            return value
        return self.seed.take(value)

    def wanted(self, value: Any) -> str:  # noqa: D102
        names = ", ".join(cls.__name__ for cls in self.classes)
        return f"a numpy {names}, an integer seed ≥ 0 or None"

    def refusal(self, name: str, value: Any) -> Exception:
        """A whole number is the right kind, with a wrong value."""
        error = super().refusal(name, value)
        return ValueError(str(error)) if type(number_of(value)) is int else error


class Called(Kind):
    """A function of so many arguments, or an object that is called like one.

    Args:
        count: how many (None: any number).
        noun: what it is called in errors.
    """

    error = TypeError

    def __init__(self, count: int | None, noun: str = "callable") -> None:
        self.count = count
        self.noun = noun

    def take(self, value: Any) -> Any:  # noqa: D102
        if not self._is_called(value):
            return REFUSED
        if self.count is None:
            return value
        try:
            inspect.signature(value).bind(*[None] * self.count)
        except ValueError:  # some functions written in C do not tell
            return value
        except TypeError:
            return REFUSED
        return value

    def wanted(self, value: Any) -> str:  # noqa: D102
        if self.count is None or not self._is_called(value):
            return self.noun
        return f"{self.noun}, with {self.count} argument{'s' * (self.count != 1)}"

    @staticmethod
    def _is_called(value: Any) -> bool:
        """A class makes objects, and a layer or a loss is called with arrays."""
        return callable(value) and not isinstance(value, type) and not hasattr(value, "backward")

    def hint(self, value: Any) -> str:  # noqa: D102
        return instance_hint(value)


class Several(Kind):
    """A list or tuple of one kind.

    Args:
        kind: that of each item.
        count: how many there are (default None: any number).
    """

    def __init__(self, kind: Kind, count: int | None = None) -> None:
        self.kind = kind
        self.count = count
        self.error = kind.error

    def take(self, value: Any) -> Any:  # noqa: D102
        if not isinstance(value, list | tuple) or self.count not in (None, len(value)):
            return REFUSED
        items = [self.kind.take(item) for item in value]
        if any(item is REFUSED for item in items):
            return REFUSED
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else list(items) if isinstance(value, list) else tuple(items)

    def wanted(self, value: Any) -> str:  # noqa: D102
        if self.count is not None:
            return f"{('no', 'one', 'two')[self.count]} numbers, each{self._span().text(None)}"
        return "a list"

    def hint(self, value: Any) -> str:  # noqa: D102
        if self.count is not None:
            return ""
        if self.kind.take(value) is not REFUSED:
            return "; put it in [ ]"
        hint = self.kind.hint(value)
        return hint.replace("; write ", "; write [") + "]" if hint.startswith("; write ") else hint

    def _span(self) -> Range:
        return self.kind.span if isinstance(self.kind, Number) else ANY

    def refusal(self, name: str, value: Any) -> Exception:
        """Names the item, when there is one to blame."""
        if self.count is None and isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if self.kind.take(item) is REFUSED:
                    return self.kind.refusal(f"{name}[{index}]", item)
        return super().refusal(name, value)


class Sizes(Whole):
    """A whole number, or a tuple with one for each axis.

    Args:
        span: the range of each.
        nested: whether there may be a tuple for an axis, too, with one for each side.
    """

    def __init__(self, span: Range, nested: bool) -> None:
        super().__init__(span)
        one: Kind = Whole(span)
        self.several = Several(Either([one, Several(one)]) if nested else one)

    def take(self, value: Any) -> Any:  # noqa: D102
        if not isinstance(value, list | tuple):
            return super().take(value)
        return self.several.take(value) if value else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return f"{super().wanted(value)} or a tuple of them"


class DType(Kind):
    """What NumPy takes for the dtype of numbers."""

    error = TypeError

    def take(self, value: Any) -> Any:  # noqa: D102
        try:
            named = value is None or np.dtype(value).kind in "fiub"
        except Exception:
            return REFUSED
        return value if named else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "a dtype of numbers such as np.float32"


class Either(Kind):
    """One of several kinds; the first that takes the value."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = kinds
        by_value = any(kind.error is ValueError for kind in kinds if not isinstance(kind, Nothing))
        self.error = ValueError if by_value else TypeError

    def take(self, value: Any) -> Any:  # noqa: D102
        for kind in self.kinds:
            if (taken := kind.take(value)) is not REFUSED:
                return taken
        return REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return " or ".join(kind.wanted(value) for kind in self.kinds)

    def hint(self, value: Any) -> str:  # noqa: D102
        hints = (kind.hint(value) for kind in self.kinds)
        return next(filter(None, hints), "") if self.error is TypeError else ""


# classes that users know by other names
NOUNS = {"Recurrent": "an RNN, LSTM or GRU", "Training": "a Trainer"}

INITIALIZER = Called(2, "an initializer such as nn.initializers.He()")
BETAS = Several(Number(PART), 2)

# Every whole or floating argument has its range here, by its name. Where a name means something
# else in one class or function, `Class.name` goes before `name`, for its subclasses too.
RANGES: dict[str, Range | Kind] = {
    # sizes and counts
    "in_features": at_least(1),
    "out_features": at_least(1),
    "in_channels": at_least(1),
    "out_channels": at_least(1),
    "num_features": at_least(1),
    "num_channels": at_least(1),
    "channels": at_least(1),
    "num_groups": at_least(1),
    "groups": at_least(1),
    "kernel_size": at_least(1),
    "stride": at_least(1),
    "dilation": at_least(1),
    "padding": at_least(0),
    "output_padding": at_least(0),
    "output_size": at_least(1),
    "scale_factor": at_least(1),
    "num_embeddings": at_least(1),
    "embedding_dim": at_least(1),
    "padding_idx": at_least(0),
    "num_parameters": at_least(1),
    "input_size": at_least(1),
    "hidden_size": at_least(1),
    "num_layers": at_least(1, 1000),  # each is an object of its own
    "d_model": at_least(1, LONGEST // 4),  # queries, keys and values side by side
    "d_ff": at_least(1),
    "num_heads": at_least(1),
    "max_length": at_least(1),
    "shape": at_least(-1),  # Reshape's, where −1 is found out
    "axes": at_least(-64, 63),  # an array has 64 axes at most
    "axis": at_least(-64, 63),
    "k": at_least(1),
    "rows": at_least(1),
    "folds": at_least(2),
    "num_classes": at_least(1),
    "n_samples": at_least(1),
    "n_classes": at_least(1),
    "n_features": at_least(1),
    "n_cells": at_least(2),
    "pixels": at_least(0),
    "size": at_least(1),
    "ahead": at_least(1),
    "input_shape": at_least(1),
    "batch_size": at_least(1),
    "validation_batch_size": at_least(1),
    "epochs": at_least(1),
    "accumulate": at_least(1),
    "keep": at_least(1, 10_000),  # each is a file to look for
    "every_steps": at_least(1),
    "every_epochs": at_least(1),
    "patience": at_least(0),
    "cooldown": at_least(0),
    "start": at_least(0),
    "steps": at_least(1),
    "OneCycleSchedule.steps": at_least(2),
    "lr_range_test.steps": at_least(10),
    "step_size": at_least(1),
    "milestones": at_least(0),
    "growth": at_least(1),
    "ignore_index": at_least(-LONGEST),
    "seed.value": Whole(Range(0, float("inf"))),
    # numbers
    "p": PART,
    "flip.p": SHARE,
    "dropout": PART,
    "std": NOT_NEGATIVE,
    "Normal.std": POSITIVE,
    "TruncatedNormal.std": POSITIVE,
    "mean": ANY,
    "low": ANY,
    "high": ANY,
    "value": ANY,
    "gain": POSITIVE,
    "eps": NOT_NEGATIVE,
    "momentum": PART,
    "BatchNorm.momentum": SHARE,
    "negative_slope": ANY,
    "init": ANY,
    "alpha": POSITIVE,
    "RMSprop.alpha": PART,
    "beta": POSITIVE,
    "min_val": ANY,
    "max_val": ANY,
    "forget_bias": ANY,
    "label_smoothing": SHARE,
    "gamma": POSITIVE,
    "FocalLoss.gamma": NOT_NEGATIVE,
    "delta": POSITIVE,
    "threshold": ANY,
    "lr": RATE,
    "max_lr": RATE,
    "min_lr": NOT_NEGATIVE,
    "lr_range_test.min_lr": RATE,
    "lr_decay": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "momentum_decay": NOT_NEGATIVE,
    "dampening": NOT_NEGATIVE,
    "rho": PART,
    "initial_accumulator_value": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "clip_value": POSITIVE,
    "power": POSITIVE,
    "start_factor": SHARE,
    "pct_start": BETWEEN,
    "div_factor": POSITIVE,
    "final_div_factor": POSITIVE,
    "decay": PART,
    "min_delta": NOT_NEGATIVE,
    "factor": BETWEEN,
    "baseline": ANY,
    "seconds": POSITIVE,
    "noise": NOT_NEGATIVE,
    "test_size": POSITIVE,
    "validation_split": PART,
    # what the annotation does not tell
    "betas": BETAS,
    "weight": Numbers(NOT_NEGATIVE, axes=1),
    "pos_weight": Numbers(NOT_NEGATIVE),
    "schedule": Called(1, "a schedule such as nn.ConstantSchedule(lr)"),
    "weight_init": INITIALIZER,
    "bias_init": INITIALIZER,
    "dtype": DType(),
    "path": Place(),
    "resume": Place(),
}


# -- reading annotations ---------------------------------------------------------------------------


def kind_of(annotation: Any, entry: Range | Kind | None) -> Kind | None:
    """The kind of an annotation with the table's entry; None when the callee checks it itself."""
    members = get_args(annotation) if _is_union(annotation) else (annotation,)
    optional = [Nothing()] if type(None) in members else []
    if np.random.Generator in members:
        return Generator(tuple(m for m in members if m not in (int, type(None))))
    if isinstance(entry, Kind):
        kinds: list[Kind | None] = [entry]
    elif int in members and any(get_origin(member) is tuple for member in members):
        choices = [_plain_kind(member, None) for member in members if get_origin(member) is Literal]
        inner = [get_args(member) for member in members if get_origin(member) is tuple]
        nested = any(get_origin(item) is tuple for items in inner for item in items)
        kinds = [Sizes(_range(entry), nested), *choices]
    else:
        kinds = [_plain_kind(member, entry) for member in members if member is not type(None)]
    found = [kind for kind in kinds if kind is not None]
    if len(found) < len(kinds) or not found:
        return None
    found += optional
    return found[0] if len(found) == 1 else Either(found)


def _plain_kind(annotation: Any, entry: Range | None) -> Kind | None:
    """The kind of an annotation that is no union."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is bool:
        return Flag()
    if annotation is int:
        return Whole(_range(entry))
    if annotation is float:
        return Number(_range(entry))
    if annotation is str:
        return Text()
    if origin is Literal:
        return Choice(inner)
    if origin is Callable:
        one = entry is not None  # a number's place may be taken by a function of the step
        count = None if inner[0] is ... else len(inner[0])
        return Called(count, "a function of the step" if one else "callable")
    if origin is Sequence:
        item = kind_of(inner[0], entry)
        return None if item is None else Several(item)
    own = isinstance(annotation, type) and annotation.__module__.startswith("nnlite.")
    return Instance(annotation) if own else None


def _is_union(annotation: Any) -> bool:
    return isinstance(annotation, types.UnionType) or get_origin(annotation) is Union


def _range(entry: Range | None) -> Range:
    assert entry is not None, "a number without its row in RANGES"
    return entry


class _Public(dict[str, Any]):
    """nnlite's public names, for annotations that are imported only for type checking."""

    def __missing__(self, name: str) -> Any:
        try:
            return getattr(import_module("nnlite"), name)
        except AttributeError:
            raise KeyError(name) from None


class Arguments:
    """What may be passed to a function, by its annotations and the table.

    Args:
        function: the function or constructor.
        names: the names before the dot in the table, the first one first.
    """

    def __init__(self, function: Callable[..., Any], names: Sequence[str]) -> None:
        self.signature = inspect.signature(function)
        parameters = list(self.signature.parameters.values())
        if parameters and parameters[0].name == "self":
            parameters = parameters[1:]
            self.signature = self.signature.replace(parameters=parameters)
        place = ChainMap(function.__globals__, vars(builtins), _Public())
        self.kinds: dict[str, Kind | None] = {}
        self.positional: list[str] = []
        self.required: set[str] = set()
        self.star: str | None = None
        self.open = False  # takes any name
        for p in parameters:
            annotation = p.annotation
            if isinstance(annotation, str):
                annotation = eval(annotation, {}, place)
            if isinstance(annotation, TypeVar):
                annotation = annotation.__bound__
            keys = [*(f"{name}.{p.name}" for name in names), p.name]
            entry = next((RANGES[key] for key in keys if key in RANGES), None)
            self.kinds[p.name] = kind_of(annotation, entry)
            if p.kind is p.VAR_POSITIONAL:
                self.star = p.name
            elif p.kind is p.VAR_KEYWORD:
                self.open = True
            elif p.kind is not p.KEYWORD_ONLY:
                self.positional.append(p.name)
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                self.required.add(p.name)

    def checked(
        self, label: str, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments to pass on, as Python's numbers.

        Raises:
            ValueError, TypeError: names the first argument that is not what it must be.
        """
        positional, kinds = self.positional, self.kinds
        taken = [self.one(label, *given) for given in zip(positional, args, strict=False)]
        if len(args) > len(positional):
            if self.star is None:
                raise self._misfit(label, args, named)
            taken += self._starred(label, self.star, args[len(positional) :])
        for name, value in named.items():
            if name not in kinds:
                if not self.open:
                    raise self._misfit(label, args, named)
            else:
                named[name] = self.one(label, name, value)
        by_place = positional[: len(args)]
        if not named.keys().isdisjoint(by_place) or not self.required.issubset([*by_place, *named]):
            raise self._misfit(label, args, named)
        return taken, named

    def one(self, label: str, name: str, value: Any) -> Any:
        """The value to keep for one argument."""
        kind = self.kinds[name]
        if kind is None:
            return value
        if (taken := kind.take(value)) is REFUSED:
            raise kind.refusal(f"{label}: {name}", value)
        return taken

    def _starred(self, label: str, name: str, values: tuple[Any, ...]) -> list[Any]:
        """The values to keep for `*name`."""
        kind = self.kinds[name]
        if kind is None:
            return list(values)
        taken = [kind.take(value) for value in values]
        for index, value in enumerate(values):
            if taken[index] is REFUSED:
                error = kind.refusal(f"{label}: {name}[{index}]", value)
                if isinstance(value, list | tuple | Iterator):
                    error = type(error)(f"{error}; write {label}(*{name}) to pass a list")
                raise error
        return taken

    def _misfit(self, label: str, args: tuple[Any, ...], named: dict[str, Any]) -> TypeError:
        """The error for arguments of unknown names, given twice, missing or too many."""
        try:
            self.signature.bind(*args, **named)
        except TypeError as error:
            problem = error
        text = f"{label}: {problem}; the arguments are {', '.join(self.kinds)}"
        return TypeError(text)


def checked(function: Function) -> Function:
    """A function or method of nnlite whose arguments are checked before it runs."""

    @functools.cache
    def arguments() -> Arguments:  # at the first call: what the annotations name is there by then
        plain = inspect.unwrap(function)
        return Arguments(plain, [plain.__name__])

    method = inspect.unwrap(function).__code__.co_varnames[:1] == ("self",)

    @functools.wraps(function)
    def guarded(*args: Any, **named: Any) -> Any:
        taken, named = arguments().checked(function.__name__, args[method:], named)
        return function(*args[:method], *taken, **named)

    return guarded  # type: ignore[return-value]  # the same call, as wraps says


def check_constructor(cls: Class) -> Class:
    """Check the arguments of a class's own constructor, if the class is nnlite's.

    A constructor that was called by one that has checked does not check again.
    """
    init = vars(cls).get("__init__")
    if init is None or not cls.__module__.startswith("nnlite."):
        return cls

    @functools.wraps(init)
    def guarded(self: Any, *args: Any, **named: Any) -> None:
        outermost: Any = type(self).__init__
        if outermost is guarded or not hasattr(outermost, "is_checked"):
            args, named = arguments_of(cls).checked(type(self).__name__, args, named)  # type: ignore[assignment]
        try:
            init(self, *args, **named)
        except MemoryError as error:
            if isinstance(error.__cause__, MemoryError):  # said so already
                raise
            raise MemoryError(f"{type(self).__name__}: not enough memory: {error}") from error

    guarded.is_checked = True  # type: ignore[attr-defined]
    cls.__init__ = guarded  # type: ignore[misc]
    return cls


@functools.cache
def arguments_of(cls: type) -> Arguments:
    """The arguments of a class's constructor."""
    constructor: Any = cls.__init__  # type: ignore[misc]
    if constructor is object.__init__:
        return Arguments(lambda: None, [])
    return Arguments(inspect.unwrap(constructor), [base.__name__ for base in cls.__mro__])
