"""Mistakes that are legal but hardly ever meant, looked for before the first update.

Each function looks for one of them and returns what to say, or None. They look at the model's
structure, at its buffers and arrays, and at the first rows of data; nothing is changed.
"""

from __future__ import annotations

import copy
import functools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnlite.core.checks import warn
from nnlite.core.construction import Constructed, remembered
from nnlite.core.kinds import SHOWN, number_of, printable
from nnlite.core.padded import Padded, plain
from nnlite.core.parameter import Buffer
from nnlite.core.rows import Rows, each_of, rows_of
from nnlite.layers.activations.rectifiers import HardSigmoid, ReLU, ReLU6
from nnlite.layers.activations.smooth import Sigmoid
from nnlite.layers.activations.softmax import Softmax
from nnlite.layers.base import Layer, floating_dtype
from nnlite.layers.containers.base import Container
from nnlite.layers.containers.branches import Concat
from nnlite.layers.containers.sequential import Sequential
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.linear import Linear
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.layers.structure import watch
from nnlite.losses.base import Loss
from nnlite.losses.binary import BCEWithLogitsLoss
from nnlite.losses.classification import CrossEntropyLoss, FocalLoss, KLDivLoss, NLLLoss
from nnlite.losses.ctc import CTCLoss
from nnlite.losses.multilabel import MultiLabelSoftMarginLoss
from nnlite.losses.penalties import Penalty
from nnlite.optimizers.base import Optimizer
from nnlite.training.fingerprint import environment

ROWS = 100  # of the data whose values are looked at
BYTE = 255  # the largest value of an image of bytes
SQUASHES = (Softmax, Sigmoid, HardSigmoid, ReLU, ReLU6)  # what should not come before a logit loss
ARITHMETIC = (Linear, Convolution, Recurrent)  # first layers that take inputs as they are
WEIGHT_NAMES = {"w", "weight", "weights", "b", "bias"}


def warn_of_mistakes(
    model: Layer,
    loss: Loss,
    x: Any = None,
    y: Any = None,
    weight: np.ndarray | None = None,
    shuffle: bool = False,
) -> None:
    """Warn of each mistake once; `fit` calls it before it puts the model in training mode.

    Args:
        model, loss: what is about to be trained.
        x, y, weight: all the data, checked and prepared as it will be fed (default None: not at
            hand; see `warn_of_data`).
        shuffle: whether its rows are fed in a random order (default False).
    """
    layers = model.named_layers()
    _warn(squashed_logits(model, loss), raw_weights(layers), about_to_unfreeze(model, layers))
    if x is not None:
        _warn(shuffled_sequences(layers) if shuffle else None)
        warn_of_data(model, loss, x, y, weight)


def warn_of_data(
    model: Layer,
    loss: Loss,
    x: Any,
    y: Any,
    weight: np.ndarray | None = None,
    complete: bool = True,
) -> None:
    """The part of `warn_of_mistakes` that looks at data; for a stream, at its first batch.

    Args:
        model, loss: what is about to be trained.
        x, y, weight: prepared as they will be fed.
        complete: whether this is all the data (default True), and not one batch of many.
    """
    first = rows_of(x, slice(1))  # all that is at hand of rows that load one by one
    with np.errstate(all="ignore"):  # what overflows is `fit`'s to tell
        with model.evaluation():
            prediction = model(first)
        if not isinstance(plain(prediction), np.ndarray):  # which the loss refuses
            return
        _warn(
            not_log_probabilities(loss, prediction),
            widening_layer(model, first, prediction),
            unscaled_inputs(model, x),
            nothing_to_learn(loss, prediction, y, weight) if complete else None,
        )


def _warn(*messages: str | None) -> None:
    for message in messages:
        if message is not None:
            warn(message)


# -- the model and its loss ------------------------------------------------------------------------


def squashed_logits(model: Layer, loss: Loss) -> str | None:
    """An activation between the scores and a loss that takes raw scores.

    `LogSoftmax` before `CrossEntropyLoss` is harmless: log-softmax of a log-softmax is itself.
    """
    if not isinstance(
        loss, CrossEntropyLoss | FocalLoss | BCEWithLogitsLoss | MultiLabelSoftMarginLoss
    ):
        return None
    last = list(last_layers(model))
    if not last or not all(
        isinstance(layer, SQUASHES) and not overrides(layer) for _, layer in last
    ):
        return None
    path, layer = last[0]
    binary = isinstance(loss, BCEWithLogitsLoss | MultiLabelSoftMarginLoss)
    own = "sigmoid" if binary else "softmax"
    return (
        f"the model ends in {_named(path, layer)}, but {type(loss).__name__} takes raw scores, "
        f"which may have any sign and size, and has a {own} of its own: remove the layer; for "
        f"probabilities apply nn.{own.capitalize()}() to what predict returns"
    )


