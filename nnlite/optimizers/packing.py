"""The memory of an optimizer: parameters and their state, many in one flat vector.

One NumPy call then updates them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnlite.core.forms import COUNT, check_form
from nnlite.core.parameter import Parameter

# About how many values an update takes at a time. The passes of one update find what the last one
# left in the shared cache; shorter stretches pay more for calls than they save, above all in two
# threads, which wait for each other at every call. Adam on 0.5 M (8 M) weights in two threads takes
# 670 µs (11.6 ms) with 64 k values at a time, 500 µs (8.8 ms) with 256 k, and 23 ms without a cut.
CHUNK = 262_144
FADING = 256  # steps, after which averages are looked at for what has faded

Members = list[tuple[Parameter, dict[str, Any]]]


# -- flat vectors ----------------------------------------------------------------------------------


class Chunk:
    """What an update takes at a time: a stretch of the flat vectors, or one parameter, as views.

    Attributes:
        data, grad: the weights and their gradients.
        state: by its name in the rule; None for what the options do not call for.
        options: those of the last update.
        arguments: what the rule was called with then, behind the weights and their gradient; None
            for what each update has anew, k and the arrays to work in.
    """

    __slots__ = ("arguments", "data", "grad", "options", "state")

    def __init__(
        self, data: np.ndarray, grad: np.ndarray, state: dict[str, np.ndarray | None]
    ) -> None:
        self.data = data
        self.grad = grad
        self.state = state
        self.options: Mapping[str, Any] | None = None
        self.arguments: list[Any] = []


class Pack:
    """The trainable parameters of one group with the same dtype and number of steps.

    Args:
        indices: their places among the optimizer's parameters.
        members: all parameters of the optimizer, each with its group.
        states: each parameter's state; those of the pack become views of its vectors.
        names: what the rule may keep: its name in the rule and in files.
        whole: whether an update takes each parameter in its shape.

    Attributes:
        indices: as given.
        parameters: those whose memory it is.
        group: theirs.
        data, grad: all weights and all gradients, flat.
        state: one flat vector per name in files.
        steps: how often they were updated.
        pieces: the chunks of every update; none when the vectors are long, see `chunks`.
    """

    def __init__(
        self,
        indices: list[int],
        members: Members,
        states: list[dict[str, Any]],
        names: Mapping[str, str],
        whole: bool,
    ) -> None:
        self.indices = indices
        self.parameters = [members[i][0] for i in indices]
        self.group = members[indices[0]][1]
        self.names = names
        own = [states[i] for i in indices]
        self.steps: int = own[0]["steps"]

        shapes, dtype = [p.shape for p in self.parameters], self.parameters[0].dtype
        size = sum(p.size for p in self.parameters)
        self.data, self.grad = np.empty(size, dtype), np.empty(size, dtype)
        views = list(zip(_views(self.data, shapes), _views(self.grad, shapes), strict=True))
        for parameter, (data, grad) in zip(self.parameters, views, strict=True):
            parameter.move_into(data, grad)

        self.state: dict[str, np.ndarray] = {}
        kept = dict.fromkeys(name for state in own for name in state if name != "steps")
        for name in kept:  # a whole rule may keep something else of each parameter
            keeping = [state for state in own if name in state]
            arrays = [state[name] for state in keeping]
            self.state[name] = vector = np.empty(sum(array.size for array in arrays), dtype)
            for state, view in zip(keeping, _views(vector, [a.shape for a in arrays]), strict=True):
                np.copyto(view, state[name])
                state[name] = view

        self.pieces: list[Chunk] = []
        if whole:
            self.pieces = [
                Chunk(*view, {letter: state.get(name) for letter, name in names.items()})
                for view, state in zip(views, own, strict=True)
                if view[0].size  # or its norms and means would be of nothing
            ]
        elif size <= CHUNK:
            self.pieces = list(self.chunks(slice(0, size)))

    def end_fading(self, letters: Sequence[str]) -> None:
        """Let averages of gradients be 0 where they have faded to subnormal numbers.

        Where a gradient stays 0, behind a unit that is never active, say, its average fades to the
        smallest numbers there are, and rounding keeps it there. A processor takes a hundred times
        as long over these: a step of Adam took 133 µs for 17 k weights of which 5 % were dead, and
        takes 36 now. Half precision is computed in float32, where its own are ordinary numbers.
        """
        smallest = min(np.finfo(kind).tiny for kind in (self.data.dtype, np.float32))
        for chunk in self.pieces or self.chunks(slice(0, self.data.size)):
            for letter in letters:
                average = chunk.state[letter]
                if average is not None:
                    average[np.abs(average) < smallest] = 0

    def chunks(self, part: slice) -> Iterator[Chunk]:
        """A part of the vectors in stretches of about `CHUNK` values, all equally long."""
        size = part.stop - part.start
        count = max(1, round(size / CHUNK))
        for i in range(count):
            start, stop = (part.start + size * at // count for at in (i, i + 1))
            state = {
                letter: self.state[name][start:stop] if name in self.state else None
                for letter, name in self.names.items()
            }
            yield Chunk(self.data[start:stop], self.grad[start:stop], state)


def _views(vector: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """The vector as arrays of these shapes, one behind the other."""
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    parts = np.split(vector, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def pack_parameters(
    members: Members,
    states: list[dict[str, Any]],
    first_state: Callable[[Parameter, Mapping[str, Any]], dict[str, np.ndarray]],
    names: Mapping[str, str],
    whole: bool,
) -> list[Pack]:
    """Lay all trainable parameters into flat vectors; their states become views of those.

    Args:
        members: each parameter with its group.
        states: each parameter's state, or only its step count before the first step.
        first_state: makes a parameter's first state.
        names, whole: see `Pack`.
    """
    kinds: dict[tuple[int, np.dtype[Any], int], list[int]] = {}
    for index, (parameter, group) in enumerate(members):
        state = states[index]
        if not parameter.trainable:
            for name in state.keys() - {"steps"}:  # let go of the vector it was a view of
                state[name] = np.copy(state[name])
            continue
        if len(state) == 1:
            state.update(first_state(parameter, group))
        kinds.setdefault((id(group), parameter.dtype, state["steps"]), []).append(index)

    return [Pack(indices, members, states, names, whole) for indices in kinds.values()]


# -- arrays to work in -----------------------------------------------------------------------------


class _Scratch(threading.local):
    """Vectors to work in, for each thread its own, and what was cut from them."""

    def __init__(self) -> None:
        self.vectors: dict[np.dtype[Any], list[np.ndarray]] = {}
        self.arrays: dict[tuple[np.dtype[Any], tuple[int, ...]], list[np.ndarray]] = {}


_scratch = _Scratch()


def scratch_arrays(count: int, like: np.ndarray) -> list[np.ndarray]:
    """At least so many arrays of this thread, in the shape and dtype of `like`, not cleared."""
    dtype, shape = like.dtype, like.shape
    arrays = _scratch.arrays.get((dtype, shape)) or []
    if len(arrays) >= count:
        return arrays
    vectors = _scratch.vectors.get(dtype, [])
    if len(vectors) < count or vectors[0].size < like.size:
        length = max([like.size, *(vector.size for vector in vectors)])
        vectors = [np.empty(length, dtype) for _ in range(max(count, len(vectors)))]
        _scratch.vectors[dtype] = vectors
        _scratch.arrays.clear()  # or they would keep the old vectors
    arrays = [vector[: like.size].reshape(shape) for vector in vectors]
    _scratch.arrays[dtype, shape] = arrays
    return arrays


# -- the state of one parameter: its step count, and arrays by their names in files ---------------


def copied_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same in memory of its own."""
    return {name: np.copy(value) if name != "steps" else value for name, value in state.items()}


def checked_state(
    where: str, state: Mapping[str, Any], first: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """A copy of a saved state, when it has what the rule keeps for this parameter.

    Args:
        where: the beginning of error messages.
        state: "steps" and the arrays; before the first step there may be none.
        first: what the rule's state of this parameter is before the first step.

    Raises:
        ValueError: when the step count or the arrays are others, or do not fit the parameter.
    """
    steps = state.get("steps")
    check_form(f"{where}: steps", steps, COUNT)
    arrays = {name: np.array(value) for name, value in state.items() if name != "steps"}
    if set(arrays) != set(first) and (arrays or steps):
        raise ValueError(f"{where} needs {sorted(first)}, got {sorted(arrays)}")
    for name, array in arrays.items():
        if array.shape != first[name].shape:
            raise ValueError(
                f"{where}: {name} has shape {array.shape} instead of {first[name].shape}"
            )
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{where}: {name} does not hold numbers (dtype {array.dtype})")
        with np.errstate(over="ignore"):
            arrays[name] = array.astype(first[name].dtype, copy=False)
    return {"steps": int(steps), **arrays}  # type: ignore[arg-type]  # by its form
