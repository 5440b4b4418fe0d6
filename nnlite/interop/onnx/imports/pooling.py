"""Pooling, borders and other sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite import layers as nn
from nnlite.interop.onnx.imports.reading import (
    as_images,
    as_sequences,
    constant,
    padding_of,
    pads_of,
    reads,
    size_of,
    without,
)
from nnlite.interop.onnx.tensors import OPEN, Node, Tensor
from nnlite.layers.base import Layer


@reads("MaxPool", "AveragePool", "LpPool")
def pool(node: Node, x: Tensor) -> Tensor:
    kernel = node.get("kernel_shape")
    if x.is_flat and kernel[0] == 1:
        return as_images(pool(*as_sequences(node, x)))
    x = x.first(node)
    count = len(kernel)
    strides, dilations = (node.get(name, [1] * count) for name in ("strides", "dilations"))
    padding = padding_of(node, x, kernel, strides, dilations)
    options: dict[str, Any] = {}
    if list(strides) != list(kernel):
        options["stride"] = size_of(strides)
    if any(map(any, padding)):
        options["padding"] = pads_of(padding)
    if node.get("ceil_mode", 0):
        options["ceil_mode"] = True
    if node.operator == "MaxPool":
        if set(dilations) != {1}:
            options["dilation"] = size_of(dilations)
        kinds: Any = (nn.MaxPool1d, nn.MaxPool2d)
        return x.then(kinds[count - 1](size_of(kernel), **options), node)
    if set(dilations) != {1}:
        raise node.refuse("means of values that are not neighbours are not supported")
    if node.operator == "LpPool":
        kinds = (nn.LPPool1d, nn.LPPool2d)
        return x.then(kinds[count - 1](node.get("p", 2), size_of(kernel), **options), node)
    if "padding" in options and not node.get("count_include_pad", 0):
        options["count_include_pad"] = False
    kinds = (nn.AvgPool1d, nn.AvgPool2d)
    return x.then(kinds[count - 1](size_of(kernel), **options), node)


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node, x: Tensor) -> Tensor:
    x = x.first(node)
    count = len(x.shape) - 2
    kinds: Any = (nn.GlobalAvgPool1d, nn.GlobalAvgPool2d)
    if node.operator == "GlobalMaxPool":
        kinds = (nn.GlobalMaxPool1d, nn.GlobalMaxPool2d)
    return without(x.then(kinds[count - 1](), node), set(range(2, count + 2)), keep=True)


@reads("ReduceMean", "ReduceMax")
def reduce(node: Node, x: Tensor, axes: Any = None) -> Tensor:
    x = x.in_rows(node)
    given = node.get("axes") if axes is None else np.ravel(axes).tolist()
    given = range(len(x.axes)) if given is None else given
    places = {node.axis(axis, len(x.axes)) for axis in given}
    over = sorted(x.axes[i] for i in places if x.axes[i] is not None)
    count = len([axis for axis in x.axes if axis is not None])
    average = node.operator == "ReduceMean"
    layer: Layer | None = None
    if count == 4 and over == [1, 2]:
        layer = nn.GlobalAvgPool2d() if average else nn.GlobalMaxPool2d()
    elif count >= 3 and over == [1] and average:
        layer = nn.MeanOverTime()
    elif count == 3 and over == [1]:
        layer = nn.GlobalMaxPool1d()
    if layer is None:
        raise node.refuse("only all places of images or all steps of sequences can be reduced")
    return without(x.then(layer, node), places, keep=bool(node.get("keepdims", 1)))


BORDERS: dict[bytes, tuple[type[Layer], type[Layer]]] = {
    b"reflect": (nn.ReflectionPad1d, nn.ReflectionPad2d),
    b"edge": (nn.ReplicationPad1d, nn.ReplicationPad2d),
    b"wrap": (nn.CircularPad1d, nn.CircularPad2d),
}


@reads("Pad")
def pad(node: Node, x: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    pads = node.get("pads") if pads is None else constant(node, pads, "border")
    sides = np.ravel(pads).tolist()
    if not any(sides):
        return x
    rank = len(x.shape)
    if axes is not None:
        whole = [0] * 2 * rank
        for i, axis in enumerate(np.ravel(axes).tolist()):
            at = node.axis(axis, rank)
            whole[at], whole[at + rank] = sides[i], sides[i + len(sides) // 2]
        sides = whole
    x = x.in_rows(node)
    around = {axis: (sides[i], sides[i + rank]) for i, axis in enumerate(x.axes)}
    if rank not in (3, 4) or None in around or any(around[0] + around[rank - 1]) or min(sides) < 0:
        raise node.refuse("only sequences and images can have a border, and not along features")
    border = size_of(n for axis in range(rank - 2, 0, -1) for n in around[axis])  # last axis first
    mode, spatial = node.get("mode", b"constant"), rank - 2
    number = float(node.get("value", 0.0) if value is None else np.ravel(value)[0])
    layer: Any
    if mode in BORDERS:
        layer = BORDERS[mode][spatial - 1](border)  # type: ignore[call-arg]
    elif mode != b"constant":
        raise node.refuse(f"the mode {mode.decode()} is not supported")
    elif number:
        layer = (nn.ConstantPad1d, nn.ConstantPad2d)[spatial - 1](border, number)
    else:
        layer = (nn.ZeroPad1d, nn.ZeroPad2d)[spatial - 1](border)
    shape = tuple(
        size if size == OPEN else size + sides[i] + sides[i + rank]
        for i, size in enumerate(x.shape)
    )
    return x.then(layer, node, shape=shape)


@reads("Resize", "Upsample")
def resize(node: Node, x: Tensor, *rest: Any) -> Tensor:
    """Resize has (roi, scales, sizes); Upsample, and Resize before opset 11, scales alone."""
    rank = len(x.shape)
    flat = x.is_flat
    x = x if flat else x.first(node)
    scales, sizes = (rest[0], None) if len(rest) == 1 else (*rest[1:], None)[:2]
    by_size = scales is None or not np.size(scales)
    given = np.ravel(constant(node, sizes if by_size else scales, "size")).tolist()
    axes = [node.axis(axis, rank) for axis in node.get("axes", range(rank))]
    if len(given) != len(axes):
        raise node.refuse(f"it has {len(given)} sizes for {len(axes)} axes")
    of_axis = dict(zip(axes, given, strict=True))
    places = range(3 if flat else 2, rank)
    for axis in set(of_axis) - set(places):  # what is open stays so
        if of_axis[axis] >= 0 and of_axis[axis] != (x.shape[axis] if by_size else 1):
            raise node.refuse("only the places of images and sequences can be resized")
    wanted = [of_axis.get(axis, x.shape[axis] if by_size else 1) for axis in places]
    if min(wanted) <= 0:
        raise node.refuse("its sizes are not known")
    if node.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        raise node.refuse("only the policy stretch is supported")
    if by_size:
        options = {"size": size_of(int(n) for n in wanted)}
    else:  # numbers like 1.6, which a file has as float32
        factors = [float(f"{n:.7g}") for n in wanted]
        options = {"scale_factor": size_of(int(f) if f == int(f) else f for f in factors)}
    return x.then(_resizing(node, len(places), options), node)


def _resizing(node: Node, spatial: int, options: dict[str, Any]) -> Layer:
    """The layer, if it computes places and values as the node does."""
    mode = node.get("mode", b"nearest").decode()
    place = node.get("coordinate_transformation_mode", b"half_pixel").decode()
    if node.operator == "Upsample":
        place = "asymmetric"
    factors = np.ravel(options.get("scale_factor", 0.5))
    whole = (factors == np.floor(factors)).all()
    halves = place in ("half_pixel", "pytorch_half_pixel")
    if mode == "nearest":
        floor = node.operator == "Upsample" or node.get("nearest_mode") == b"floor"
        rounds = node.get("nearest_mode", b"round_prefer_floor") == b"round_prefer_floor"
        fits = (place == "asymmetric" and floor) or (halves and rounds and whole)
    else:
        fits = halves or place == "align_corners"
        options["align_corners"] = True
        if halves:
            del options["align_corners"]
        options["mode"] = {"linear": ("linear", "bilinear"), "cubic": ("", "bicubic")}[mode][
            spatial - 1
        ]
    if mode == "cubic":
        fits = fits and spatial == 2 and not node.get("exclude_outside", 0)
        fits = fits and abs(node.get("cubic_coeff_a", -0.75) + 0.75) < 1e-6
    if not fits or node.get("antialias", 0):
        raise node.refuse(f"nnlite computes {mode} values at other places than {place} says")
    kinds: Any = (nn.Upsample1d, nn.Upsample2d)
    layer: Layer = kinds[spatial - 1](**options)
    return layer
