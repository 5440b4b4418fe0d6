"""Calls that are cut short at any moment: afterwards everything is as before.

Each case calls `predict`, `fit`, `evaluate` or `check_gradients` until a KeyboardInterrupt cuts it
short, which a timer or another thread causes after a random time. Then these must be as they were:
the modes of all layers, which gradients they need, what Ctrl-C does, the number of BLAS's threads,
`nn.inference`, the threads that are alive. The outputs must be right, those of a model built anew
from the weights in hand, which only `fit` may have changed; and the next call must work. A case
that ends otherwise is

    changed      one of these is not as before
    swallowed    the interrupt came, and the call went on
    hang, crash  the process stood still, or ended with an error
"""

from __future__ import annotations

import _thread
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import nnlite as nn
from benchmarks.reliability.mutations import chosen
from benchmarks.reliability.outcomes import Outcome
from nnlite.core import runtime
from nnlite.core.slot import keeping

WAYS = ("timer", "thread", "thread, twice")
PATIENCE = 5  # seconds until an interrupt counts as swallowed
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((32, 12, 12, 8)).astype(np.float32)
ROWS = RNG.standard_normal((64, 8)).astype(np.float32)
SERIES = RNG.standard_normal((16, 5, 4)).astype(np.float32)


def _conv() -> nn.Layer:
    return nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(6 * 6 * 16, 3),
    )  # fmt: skip


def _dense() -> nn.Layer:
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


def _recurrent() -> nn.Layer:
    return nn.Sequential(nn.LSTM(4, 6, stateful=True), nn.LastStep(), nn.Linear(6, 3))


# with its data, the batch size, and what the gradients of its first layer are checked on
MODELS: dict[str, tuple[Callable[[], nn.Layer], np.ndarray, int, np.ndarray]] = {
    "conv": (_conv, IMAGES, 16, IMAGES[:1, :4, :4]),
    "dense": (_dense, ROWS, 16, ROWS[:2]),
    "recurrent": (_recurrent, SERIES, 8, SERIES[:2, :2]),
}


class Subject(NamedTuple):
    """A model with its trainer and data, and the calls that are cut short."""

    model: nn.Layer
    twin: nn.Layer
    trainer: nn.Trainer
    x: np.ndarray
    calls: dict[str, Callable[[], Any]]
    seconds: dict[str, float]  # that they take


@functools.cache
def subject(name: str) -> Subject:
    """The same one for the cases of a process, until one of them ends wrongly."""
    nn.seed(0)
    make, x, batch_size, few = MODELS[name]
    model, twin, y = make(), make(), np.arange(len(x)) % 3
    optimizer = nn.Adam(model.parameters(), lr=1e-4)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])

    def stream(rng: np.random.Generator) -> Any:
        return nn.data.prefetch(nn.data.batches(x, y, batch_size=batch_size))

    calls = {
        "predict": lambda: model.predict(x, batch_size=batch_size),
        "evaluate": lambda: trainer.evaluate(x, y, batch_size=batch_size),
        "fit": lambda: trainer.fit(x, y, batch_size=batch_size, shuffle=False, verbose=False),
        "fit, prefetch": lambda: trainer.fit(stream, verbose=False),
        "check_gradients": lambda: nn.check_gradients(model[0], few),
    }
    seconds = {}
    for call in calls:
        calls[call]()  # the first time takes longer
        begun = time.perf_counter()
        calls[call]()
        seconds[call] = time.perf_counter() - begun
    return Subject(model, twin, trainer, x, calls, seconds)


# -- what must be as before ------------------------------------------------------------------------


def _surroundings(model: nn.Layer) -> dict[str, Any]:
    """Everything but weights that a call could leave otherwise than it found it."""
    layers = model.named_layers()
    blas = runtime.thread_functions()
    return {
        "modes": {path: layer.training for path, layer in layers.items()},
        "needs_input_grad": {path: layer.needs_input_grad for path, layer in layers.items()},
        "Ctrl-C": _ctrl_c_raises(),
        "BLAS's threads": blas and blas[0](),
        "keeping": keeping(),
    }


