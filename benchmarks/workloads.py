"""The workloads: what is trained, one short entry each.

A model is a list of layers, each a kind and its sizes, that every framework builds with its own
classes; weights and data are drawn here, once, so that all of them do the same work.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container
from typing import Any, NamedTuple

import numpy as np

Kind = tuple[Any, ...]


class Workload(NamedTuple):
    """A model, a batch and an optimizer."""

    name: str
    layers: tuple[Kind, ...]
    x_shape: tuple[int, ...]  # of one sample; whole numbers when an embedding comes first
    classes: int
    batch: int
    optimizer: str = "adam"
    y_shape: tuple[int, ...] = ()  # of one sample: (T,) for a class per token

    def without_dropout(self) -> Workload:
        """The same work without the part that each framework draws for itself."""
        return self._replace(layers=tuple(kind for kind in self.layers if kind[0] != "dropout"))


def mlp(
    sizes: str, batch: int, optimizer: str = "adam", between: tuple[Kind, ...] = (("relu",),)
) -> Workload:
    """A multilayer perceptron such as "64-128-10"."""
    widths = [int(size) for size in sizes.split("-")]
    layers: list[Kind] = []
    for before, after in itertools.pairwise(widths):
        layers += [("linear", before, after), *between]
    layers = layers[: len(layers) - len(between)]
    names = [sizes, *(kind[0] for kind in between if kind[0] != "relu"), optimizer, f"b{batch}"]
    return Workload(" ".join(names), tuple(layers), (widths[0],), widths[-1], batch, optimizer)


TABLE = [
    mlp("2-16-16-2", 32),
    mlp("64-128-64-10", 64),
    mlp("784-512-256-10", 128),
    mlp("64-256-256-10", 256, "adamw", (("gelu",), ("dropout", 0.5))),
]
SGD = mlp("784-512-256-10", 128, "sgd")
SEQUENCES = [
    Workload(
        f"{kind} 32-128 t32 last 10 adam b64",
        ((kind, 32, 128), ("last",), ("linear", 128, 10)),
        (32, 32),
        10,
        64,
    )
    for kind in ("lstm", "gru")
] + [
    Workload(
        "embedding 10000-64 t32 last 10 adam b64",
        (("embedding", 10_000, 64), ("last",), ("linear", 64, 10)),
        (32,),
        10,
        64,
    )
]
LATENCY = mlp("64-128-64-10", 1)
THROUGHPUT = mlp("64-128-64-10", 1024)
BATCHES = [mlp("64-128-64-10", batch) for batch in (1, 4, 16, 64, 256, 1024, 4096)]
DEPTHS = [mlp("-".join(["64"] * (depth + 1)), 64) for depth in (1, 3, 10, 30, 100)]
WIDTHS = [mlp(f"64-{width}-{width}-10", 64) for width in (16, 64, 256, 1024)]
ATTENTION = [
    Workload(
        "transformer 128 4 heads 512 T64 adam b32",
        (("transformer", 128, 4, 512), ("linear", 128, 65)),
        (64, 128),
        65,
        32,
        y_shape=(64,),
    )
]

ALL = {
    w.name: w
    for w in [*TABLE, SGD, *SEQUENCES, *ATTENTION, LATENCY, THROUGHPUT, *BATCHES, *DEPTHS, *WIDTHS]
}


def data(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """One batch: float32 inputs, or tokens for an embedding, and integer classes."""
    rng = np.random.default_rng(0)
    shape = (workload.batch, *workload.x_shape)
    kind, *sizes = workload.layers[0]
    x = rng.standard_normal(shape, np.float32)
    if kind == "embedding":
        x = rng.integers(0, sizes[0], shape)
    return x, rng.integers(0, workload.classes, (workload.batch, *workload.y_shape))


def weights(workload: Workload) -> list[np.ndarray]:
    """The first value of every parameter, in nnlite's layouts and order."""
    rng = np.random.default_rng(1)
    drawn = []
    for kind, *sizes in workload.layers:
        for shape, fan_in in SHAPES.get(kind, lambda *sizes: [])(*sizes):
            bound = 1 / math.sqrt(fan_in)
            drawn.append(rng.uniform(-bound, bound, shape).astype(np.float32))
    return drawn


def require(workload: Workload, known: Container[str]) -> None:
    """Refuse a workload with a kind of layer that a framework's file does not build."""
    for kind, *_ in workload.layers:
        if kind not in known:
            raise NotImplementedError(f"no {kind} here")


# The parameters of each kind of layer: their shapes, and the fan that scales their first values.
SHAPES = {
    "linear": lambda i, o: [((i, o), i), ((o,), i)],
    "lstm": lambda i, h: [((i, 4 * h), h), ((h, 4 * h), h), ((4 * h,), h)],
    "gru": lambda i, h: [((i, 3 * h), h), ((h, 3 * h), h), ((3 * h,), h)],
    "embedding": lambda n, d: [((n, d), 1)],
    "transformer": lambda d, heads, d_ff: [
        *[((d,), 1), ((d,), d)],  # the first normalization
        *[((d, 3 * d), d), ((3 * d,), d), ((d, d), d), ((d,), d)],  # attention
        *[((d,), 1), ((d,), d)],
        *[((d, d_ff), d), ((d_ff,), d), ((d_ff, d), d_ff), ((d,), d_ff)],
    ],
}
