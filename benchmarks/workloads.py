"""The workloads: what is trained, one short entry each.

A model is a list of layers, each a kind and its sizes, that every framework builds with its own
classes; weights and data are drawn here, once, so that all of them do the same work.
"""

from __future__ import annotations

import itertools
import math
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


def conv(i: int, o: int, kernel: int = 3, groups: int = 1) -> Kind:
    """A convolution of stride 1 that keeps the size."""
    return ("conv", i, o, kernel, 1, kernel // 2, groups)


def normalized(*convolutions: Kind) -> list[Kind]:
    """Each convolution with batch norm and ReLU."""
    return [k for each in convolutions for k in (each, ("batchnorm", each[2]), ("relu",))]


def separable(i: int, o: int) -> list[Kind]:
    """A depthwise 3×3 convolution and a pointwise one."""
    return normalized(conv(i, i, 3, i), conv(i, o, 1))


def convolutional(name: str, layers: list[Kind], x_shape: tuple[int, ...]) -> Workload:
    """A convolution net on images, trained by SGD with momentum at batch 64."""
    return Workload(f"{name} b64", tuple(layers), x_shape, 10, 64, "sgd momentum")


POOL: Kind = ("maxpool", 2)
CONVOLUTIONS = [
    convolutional(
        "conv 32-64, 28x28x1",
        [
            *[conv(1, 32), ("relu",), POOL, conv(32, 64), ("relu",), POOL],
            *[("flatten",), ("linear", 7 * 7 * 64, 128), ("relu",), ("linear", 128, 10)],
        ],
        (28, 28, 1),
    ),
    convolutional(
        "conv 32-32-64-64-128-128 batchnorm, 32x32x3",
        [
            *[*normalized(conv(3, 32), conv(32, 32)), POOL],
            *[*normalized(conv(32, 64), conv(64, 64)), POOL],
            *[*normalized(conv(64, 128), conv(128, 128)), POOL],
            *[("flatten",), ("linear", 4 * 4 * 128, 10)],
        ],
        (32, 32, 3),
    ),
    convolutional(
        "separable 32-64-128-128 batchnorm, 32x32x3",
        [
            *[*normalized(conv(3, 32)), *separable(32, 64), POOL],
            *[*separable(64, 128), POOL, *separable(128, 128), POOL],
            *[("flatten",), ("linear", 4 * 4 * 128, 10)],
        ],
        (32, 32, 3),
    ),
]

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
# what grows, and the workload by its size
GROWTH = {
    "width": {n: mlp(f"64-{n}-{n}-10", 64) for n in (64, 128, 256, 512, 1024, 2048, 4096)},
    "batch": {n: mlp("64-128-64-10", n) for n in (1, 4, 16, 64, 256, 1024, 4096)},
    "depth": {
        n: mlp("-".join(["64"] * (n + 1)), 64)._replace(name=f"{n} layers of 64 adam b64")
        for n in (2, 4, 8, 16, 32, 64)
    },
    "T": {
        n: Workload(
            f"lstm 32-128 t{n} last 10 adam b64",
            (("lstm", 32, 128), ("last",), ("linear", 128, 10)),
            (n, 32),
            10,
            64,
        )
        for n in (16, 32, 64, 128, 256, 512)
    },
}
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
    for w in [
        *[*TABLE, SGD, *SEQUENCES, *ATTENTION, LATENCY, THROUGHPUT],
        *[*CONVOLUTIONS, *(w for by_size in GROWTH.values() for w in by_size.values())],
    ]
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


# The parameters of each kind of layer: their shapes, and the fan that scales their first values.
SHAPES = {
    "linear": lambda i, o: [((i, o), i), ((o,), i)],
    "conv": lambda i, o, k, s, p, g: [((k, k, i // g, o), k * k * i // g), ((o,), k * k * i // g)],
    "batchnorm": lambda c: [((c,), 1), ((c,), 1)],
    "lstm": lambda i, h: [((i, 4 * h), h), ((h, 4 * h), h), ((4 * h,), h)],
    "gru": lambda i, h: [((i, 3 * h), h), ((h, 3 * h), h), ((3 * h,), h), ((h,), h)],
    "embedding": lambda n, d: [((n, d), 1)],
    "transformer": lambda d, heads, d_ff: [
        *[((d,), 1), ((d,), d)],  # the first normalization
        *[((d, 3 * d), d), ((3 * d,), d), ((d, d), d), ((d,), d)],  # attention
        *[((d,), 1), ((d,), d)],
        *[((d, d_ff), d), ((d_ff,), d), ((d_ff, d), d_ff), ((d,), d_ff)],
    ],
}
