"""The one slot in which a forward leaves, for the backward that follows, what it needs."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import Any

from nnlite.core.arguments import check_constructor


class _Contexts(threading.local):
    """The `inference` contexts that this thread is inside of, the innermost last."""

    def __init__(self) -> None:
        self.open: list[inference] = []


_contexts = _Contexts()


@check_constructor
class inference(ContextDecorator):
    """A context in which layers and losses keep nothing for backward.

    Memory then stays flat however large the model, and what an earlier forward has kept, perhaps
    one of another thread, stays where it is. Each thread has its own; contexts nest, and with
    `mode=False` an inner one keeps again.

        with nn.inference():
            y = model(x)
    """

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self._entered: list[inference] = []  # the contexts of the thread that entered last

    def __enter__(self) -> None:
        self._entered = _contexts.open
        self._entered.append(self)

    def __exit__(self, *error: object) -> None:
        # a generator that entered it may be closed by another thread, and not as the last one
        contexts = _contexts.open if self in _contexts.open else self._entered
        del contexts[-1 - contexts[::-1].index(self)]


def open_contexts() -> list[inference]:
    """This thread's, for `Layer.evaluation`, which must not be cut in two by Ctrl-C."""
    return _contexts.open


def keeping() -> bool:
    """Whether layers and losses keep what backward will need: outside `inference()`."""
    contexts = _contexts.open
    return not (contexts and contexts[-1].mode)


class Slot:
    """Something with a forward and a backward, and one slot between the two.

    A class attribute stands in for the empty slot, so that a subclass needs no
    `super().__init__()`.
    """

    _slot: tuple[Any, ...] | None = None

    def save_for_backward(self, *values: Any) -> None:
        """Put what backward will need into the slot: the last line of `forward` before `return`.

        A layer that needs nothing calls it with nothing: an empty slot is not an unset one.
        Inside `nn.inference()` the slot is left alone: another thread may be between its forward
        and its backward.
        """
        contexts = _contexts.open
        if not (contexts and contexts[-1].mode):
            # straight into the dict: past Layer's check of assignments, which costs more than this
            vars(self)["_slot"] = values

    def saved(self) -> tuple[Any, ...]:
        """Take out what the last forward saved, and leave the slot empty.

        Raises:
            RuntimeError: when there is nothing: no forward came before, it was already taken by
                an earlier backward, or forward ran inside `nn.inference()`.
        """
        values = self._slot
        if values is None:
            raise RuntimeError(
                f"{self.label()}: backward without a matching forward; call forward first, outside "
                "nn.inference(), once for each backward (or forward did not call save_for_backward)"
            )
        vars(self)["_slot"] = None
        return values

    def label(self) -> str:
        """What error messages call it."""
        return repr(self)

    def clear_saved(self) -> None:
        """Empty the slot without reading it."""
        self._slot = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy (deepcopy, pickle) starts with an empty slot: it has not run a forward."""
        state = vars(self).copy()  # at once, whatever other threads add meanwhile
        state.pop("_slot", None)
        return state
