"""Names for wrong gradients: the few ways in which hand-written backward passes go wrong.

The evidence are two Jacobians of the same layer on a few samples: the true one, by differences,
and the one that backward multiplies with, found by giving it one unit of upstream gradient at a
time. How the second differs from the first is what names the mistake.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnlite.inspection.report import Diagnosis

CLOSE = 1e-5


class Evidence(NamedTuple):
    """What is known about one wrong gradient.

    Attributes:
        true: ∂y/∂a by differences, (y.size, a.size).
        ours: the same by backward, one upstream unit at a time.
        y_shape, shape: of the output and of the array a.
        upstream: a random dL/dy (y.size,); `true` and `ours` times it are the two gradients.
        x: the input, where the array is the input itself; else None.
    """

    true: np.ndarray
    ours: np.ndarray
    y_shape: tuple[int, ...]
    shape: tuple[int, ...]
    upstream: np.ndarray
    x: np.ndarray | None

    @property
    def slope(self) -> np.ndarray:
        """What the gradient should be."""
        return (self.upstream @ self.true).reshape(self.shape)

    @property
    def gradient(self) -> np.ndarray:
        """What backward gives."""
        return (self.upstream @ self.ours).reshape(self.shape)


def diagnose(evidence: Evidence) -> Diagnosis:
    """The first explanation that fits."""
    for explain in (
        _not_finite,
        _zero,
        _factor,
        _transposed,
        _partial_sum,
        _passed_on,
        _diagonal_only,
        _statistics,
        _output_factors,
        _broadcast,
    ):
        found = explain(evidence)
        if found is not None:
            return found
    return _unknown(evidence)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to the precision of differences."""
    scale = max(float(np.abs(b).max(initial=0)), 1e-4)
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= CLOSE * scale)


def _not_finite(e: Evidence) -> Diagnosis | None:
    if np.isfinite(e.ours).all():
        return None
    return Diagnosis("not finite", "it holds NaN or infinity, where the slope is finite")


def _zero(e: Evidence) -> Diagnosis | None:
    if e.ours.any():
        return None
    return Diagnosis("zero", "it is zero: backward never writes it, or multiplies it away")


def _factor(e: Evidence) -> Diagnosis | None:
    """ours = c · true."""
    c = float((e.ours * e.true).sum() / max((e.true * e.true).sum(), 1e-300))
    if not close(e.ours, c * e.true) or abs(c) < CLOSE:
        return None
    if abs(c + 1) < CLOSE:
        return Diagnosis("sign", "it is −1 times the slope: a sign is flipped")
    words = f"it is {c:.4g} times the slope, a constant factor"
    n = e.y_shape[0]
    if n > 1 and abs(c - 1 / n) < CLOSE:
        words += f": 1/{n} is one over the batch size, so it is averaged where it must be summed"
    elif n > 1 and abs(c - n) < CLOSE:
        words += f": {n} is the batch size, so a 1/N is missing"
    elif abs(c - 0.5) < CLOSE:
        words += ": a 2 is missing"
    elif abs(c - 2) < CLOSE:
        words += ": a 2 too many, or a ½ is missing"
    return Diagnosis("factor", words)


def _transposed(e: Evidence) -> Diagnosis | None:
    """Each upstream unit's gradient is the transpose of the true one."""
    if len(e.shape) < 2 or e.shape[-1] != e.shape[-2]:
        return None
    true = e.true.reshape(-1, *e.shape).swapaxes(-1, -2).reshape(e.true.shape)
    if not close(e.ours, true):
        return None
    return Diagnosis("transposed", "it is the transpose of the slope: swap the factors, (A B)ᵀ")


def _partial_sum(e: Evidence) -> Diagnosis | None:
    """Only the outputs at one place along an axis contribute, or all are averaged."""
    true, ours = (j.reshape(*e.y_shape, -1) for j in (e.true, e.ours))
    for axis, length in enumerate(e.y_shape[:-1]):
        if length < 2:
            continue
        for place in range(length):
            kept = np.zeros_like(true)
            at = (slice(None),) * axis + (place,)
            kept[at] = true[at]
            if close(ours, kept):
                what = "batch" if axis == 0 else "time" if len(e.y_shape) == 3 else "positions"
                return Diagnosis(
                    "sum", f"only index {place} of axis {axis} counts: a sum over the {what} is "
                    "missing",
                )  # fmt: skip
    return None


