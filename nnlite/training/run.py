"""The epochs of one `fit`: batches in, updates out, and every callback told in its turn."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import numpy as np

from nnlite.training.call import Call
from nnlite.training.callbacks.base import blamed
from nnlite.training.interrupt import Interrupt
from nnlite.training.progress import Progress
from nnlite.training.samples import Samples
from nnlite.training.stream import Feed

if TYPE_CHECKING:
    from nnlite.training.trainer import Trainer


class Run:
    """Trains from where the call stands until it is done, stopped or interrupted."""

    def __init__(
        self,
        trainer: Trainer,
        call: Call,
        train: Feed,
        held_out: Feed | None,
        display: Progress,
        interrupt: Interrupt,
    ) -> None:
        self.trainer = trainer
        self.call = call
        self.train = train
        self.held_out = held_out
        self.display = display
        self.interrupt = interrupt

    def go(self, epochs: int) -> None:
        """Epoch after epoch, until there are so many."""
        trainer, call = self.trainer, self.call
        self._tell("on_fit_begin", then=call.take_over)
        while call.begun or (trainer.epoch < epochs and not trainer.stop_training):
            trainer.interrupted = trainer.interrupted or self.interrupt.requested
            if not trainer.interrupted:  # as it may be by now, between two epochs
                self._train_epoch()
            if trainer.interrupted:
                break
            self._finish_epoch()
        else:  # what was asked for is done, so nothing was cut short
            trainer.interrupted = False
        if trainer.interrupted:
            self._tell("on_interrupt")
            trainer.saver.keep_place()
        call.finished = not trainer.interrupted
        self._tell("on_fit_end")

    def _train_epoch(self) -> None:
        """One pass over the data, one update for each group of batches."""
        trainer, call = self.trainer, self.call
        self.display.begin_epoch(trainer.epoch)
        feed = self._feed()
        if not call.begun:
            call.begun = True
            trainer.step = 0
            trainer.measures.reset()
            self._tell("on_epoch_begin")
        elif trainer.stop_training:
            return
        with closing(feed):  # a stream may hold files and threads
            for group in groups_of(call.settings["accumulate"], feed):
                if len(group) == 1:
                    trainer.train_step(*group[0])
                else:
                    trainer.accumulated_step(group)
                trainer.step += 1
                if call.callbacks:
                    self._tell("on_step_end")
                trainer.interrupted = trainer.interrupted or self.interrupt.requested
                samples = sum([len(batch.x) for batch in group])
                self.display.advance(samples, trainer.measures.results)
                if trainer.interrupted or trainer.stop_training:
                    break

    def _finish_epoch(self) -> None:
        """Evaluate and write down what the epoch measured."""
        trainer, call = self.trainer, self.call
        trainer.results = {**trainer.measures.results(), "lr": trainer.optimizer.current_lr}
        if self.held_out is not None:
            with ExitStack() as stack:
                for callback in call.callbacks:
                    with blamed(callback, "around_validation"):
                        stack.enter_context(callback.around_validation(trainer))
                measured = trainer.measure(self.held_out, max(call.settings["batch_size"], 256))
                trainer.results |= {f"val_{name}": value for name, value in measured.items()}
                self._tell("on_validation_end")
        trainer.history.append(trainer.results)
        trainer.epoch += 1
        call.begun = False
        self.display.end_epoch(trainer.results)
        self._tell("on_epoch_end")

    def _feed(self) -> Generator[Samples, None, None]:
        """The batches that are left in this epoch."""
        trainer, call = self.trainer, self.call
        bits = trainer.rng.bit_generator
        rows, options = self.train.rows, call.settings
        now = bits.state
        call.rng_epoch = call.rng_epoch if call.begun else now
        bits.state = call.rng_epoch
        order = self.train.draw(trainer.rng, options["shuffle"])
        if call.begun:  # a resumed run draws the order again, and goes on from its own state
            bits.state = now
        else:
            trainer.order_hash = chained_hash(trainer.order_hash, order, rows)
        skip = trainer.step * options["accumulate"] if call.begun else 0
        return self.train.batches(options["batch_size"], order, options["drop_last"], skip)

    def _tell(self, moment: str, then: Callable[[], None] | None = None) -> None:
        """Call every callback, in order; then write the files that they asked for.

        A file that was asked for is written even when a callback raises: the others still handle
        the moment first, so that what is saved is the end of a moment and not its middle.
        """
        trainer, error = self.trainer, None
        for callback in self.call.callbacks:
            try:
                with blamed(callback, moment), trainer.saver.later():
                    getattr(callback, moment)(trainer)
            except BaseException as raised:
                error = error or raised
                if not trainer.saver.requested:
                    break
        if then is not None and error is None:
            then()
        if moment != "on_validation_end":  # the epoch's end is near, and the next step boundary
            trainer.saver.write_requested()
        if error is not None:
            raise error


def groups_of(size: int, feed: Iterator[Samples]) -> Iterator[list[Samples]]:
    """The batches of each update; the last group may be smaller."""
    if size == 1:
        return ([batch] for batch in feed)
    return iter(lambda: list(itertools.islice(feed, size)), [])


def chained_hash(before: str, order: np.ndarray | None, rows: int | None) -> str:
    """A hash of the order of all epochs so far, from the one before and this epoch's order."""
    digest = hashlib.sha256(before.encode())
    digest.update(str(rows).encode())
    if order is not None:
        digest.update(order.data)
    return digest.hexdigest()
