"""Layers as data: each by its class's name and its constructor's arguments.

Only classes of nnlite and those that the caller passes are ever built.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np

from nnlite import initializers, layers
from nnlite.core.construction import (
    Constructed,
    argument,
    construct,
    signature,
    varargs_name,
)
from nnlite.core.forms import ANYTHING, COUNT, STRING, Table, check_form
from nnlite.core.kinds import shown
from nnlite.core.parameter import Buffer, Parameter
from nnlite.core.room import blank, take_object
from nnlite.files.tree import number_type
from nnlite.initializers import Initializer
from nnlite.layers.base import Layer

# what `describe` makes of values that are no plain ones, by the first name in it
FORMS: dict[Any, Any] = {
    "object": {"object": STRING, "arguments": Table(ANYTHING), "starred": [ANYTHING]},
    "class": {"class": STRING},
    "dtype": {"dtype": STRING},
    "part": {"part": [ANYTHING]},
    "dict": {"dict": ANYTHING},
}


def known_classes(custom: Iterable[type] = ()) -> dict[str, type]:
    """nnlite's layers and initializers and the custom classes, by name.

    Raises:
        TypeError: for what is not a class of layers (or of initializers).
        ValueError: when two of them have the same name.
    """
    own = [*(getattr(layers, name) for name in layers.__all__), *vars(initializers).values()]
    classes: dict[str, type] = {
        cls.__name__: cls
        for cls in own
        if inspect.isclass(cls) and issubclass(cls, Layer | Initializer)
    }
    if inspect.isclass(custom):
        raise TypeError(f"custom_layers: expected a list of classes: [{custom.__name__}]")
    if not isinstance(custom, Iterable) or isinstance(custom, np.ndarray):
        raise TypeError(f"custom_layers: expected a list of classes, got {shown(custom)}")
    for cls in custom:
        if not (inspect.isclass(cls) and issubclass(cls, Constructed)):
            raise TypeError(f"custom_layers: expected classes of layers, got {cls!r}")
        if classes.get(cls.__name__, cls) is not cls:
            raise ValueError(f"custom_layers: there are two classes named {cls.__name__}")
        classes[cls.__name__] = cls
    return classes


def describe(value: Any, path: str = "model") -> Any:
    """What `build` needs to make the value again.

    Raises:
        TypeError: for arguments that no file can hold, such as functions; names the place.
        ValueError: for a class that has the name of one of nnlite's.
    """
    if isinstance(value, Constructed):
        return _describe_object(value, path)
    if isinstance(value, Parameter | Buffer):  # its values come with the others', later
        return {"part": [type(value).__name__, value.dtype.str, list(value.shape)]}
    if inspect.isclass(value) and issubclass(value, np.generic):
        return {"dtype": np.dtype(value).str}
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if inspect.isclass(value) and issubclass(value, Constructed):
        return {"class": _name(value, path)}
    if type(value) in (list, tuple):
        items = [describe(item, f"{path}.{i}") for i, item in enumerate(value)]
        return items if type(value) is list else tuple(items)
    if type(value) is dict:
        return {"dict": {key: describe(item, f"{path}.{key}") for key, item in value.items()}}
    if value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic):
        return value
    raise TypeError(
        f"{path}: a file cannot hold {value!r}; a model with functions among its constructor "
        "arguments cannot be saved with its architecture: write a Layer for them"
    )


def _describe_object(value: Constructed, path: str) -> dict[str, Any]:
    cls: Any = type(value)
    arguments: dict[str, Any] = {}
    starred: list[Any] = []
    for parameter in signature(cls):
        try:
            given = argument(value, parameter)
        except AttributeError as error:
            raise TypeError(
                f"{path}: {cls.__name__} does not keep its constructor argument "
                f"{parameter.name!r} under that name, so it cannot be built again"
            ) from error
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred = [describe(item, f"{path}.{i}") for i, item in enumerate(given)]
        elif parameter.kind is parameter.VAR_KEYWORD:
            arguments |= {key: describe(item, f"{path}.{key}") for key, item in given.items()}
        else:
            arguments[parameter.name] = describe(given, f"{path}.{parameter.name}")
    return {"object": _name(cls, path), "arguments": arguments, "starred": starred}


def _name(cls: type, path: str) -> str:
    if known_classes().get(cls.__name__, cls) is not cls:
        raise ValueError(f"{path}: {cls.__name__} has the name of another class; rename it")
    return cls.__name__


def build(tree: Any, classes: dict[str, type]) -> Any:
    """The value that `describe` was given; where it was given parts, without their values.

    Raises:
        ValueError, TypeError: for a class that is not known, or arguments that it refuses.
    """
    if isinstance(tree, list):
        return [build(item, classes) for item in tree]
    if isinstance(tree, tuple):
        return tuple(build(item, classes) for item in tree)
    if not isinstance(tree, dict):
        return tree
    kind = next(iter(tree), None)
    if kind not in FORMS:
        raise ValueError(f"a part of its architecture is {shown(tree)}")
    check_form("its architecture", tree, FORMS[kind])
    if kind == "object":
        return _build_object(tree, classes)
    if kind == "class":
        return _known(tree["class"], classes)
    if kind == "dtype":
        return number_type(tree["dtype"])
    if kind == "part":
        return _build_part(*tree["part"])
    return {key: build(item, classes) for key, item in tree["dict"].items()}


def _build_object(tree: dict[str, Any], classes: dict[str, type]) -> Any:
    take_object()
    cls: Any = _known(tree["object"], classes)
    arguments = {name: build(item, classes) for name, item in tree["arguments"].items()}
    starred = [build(item, classes) for item in tree["starred"]]
    known = {p.name: p.kind for p in signature(cls)}
    for name in arguments:
        if name not in known and inspect.Parameter.VAR_KEYWORD not in known.values():
            raise ValueError(f"{cls.__name__} has no argument {name!r}")
    if starred and varargs_name(cls) is None:
        raise ValueError(f"{cls.__name__} takes no arguments without names")
    ours = cls.__module__.startswith("nnlite.")
    try:
        # a class of the user's may use first values as they are, for what no file holds
        with blank(ours):
            return construct(cls, arguments, starred)
    except Exception as error:
        if ours or type(error) in (ValueError, TypeError, RuntimeError, MemoryError):
            raise
        raise RuntimeError(f"{cls.__name__} raised {type(error).__name__}: {error}") from error


def _build_part(name: Any = None, dtype: Any = None, shape: Any = None) -> Parameter | Buffer:
    """A parameter or buffer that was an argument."""
    parts: dict[str, type[Parameter | Buffer]] = {"Parameter": Parameter, "Buffer": Buffer}
    if not isinstance(name, str) or name not in parts:
        raise ValueError(f"a part must be one of {', '.join(parts)}, got {shown(name)}")
    check_form(f"{name}: shape", shape, [COUNT])
    with blank(True):
        return parts[name](np.broadcast_to(0, shape), number_type(dtype))


def _known(name: str, classes: dict[str, type]) -> type:
    if name not in classes:
        raise ValueError(f"it needs the class {name}; pass it in custom_layers=[{name}]")
    return classes[name]