def _ctrl_c_raises() -> bool:
    """Whether it does what it does by default, whoever sees to it."""
    try:
        signal.raise_signal(signal.SIGINT)
        time.sleep(1e-4)
    except KeyboardInterrupt:
        return True
    return False


def _state(model: nn.Layer) -> dict[str, Any]:
    """What only `fit` may change: parameters, buffers, and what layers carry."""
    values = {name: value.tobytes() for name, value in model.state_dict().items()}
    return {**values, "carried": [id(layer.carried) for layer in model.named_layers().values()]}


def _threads() -> set[threading.Thread]:
    """All of them; those of `over_parts` stay once they are there."""
    return {thread for thread in threading.enumerate() if thread.name != "nnlite"}


Before = tuple[dict[str, Any], dict[str, Any], set[threading.Thread]]


def _changed(of: Subject, call: str, before: Before) -> list[str]:
    """What is not as before, in words."""
    surroundings, state, threads = before
    pairs = [(surroundings, _surroundings(of.model))]
    if not call.startswith("fit"):
        pairs.append((state, _state(of.model)))
    found = [
        f"{name} was {old[name]!r:.80}, is {new[name]!r:.80}"
        for old, new in pairs
        for name in old
        if old[name] != new[name]
    ]
    limit = time.monotonic() + 1  # for those that are about to end
    while _threads() - threads and time.monotonic() < limit:
        time.sleep(1e-3)
    found += [f"{thread.name} is still there" for thread in _threads() - threads]
    of.twin.load_state_dict(of.model.state_dict())
    if not np.array_equal(of.calls["predict"](), of.twin.predict(of.x, batch_size=len(of.x) // 2)):
        found.append("outputs are wrong")
    of.calls[call]()
    return found


# -- one case --------------------------------------------------------------------------------------


def case(number: int) -> Outcome:
    """Cut one call short, and look around."""
    rng = np.random.default_rng([3, number])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    model, way = chosen(rng, [*MODELS]), chosen(rng, WAYS)
    of = subject(model)
    call = chosen(rng, [*of.calls])
    delay, second = rng.uniform(0, 1.1) * of.seconds[call], rng.uniform(0, 2e-3)
    before = _surroundings(of.model), _state(of.model), _threads()
    errors = np.geterr()
    group, text = f"{call}, {way}", f"{model} after {delay:.6f} s"
    if not _cut_short(of, call, way, delay, second):
        kind = "swallowed"
    elif found := _changed(of, call, before):
        kind, text = "changed", f"{text}: {'; '.join(found)}"
    else:
        kind = "as before"
    np.seterr(**errors)  # np.errstate ends in Python code of NumPy's, which Ctrl-C cuts as well
    if kind == "as before":
        return Outcome(group, kind, text)
    subject.cache_clear()  # the next cases begin anew
    return Outcome(group, kind, text)


def _cut_short(of: Subject, call: str, way: str, delay: float, second: float) -> bool:
    """Repeat the call until it is interrupted; whether it was.

    What comes while a finalizer runs, Python throws away: then it is done once more.
    """
    thread = threading.Thread(target=_from_a_thread, args=(way, delay, second))
    limit = time.monotonic() + PATIENCE
    of.trainer.interrupted = done = False
    lost: list[Any] = []  # by Python, in the finalizer of an object
    hook, sys.unraisablehook = sys.unraisablehook, lost.append
    alarm = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        if way == "timer":
            signal.setitimer(signal.ITIMER_REAL, max(delay, 1e-6))
        else:
            thread.start()
        while not done and not lost and time.monotonic() < limit:
            of.calls[call]()
            done = of.trainer.interrupted  # `fit` returns at the first Ctrl-C
    except KeyboardInterrupt:
        done = True
    while True:  # the second one may come late, and anywhere in here
        try:
            while thread.is_alive():
                thread.join()
            break
        except KeyboardInterrupt:
            done = True
    signal.signal(signal.SIGALRM, alarm)
    sys.unraisablehook = hook
    return done if not lost else _cut_short(of, call, way, delay, second)


def _from_a_thread(way: str, delay: float, second: float) -> None:
    """Ctrl-C, as a watchdog of another thread would do it."""
    time.sleep(delay)
    _thread.interrupt_main()
    if way == "thread, twice":
        time.sleep(second)
        _thread.interrupt_main()
