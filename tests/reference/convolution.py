"""The convolution layers in PyTorch, each built from the row's own arguments."""

from cases.convolution import LAYERS
from torch.nn import functional as F


def convolution(layer):
    """The row's layer as a function of tensors in nnlite's layouts, channels last."""
    axes = layer.axes
    geometry = layer._geometry
    sides = geometry.padding[2 - axes :]
    options = {
        "stride": geometry.stride[2 - axes :],
        "dilation": geometry.dilation[2 - axes :],
        "groups": layer.groups,
    }
    transposed = type(layer).__name__.startswith("ConvTranspose")

    def forward(x, weight):
        if not transposed:
            flat = [n for side in reversed(sides) for n in side]  # the last axis first
            conv = F.conv1d if axes == 1 else F.conv2d
            return conv(F.pad(x, flat), weight.movedim((-2, -1), (1, 0)), **options)
        conv = F.conv_transpose1d if axes == 1 else F.conv_transpose2d
        extra = layer._output_padding[2 - axes :]
        if all(before == after for before, after in sides):
            symmetric = {"padding": [before for before, _ in sides], "output_padding": extra}
            return conv(x, weight.movedim((-2, -1), (0, 1)), **symmetric, **options)
        y = conv(x, weight.movedim((-2, -1), (0, 1)), **options)
        for axis, (before, after) in enumerate(sides, 2):
            y = y.narrow(axis, before, y.shape[axis] - before - after)
        return y

    def reference(x, weight, bias=None):
        y = forward(x.movedim(-1, 1), weight).movedim(1, -1)
        return y if bias is None else y + bias

    return reference


REFERENCE = {name: convolution(case.make()) for name, case in LAYERS.items()}
