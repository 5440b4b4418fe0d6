"""Toy data sets: small, seeded, and each with something to teach.

Every generator takes `rng`: an integer gives the same set each time, None draws from the root
that `nn.seed` sets. Inputs are float32 `(N, D)`; classes are int64 `(N,)`, as even in number as
possible; targets of regressions are float32 `(N, 1)`. The order is shuffled. `noise` is the
standard deviation of what is added to the points.
"""

from __future__ import annotations

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.random import Rng, as_generator

DataSet = tuple[np.ndarray, np.ndarray]


@checked
def xor(n_samples: int = 400, noise: float = 0.2, rng: Rng = None) -> DataSet:
    """Four clouds at (±1, ±1); the class says whether the signs differ.

    No straight line separates the classes: a linear model stays at chance, a hidden layer does it.
    """
    rng, y = _begin(n_samples, 2, noise, rng)
    first = rng.choice([-1.0, 1.0], n_samples)
    second = np.where(y == 1, -first, first)
    return _noisy(np.column_stack([first, second]), noise, rng), y


@checked
def spirals(
    n_samples: int = 300, n_classes: int = 3, noise: float = 0.1, rng: Rng = None
) -> DataSet:
    """Interleaved spiral arms, one per class, from the centre out to radius 1.

    `noise` is in radians along the arm. Needs at least one hidden layer of some width.
    """
    rng, y = _begin(n_samples, n_classes, noise, rng)
    radius = rng.uniform(0.05, 1, n_samples)
    angle = 4 * radius + 2 * np.pi * y / n_classes + noise * rng.standard_normal(n_samples)
    return _polar(radius, angle).astype(np.float32), y


@checked
def moons(n_samples: int = 300, noise: float = 0.1, rng: Rng = None) -> DataSet:
    """Two half circles that reach into each other.

    Almost separable by a line, so it shows what a hidden layer adds.
    """
    rng, y = _begin(n_samples, 2, noise, rng)
    arc = _polar(np.ones(n_samples), rng.uniform(0, np.pi, n_samples))
    lower = np.array([1.0, 0.5]) - arc
    return _noisy(np.where(y[:, None] == 1, lower, arc), noise, rng), y


@checked
def circles(
    n_samples: int = 300, noise: float = 0.05, factor: float = 0.5, rng: Rng = None
) -> DataSet:
    """A circle (class 0, radius 1) around another (class 1, radius `factor`).

    Separable in the squared distance only, a feature that a hidden layer has to invent.
    """
    rng, y = _begin(n_samples, 2, noise, rng)
    radius = np.where(y == 1, factor, 1.0)
    return _noisy(_polar(radius, rng.uniform(0, 2 * np.pi, n_samples)), noise, rng), y


@checked
def blobs(
    n_samples: int = 300,
    n_classes: int = 3,
    n_features: int = 2,
    noise: float = 1.0,
    rng: Rng = None,
) -> DataSet:
    """Round clouds, one per class, with centres drawn from [−10, 10] in every feature.

    Separable by lines where the clouds do not overlap: what softmax regression is for.
    """
    rng, y = _begin(n_samples, n_classes, noise, rng)
    centres = rng.uniform(-10, 10, (n_classes, n_features))
    return _noisy(centres[y], noise, rng), y


@checked
def checkerboard(
    n_samples: int = 400, n_cells: int = 4, noise: float = 0.0, rng: Rng = None
) -> DataSet:
    """The square [−1, 1]² in `n_cells` × `n_cells` fields; the class is the field's colour.

    Many separate regions of each class: it shows the capacity of a model.
    """
    rng, y = _begin(n_samples, 2, noise, rng)
    row = rng.integers(0, n_cells, n_samples)
    # a column of the wanted colour: those with row + column ≡ class (mod 2)
    parity = (row + y) % 2
    column = parity + 2 * rng.integers(0, (n_cells - parity + 1) // 2)
    cell = np.column_stack([column, row]) + rng.uniform(0, 1, (n_samples, 2))
    return _noisy(2 * cell / n_cells - 1, noise, rng), y


@checked
def sine(n_samples: int = 200, noise: float = 0.1, rng: Rng = None) -> DataSet:
    """One period and a half of a sine over [−1, 1], to be fitted: y = sin(1.5 · 2π · x / 2).

    Regression with one input; `noise` is added to the targets.
    """
    rng, _ = _begin(n_samples, 1, noise, rng)
    x = rng.uniform(-1, 1, (n_samples, 1))
    return x.astype(np.float32), _noisy(np.sin(1.5 * np.pi * x), noise, rng)


@checked
def swiss_roll(n_samples: int = 500, noise: float = 0.05, rng: Rng = None) -> DataSet:
    """A rolled-up sheet in three dimensions; the target is the position along the roll, 0 to 1.

    Regression on a manifold: neighbours in space may be far apart on the sheet.
    """
    rng, _ = _begin(n_samples, 1, noise, rng)
    position = rng.uniform(0, 1, n_samples)
    angle = 1.5 * np.pi * (1 + 2 * position)
    flat = _polar(angle / 10, angle)
    x = np.column_stack([flat[:, 0], rng.uniform(0, 2, n_samples), flat[:, 1]])
    return _noisy(x, noise, rng), position[:, None].astype(np.float32)


def _begin(
    n_samples: int, n_classes: int, noise: float, rng: Rng
) -> tuple[np.random.Generator, np.ndarray]:
    """Check the arguments; the generator, and classes of even size in random order."""
    if n_samples < n_classes:
        raise ValueError(
            f"expected at least one sample for each of {n_classes} classes, got {n_samples}"
        )
    rng = as_generator(rng)
    return rng, rng.permutation(np.arange(n_samples, dtype=np.int64) % n_classes)


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points (N, 2) from radius and angle."""
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def _noisy(points: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The points with normal noise, in float32."""
    return (points + noise * rng.standard_normal(points.shape)).astype(np.float32)
