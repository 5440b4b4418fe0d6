"""Where every random draw begins: one seed for a whole script, one generator for whoever draws."""

from __future__ import annotations

import numpy as np

from nnlite.checks import check_whole

_root = np.random.SeedSequence()


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
    _root = np.random.SeedSequence(check_whole("seed", value, least=0))


def as_generator(rng: np.random.Generator | int | None = None) -> np.random.Generator:
    """The generator behind an `rng=` argument.

    A generator is returned as it is, an integer seeds a new one, and None spawns the next one
    from the root that `seed` sets.

    Raises:
        TypeError: when `rng` is none of the three.
    """
    if rng is None:
        return np.random.default_rng(_root.spawn(1)[0])
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return np.random.default_rng(rng)
    raise TypeError(
        f"rng must be a numpy Generator, an integer seed or None, got {type(rng).__name__}"
    )


def root_entropy() -> int:
    """The seed that `seed` was called with, or the random one in its place."""
    return int(_root.entropy)  # type: ignore[arg-type]
