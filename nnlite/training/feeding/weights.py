"""The weight of each sample: its own, times that of its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from nnlite.core.checks import in_range, is_whole
from nnlite.core.inputs import as_numbers, check_finite
from nnlite.losses.base import Loss

ClassWeight = Mapping[int, float] | ArrayLike | Literal["balanced"]


def weights_of(
    name: str,
    y: Any,
    sample_weight: Any,
    class_weight: ClassWeight | None,
    one: Any,
    loss: Loss,
) -> np.ndarray | None:
    """Sample weights times the weights of the samples' classes (for which all of y is read).

    `one` is a prediction of one sample, whose shape tells the number of classes.
    """
    weight = None
    if loss.parts:
        y = np.empty(len(y[0]))  # weights are those of rows
    if sample_weight is not None:
        weight = as_numbers(name, sample_weight)
        check_finite(name, weight)
        if weight.shape != y.shape[: weight.ndim]:
            raise ValueError(f"{name} has shape {weight.shape}, which does not match y's {y.shape}")
        if weight.min() < 0:
            raise ValueError(f"{name} must not be negative, got {weight.min()}")
    if class_weight is None:
        return weight
    by_class = of_classes(y[:], like(one, y), class_weight, ignored_class(loss))
    return by_class if weight is None else _product(weight, by_class)


def like(one: Any, y: Any) -> Any:
    """Predictions for all of y, in the shape of `one`."""
    if isinstance(one, tuple):
        return tuple(like(each, y) for each in one)
    return np.broadcast_to(one[:1], (len(y), *one.shape[1:]))


def ignored_class(loss: Loss) -> int | None:
    """The class that the loss leaves out, if there is one."""
    return getattr(loss, "ignore_index", None)


def _product(weight: np.ndarray, by_class: np.ndarray) -> np.ndarray:
    """Both multiplied, the same along the axes that one of them lacks."""
    axes = max(weight.ndim, by_class.ndim)
    first, second = (a.reshape(a.shape + (1,) * (axes - a.ndim)) for a in (weight, by_class))
    return first * second


def of_classes(
    y: np.ndarray, prediction: np.ndarray, class_weight: ClassWeight, ignore_index: int | None
) -> np.ndarray:
    """Each sample's class weight.

    Args:
        y: integer classes, or rows of shares (one-hot, soft), whose class is the largest; beside
            single scores, labels 0 and 1, or −1 and 1.
        prediction: what the model returns for y; of y's shape where y holds rows or labels.
        class_weight: weights by class; classes that a mapping leaves out weigh 1. Of labels −1
            and 1, −1 is class 0 and may be called either. "balanced" is what `balanced` makes of
            this y.
        ignore_index: an integer class that the loss leaves out; it weighs 1.

    Raises:
        ValueError: when y holds no classes, for a list of another length, and for keys or weights
            that are none.
    """
    classes, ignored = _classes(y, prediction, ignore_index)
    signed = y.shape == prediction.shape and bool(np.isin(y, (-1, 1)).all())
    # the last axis holds one score per class, or single scores for 0 and 1
    scores = prediction.shape[-1] if prediction.ndim > 1 else 0
    count = max(2, scores, int(classes.max(initial=0)) + 1)
    if isinstance(class_weight, str) and class_weight == "balanced":
        class_weight = balanced(y, prediction, ignore_index)
    table = np.ones(count)
    for name, value in _by_class(class_weight, count).items():
        number = 0 if signed and is_whole(name) and name == -1 else name
        if not is_whole(number) or not 0 <= number < count:
            raise ValueError(f"class_weight: {name!r} is not a class 0 … {count - 1}")
        if not in_range(value):
            raise ValueError(f"class_weight must be finite and ≥ 0, got {value!r} for {name}")
        table[number] = value
    return np.where(ignored, 1.0, table[classes])


def balanced(
    y: np.ndarray,
    prediction: np.ndarray,
    ignore_index: int | None = None,
    mask: np.ndarray | None = None,
) -> dict[int, float]:
    """Weights with which all classes that occur count the same: n / (C · n_c), as scikit-learn's.

    n is the number of samples, C that of the classes that occur, and n_c the samples of class c.
    A class that does not occur is left out, and weighs 1 where it should turn up later.

    Args:
        y, prediction, ignore_index: as for `of_classes`.
        mask: which samples count, in the shape of the classes, such as `Padded.mask` (default:
            all that are not ignored).
    """
    classes, ignored = _classes(y, prediction, ignore_index)
    kept = ~ignored if mask is None else ~ignored & mask
    numbers, counts = np.unique(classes[kept], return_counts=True)
    weights = counts.sum() / (len(counts) * counts)
    return dict(zip(numbers.tolist(), weights.tolist(), strict=True))


def _by_class(class_weight: ClassWeight, count: int) -> Mapping[Any, Any]:
    """The weights as a mapping; a list must have one for each class."""
    if isinstance(class_weight, Mapping):
        return class_weight
    values = np.asarray(class_weight)
    if values.shape != (count,):
        raise ValueError(
            f"class_weight must be one number for each of {count} classes, a mapping, or "
            f'"balanced", got {class_weight!r}'
        )
    return dict(enumerate(values.tolist()))


def _classes(
    y: np.ndarray, prediction: np.ndarray, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The class of each sample, and whether it is ignored; then the class is 0."""
    if y.shape == prediction.shape and y.ndim > 1 and y.shape[-1] > 1:
        if y.min(initial=0) < 0 or not np.allclose(y.sum(axis=-1), 1, atol=1e-3):
            raise ValueError("class_weight needs classes in y, or rows that sum to 1")
        classes = y.argmax(axis=-1)
        return classes, np.zeros(classes.shape, bool)  # only integer classes can be ignored
    classes = y.astype(np.int64)
    if not np.array_equal(classes, y):
        raise ValueError("class_weight needs integer classes ≥ 0 in y")
    ignored = classes == ignore_index
    if y.shape == prediction.shape and np.isin(y, (-1, 1)).all():
        classes = np.maximum(classes, 0)  # labels −1 and 1
    classes = np.where(ignored, 0, classes)
    if classes.min(initial=0) < 0:
        raise ValueError(f"class_weight needs integer classes ≥ 0 in y, got {classes.min()}")
    return classes, ignored
