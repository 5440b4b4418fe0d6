"""The whole Jacobian of a layer, found by its backward, and what it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.inputs import as_numbers, check_finite
from nnlite.core.padded import data_and_lengths
from nnlite.inspection.causes.evidence import CLOSE, close
from nnlite.inspection.numeric import Compared, Verdict, compare, jacobian_by_differences
from nnlite.inspection.probe import Probe, beside, check_one_input, floats, random_upstream
from nnlite.inspection.report import Diagnosis, GradientError, GradientReport, GradientRow
from nnlite.inspection.surrogate import surrogates
from nnlite.layers.base import Layer
from nnlite.layers.structure import sub_layers
from nnlite.plotting.canvas import PathLike, canvas
from nnlite.plotting.drawings import draw_matrix

LARGEST = 16_000_000  # entries


class Jacobian:
    """∂y/∂x as a matrix: rows are outputs, columns inputs, both in memory order.

    Attributes:
        matrix: (y.size, x.size), float64.
        y_shape, x_shape: of the output and the input.
        structure: "zero", "diagonal", "block diagonal over time", "lower triangular over time" (a
            causal layer), "upper triangular over time", "block diagonal per sample", "dense
            within a sample", "sparse" or "dense".
        description: the structure in a sentence, and what is odd about it.
    """

    def __init__(
        self,
        matrix: np.ndarray,
        y_shape: tuple[int, ...],
        x_shape: tuple[int, ...],
        layer: str,
        real: tuple[np.ndarray, np.ndarray] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.matrix = matrix
        self.y_shape = y_shape
        self.x_shape = x_shape
        self.layer = layer
        self.structure, described = _structure(matrix, y_shape, x_shape, real)
        self.description = "; ".join([described, *remarks])

    def block(self, sample: int = 0) -> np.ndarray:
        """∂y/∂x of one sample by itself."""
        rows, columns = (int(np.prod(shape[1:])) for shape in (self.y_shape, self.x_shape))
        return self.matrix[
            sample * rows : (sample + 1) * rows, sample * columns : (sample + 1) * columns
        ]

    def __repr__(self) -> str:
        head = (
            f"Jacobian of {self.layer}: y {self.y_shape} by x {self.x_shape}\n"
            f"{self.structure}: {self.description}"
        )
        if max(self.matrix.shape) > 16:
            return head
        body = np.array2string(self.matrix, precision=3, suppress_small=True, max_line_width=140)
        return f"{head}\n{body}"

    @checked
    def plot(self, ax: Any = None, path: PathLike | None = None) -> None:
        """Draw the matrix, blue below zero and red above; needs matplotlib.

        Args:
            ax: axes of matplotlib to draw on (default None: a new figure).
            path: where to write the picture (default None: show it).
        """
        with canvas(ax, path, (6, 5)) as axes:
            draw_matrix(axes, self.matrix, f"{self.layer}: {self.structure}", "input", "output")


@checked
def jacobian(layer: Layer, x: Any, check: bool = False) -> Jacobian:
    """The matrix of all ∂yᵢ/∂xⱼ, row by row: backward of one unit of upstream gradient each.

    The rows are found in batches where the layer treats samples by themselves; that is verified
    on the way, in forward and in backward. Where samples do influence each other, the description
    says so: as in BatchNorm, or by a backward that mixes them though forward does not. Works on a
    copy, in float64.

    Args:
        layer: any layer or model; left as it is. Of a model with several inputs look at the layers
            inside Parallel, and at what follows Join.
        x: the input, an array or `Padded` sequences; keep it small, the matrix has
            y.size × x.size entries, those of padding included, which are 0.
        check: whether to compare with differences of forward (default False); at kinks what lies
            between the slopes to both sides is right. A layer that says
            with `surrogate` that its gradient is another one on purpose is not compared.

    Raises:
        TypeError: when x is a tuple, or does not hold floats, or layer is no layer.
        ValueError: when x is empty or not finite, or the matrix would have more than 16 million
            entries.
        GradientError: with `check`, when backward and differences disagree.
    """
    check_one_input("jacobian", x)
    x, lengths = data_and_lengths(x)
    x = as_numbers("jacobian: x", x)
    check_finite("jacobian: x", x)
    if x.dtype.kind != "f":
        raise TypeError(f"jacobian: x must hold floats, got dtype {x.dtype}")
    if x.size == 0:
        raise ValueError(f"jacobian: x is empty, shape {x.shape}")
    x = floats(x)
    probe = Probe(layer, lengths=lengths)
    y = probe.forward(x)
    if y.size * x.size > LARGEST:
        raise ValueError(f"jacobian: {y.size} × {x.size} entries are too many; take fewer samples")
    real = None if lengths is None else _real(probe, x, y)
    matrix = _by_sample(probe, x, y)
    remarks = []
    if matrix is None:
        matrix = np.stack([_row(probe, x, y.shape, k) for k in range(y.size)])
        remarks = _mixing(probe, x, y, matrix)
    on_purpose = _surrogates(layer)
    if on_purpose:
        remarks.append(f"on purpose not the derivative: {on_purpose}")
    elif check:
        _compare(layer, probe, x, matrix)
    return Jacobian(matrix, y.shape, x.shape, repr(layer), real, remarks)


def _real(probe: Probe, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which outputs (y.size,) and inputs (x.size,) are no padding."""
    assert probe.lengths is not None
    ends = np.arange(x.shape[1]) < probe.lengths[:, None]  # (N, T)
    masks = ((np.ones(len(y)) if probe.mask is None else probe.mask, y), (ends, x))
    inside = (
        np.broadcast_to(mask.reshape(*mask.shape, *[1] * (a.ndim - mask.ndim)), a.shape)
        for mask, a in masks
    )
    outputs, inputs = (each.ravel().astype(bool) for each in inside)
    return outputs, inputs


