"""The parts of the layer contract that differences cannot see."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nnlite.core.parameter import Buffer, Computed, Parameter
from nnlite.inspection.causes.evidence import close
from nnlite.inspection.probe import Probe, beside, floats, random_upstream
from nnlite.inspection.report import Diagnosis
from nnlite.layers.base import Layer
from nnlite.layers.structure import watch

# after these, backward cannot be run again and again
FATAL = {"raises", "none", "type", "shape", "sum", "transposed", "mask"}
NOISE = 1e-9  # relative; far more than float64 rounds, far less than float32
TINY, SMALL = 1e-10, 1e-4  # relative moves of x, below what float32 tells apart, and far above
ROUND_OFF = 100 * float(np.finfo(np.float64).eps)  # relative to y, of what tiny moves must exceed


def check(probe: Probe, x: np.ndarray) -> list[Diagnosis]:
    """All that backward has to keep to, and that is not a slope."""
    g = random_upstream(probe.forward(x).shape)
    found = check_backward(probe, x, g)
    if FATAL.isdisjoint(finding.kind for finding in found):
        for one in (
            check_accumulation, check_slot, check_outputs, check_mode, check_skipping, check_eval,
            check_dtypes, check_values, check_left_over,
        ):  # fmt: skip
            try:
                found += one(probe, x, g)
            except Exception as error:
                return [*found, _raised(error, probe, x)]
            if any(finding.kind == "step" for finding in found):
                return found  # what depends on earlier calls looks wrong in every other way too
    return found


def check_forward(probe: Probe, x: np.ndarray) -> list[Diagnosis]:
    """Whether forward runs, returns floats, the same twice, and leaves its input alone."""
    before = x.copy()
    try:
        y = probe.forward(x)
    except Exception as error:
        if in_words(error) and not isinstance(error, NotImplementedError):
            raise
        text = f"forward raises {type(error).__name__}: {error}{_inside(error, probe)}"
        return [Diagnosis("raises", text, error)]
    if not isinstance(y, np.ndarray):
        hint = ": is a return missing?" if y is None else ", not an array (N, …)"
        return [Diagnosis("type", f"forward returns {_a(y)}{hint}")]
    first, weights = y.copy(), _weights(probe)
    second = probe.forward(x)
    found = _modified(probe, weights)
    if found:
        return found
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


def _inside(error: Exception, probe: Probe) -> str:
    """Which layer inside has raised it, unless its message says so or it is the layer itself."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        part = trace.tb_frame.f_locals.get("self")
        name = part.label() if isinstance(part, Layer) else name
        trace = trace.tb_next
    known = not name or name == probe.layer.label() or name in str(error)
    return "" if known else f" (in {name}, a layer inside)"


def in_words(error: Exception) -> bool:
    """Whether it is nnlite that raises, and says what is wrong."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals["__name__"].startswith("nnlite.")


def check_backward(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether backward returns what it should, and changes nothing that it should not."""
    y = probe.forward(x)
    if y.shape != g.shape:
        return []
    kept, states, weights = g.copy(), probe.generator_states(), _weights(probe)
    x_before, y_before = x.copy(), y.copy()
    try:
        d_x = probe.backward(g)
    except Exception as error:
        return [_raised(error, probe, x)]
    found = _returned(d_x, x)
    if not np.array_equal(g, kept):
        found.append(Diagnosis("in place", "backward modifies grad_output in place"))
        np.copyto(g, kept)
    if not np.array_equal(x, x_before):
        found.append(Diagnosis("in place", "backward modifies the input x in place"))
        np.copyto(x, x_before)
    elif not np.array_equal(y, y_before, equal_nan=True):
        found.append(
            Diagnosis(
                "in place",
                "backward overwrites the output y that forward returned, which other layers read",
            )
        )
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


