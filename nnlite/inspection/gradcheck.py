"""The gradient checker: what backward says against what forward does, explained."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.inputs import as_input
from nnlite.core.padded import Padded, plain
from nnlite.core.parameter import Parameter
from nnlite.core.slot import inference
from nnlite.inspection import contract
from nnlite.inspection.causes.explanation import explain
from nnlite.inspection.joined import as_it_is, joined
from nnlite.inspection.lossgrad import LossCheck, run_loss
from nnlite.inspection.numeric import Compared, Verdict, compare
from nnlite.inspection.probe import Probe, beside, check_one_input, floats, random_upstream
from nnlite.inspection.report import Diagnosis, GradientError, GradientReport, GradientRow
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.structure import sub_layers, watch
from nnlite.losses.base import Loss
from nnlite.losses.penalties import Penalized, Penalty
from nnlite.optimizers.sgd import SGD

FEW = 3  # samples of the small batch in which a mistake is looked for
SECONDS = 1.5  # of computing, for the search of a wrong layer's source; others may delay it


@checked
def check_gradients(
    layer: Layer,
    x: np.ndarray | Padded,
    loss: Loss | None = None,
    target: Any = None,
    raises: bool = True,
    penalties: Sequence[Penalty] = (),
) -> GradientReport:
    """Compare backward with differences of forward, in float64, on a copy, and say what is wrong.

    Entries of the input and of every parameter are moved by ±h one by one, and all of them along
    random directions, and the change of the output, weighed with G, is compared with backward:

        Σ G ⊙ (y(w + h) − y(w − h)) / 2h  ≈  dL/dw,   G = dL/dy of the loss, or fixed random numbers

    The error is |analytic − numeric| over the largest slope of that array (or over what rounding
    may amount to). Where it is above 1e-6, the slope is measured again with steps from 10⁻³ to
    10⁻⁸ of what moves, and beside x; only what stays wrong is wrong. At kinks and ties (ReLU's
    zero, equal values in a maximum) what lies between the slopes to the left and to the right is
    right, and a note says so; the shares of equal values must add up.

    It is done for the whole batch, for batches of 3 and of 1, and in training and eval mode with
    parameters moved by 5 % from the values that a layer begins with, which hide mistakes. Random
    layers draw the same numbers in every run, and statistics over the batch are computed anew.

    Besides: forward is deterministic; nothing is modified in place or overwritten later; gradients
    are added, not overwritten, also with `needs_input_grad=False`; backward draws nothing, reads no
    mode, and belongs to the latest forward; buffers rest in eval mode; float32 stays float32 and
    float64 float64; with a loss, the loss's own gradient is right, with sample weights too, and a
    step of an optimizer moves every trainable parameter. When a model is wrong, the layers inside
    it are checked one by one.

    What is wrong is explained by the two Jacobians of a few samples, the true one and that of
    backward. Where they do not tell, and backward does nothing but compute, the source of one that
    was written by hand is searched for the place at which a small correction makes the gradients
    right: changed copies of it are run, for 1.5 seconds of computing at most. Then copies of
    forward are run, in each of which one expression is held at its value, for what backward takes
    for a constant. Where nothing fits, the smallest counterexample is shown.

    What differences cannot tell, as where forward gives NaN, is not called wrong nor right: the
    report's first line names it.

    Terms that layers add to the loss (see `nn.loss_terms`) are checked with the rest, as outputs
    with dL/dP = 0.7.

    A gradient that is not the slope on purpose (straight-through, reversed, stopped) is declared by
    the layer, as `surrogate = "straight-through"` in the class or the instance, or of a parameter
    as `surrogate = {"weight": "straight-through"}`. It is shown beside the slope and not called
    wrong. All else about the layer is checked, and layers before it with its dL/dx as given.

    Args:
        layer: a layer or a whole model; it is copied, and left as it is.
        x: an input, or `Padded` sequences; floats are checked too, integers are not.
        loss, target: check dL/dw of this loss (default: of a random projection of y); for a model
            of several outputs one that takes a tuple, such as `Losses` and a tuple of targets.
        raises: whether to raise when something is wrong (default True).
        penalties: of parameters, whose own gradients are checked too (default: none).

    Returns:
        The report; it prints well and iterates over its rows.

    Raises:
        GradientError: names the worst entry of every wrong gradient, with its analytic and its
            numeric value, and the mistake in words.
        ValueError: when only one of `loss` and `target` is given, or x is empty or not finite.
        TypeError: when x does not hold numbers, or layer is no layer.
    """
    if (loss is None) != (target is None):
        raise ValueError("check_gradients: give loss and target together")
    check_one_input("check_gradients", x)
    x = as_input("check_gradients: x", x)
    if target is not None:
        prepared = [
            as_input("check_gradients: target", each)
            for each in (target if isinstance(target, tuple) else (target,))
        ]
        target = tuple(prepared) if isinstance(target, tuple) else prepared[0]
    if plain(x).size == 0:
        raise ValueError(f"check_gradients: x is empty, shape {x.shape}")
    if loss is not None and loss.takes_several:
        layer, loss = joined(layer, loss, x, target)
        target = np.zeros(len(x))  # the loss has its own
    with inference(False):  # losses keep what their backward needs
        check = _Check(layer, x, loss, target)
        report = check.report()
        report.rows += check.penalty_rows(penalties)
    if not report.ok and raises:
        raise GradientError(report) from next((d.error for d in report.findings if d.error), None)
    return report


class _Check:
    """One run of the checker on one layer."""

    def __init__(
        self, layer: Layer, x: np.ndarray | Padded, loss: Loss | None, target: np.ndarray | None
    ) -> None:
        self.layer = layer
        self.loss = loss
        self.target = target
        self.probe = Probe(layer, lengths=x.lengths if isinstance(x, Padded) else None)
        self.x = floats(plain(x))
        self.floating = x.dtype.kind == "f"
        self.reasons = {
            f"{path}.{name}".strip("."): reason
            for path, part in layer.named_layers().items()
            for name, reason in surrogates(part).items()
        }
        self.notes: dict[str, None] = {}  # in order, each once
        self.seconds = SECONDS  # what is left
        self.parts_decide = False  # whether a kink or a tie inside must be looked at by itself

    def report(self) -> GradientReport:
        """Everything, the cheap and basic things first; stops where going on makes no sense."""
        findings = contract.check_forward(self.probe, self.x)
        rows: list[GradientRow] = []
        if not findings:
            self.probe = self.probe.settled()
            findings += contract.check(self.probe, self.x)
            last, wrong = self._check_loss()
            if not _kinds(findings) & contract.FATAL:
                rows = [*self._rows(findings), *last]
            findings += wrong
            if not findings and not all(row.told for row in rows):
                findings += contract.check_finite(self.probe.forward(self.x))
        findings += contract.hidden_parameters(self.layer)
        if self.loss is not None and not findings:
            findings += self._unmoved()
        report = GradientReport(repr(self.layer), rows, findings, self._notes())
        if not report.ok or self.parts_decide:
            report.parts = self._parts()
        return report

    def _check_loss(self) -> tuple[list[GradientRow], list[Diagnosis]]:
        """Step 1 of the loop; of a loss that breaks the contract no more use is made."""
        if self.loss is None:
            return [], []
        y = self.probe.forward(self.x)
        row, findings = LossCheck(self.loss, y, self.target, self.probe.mask).report()
        if row is None:
            self.loss = None
            return [], findings
        return [row], findings

    def penalty_rows(self, penalties: Sequence[Penalty]) -> list[GradientRow]:
        """One row for each parameter of each penalty."""
        rows = []
        where = "check_gradients: penalties"
        for penalty, path, p in Penalized(penalties, self.probe.layer, where):
            w, name = p.data.copy(), f"{penalty.name} of {path}"
            grad = np.asarray(penalty.gradient(w))
            if grad.shape != w.shape:
                raise ValueError(
                    f"{where}: {penalty!r}: gradient must return an array in the shape of {path}, "
                    f"{w.shape}, got {grad.shape}"
                )
            value = functools.partial(_value, penalty, w)
            slope = compare(w, grad, value, np.ones(1)).worst
            wrong = Diagnosis("penalty", "its gradient is not the derivative of its value")
            bad = slope.verdict >= Verdict.OUTSIDE
            rows.append(GradientRow(name, *slope[:4], wrong if bad else None))
        return rows

    # -- rows ------------------------------------------------------------------------------------

    def _rows(self, findings: list[Diagnosis]) -> list[GradientRow]:
        """One row per gradient: its worst entry over all batch sizes, modes and values."""
        rows = self._judged(self.probe, self.x, {})
        for size in self._smaller_batches():
            try:
                _add(rows, self._judged(self.probe, self.x[:size].copy(), rows))
            except Exception as error:
                text = f"with a batch of {size} it raises {type(error).__name__}: {error}"
                findings.append(Diagnosis("raises", text, error))
                return []
        if "left over" in _kinds(findings):  # what is wrong in the other mode has been said
            return list(rows.values())
        for probe, mode in self._elsewhere(findings):
            _add(rows, self._judged(probe, self._few(), rows, mode))
        return list(rows.values())

    def _smaller_batches(self) -> list[int]:
        """An odd number of samples, and a single one."""
        least = max(part.min_batch for part in self.layer.named_layers().values())
        return [size for size in (3, 1) if least <= size < len(self.x)]

    def _few(self) -> np.ndarray:
        """A small batch: enough to see sums, few enough for whole Jacobians."""
        return self.x[: min(len(self.x), FEW)].copy()

    def _elsewhere(self, findings: list[Diagnosis]) -> Iterator[tuple[Probe, str]]:
        """The layer with other values, in this mode and, where that is another thing, the other.

        Adds what breaks the contract there alone.
        """
        x, first = self._few(), None
        for training in (self.layer.training, not self.layer.training):
            mode = f"in {'training' if training else 'eval'} mode, with parameters moved by 5 %"
            try:
                probe = self.probe.elsewhere(x, training)
                more = contract.check_forward(probe, x) or contract.check(probe, x)
                more += contract.check_precision(probe, x)
                y = probe.forward(x)
                results = [y, *probe.gradients(x, random_upstream(y.shape))[1].values()]
            except Exception as error:
                self._note(f"not checked {mode}: {type(error).__name__}: {error}")
                continue
            known = _kinds(findings)
            findings += [
                Diagnosis(kind, f"{mode}: {text}", error)
                for kind, text, error in more
                if kind not in known
            ]
            if _kinds(more) & (contract.FATAL | {"buffer"}) or not np.isfinite(y).all():
                continue
            if first is None or not all(map(np.array_equal, results, first)):
                yield probe, mode
            first = results

    def _judged(
        self, probe: Probe, x: np.ndarray, known: dict[str, GradientRow], mode: str = ""
    ) -> dict[str, GradientRow]:
        """Every gradient on this batch, and what is wrong with it, if that stays wrong beside x.

        Those that are known to be wrong are left out; where all are right so far, entries are
        looked at one by one only if something shows.
        """
        names = {"input", *probe.parameters} - {name for name, row in known.items() if not row.ok}
        found = self._compared(probe, x, names, not known)
        doubtful = {name for name, c in found.items() if c.kinks or c.worst.verdict}
        beside_x = self._compared_beside(probe, x, doubtful)
        wrong = {
            name
            for name, (slope, _) in found.items()
            if name not in self.reasons
            and (
                np.isnan(slope.analytic)
                or (name in beside_x and beside_x[name].worst.verdict >= Verdict.OUTSIDE)
            )
        }
        explained = self._diagnose(wrong, probe, x) if wrong else {}
        rows = {}
        for name, (slope, kinks) in found.items():
            again = beside_x.get(name)
            diagnosis = explained.get(name)
            outside = slope.verdict >= Verdict.OUTSIDE
            if name in self.reasons:
                pass
            elif diagnosis:
                if slope.verdict < Verdict.OUTSIDE and again:
                    slope = again.worst
            elif outside and kinks and again and self._right_close_by(name, probe, x):
                slope = again.worst
                self._note_kink(name)
            elif outside:
                diagnosis = self._at_x_alone(name, kinks, again)
                slope = again.worst if again and not diagnosis else slope
            elif kinks:
                self._note_kink(name)
            elif slope.verdict == Verdict.UNSURE:
                self._note(f"{name}: the differences are too rough to tell whether it is right")
            if diagnosis and mode:
                if diagnosis.kind == "unknown" and self._ignores_values(name, probe, x):
                    diagnosis = Diagnosis(
                        "copied",
                        "backward gives what is right for the values that the parameters had "
                        "before: it reads a copy of them, which is not kept up to date",
                    )
                diagnosis = Diagnosis(diagnosis.kind, f"{mode}, {diagnosis.text}")
            told = slope.verdict != Verdict.UNSURE or diagnosis is not None
            reason = self.reasons.get(name, "")
            rows[name] = GradientRow(name, *slope[:4], diagnosis, reason, told)
        return rows

    def _at_x_alone(self, name: str, kinks: bool, again: Compared | None) -> Diagnosis | None:
        """What it means that a gradient is wrong, but right (or not to be had) beside x."""
        if again and not kinks:
            self._note(f"{name}: right beside x; at x itself differences are too rough to tell")
        elif again and sub_layers(self.layer):
            self.parts_decide = True  # kinks of several layers may hide each other
        elif again:
            return Diagnosis(
                "tie",
                "it is right but for kinks and ties, as at equal values or at exactly 0: there it "
                "is not between the slopes to the left and to the right, or the shares of equal "
                "values do not add up to the slope when all of them move",
            )
        elif not kinks:
            return Diagnosis("unknown", "it is not the slope")
        return None

    def _ignores_values(self, name: str, probe: Probe, x: np.ndarray) -> bool:
        """Whether a gradient is the same with the parameters' first values, where it is right."""
        g = random_upstream(probe.forward(x).shape)
        (now, grads), (before, first) = (p.gradients(x, g) for p in (probe, self.probe))
        here, there = (now, before) if name == "input" else (grads[name], first[name])
        return np.array_equal(here, there)

    def _right_close_by(self, name: str, probe: Probe, x: np.ndarray) -> bool:
        """Whether what is no slope at x, among equal values, is one between those around x."""
        found = self._compared(probe, x, {name}, by_entry=True, ties=True)[name]
        return found.worst.verdict < Verdict.OUTSIDE

    def _compared(
        self,
        probe: Probe,
        x: np.ndarray,
        names: Collection[str],
        by_entry: bool = False,
        ties: bool = False,
    ) -> dict[str, Compared]:
        """The gradients of these names against the slopes of forward."""
        upstream = self._upstream(probe, probe.forward(x))
        d_x, grads = probe.gradients_with_terms(x, upstream)
        arrays = {name: (p.data, grads[name]) for name, p in self._weights(probe, grads)}
        if self.floating:
            arrays["input"] = x, np.array(np.broadcast_to(d_x, x.shape))
        outputs, weights = probe.as_declared(x, upstream)
        return {
            name: compare(data, grad, outputs, weights, by_entry, ties)
            for name, (data, grad) in arrays.items()
            if name in names
        }

    def _compared_beside(
        self, probe: Probe, x: np.ndarray, names: Collection[str]
    ) -> dict[str, Compared]:
        """The same a little beside x and the parameters; nothing where that cannot be."""
        if not names:
            return {}
        try:
            moved = probe.elsewhere(x, probe.layer.training)
            x = beside(x)
            if np.isfinite(moved.forward(x)).all():
                return self._compared(moved, x, names)
        except Exception:  # x or a parameter has to be what it is
            pass
        return {}

    def _weights(
        self, probe: Probe, grads: dict[str, np.ndarray]
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters that have a gradient."""
        for name, p in probe.parameters.items():
            if not p.trainable and not grads[name].any():
                self._note(f"{name} is frozen, and gets no gradient")
            else:
                yield name, p

    def _upstream(self, probe: Probe, y: np.ndarray) -> np.ndarray:
        """dL/dy of the loss, or a random one, as for parts of a batch, which may be no batch."""
        if self.loss is None or len(y) < len(self.x):
            return random_upstream(y.shape)
        return np.array(run_loss(self.loss, y, self.target, probe.mask)[1])

    def _unmoved(self) -> list[Diagnosis]:
        """Trainable parameters with a slope that a step of an optimizer leaves where they are."""
        probe = self.probe.fresh()
        parameters = [p for p in probe.layer.parameters() if p.trainable and p.dtype.kind == "f"]
        if not parameters:
            return []
        optimizer = SGD(parameters, lr=0.1)
        assert self.loss is not None
        before = {name: p.data.copy() for name, p in probe.parameters.items()}
        y = probe.forward(self.x)
        probe.backward(run_loss(self.loss, y, self.target, probe.mask)[1])
        optimizer.step()
        return [
            Diagnosis("unmoved", f"a step of the optimizer does not move {name}")
            for name, p in probe.parameters.items()
            if p.trainable
            and (np.abs(0.1 * p.grad) > np.spacing(np.abs(before[name]))).any()
            and np.array_equal(p.data, before[name])
        ]

    # -- explanations ----------------------------------------------------------------------------

    def _diagnose(self, names: set[str], probe: Probe, x: np.ndarray) -> dict[str, Diagnosis]:
        """What is wrong with these gradients, by name."""
        of_terms = self._of_terms(names, probe, x)
        names = names - of_terms.keys()
        start = time.thread_time()
        found = explain(names, probe, x, self.seconds) if names else {}
        self.seconds = max(0.0, self.seconds - (time.thread_time() - start))
        unknown = dict.fromkeys(names, Diagnosis("unknown", "it is not the slope"))
        return unknown | found | of_terms

    def _of_terms(self, names: set[str], probe: Probe, x: np.ndarray) -> dict[str, Diagnosis]:
        """Those that are right but for the terms that layers add to the loss, and what to say."""
        if not any(part.term for part in probe.layer.named_layers().values()):
            return {}
        upstream = random_upstream(probe.forward(x).shape)
        d_x, grads = probe.gradients(x, upstream)
        arrays = {name: (p.data, grads[name]) for name, p in probe.parameters.items()}
        arrays["input"] = x, np.array(d_x)
        outputs = functools.partial(_outputs, probe, x)
        text = (
            "it is right but for the term that is added to the loss: where loss_terms.current() "
            "is not None, backward adds terms.grad · dP/dx"
        )
        return {
            name: Diagnosis("term", text)
            for name in names
            if compare(*arrays[name], outputs, upstream.ravel()).worst.verdict < Verdict.OUTSIDE
        }

    def _parts(self) -> list[GradientReport]:
        """Reports on the wrong layers directly inside, each on the input that it gets here."""
        inputs: dict[str, np.ndarray | Padded] = {}
        probe = self.probe.fresh()
        children = sub_layers(as_it_is(probe.layer))
        for place, child in children:
            watch(child, lambda x, y, key=place: inputs.update({key: copy.deepcopy(x)}))  # type: ignore[misc]
        if not children:
            return []
        try:
            probe.forward(self.x)
        except Exception:
            return []
        reports = []
        own = sub_layers(as_it_is(self.layer))
        for (place, _), (_, child) in zip(children, own, strict=True):
            if place in inputs:
                part = _Check(child, inputs[place], None, None).report()
                if not part.ok:
                    part.subject = f"{place} › {part.subject}"
                    part.notes = []
                    reports.append(part)
        return reports

    def _note_kink(self, name: str) -> None:
        self._note(
            f"{name}: there is a kink or a tie, where the slopes to the left and to the right "
            "differ; what backward gives there is between them"
        )

    def _note(self, text: str) -> None:
        self.notes[text] = None

    def _notes(self) -> list[str]:
        notes = [
            f"{name}: a surrogate, not the slope ({reason})"
            for name, reason in self.reasons.items()
        ]
        if not self.floating:
            notes.append(f"the input holds integers ({self.x.dtype}), which have no gradient")
        notes += [
            f"{name} holds integers ({p.dtype}), which have no gradient"
            for name, p in self.layer.named_parameters().items()
            if p.dtype.kind != "f"
        ]
        if not self.probe.parameters:
            notes.append("there are no parameters, only the input's gradient was checked")
        return [*self.notes, *notes]


def _add(rows: dict[str, GradientRow], more: dict[str, GradientRow]) -> None:
    """Keep the first row of each gradient, or the first that is wrong."""
    for name, row in more.items():
        if name not in rows or (rows[name].ok and not row.ok):
            rows[name] = row


def _outputs(probe: Probe, x: np.ndarray) -> np.ndarray:
    """y alone, without terms."""
    return np.array(probe.forward(x)).ravel()


def _value(penalty: Penalty, w: np.ndarray) -> np.ndarray:
    """Of one parameter, as the only output."""
    return np.array([penalty.value(w)])


def _kinds(findings: list[Diagnosis]) -> set[str]:
    return {finding.kind for finding in findings}
