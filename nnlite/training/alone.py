"""One run of a model at a time: what would tear a run apart is refused while it goes on."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nnlite.layers.base import Layer

Method = TypeVar("Method", bound=Callable[..., Any])

_lock = threading.Lock()
_runs: dict[int, int] = {}  # by a model's id, the thread that trains it


def training_thread(model: Layer) -> int | None:
    """The thread in which a `fit` trains the model; None outside of any."""
    return _runs.get(id(model))


def in_this_thread(thread: int) -> bool:
    """Whether it is the one that asks."""
    return thread == threading.get_ident()


def alone(fit: Method) -> Method:
    """A trainer's `fit` that refuses to begin while another one trains the same model.

    Raises:
        RuntimeError: says whether that is a `fit` further up, or in another thread.
    """

    @functools.wraps(fit)
    def guarded(trainer: Any, *args: Any, **named: Any) -> Any:
        model, here = trainer.model, threading.get_ident()
        with _lock:
            other = _runs.get(id(model))
            if other is None:
                _runs[id(model)] = here
        if other == here:
            raise RuntimeError(
                "fit: the model is being trained by the fit that runs this code, in a callback or "
                "in its data, and a second one inside would lose its place; set "
                "trainer.stop_training = True and call fit when the first one has returned"
            )
        if other is not None:
            raise RuntimeError(
                "fit: another thread is training this model; wait until its fit has returned, or "
                "train a copy: copy.deepcopy(trainer)"
            )
        try:
            return fit(trainer, *args, **named)
        finally:
            del _runs[id(model)]

    return guarded  # type: ignore[return-value]  # the same call, as wraps says
