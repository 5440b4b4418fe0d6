"""What two runs must have in common to be the same run."""

from __future__ import annotations

import hashlib
import os
import platform
from typing import Any

import numpy as np

from nnlite.core import VERSION
from nnlite.layers.base import Layer
from nnlite.layers.structure import arrays
from nnlite.ops.engine import engine
from nnlite.ops.threads import blas_threads

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def environment() -> dict[str, Any]:
    """Versions, processor, engine, BLAS and threads: what the last digits of a result depend on."""
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "nnlite": VERSION,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "simd": " ".join(config.get("SIMD Extensions", {}).get("found", [])),
        "engine": engine(),
        "blas": f"{blas['name']} {blas.get('version', '')}".strip(),
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
        "blas_threads": blas_threads(),
        "cores": cores,
    }


def weights_hash(model: Layer) -> str:
    """SHA-256 of all parameters and buffers: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for path, part in arrays(model).items():
        digest.update(f"{path} {part.dtype.str} {part.shape}\n".encode())
        digest.update(np.ascontiguousarray(part.data).data)
    return digest.hexdigest()
