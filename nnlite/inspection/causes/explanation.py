"""From wrong gradients to the mistakes behind them: the evidence is gathered, then explained."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection
from typing import Any

import numpy as np

from nnlite.inspection.causes.diagnosis import certain, incomplete, likely, statistics, unknown
from nnlite.inspection.causes.evidence import Evidence
from nnlite.inspection.contract import used_again
from nnlite.inspection.numeric import Verdict, compare, jacobian_by_differences
from nnlite.inspection.probe import Probe, drawn_again, random_upstream
from nnlite.inspection.repair.constants import taken_for_constant
from nnlite.inspection.repair.search import Runs, mend
from nnlite.inspection.report import Diagnosis
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.structure import unwatch, watch

OUTPUTS, ENTRIES = 600, 2500  # of larger arrays a sample is looked at
PRODUCT = 1_500_000  # entries of a Jacobian
SAMPLE = 100
CONSTANT = 1.0  # seconds for the search of what is taken for a constant
LARGEST = 3000  # entries of a sample with which a source is searched, whose products may be tried


def explain(
    names: Collection[str], probe: Probe, x: np.ndarray, seconds: float
) -> dict[str, Diagnosis]:
    """What is wrong with these gradients; those that are right on this x are left out.

    What the numbers prove comes first. Then the backward's source is searched for the place where
    one correction makes everything right, and forward's for what backward takes for a constant.
    Then come what is likely, and at last the plain numbers.

    Args:
        names: of the gradients that are wrong somewhere.
        probe, x: the layer and its input, of which a few samples are looked at.
        seconds: the time for the search of the source.
    """
    more, x = x, x[: _few(probe, x)].copy()
    if any("input" in surrogates(part) for part in probe.inner):
        text = "it is not what the layers and their surrogates make it"
        return dict.fromkeys(names, Diagnosis("unknown", text))
    arrays = dict.fromkeys(["input"] if x.dtype.kind == "f" else []) | probe.parameters
    try:
        evidence = {name: _evidence(name, probe, x) for name in arrays}
    except Exception as error:
        text = f"with a batch of {len(x)} backward raises {type(error).__name__}: {error}"
        return dict.fromkeys(names, Diagnosis("raises", text))
    evidence = {name: e._replace(others=evidence) for name, e in evidence.items()}
    wrong = {name: e for name, e in evidence.items() if name in names and not e.right}
    if aliased := _aliased(wrong, probe, x):
        return dict.fromkeys(wrong, aliased)
    found = {name: diagnosis for name, e in wrong.items() if (diagnosis := certain(e))}
    if found.keys() < wrong.keys():
        skipped = _skipped(probe, x)
        if skipped:
            return dict.fromkeys(wrong, skipped)
        corrected = _corrected(evidence, probe, x, more, seconds)
        if corrected.keys() >= wrong.keys():  # one cause for all of them
            return {name: corrected[name] for name in wrong}
        found = corrected | found
        others = {name for name in wrong.keys() - found.keys() if not statistics(wrong[name])}
        if others and (constant := _constant(evidence, others, probe, x)):
            found |= dict.fromkeys(others, constant)
    for name in wrong.keys() - found.keys():
        e = wrong[name]
        if diagnosis := likely(e) or _later_steps(e, probe, x) or incomplete(e):
            found[name] = diagnosis
    rest = [e for name, e in wrong.items() if name not in found]
    if rest:
        smallest = unknown(min(rest, key=lambda e: e.value.size))
        found |= dict.fromkeys([e.name for e in rest], smallest)
    return {name: found[name] for name in wrong}


def _few(probe: Probe, x: np.ndarray) -> int:
    """How many samples to look at: 3, or 4 or 5 if 3 is the length of something else too."""
    shapes = [
        x.shape[1:],
        probe.forward(x).shape[1:],
        *(p.shape for p in probe.parameters.values()),
    ]
    lengths = {length for shape in shapes for length in shape}
    return next((n for n in (3, 5, 4) if n <= len(x) and n not in lengths), min(len(x), 3))


def _evidence(name: str, probe: Probe, x: np.ndarray) -> Evidence:
    """Both Jacobians on a few samples, whole, or some rows and columns of large ones."""
    y = probe.forward(x).copy()
    array = x if name == "input" else probe.parameters[name].data
    rows, columns = np.arange(y.size), np.arange(array.size)
    large = y.size > OUTPUTS or array.size > ENTRIES or y.size * array.size > PRODUCT
    if large:
        rng = np.random.default_rng(1)
        rows, columns = (np.sort(rng.permutation(c)[:SAMPLE]) for c in (rows, columns))
    true = jacobian_by_differences(array, lambda: probe.forward(x), columns)
    ours = np.stack([_reply(name, probe, x, _unit(y.shape, int(k))).ravel()[columns] for k in rows])
    upstream = random_upstream((y.size,))
    slope = upstream @ true
    reply = _reply(name, probe, x, upstream.reshape(y.shape))
    shape = array.shape
    return Evidence(
        name, true[rows], ours, shape, upstream,
        slope if large else slope.reshape(shape), reply.ravel()[columns] if large else reply,
        _reply(name, probe, x, np.zeros(y.shape)), array.copy(), y, columns if large else None,
    )  # fmt: skip


def _aliased(names: Collection[str], probe: Probe, x: np.ndarray) -> Diagnosis | None:
    """An array that is changed after it was saved: with copies of what is saved all is right."""
    for part in probe.layer.named_layers().values() if names else ():
        vars(part)["save_for_backward"] = functools.partial(_save_copies, part)
        try:
            if all(_agrees(name, probe, x) for name in names):
                return Diagnosis(
                    "aliased",
                    f"an array that {part.label()} has saved for backward is changed afterwards, "
                    "as by y += b, and backward reads the changed one: write y = y + b, or save "
                    "a copy",
                )
        finally:
            del vars(part)["save_for_backward"]
    return None


def _save_copies(part: Layer, *values: Any) -> None:
    type(part).save_for_backward(part, *copy.deepcopy(values))


def _skipped(probe: Probe, x: np.ndarray) -> Diagnosis | None:
    """A layer inside whose forward runs and whose backward does not, or not as often."""
    parts = {path: part for path, part in probe.layer.named_layers().items() if path}
    there, back = dict.fromkeys(parts, False), dict.fromkeys(parts, False)
    for path, part in parts.items():
        watch(
            part,
            lambda *_, key=path: there.update({key: True}),
            lambda *_, key=path: back.update({key: True}),
        )
    probe.gradients(x, random_upstream(probe.forward(x).shape))
    for part in parts.values():
        unwatch(part)
    if again := used_again(probe, x):
        return Diagnosis("skipped", again)
    lost = [path for path in parts if there[path] and not back[path]]
    if not lost:
        return None
    return Diagnosis(
        "skipped",
        f"the backward of {lost[0]}, {parts[lost[0]]!r}, is never called, but its forward is: what "
        "comes back must go through it, since its derivative is a factor of the chain rule",
    )


def _later_steps(e: Evidence, probe: Probe, x: np.ndarray) -> Diagnosis | None:
    """A gradient that is right as long as there is one entry along axis 1, such as one time step.

    Only where later outputs depend on earlier inputs, and never the other way, are there steps.
    """
    if x.ndim != 3 or x.shape[1] < 2:
        return None
    try:
        first = _evidence(e.name, probe, x[:, :1].copy())
    except Exception:  # it needs more of them
        return None
    causal = _is_causal(e, x)
    if not causal and e.y.ndim != 2:
        return None
    if first.right or not first.true.any():
        if causal:
            text = (
                "it is right for a sequence of one step and wrong for longer ones: what comes back "
                "from the later steps, by the state that is carried on, is not what it should be"
            )
        else:
            text = (
                "it is right where x has one entry along axis 1 and wrong where it has more: what "
                "comes through the others (by a state that is carried on, or a sum over them) is "
                "not what it should be"
            )
        return Diagnosis("step", text)
    found = certain(first) or likely(first) if causal else None
    if found is None:
        return None
    return Diagnosis(found.kind, f"already for a sequence of one step, {found.text}")


def _is_causal(e: Evidence, x: np.ndarray) -> bool:
    """Whether outputs depend on earlier inputs along axis 1, and on no later ones."""
    whole = e.others.get("input")
    if whole is None or whole.chosen is not None:
        return False
    if len(e.y_shape) != 3 or e.y_shape[:2] != x.shape[:2]:
        return False
    steps = np.abs(whole.true.reshape(*e.y_shape, *x.shape)).max(axis=(0, 2, 3, 5))  # (T, T)
    return bool(not np.triu(steps, 1).any() and np.tril(steps, -1).any())


def _agrees(name: str, probe: Probe, x: np.ndarray) -> bool:
    """Whether backward agrees with the slopes along a few directions, roughly."""
    try:
        y = probe.forward(x)
    except Exception:  # it cannot be asked
        return True
    array = x if name == "input" else probe.parameters[name].data
    upstream = random_upstream(y.shape)
    reply = _reply(name, probe, x, upstream)
    outputs, weights = probe.as_declared(x, upstream)
    return compare(array, reply, outputs, weights, by_entry=False).worst.verdict < Verdict.OUTSIDE


def _unit(shape: tuple[int, ...], k: int) -> np.ndarray:
    unit = np.zeros(shape)
    unit.flat[k] = 1.0
    return unit


def _reply(name: str, probe: Probe, x: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """The gradient of one array that backward gives."""
    d_x, grads = probe.gradients(x, upstream)
    reply = np.broadcast_to(d_x, x.shape) if name == "input" else grads[name]
    return np.array(reply, np.float64)


def _constant(
    evidence: dict[str, Evidence], names: Collection[str], probe: Probe, x: np.ndarray
) -> Diagnosis | None:
    """What forward computes and backward takes for a constant."""
    given = {name: evidence[name].reply for name in names}
    if any(evidence[name].chosen is not None for name in names):
        return None
    x, upstream = x.copy(), random_upstream((probe.forward(x).size,))

    def slopes() -> dict[str, np.ndarray]:
        arrays = {name: x if name == "input" else probe.parameters[name].data for name in names}
        return {
            name: (upstream @ jacobian_by_differences(array, lambda: probe.forward(x))).reshape(
                array.shape
            )
            for name, array in arrays.items()
        }

    return taken_for_constant(probe.layer, lambda: probe.forward(x), slopes, given, CONSTANT)


def _corrected(
    evidence: dict[str, Evidence], probe: Probe, x: np.ndarray, more: np.ndarray, seconds: float
) -> dict[str, Diagnosis]:
    """The corrections of the layer's own backward that make wrong gradients right."""
    y = probe.forward(x)
    if max(x.size, y.size) > LARGEST * len(x):
        return {}
    upstream = random_upstream(y.shape)
    chosen = {name: slice(None) if e.chosen is None else e.chosen for name, e in evidence.items()}
    values = {name: p.data.copy() for name, p in probe.parameters.items()}

    def forward() -> None:
        for name, value in values.items():
            probe.parameters[name].data = value
        probe.forward(x.copy())

    def backward(times: float) -> dict[str, np.ndarray]:
        for p in probe.parameters.values():
            p.zero_grad()
        d_x = probe.backward(times * upstream)
        if "input" in evidence and np.shape(d_x) != x.shape:
            raise ValueError("dL/dx has another shape")
        return {
            name: np.array(d_x if name == "input" else probe.parameters[name].grad).ravel()[at]
            for name, at in chosen.items()
        }

    right = {name: e.slope.ravel() for name, e in evidence.items()}
    wrong = {name for name, e in evidence.items() if not e.right}

    def holds(names: set[str]) -> bool:
        return all(_agrees(name, probe, data) for data in (more, drawn_again(x)) for name in names)

    found = mend(Runs(probe.layer, forward, backward, right, wrong, holds), seconds)
    if "input" not in found:
        return found
    kind, text, _ = found["input"]
    if evidence["input"].elementwise:
        found["input"] = Diagnosis(kind, f"the derivative f′ is wrong: {text}")
    elif kind == "missing term":  # of a statistic's, it is better to say so
        found["input"] = statistics(evidence["input"]) or found["input"]
    return found
