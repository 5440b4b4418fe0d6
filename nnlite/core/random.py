"""Where every random draw begins: one seed for a whole script, or for a block of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nnlite.core.arguments import checked, kind_of
from nnlite.core.kinds import REFUSED

__all__ = ["Rng", "scope", "seed"]

# What an `rng=` argument may be; see `as_generator`.
Rng = (
    np.random.Generator
    | np.random.BitGenerator
    | np.random.SeedSequence
    | np.random.RandomState
    | int
    | None
)

RNG: Any = kind_of(Rng, None)

_root = np.random.SeedSequence()


class _Scopes(threading.local):
    """The roots of the scopes that this thread is inside of, the innermost last."""

    def __init__(self) -> None:
        self.roots: list[np.random.SeedSequence] = []


_scopes = _Scopes()


@checked
def seed(value: int) -> None:
    """Make everything drawn from here on reproducible.

    Whatever draws (initial weights, dropout, a trainer's shuffling, a toy data set) spawns its own
    generator from this root when it is constructed, in the order of construction. So call `seed`
    first, before the model is built; two scripts with the same seed then draw the same numbers.

    Args:
        value: any integer ≥ 0.

    Raises:
        ValueError: for anything else.
    """
    global _root
    _root = np.random.SeedSequence(value)


@contextmanager
def scope(rng: Rng) -> Iterator[None]:
    """A context in which whatever draws begins from a seed of its own.

        with nn.random.scope(0):
            model = nn.Sequential(nn.Linear(64, 10), nn.Dropout())

    builds the same model wherever it stands, as `nn.seed(0)` in front of it would; but what is
    built after it draws as if it had not been there. Scopes nest, and each thread has its own.

    Args:
        rng: an integer ≥ 0, or anything else that an `rng=` argument takes. A generator gives
            one draw, so that the next scope from it is another one.

    Raises:
        TypeError, ValueError: for anything else.
    """
    rng = _checked(rng)
    entropy = rng if isinstance(rng, int) else _entropy(as_generator(rng))
    root = np.random.SeedSequence(entropy)
    roots = _scopes.roots  # this thread's, also when another one closes a generator
    roots.append(root)
    try:
        yield
    finally:  # not always the last: generators may end in any order
        roots[:] = [other for other in roots if other is not root]


def as_generator(rng: Rng = None) -> np.random.Generator:
    """The generator behind an `rng=` argument.

    Args:
        rng: a `Generator`, used as it is and shared; a `BitGenerator`, used by a new one; an
            integer ≥ 0 or a `SeedSequence`, from which a new one begins; a `RandomState`, which
            draws the seed of a new one; or None, for the next one that is spawned from the
            root that `seed` or `scope` sets.

    Raises:
        TypeError: when `rng` is none of these.
        ValueError: for an integer below 0.
    """
    if rng is None:
        return np.random.default_rng(_current_root().spawn(1)[0])
    rng = _checked(rng)
    if isinstance(rng, np.random.RandomState):  # its own bit generator could not spawn others
        return np.random.default_rng(_entropy(rng))
    return np.random.default_rng(rng)


def _checked(rng: Any) -> Any:
    """What an `rng=` argument may be, with whole numbers as Python's."""
    if (taken := RNG.take(rng)) is REFUSED:
        raise RNG.refusal("rng", rng)
    return taken


def root_entropy() -> int:
    """The seed of the scope, or that `seed` was called with, or the random one in its place."""
    return int(_current_root().entropy)  # type: ignore[arg-type]


def _entropy(rng: np.random.Generator | np.random.RandomState) -> int:
    """A seed of 128 bits, drawn."""
    return int.from_bytes(rng.bytes(16), "little")


def _current_root() -> np.random.SeedSequence:
    """Where a draw without an `rng` begins."""
    return _scopes.roots[-1] if _scopes.roots else _root
