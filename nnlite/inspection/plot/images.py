"""What a layer's weights look for, and what it finds in an image."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import check_sizes
from nnlite.core.foreign import as_array
from nnlite.layers.base import Layer
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.linear import Linear
from nnlite.layers.structure import nested, place_name, watch
from nnlite.plotting.canvas import PathLike, canvas, check_canvas
from nnlite.plotting.drawings import draw_image, draw_strips
from nnlite.plotting.tiles import mosaic

MOST = 64  # filters
SEVERAL = 16  # of filters with many input channels, and of those channels
MAPS = 12  # channels of a layer


@checked
def filters(
    model: Layer,
    ax: Any = None,
    path: PathLike | None = None,
    shape: tuple[int, int] | None = None,
) -> None:
    """Draw the weights of the first convolution or `Linear` as images, red above zero, blue below.

    Of a convolution of images with three channels they are coloured; with more, there is a row
    for each filter, with a tile for each input channel. At most 64 filters are drawn.

        nn.plot.filters(model)

    Args:
        model: a model, or the layer itself.
        ax: axes of matplotlib to draw on (default None: a new figure).
        path: where to write the picture (default None: show it).
        shape: of a `Linear`, the images that it takes, (height, width) (default None: square).

    Raises:
        ValueError: when there is no such layer, or the inputs of a `Linear` are no such images.
    """
    check_canvas(ax, path)
    layer = first_filters(model)
    tiles, columns = filter_tiles(layer, shape)
    weight = layer.weight.data
    largest = float(np.abs(weight).max(initial=0))
    title = f"{_names(model)[id(layer)]}: up to {largest:.2g}"
    with canvas(ax, path, (5.4, 4.6)) as axes:
        draw_image(axes, mosaic(tiles, columns), title)


def first_filters(model: Layer) -> Any:
    """The first convolution, or where there is none the first Linear.

    Raises:
        ValueError: when there is neither.
    """
    for kind in (Convolution, Linear):
        for layer in model.named_layers().values():
            if isinstance(layer, kind):
                return layer
    raise ValueError(f"filters: {model.label()} has no convolution and no Linear layer")


def filter_tiles(layer: Any, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, int | None]:
    """The filters as images, (K, h, w) or (K, h, w, 3), and how many stand in a row.

    Raises:
        ValueError: when the inputs of a Linear are no images of this shape.
    """
    weight = layer.weight.data
    if isinstance(layer, Linear):
        side = math.isqrt(layer.in_features)
        height, width = check_sizes("filters: shape", shape or (side, side), 2)
        if height * width != layer.in_features:
            told = f"shape {shape}" if shape else "a square"
            raise ValueError(
                f"filters: the {layer.in_features} inputs of {layer!r} are no image of {told}; "
                "give shape=(height, width) of what it takes"
            )
        return weight.T.reshape(-1, height, width)[:MOST], None
    if layer.axes == 1:  # (K, C, O): an image of each filter, time to the right
        return weight.transpose(2, 1, 0)[:MOST], None
    kernels = weight.transpose(3, 0, 1, 2)  # (O, kH, kW, C)
    if kernels.shape[-1] == 1:
        return kernels[:MOST, :, :, 0], None
    if kernels.shape[-1] == 3:
        return kernels[:MOST], None
    few = kernels[:SEVERAL, :, :, :SEVERAL].transpose(0, 3, 1, 2)  # (O, C, kH, kW)
    return few.reshape(-1, *few.shape[2:]), few.shape[1]


@checked
def feature_maps(
    model: Layer,
    x: Any,
    ax: Any = None,
    path: PathLike | None = None,
    layers: Sequence[Layer] | None = None,
) -> None:
    """Draw what layers make of one image, a row of channels for each layer.

    Red is above zero, blue below, each layer on a scale of its own; at most 12 channels are drawn.
    In eval mode, on a copy.

        nn.plot.feature_maps(model, x_test[:1])

    Args:
        model: a model that takes images.
        x: one image, (1, H, W, C) or (H, W, C).
        ax: axes of matplotlib to draw on (default None: a new figure).
        path: where to write the picture (default None: show it).
        layers: which layers of the model, such as `[model[0], model[2]]` (default None: all
            convolutions).

    Raises:
        ValueError: when x is not one image, a layer is not in the model, or none of them gives
            images (N, H, W, C).
    """
    check_canvas(ax, path)
    x = as_array("feature_maps: x", x)
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(
            f"feature_maps: x must be one image, (1, H, W, C) or (H, W, C), got {x.shape}; "
            "write x[:1] for the first one"
        )
    own = model.named_layers()
    chosen: dict[str, Layer]
    if layers is None:
        chosen = {path: part for path, part in own.items() if isinstance(part, Convolution)}
    else:
        chosen = {path: part for path, part in own.items() if any(part is one for one in layers)}
        if len(chosen) < len(layers):
            raise ValueError("feature_maps: layers must be layers of this model, such as model[0]")
    found: dict[str, np.ndarray] = {}
    replica = copy.deepcopy(model)
    parts = replica.named_layers()
    for name in chosen:
        watch(parts[name], lambda x, y, name=name: found.update({name: y}))  # type: ignore[misc]
    replica.predict(x)
    maps = {name: y for name, y in found.items() if isinstance(y, np.ndarray) and y.ndim == 4}
    if not maps:
        raise ValueError(
            f"feature_maps: none of {len(chosen)} layers gives images (N, H, W, C); choose others "
            "with layers=[…]"
        )
    places = _names(model)
    names = [places[id(chosen[name])] for name in maps]
    strips = [y[0].transpose(2, 0, 1)[:MAPS] for y in maps.values()]  # (C, H, W) each
    widest = max(len(strip) for strip in strips)
    with canvas(ax, path, (2.2 + 0.62 * widest, 0.5 + 0.72 * len(strips))) as axes:
        draw_strips(axes, names, strips)


def _names(model: Layer) -> dict[int, str]:
    """Where each layer stands, and what it is, by its id."""
    return {id(layer): place_name(place, layer) for place, layer in nested(model)}
