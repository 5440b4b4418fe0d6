"""One run of a model at a time: what would tear a run apart is refused while it goes on."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


class _Run(NamedTuple):
    """A `fit` that goes on: its thread, and by id what it alone may use: layers, losses, metrics.

    (A tuple is another one's equal when it holds the same, so runs are told apart by identity.)
    """

    thread: int
    parts: dict[int, object]


_runs: dict[int, _Run] = {}  # by the id of the model; the first one stands first


def training_thread(model: object) -> int | None:
    """The thread in which a `fit` trains the model; None outside of any."""
    run = _runs.get(id(model))
    return None if run is None else run.thread


def in_this_thread(thread: int) -> bool:
    """Whether it is the one that asks."""
    return thread == threading.get_ident()


def alone(fit: Method) -> Method:
    """A trainer's `fit` that refuses to begin while another one trains the same model.

    Neither may two runs share a layer, a loss or a metric: one would take up what the other one's
    forward has saved there, or forget what it has counted, and both would learn something wrong.

    Raises:
        RuntimeError: says whether that is a `fit` further up, or in another thread.
    """

    @functools.wraps(fit)
    def guarded(trainer: Any, *args: Any, **named: Any) -> Any:
        model, here = id(trainer.model), threading.get_ident()
        run = _Run(here, {id(part): part for part in trainer.parts_of_a_run()})
        try:  # wherever Ctrl-C comes: what is entered here is taken out below, without a call
            other = _runs.setdefault(model, run)
            if other is run:
                _check_shared(run)
                return fit(trainer, *args, **named)
        finally:
            if model in _runs and _runs[model] is run:
                del _runs[model]
        if other.thread == here:
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


def _check_shared(run: _Run) -> None:
    """Refuse a run that uses what one that began before it uses."""
    for other in [*_runs.values()]:
        if other is run:
            return
        for part in run.parts.keys() & other.parts.keys():
            raise RuntimeError(
                f"fit: {run.parts[part]!r} belongs to another run too, which has not ended, and "
                "keeps what that needs between its steps; give each trainer its own layers, loss "
                "and metrics: copy.deepcopy makes one"
            )
