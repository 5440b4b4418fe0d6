"""Names for wrong gradients: the ways in which hand-written backward passes go wrong.

The evidence are two Jacobians of the same layer on a few samples: the true one, by differences,
and the one that backward multiplies with, found by giving it one unit of upstream gradient at a
time. How the second differs from the first is what names the mistake.

Each explanation is a function that looks for one mistake, and whose arithmetic no other usual
mistake has. What is certain is asked first; what follows is asked when also no correction of the
source is found.
"""

from __future__ import annotations

import numpy as np

from nnlite.inspection.causes import misplaced, picked
from nnlite.inspection.causes.evidence import CLOSE, Evidence, close
from nnlite.inspection.report import Diagnosis


def certain(e: Evidence) -> Diagnosis | None:
    """The first explanation that the numbers prove."""
    return _first(
        e, _not_finite, _not_linear, _zero, _no_slope, _factor, misplaced.swapped,
        misplaced.transposed, misplaced.untransposed, misplaced.wrong_way, misplaced.moved,
        misplaced.reshaped, misplaced.partial_sum, _passed_on, _skip, _function, _softmax_diagonal,
        picked.several, misplaced.broadcast, picked.repeated, picked.shares, picked.elsewhere,
    )  # fmt: skip


def likely(e: Evidence) -> Diagnosis | None:
    """The first of the explanations that other mistakes might have as well."""
    return _first(
        e, picked.unmasked, _constant, _product_rule, _identity, statistics, _diagonal_only,
        misplaced.unseen, _known_factor, misplaced.multiples, misplaced.backwards, _own_input,
        _one_side, _another_place, _wrong_diagonal,
    )  # fmt: skip


def _first(e: Evidence, *explanations) -> Diagnosis | None:  # type: ignore[no-untyped-def]
    for explain in explanations:
        found: Diagnosis | None = explain(e)
        if found is not None:
            return found
    return None


def incomplete(e: Evidence) -> Diagnosis | None:
    """What is there is right, and something is missing."""
    return _first(e, misplaced.overwritten, _missing)


def unknown(e: Evidence) -> Diagnosis:
    """The smallest counterexample, where nothing fits."""
    k, j = np.unravel_index(int(np.abs(e.ours - e.true).argmax()), e.true.shape)
    if e.chosen is not None:
        at = int(np.abs(e.reply - e.slope).argmax())
        place = tuple(int(i) for i in np.unravel_index(e.chosen[at], e.shape))
        wrong = np.abs(e.reply - e.slope) > CLOSE * np.abs(e.slope).max()
        return Diagnosis(
            "unknown",
            f"no usual mistake fits. Of {wrong.size} entries that were looked at "
            f"{np.count_nonzero(wrong)} are wrong: for {e.name} at {place}, backward gives "
            f"{e.reply[at]:.4g}, and the difference is {e.slope[at]:.4g}",
        )
    output = tuple(int(i) for i in np.unravel_index(k, e.y_shape))
    place = tuple(int(i) for i in np.unravel_index(j, e.shape))
    text = (
        f"no usual mistake fits. With G = 1 at output {output} and 0 elsewhere, backward gives "
        f"{e.ours[k, j]:.4g} for {e.name} at {place}, and the difference is {e.true[k, j]:.4g}"
    )
    whole = e.others.get("input")
    if whole is not None and whole.chosen is None:
        there = np.flatnonzero(np.abs(whole.true[k]) > CLOSE * np.abs(whole.true).max())
        inputs = [str(tuple(int(i) for i in np.unravel_index(i, whole.shape))) for i in there[:6]]
        more = f" and {len(there) - 6} more" if len(there) > 6 else ""
        text += f"; that output depends on x at {', '.join(inputs)}{more}" if inputs else ""
    return Diagnosis("unknown", text)


# -- certain ---------------------------------------------------------------------------------------


def _not_finite(e: Evidence) -> Diagnosis | None:
    """NaN or infinity, which no finite slope is."""
    if np.isfinite(e.ours).all() and np.isfinite(e.reply).all():
        return None
    return Diagnosis("not finite", "it holds NaN or infinity, where the slope is finite")


