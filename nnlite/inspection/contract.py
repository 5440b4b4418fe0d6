"""The parts of the layer contract that differences cannot see."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.inspection.evidence import close
from nnlite.inspection.probe import Probe, floats
from nnlite.inspection.report import Diagnosis
from nnlite.layers.base import Layer

# after these, backward cannot be run again and again
FATAL = {"raises", "none", "type", "shape", "sum", "transposed", "mask"}


def check_forward(probe: Probe, x: np.ndarray) -> list[Diagnosis]:
    """Whether forward returns floats, the same twice, and leaves its input alone."""
    before = x.copy()
    y = probe.forward(x)
    if not isinstance(y, np.ndarray):
        hint = ": is a return missing?" if y is None else ", not an array (N, …)"
        return [Diagnosis("type", f"forward returns {_a(y)}{hint}")]
    first, second = y.copy(), probe.forward(x)
    found = []
    if not np.array_equal(x, before, equal_nan=True):
        found.append(Diagnosis("in place", "forward modifies its input x in place"))
        np.copyto(x, before)
    elif not np.array_equal(first, second, equal_nan=True):
        found.append(
            Diagnosis(
                "not deterministic",
                "forward is not deterministic: two runs from the same state differ. Draw from a "
                "generator that is an attribute (self.rng), and keep no hidden state",
            )
        )
    return found


def check_backward(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether backward returns what it should, and changes nothing that it should not."""
    y = probe.forward(x)
    if y.shape != g.shape:
        return []
    kept, states, weights = g.copy(), probe.generator_states(), _weights(probe)
    x_before = x.copy()
    try:
        d_x = probe.backward(g)
    except Exception as error:
        return [_raised(error)]
    found = _returned(d_x, x)
    if not np.array_equal(g, kept):
        found.append(Diagnosis("in place", "backward modifies grad_output in place"))
        np.copyto(g, kept)
    if not np.array_equal(x, x_before):
        found.append(Diagnosis("in place", "backward modifies the input x in place"))
        np.copyto(x, x_before)
    found += [
        Diagnosis("in place", f"backward modifies the values of {name}")
        for name, value in _weights(probe).items()
        if not np.array_equal(value, weights[name])
    ]
    if probe.generator_states() != states or (not found and _differs_again(probe, x, g, d_x)):
        text = (
            "backward draws random numbers: the mask is drawn anew instead of being the one that "
            "forward drew and saved"
        )
        return [Diagnosis("mask", text)]
    return found


def _differs_again(probe: Probe, x: np.ndarray, g: np.ndarray, d_x: Any) -> bool:
    """Whether the same forward and backward give another dL/dx the second time."""
    if not isinstance(d_x, np.ndarray):
        return False
    first = d_x.copy()
    probe.forward(x)
    return not np.array_equal(probe.backward(g), first, equal_nan=True)


def _weights(probe: Probe) -> dict[str, np.ndarray]:
    return {name: p.data.copy() for name, p in probe.parameters.items()}


def _raised(error: Exception) -> Diagnosis:
    """What went wrong inside backward, read from NumPy's message where that helps."""
    text = f"backward raises {type(error).__name__}: {error}"
    shapes = [
        tuple(int(n) for n in re.findall(r"\d+", s))
        for s in re.findall(r"\(((?:\d+,\s*)*\d*)\)", str(error))
    ]
    if len(shapes) >= 2:
        expected, got = sorted(shapes[-2:], key=len)
        if len(expected) == len(got) and expected == got[::-1] and expected != got:
            return Diagnosis("transposed", f"{text}. The gradient looks transposed")
        if len(got) > len(expected) and got[len(got) - len(expected) :] == expected:
            return Diagnosis("sum", f"{text}. A sum over the leading axes (the batch) is missing")
    if "matmul" in str(error):
        text += ". A factor of the product may need its transpose, as in xᵀ G and G Wᵀ"
    return Diagnosis("raises", text)


