"""How much may be built from a file, and which first values need not be drawn for it.

A file says what a model is built from, in a few words, and then holds its values. Whoever wrote
the words may ask for layers that fill any memory: so what is built is counted, and refused when
it is more than the file has values for. And since the values come from the file, the layers of
nnlite draw none: until then, each of their arrays is one number that stands in all places. (Where
first values are constant, layers give `np.broadcast_to(1.0, shape)` for the same reason: it takes
no memory before they are counted.)
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class Room:
    """What may still be built.

    Args:
        objects: how many layers and other parts by their classes.
        arrays: how many parameters and buffers.
        values: how many numbers in them.
    """

    def __init__(self, objects: int, arrays: int, values: int) -> None:
        self.objects = objects
        self.arrays = arrays
        self.values = values

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse an array that there is no room for.

        Raises:
            ValueError: says so.
        """
        if self.arrays < 1 or math.prod(shape) > self.values:
            raise ValueError(
                f"its layers are larger than what the file holds: there are no values for "
                f"an array of shape {shape}"
            )


class _Building(threading.local):
    """What this thread is about."""

    room: Room | None = None
    blank = False


_building = _Building()


@contextmanager
def building(room: Room) -> Iterator[None]:
    """A context in which no more is built than there is room for."""
    before, _building.room = _building.room, room
    try:
        yield
    finally:
        _building.room = before


@contextmanager
def blank(wanted: bool) -> Iterator[None]:
    """A context in which first values are not drawn, and parameters have no memory, if wanted."""
    before, _building.blank = _building.blank, wanted
    try:
        yield
    finally:
        _building.blank = before


def is_blank() -> bool:
    """Whether first values are not wanted."""
    return _building.blank


def check_room(shape: tuple[int, ...]) -> None:
    """Refuse first values of this shape, before they are drawn, when there is no room for them."""
    if _building.room is not None:
        _building.room.check(shape)


def take_room(shape: tuple[int, ...]) -> None:
    """Count one more parameter or buffer."""
    room = _building.room
    if room is not None:
        room.check(shape)
        room.arrays -= 1
        room.values -= math.prod(shape)


def take_object() -> None:
    """Count one more object.

    Raises:
        ValueError: when there are too many for the size of the file.
    """
    room = _building.room
    if room is not None:
        if room.objects < 1:
            raise ValueError("it asks for more layers than a file of its size can be about")
        room.objects -= 1


def one_for_all(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray[Any, Any]:
    """An array without memory of its own: one number, which may be written, in all places."""
    number = np.zeros(1, dtype)
    return np.lib.stride_tricks.as_strided(number, shape, (0,) * len(shape))