def _not_linear(e: Evidence) -> Diagnosis | None:
    """Backward is a product with a matrix; here it is not: it gives something else for a sum of
    units than the sum of what it gives for each.
    """
    if np.abs(e.at_zero).max(initial=0) > CLOSE * np.abs(e.reply).max(initial=0):
        return Diagnosis(
            "not linear",
            "it is not 0 where the upstream gradient G is 0: something is added or subtracted that "
            "is not multiplied by G, as every term of a gradient is",
        )
    if e.chosen is not None or close(e.reply, e.gradient):
        return None
    return Diagnosis(
        "not linear",
        "it does not grow in proportion to the upstream gradient G: backward compares, squares or "
        "clips G, or adds something to it, where it must multiply it by what forward saved",
    )


def _zero(e: Evidence) -> Diagnosis | None:
    """Nothing at all: no line of backward has written it."""
    if e.ours.any() or e.reply.any():
        return None
    return Diagnosis("zero", "it is zero: backward never writes it, or multiplies it away")


def _no_slope(e: Evidence) -> Diagnosis | None:
    """Differences are all zero where backward gives something."""
    if e.true.any():
        return None
    return Diagnosis(
        "no slope",
        "the slope is zero everywhere, and the gradient is not: the output does not depend on it, "
        "or changes only in jumps (rounding, comparisons, integers)",
    )


def _factor(e: Evidence) -> Diagnosis | None:
    """ours = c · true: a sign, a ½, or the number of what was averaged."""
    true, ours = (e.true, e.ours) if e.chosen is None else (e.slope, e.reply)
    c = float((ours * true).sum() / max((true * true).sum(), 1e-300))
    if not close(ours, c * true) or abs(c) < CLOSE:
        return None
    if abs(c + 1) < CLOSE:
        return Diagnosis("sign", "it is −1 times the slope: a sign is flipped")
    told = divisor(e, c)
    return (
        Diagnosis("factor", f"it is {c:.4g} times the slope, a constant factor{told}")
        if told
        else None
    )


def _constant(e: Evidence) -> Diagnosis | None:
    """ours = c · true, for a number c that is none of the usual ones."""
    true, ours = (e.true, e.ours) if e.chosen is None else (e.slope, e.reply)
    c = float((ours * true).sum() / max((true * true).sum(), 1e-300))
    if not close(ours, c * true) or abs(c) < CLOSE:
        return None
    for other in e.others.values():
        if other.value.size == 1 and (q := float(other.value.ravel()[0])):
            for exponent, told in (
                (1, "there once too often"), (-1, "missing"), (2, "multiplied by, not divided by"),
                (-2, "divided by, not multiplied by"),
            ):  # fmt: skip
                if abs(c - q**exponent) < CLOSE * abs(c):
                    text = f"it is {c:.4g} times the slope: the factor {other.name} is {told}"
                    return Diagnosis("factor", text)
    return Diagnosis("factor", f"it is {c:.4g} times the slope, a constant factor")


def divisor(e: Evidence, c: float) -> str:
    """Words for a factor: what it is the number of, or one over it."""
    counts = _counts(e)
    if abs(c - 0.5) < CLOSE:
        return ": a 2 is missing" + (
            f", or it is divided by {counts[2][0]}, 2" if 2 in counts else ""
        )
    if abs(c - 2) < CLOSE:
        more = f", or it is not divided by {counts[2][0]}, 2" if 2 in counts else ""
        return f": a 2 too many, or a ½ is missing{more}"
    for count, names in counts.items():
        name = " or ".join(names[:2])  # there may be as many of one as of the other
        if abs(c * count - 1) < CLOSE:
            return f": 1/{count} is one over {name}, so it is averaged where it must be summed"
        if abs(c - count) < CLOSE * count:
            return f": {count} is {name}, so a 1/{count} is missing, as a mean has"
        if abs(c * c - count) < CLOSE * count:
            return f": {c:.4g} is √{count}, the root of {name}, by which it must be divided"
        if abs(c * c * count - 1) < CLOSE:
            return f": it is 1/√{count}, of {name}, and divided by this root once too often"
        if abs(c * count * count - 1) < CLOSE:
            return f": 1/{count}² is one over the square of {name}, so it is divided twice by it"
    return ""