def last_layers(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """The layers whose outputs are the model's, as they are or rearranged, with their paths.

    A sum of layers, a container that is not known, and one that overrides what it extends, each
    count as one layer.
    """
    if overrides(layer):
        yield path, layer
    elif isinstance(layer, Sequential):
        for index in range(len(layer) - 1, -1, -1):
            if layer.layers[index].kind != "rearrangement":
                yield from last_layers(layer.layers[index], _joined(path, index))
                return
    elif isinstance(layer, Concat):
        for index, branch in enumerate(layer.branches):
            yield from last_layers(branch, _joined(path, index))
    else:
        yield path, layer


def not_log_probabilities(loss: Loss, prediction: Any) -> str | None:
    """Predictions that are no log-probabilities, before a loss that takes those."""
    if not isinstance(loss, NLLLoss | KLDivLoss | CTCLoss):
        return None
    padded = isinstance(prediction, Padded)
    rows = prediction.data[prediction.mask] if padded else prediction
    if rows.ndim < 2:  # which the loss refuses
        return None
    total = np.exp(rows.astype(np.float64)).sum(axis=-1)
    off = float(total.flat[np.abs(total - 1).argmax()])
    if not abs(off - 1) > 0.01:  # NaN is another mistake
        return None
    advice = "; or use CrossEntropyLoss, which takes raw scores" * isinstance(loss, NLLLoss)
    return (
        f"{type(loss).__name__} takes log-probabilities, but the exponentials of the model's "
        f"outputs sum to {off:.3g} in a row instead of 1: end the model in LogSoftmax(){advice}"
    )


def raw_weights(layers: Mapping[str, Layer]) -> str | None:
    """A plain array where a parameter is meant, in a layer that has none.

    Constructor arguments are constants of the user's, which files and clones keep.
    """
    for path, layer in layers.items():
        for name, value in remembered(layer).items():
            raw = isinstance(value, np.ndarray) and value.dtype.kind == "f"
            if raw and name.lower() in WEIGHT_NAMES and not layer.has_parameters():
                return (
                    f"{name} of {_named(path, layer)} is a plain array, which is neither trained "
                    f"nor saved: write self.{name} = nn.Parameter(...), or nn.Buffer(...) if it "
                    "is to stay as it is"
                )
    return None


def about_to_unfreeze(model: Layer, layers: Mapping[str, Layer]) -> str | None:
    """Layers in eval mode by hand, in a model that was put there as a whole afterwards.

    `fit` puts a model that is in eval mode as a whole in training mode, and them with it.
    """
    frozen = [path for path, layer in layers.items() if layer._frozen and _has_modes(layer)]
    if model.training or not frozen:
        return None
    path = frozen[0]
    more = f" and {len(frozen) - 1} more" if len(frozen) > 1 else ""
    return (
        f"{_named(path, layers[path])}{more} was in eval mode before model.eval(); fit puts the "
        "whole model in training mode, which ends that: call model.train() before fit, and then "
        "eval() of the layers that are to stay frozen"
    )


def shuffled_sequences(layers: Mapping[str, Layer]) -> str | None:
    """A layer that carries its state from row to row, for rows in a random order."""
    for path, layer in layers.items():
        if layer.stateful:
            return (
                f"{_named(path, layer)} is stateful: row i of a batch continues row i of the batch "
                "before, but fit shuffles the rows, and each would continue a random one: call "
                "fit(..., shuffle=False)"
            )
    return None


# -- the data --------------------------------------------------------------------------------------


def unscaled_inputs(model: Layer, x: Any) -> str | None:
    """Images of bytes as floats, 0 to 255, that no layer brings to scale."""
    first = model
    while isinstance(first, Container) and not overrides(first):
        layers = [layer for _, layer in first.children() if layer.kind != "rearrangement"]
        if not layers:
            return None
        first = layers[0]
    if not isinstance(first, ARITHMETIC) or overrides(first):
        return None
    for source in each_of(x):
        values = plain(source[: 1 if isinstance(source, Rows) else ROWS])
        if values.dtype.kind != "f" or not BYTE - 5 <= values.max() <= BYTE or values.min() < 0:
            continue
        if (values == np.rint(values)).all():
            return (
                f"x holds whole numbers from {values.min():.0f} to {values.max():.0f}, as images "
                "of bytes do, and weights are drawn for inputs of about unit size: use x / 255, "
                "in predict and evaluate too"
            )
    return None


def widening_layer(model: Layer, x: Any, prediction: Any) -> str | None:
    """A layer that makes float64 of float32."""
    if not _is_wide(prediction) or _is_wide(x) or floating_dtype(model) != np.float32:
        return None
    probe = copy.deepcopy(model)  # others may be watching the layers of the model itself
    layers, wide = probe.named_layers(), list[str]()  # paths in the order in which layers return
    for path, layer in layers.items():
        watch(layer, functools.partial(_note_wide, wide, path))
    with probe.evaluation():
        probe(x)
    first = _named(wide[0], layers[wide[0]])
    return (
        f"{first} turns float32 into float64, and everything after it takes twice the time and "
        "memory: keep its constants Python floats or float32 arrays, without NumPy's float64 "
        "numbers, or return y.astype(x.dtype)"
    )


def nothing_to_learn(loss: Loss, prediction: Any, y: Any, weight: np.ndarray | None) -> str | None:
    """Weights and ignored targets that leave no row to learn from, so that the loss is 0."""
    if weight is not None and not weight.any():
        return (
            "all sample weights (times class weights) are 0, so the loss is 0 and nothing is "
            "learned: look at sample_weight and class_weight"
        )
    if not isinstance(y, np.ndarray):  # rows that are loaded one by one
        return None
    one = plain(prediction)[:1]
    counts = loss.counts(np.broadcast_to(one, (len(y), *one.shape[1:])), y)
    if counts is None:
        return None
    if weight is not None:
        axes = max(weight.ndim, counts.ndim)
        first, second = (a.reshape(a.shape + (1,) * (axes - a.ndim)) for a in (counts, weight))
        counts = first * second
    if counts.any():
        return None
    return (
        f"no target counts for {loss!r}, so the loss is 0 and nothing is learned: all are "
        "ignored or have weight 0; look at y, ignore_index and the weights"
    )


# -- resumed runs ----------------------------------------------------------------------------------


def description(
    model: Layer, loss: Loss, optimizer: Optimizer, penalties: Sequence[Penalty] = ()
) -> dict[str, Any]:
    """What a script chose and a file does not bring back, as plain values, to compare later."""
    machine = environment()
    del machine["python"]  # its versions compute alike
    layers = {
        f"layer {path}".rstrip(): repr(layer)
        for path, layer in model.named_layers().items()
        if type(layer).__module__.startswith("nnlite.") and len(layer.named_layers()) == 1
    }
    options = {
        name: [_in_words(group[name]) for group in optimizer.groups] for name in optimizer.defaults
    }
    clipping = {name: getattr(optimizer, name) for name in ("clip_norm", "clip_value")}
    return {
        "loss": repr(loss),
        "penalties": [repr(penalty) for penalty in penalties],
        **options,
        **clipping,
        **layers,
        **machine,
    }


def data_description(x: Any, y: Any, weight: np.ndarray | None) -> dict[str, Any]:
    """The same of the data: by its first rows, where these need not be loaded one by one."""
    arrays = [plain(values) for values in (*each_of(x), *each_of(y), weight)]
    if any(isinstance(array, Rows) for array in arrays):
        return {}
    checksum = 0
    for array in arrays:
        if array is not None:
            checksum = zlib.crc32(np.ascontiguousarray(array[:ROWS]).data, checksum)
    return {"checksum of the first x, y and weights": f"{checksum:08x}"}


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is different in two descriptions, in plain words; entries that one lacks are passed by.

    Args:
        saved: what a file says.
        now: what the present script says.
    """
    return [
        f"{name} {printable(_words(saved[name]), SHOWN)} in the file, {_words(now[name])} now"
        for name in saved
        if name in now and saved[name] != now[name]
    ]


def warn_of_differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Warn, once, when a run goes on under another description than it was saved with."""
    found = differences(saved, now)
    if not found:
        return
    numbers = [n for n in saved if n in now and saved[n] != now[n] and _are_numbers(saved[n])]
    places = {n: "lr" if n == "lr" else f'groups[…]["{n}"]' for n in numbers}
    kept = [
        f" A number saved as {name} goes on: to change it, set optimizer.{place} after load."
        for name, place in places.items()
    ]
    warn(
        f"the resumed run differs from the saved one: {'; '.join(found)}. Make them the same to "
        f"repeat the run bit for bit.{''.join(kept)}"
    )


def _are_numbers(option: Any) -> bool:
    """Whether it is an option of all groups that a file brings back."""
    return isinstance(option, list) and bool(option) and None not in map(number_of, option)


def _in_words(option: Any) -> Any:
    """An option of an optimizer: a number as it is, anything else as it is called."""
    number = number_of(option)
    if number is not None:
        return number
    if isinstance(option, Constructed | bool | str | tuple | list | None):
        return repr(option)
    return getattr(option, "__name__", type(option).__name__)


def _words(value: Any) -> str:
    """A value without brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={own}" for name, own in value.items()) or "not set"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _note_wide(wide: list[str], path: str, x: Any, y: Any) -> None:
    if _is_wide(y):
        wide.append(path)


def _is_wide(y: Any) -> bool:
    """Whether there is float64 in a layer's input or output, states beside it too."""
    if isinstance(y, tuple):
        return any(_is_wide(part) for part in y)
    return getattr(plain(y), "dtype", None) == np.float64  # layers may hand on anything


def overrides(layer: Layer) -> bool:
    """Whether it is of a user's class that computes something else than the class it extends."""
    theirs = (cls for cls in type(layer).__mro__ if not cls.__module__.startswith("nnlite."))
    return any(name in vars(cls) for cls in theirs for name in ("forward", "function"))


def _has_modes(layer: Layer) -> bool:
    """Whether it works otherwise in training: by statistics that it keeps, or by chance."""
    return any(isinstance(value, Buffer | np.random.Generator) for value in vars(layer).values())


def _joined(path: str, index: int) -> str:
    return f"{path}.{index}" if path else str(index)


def _named(path: str, layer: Layer) -> str:
    """The layer and its place."""
    return f"layer {path}, {layer.label()}" if path else layer.label()