def _raised(error: Exception, probe: Probe, x: np.ndarray) -> Diagnosis:
    """What went wrong inside backward, read from NumPy's message where that helps."""
    text = f"backward raises {type(error).__name__}: {error}{_inside(error, probe)}"
    if isinstance(error, RuntimeError) and "matching forward" in str(error):
        again = used_again(probe, x)
        return Diagnosis("raises", f"{text}. And {again}" if again else text, error)
    shapes = [
        tuple(int(n) for n in re.findall(r"\d+", s))
        for s in re.findall(r"\(((?:\d+,\s*)*\d*)\)", str(error))
    ]
    if len(shapes) >= 2:
        expected, got = sorted(shapes[-2:], key=len)
        if len(expected) == len(got) and expected == got[::-1] and expected != got:
            return Diagnosis("transposed", f"{text}. The gradient looks transposed", error)
        if len(got) > len(expected) and got[len(got) - len(expected) :] == expected:
            text += ". A sum over the leading axes (the batch) is missing"
            return Diagnosis("sum", text, error)
    if "matmul" in str(error):
        text += ". A factor of the product may need its transpose, as in xᵀ G and G Wᵀ"
    return Diagnosis("raises", text, error)


def used_again(probe: Probe, x: np.ndarray) -> str:
    """What is to be said of a layer inside that one forward passes more than once."""
    counted = probe.fresh()
    parts = {path: part for path, part in counted.layer.named_layers().items() if path}
    calls = dict.fromkeys(parts, 0)

    def count(path: str) -> None:
        calls[path] += 1

    for path, part in parts.items():
        watch(part, lambda *_, path=path: count(path))
    counted.forward(x)
    for path, part in parts.items():
        if calls[path] > 1:
            tie = ", which may share the Parameter" if part.has_parameters() else ""
            return (
                f"the forward of {path}, {part.label()}, is called {calls[path]} times, and keeps "
                "for backward what the last call saved alone: a layer can be used once. Make a "
                f"second one{tie}"
            )
    return ""


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
    d_x, once = probe.gradients(x, g)
    d_x = np.array(d_x)
    rng = np.random.default_rng(2)
    starts = {name: rng.standard_normal(p.shape) for name, p in probe.parameters.items()}
    for name, p in probe.parameters.items():
        p.grad = starts[name]
    probe.forward(x)
    again = probe.backward(g)
    found = []
    if x.dtype.kind == "f" and not np.array_equal(d_x, again, equal_nan=True):
        found.append(
            Diagnosis(
                "step",
                "backward gives another dL/dx when the same forward and backward are run again: it "
                "changes what it reads, such as an array that is kept from call to call",
            )
        )
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
    """Whether forward and backward belong to the latest x, not to one before it."""
    other = _other(x)
    fresh = probe.fresh()
    expected = fresh.forward(other)
    if expected.shape != g.shape:
        return []
    right, grads = fresh.gradients(other, g)
    probe.forward(x)
    if not np.array_equal(probe.forward(other), expected, equal_nan=True):
        return [
            Diagnosis(
                "step",
                "forward depends on an earlier x: it keeps something of the first call in an "
                "attribute; compute it anew in each call, or keep it in a Buffer",
            )
        ]
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


def _other(x: np.ndarray) -> np.ndarray:
    """Another input of the same shape."""
    return np.ascontiguousarray(x[::-1] * 0.5 if x.dtype.kind == "f" else x[::-1])


