"""The gradient checker: what backward says against what forward does, explained."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.inputs import as_input
from nnlite.core.padded import Padded, plain
from nnlite.core.slot import inference
from nnlite.inspection import contract
from nnlite.inspection.diagnosis import diagnose
from nnlite.inspection.evidence import Evidence, close
from nnlite.inspection.numeric import (
    TOLERANCE,
    Slope,
    jacobian_by_differences,
    worst_slope,
)
from nnlite.inspection.probe import Probe, check_one_input, floats, random_upstream
from nnlite.inspection.report import Diagnosis, GradientError, GradientReport, GradientRow
from nnlite.layers.base import Layer
from nnlite.layers.structure import sub_layers, watch
from nnlite.losses.base import Loss
from nnlite.optimizers.sgd import SGD

FEW = 3  # samples of the small batch in which a mistake is looked for
JACOBIAN = 600  # largest number of outputs, and of entries, for which Jacobians are compared


@checked
def check_gradients(
    layer: Layer,
    x: np.ndarray | Padded,
    loss: Loss | None = None,
    target: np.ndarray | None = None,
    raises: bool = True,
) -> GradientReport:
    """Compare backward with differences of forward, in float64, on a copy, and say what is wrong.

    Every entry of the input and of every parameter is moved by ±h (random directions, where there
    are more than 600), and the change of one number is compared with what backward says of it:

        (L(w + h) − L(w − h)) / 2h  ≈  dL/dw,   L = the loss, or Σ R ⊙ y with fixed random R

    The error is |analytic − numeric| over the largest slope of that array (or over 1e-4, if that
    is smaller); above 1e-6 the check fails. It is done for the whole batch, for a batch of 1 and
    for one of 3. Random layers draw the same numbers in every run, statistics over the batch are
    computed anew, and at a kink such as ReLU's zero the slope of either side is right.

    Besides: forward is deterministic; nothing is modified in place; gradients are added, not
    overwritten; backward draws nothing, and belongs to the latest forward; float32 stays float32;
    with a loss, the loss's own gradient is right and a step of an optimizer moves every trainable
    parameter. When a model is wrong, the layers inside it are checked one by one.

    Args:
        layer: a layer or a whole model; it is copied, and left as it is.
        x: an input, or `Padded` sequences; floats are checked too, integers are not.
        loss, target: check dL/dw of this loss (default: of a random projection of y).
        raises: whether to raise when something is wrong (default True).

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
        target = as_input("check_gradients: target", target)
    if plain(x).size == 0:
        raise ValueError(f"check_gradients: x is empty, shape {x.shape}")
    with inference(False):  # losses keep what their backward needs
        report = _Check(layer, x, loss, target).report()
    if not report.ok and raises:
        raise GradientError(report)
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

    def report(self) -> GradientReport:
        """Everything, the cheap and basic things first; stops where going on makes no sense."""
        findings = contract.check_forward(self.probe, self.x)
        rows: list[GradientRow] = []
        if not findings:
            y = self.probe.forward(self.x)
            g = random_upstream(y.shape)
            findings += contract.check_backward(self.probe, self.x, g)
            # after these, backward cannot be run again and again
            if not {"raises", "none", "type", "shape", "sum", "transposed", "mask"} & _kinds(
                findings
            ):
                findings += contract.check_accumulation(self.probe, self.x, g)
                findings += contract.check_slot(self.probe, self.x, g)
                findings += contract.check_dtypes(self.probe, self.x)
                rows = self._rows(findings)
        findings += contract.hidden_parameters(self.layer)
        if self.loss is not None and not findings:
            rows += self._loss_row(y)
            findings += self._unmoved()
        report = GradientReport(repr(self.layer), rows, findings, self._notes())
        if not report.ok:
            report.parts = self._parts()
        return report

    # -- rows ------------------------------------------------------------------------------------

    def _rows(self, findings: list[Diagnosis]) -> list[GradientRow]:
        """One row per gradient: its worst entry over all batch sizes; adds what raises."""
        worst: dict[str, Slope] = {}
        for rows in self._batches():
            try:
                slopes = self._slopes(rows)
            except Exception as error:
                if rows.stop == len(self.x):
                    raise
                text = f"with a batch of {rows.stop} it raises {type(error).__name__}: {error}"
                findings.append(Diagnosis("raises", text))
                return []
            for name, found in slopes.items():
                if name not in worst or worst[name].error <= TOLERANCE < found.error:
                    worst[name] = found
        small = self._few()
        result = []
        for name, found in worst.items():
            wrong = not found.error <= TOLERANCE
            diagnosis = self._diagnose(name, small) if wrong else None
            result.append(GradientRow(name, *found, diagnosis))
        return result

    def _batches(self) -> list[slice]:
        """The whole batch, a single sample, and an odd number of them."""
        n = len(self.x)
        least = max(part.min_batch for part in self.layer.named_layers().values())
        sizes = {n, *(size for size in (1, 3) if least <= size < n)}
        return [slice(0, size) for size in sorted(sizes, reverse=True)]

    def _few(self) -> np.ndarray:
        """A small batch: enough to see sums, few enough for whole Jacobians."""
        return self.x[: min(len(self.x), FEW)].copy()

    def _objective(self, rows: slice) -> tuple[np.ndarray, np.ndarray, Callable[[], float]]:
        """(x, dL/dy, L) on these rows; L reads x and the parameters as they are then."""
        x = self.x[rows].copy()
        y = self.probe.forward(x)
        if self.loss is None:
            r = random_upstream(y.shape)
            return x, r, lambda: float((r * self.probe.forward(x)).sum())
        criterion, target = copy.deepcopy(self.loss), np.asarray(self.target)[rows]
        criterion(y, target, self.probe.mask)

        def value() -> float:
            return criterion(self.probe.forward(x), target, self.probe.mask)

        return x, criterion.backward(), value

    def _slopes(self, rows: slice) -> dict[str, Slope]:
        x, g, objective = self._objective(rows)
        d_x, grads = self.probe.gradients(x, g)
        d_x = d_x.copy() if self.floating else d_x
        found = {
            name: worst_slope(p.data, grads[name], objective)
            for name, p in self.probe.parameters.items()
        }
        if self.floating:
            found["input"] = worst_slope(x, np.broadcast_to(d_x, x.shape), objective)
        return found

    def _loss_row(self, y: np.ndarray) -> list[GradientRow]:
        """The loss's own gradient, with respect to the prediction."""
        criterion, p = copy.deepcopy(self.loss), y.copy()
        assert criterion is not None
        self.probe.forward(self.x)  # for the mask of all rows

        def value() -> float:
            return criterion(p, self.target, self.probe.mask)  # type: ignore[arg-type]  # given

        value()
        grad = criterion.backward()
        found = worst_slope(p, grad, value)
        if found.error <= TOLERANCE:
            return [GradientRow("prediction", *found)]
        c = found.analytic / found.numeric if found.numeric else float("nan")
        text = (
            f"the gradient of {self.loss!r} is not the derivative of the number that it returns; "
            f"at the worst entry it is {c:.4g} times the slope (N = {len(p)}, {p.size} values)"
        )
        return [GradientRow("prediction", *found, Diagnosis("loss", text))]

    def _unmoved(self) -> list[Diagnosis]:
        """Trainable parameters with a slope that a step of an optimizer leaves where they are."""
        probe = self.probe.fresh()
        parameters = [p for p in probe.layer.parameters() if p.trainable and p.dtype.kind == "f"]
        if not parameters:
            return []
        optimizer = SGD(parameters, lr=0.1)
        criterion = copy.deepcopy(self.loss)
        assert criterion is not None
        before = {name: p.data.copy() for name, p in probe.parameters.items()}
        y = probe.forward(self.x)
        criterion(y, self.target, probe.mask)  # type: ignore[arg-type]
        probe.backward(criterion.backward())
        optimizer.step()
        return [
            Diagnosis("unmoved", f"a step of the optimizer does not move {name}")
            for name, p in probe.parameters.items()
            if p.trainable and p.grad.any() and np.array_equal(p.data, before[name])
        ]

    # -- explanations ----------------------------------------------------------------------------

    def _diagnose(self, name: str, x: np.ndarray) -> Diagnosis:
        """What is wrong with the gradient of one array; of one time step, if that says more."""
        found = self._explain(name, x)
        if found.kind != "unknown" or x.ndim != 3 or x.shape[1] == 1:
            return found
        if self._right_for_one(name):
            return Diagnosis(
                "step",
                "it is right for one time step and wrong for several: a state is read from the "
                "wrong step, or the gradient that comes back from the next step is missing or "
                "wrong (where neighbours mix, as in a convolution: an offset is)",
            )
        try:
            first = self._explain(name, x[:, :1].copy())
        except (ValueError, RuntimeError):
            return found
        if first.kind == "unknown":
            return found
        return Diagnosis(first.kind, f"already for a sequence of one step, {first.text}")

    def _explain(self, name: str, x: np.ndarray) -> Diagnosis:
        """What is wrong, from the Jacobians on a few samples."""
        y = self.probe.forward(x)
        array = x if name == "input" else self.probe.parameters[name].data
        if y.size > JACOBIAN or array.size > JACOBIAN:
            return Diagnosis("unknown", "too large to say why; check it on a smaller size")
        true = jacobian_by_differences(array, lambda: self.probe.forward(x))
        ours = self._jacobian(name, x, y.shape)
        upstream = random_upstream((y.size,))
        d_x, grads = self.probe.gradients(x, upstream.reshape(y.shape))
        reply = np.broadcast_to(d_x, x.shape) if name == "input" else grads[name]
        return diagnose(
            Evidence(true, ours, y.shape, array.shape, upstream, x if name == "input" else None,
                     reply)
        )  # fmt: skip

    def _jacobian(self, name: str, x: np.ndarray, y_shape: tuple[int, ...]) -> np.ndarray:
        rows = []
        for k in range(int(np.prod(y_shape))):
            unit = np.zeros(y_shape)
            unit.flat[k] = 1.0
            d_x, grads = self.probe.gradients(x, unit)
            row = np.broadcast_to(d_x, x.shape) if name == "input" else grads[name]
            rows.append(np.array(row, np.float64).ravel())
        return np.stack(rows)

    def _right_for_one(self, name: str) -> bool:
        """Whether the gradient is right, or should be zero, on a sequence of one step."""
        x = self.x[:FEW, :1].copy()
        try:
            y = self.probe.forward(x)
        except (ValueError, RuntimeError):
            return False
        array = x if name == "input" else self.probe.parameters[name].data
        true = jacobian_by_differences(array, lambda: self.probe.forward(x))
        return close(self._jacobian(name, x, y.shape), true) or not true.any()

    def _parts(self) -> list[GradientReport]:
        """Reports on the wrong layers directly inside, each on the input that it gets here."""
        inputs: dict[str, np.ndarray | Padded] = {}
        probe = self.probe.fresh()
        children = sub_layers(probe.layer)
        for place, child in children:
            watch(child, lambda x, y, key=place: inputs.update({key: copy.deepcopy(x)}))  # type: ignore[misc]
        if not children:
            return []
        try:
            probe.forward(self.x)
        except Exception:
            return []
        reports = []
        for (place, _), (_, child) in zip(children, sub_layers(self.layer), strict=True):
            if place in inputs:
                part = _Check(child, inputs[place], None, None).report()
                if not part.ok:
                    part.subject = f"{place} › {part.subject}"
                    part.notes = []
                    reports.append(part)
        return reports

    def _notes(self) -> list[str]:
        notes = []
        if not self.floating:
            notes.append(f"the input holds integers ({self.x.dtype}), which have no gradient")
        if not self.probe.parameters:
            notes.append("there are no parameters, only the input's gradient was checked")
        return notes


def _kinds(findings: list[Diagnosis]) -> set[str]:
    return {finding.kind for finding in findings}
