"""The pooling layers and those that resize images in PyTorch, one function per row."""

import torch
from torch.nn import functional as F


def channels_first(function, *args, **kwargs):
    """A function on (N, C, …) as one on (N, …, C)."""
    return lambda x: function(x.movedim(-1, 1), *args, **kwargs).movedim(1, -1)


def pooled(function, *args, **kwargs):
    """A function that leaves one position, on (N, …, C)."""
    return lambda x: function(x.movedim(-1, 1), *args, **kwargs).flatten(1)


def padded(function, pad, *args, value=0.0, **kwargs):
    """The same after padding that the function does not know."""
    return channels_first(lambda x: function(F.pad(x, pad, value=value), *args, **kwargs))


def masked_mean(kernel, stride, pad):
    """Means over windows that count no padding."""

    def mean(x):
        sums, ones = (F.avg_pool2d(F.pad(a, pad), kernel, stride) for a in (x, torch.ones_like(x)))
        return sums / ones

    return channels_first(mean)


def unpooled(pool, unpool, *args, size=None):
    """Maxima put back where they came from."""

    def both(x):
        y, indices = pool(x, *args, return_indices=True)
        return unpool(y, indices, *args, output_size=size)

    return channels_first(both)


REFERENCE = {
    "MaxPool1d": channels_first(F.max_pool1d, 2),
    "MaxPool1d unused end": channels_first(F.max_pool1d, 3),
    "MaxPool1d ceil": channels_first(F.max_pool1d, 3, ceil_mode=True),
    "MaxPool1d overlapping": channels_first(F.max_pool1d, 3, 2, 1),
    "MaxPool1d gaps": channels_first(F.max_pool1d, 2, 3),
    "MaxPool2d": channels_first(F.max_pool2d, 2),
    "MaxPool2d batch 1": channels_first(F.max_pool2d, 2),
    "MaxPool2d odd sizes": channels_first(F.max_pool2d, 2),
    "MaxPool2d ceil": channels_first(F.max_pool2d, 2, ceil_mode=True),
    "MaxPool2d overlapping": channels_first(F.max_pool2d, 3, 2, 1),
    "MaxPool2d ceil padding": channels_first(F.max_pool2d, 3, 2, 1, ceil_mode=True),
    "MaxPool2d small overlapping": channels_first(F.max_pool2d, 2, 1),
    "MaxPool2d small gaps": channels_first(F.max_pool2d, 2, (1, 3)),
    "MaxPool2d ceil large": channels_first(F.max_pool2d, 5, 3, ceil_mode=True),
    "MaxPool1d ceil padding": channels_first(F.max_pool1d, 3, 2, 1, ceil_mode=True),
    "MaxPool2d dropped window": channels_first(F.max_pool2d, 2, 3, 1, ceil_mode=True),
    "MaxPool2d rectangle": channels_first(F.max_pool2d, (1, 3), (2, 1), (0, 1)),
    "MaxPool2d gaps": channels_first(F.max_pool2d, 1, 2),
    "MaxPool2d whole": channels_first(F.max_pool2d, (4, 5)),
    "MaxPool1d dilation": channels_first(F.max_pool1d, 2, 1, dilation=2),
    "MaxPool1d dilation padding": padded(
        F.max_pool1d, (2, 2), 3, 2, dilation=2, ceil_mode=True, value=-torch.inf
    ),
    "MaxPool1d causal": padded(F.max_pool1d, (2, 0), 3, 1, value=-torch.inf),
    "MaxPool2d dilation": channels_first(F.max_pool2d, 2, 1, dilation=(2, 3)),
    "MaxPool2d dilation padding": padded(
        F.max_pool2d, (2, 2, 1, 1), (2, 3), (1, 2), dilation=2, value=-torch.inf
    ),
    "MaxPool2d uneven": padded(F.max_pool2d, (2, 0, 0, 1), 3, 2, value=-torch.inf),
    "MaxUnpool1d": unpooled(F.max_pool1d, F.max_unpool1d, 2),
    "MaxUnpool1d rest": unpooled(F.max_pool1d, F.max_unpool1d, 3, size=(8,)),
    "MaxUnpool2d": unpooled(F.max_pool2d, F.max_unpool2d, 2),
    "MaxUnpool2d rest": unpooled(F.max_pool2d, F.max_unpool2d, (2, 3), (2, 3), (1, 0), size=(5, 7)),
    "AvgPool1d": channels_first(F.avg_pool1d, 2),
    "AvgPool1d overlapping": channels_first(F.avg_pool1d, 3, 2, 1),
    "AvgPool1d ceil": channels_first(F.avg_pool1d, 3, 2, 1, ceil_mode=True),
    "AvgPool1d without padding": channels_first(F.avg_pool1d, 3, 2, 1, count_include_pad=False),
    "AvgPool2d": channels_first(F.avg_pool2d, 2),
    "AvgPool2d batch 1": channels_first(F.avg_pool2d, 2),
    "AvgPool2d overlapping": channels_first(F.avg_pool2d, 3, 2, 1),
    "AvgPool2d gaps": channels_first(F.avg_pool2d, 2, 3),
    "AvgPool2d ceil": channels_first(F.avg_pool2d, 3, 2, 1, ceil_mode=True),
    "AvgPool2d ceil without padding": channels_first(
        F.avg_pool2d, 3, 2, 1, ceil_mode=True, count_include_pad=False
    ),
    "AvgPool2d ceil large": channels_first(F.avg_pool2d, 5, 3, ceil_mode=True),
    "AvgPool2d without padding": channels_first(F.avg_pool2d, 3, 2, 1, count_include_pad=False),
    "AvgPool2d rectangle": channels_first(F.avg_pool2d, (1, 3), (2, 1), (0, 1)),
    "AvgPool1d causal": padded(F.avg_pool1d, (2, 0), 3, 1),
    "AvgPool1d divisor": lambda x: F.avg_pool2d(
        x.movedim(-1, 1)[:, :, None], (1, 3), (1, 2), (0, 1), divisor_override=2
    )[:, :, 0].movedim(1, -1),
    "AvgPool2d divisor": channels_first(F.avg_pool2d, 2, ceil_mode=True, divisor_override=3),
    "AvgPool2d uneven": padded(F.avg_pool2d, (2, 0, 0, 1), 3, 2, ceil_mode=True),
    "AvgPool2d uneven without padding": masked_mean(3, 2, (2, 1, 1, 1)),
    "LPPool1d": channels_first(F.lp_pool1d, 2.0, 2),
    "LPPool1d ceil": channels_first(lambda x: F.lp_pool1d(x.abs(), 3.0, 3, 2, ceil_mode=True)),
    "LPPool1d sum": channels_first(lambda x: F.lp_pool1d(x.abs(), 1.0, 2)),
    "LPPool2d": channels_first(F.lp_pool2d, 2.0, 2),
    "LPPool2d overlapping": channels_first(lambda x: F.lp_pool2d(x.abs(), 1.5, 3, 2)),
    "LPPool2d ceil": channels_first(F.lp_pool2d, 2.0, (2, 3), ceil_mode=True),
    "GlobalAvgPool1d": pooled(F.adaptive_avg_pool1d, 1),
    "GlobalAvgPool2d": pooled(F.adaptive_avg_pool2d, 1),
    "GlobalMaxPool1d": pooled(F.adaptive_max_pool1d, 1),
    "GlobalMaxPool2d": pooled(F.adaptive_max_pool2d, 1),
    "AdaptiveAvgPool1d": channels_first(F.adaptive_avg_pool1d, 3),
    "AdaptiveAvgPool1d larger": channels_first(F.adaptive_avg_pool1d, 7),
    "AdaptiveMaxPool1d": channels_first(F.adaptive_max_pool1d, 3),
    "AdaptiveMaxPool2d": channels_first(F.adaptive_max_pool2d, 2),
    "AdaptiveMaxPool2d uneven": channels_first(F.adaptive_max_pool2d, (3, 4)),
    "AdaptiveMaxPool2d larger": channels_first(F.adaptive_max_pool2d, (5, 1)),
    "AdaptiveAvgPool2d": channels_first(F.adaptive_avg_pool2d, 2),
    "AdaptiveAvgPool2d uneven": channels_first(F.adaptive_avg_pool2d, (3, 4)),
    "AdaptiveAvgPool2d larger": channels_first(F.adaptive_avg_pool2d, (5, 1)),
    "Upsample2d": channels_first(F.interpolate, scale_factor=2),
    "Upsample2d rectangle": channels_first(F.interpolate, scale_factor=(1, 3)),
    "Upsample2d bilinear": channels_first(F.interpolate, scale_factor=2, mode="bilinear"),
    "Upsample2d bilinear rectangle": channels_first(
        F.interpolate, scale_factor=(3, 2), mode="bilinear"
    ),
    "Upsample2d bicubic": channels_first(F.interpolate, scale_factor=2, mode="bicubic"),
    "Upsample2d bicubic size": channels_first(F.interpolate, size=(7, 3), mode="bicubic"),
    "Upsample2d bicubic corners": channels_first(
        F.interpolate, scale_factor=(1.6, 2.0), mode="bicubic", align_corners=True
    ),
    "Upsample2d corners": channels_first(
        F.interpolate, scale_factor=2, mode="bilinear", align_corners=True
    ),
    "Upsample2d corners one": channels_first(
        F.interpolate, size=(1, 6), mode="bilinear", align_corners=True
    ),
    "Upsample2d factor": channels_first(F.interpolate, scale_factor=(1.5, 0.6)),
    "Upsample2d bilinear factor": channels_first(
        F.interpolate, scale_factor=(2.3, 0.7), mode="bilinear"
    ),
    "Upsample2d size": channels_first(F.interpolate, size=(5, 3)),
    "Upsample2d bilinear size": channels_first(F.interpolate, size=7, mode="bilinear"),
    "Upsample1d": channels_first(F.interpolate, scale_factor=3),
    "Upsample1d size": channels_first(F.interpolate, size=7),
    "Upsample1d linear": channels_first(F.interpolate, scale_factor=2, mode="linear"),
    "Upsample1d linear factor": channels_first(F.interpolate, scale_factor=1.7, mode="linear"),
    "Upsample1d corners": channels_first(F.interpolate, size=9, mode="linear", align_corners=True),
    "ZeroPad1d": channels_first(F.pad, (1, 2)),
    "ZeroPad2d": channels_first(F.pad, (2, 2, 2, 2)),
    "ZeroPad2d sides": channels_first(F.pad, (1, 0, 0, 3)),
    "ConstantPad1d": channels_first(F.pad, (1, 2), value=-3),
    "ConstantPad2d": channels_first(F.pad, (1, 1, 1, 1), value=2),
    "ConstantPad2d sides": channels_first(F.pad, (1, 2, 3, 0), value=5),
    "ReflectionPad1d": channels_first(F.pad, (3, 2), "reflect"),
    "ReflectionPad2d": channels_first(F.pad, (1, 1, 1, 1), "reflect"),
    "ReflectionPad2d sides": channels_first(F.pad, (1, 3, 0, 4), "reflect"),
    "ReplicationPad1d": channels_first(F.pad, (5, 2), "replicate"),
    "ReplicationPad2d": channels_first(F.pad, (1, 1, 1, 1), "replicate"),
    "ReplicationPad2d sides": channels_first(F.pad, (1, 2, 0, 4), "replicate"),
    "CircularPad1d": channels_first(F.pad, (3, 1), "circular"),
    "CircularPad2d": channels_first(F.pad, (1, 1, 1, 1), "circular"),
    "CircularPad2d sides": channels_first(F.pad, (2, 3, 0, 2), "circular"),
}
# PyTorch gives the gradient of a place that several windows share to all of them, though only the
# last one's value stays there.
WITHOUT_COUNTERPART = {"MaxUnpool2d overlapping"}


def tied(name, x):
    """The row's outputs and dL/dx in PyTorch for an x full of ties, with dL/dy = 1, 2, 3, …"""
    tensor = torch.tensor(x, requires_grad=True)
    y = REFERENCE[name](tensor)
    y.backward(torch.arange(1.0, y.numel() + 1).reshape(y.shape))
    return y, tensor.grad