def _counts(e: Evidence) -> dict[int, list[str]]:
    """Numbers of values that are divided by, and what they count; the usual ones first."""
    arrays = [("output", e.y_shape), ("array", e.shape)]
    found: dict[int, list[str]] = {}
    if e.y_shape:
        found[e.y_shape[0]] = ["the batch size"]
    for whose, shape in arrays:
        for axis, length in enumerate(shape):
            if axis or length != len(e.y):  # the batch has been named
                found.setdefault(length, []).append(f"the {whose}'s length along axis {axis}")
    for other in e.others.values():
        for axis, length in enumerate(other.shape):
            found.setdefault(length, [f"{other.name}'s length along axis {axis}"])
    for whose, shape in arrays:
        for first in range(len(shape)):
            for last in range(first + 2, len(shape) + 1):
                axes = ", ".join(map(str, range(first, last)))
                count = int(np.prod(shape[first:last]))
                found.setdefault(count, [f"the number of the {whose}'s values along axes {axes}"])
    found.pop(1, None)
    return found


def _passed_on(e: Evidence) -> Diagnosis | None:
    """The upstream gradient itself, where the Jacobian is a diagonal of other numbers."""
    if not e.elementwise or not close(e.ours, np.eye(len(e.ours))):
        return None
    return Diagnosis(
        "derivative", "the upstream gradient is passed on unchanged: the derivative f′ is missing"
    )


def _skip(e: Evidence) -> Diagnosis | None:
    """right − given = ±G: the way straight through, whose derivative is 1."""
    if not e.square:
        return None
    rest, one = e.true - e.ours, np.eye(len(e.true))
    if close(rest, one):
        return Diagnosis(
            "skip", "G itself is missing in it: the skip, the direct path, has the derivative 1"
        )
    if close(rest, -one):
        return Diagnosis("skip", "G is one time too often in it: the skip is counted twice")
    return None


def _product_rule(e: Evidence) -> Diagnosis | None:
    """One term of two: y = x · s(x) has the slope s + x s′, where s = y/x."""
    if (
        not e.elementwise
        or e.x is None
        or not e.x.all()
        or not close(e.ours, np.diag(np.diag(e.ours)))
    ):
        return None
    ours, true, s = np.diag(e.ours), np.diag(e.true), (e.y / e.x).ravel()
    if np.ptp(s) < CLOSE:
        return None
    for told, given in (("second", s), ("first", true - s)):
        if close(ours, given):
            return Diagnosis(
                "product rule",
                f"the {told} term of the product rule is missing: y is x times s = y/x, which "
                "depends on x too, so that f′ = s + x s′",
            )
    return None


def _function(e: Evidence) -> Diagnosis | None:
    """G times f(x): the function where its derivative must be."""
    if not e.elementwise or not close(e.ours, np.diag(e.y.ravel())):
        return None
    return Diagnosis(
        "derivative",
        "the derivative f′ is wrong: backward multiplies G by the output y = f(x) itself, the "
        "function and not its derivative",
    )


def _softmax_diagonal(e: Evidence) -> Diagnosis | None:
    """The right diagonal alone, of a Jacobian whose outputs compete: each rises with its own
    input and falls with the others, as in a softmax.
    """
    if not e.square or e.elementwise or not close(e.ours, np.diag(np.diag(e.true))):
        return None
    diagonal = np.diag(e.true)
    beside = e.true - np.diag(diagonal)
    if not (diagonal > 0).all() or (beside > CLOSE * np.abs(e.true).max()).any():
        return None
    return Diagnosis(
        "elementwise",
        "only the Jacobian's diagonal is there: the layer is treated as elementwise, but each "
        "output depends on several inputs (for softmax: p ⊙ (G − Σ G p))",
    )


