"""Not a framework: the matrix products of the workload alone, into memory that is there already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks import workloads

KNOWN = ("linear", "relu", "gelu", "dropout")
Product = tuple[np.ndarray, np.ndarray, np.ndarray]


def products(workload: workloads.Workload, backward: bool) -> list[Product]:
    """(a, b, out) of every product: y = x W, dW = xᵀ G, and dx = G Wᵀ but for the first layer."""
    workloads.require(workload, KNOWN)
    rng = np.random.default_rng(0)
    found: list[Product] = []

    def add(a: np.ndarray, b: np.ndarray) -> None:
        found.append((a, b, np.empty((a.shape[0], b.shape[1]), np.float32)))

    for index, (kind, *sizes) in enumerate(workload.layers):
        if kind == "linear":
            x, w, g = (
                rng.standard_normal(shape, np.float32)
                for shape in ((workload.batch, sizes[0]), tuple(sizes), (workload.batch, sizes[1]))
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