def _row(probe: Probe, x: np.ndarray, y_shape: tuple[int, ...], k: int) -> np.ndarray:
    unit = np.zeros(y_shape)
    unit.flat[k] = 1.0
    return np.array(probe.gradients(x, unit)[0]).ravel()


def _by_sample(probe: Probe, x: np.ndarray, whole: np.ndarray) -> np.ndarray | None:
    """All rows from one backward per sample, each sample repeated once for each of its outputs.

    None where the samples are not treated by themselves (statistics over the batch, dropout, or a
    backward that mixes them).
    """
    if whole.shape[0] != len(x):
        return None
    if next(probe.layer.named_parts(np.random.Generator), None) is not None:
        return None
    n, outputs, inputs = len(x), int(np.prod(whole.shape[1:])), int(np.prod(x.shape[1:]))
    single, lengths = probe.fresh(), probe.lengths
    blocks = np.zeros((n, outputs, n, inputs))
    for sample in range(n):
        if lengths is not None:
            single.lengths = np.full(outputs, lengths[sample])
        repeated = np.repeat(x[sample : sample + 1], outputs, axis=0)
        y = single.forward(repeated)
        if y.shape != (outputs, *whole.shape[1:]):
            return None
        if not np.allclose(y, whole[sample], 1e-12, 1e-12):
            return None
        d_x = single.gradients(repeated, np.eye(outputs).reshape(y.shape))[0]
        blocks[sample, :, sample] = d_x.reshape(outputs, inputs)
    matrix = blocks.reshape(n * outputs, n * inputs)
    # what backward makes of all samples at once must be what it makes of each
    upstream = random_upstream(whole.shape)
    d_x = np.asarray(probe.gradients(x, upstream)[0])
    return matrix if close(d_x.ravel(), upstream.ravel() @ matrix) else None