def check_outputs(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether an output stays what it is when the next one is computed."""
    y = probe.forward(x)
    before = y.copy()
    probe.forward(_other(x))
    if np.array_equal(y, before, equal_nan=True):
        return []
    text = "forward writes every output into the same array, so the next call overwrites this one"
    return [Diagnosis("in place", text)]


def check_mode(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether backward does what forward did, in whichever mode the layer is meanwhile."""
    expected = probe.gradients(x, g)
    flipped = probe.fresh()
    flipped.forward(x)
    flipped.layer.train(not flipped.layer.training)
    return _differs(
        flipped, g, expected, "mode",
        "backward reads self.training, which may have changed since forward; save what it decided",
    )  # fmt: skip


def check_skipping(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether the parameters' gradients come also when nobody needs dL/dx."""
    _, grads = probe.gradients(x, g)
    first = probe.fresh()
    first.layer.needs_input_grad = False
    first.forward(x)
    return _differs(
        first, g, (None, grads), "skipped",
        "with needs_input_grad=False, as in the first layer of a model, the gradients of the "
        "parameters are not the same: skip dL/dx alone, after they are computed",
    )  # fmt: skip


def _differs(
    probe: Probe, g: np.ndarray, expected: tuple[Any, dict[str, np.ndarray]], kind: str, text: str
) -> list[Diagnosis]:
    """The finding, when the backward that is due gives anything else."""
    probe.layer.zero_grad()
    try:
        d_x = probe.backward(g)
    except Exception as error:
        return [Diagnosis(kind, f"{text} ({type(error).__name__}: {error})")]
    right, grads = expected
    pairs = [(p.grad, grads[name]) for name, p in probe.parameters.items()]
    if isinstance(right, np.ndarray):
        pairs.append((np.array(d_x), right))
    same = all(
        close(ours, theirs) or np.array_equal(ours, theirs, equal_nan=True)
        for ours, theirs in pairs
    )
    return [] if same else [Diagnosis(kind, text)]


def check_eval(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether buffers stay as they are in eval mode."""
    if any(part.training for part in probe.layer.named_layers().values()):
        return []
    fresh = probe.fresh()
    before = {name: buffer.data.copy() for name, buffer in fresh.layer.named_parts(Buffer)}
    fresh.forward(x)
    return [
        Diagnosis("buffer", f"forward changes {name} in eval mode, where nothing is learned")
        for name, buffer in fresh.layer.named_parts(Buffer)
        if not np.array_equal(buffer.data, before[name], equal_nan=True)
    ]


def check_values(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether forward leaves the parameters alone, far away from where they are now too."""
    moved = probe.fresh()
    for p in moved.parameters.values():
        p.data = 3 * p.data + np.random.default_rng(11).standard_normal(p.shape)
    moved.hold_constants()
    before = _weights(moved)
    try:
        with np.errstate(all="ignore"):
            moved.forward(x)
    except Exception:  # they have to be what they are
        return []
    return _modified(moved, before)


def _modified(probe: Probe, before: dict[str, np.ndarray]) -> list[Diagnosis]:
    """The parameters that a forward has changed."""
    return [
        Diagnosis(
            "in place",
            f"forward modifies the parameter {name}, as by clipping or normalizing it: compute "
            "with another array, or do that after the optimizer's step",
        )
        for name, value in _weights(probe).items()
        if not np.array_equal(value, before[name], equal_nan=True)
    ]


def check_left_over(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether backward in eval mode is the same after a forward in training mode."""
    fresh, used = probe.fresh(), probe.fresh()
    fresh.layer.eval()
    used.layer.train()
    before = _attributes(used)
    used.forward(x)
    names = [name for name, value in _attributes(used).items() if before.get(name) is not value]
    used.layer.eval()
    y = fresh.forward(x)
    if y.shape != g.shape or not np.array_equal(y, used.forward(x)):
        return []
    which = f" ({', '.join(names)})" if names else ""
    return _differs(
        used, g, fresh.gradients(x, g), "left over",
        f"in eval mode backward reads what a forward in training mode has left in an attribute"
        f"{which}: keep it with save_for_backward, which every forward replaces",
    )  # fmt: skip


def _attributes(probe: Probe) -> dict[str, np.ndarray]:
    """The plain arrays that are attributes of a layer."""
    return {
        f"{path}.{name}".strip("."): value
        for path, part in probe.layer.named_layers().items()
        for name, value in vars(part).items()
        if isinstance(value, np.ndarray)
    }


def check_finite(y: np.ndarray) -> list[Diagnosis]:
    """Whether there are outputs that differences can be taken of."""
    off = ~np.isfinite(y)
    if not off.any():
        return []
    first = tuple(int(i) for i in np.argwhere(off)[0])
    return [
        Diagnosis(
            "not finite",
            f"forward gives NaN or infinity at {np.count_nonzero(off)} of {y.size} outputs, the "
            f"first at {first}, so there are no differences to check backward with: give an x for "
            "which y is finite",
        )
    ]


def check_dtypes(probe: Probe, x: np.ndarray, g: np.ndarray) -> list[Diagnosis]:
    """Whether float32 stays float32, and float64 float64, forward and backward."""
    for dtype in (np.float32, np.float64):
        fresh, arrays = probe.fresh(dtype), {}
        with np.errstate(all="ignore"):
            arrays["forward"] = y = fresh.forward(floats(x, dtype))
            if y.dtype.kind != "f":
                return []
            if y.dtype == dtype:
                arrays["backward"] = fresh.backward(np.ones_like(y))
        for what, array in arrays.items():
            if what == "backward" and x.dtype.kind != "f":
                continue
            if isinstance(array, np.ndarray) and array.dtype != dtype:
                return [_drift(f"{what} returns", array.dtype, np.dtype(dtype))]
    return []


def check_precision(probe: Probe, x: np.ndarray) -> list[Diagnosis]:
    """Whether float64 is computed in float64 throughout, which the dtypes of results don't tell.

    Float64 too rounds coarsely where numbers nearly cancel, which depends on x. So it is asked at
    this x, and at one whose values are all of the size 1; float32 shows at both.
    """
    places = [beside(x), _ordinary(x)] if x.dtype.kind == "f" else [x]
    try:
        with np.errstate(all="ignore"):
            single = [_in_single(probe, place) for place in places]
    except Exception:  # x has to be what it is
        return []
    return [
        Diagnosis("dtype", f"{what} is computed in float32 for float64 input")
        for what in single[0]
        if all(what in names for names in single)
    ]


def _ordinary(x: np.ndarray) -> np.ndarray:
    """Values between ½ and 1 with the signs of x."""
    size = 0.5 + 0.5 * np.random.default_rng(5).random(x.shape)
    return np.where(x < 0, -size, size)


def _in_single(probe: Probe, x: np.ndarray) -> list[str]:
    """What seems to be computed in float32 here: gradients, of which those of G₁ + G₂ are not the
    sum of both, and forward.
    """
    g = random_upstream(probe.forward(x).shape)
    more = np.roll(g, 1) * 0.7 + 0.1
    first, second, both = (_flat(probe.gradients(x, upstream)) for upstream in (g, more, g + more))
    found = []
    for name in first:
        size = np.abs(first[name]).max(initial=0) + np.abs(second[name]).max(initial=0)
        rest = np.abs(both[name] - first[name] - second[name]).max(initial=0)
        if NOISE * size < rest < 1e-4 * size:
            found.append(f"the gradient of {name}")
    if x.dtype.kind == "f" and _in_steps(probe, x):
        found.append("forward")
    return found


def _in_steps(probe: Probe, x: np.ndarray) -> bool:
    """Whether many outputs go in steps: straight over tiny moves of x, but with another slope, as
    0, than over small ones. Where float64 itself is too coarse, tiny moves give no straight line.
    """
    v = x * np.random.default_rng(7).uniform(0.5, 1, x.shape)
    here = probe.forward(x).copy()

    def slope(distance: float) -> np.ndarray:
        return np.asarray(probe.forward(x + distance * v) - here) / distance

    tiny, *others = (slope(times * TINY) for times in (1, 2, 4))
    small, more = (slope(d) / 2 + slope(-d) / 2 for d in (SMALL, 2 * SMALL))
    size = np.abs(small)
    steps = (
        np.all([np.abs(other - tiny) < 0.02 * size for other in others], axis=0)
        & (size * TINY > ROUND_OFF * np.abs(here))
        & (np.abs(more - small) < 0.02 * size)
        & (np.abs(tiny - small) > 0.1 * size)
    )
    return bool(np.count_nonzero(steps) > 0.25 * np.count_nonzero(small))


def _flat(gradients: tuple[Any, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """All gradients of one backward by name."""
    d_x, grads = gradients
    return {**grads, "input": np.array(d_x)} if isinstance(d_x, np.ndarray) else grads


def _drift(what: str, dtype: np.dtype[Any], given: np.dtype[Any]) -> Diagnosis:
    why = "a NumPy scalar or a float64 array promotes it; " if dtype.itemsize > 4 else ""
    return Diagnosis(
        "dtype",
        f"{what} {dtype} for {given} input: {why}use Python scalars and arrays of x.dtype",
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
        if isinstance(value, Parameter) and not isinstance(value, Computed)
        if id(value) not in seen
    ]
