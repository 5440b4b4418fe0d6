"""Not a framework: the matrix products of the workload alone, into memory that is there already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks import workloads
from benchmarks.frameworks import check_kinds

KNOWN = ("linear", "relu", "gelu", "dropout", "conv", "maxpool", "batchnorm", "flatten")
Product = tuple[np.ndarray, np.ndarray, np.ndarray]


def products(workload: workloads.Workload, backward: bool) -> list[Product]:
    """(a, b, out) of every product: y = x W, dW = xᵀ G, and dx = G Wᵀ but for the first layer.

    Convolutions count as the products of their windows, im2col.
    """
    check_kinds(workload, KNOWN, {workload.optimizer})  # no optimizer here
    rng = np.random.default_rng(0)
    found: list[Product] = []

    def add(a: np.ndarray, b: np.ndarray) -> None:
        found.append((a, b, np.empty((a.shape[0], b.shape[1]), np.float32)))

    size = workload.x_shape[0]  # images are square
    for index, (kind, *sizes) in enumerate(workload.layers):
        rows = inputs = 0
        if kind == "maxpool":
            size //= sizes[0]
        if kind == "linear":
            rows, inputs = workload.batch, sizes[0]
        if kind == "conv":
            _, _, kernel, stride, padding, groups = sizes
            size = (size + 2 * padding - kernel) // stride + 1
            if groups == 1:  # the others, depthwise, have no matrix product
                rows, inputs = workload.batch * size**2, kernel**2 * sizes[0]
        if rows:
            x, w, g = (
                rng.standard_normal(shape, np.float32)
                for shape in ((rows, inputs), (inputs, sizes[1]), (rows, sizes[1]))
            )
            add(x, w)
            if backward:
                add(x.T, g)
            if backward and index > 0:
                add(g, w.T)
    return found


def _all(found: list[Product]) -> float:
    for a, b, out in found:
        np.matmul(a, b, out=out)
    return 0.0


def training(workload: workloads.Workload) -> Callable[[], float]:
    """All products of a training step."""
    found = products(workload, backward=True)
    return lambda: _all(found)


def inference(workload: workloads.Workload) -> Callable[[], float]:
    """All products of a forward pass."""
    found = products(workload, backward=False)
    return lambda: _all(found)