def _a(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _returned(d_x: Any, x: np.ndarray) -> list[Diagnosis]:
    """The input gradient's type and shape."""
    if x.dtype.kind != "f":
        return []
    if d_x is None:
        return [Diagnosis("none", "backward returns None instead of dL/dx: is a return missing?")]
    if not isinstance(d_x, np.ndarray):
        return [Diagnosis("type", f"backward returns {_a(d_x)}, not an array")]
    if d_x.shape == x.shape:
        return []
    try:
        np.broadcast_to(d_x, x.shape)
    except ValueError:
        only = ""
    else:
        only = "; it would only fit by broadcasting"
    return [
        Diagnosis(
            "broadcast" if only else "shape",
            f"backward returns dL/dx of shape {d_x.shape} for an input of shape {x.shape}{only}",
        )
    ]


def check_accumulation(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether backward adds to gradients that are there already."""
    _, once = probe.gradients(x, g)
    rng = np.random.default_rng(2)
    starts = {name: rng.standard_normal(p.shape) for name, p in probe.parameters.items()}
    for name, p in probe.parameters.items():
        p.grad = starts[name]
    probe.forward(x)
    probe.backward(g)
    found = []
    for name, p in probe.parameters.items():
        if close(p.grad, starts[name] + once[name]) or not np.isfinite(once[name]).all():
            continue
        how = "overwrites" if close(p.grad, once[name]) else "does not add to"
        found.append(
            Diagnosis(
                "overwritten",
                f"backward {how} the gradient of {name}; write += so that batches and shared "
                "parameters accumulate",
            )
        )
    return found


def check_slot(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether backward belongs to the latest forward, not to one before it."""
    other = np.ascontiguousarray(x[::-1] * 0.5 if x.dtype.kind == "f" else x[::-1])
    fresh = probe.fresh()
    if fresh.forward(other).shape != g.shape:
        return []
    right, grads = fresh.gradients(other, g)
    probe.forward(x)
    d_x, after = probe.gradients(other, g)
    pairs = [(after[name], grads[name]) for name in grads]
    if isinstance(d_x, np.ndarray):
        pairs.append((d_x, right))
    if all(np.array_equal(ours, theirs, equal_nan=True) for ours, theirs in pairs):
        return []
    return [
        Diagnosis(
            "step",
            "backward reads the state of an earlier forward: save with save_for_backward on the "
            "last line of forward, which replaces what was there",
        )
    ]


def check_dtypes(probe: Probe, x: np.ndarray) -> list[Diagnosis]:
    """Whether float32 stays float32, forward and backward."""
    probe = probe.fresh(np.float32)
    x = floats(x, np.float32)
    with np.errstate(all="ignore"):
        y = probe.forward(x)
        if y.dtype != np.float32:
            if y.dtype.kind != "f":
                return []
            return [_drift("forward returns", y.dtype)]
        d_x = probe.backward(np.ones_like(y))
    if isinstance(d_x, np.ndarray) and x.dtype.kind == "f" and d_x.dtype != np.float32:
        return [_drift("backward returns", d_x.dtype)]
    return []


def _drift(what: str, dtype: np.dtype[Any]) -> Diagnosis:
    return Diagnosis(
        "dtype",
        f"{what} {dtype} for float32 input: a NumPy scalar or a float64 array promotes it; use "
        "Python scalars and arrays of x.dtype",
    )


def hidden_parameters(layer: Layer) -> list[Diagnosis]:
    """Parameters that no optimizer will see, because their names begin with an underscore."""
    seen = {id(p) for p in layer.parameters()}
    return [
        Diagnosis(
            "hidden",
            f"{type(part).__name__}.{name} is a Parameter, but names that begin with _ are not "
            "walked, so no optimizer will find it",
        )
        for part in layer.named_layers().values()
        for name, value in list(vars(part).items())
        if isinstance(value, Parameter) and id(value) not in seen
    ]
