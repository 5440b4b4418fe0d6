"""Parameters of one kind in one flat vector, so that one NumPy call updates them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter

# About how many values an update takes at a time. The passes of one update find what the last one
# left in the shared cache; shorter stretches pay more for calls than they save, above all in two
# threads, which wait for each other at every call. Adam on 0.5 M (8 M) weights in two threads takes
# 670 µs (11.6 ms) with 64 k values at a time, 500 µs (8.8 ms) with 256 k, and 23 ms without a cut.
CHUNK = 262_144

Members = list[tuple[Parameter, dict[str, Any]]]


class Chunk:
    """A stretch of the flat vectors, as views."""

    __slots__ = ("data", "grad", "state")

    def __init__(self, pack: Pack, part: slice) -> None:
        self.data = pack.data[part]
        self.grad = pack.grad[part]
        self.state = tuple(vector[part] for vector in pack.state.values())


class _Scratch(threading.local):
    """Vectors to work in, for each thread its own."""

    def __init__(self) -> None:
        self.vectors: dict[np.dtype[Any], list[np.ndarray]] = {}


_scratch = _Scratch()


def scratch_vectors(count: int, like: np.ndarray) -> list[np.ndarray]:
    """So many vectors of this thread, in the length and dtype of `like`, with anything in them."""
    vectors = _scratch.vectors.setdefault(like.dtype, [])
    if len(vectors) < count or (vectors and vectors[0].size < like.size):
        length = max([like.size, *(vector.size for vector in vectors)])
        vectors[:] = [np.empty(length, like.dtype) for _ in range(max(count, len(vectors)))]
    return [vector[: like.size] for vector in vectors[:count]]


class Pack:
    """The trainable parameters of one group with the same dtype and number of steps.

    Attributes:
        members: their places among the optimizer's parameters.
        data, grad: all weights and all gradients, flat.
        state: one flat vector per name of state.
        steps: how often they were updated.
        parameters: those whose memory it is.
        whole: the vectors as one chunk.
        is_short: whether an update takes them all at once.
    """

    def __init__(self, indices: list[int], members: Members, states: list[dict[str, Any]]) -> None:
        self.members = indices
        self.parameters = [members[i][0] for i in indices]
        self.group = members[indices[0]][1]
        self.steps: int = states[indices[0]]["steps"]
        size, dtype = sum(p.size for p in self.parameters), self.parameters[0].dtype
        self.data, self.grad = np.empty(size, dtype), np.empty(size, dtype)
        names = [name for name in states[indices[0]] if name != "steps"]
        self.state = {name: np.empty(size, dtype) for name in names}
        self.whole = Chunk(self, slice(0, size))
        self.is_short = size <= CHUNK

        start = 0
        for index, parameter in zip(indices, self.parameters, strict=True):
            part = slice(start, start + parameter.size)
            parameter.move_into(
                self.data[part].reshape(parameter.shape), self.grad[part].reshape(parameter.shape)
            )
            for name, vector in self.state.items():
                view = vector[part].reshape(parameter.shape)
                np.copyto(view, states[index][name])
                states[index][name] = view
            start = part.stop

    def chunks(self, part: slice) -> Iterator[Chunk]:
        """A part of the vectors in stretches of about `CHUNK` values, all equally long."""
        size = part.stop - part.start
        count = max(1, round(size / CHUNK))
        for i in range(count):
            start, stop = (part.start + size * at // count for at in (i, i + 1))
            yield Chunk(self, slice(start, stop))


def pack_parameters(
    members: Members,
    states: list[dict[str, Any]],
    fresh_state: Callable[[Parameter, Mapping[str, Any]], dict[str, Any]],
) -> list[Pack]:
    """Lay all trainable parameters into flat vectors; their states become views of those.

    Args:
        members: each parameter with its group.
        states: each parameter's state, or only its step count before the first step.
        fresh_state: makes a parameter's first state.
    """
    kinds: dict[tuple[int, np.dtype[Any], int], list[int]] = {}
    for index, (parameter, group) in enumerate(members):
        state = states[index]
        if not parameter.trainable:
            for name in state.keys() - {"steps"}:  # let go of the vector it was a view of
                state[name] = np.copy(state[name])
            continue
        if len(state) == 1:
            state.update(fresh_state(parameter, group))
        kinds.setdefault((id(group), parameter.dtype, state["steps"]), []).append(index)

    return [Pack(indices, members, states) for indices in kinds.values()]
