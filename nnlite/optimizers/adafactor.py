"""Adafactor: a size for every weight of a matrix from one number per row and one per column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import running_mean
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class Adafactor(Optimizer):
    """Adam's step by size without its memory: v is kept as r q / mean(r), of n + m numbers.

    Rule         β = 1 − k^beta2_decay;  α = max(ε₂, rms(w)) min(lr, 1/√k),  rms(a) = ‖a‖/√size
                 of the last two axes of w, (…, n, m), with r (…, n, 1) and q (…, 1, m):
                 r ← β r + (1 − β) mean(g², rows);  q ← β q + (1 − β) mean(g², columns)
                 v = r q / max(mean(r), ε₁);  of a vector, v ← β v + (1 − β) g²
                 w ← w − lr λ w − α u / max(1, rms(u)/d),  u = g / max(√v, ε₁)
                 r q / mean(r) is, of all matrices of rank 1, the nearest to the mean of g² in the
                 generalized Kullback-Leibler divergence; it has its sums of rows and columns
    Args         lr: the largest share of rms(w) that a step moves w by (default 1e-2)
                 beta2_decay: ≤ 0 (default −0.8)
                 eps: (ε₁, ε₂), each ≥ 0; ε₁ None is the machine's precision, 1.2e-7 in float32
                     (default (None, 1e-3))
                 d: steps longer than this, in units of α, are cut down to it, ≥ 1 (default 1)
                 the others: see `Optimizer`; the weight decay λ is decoupled
    Source       Shazeer & Stern 2018, algorithm 4 (and 5 for vectors); the form is PyTorch's
    """

    decoupled: ClassVar[bool] = True
    own_decay: ClassVar[bool] = True  # rms(w) is that of the weights before they shrink
    whole: ClassVar[bool] = True
    state: ClassVar = {"r": "row_var", "q": "col_var", "v": "variance"}

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            beta2_decay=beta2_decay, eps=eps, d=d,
        )  # fmt: skip

    def check_options(self, options: Options) -> None:
        """ε₂ has no default of its own."""
        if options["eps"][1] is None:
            raise ValueError(f"Adafactor: only the first eps may be None, got {options['eps']}")

    def first_state(self, parameter: Parameter, options: Options) -> dict[str, Array]:
        """A row and a column for each matrix, and of a vector all of v."""
        data = parameter.data
        if data.ndim < 2:
            return {"variance": np.zeros_like(data)}
        return {
            "row_var": np.zeros_like(data[..., :, :1]),
            "col_var": np.zeros_like(data[..., :1, :]),
        }

    def rule(self, options: Options) -> dict[str, str]:
        """Of the group's matrices, and of the vectors in it."""
        decay = " lr λ w −" if options["weight_decay"] != 0 else ""
        step = (
            f"w ← w −{decay} α u / max(1, ρ / d),  α = max(ε₂, ‖w‖ / √size) min(lr, 1 / √k),  "
            "ρ = ‖u‖ / √size,  u = g / max(√v, ε₁)"
        )
        of_matrices = {
            "r": "r ← β r + (1 − β) Σⱼ g² / m,  β = 1 − k^beta2_decay,  of w (n, m)",
            "q": "q ← β q + (1 − β) Σᵢ g² / n",
            "w": f"{step},  v = r q / max(Σᵢ r / n, ε₁)",
        }
        of_vectors = {"v": "v ← β v + (1 − β) g²,  β = 1 − k^beta2_decay", "w": step}
        vectors = [p.data.ndim < 2 for p in options["params"]]
        if all(vectors):
            return of_vectors
        if not any(vectors):
            return of_matrices
        return of_matrices | {f"vector {name}": line for name, line in of_vectors.items()}

    def update(
        self, w: Array, g: Array, r: Array | None, q: Array | None, v: Array | None, a: Array,
        lr: float, beta2_decay: float, eps: tuple[float | None, float], d: float,
        weight_decay: float, k: int,
    ) -> None:  # fmt: skip
        """One step of at most the share lr of w."""
        eps1 = float(np.finfo(w.dtype).eps) if eps[0] is None else eps[0]
        beta = 1 - k**beta2_decay
        rate = max(eps[1], _rms(w)) * min(lr, 1 / math.sqrt(k))
        if weight_decay:
            w *= 1 - lr * weight_decay
        np.multiply(g, g, out=a)
        if r is None or q is None:
            assert v is not None
            running_mean(v, a, beta, a)
            np.sqrt(v, out=a)
        else:
            for kept, axis in ((r, -1), (q, -2)):
                kept *= beta
                kept += (1 - beta) * a.mean(axis=axis, keepdims=True)
            np.multiply(r, q, out=a)
            a /= np.maximum(r.mean(axis=-2, keepdims=True), eps1)
            np.sqrt(a, out=a)
        np.maximum(a, eps1, out=a)
        np.divide(g, a, out=a)
        a *= rate / max(1.0, _rms(a) / d)
        w -= a


def _rms(a: Array) -> float:
    """‖a‖ / √size, of an array whose memory is in one piece."""
    flat = a.reshape(-1)
    return math.sqrt(float(np.dot(flat, flat)) / max(1, a.size))