def _passed_on(e: Evidence) -> Diagnosis | None:
    """The upstream gradient itself, where the Jacobian is a diagonal of other numbers."""
    if e.x is None or e.true.shape[0] != e.true.shape[1]:
        return None
    if not close(e.ours, np.eye(len(e.ours))) or not close(e.true, np.diag(np.diag(e.true))):
        return None
    return Diagnosis(
        "derivative", "the upstream gradient is passed on unchanged: the derivative f′ is missing"
    )


def _output_factors(e: Evidence) -> Diagnosis | None:
    """Each output's row is off by a factor of its own: ours = diag(d) · true."""
    norms = (e.true * e.true).sum(axis=1)
    d = (e.ours * e.true).sum(axis=1) / np.where(norms > 0, norms, 1)
    if not close(e.ours, d[:, None] * e.true):
        return None
    return Diagnosis(
        "derivative",
        f"each output's share is off by a factor of its own ({d.min():.3g} to {d.max():.3g}): a "
        "derivative such as f′ is missing, or taken at the wrong place",
    )


def _diagonal_only(e: Evidence) -> Diagnosis | None:
    """The diagonal is right and everything beside it is missing."""
    if e.x is None or e.true.shape[0] != e.true.shape[1]:
        return None
    diagonal = np.diag(np.diag(e.true))
    if close(diagonal, e.true) or not close(e.ours, diagonal):
        return None
    return Diagnosis(
        "elementwise",
        "only the Jacobian's diagonal is there: the layer is treated as elementwise, but each "
        "output depends on several inputs (for softmax: p ⊙ (G − Σ G p))",
    )


def _statistics(e: Evidence) -> Diagnosis | None:
    """y does not change when all of a group is shifted or scaled, but backward says it does."""
    if e.x is None:
        return None
    scale = np.abs(e.true).max()
    missed = []
    for what, direction in _shared_changes(e.x):
        true, ours = e.true @ direction, e.ours @ direction
        size = scale * np.abs(direction).max()
        if np.abs(true).max() < 1e-3 * size and np.abs(ours).max() > 1e-2 * size:
            missed.append(what)
    if not missed:
        return None
    names = " and ".join(dict.fromkeys(missed))
    return Diagnosis(
        "statistics",
        f"the {names} of the data is treated as a constant, but it moves with every input: its "
        "own gradient is missing",
    )


def _shared_changes(x: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Directions in which a normalization's output does not change."""
    axes: list[tuple[int, ...]] = [(axis,) for axis in range(x.ndim)]
    axes += [tuple(range(x.ndim - 1)), tuple(range(1, x.ndim))]
    scales = [x - x.mean(axis=axis, keepdims=True) for axis in axes]
    found = [("mean", np.ones(x.size))]
    found += [("variance", v.ravel()) for v in scales if v.any()]
    return [*found, ("mean square", x.ravel())]


def _broadcast(e: Evidence) -> Diagnosis | None:
    """The slope summed (or averaged) over an axis, and spread over it again."""
    gradient, slope = e.gradient, e.slope
    for axes in [None, *range(len(e.shape))]:
        for name, total in (("sum", np.sum), ("mean", np.mean)):
            spread = np.broadcast_to(total(slope, axis=axes, keepdims=True), e.shape)
            if e.slope.size > 1 and close(gradient, spread):
                along = "all axes" if axes is None else f"axis {axes}"
                return Diagnosis(
                    "broadcast",
                    f"a {name} over {along} of the gradient was broadcast back: the shape was "
                    "wrong, and only broadcasting made it fit",
                )
    return None


def _unknown(e: Evidence) -> Diagnosis:
    wrong = np.abs(e.gradient - e.slope) > CLOSE * max(float(np.abs(e.slope).max()), 1e-4)
    share = f"{np.count_nonzero(wrong)} of {wrong.size} entries are wrong"
    return Diagnosis("unknown", f"{share}, in none of the usual ways; compare it with the formula")
