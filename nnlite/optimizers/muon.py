"""Muon: matrices move along the orthogonal matrix next to their momentum."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.ops.moments import running_mean
from nnlite.optimizers.adam import MOMENTS, corrected_step
from nnlite.optimizers.base import Array, Optimizer
from nnlite.optimizers.groups import Group, Options, Schedule


class Muon(Optimizer):
    """Momentum, orthogonalized by Newton and Schulz, for matrices; AdamW for all the rest.

    Rule         of a matrix, w (in, out):  b ← μ b + (1 − μ) g
                 X = b, with Nesterov's look-ahead μ b + (1 − μ) g;  X ← X / max(‖X‖, ε)
                 ns_steps times:  X ← c₁ X + (c₃ A + c₅ A²) X,  A = X Xᵀ
                 w ← w − lr λ w − lr s X,  s = √max(1, out/in)
                 With X = U S Vᵀ each of them is U (c₁ S + c₃ S³ + c₅ S⁵) Vᵀ: a polynomial of the
                 singular values, which brings them from [0, 1] to about 1, so that X ≈ U Vᵀ: the
                 step has the same size in all directions
                 of all other parameters: AdamW's rule
    Args         weight_decay: λ, decoupled (default 0.1)
                 momentum: μ, 0 ≤ μ < 1, or a schedule (default 0.95)
                 nesterov: whether to look ahead (default True)
                 ns_coefficients: (c₁, c₃, c₅) (default (3.4445, −4.775, 2.0315))
                 eps: ε, in AdamW's rule too (default 1e-7)
                 ns_steps: how often, 1 to 99 (default 5)
                 adjust_lr_fn: s; "original" as above (default), or "match_rms_adamw", which is
                     0.2 √max(in, out): steps as long as AdamW's, for its learning rates
                 betas: AdamW's (default (0.9, 0.999))
                 matrices: whether those of the group are orthogonalized; AdamW is for the first
                     and the last layer: `[{"params": hidden}, {"params": head, "matrices": False}]`
                     (default True)
                 the others: see `Optimizer`; lr is 1e-3 by default
    Raises       ValueError: for ns_coefficients that let X grow
    Source       Jordan et al. 2024, "Muon: an optimizer for hidden layers"; Liu et al. 2025,
                 "Muon is scalable", equation 4, for "match_rms_adamw"; the form is PyTorch's, whose
                 weights are (out, in)

    A matrix has two axes: kernels of convolutions are among the rest.
    """

    decoupled: ClassVar[bool] = True
    whole: ClassVar[bool] = True
    state: ClassVar = {"b": "momentum_buffer", "m": "exp_avg", "v": "exp_avg_sq"}
    fading: ClassVar = ("b", "m")
    scratch: ClassVar = ("x", "y", "p", "q")

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule = 1e-3,
        weight_decay: float | Schedule = 0.1,
        momentum: float | Schedule = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: Literal["original", "match_rms_adamw"] = "original",
        betas: tuple[float, float] = (0.9, 0.999),
        matrices: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay, clip_norm, clip_value, maximize,
            momentum=momentum, nesterov=nesterov, ns_coefficients=ns_coefficients, eps=eps,
            ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn, betas=betas, matrices=matrices,
        )  # fmt: skip

    def check_options(self, options: Options) -> None:
        """The polynomial must not let singular values grow, which are in [0, 1] at first."""
        coefficients, steps = options["ns_coefficients"], options["ns_steps"]
        (c1, c3, c5), s = coefficients, np.linspace(0, 1, 101)
        with np.errstate(all="ignore"):
            for _ in range(steps):
                s = c1 * s + c3 * s**3 + c5 * s**5
        if not np.abs(s).max() < 10:
            raise ValueError(
                f"Muon: ns_coefficients must bring singular values in [0, 1] near to 1, and with "
                f"{coefficients} some grow beyond 10 in {steps} steps"
            )

    def first_state(self, parameter: Parameter, options: Options) -> dict[str, Array]:
        """The momentum of a matrix, or AdamW's means."""
        orthogonal = options["matrices"] and parameter.data.ndim == 2
        names = ["momentum_buffer"] if orthogonal else ["exp_avg", "exp_avg_sq"]
        return {name: np.zeros_like(parameter.data) for name in names}

    def rule(self, options: Options) -> dict[str, str]:
        """Of the group's matrices, and of the others in it."""
        ways = {"original": "√max(1, m / n)", "match_rms_adamw": "0.2 √max(n, m)"}
        steps = f"{options['ns_steps']} times"
        of_matrices = {
            "b": "b ← μ b + (1 − μ) g",
            "X": "X = μ b + (1 − μ) g" if options["nesterov"] else "X = b",
            "X scaled": "X ← X / max(‖X‖, ε)",
            f"X {steps}": f"X ← c₁ X + B X,  {steps},  B = c₃ A + c₅ A A,  A = X Xᵀ",
            "w": f"w ← w − lr s X,  s = {ways[options['adjust_lr_fn']]},  of w (n, m)",
        }
        of_others = {
            **MOMENTS,
            "w": "w ← w − lr m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁ᵏ),  v̂ = v / (1 − β₂ᵏ)",
        }
        orthogonal = [options["matrices"] and p.data.ndim == 2 for p in options["params"]]
        if all(orthogonal):
            return of_matrices
        if not any(orthogonal):
            return of_others
        return of_matrices | {f"other {name}": line for name, line in of_others.items()}

    def update(
        self, w: Array, g: Array, b: Array | None, m: Array | None, v: Array | None,
        x: Array, y: Array, p: Array, q: Array,
        lr: float, momentum: float, nesterov: bool, ns_coefficients: tuple[float, float, float],
        eps: float, ns_steps: int, adjust_lr_fn: str, betas: tuple[float, float], k: int,
    ) -> None:  # fmt: skip
        """One step of a matrix, or of another parameter."""
        if b is None:
            assert m is not None
            assert v is not None
            w, g, m, v, x = (array.reshape(-1) for array in (w, g, m, v, x))  # views
            corrected_step(w, g, m, v, None, x, lr, betas, eps, k)
            return
        running_mean(b, g, momentum, x)
        np.copyto(x, b)
        if nesterov:
            np.subtract(b, g, out=x)
            x *= momentum
            x += g
        x /= max(float(np.linalg.norm(x)), eps)
        x = orthogonalized(x, y, p, q, ns_coefficients, ns_steps)
        rows, columns = w.shape
        longer = math.sqrt(max(1.0, columns / rows))
        x *= lr * (longer if adjust_lr_fn == "original" else 0.2 * math.sqrt(max(rows, columns)))
        w -= x


def orthogonalized(
    x: Array, y: Array, p: Array, q: Array, coefficients: tuple[float, float, float], steps: int
) -> Array:
    """Newton and Schulz's steps from x, of norm 1 at most, in x or y; p and q are as large.

    A is made of the shorter side, so that it is small: where X is tall, X (c₃ A + c₅ A²), A = Xᵀ X.
    """
    c1, c3, c5 = coefficients
    rows, columns = x.shape
    n = min(rows, columns)
    gram, powers = (each.reshape(-1)[: n * n].reshape(n, n) for each in (p, q))
    for _ in range(steps):
        if rows <= columns:
            np.matmul(x, x.T, out=gram)
        else:
            np.matmul(x.T, x, out=gram)
        np.matmul(gram, gram, out=powers)
        powers *= c5
        gram *= c3
        powers += gram
        if rows <= columns:
            np.matmul(powers, x, out=y)
        else:
            np.matmul(x, powers, out=y)
        x *= c1
        y += x
        x, y = y, x
    return x
