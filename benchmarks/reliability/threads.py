"""Sixteen threads that predict while one trains: neither notices the other.

Each case trains a model for some epochs, once alone and once beside sixteen threads that predict
with it, make mistakes and copy it. Nothing may raise or give numbers that are not finite, the modes
must be those of a training, and weights and buffers in the end the same to the last bit. Then the
sixteen predict once more, at rest, and every output must be that of a model built anew from the
same weights.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import nnlite as nn
from benchmarks.reliability.interrupts import MODELS
from benchmarks.reliability.outcomes import Outcome

BESIDE = 16
EPOCHS = 4


def together(works: list[Callable[[], Any]]) -> list[str]:
    """Run each in a thread of its own, all begun at once; the errors."""
    start, errors = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _trained(name: str, seed: int, beside: int) -> tuple[nn.Layer, list[str]]:
    """A trained model, and what went wrong meanwhile."""
    make, x, batch_size, _ = MODELS[name]
    nn.seed(seed)
    model, y, ended = make(), np.arange(len(x)) % 3, threading.Event()
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()), rng=seed)

    def train() -> None:
        try:
            trainer.fit(x, y, EPOCHS, batch_size, shuffle=False, verbose=False)
            modes = [layer.training for layer in model.named_layers().values()]
            _expect(all(modes), f"modes after the training: {modes}")
        finally:
            ended.set()

    def predict() -> None:
        while not ended.is_set():
            y = model.predict(x, batch_size=batch_size)
            _expect(bool(np.isfinite(y).all()), "outputs that are not finite")
            try:
                model.predict(x[..., :2])
            except ValueError:
                pass
            else:
                _expect(False, "a wrong shape was not refused")
            copy.deepcopy(model)

    return model, together([train, *[predict] * beside])


def case(number: int) -> Outcome:
    """Train one model twice, and compare."""
    name = [*MODELS][number % len(MODELS)]
    _, x, batch_size, _ = MODELS[name]
    alone, errors = _trained(name, number, 0)
    model, more = _trained(name, number, BESIDE)
    errors += more
    expected = alone.state_dict()
    for path, value in model.state_dict().items():
        if value.tobytes() != expected[path].tobytes():
            errors.append(f"{path} was trained to something else")
    right = alone.predict(x, batch_size=batch_size)

    def predict() -> None:
        for _ in range(5):
            y = model.predict(x, batch_size=batch_size)
            _expect(bool(np.array_equal(y, right)), "wrong outputs at rest")

    errors += together([predict] * BESIDE)
    return Outcome(name, "noticed" if errors else "unnoticed", "; ".join(errors))
