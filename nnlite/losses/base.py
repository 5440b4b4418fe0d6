"""The contract of losses: one number, and its exact derivative.

A loss turns predictions and targets into elements ℓ (one per value, or one per row for
classifiers) and those into one number,

    L = Σ w ℓ / D,    D = Σ w c  for reduction="mean",    D = 1  for "sum"

with w the sample weights (1 unless given) and c what an element counts: 1, or a class weight, or
0 for an ignored one. `backward` is the derivative of that very number,

    dL/dprediction = w/D · dℓ/dprediction

With reduction="none" the elements stay apart, w ℓ, and `backward` takes their gradient G, one
number for each: dL/dprediction = G w · dℓ/dprediction.

A subclass writes three things at most:

    class SquaredError(nn.Loss):
        def function(self, prediction, target):        # ℓ, then what the derivative needs
            d = prediction - target
            return d * d, d

        def derivative(self, d):                       # dℓ/dprediction
            return 2 * d

A loss of several inputs is given a tuple of arrays as its prediction, as a model with several
outputs returns it, and `derivative` and `backward` return a tuple of gradients.

Metrics beside a loss read predictions and targets as it does: `multi_label` and
`decision_threshold` say how, and `for_metrics` leaves out what the loss does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from nnlite.core.construction import Constructed
from nnlite.core.foreign import as_array, number_hint
from nnlite.core.padded import Padded, masked
from nnlite.core.reading import Reading
from nnlite.core.slot import Slot

Reduction = Literal["mean", "sum", "none"]


class Loss(Slot, Constructed):
    """`loss(prediction, target, sample_weight=None)` is a float; `loss.backward()` its gradient.

    Args:
        reduction: "mean" (default) or "sum" of the elements; or "none": the elements themselves, of
            which `loss.backward(grad_output)` takes the gradient.

    Attributes:
        numerator, denominator: Σ w ℓ and the divisor D of the last call; D is 1 without one.
        derivation: what a subclass says of one element, with "forward" (ℓ) and "prediction"
            (dℓ/dprediction, a product), or each of several inputs by its name; what its symbols
            mean follows behind commas.
        equations: the same for L: "forward" (ℓ), "loss" (L) and "prediction" (dL/dprediction), as
            it is with the options, and with what the last call was given.
        takes_several: whether the prediction is a tuple of arrays (default False).
        multi_label: whether targets in the prediction's shape are labels, each by itself (True),
            or rows of one class each (False); None (default) does not say.
        decision_threshold: the prediction above which a label is taken to be there; None
            (default) does not say.
    """

    derivation: ClassVar[Mapping[str, str]] = {}
    takes_several: ClassVar[bool] = False
    multi_label: bool | None = None
    decision_threshold: float | None = None
    reduction: Reduction = "mean"
    numerator: float = 0.0
    denominator: float = 1.0
    _weighted: bool = False  # whether the last call had sample weights
    _mean_of = "ℓ"  # what D is the number of, where nothing is weighed
    _counts: np.ndarray | None = None  # those of the call that runs, or of the last one

    def __init__(self, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    @property
    def parts(self) -> Mapping[str, Loss]:
        """Of a sum of losses, one for each output of a model, these by name; else nothing."""
        return {}

    # -- what a subclass writes ------------------------------------------------------------------

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        """(ℓ, *what `derivative` is called with)."""
        raise NotImplementedError(f"{type(self).__name__} must define function")

    def derivative(self, *saved: Any) -> Any:
        """dℓ/dprediction, in the prediction's shape; a tuple for several inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define derivative")

    def counts(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """What each element adds to the divisor, in ℓ's shape; None when all count 1."""
        return None

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Refuse targets that do not fit; returns them in the prediction's dtype.

        Raises:
            TypeError: when the prediction is not floating or the target not numeric.
            ValueError: when the shapes differ, or nothing is there.
        """
        target = self.check_arrays(prediction, target)
        if prediction.shape != target.shape:
            raise ValueError(
                f"{self!r}: prediction {prediction.shape} and target {target.shape} must have "
                f"the same shape{_shape_hint(prediction, target)}"
            )
        return target.astype(prediction.dtype, copy=False)

    # -- equations -------------------------------------------------------------------------------

    @property
    def equations(self) -> Mapping[str, str]:
        """From ℓ to L: times w, over D."""
        if not self.derivation:
            return {}
        lines = dict(self.derivation)
        forward = lines.pop("forward")
        weight = "w " if self._weighted else ""
        divided = " / D" if self.reduction == "mean" else ""
        count = self.printed_count()
        factors = weight + ("v" if count or self._counts is not None else "")
        divisor = f"D = Σ {factors.strip()}" if factors else f"D the number of {self._mean_of}"
        divisor += f",  v = {count}" if count else ""
        added = "" if self.reduction == "none" else "Σ "
        upstream = "G " if self.reduction == "none" else ""

        def of_loss(line: str) -> str:
            left, _, slope = line.partition(" = ")
            slope, comma, meanings = slope.partition(",  ")
            lead = next(sign for sign in ("−", "Σ ", "") if slope.startswith(sign))
            return (
                f"{left.replace('ℓ', 'L')} = {lead}{upstream}{weight}{slope.removeprefix(lead)}"
                f"{divided}{comma}{meanings}"
            )

        return {
            "forward": forward,
            "loss": f"L = {added}{weight}ℓ{divided}" + (f",  {divisor}" if divided else ""),
            **{name: of_loss(line) for name, line in lines.items()},
        }

    def printed_count(self) -> str:
        """What v is, an element's count, in the equations; empty where all elements count 1."""
        return ""

    def reading(self, *saved: Any) -> Reading:
        """What the letters of `equations` stand for, beside the prediction, t, w and D.

        Args:
            saved: what `function` returned after ℓ.
        """
        return Reading()

    # -- the number and its gradient -------------------------------------------------------------

    def __call__(
        self,
        prediction: Any,
        target: np.ndarray,
        sample_weight: np.ndarray | None = None,
    ) -> Any:
        """L, a Python float; with reduction="none" the array of w ℓ.

        Args:
            prediction: what the model returned; of `Padded` sequences, the padding weighs 0.
            target: what it should have been; shapes and dtype as the loss says.
            sample_weight: one weight per sample, or per leading axes of ℓ (default: all 1).
        """
        if type(prediction) is not np.ndarray:
            prediction, sample_weight = masked(prediction, sample_weight)
        target = self.check(prediction, target)
        counts = self._counts = self.counts(prediction, target)
        returned = self.function(prediction, target)
        if not isinstance(returned, tuple):
            raise TypeError(
                f"{self!r}: function must return a tuple, (ℓ, *what derivative is called with), "
                f"got {type(returned).__name__}"
            )
        values, *saved = returned
        weight = None if sample_weight is None else self._weight(sample_weight, values)
        weighted = values if weight is None else weight * values
        self.denominator = self._divisor(values, weight, counts)
        self._weighted = weight is not None
        self.save_for_backward(weight, values.shape, saved)
        if self.reduction == "none":
            return np.array(weighted)  # its own: what was saved must not change with it
        self.numerator = float(np.add.reduce(weighted, axis=None))
        return self.numerator / self.denominator if self.denominator else 0.0

    def backward(self, grad_output: np.ndarray | None = None) -> Any:
        """dL/dprediction of the last call: step 1 of the loop; a tuple for several inputs.

        Args:
            grad_output: with reduction="none", the gradient of each element that was returned.

        Raises:
            RuntimeError: when the loss was not called before.
            ValueError: when grad_output does not have the elements' shape, or is given although
                the loss is one number.
        """
        weight, shape, saved = self.saved()
        gradient = self.derivative(*saved)
        if self.reduction == "none":
            rows = self._grad_output(grad_output, shape)
            rows = rows if weight is None else weight * rows
        elif grad_output is not None:
            raise ValueError(
                f"{self!r}: backward takes a gradient for each element only with "
                'reduction="none"; call backward() without one'
            )
        else:
            scale = 1 / self.denominator if self.denominator else 0.0
            if weight is None:
                return times(gradient, scale)
            rows = weight * scale
        if isinstance(gradient, tuple):
            return tuple(_times_rows(each, rows) for each in gradient)
        return _times_rows(gradient, rows)

    def _grad_output(self, grad_output: Any, shape: tuple[int, ...]) -> np.ndarray:
        """The gradient of the elements, which have this shape."""
        if grad_output is None:
            raise ValueError(
                f"{self!r}: backward needs the gradient of the elements {shape} that were "
                'returned: backward(grad_output); with reduction="mean" it needs none'
            )
        rows = as_array(f"{self!r}: grad_output", grad_output)
        if rows.dtype.kind not in "fiub":
            raise TypeError(f"{self!r}: grad_output must be numeric, got dtype {rows.dtype}")
        if rows.shape != shape:
            raise ValueError(
                f"{self!r}: grad_output must have the shape of the losses, {shape}, got "
                f"{rows.shape}"
            )
        return rows

    def _divisor(
        self, values: np.ndarray, weight: np.ndarray | None, counts: np.ndarray | None
    ) -> float:
        """The divisor D: the sum of w c, or 1."""
        if self.reduction != "mean":
            return 1.0
        if weight is None:
            return float(values.size if counts is None else counts.sum())
        return float(weight.sum() if counts is None else (weight * counts).sum())

    def _weight(self, sample_weight: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The sample weights in ℓ's shape: leading axes given, the others broadcast."""
        weight = sample_weight
        if type(weight) is not np.ndarray:
            weight = as_array(f"{self!r}: sample_weight", weight)
        if weight.dtype.kind not in "fiub":
            raise TypeError(f"{self!r}: sample_weight must be numeric, got dtype {weight.dtype}")
        if weight.ndim == 0 or weight.shape != values.shape[: weight.ndim]:
            raise ValueError(
                f"{self!r}: sample_weight {weight.shape} must match the leading axes of the "
                f"losses {values.shape}"
            )
        if not weight.min() >= 0:  # NaN is not
            raise ValueError(f"{self!r}: sample_weight must be ≥ 0, got {weight.min()}")
        weight = weight.astype(values.dtype, copy=False)
        weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        return np.broadcast_to(weight, values.shape)

    # -- beside metrics --------------------------------------------------------------------------

    def for_metrics(
        self, prediction: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(prediction, target, sample_weight) of what counts, which is what metrics are given.

        These are the arrays of the last call, which has found out already whether all of them do.
        Rows that count 0 are taken out: what is left of (N, T, C) is (K, C). Where a loss counts
        single values instead of rows, they stay in their places and weigh 0.
        """
        counts = self._counts
        if counts is None or counts.item(counts.argmin()) > 0:
            return prediction, target, sample_weight
        kept = counts > 0
        weight = None if sample_weight is None else self._weight(sample_weight, counts)
        if kept.shape == prediction.shape:
            one_each = kept.astype(prediction.dtype)
            return prediction, target, one_each if weight is None else weight * one_each
        return prediction[kept], target[kept], None if weight is None else weight[kept]

    def check_several(
        self, prediction: Any, names: str, vectors: bool = False
    ) -> tuple[np.ndarray, ...]:
        """The inputs of a loss that takes several, when they are floats of one shape and dtype.

        Args:
            prediction: what should be a tuple of them.
            names: what they are called, as in "a, b".
            vectors: whether they are vectors (N, …, D), one ℓ for each.

        Raises:
            TypeError: when it is not a tuple of so many arrays of floats.
            ValueError: when the shapes differ, or nothing is there.
        """
        count = names.count(",") + 1
        if not isinstance(prediction, tuple) or len(prediction) != count:
            got = type(prediction).__name__
            got += f" of {len(prediction)}" if isinstance(prediction, tuple) else ""
            raise TypeError(
                f"{self!r}: expected the prediction as a tuple of {count} arrays, ({names}), got "
                f"{got}"
            )
        for each in prediction:
            self.check_arrays(each, each)
        first = prediction[0]
        shapes = [each.shape for each in prediction]
        if shapes.count(first.shape) < count or (vectors and first.ndim == 0):
            raise ValueError(
                f"{self!r}: {names} must have the same shape{', (N, …, D)' * vectors}, got {shapes}"
            )
        dtypes = [str(each.dtype) for each in prediction]
        if len(set(dtypes)) > 1:
            raise TypeError(f"{self!r}: {names} must have the same dtype, got {dtypes}")
        return prediction

    def check_arrays(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The target as an array, when both are numeric and not empty."""
        if type(prediction) is not np.ndarray:
            as_array(f"{self!r}: prediction", prediction)  # says more of what cannot become one
            if not isinstance(prediction, np.ndarray):
                raise TypeError(
                    f"{self!r}: prediction must be an array of floats, got "
                    f"{type(prediction).__name__}; convert with np.asarray(prediction, np.float32)"
                )
        if prediction.dtype.kind != "f":
            floats = isinstance(target, np.ndarray) and target.dtype.kind == "f"
            swapped = floats and prediction.dtype.kind in "iub"
            raise TypeError(
                f"{self!r}: prediction must be an array of floats, got dtype {prediction.dtype}"
                f"{'; the prediction comes first, then the target' if swapped else ''}"
            )
        if prediction.itemsize < 4:  # half precision overflows in the sum over a batch
            raise TypeError(
                f"{self!r}: prediction must be float32 or float64, got dtype {prediction.dtype}; "
                "convert with np.asarray(prediction, np.float32)"
            )
        if isinstance(target, Padded):
            raise TypeError(
                f"{self!r}: target must be an array, got Padded; pass its data: the prediction "
                "says where sequences end"
            )
        if type(target) is not np.ndarray:
            target = as_array(f"{self!r}: target", target)
        if target.dtype.kind not in "fiub":
            hint = number_hint("target", target)
            raise TypeError(f"{self!r}: target must be numeric, got dtype {target.dtype}{hint}")
        if prediction.size == 0:
            raise ValueError(f"{self!r}: prediction is empty, shape {prediction.shape}")
        return target


def times(gradient: Any, factor: float) -> Any:
    """The gradient times a number; of several, each of them."""
    if isinstance(gradient, tuple):
        return tuple(times(each, factor) for each in gradient)
    return gradient * factor


def _times_rows(gradient: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The gradient times one factor for each ℓ, whose axes are its leading ones."""
    rows = rows.astype(gradient.dtype, copy=False)
    return gradient * rows.reshape(rows.shape + (1,) * (gradient.ndim - rows.ndim))


def check_one_number(where: str, loss: Loss) -> None:
    """Refuse a loss that keeps its elements apart where one number is needed.

    Raises:
        ValueError: says what to do instead.
    """
    if loss.reduction == "none":
        raise ValueError(
            f"{where}: {loss!r} returns an array, and one number is needed; give it "
            'reduction="mean" or "sum". What weighs the elements otherwise is a loop of your own: '
            "values = loss(prediction, y), then model.backward(loss.backward(grad_output))"
        )


def _shape_hint(prediction: np.ndarray, target: np.ndarray) -> str:
    if prediction.shape == (*target.shape, 1):
        return "; use target[:, None]"
    if target.shape == (*prediction.shape, 1):
        return "; use target[:, 0]"
    if target.dtype.kind in "iu" and prediction.shape[:-1] == target.shape:
        return "; for classes use CrossEntropyLoss, or one_hot(target)"
    if prediction.ndim > 2 and prediction.shape[:1] + prediction.shape[-1:] == target.shape:
        return one_per_sample(prediction.shape)
    return ""


def one_per_sample(shape: tuple[int, ...]) -> str:
    """What to add to an error about one target for each sample, and predictions of this shape."""
    if len(shape) == 3:
        return "; for one target per sequence put LastStep() or MeanOverTime() into the model"
    return "; for one target per image put Flatten() or GlobalAvgPool2d() into the model"
