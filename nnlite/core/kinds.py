"""Kinds of values that arguments may have, in a range where they are numbers."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.checks import instance_hint

# classes that users know by other names
NOUNS = {"Recurrent": "an RNN, LSTM or GRU", "Training": "a Trainer"}
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


def printable(text: str, longest: int) -> str:
    """A text from a file, for a terminal: without what would move its cursor or clear it."""
    text = text if len(text) <= longest else f"{text[:longest]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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

    def checked(self, name: str, value: Any) -> bool:
        """The flag, for an attribute that is set.

        Raises:
            ValueError: for anything else.
        """
        taken = self.take(value)
        if taken is REFUSED:
            raise self.refusal(name, value)
        return bool(taken)

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
        text = self._text(value)
        return value if text and not self._never(text) else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return f"a path{self._never(self._text(value))}, a string or an os.PathLike"

    @staticmethod
    def _never(text: str) -> str:
        """What no path may hold, when this one does."""
        try:
            return " without a zero byte" if b"\0" in os.fsencode(text) else ""
        except UnicodeEncodeError:
            return " of whole characters"

    @staticmethod
    def _text(value: Any) -> str:
        """The path as a string; empty for what is none, or is one of bytes."""
        try:
            text = os.fspath(value)
        except Exception:  # whatever an object's own __fspath__ raises
            return ""
        return text if isinstance(text, str) else ""


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


def check_method(owner: object, name: str, arguments: str = "") -> None:
    """Refuse a method of a user's class that cannot be called as it will be.

    Args:
        owner: the object.
        name: the method's.
        arguments: what it will be called with, by position, as in "x, y".

    Raises:
        TypeError: says how to define it.
    """
    method = getattr(owner, name)
    form = f"def {name}({', '.join(filter(None, ['self', arguments]))})"
    where = f"{type(owner).__name__}.{name}"
    if inspect.isgeneratorfunction(method) or inspect.iscoroutinefunction(method):
        raise TypeError(
            f"{where} yields or is async, so that calling it does nothing; make it a plain {form}"
        )
    count = len(arguments.split(", ")) if arguments else 0
    if Called(count).take(method) is REFUSED:
        many = f"{count} argument{'s' * (count != 1)}"
        raise TypeError(f"{where} will be called with {many}: {form}")


class Drawing(Called):
    """An initializer, or a function that is called like one."""

    def __init__(self) -> None:
        super().__init__(2, "an initializer such as nn.initializers.He()")

    def take(self, value: Any) -> Any:  # noqa: D102
        module = getattr(value, "__module__", None) or "numpy"  # a generator's method names none
        return REFUSED if module.split(".")[0] == "numpy" else super().take(value)

    def hint(self, value: Any) -> str:  # noqa: D102
        numpys = self._is_called(value) and super().take(value) is not REFUSED
        hint = "; write a function of both: lambda shape, rng: np.zeros(shape)"
        return hint if numpys else super().hint(value)


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
            count = ("no", "one", "two", "three")[self.count]
            span = self._span().text(None)
            return f"{count} numbers{span and f', each{span}'}"
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
