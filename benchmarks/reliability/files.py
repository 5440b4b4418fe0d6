"""Files that were changed by hand: refused with nothing changed, or taken and trained on.

Each case changes one file, at random from its number, and gives it to `load_model`, to
`Trainer.load` and then `fit`, or to `fit(resume=...)`. It ends in one of nine ways; the first
three are right:

    refused       with an error of ours; nothing has changed
    trained on    the file was accepted, and so was the next `fit`
    diverged      the file was accepted, and its numbers are such that `fit` says so
    raw error     refused with words of Python's or NumPy's, or with a warning
    changed       refused, but the trainer or a callback is not the one before; or bytes that were
                  damaged have loaded as something else
    failed later  accepted, but then a `fit` that had begun, or a forward, did not get through
    memory        loading took more than 4 times the file and 64 MB
    hang, crash   the process stood still, or died
"""

from __future__ import annotations

import functools
import json
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nnlite as nn
from benchmarks.gradients import LAYERS, layer_input, layer_of
from benchmarks.hostile import is_ours
from benchmarks.reliability import runs
from benchmarks.reliability.mutations import MUTATIONS, chosen
from benchmarks.reliability.outcomes import Outcome
from nnlite.files.tree import encode

LARGE = 1500  # units of the layer whose file is large


@functools.cache
def _place() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _path(name: str) -> Path:
    return Path(_place().name) / name


# -- the files that are changed --------------------------------------------------------------------


@functools.cache
def _checkpoints(setup: str) -> dict[str, bytes]:
    """Files of a run: from the middle of an epoch, from the end of one, and from its end."""
    paths = {name: _path(f"{name}.npz") for name in ("middle", "epoch", "end")}

    def step(trainer: Any) -> None:
        if trainer.optimizer.steps == 5:
            trainer.save(paths["middle"])

    def epoch(trainer: Any) -> None:
        if trainer.epoch == 2:
            trainer.save(paths["epoch"])

    run = runs.make(setup, _path(""))
    run.fit(nn.LambdaCallback(on_step_end=step, on_epoch_end=epoch))
    run.trainer.save(paths["end"])
    return {name: path.read_bytes() for name, path in paths.items()}


@functools.cache
def _model(name: str) -> tuple[bytes, Any] | None:
    """The file of a row of the tests' case table, and an input; None when it cannot be saved."""
    nn.seed(0)
    if name == "large":
        layer, x = nn.Linear(LARGE, LARGE), np.ones((2, LARGE), np.float32)
    else:
        layer, x = layer_of(LAYERS[name], np.float32), layer_input(LAYERS[name], np.float32)
    try:
        nn.save_model(layer, _path("model.npz"))
        nn.load_model(_path("model.npz"))
    except (TypeError, nn.CheckpointError):  # functions, classes of the tests' own
        return None
    return _path("model.npz").read_bytes(), x


# -- one case --------------------------------------------------------------------------------------


def case(number: int) -> Outcome:
    """Change a file, load it, and go on with what came of it."""
    rng = np.random.default_rng([1, number])
    how = chosen(rng, [*MUTATIONS])
    kind = rng.random()
    if kind < 0.65:
        setup = chosen(rng, [*runs.SETUPS])
        moment = chosen(rng, ["middle", "epoch", "end"])
        verdict = _check_checkpoint(rng, how, setup, moment)
        return Outcome(how, verdict[0], f"checkpoint ({moment}) of {setup}: {verdict[1]}")
    name = "large" if kind > 0.99 else chosen(rng, [*LAYERS])
    while _model(name) is None:
        name = chosen(rng, [*LAYERS])
    verdict = _check_model(rng, how, name)
    return Outcome(how, verdict[0], f"model {name}: {verdict[1]}")


Verdict = tuple[str, str]


