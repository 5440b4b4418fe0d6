"""The callbacks of a run: told in order, blamed for their errors, their files written in time."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nnlite.core.checks import warn
from nnlite.core.foreign import kind_of
from nnlite.core.kinds import check_method
from nnlite.files.archive import CheckpointError
from nnlite.files.atomic import PathLike
from nnlite.layers.base import Layer
from nnlite.metrics import ConfusionMatrix
from nnlite.training.callbacks.base import Callback
from nnlite.training.callbacks.logging import Logger
from nnlite.training.callbacks.monitor import EarlyStopping, Monitor
from nnlite.training.callbacks.saving import Checkpoint
from nnlite.training.callbacks.simple import LambdaCallback, TimeLimit
from nnlite.training.measures import term_names
from nnlite.training.state import Training

# by name, what the base class does at it: nothing
MOMENTS = {name: nothing for name, nothing in vars(Callback).items() if name.startswith("on_")}
INSIDE = ("on_validation_end", "on_wait")  # moments inside an epoch's validation


class CallbackList:
    """The callbacks of one run, told of every moment in the order in which `fit` was given them.

    A callback only asks for a file. It is written when all of them have handled the moment, so
    that what is saved is the end of a moment and not its middle.

    Args:
        callbacks: in order.

    Attributes:
        by_name: the callbacks by class name, and number where there are several of a class.
        telling: whether a callback is at work.
    """

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self.by_name: dict[str, Callback] = {}
        for callback in callbacks:
            if any(callback is other for other in self.by_name.values()):
                raise ValueError(f"fit: {callback!r} is there twice among the callbacks")
            kind = type(callback).__name__
            number = sum(type(other).__name__ == kind for other in self.by_name.values())
            self.by_name[f"{kind} {number + 1}" if number else kind] = callback
        self.telling = False
        self._asked: dict[PathLike, int] = {}  # files, and how many to keep of each

    def __len__(self) -> int:
        return len(self.by_name)

    def tell(self, moment: str, trainer: Training, then: Callable[[], None] | None = None) -> None:
        """Call every callback, do what comes `then`, and write the files that were asked for.

        A file that was asked for is written even when a callback raises: the others still handle
        the moment first. Not so when Ctrl-C cuts one off: what it has done halfway is in no file.
        """
        error: Exception | None = None
        for callback in self.by_name.values():
            act = getattr(callback, moment)
            if getattr(act, "__func__", None) is MOMENTS[moment]:
                continue
            try:
                with self._at_work(callback, moment, trainer):
                    act(trainer)
            except Exception as raised:
                error = error or raised
                if not self._asked:
                    break
            except BaseException:
                self._asked.clear()
                raise
        if then is not None and error is None:
            then()
        if moment not in INSIDE:  # another moment is near, at a step boundary
            if trainer.ranks is not None and (error is None or self._asked):
                trainer.agree(bool(self._asked), self._is_alike(moment))
            while self._asked:
                _write(trainer, *self._asked.popitem())
        if error is not None:
            raise error

    def ask_for(self, path: PathLike, keep: int) -> None:
        """Take note of a file to write at the end of the moment."""
        self._asked[path] = keep

    @contextmanager
    def around_validation(self, trainer: Training) -> Iterator[None]:
        """The contexts of all callbacks, the first one's outside."""
        with ExitStack() as stack:
            for callback in self.by_name.values():
                with _blamed(callback, "around_validation"):
                    stack.enter_context(callback.around_validation(trainer))
            yield

    # -- before the run ----------------------------------------------------------------------------

    @property
    def may_end_early(self) -> bool:
        """Whether one of them may stop the run before all its epochs are done."""
        callbacks = self.by_name.values()
        return any(isinstance(c, EarlyStopping | TimeLimit) or not _is_ours(c) for c in callbacks)

    def _is_alike(self, moment: str) -> bool:
        """Whether all ranks do the same at a moment: end the run, or ask for a file."""
        if moment in ("on_fit_begin", "on_epoch_end"):  # Ctrl-C may have come to one of them
            return False
        return not any(
            getattr(getattr(c, moment), "__func__", None) is not MOMENTS[moment]
            and (isinstance(c, TimeLimit) or not _is_ours(c))
            for c in self.by_name.values()
        )

    def check_run(
        self, trainer: Training, validated: bool, epochs: int, updates: int | None
    ) -> None:
        """Refuse what could only fail later; nothing has changed yet.

        Args:
            trainer: what is about to train.
            validated: whether there will be validation data.
            epochs, updates: how many there will be at most; None where it is not known.

        Raises:
            ValueError: names the callback, and what to do.
        """
        names = ["loss", *(f"{name}_loss" for name in trainer.loss.parts)]
        names += term_names(trainer.model, trainer.penalties)
        names += [m.name for m in trainer.metrics if not isinstance(m, ConfusionMatrix)]
        measured = [*names, "lr", *(f"val_{name}" for name in names if validated)]
        files: dict[str, Callback] = {}
        for callback in self.by_name.values():
            _check_methods(callback)
            callback.check_run(trainer, epochs, updates)
            if isinstance(callback, Monitor) and callback.watches:
                self._check_monitor(callback, measured, validated)
            if isinstance(callback, Checkpoint | Logger) and callback.path is not None:
                other = files.setdefault(os.path.realpath(callback.path), callback)
                if other is not callback:
                    raise ValueError(f"fit: {other!r} and {callback!r} write to the same file")

    def _check_monitor(self, callback: Monitor, measured: list[str], validated: bool) -> None:
        """Refuse the name of a number that there will not be; others' callbacks may add some."""
        name = callback.monitor
        if name.startswith("val_") and not validated:
            raise ValueError(
                f"fit: {callback!r} watches {name!r}, which needs validation_data or "
                f"validation_split; without them watch monitor={name.removeprefix('val_')!r}"
            )
        if name not in measured and all(map(_is_ours, self.by_name.values())):
            raise ValueError(
                f"fit: {callback!r} watches {name!r}, which is not measured; there are {measured}"
            )

    def file_to_resume(self, resume: PathLike | None) -> PathLike | None:
        """The file that `fit(..., resume=resume)` loads before it begins, if any.

        Raises:
            ValueError: for "auto" without a `Checkpoint` to take the path from.
        """
        if resume != "auto":
            return resume
        paths = [each.path for each in self.by_name.values() if isinstance(each, Checkpoint)]
        if not paths:
            raise ValueError('fit: resume="auto" needs a Checkpoint among the callbacks')
        return paths[0] if Path(paths[0]).exists() else None

    # -- what they remember ----------------------------------------------------------------------

    @property
    def saves(self) -> bool:
        """Whether one of them will ask for files, as far as is known."""
        return any(isinstance(callback, Checkpoint) for callback in self.by_name.values())

    @property
    def required(self) -> list[str]:
        """The names of those without which a resumed run must not go on."""
        return [name for name, callback in self.by_name.items() if callback.required]

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """What each of them remembers, by name."""
        states = {}
        for name, callback in self.by_name.items():
            with _blamed(callback, "state_dict"):
                states[name] = callback.state_dict()
                if not isinstance(states[name], dict):
                    kind = kind_of(states[name])
                    raise TypeError(f"{callback!r}: state_dict must return a dict, got {kind}")
        return states

    def check_state_dict(
        self, states: Mapping[str, dict[str, Any]], required: Sequence[str], model: Layer
    ) -> None:
        """Refuse what one of them must not take over.

        Args:
            states: by name, from a file.
            required: those without which the run in the file cannot go on.
            model: what is trained.

        Raises:
            ValueError, TypeError: names the callback, and the entry of its state.
        """
        for name, callback in self.by_name.items():
            if name in states:
                callback.check_state_dict(states[name])
                callback.check_fits(states[name], model)
            elif name in required and callback.state_dict():
                raise ValueError(f"fit: the file does not hold what {callback!r} remembers")

    def load_state_dict(self, states: dict[str, dict[str, Any]]) -> None:
        """Give each of them what it remembers."""
        for name, callback in self.by_name.items():
            if name in states:
                with _blamed(callback, "load_state_dict"):
                    callback.load_state_dict(states[name])

    @contextmanager
    def _at_work(self, callback: Callback, moment: str, trainer: Training) -> Iterator[None]:
        """A context in which a callback looks, and changes nothing that the loop relies on."""
        model, optimizer, run = trainer.model, trainer.optimizer, trainer.run
        steps = optimizer.steps
        self.telling = True
        try:
            with _blamed(callback, moment):
                yield
                now = trainer.model, trainer.optimizer, trainer.run
                if any(
                    new is not old for new, old in zip(now, (model, optimizer, run), strict=True)
                ):
                    raise RuntimeError(
                        "this callback has exchanged the trainer's model, optimizer or run, which "
                        "belong together as long as fit runs; change what is there, or build "
                        "another Trainer when fit has returned"
                    )
                if optimizer.steps != steps:
                    raise RuntimeError(
                        "fit makes the updates, and this callback has made one beside them; leave "
                        "out optimizer.step() and train_step(), or override train_step in a "
                        "Trainer of your own"
                    )
                # while validation waits, the model is in eval mode
                if moment not in ("on_fit_end", "on_wait") and not _is_ours(callback):
                    _check_left(trainer)
        finally:
            self.telling = False


