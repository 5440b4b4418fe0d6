"""Wrong gradients whose numbers are right but stand, or are summed, in the wrong places."""

from __future__ import annotations

import numpy as np

from nnlite.inspection.evidence import Evidence, close
from nnlite.inspection.report import Diagnosis


def transposed(e: Evidence) -> Diagnosis | None:
    """Each upstream unit's gradient is the transpose of the true one."""
    if len(e.shape) < 2 or e.shape[-1] != e.shape[-2]:
        return None
    true = e.true.reshape(-1, *e.shape).swapaxes(-1, -2).reshape(e.true.shape)
    if not close(e.ours, true):
        return None
    return Diagnosis("transposed", "it is the transpose of the slope: swap the factors, (A B)ᵀ")


def crossed(e: Evidence) -> Diagnosis | None:
    """Input and output change places along one axis: Jᵀ where J must be, or the reverse."""
    if e.x is None or e.y_shape != e.shape:
        return None
    both = e.true.reshape(*e.y_shape, *e.shape)
    ndim = len(e.shape)
    inner = tuple(range(1, ndim - 1))
    for axes in {(ndim - 1,), *((axis,) for axis in inner), inner}:
        order = np.arange(2 * ndim)
        for axis in axes:
            order[[axis, ndim + axis]] = ndim + axis, axis
        crossed = both.transpose(order).reshape(e.true.shape)
        if not axes or close(crossed, e.true) or not close(e.ours, crossed):
            continue
        if axes == (ndim - 1,):
            return Diagnosis(
                "transposed", "the weights are transposed in it: for y = x W it is G Wᵀ, not G W"
            )
        return Diagnosis(
            "moved",
            f"it runs the wrong way along axis {', '.join(map(str, axes))}: a kernel (or its "
            "offsets) must be reversed on the way back",
        )
    return None


def moved(e: Evidence) -> Diagnosis | None:
    """The right numbers at the wrong places along some axes: reversed, or shifted."""
    ndim = len(e.shape)
    true, ours = (j.reshape(-1, *e.shape) for j in (e.true, e.ours))
    for axes in [*((axis,) for axis in range(ndim)), tuple(range(ndim - 2))]:
        at = tuple(axis + 1 for axis in axes)
        if axes and close(ours, np.flip(true, at)):
            which = ", ".join(map(str, axes))
            return Diagnosis("moved", f"it is the slope in reversed order along axis {which}")
    for axis, length in enumerate(e.shape):
        for places in range(1, min(3, length - 1)):
            first, last = (np.take(j, range(length - places), axis + 1) for j in (true, ours))
            after, before = (np.take(j, range(places, length), axis + 1) for j in (true, ours))
            if close(before, first) or close(last, after):
                return Diagnosis(
                    "moved",
                    f"it is the slope, shifted by {places} along axis {axis}: written to, or cut "
                    "out of the padding at, the wrong place",
                )
    return None


def partial_sum(e: Evidence) -> Diagnosis | None:
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


def broadcast(e: Evidence) -> Diagnosis | None:
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
