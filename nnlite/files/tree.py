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

from collections.abc import Mapping
from typing import Any

import numpy as np

GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value in JSON's types; its arrays go to `arrays`, under their path.

    Raises:
        TypeError: for what has no form in a file, such as a function; names the path.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        arrays[path] = value
        return {"$array": path}
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
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
    raise TypeError(f"{path}: a {type(value).__name__} cannot be kept in a file")


def _join(path: str, key: str) -> str:
    return f"{path}/{key}" if path else key


def decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value that `encode` was given.

    Raises:
        KeyError, TypeError, ValueError: when it is not such a value.
    """
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: decode(item, arrays) for key, item in value.items()}
    ((kind, content),) = value.items()
    if kind == "$array":
        return arrays[content]
    if kind == "$scalar":
        dtype, number = content
        return np.dtype(dtype).type(number)
    if kind == "$tuple":
        return tuple(decode(content, arrays))
    if kind == "$items":
        return dict(decode(content, arrays))
    if kind == "$generator":
        return generator(decode(content, arrays))
    raise ValueError(f"unknown kind of value {kind!r}")


def generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator in this state.

    Raises:
        ValueError, TypeError, KeyError: when it is not the state of one of NumPy's generators.
    """
    name = state["bit_generator"]
    if name not in GENERATORS:
        raise ValueError(f"unknown generator {name!r}; there are {', '.join(GENERATORS)}")
    bits = getattr(np.random, name)(0)
    bits.state = state
    return np.random.Generator(bits)
