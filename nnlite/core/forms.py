"""What a value from a file must look like, all the way down, so that nothing is taken half.

A form is a kind (see `kinds.py`), or is made of forms:

    {"steps": COUNT, "lr_scale": SCALE}    a dictionary with just these entries
    {"setup": Maybe(PLAIN)}                an entry that may be missing
    Table(form)                            a dictionary with any names
    [form]                                 a list
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnlite.core.kinds import EXACT, REFUSED, SHOWN, Either, Kind, Nothing, Range, Whole, shown

# halves of characters in UTF-16: JSON may hold them, but no text that is written somewhere
HALF = re.compile("[\ud800-\udfff]")


class Anything(Kind):
    """Whatever a file can hold; someone else looks at it."""

    def take(self, value: Any) -> Any:  # noqa: D102
        return value


class String(Kind):
    """A string of characters, which may be empty."""

    def take(self, value: Any) -> Any:  # noqa: D102
        return value if isinstance(value, str) and not HALF.search(value) else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "a string" + (" of whole characters" if isinstance(value, str) else "")


class Real(Kind):
    """A number as it was measured: NaN and infinities too.

    Args:
        low: the smallest (default: none).
    """

    def __init__(self, low: float = -math.inf) -> None:
        self.low = low

    def take(self, value: Any) -> Any:  # noqa: D102
        number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
        huge = isinstance(value, int) and abs(value) > EXACT
        return value if number and not huge and not value < self.low else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "a number" if self.low == -math.inf else f"a number ≥ {self.low:g}"


class Array(Kind):
    """An array of numbers.

    Args:
        kinds: of its dtype (default: all numbers).
        axes: how many it may have (default: any number).
    """

    def __init__(self, kinds: str = "fiub", axes: tuple[int, ...] = ()) -> None:
        self.kinds = kinds
        self.axes = axes

    def take(self, value: Any) -> Any:  # noqa: D102
        fits = isinstance(value, np.ndarray) and value.dtype.kind in self.kinds
        return value if fits and (not self.axes or value.ndim in self.axes) else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        of = "floats" if self.kinds == "f" else "numbers"
        axes = " or ".join(map(str, self.axes))
        return f"an array of {of}" + (f" with {axes} axes" if axes else "")


class Arrays(Kind):
    """Arrays by name."""

    def take(self, value: Any) -> Any:  # noqa: D102
        fits = isinstance(value, dict) and all(
            isinstance(name, str) and isinstance(array, np.ndarray) for name, array in value.items()
        )
        return value if fits else REFUSED

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "arrays by name"


class Plain(Kind):
    """Numbers, strings, None, and lists and dictionaries of them.

    Args:
        arrays: whether arrays too (default False).
    """

    def __init__(self, arrays: bool = False) -> None:
        self.leaves = (int, float, str, type(None), *((np.ndarray, np.generic) if arrays else ()))

    def take(self, value: Any) -> Any:  # noqa: D102
        inside: list[Any] = []
        if isinstance(value, list | tuple):
            inside = list(value)
        elif isinstance(value, dict):
            inside = [*value, *value.values()]
        elif not isinstance(value, self.leaves):
            return REFUSED
        return REFUSED if any(self.take(item) is REFUSED for item in inside) else value

    def wanted(self, value: Any) -> str:  # noqa: D102
        return "numbers and strings"


COUNT = Whole(Range(0, EXACT))
ANYTHING, STRING, REAL = Anything(), String(), Real()
SUM = Real(0)  # of weights, or of counts
PLAIN = Plain()
REAL_OR_NONE = Either([REAL, Nothing()])


class Maybe:
    """The form of an entry that may be missing."""

    def __init__(self, form: Any) -> None:
        self.form = form


class Table:
    """The form of a dictionary whose names are not known: that of all its values."""

    def __init__(self, form: Any) -> None:
        self.form = form


def check_form(place: str, value: Any, form: Any) -> None:
    """Refuse a value of another form.

    Args:
        place: what it is, for the error.
        value: from a file.
        form: see the module's prose.

    Raises:
        ValueError, TypeError: names the place, and says what is wrong.
    """
    if isinstance(form, Kind):
        if form.take(value) is REFUSED:
            raise form.refusal(place, value)
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise TypeError(f"{place} must be a list, got {_short(value)}")
        for index, item in enumerate(value):
            check_form(f"{place}[{index}]", item, form[0])
    elif not isinstance(value, Mapping) or any(STRING.take(name) is REFUSED for name in value):
        raise TypeError(f"{place} must be a dictionary with names, got {_short(value)}")
    elif isinstance(form, Table):
        for name, item in value.items():
            check_form(f"{place}: {name}", item, form.form)
    else:
        _check_entries(place, value, form)


def _check_entries(place: str, value: Mapping[str, Any], form: Mapping[str, Any]) -> None:
    missing = [n for n, own in form.items() if n not in value and not isinstance(own, Maybe)]
    if missing:
        raise ValueError(f"{place}: {', '.join(missing)} is missing")
    unknown = [_short(name) for name in value if name not in form]
    if unknown:
        raise ValueError(f"{place}: unknown entry {unknown[0]}; there are {', '.join(form)}")
    for name, item in value.items():
        own = form[name]
        check_form(f"{place}: {name}", item, own.form if isinstance(own, Maybe) else own)


def _short(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
