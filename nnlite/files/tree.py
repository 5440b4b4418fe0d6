"""Nested Python values as JSON, with the arrays set aside.

Numbers, strings, None, lists and dictionaries with string keys stand for themselves; whatever
else can be kept is an object with one key that begins with a dollar sign:

    {"$array": "arrays/0.weight"       }     an array, by its name in the file
    {"$scalar": ["<f4", 0.5]}               a NumPy scalar
    {"$tuple": [1, 2]}                      a tuple
    {"$items": [[1, "a"], [2, "b"]]}        a dictionary with other keys
    {"$generator": {...}}                   a random generator, by its state
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nnlite.core.foreign import kind_of
from nnlite.core.kinds import EXACT, shown

GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
MOST_ALIKE = 1000  # keys of a dictionary whose hash is also another one's: all would be compared
# of the whole numbers in their states, by name; those of PCG64 have 128 bits
LARGEST = {"has_uint32": 1, "uinteger": 2**32 - 1, "pos": 624, "buffer_pos": 4}
NUMBERS = re.compile(r"[<>|=][fiub](1|2|4|8|16)")
LONGEST = 14_000  # bits of a whole number: of more than 4,300 digits Python makes no text
# what every archive gives back as it was, on every system
NAME = re.compile("[^\0\\\\\ud800-\udfff]{1,1000}")


def encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value in JSON's types; its arrays go to `arrays`, under their path.

    Raises:
        TypeError: for what has no form in a file, such as a function; names the path.
    """
    if type(value) is int and value.bit_length() > LONGEST:
        raise TypeError(f"{path}: a whole number of so many digits cannot be kept in a file")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise TypeError(
            f"{path}: a masked array would lose its mask in a file; keep its data and its mask"
        )
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        name = _name(path, arrays)
        arrays[name] = value
        return {"$array": name}
    if isinstance(value, np.generic) and value.dtype.kind in "fiub" and value.itemsize <= 8:
        return {"$scalar": [value.dtype.str, value.item()]}
    if isinstance(value, np.random.Generator):
        return {"$generator": encode(value.bit_generator.state, path, arrays)}
    if type(value) in (list, tuple):
        items = [encode(item, _join(path, str(i)), arrays) for i, item in enumerate(value)]
        return items if type(value) is list else {"$tuple": items}
    if type(value) is dict:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: encode(item, _join(path, key), arrays) for key, item in value.items()}
        return {"$items": encode([list(item) for item in value.items()], path, arrays)}
    raise TypeError(f"{path}: {kind_of(value)} cannot be kept in a file")


def _name(path: str, arrays: dict[str, np.ndarray]) -> str:
    """The path, or where it is no name for a file, or another array's, a number behind it."""
    if NAME.fullmatch(path) and path not in arrays:
        return path
    names = (f"{path if NAME.fullmatch(path) else 'array'} {n}" for n in range(1, len(arrays) + 2))
    return next(name for name in names if name not in arrays)


def _join(path: str, key: str) -> str:
    return f"{path}/{key}" if path else key


def decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value that `encode` was given; its arrays are taken out of `arrays`.

    Raises:
        TypeError, ValueError: when it is not such a value.
    """
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: decode(item, arrays) for key, item in value.items()}
    ((kind, content),) = value.items()
    if kind == "$array":
        if not isinstance(content, str) or content not in arrays:
            raise ValueError(f"there is no array {shown(content)}, or it is referred to twice")
        return arrays.pop(content)
    if kind == "$scalar":
        return _scalar(content)
    if kind in ("$tuple", "$items") and not isinstance(content, list):
        raise ValueError(f"{kind} must be a list, got {shown(content)}")
    if kind == "$tuple":
        return tuple(decode(content, arrays))
    if kind == "$items":
        return _with_other_keys(decode(content, arrays))
    if kind == "$generator":
        return generator(decode(content, arrays))
    raise ValueError(f"unknown kind of value {kind!r}")


def number_type(name: Any) -> np.dtype[Any]:
    """The dtype of this name, of numbers only.

    Raises:
        ValueError: for anything else.
    """
    try:
        if isinstance(name, str) and NUMBERS.fullmatch(name):
            return np.dtype(name)
    except TypeError:  # there is none of that size
        pass
    raise ValueError(f"expected the name of a type of numbers such as '<f4', got {shown(name)}")


def _scalar(content: Any) -> np.generic:
    """[dtype, number] as a NumPy scalar."""
    if not isinstance(content, list) or len(content) != 2:
        raise ValueError(f"$scalar must be a type and a number, got {shown(content)}")
    dtype = number_type(content[0])
    value = content[1]
    low, high = {"b": (0, 1), "f": (-EXACT, EXACT)}.get(dtype.kind, (0, 0))
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    whole = isinstance(value, int) and low <= value <= high
    if not whole and not (isinstance(value, float) and dtype.kind == "f"):
        raise ValueError(f"$scalar: {shown(value)} is no {dtype}")
    with np.errstate(over="ignore"):
        return dtype.type(value)


def _with_other_keys(items: list[Any]) -> dict[Any, Any]:
    """A dictionary from pairs.

    Numbers can be chosen so that all have the same hash, and a dictionary of them takes for ever.
    """
    hashes = set()
    for item in items:
        if not isinstance(item, list) or len(item) != 2:
            raise ValueError(f"$items must be pairs, got {shown(item)}")
        try:
            hashes.add(hash(item[0]))
        except TypeError:
            raise ValueError(f"$items: {shown(item[0])} cannot be a key") from None
    if len(items) - len(hashes) > MOST_ALIKE:
        raise ValueError("$items: its keys are made to have the same hash")
    return dict(items)


def generator(state: Any) -> np.random.Generator:
    """A generator in this state.

    What NumPy would take unseen is refused: places beyond the end of a buffer, which it would
    read, and states from which there are no other numbers than zeros.

    Raises:
        ValueError, TypeError: when it is not the state of one of NumPy's generators.
    """
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if not isinstance(name, str) or name not in GENERATORS:
        raise ValueError(f"unknown generator {shown(name)}; there are {', '.join(GENERATORS)}")
    bits = getattr(np.random, name)(0)
    _check_alike(name, state, bits.state)
    own = state["state"]
    zeros = own.get("inc", 1) % 2 == 0
    if name == "MT19937":  # of the first word only the highest bit counts
        zeros = not own["key"][1:].any() and own["key"][0] < 1 << 31
    if zeros:
        raise ValueError(f"{name}: there is no such state, from which only zeros could be drawn")
    bits.state = state
    return np.random.Generator(bits)


def _check_alike(place: str, value: Any, real: Any) -> None:
    """Refuse a part of a generator's state that is not as a real one."""
    fits = type(value) is type(real)
    if fits and isinstance(real, dict):
        fits = value.keys() == real.keys()
        for name in real if fits else ():
            _check_alike(name, value[name], real[name])
    elif fits and isinstance(real, np.ndarray):
        fits = value.shape == real.shape and value.dtype == real.dtype
    elif fits and isinstance(real, int):
        fits = 0 <= value <= LARGEST.get(place, 2**128 - 1)
    if not fits:
        raise ValueError(f"no state of a generator has {place} = {shown(value)}")
