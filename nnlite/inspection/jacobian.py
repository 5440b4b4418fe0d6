"""The whole Jacobian of a layer, found by its backward, and what it looks like."""

from __future__ import annotations

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.inputs import as_numbers, check_finite
from nnlite.inspection.evidence import CLOSE
from nnlite.inspection.numeric import TOLERANCE, jacobian_by_differences
from nnlite.inspection.probe import Probe, check_one_input, floats
from nnlite.inspection.report import Diagnosis, GradientError, GradientReport, GradientRow
from nnlite.layers.base import Layer

LARGEST = 16_000_000  # entries


class Jacobian:
    """∂y/∂x as a matrix: rows are outputs, columns inputs, both in memory order.

    Attributes:
        matrix: (y.size, x.size), float64.
        y_shape, x_shape: of the output and the input.
        structure: "zero", "diagonal", "block diagonal per sample", "dense within a sample",
            "sparse" or "dense".
        description: the structure in a sentence.
    """

    def __init__(
        self, matrix: np.ndarray, y_shape: tuple[int, ...], x_shape: tuple[int, ...], layer: str
    ) -> None:
        self.matrix = matrix
        self.y_shape = y_shape
        self.x_shape = x_shape
        self.layer = layer
        self.structure, self.description = _structure(matrix, y_shape, x_shape)

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
    def plot(self, path: str | None = None) -> None:
        """Draw the matrix, blue below zero and red above; needs matplotlib.

        Args:
            path: where to write the picture (default None: show it).
        """
        from nnlite.plotting import draw_matrix

        draw_matrix(self.matrix, f"{self.layer}: {self.structure}", "input", "output", path)


@checked
def jacobian(layer: Layer, x: np.ndarray, check: bool = False) -> Jacobian:
    """The matrix of all ∂yᵢ/∂xⱼ, row by row: backward of one unit of upstream gradient each.

    The rows are found in batches where the layer treats samples by themselves; that is verified
    on the way. Works on a copy, in float64.

    Args:
        layer: any layer or model; left as it is.
        x: the input; keep it small, the matrix has y.size × x.size entries.
        check: whether to compare with differences of forward (default False).

    Raises:
        TypeError: when x does not hold floats, or layer is no layer.
        ValueError: when x is empty or not finite, or the matrix would have more than 16 million
            entries.
        GradientError: with `check`, when backward and differences disagree.
    """
    check_one_input("jacobian", x)
    x = as_numbers("jacobian: x", x)
    check_finite("jacobian: x", x)
    if x.dtype.kind != "f":
        raise TypeError(f"jacobian: x must hold floats, got dtype {x.dtype}")
    if x.size == 0:
        raise ValueError(f"jacobian: x is empty, shape {x.shape}")
    x = floats(x)
    probe = Probe(layer)
    y = probe.forward(x)
    if y.size * x.size > LARGEST:
        raise ValueError(f"jacobian: {y.size} × {x.size} entries are too many; take fewer samples")
    matrix = _by_sample(layer, x, y.shape)
    if matrix is None:
        matrix = np.stack([_row(probe, x, y.shape, k) for k in range(y.size)])
    if check:
        _compare(layer, probe, x, matrix)
    return Jacobian(matrix, y.shape, x.shape, repr(layer))


def _row(probe: Probe, x: np.ndarray, y_shape: tuple[int, ...], k: int) -> np.ndarray:
    unit = np.zeros(y_shape)
    unit.flat[k] = 1.0
    return np.array(probe.gradients(x, unit)[0]).ravel()


def _by_sample(layer: Layer, x: np.ndarray, y_shape: tuple[int, ...]) -> np.ndarray | None:
    """All rows from one backward per sample, each sample repeated once for each of its outputs.

    None where the samples are not treated by themselves (statistics over the batch, dropout).
    """
    probe = Probe(layer)
    n, outputs, inputs = len(x), int(np.prod(y_shape[1:])), int(np.prod(x.shape[1:]))
    if y_shape[0] != n or next(probe.layer.named_parts(np.random.Generator), None) is not None:
        return None
    matrix = np.zeros((n, outputs, n, inputs))
    whole = probe.forward(x)
    for sample in range(n):
        repeated = np.repeat(x[sample : sample + 1], outputs, axis=0)
        y = probe.forward(repeated)
        if y.shape != (outputs, *y_shape[1:]) or not np.allclose(y, whole[sample], 1e-12, 1e-12):
            return None
        d_x = probe.gradients(repeated, np.eye(outputs).reshape(y.shape))[0]
        matrix[sample, :, sample] = d_x.reshape(outputs, inputs)
    return matrix.reshape(n * outputs, n * inputs)


def _compare(layer: Layer, probe: Probe, x: np.ndarray, matrix: np.ndarray) -> None:
    true = jacobian_by_differences(x, lambda: probe.forward(x))
    error = np.abs(matrix - true) / max(float(np.abs(true).max(initial=0)), 1e-4)
    if error.max() <= TOLERANCE:
        return
    where = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    text = f"∂y/∂x differs from differences of forward at (output, input) {where}"
    row = GradientRow(
        "jacobian", where, float(matrix[where]), float(true[where]), float(error[where]),
        Diagnosis("jacobian", text),
    )  # fmt: skip
    raise GradientError(GradientReport(repr(layer), [row], [], []))


def _structure(
    matrix: np.ndarray, y_shape: tuple[int, ...], x_shape: tuple[int, ...]
) -> tuple[str, str]:
    """The name and a sentence."""
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
    within = blocks[np.arange(n), :, np.arange(n)]
    if within.all():
        return "dense within a sample", "each output depends on every input of its own sample"
    if n > 1 and within.mean() > 0.5:
        return "block diagonal per sample", "samples do not influence each other"
    per_output = within.sum(axis=2)
    pattern = f"each output depends on {per_output.min()} to {per_output.max()} inputs"
    return "sparse", f"within a sample, {within.mean():.1%} of the entries are not zero; {pattern}"