def _check_methods(callback: Callback) -> None:
    """Refuse moments that cannot be called, and warn of those that never will be."""
    for name in MOMENTS:
        check_method(callback, name, "trainer")
        if "logs" in inspect.signature(getattr(callback, name)).parameters:
            raise TypeError(
                f"{type(callback).__name__}.{name} is called with the trainer alone, which knows "
                f"the rest: def {name}(self, trainer), with trainer.epoch and trainer.results"
            )
    if inspect.isgeneratorfunction(callback.around_validation):
        raise TypeError(
            f"{type(callback).__name__}.around_validation must return a context: put "
            "@contextlib.contextmanager above it"
        )
    for name in dir(callback):
        if name.startswith("on_") and name not in MOMENTS:
            warn(
                f"{callback!r}: {name} is no moment of fit, so it is never called; there are "
                f"{', '.join(MOMENTS)}"
            )


def _is_ours(callback: Callback) -> bool:
    """Whether it is known what it does: add no numbers to the results."""
    ours = type(callback).__module__.startswith("nnlite.")
    return ours and not isinstance(callback, LambdaCallback)


def _check_left(trainer: Training) -> None:
    """Refuse a mode and gradients in which the next step would not be the one that is meant."""
    if not trainer.model.training:
        raise RuntimeError(
            "this callback leaves the model in eval mode, in which fit would go on; leave out "
            "model.eval(): predict and evaluate need none, and to freeze layers call eval() of "
            "each of them"
        )
    if any(parameter.has_grad for parameter in trainer.optimizer.parameters):
        raise RuntimeError(
            "this callback leaves gradients behind, to which the next step would add its own; "
            "call trainer.model.zero_grad() after backward"
        )


def _write(trainer: Training, path: PathLike, keep: int) -> None:
    """Write a file that was asked for; what keeps it from that must not cost what is learned."""
    try:
        trainer.write(path, keep)
    except (CheckpointError, TypeError) as error:
        warn(f"{error}. The training goes on without this file")


@contextmanager
def _blamed(callback: Callback, moment: str) -> Iterator[None]:
    """A context whose exceptions say in which callback, and where in it, they were raised."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in {moment} of the callback {callback!r}")
        raise
