"""Wrong gradients whose numbers are right but stand, or are summed, in the wrong places."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from nnlite.inspection.causes.evidence import CLOSE, Evidence, close
from nnlite.inspection.report import Diagnosis

LARGEST = 1_000_000  # entries of a Jacobian whose axes are put into every order


def swapped(e: Evidence) -> Diagnosis | None:
    """The right gradient of another parameter of the same shape."""
    for name, other in e.others.items():
        if name == e.name or other.shape != e.shape or other.chosen is not None:
            continue
        if e.chosen is None and not other.right and close(e.ours, other.true):
            return Diagnosis(
                "swapped", f"it is the gradient that belongs to {name}: they are swapped"
            )
        if e.chosen is None and other.right and close(e.ours, other.true):
            return Diagnosis(
                "swapped", f"it is the gradient of {name}, not its own: they are mixed up"
            )
    return None


def transposed(e: Evidence) -> Diagnosis | None:
    """Each upstream unit's gradient is the transpose of the true one."""
    if e.chosen is not None or len(e.shape) < 2 or e.shape[-1] != e.shape[-2]:
        return None
    true = e.true.reshape(-1, *e.shape).swapaxes(-1, -2).reshape(e.true.shape)
    if not close(e.ours, true):
        return None
    return Diagnosis("transposed", "it is the transpose of the slope: swap the factors, (A B)ᵀ")


def untransposed(e: Evidence) -> Diagnosis | None:
    """Input and output change places along the features: G W where G Wᵀ must be."""
    crossed = _crossed(e, (len(e.shape) - 1,))
    if crossed is None or close(crossed, e.true) or not close(e.ours, crossed):
        return None
    if _moves_only(e):
        return None
    return Diagnosis(
        "transposed", "the weights are transposed in it: for y = x W it is G Wᵀ, not G W"
    )


def wrong_way(e: Evidence) -> Diagnosis | None:
    """Values are only moved, and G is moved the same way, where it must go back."""
    along = _exchanged(e)
    if along is None or not _moves_only(e):
        return None
    return Diagnosis(
        "moved",
        f"the values go the wrong way along axis {along}: G must go back to where they came from",
    )


def backwards(e: Evidence) -> Diagnosis | None:
    """Input and output change places along other axes: an offset with the wrong sign."""
    along = _exchanged(e)
    if along is None:
        return None
    return Diagnosis(
        "moved",
        f"it runs the wrong way along axis {along}: a kernel (or its offsets) must be reversed on "
        "the way back",
    )


def _exchanged(e: Evidence) -> str | None:
    """The axes along which input and output have changed places in ours."""
    for axes in [(axis,) for axis in range(len(e.shape))] + [tuple(range(1, len(e.shape) - 1))]:
        crossed = _crossed(e, axes) if axes else None
        if crossed is not None and not close(crossed, e.true) and close(e.ours, crossed):
            return ", ".join(map(str, axes))
    return None


def _crossed(e: Evidence, axes: tuple[int, ...]) -> np.ndarray | None:
    """∂y/∂x with input and output exchanged along these axes."""
    if e.x is None or e.chosen is not None or e.y_shape != e.shape:
        return None
    ndim = len(e.shape)
    order = np.arange(2 * ndim)
    for axis in axes:
        order[[axis, ndim + axis]] = ndim + axis, axis
    return e.true.reshape(*e.y_shape, *e.shape).transpose(order).reshape(e.true.shape)


def _moves_only(e: Evidence) -> bool:
    """Whether each output is one of the inputs, or 0."""
    return bool(((np.abs(e.true) < CLOSE) | (np.abs(e.true - 1) < CLOSE)).all())