def _mixing(probe: Probe, x: np.ndarray, y: np.ndarray, matrix: np.ndarray) -> list[str]:
    """Who mixes the samples, where the gradient of one reaches another."""
    n = len(x)
    if n < 2 or len(y) != n:
        return []
    blocks = np.abs(matrix).reshape(n, y.size // n, n, x.size // n).max(axis=(1, 3))  # (N, N)
    mixed = blocks - np.diag(blocks.diagonal()) > CLOSE * 1e-3 * blocks.max()
    if not mixed.any():
        return []
    moved = x.copy()
    moved[0] += 1e-3 * random_upstream(x[0].shape)
    if np.allclose(probe.forward(moved)[1:], y[1:], 1e-9, 1e-9):
        at = tuple(int(i) for i in np.argwhere(mixed)[0])
        return [
            f"backward alone mixes them: forward gives row {at[0]} from row {at[0]} only, but its "
            f"gradient reaches row {at[1]}; look for a sum, a mean or a reshape over axis 0"
        ]
    layers = {type(part).__name__ for part in probe.layer.named_layers().values()}
    norms = sorted(name for name in layers if name.startswith("BatchNorm"))
    return [
        f"forward mixes the batch{f', as {norms[0]} does while training' if norms else ''}: a "
        "row's output depends on which other rows are there"
    ]


def _surrogates(layer: Layer) -> str:
    """Why the layers inside give another gradient than the derivative on purpose; "" if none."""
    told = [surrogates(part).get("input") for part in layer.named_layers().values()]
    return ", ".join(dict.fromkeys(why for why in told if why))


def _compare(layer: Layer, probe: Probe, x: np.ndarray, matrix: np.ndarray) -> None:
    """Hold Gᵀ matrix, for a random G, against the slopes of ⟨G, y⟩, as `check_gradients` does.

    At kinks what lies between both sides is right. What is wrong at x alone, where differences
    are hard to tell, is looked at beside x.
    """

    def compared(x: np.ndarray, d_x: np.ndarray) -> Compared:
        return compare(x, d_x.reshape(x.shape), *probe.as_declared(x, upstream))

    upstream = random_upstream(probe.forward(x).shape)
    found = compared(x, upstream.ravel() @ matrix)
    if found.worst.verdict < Verdict.OUTSIDE:
        return
    close_by = beside(x)
    again = compared(close_by, np.asarray(probe.gradients(close_by, upstream)[0]))
    if again.worst.verdict < Verdict.OUTSIDE and (not found.kinks or sub_layers(layer)):
        return  # kinks of several layers may hide each other
    true = jacobian_by_differences(x, lambda: probe.forward(x))
    error = np.abs(matrix - true) / max(float(np.abs(true).max(initial=0)), 1e-4)
    where = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    text = f"∂y/∂x differs from differences of forward at (output, input) {where}"
    row = GradientRow(
        "jacobian", where, float(matrix[where]), float(true[where]), float(error[where]),
        Diagnosis("jacobian", text),
    )  # fmt: skip
    raise GradientError(GradientReport(repr(layer), [row], [], []))


def _structure(
    matrix: np.ndarray,
    y_shape: tuple[int, ...],
    x_shape: tuple[int, ...],
    real: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[str, str]:
    """The name and a sentence; `real` says which outputs and inputs are no padding."""
    there = np.abs(matrix) > CLOSE * 1e-3 * max(float(np.abs(matrix).max(initial=0)), 1e-300)
    share = f"{there.mean():.1%} of the entries are not zero"
    if not there.any():
        return "zero", "no output depends on any input"
    if y_shape == x_shape and not (there & ~np.eye(len(matrix), dtype=bool)).any():
        return "diagonal", "elementwise: each output depends on its own input alone"
    n = y_shape[0]
    if x_shape[0] != n:
        return ("sparse" if there.mean() < 0.5 else "dense"), share
    blocks = there.reshape(n, matrix.shape[0] // n, n, matrix.shape[1] // n)
    across = blocks.copy()
    across[np.arange(n), :, np.arange(n)] = False
    if across.any():
        name = "sparse" if there.mean() < 0.5 else "dense"
        return name, f"samples influence each other; {share}"
    within = blocks[np.arange(n), :, np.arange(n)]  # (N, outputs, inputs) of a sample
    over_time = _over_time(within, y_shape, x_shape)
    if over_time is not None:
        return over_time
    counts = np.ones_like(within)  # padding neither gives nor takes
    if real is not None:
        outputs, inputs = (each.reshape(n, -1) for each in real)
        counts = outputs[:, :, None] & inputs[:, None, :]
    if within[counts].all():
        return "dense within a sample", "each output depends on every input of its own sample"
    if n > 1 and within[counts].mean() > 0.5:
        return "block diagonal per sample", "samples do not influence each other"
    per_output = within.sum(axis=2)
    least, most = per_output.min(), per_output.max()
    many = f"{most}" if least == most else f"{least} to {most}"
    pattern = f"each output depends on {many} input{'s' if most > 1 else ''}"
    return "sparse", f"within a sample, {within.mean():.1%} of the entries are not zero; {pattern}"


def _over_time(
    within: np.ndarray, y_shape: tuple[int, ...], x_shape: tuple[int, ...]
) -> tuple[str, str] | None:
    """The pattern of sequences (N, T, C) that keep their steps; None where all steps meet."""
    if len(y_shape) != 3 or y_shape[1:2] != x_shape[1:2] or len(x_shape) != 3 or x_shape[1] < 2:
        return None
    n, steps = y_shape[:2]
    meet = within.reshape(n, steps, y_shape[2], steps, x_shape[2]).any(axis=(0, 2, 4))  # (T, T)
    later, earlier = np.triu(meet, 1).any(), np.tril(meet, -1).any()
    if later and earlier:
        return None
    if later:
        return "upper triangular over time", "step t depends on steps from t on, never on earlier"
    if earlier:
        return "lower triangular over time", "causal: step t depends on steps up to t alone"
    return "block diagonal over time", "each time step depends on itself alone"