# -- likely ----------------------------------------------------------------------------------------


def _identity(e: Evidence) -> Diagnosis | None:
    """G itself, where the Jacobian is no diagonal."""
    if not e.square or not close(e.ours, np.eye(len(e.ours))):
        return None
    return Diagnosis(
        "derivative",
        "it is the upstream gradient G, passed on unchanged: the layer's own derivative, its "
        "Jacobian, is missing",
    )


def statistics(e: Evidence) -> Diagnosis | None:
    """y does not change when all of a group is shifted or scaled, but backward says it does, by a
    gradient that is off by the same amount for all of the group, or in proportion to x.

    That is the share which comes through a mean (the same for all) or through a variance or a
    norm (in proportion to x − mean, or to x).
    """
    if e.chosen is not None:
        return None
    a = e.value
    off = (e.ours - e.true).reshape(-1, *e.shape)
    for axes in _groups(a.ndim):
        at = tuple(axis + 1 for axis in axes)
        if np.prod([e.shape[axis] for axis in axes]) < 3:
            continue
        ones, centered = np.ones_like(a), a - a.mean(axis=axes, keepdims=True)
        ways = {  # how the gradient is off, and what y does not change with
            "mean": ([ones], [ones]),
            "variance": ([centered], [centered]),
            "sum": ([ones], [a]),
            "norm": ([a], [a]),
            "mean and variance": ([ones, centered], [ones, centered]),
        }
        for name, (parts, still) in ways.items():
            left, size = off.copy(), np.abs(off).max()
            for part in parts:
                share = (left * part).sum(axis=at, keepdims=True)
                length = (part * part).sum(axis=axes, keepdims=True)
                left = left - share / np.where(length > 0, length, 1) * part
            if np.abs(left).max() < 1e-4 * size and all(_unmoved(e, v, axes) for v in still):
                along = ", ".join(map(str, axes))
                is_, it, they, depend = (
                    ("are", "them", "they", "depend") if "and" in name else
                    ("is", "it", "it", "depends")
                )  # fmt: skip
                return Diagnosis(
                    "statistics",
                    f"the {name} over axis {along} {is_} treated as a constant, or what comes "
                    f"through {it} is wrong: {they} {depend} on every value there",
                )
    return None


def _groups(ndim: int) -> list[tuple[int, ...]]:
    """Axes that statistics are taken over."""
    found = [(axis,) for axis in range(ndim - 1, -1, -1)]
    return [*found, tuple(range(ndim - 1)), tuple(range(1, ndim)), tuple(range(ndim))]


def _unmoved(e: Evidence, way: np.ndarray, axes: tuple[int, ...]) -> bool:
    """Whether y stays as it is when every group moves this way."""
    axes_of_j = tuple(axis + 1 for axis in axes)
    change = (e.true.reshape(-1, *e.shape) * way).sum(axis=axes_of_j)
    return bool(np.abs(change).max() < 2e-3 * np.abs(e.true).max() * np.abs(way).max())


def _known_factor(e: Evidence) -> Diagnosis | None:
    """Each output's (or each entry's) share is off by a factor that is one of the layer's arrays,
    or x, or a power of one: it is missing, or there too often.
    """
    for whose, ratio in misplaced.ratios(e):
        for other in e.others.values():
            for exponent, told in (
                (-1, "is missing"), (1, "is there once too often"), (2, "is divided by, not "
                "multiplied by, or is twice too often"), (-2, "is missing twice: it is divided by "
                "instead of multiplied by"),
            ):  # fmt: skip
                with np.errstate(all="ignore"):
                    value = np.asarray(other.value) ** float(exponent)
                if np.isfinite(value).all() and misplaced.spreads(value, ratio):
                    name = "the input x" if other.name == "input" else other.name
                    return Diagnosis(
                        "known factor", f"in each {whose}'s share the factor {name} {told}"
                    )
    return None


