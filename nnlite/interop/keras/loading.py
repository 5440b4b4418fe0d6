"""Weights from Keras."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from nnlite.core.arguments import checked
from nnlite.core.foreign import kind_of
from nnlite.interop.keras.layouts import WHERE, own_layers
from nnlite.interop.keras.source import Found, of_file, of_model, snake_case
from nnlite.interop.layouts import Theirs
from nnlite.interop.loading import LoadReport, Source, is_instance, load
from nnlite.layers import Layer

# our arguments by Keras's; those that change what a layer computes
SETTINGS = {
    "epsilon": "eps", "strides": "stride", "dilation_rate": "dilation", "groups": "groups",
    "num_heads": "num_heads", "reset_after": "reset_after",
}  # fmt: skip
# and what cannot be otherwise here
FIXED = {"recurrent_activation": "sigmoid", "go_backwards": False, "merge_mode": "concat"}


@checked
def load_keras(model: Layer, source: Any, strict: bool = True) -> LoadReport:
    """Write the weights of a Keras model into a model with the same layers.

        report = nn.interop.load_keras(model, "net.keras")

    The k-th layer with weights there is the k-th here. A `SeparableConv2D` is two layers here, a
    convolution with one group for each channel and a pointwise one. Keras's normalizations have
    another eps, 1e-3 (RMSNormalization 1e-6): build ours with it; where the source tells its
    arguments, a difference is an error. Padding is not compared, because it may be in a layer of
    its own, there or here. Keras's `padding="same"` of a `Conv2DTranspose` with kernel
    3 and stride 2 is `padding=((0, 1), (0, 1))` here. An activation that is an argument there is a
    layer of its own here.

    A `.weights.h5` file tells the order of layers of each class only; where that is not enough,
    give the `.keras` file, or the model itself.

    Args:
        model: the model that gets the weights; optimizers go on with it.
        source: a Keras model, or the path of a `.keras` or `.weights.h5` file.
        strict: whether all layers of both have to fit (default True). With False those from the
            first on are loaded, up to one that does not fit; the report says what was missing and
            left over.

    Returns:
        What was loaded from where, what was missing, and what was left over.

    Raises:
        ValueError: when layers do not fit, with the shapes of both sides; when a file is damaged,
            or leads to other files. The model has not changed.
        TypeError: for another source, or a layer here that Keras does not have.
        FileNotFoundError: when there is no such file.
        ImportError: when h5py is missing for a file.

    Warns:
        ModelWarning: when nothing at all was loaded.
    """
    with ExitStack() as opened:
        own = list(own_layers(model))
        if isinstance(source, str | os.PathLike):
            name = os.fspath(source)
            found, ordered = of_file(name, opened)
        elif is_instance(source, "layers", "get_config"):
            name, found, ordered = type(source).__name__, list(of_model(source)), True
        else:
            raise TypeError(
                f"{WHERE}: expected a Keras model, or the path of a .keras or .weights.h5 file, "
                f"got {kind_of(source)}"
            )
        return load(model, own, _source(name, found, ordered), strict)


def _source(name: str, found: list[Found], ordered: bool) -> Source:
    """The layers as what all loads read from."""
    weights = {full: weight for each in found for full, weight in each.weights.items()}
    layers = [
        Theirs(each.place, {f"{each.kind}.{i}": n for i, n in enumerate(each.weights)}, _ours(each))
        for each in found
    ]
    shapes = {full: weight.shape for full, weight in weights.items()}
    source = Source(WHERE, "Keras", name, layers, shapes, lambda full: weights[full].read())
    return source._replace(remedy="" if ordered else "give the .keras file, or the model itself")


def _ours(found: Found) -> dict[str, Any]:
    """The arguments of Keras's layer, by our names.

    Raises:
        ValueError: for one that no layer here can have.
    """
    kind, given = found.kind, found.settings
    inner = given.get("layer")  # of Bidirectional
    if isinstance(inner, dict) and isinstance(inner.get("config"), dict):
        kind, given = snake_case(str(inner.get("class_name"))), {**inner["config"], **given}
    fixed = {**FIXED, "activation": "tanh"} if kind in ("lstm", "gru") else FIXED
    for name, value in fixed.items():
        if name in given and given[name] != value:
            raise ValueError(
                f"{WHERE}: {found.place} has {name}={given[name]!r}; here it is always {value!r}"
            )
    settings = {ours: given[name] for name, ours in SETTINGS.items() if name in given}
    if kind == "simple_rnn":
        settings["nonlinearity"] = given.get("activation")
    if kind == "group_normalization":
        settings["num_groups"] = settings.pop("groups", None)
    return settings
