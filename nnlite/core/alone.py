"""One run of a model at a time: what would tear a run apart is refused while it goes on."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

_runs: dict[int, list[int]] = {}  # by a model's id, the thread that trains it


def training_thread(model: object) -> int | None:
    """The thread in which a `fit` trains the model; None outside of any."""
    run = _runs.get(id(model))
    return None if run is None else run[0]


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
        model, here = id(trainer.model), threading.get_ident()
        run = [here]
        try:  # wherever Ctrl-C comes: what is entered here is taken out below, without a call
            other = _runs.setdefault(model, run)
            if other is run:
                return fit(trainer, *args, **named)
        finally:
            if model in _runs and _runs[model] is run:
                del _runs[model]
        if other[0] == here:
            raise RuntimeError(
                "fit: the model is being trained by the fit that runs this code, in a callback or "
                "in its data, and a second one inside would lose its place; set "
                "trainer.stop_training = True and call fit when the first one has returned"
            )
        raise RuntimeError(
            "fit: another thread is training this model; wait until its fit has returned, or "
            "train a copy: copy.deepcopy(trainer)"
        )

    return guarded  # type: ignore[return-value]  # the same call, as wraps says