def moved(e: Evidence) -> Diagnosis | None:
    """The right numbers at the wrong places along some axes: reversed, or shifted."""
    if e.chosen is not None:
        return None
    ndim = len(e.shape)
    true, ours = (j.reshape(-1, *e.shape) for j in (e.true, e.ours))
    for axes in [*((axis,) for axis in range(ndim)), tuple(range(ndim - 2))]:
        at = tuple(axis + 1 for axis in axes)
        if axes and close(ours, np.flip(true, at)):
            which = ", ".join(map(str, axes))
            return Diagnosis("moved", f"it is the slope in reversed order along axis {which}")
    for axis, length in enumerate(e.shape):
        if length % 2 == 0 and close(ours, np.roll(true, length // 2, axis + 1)):
            text = f"its two halves along axis {axis} are swapped: they are in the wrong order"
            return Diagnosis("moved", text)
    spatial = itertools.combinations(range(1, ndim - 1), 2)
    for axes in [*((axis,) for axis in range(ndim)), *spatial]:
        for shifts in itertools.product((1, 2, -1, -2), repeat=len(axes)):
            if any(e.shape[a] < abs(by) + 2 for a, by in zip(axes, shifts, strict=True)):
                continue
            here, there = [slice(None)] * (ndim + 1), [slice(None)] * (ndim + 1)
            for axis, by in zip(axes, shifts, strict=True):
                begin, end = slice(None, -abs(by)), slice(abs(by), None)
                here[axis + 1], there[axis + 1] = (begin, end) if by > 0 else (end, begin)
            part = true[tuple(here)]
            if part.any() and close(ours[tuple(there)], part):
                pairs = zip(shifts, axes, strict=True)
                places = ", ".join(f"{by:+d} along axis {axis}" for by, axis in pairs)
                return Diagnosis(
                    "moved",
                    f"it is the slope, shifted by {places}: it is written to the wrong place, or "
                    "cut out of a padded array at the wrong place",
                )
    return None


def reshaped(e: Evidence) -> Diagnosis | None:
    """The right numbers in another order of axes, poured into the shape."""
    if e.chosen is not None or e.true.size > LARGEST:
        return None
    true = e.true.reshape(-1, *e.shape)
    for order in itertools.islice(itertools.permutations(range(len(e.shape))), 1, None):
        poured = true.transpose(0, *(axis + 1 for axis in order)).reshape(e.true.shape)
        if close(e.ours, poured) and not close(poured, e.true):
            shape = tuple(e.shape[axis] for axis in order)
            back = tuple(int(at) for at in np.argsort(order))
            return Diagnosis(
                "transposed",
                "it holds the right numbers in the wrong order of axes: it is reshaped where it "
                f"must be transposed; it is right with .reshape{shape}.transpose{back}",
            )
    return None


def partial_sum(e: Evidence) -> Diagnosis | None:
    """Only the outputs at one place along an axis contribute."""
    if e.chosen is not None:
        return None
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


def overwritten(e: Evidence) -> Diagnosis | None:
    """Of the outputs that depend on an entry, as overlapping windows do, the last (or first)
    counts alone.
    """
    if e.chosen is not None or len(e.y_shape) < 2:
        return None
    ndim = len(e.y_shape)
    for first, last in [*((a, a + 1) for a in range(1, ndim)), (1, ndim - 1)]:
        length = int(np.prod(e.y_shape[first:last]))
        before = int(np.prod(e.y_shape[:first]))
        if length < 2:
            continue
        true, ours = (j.reshape(before, length, -1, j.shape[1]) for j in (e.true, e.ours))
        used = np.abs(true).max(axis=(0, 2)) > CLOSE * np.abs(true).max()  # (length, a.size)
        ways = {"first": used.argmax(axis=0), "last": length - 1 - used[::-1].argmax(axis=0)}
        for which, place in ways.items():
            kept = np.arange(length)[:, None] == place
            if (used & ~kept).any() and close(ours, true * kept[:, None]):
                return Diagnosis(
                    "overwritten",
                    "a part of it is missing: of the outputs that depend on the same entry only "
                    f"the {which} one counts, where all of them must be added up (overlapping "
                    "windows, copies, branches: = overwrites where += adds)",
                )
    return None


def unseen(e: Evidence) -> Diagnosis | None:
    """Nothing comes from other places along an axis, though outputs depend on them."""
    if e.chosen is not None or e.x is None or not e.ours.any():
        return None
    true, ours = (np.abs(j).reshape(*e.y_shape, *e.shape) for j in (e.true, e.ours))
    least, ndim = CLOSE * true.max(), len(e.y_shape)
    missing = []
    for axis, length in enumerate(e.shape):
        for out, other in enumerate(e.y_shape):
            if other != length or length < 2:
                continue
            rest = tuple(a for a in range(true.ndim) if a not in (out, ndim + axis))
            beside = ~np.eye(length, dtype=bool)
            there, given = (j.max(axis=rest)[beside].max() for j in (true, ours))
            if there > least and not given:
                missing.append(axis)
    if not missing:
        return None
    axes = ", ".join(map(str, dict.fromkeys(missing)))
    return Diagnosis(
        "unseen",
        f"a path is missing: outputs depend on the input at other places along axis {axes} too (as "
        "through a mean, a norm, a gate, attention weights or a state that is carried on), and "
        "backward gives nothing there",
    )


def broadcast(e: Evidence) -> Diagnosis | None:
    """The slope summed (or averaged) over an axis, and spread over it again."""
    if e.chosen is not None:
        return None
    gradient, slope = e.gradient, e.slope
    for axes in [None, *range(len(e.shape))]:
        for name, total in (("sum", np.sum), ("mean", np.mean)):
            spread = np.broadcast_to(total(slope, axis=axes, keepdims=True), e.shape)
            if e.slope.size > 1 and close(gradient, spread):
                along = "all axes" if axes is None else f"axis {axes}"
                return Diagnosis(
                    "broadcast",
                    f"a {name} over {along} of the gradient was broadcast back: it is the {name} "
                    "over an axis too many, the wrong axis, and only broadcasting made it fit",
                )
    return None


def ratios(e: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """By what factor each output's share, or each entry, is off, where it is by a factor each."""
    for whose, axis, shape in (("output", 1, e.y_shape), ("entry", 0, e.shape)):
        norms = (e.true * e.true).sum(axis=axis, keepdims=True)
        ratio = (e.ours * e.true).sum(axis=axis, keepdims=True) / np.where(norms > 0, norms, 1)
        if e.chosen is None and close(e.ours, ratio * e.true):
            yield whose, np.where(norms > 0, ratio, np.nan).reshape(shape)


def spreads(value: np.ndarray, ratio: np.ndarray) -> bool:
    """Whether the ratio is this value, broadcast; NaN where there is none. 1 tells nothing."""
    try:
        spread = np.broadcast_to(value, ratio.shape)
    except ValueError:
        return False
    known = np.isfinite(ratio)
    if not known.any() or np.ptp(spread[known]) == 0:
        return False
    return close(ratio[known], spread[known])


def multiples(e: Evidence) -> Diagnosis | None:
    """Some places along one axis count 0 times or several times: a border, the first step, one
    channel, or what is written to the same place more than once.
    """
    for whose, ratio in ratios(e):
        for axis, length in enumerate(ratio.shape):
            others = tuple(a for a in range(ratio.ndim) if a != axis)
            known = np.isfinite(ratio)
            low = np.where(known, ratio, np.inf).min(axis=others)
            high = np.where(known, ratio, -np.inf).max(axis=others)
            if length < 2 or not np.isfinite(low).all() or not close(low, high):
                continue
            off = np.flatnonzero(np.abs(low - 1) > CLOSE)
            if 0 < len(off) < length:
                shown = ", ".join(map(str, off[:5]))
                times = f"counts {low[off[0]]:.3g} times"
                how = times if low[off].any() else "is left out, missing,"
                what = "the output" if whose == "output" else "the array"
                ends = {"0": " (the first)", str(length - 1): " (the last)"}
                where = ends.get(shown, "")
                return Diagnosis("sum", f"index {shown}{where} of {what}'s axis {axis} {how} in it")
    return None
