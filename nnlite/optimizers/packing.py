"""Parameters of one kind in one flat vector, so that one NumPy call updates them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnlite.parameter import Parameter

# A chunk's weights, gradients, state and scratch together fit the second-level cache; shorter
# chunks pay more for calls than they save in memory traffic.
CHUNK = 65_536

Members = list[tuple[Parameter, dict[str, Any]]]


class Chunk:
    """A stretch of the flat vectors: views, cut once and used at every step."""

    __slots__ = ("data", "decay", "grad", "gradient", "scratch", "state")

    def __init__(self, pack: Pack, part: slice, work: list[np.ndarray], scratch: int) -> None:
        self.data = pack.data[part]
        self.grad = pack.grad[part]
        self.state = tuple(vector[part] for vector in pack.state.values())
        self.gradient, *rest = (array[: self.data.size] for array in work)
        self.decay = rest[0]  # free until the rule runs
        self.scratch = tuple(rest[:scratch])


class Pack:
    """The trainable parameters of one group with the same dtype and number of steps.

    Attributes:
        members: their places among the optimizer's parameters.
        data, grad: all weights and all gradients, flat.
        state: one flat vector per name of state.
        steps: how often they were updated.
        chunks: the vectors again, in stretches.
    """

    def __init__(self, indices: list[int], members: Members, states: list[dict[str, Any]]) -> None:
        self.members = indices
        parameters = [members[i][0] for i in indices]
        self.group = members[indices[0]][1]
        self.steps: int = states[indices[0]]["steps"]
        size, dtype = sum(p.size for p in parameters), parameters[0].dtype
        self.data, self.grad = np.empty(size, dtype), np.empty(size, dtype)
        names = [name for name in states[indices[0]] if name != "steps"]
        self.state = {name: np.empty(size, dtype) for name in names}
        self.chunks: list[Chunk] = []

        start = 0
        for index, parameter in zip(indices, parameters, strict=True):
            part = slice(start, start + parameter.size)
            parameter.move_into(
                self.data[part].reshape(parameter.shape), self.grad[part].reshape(parameter.shape)
            )
            for name, vector in self.state.items():
                view = vector[part].reshape(parameter.shape)
                np.copyto(view, states[index][name])
                states[index][name] = view
            start = part.stop


def pack_parameters(
    members: Members,
    states: list[dict[str, Any]],
    fresh_state: Callable[[Parameter, Mapping[str, Any]], dict[str, Any]],
    scratch_arrays: int,
) -> list[Pack]:
    """Lay all trainable parameters into flat vectors; their states become views of those.

    Args:
        members: each parameter with its group.
        states: each parameter's state, or only its step count before the first step.
        fresh_state: makes a parameter's first state.
        scratch_arrays: how many work vectors each chunk gets besides its gradient.
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

    packs = [Pack(indices, members, states) for indices in kinds.values()]
    for pack in packs:
        length = min(pack.data.size, CHUNK)
        work = [np.empty(length, pack.data.dtype) for _ in range(1 + max(1, scratch_arrays))]
        starts = range(0, pack.data.size, CHUNK)
        pack.chunks = [Chunk(pack, slice(s, s + CHUNK), work, scratch_arrays) for s in starts]
    return packs