def _check_model(rng: np.random.Generator, how: str, name: str) -> Verdict:
    """`load_model`, then a forward and a backward."""
    found = _model(name)
    assert found is not None
    file, x = found
    changed = MUTATIONS[how](rng, file)
    path = _path("changed.npz")
    path.write_bytes(changed)
    models: list[nn.Layer] = []
    error, used = _attempt(lambda: models.append(nn.load_model(path)))
    if error is not None:
        return _refusal(error)
    if used > 4 * len(changed) + (64 << 20):
        return "memory", f"{used:,} bytes for a file of {len(changed):,}"
    if how == "bytes" and _bytes_of(models[0]) != file:
        return "changed", "loaded as something else"

    def go() -> None:
        y = models[0](x)
        models[0].backward(y)

    with np.errstate(all="ignore"):
        error, _ = _attempt(go, quiet=True)
    if error is None or not is_raw(error):  # another model may well refuse this input
        return "trained on", ""
    return "failed later", said(error)


def _bytes_of(model: nn.Layer) -> bytes:
    nn.save_model(model, _path("again.npz"))
    return _path("again.npz").read_bytes()


class _Begun(nn.Callback):
    """Knows whether `fit` has begun."""

    def __init__(self) -> None:
        self._now = False

    def on_fit_begin(self, trainer: Any) -> None:
        """It has; from here on warnings are the numbers' fault."""
        self._now = True
        warnings.simplefilter("ignore")


def _check_checkpoint(rng: np.random.Generator, how: str, setup: str, moment: str) -> Verdict:
    """`Trainer.load` and then `fit`, or both at once."""
    file = _checkpoints(setup)[moment]
    changed = MUTATIONS[how](rng, file)
    path, begun = _path("changed.npz"), _Begun()
    path.write_bytes(_checkpoints(setup)["epoch"])
    run = runs.make(setup, _path(""))
    run.trainer.load(path)  # a state of its own
    path.write_bytes(changed)
    if rng.random() < 0.5:
        steps = [lambda: run.fit(begun, resume=path)]
    else:
        steps = [lambda: run.trainer.load(path), lambda: run.fit(begun)]
    for step in steps:
        before = _state(run)
        error, used = _attempt(step)
        if used > 4 * len(changed) + (64 << 20):
            return "memory", f"{used:,} bytes for a file of {len(changed):,}"
        if isinstance(error, nn.NonFiniteLossError):
            return "diverged", ""
        if error is not None and begun._now:
            return "failed later", said(error)
        if error is not None:
            return ("changed", said(error)) if _state(run) != before else _refusal(error)
        if how == "bytes" and len(steps) == 2 and step is steps[0]:
            run.trainer.save(_path("again.npz"))
            if _path("again.npz").read_bytes() != file:
                return "changed", "loaded as something else"
    return "trained on", ""


def _state(run: runs.Run) -> tuple[bytes, str]:
    """All of the trainer and of the callbacks."""
    arrays: dict[str, np.ndarray] = {}
    states = [
        encode(callback.state_dict(), str(n), arrays) for n, callback in enumerate(run.callbacks)
    ]
    values = {name: array.tobytes().hex() for name, array in arrays.items()}
    return runs.content(run.trainer), json.dumps([states, values])


def _attempt(call: Callable[[], object], quiet: bool = False) -> tuple[Exception | None, int]:
    """(What the call raised, the most memory that it used at once)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "error")
        warnings.simplefilter("ignore", nn.ModelWarning)
        tracemalloc.start()
        try:
            call()
        except Exception as error:
            return error, tracemalloc.get_traced_memory()[1]
        else:
            return None, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


# -- words -----------------------------------------------------------------------------------------


def _refusal(error: Exception) -> Verdict:
    return ("raw error" if is_raw(error) else "refused"), said(error)


def is_raw(error: BaseException) -> bool:
    """Whether it is not ours, or ends with the words of one that is not."""
    if not (is_ours(error) and isinstance(error, (ValueError, TypeError, RuntimeError, OSError))):
        return True
    inner = error.__cause__ or error.__context__
    while inner is not None:
        quoted = (f": {inner}", f": {type(inner).__name__}")
        if not is_ours(inner) and any(words in str(error) for words in quoted if words != ": "):
            return True
        inner = inner.__cause__ or inner.__context__
    return False


def said(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:400]