def _one_side(e: Evidence) -> Diagnosis | None:
    """An elementwise derivative that is right for positive x and wrong for negative, or so."""
    if not e.elementwise or e.x is None or not close(e.ours, np.diag(np.diag(e.ours))):
        return None
    true, ours, x = np.diag(e.true), np.diag(e.ours), e.x.ravel()
    wrong = np.abs(ours - true) > CLOSE * np.abs(true).max()
    if not 0 < np.count_nonzero(wrong) < wrong.size:
        return None
    low, high, others = x[wrong].min(), x[wrong].max(), x[~wrong]
    if ((others > low) & (others < high)).any():
        return None
    where = (
        "x < 0" if high < 0 < others.max() and (others > 0).all() else
        "x > 0" if low > 0 > others.min() and (others < 0).all() else
        f"x between {low:.3g} and {high:.3g}"
    )  # fmt: skip
    at = int(np.abs(ours - true).argmax())
    return Diagnosis(
        "derivative",
        f"the derivative f′ is wrong where {where}, and right elsewhere: at x = {x[at]:.4g} the "
        f"slope is {true[at]:.4g}, and backward multiplies G by {ours[at]:.4g}",
    )


def _another_place(e: Evidence) -> Diagnosis | None:
    """An elementwise derivative that is a function of f′: its square, inverse, complement."""
    if not e.elementwise or not close(e.ours, np.diag(np.diag(e.ours))):
        return None
    true, ours, x = np.diag(e.true), np.diag(e.ours), e.value.ravel()
    with np.errstate(all="ignore"):
        forms = {
            "f′ squared, as if it were there twice": true**2,
            "1/f′, the inverse": 1 / true,
            "1 − f′": 1 - true,
            "x itself, where f′ must stand": x,
        }
    for told, form in forms.items():
        if np.isfinite(form).all() and close(ours, form):
            return Diagnosis(
                "derivative", f"the derivative f′ is wrong: backward multiplies G by {told}"
            )
    return None


def _wrong_diagonal(e: Evidence) -> Diagnosis | None:
    """An elementwise layer whose derivative is another one."""
    if not e.elementwise or e.x is None or not close(e.ours, np.diag(np.diag(e.ours))):
        return None
    true, ours = np.diag(e.true), np.diag(e.ours)
    worst = int(np.abs(ours - true).argmax())
    return Diagnosis(
        "derivative",
        f"the derivative f′ is wrong: at x = {e.x.flat[worst]:.4g} the slope is "
        f"{true[worst]:.4g}, and backward multiplies G by {ours[worst]:.4g}",
    )


def _own_input(e: Evidence) -> Diagnosis | None:
    """right − given holds each output's own input alone, all of it, but is not ±G."""
    rest = e.true - e.ours
    if not e.square or e.elementwise or close(e.ours, np.diag(np.diag(e.ours))):
        return None
    if not close(rest, np.diag(np.diag(rest))) or (np.abs(np.diag(rest)) < CLOSE).any():
        return None
    return Diagnosis(
        "direct path",
        "a term is wrong or left out: the direct path, by which each output depends on its own "
        "input; what comes through the others is right",
    )


def _missing(e: Evidence) -> Diagnosis | None:
    """Right or nothing at all."""
    there = e.ours != 0
    if e.chosen is not None or not there.any() or not close(e.ours, e.true * there):
        return None
    k, j = np.unravel_index(int(np.abs(e.ours - e.true).argmax()), e.true.shape)
    output = tuple(int(i) for i in np.unravel_index(k, e.y_shape))
    place = tuple(int(i) for i in np.unravel_index(j, e.shape))
    return Diagnosis(
        "missing",
        f"a part of it is missing, and what is there is right: output {output} depends on the "
        f"entry {place} too, by {e.true[k, j]:.4g}, and backward gives 0 there",
    )


def _diagonal_only(e: Evidence) -> Diagnosis | None:
    """The diagonal is right and everything beside it is missing."""
    if not e.square or e.elementwise or not close(e.ours, np.diag(np.diag(e.true))):
        return None
    return Diagnosis(
        "elementwise",
        "only the Jacobian's diagonal is there: each value's own share is right, but outputs "
        "depend on other inputs too, and these shares are missing",
    )
