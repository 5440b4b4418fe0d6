"""Wrong gradients of layers that copy, pick or average: pooling, gathering, embedding."""

from __future__ import annotations

import numpy as np

from nnlite.inspection.causes.evidence import CLOSE, Evidence, close
from nnlite.inspection.report import Diagnosis


def _copies(e: Evidence) -> bool:
    """Whether each output is one entry of the array as it is: ∂y/∂a is 1 there and 0 elsewhere."""
    if e.chosen is not None or e.shape == ():
        return False
    ones = np.abs(e.true - 1) < CLOSE
    zeros = np.abs(e.true) < CLOSE
    return bool((ones | zeros).all() and (ones.sum(axis=1) == 1).all())


def several(e: Evidence) -> Diagnosis | None:
    """What was picked gets the right gradient, and what was not gets some as well."""
    got = _beyond(e) if e.name == "input" else None
    if got is None:
        return None
    return Diagnosis(
        "picked",
        f"the gradient of an output goes to {got.sum(axis=-1).max()} values, also to such as the "
        "output does not depend on: only what was picked in forward gets it (in a maximum, the "
        "largest), so a mask is missing",
    )


def unmasked(e: Evidence) -> Diagnosis | None:
    """A parameter that some outputs use gets its gradient from others too."""
    if e.name == "input" or _beyond(e) is None:
        return None
    return Diagnosis(
        "picked",
        "outputs that do not depend on it give it a gradient too, and what the others give is "
        "right: only those must count in which forward has used it, so a mask is missing",
    )


def _beyond(e: Evidence) -> np.ndarray | None:
    """Where an output gives a gradient, (N, outputs, entries), if that is right wherever the output
    depends on the entry, but is not 0 elsewhere.

    That forward picks shows in the outputs: other samples depend on other entries.
    """
    if e.chosen is not None or len(e.y_shape) < 2 or e.elementwise:
        return None
    there, got = (np.abs(j) > CLOSE * np.abs(j).max(initial=0) for j in (e.true, e.ours))
    if (there & ~got).any() or not (got & ~there).any():
        return None
    part = float((e.ours * e.true).sum() / (e.true * e.true).sum())
    if not close(e.ours * there, part * e.true):
        return None
    always = there.any(axis=1).all()
    there, got = (_by_sample(e, mask) for mask in (there, got))
    if not (there != there[0]).any() or not (always or (got <= there.any(axis=0)).all()):
        return None
    return got


def _by_sample(e: Evidence, mask: np.ndarray) -> np.ndarray:
    """(N, outputs, entries) of one sample, of its own entries where the array is the input."""
    n = len(e.y)
    if e.name != "input" or len(e.value) != n:
        return mask.reshape(n, -1, mask.shape[1])
    own = mask.reshape(n, -1, n, e.value.size // n)
    return np.stack([own[k, :, k] for k in range(n)])


def repeated(e: Evidence) -> Diagnosis | None:
    """Of several outputs that are copies of the same entry, only some count."""
    if not _copies(e):
        return None
    lost = ~e.ours.any(axis=1)
    source = e.true.argmax(axis=1)
    if (
        not lost.any()
        or not np.isin(source[lost], source[~lost]).all()
        or not close(e.ours[~lost], e.true[~lost])
    ):
        return None
    return Diagnosis(
        "repeated",
        "of an entry that is used several times (duplicates in an index, copies) only one use "
        "counts: an assignment by index overwrites, where np.add.at (or a sum) accumulates",
    )


def shares(e: Evidence) -> Diagnosis | None:
    """Each output is the mean of some entries, and backward gives the whole to some of them."""
    if e.chosen is not None or e.shape == () or _copies(e):
        return None
    there = np.abs(e.true) > CLOSE * np.abs(e.true).max()
    n = there.sum(axis=1, keepdims=True)
    if (n < 2).any() or not close(e.true, there / n):
        return None
    got = np.abs(e.ours) > CLOSE
    share = float(e.ours.max(initial=0))
    if (
        (got & ~there).any()
        or not close(e.ours, got * share)
        or (np.abs(n * share - 1) < 0.1).any()
    ):
        return None
    return Diagnosis(
        "shares",
        f"an output is the mean of {n.max()} values, each of which gets the share 1/{n.max()} of "
        f"its gradient; {'only one of them gets' if got.sum(axis=1).max() == 1 else 'they get'} "
        f"{share:.4g}, not divided by the number of values",
    )


def elsewhere(e: Evidence) -> Diagnosis | None:
    """The gradient goes to another entry than the one that the output is."""
    if not _copies(e):
        return None
    off = np.flatnonzero(np.abs(e.ours - e.true).max(axis=1) > CLOSE)
    got = np.abs(e.ours[off]) > CLOSE
    if (got.sum(axis=1) != 1).any() or (got & (e.true[off] > 0.5)).any():
        return None
    k = off[0]
    right = tuple(int(i) for i in np.unravel_index(int(e.true[k].argmax()), e.shape))
    output = tuple(int(i) for i in np.unravel_index(k, e.y_shape))
    given = tuple(int(i) for i in np.unravel_index(int(got[0].argmax()), e.shape))
    return Diagnosis(
        "picked",
        f"the gradient of output {output} goes to the wrong place, {given}, and must go to "
        f"{right}, whose value the output is",
    )
