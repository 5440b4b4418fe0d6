"""Names for wrong gradients: the few ways in which hand-written backward passes go wrong.

The evidence are two Jacobians of the same layer on a few samples: the true one, by differences,
and the one that backward multiplies with, found by giving it one unit of upstream gradient at a
time. How the second differs from the first is what names the mistake.
"""

from __future__ import annotations

import numpy as np

from nnlite.inspection import misplaced
from nnlite.inspection.evidence import CLOSE, Evidence, close
from nnlite.inspection.report import Diagnosis


def diagnose(evidence: Evidence) -> Diagnosis:
    """The first explanation that fits."""
    for explain in (
        _not_finite,
        _not_linear,
        _zero,
        _no_slope,
        _factor,
        misplaced.transposed,
        misplaced.crossed,
        misplaced.moved,
        misplaced.partial_sum,
        _passed_on,
        _diagonal_only,
        _statistics,
        _output_factors,
        _wrong_diagonal,
        misplaced.broadcast,
    ):
        found = explain(evidence)
        if found is not None:
            return found
    return _unknown(evidence)


def _not_finite(e: Evidence) -> Diagnosis | None:
    if np.isfinite(e.ours).all():
        return None
    return Diagnosis("not finite", "it holds NaN or infinity, where the slope is finite")


def _not_linear(e: Evidence) -> Diagnosis | None:
    """Backward is a product with a matrix; here it is not."""
    if e.reply is None or close(e.reply, e.gradient):
        return None
    return Diagnosis(
        "not linear",
        "it does not grow in proportion to the upstream gradient G: backward compares, squares or "
        "clips G, where it must multiply it by what forward saved",
    )


def _zero(e: Evidence) -> Diagnosis | None:
    if e.ours.any():
        return None
    return Diagnosis("zero", "it is zero: backward never writes it, or multiplies it away")


def _no_slope(e: Evidence) -> Diagnosis | None:
    if e.true.any():
        return None
    return Diagnosis(
        "no slope",
        "the slope is zero everywhere, and the gradient is not: the output does not depend on it, "
        "or changes only in jumps (rounding, comparisons, integers)",
    )


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
    else:
        words += _length(e, c)
    return Diagnosis("factor", words)


def _length(e: Evidence, c: float) -> str:
    """Words for a factor that is the length of an axis, or one over it."""
    for whose, shape in (("output", e.y_shape), ("array", e.shape)):
        for axis, length in enumerate(shape):
            if length > 2 and abs(c * length - 1) < CLOSE:
                return (
                    f": 1/{length} is one over the {whose}'s length along axis {axis}, so it is "
                    "averaged where it must be summed"
                )
            if length > 2 and abs(c - length) < CLOSE * length:
                return (
                    f": {length} is the {whose}'s length along axis {axis}, so a 1/{length} is "
                    "missing, as a mean has"
                )
    return ""


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
        "derivative such as f′, or another factor of the formula, is missing or taken at the wrong "
        "place",
    )


def _wrong_diagonal(e: Evidence) -> Diagnosis | None:
    """An elementwise layer whose derivative is another one."""
    if e.x is None or e.true.shape[0] != e.true.shape[1]:
        return None
    true, ours = np.diag(e.true), np.diag(e.ours)
    if not close(e.true, np.diag(true)) or not close(e.ours, np.diag(ours)):
        return None
    worst = int(np.abs(ours - true).argmax())
    return Diagnosis(
        "derivative",
        f"the derivative f′ is wrong: at x = {e.x.flat[worst]:.4g} the slope is "
        f"{true[worst]:.4g}, and backward multiplies G by {ours[worst]:.4g}",
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
    names = [name for name in dict.fromkeys(missed) if name != "scale"] or ["scale (sum or norm)"]
    one = len(names) == 1
    return Diagnosis(
        "statistics",
        f"the {' and '.join(names)} of the data {'is' if one else 'are'} treated as a constant, "
        f"but {'it moves' if one else 'they move'} with every input: the gradient through "
        f"{'it' if one else 'them'} is missing or wrong",
    )


def _shared_changes(x: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Directions in which a normalization's output does not change."""
    axes: list[tuple[int, ...]] = [(axis,) for axis in range(x.ndim)]
    axes += [tuple(range(x.ndim - 1)), tuple(range(1, x.ndim))]
    scales = [x - x.mean(axis=axis, keepdims=True) for axis in axes]
    found = [("mean", np.ones(x.size))]
    found += [("variance", v.ravel()) for v in scales if v.any()]
    return [*found, ("scale", x.ravel())]


def _unknown(e: Evidence) -> Diagnosis:
    wrong = np.abs(e.gradient - e.slope) > CLOSE * max(float(np.abs(e.slope).max()), 1e-4)
    share = f"{np.count_nonzero(wrong)} of {wrong.size} entries are wrong"
    return Diagnosis("unknown", f"{share}, in none of the usual ways; compare it with the formula")
