"""One file per framework, each imported only in a child process of its own.

Each has `training(workload)`, which returns a function that does one full training step and
returns its loss as a number, and `inference(workload)`, which returns a function that predicts
one batch. `steps` on a training function says how many steps one call does (default 1).
"""

from collections.abc import Container

from benchmarks.workloads import Workload

LEARNING_RATE = 1e-3
MOMENTUM = 0.9
THREADS = 2


def check_kinds(workload: Workload, layers: Container[str], optimizers: Container[str]) -> None:
    """Refuse a workload with a kind of layer, or an optimizer, that is not built here."""
    for kind, *_ in workload.layers:
        if kind not in layers:
            raise NotImplementedError(f"no {kind} here")
    if workload.optimizer not in optimizers:
        raise NotImplementedError(f"no {workload.optimizer} here")
