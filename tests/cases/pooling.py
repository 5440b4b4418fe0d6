"""Rows of the pooling layers and of those that resize images."""

import nnlite as nn
from cases.kinds import LayerCase


def pooling(make, *shape):
    return LayerCase(make, shape)


def unpooled(pool, *args, output_size=None):
    """Pooling, and its way back."""
    unpool = nn.MaxUnpool1d if pool is nn.MaxPool1d else nn.MaxUnpool2d
    return nn.Sequential(pool(*args, return_indices=True), unpool(*args, output_size=output_size))


def border(make, *shape):
    return LayerCase(make, shape, moves_only=True)


LAYERS: dict[str, LayerCase] = {
    "MaxPool1d": pooling(lambda: nn.MaxPool1d(2), 2, 6, 3),
    "MaxPool1d unused end": pooling(lambda: nn.MaxPool1d(3), 2, 8, 3),
    "MaxPool1d ceil": pooling(lambda: nn.MaxPool1d(3, ceil_mode=True), 2, 8, 3),
    "MaxPool1d overlapping": pooling(lambda: nn.MaxPool1d(3, 2, padding=1), 2, 7, 3),
    "MaxPool1d gaps": pooling(lambda: nn.MaxPool1d(2, 3), 2, 10, 3),
    "MaxPool2d": pooling(lambda: nn.MaxPool2d(2), 2, 4, 6, 3),
    "MaxPool2d batch 1": pooling(lambda: nn.MaxPool2d(2), 1, 4, 6, 1),
    "MaxPool2d odd sizes": pooling(lambda: nn.MaxPool2d(2), 2, 5, 7, 3),
    "MaxPool2d ceil": pooling(lambda: nn.MaxPool2d(2, ceil_mode=True), 2, 5, 7, 3),
    "MaxPool2d overlapping": pooling(lambda: nn.MaxPool2d(3, 2, 1), 2, 7, 6, 3),
    "MaxPool2d ceil padding": pooling(lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), 2, 6, 7, 2),
    "MaxPool2d small overlapping": pooling(lambda: nn.MaxPool2d(2, 1), 2, 4, 5, 3),
    "MaxPool2d small gaps": pooling(lambda: nn.MaxPool2d(2, (1, 3)), 2, 4, 9, 3),
    "MaxPool2d ceil large": pooling(lambda: nn.MaxPool2d(5, 3, ceil_mode=True), 2, 4, 3, 2),
    "MaxPool1d ceil padding": pooling(lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True), 2, 6, 3),
    "MaxPool2d dropped window": pooling(lambda: nn.MaxPool2d(2, 3, 1, ceil_mode=True), 2, 5, 7, 2),
    "MaxPool2d rectangle": pooling(lambda: nn.MaxPool2d((1, 3), (2, 1), (0, 1)), 2, 5, 6, 3),
    "MaxPool2d gaps": pooling(lambda: nn.MaxPool2d(1, 2), 2, 5, 6, 3),
    "MaxPool2d whole": pooling(lambda: nn.MaxPool2d((4, 5)), 2, 4, 5, 3),
    "MaxPool1d dilation": pooling(lambda: nn.MaxPool1d(2, 1, dilation=2), 2, 7, 16),
    "MaxPool1d dilation padding": pooling(
        lambda: nn.MaxPool1d(3, 2, 2, ceil_mode=True, dilation=2), 2, 8, 3
    ),
    "MaxPool1d causal": pooling(lambda: nn.MaxPool1d(3, 1, (2, 0)), 2, 7, 3),
    "MaxPool2d dilation": pooling(lambda: nn.MaxPool2d(2, 1, dilation=(2, 3)), 2, 5, 6, 16),
    "MaxPool2d dilation padding": pooling(
        lambda: nn.MaxPool2d((2, 3), (1, 2), (1, 2), dilation=(2, 2)), 2, 5, 6, 3
    ),
    "MaxPool2d uneven": pooling(lambda: nn.MaxPool2d(3, 2, ((0, 1), (2, 0))), 2, 6, 6, 3),
    "MaxUnpool1d": pooling(lambda: unpooled(nn.MaxPool1d, 2), 2, 6, 3),
    "MaxUnpool1d rest": pooling(lambda: unpooled(nn.MaxPool1d, 3, output_size=8), 2, 8, 3),
    "MaxUnpool2d": pooling(lambda: unpooled(nn.MaxPool2d, 2), 2, 4, 6, 3),
    "MaxUnpool2d rest": pooling(
        lambda: unpooled(nn.MaxPool2d, (2, 3), (2, 3), (1, 0), output_size=(5, 7)), 2, 5, 7, 2
    ),
    "MaxUnpool2d overlapping": pooling(lambda: unpooled(nn.MaxPool2d, 3, 2, 1), 2, 7, 7, 3),
    "AvgPool1d": pooling(lambda: nn.AvgPool1d(2), 2, 6, 3),
    "AvgPool1d overlapping": pooling(lambda: nn.AvgPool1d(3, 2, padding=1), 2, 7, 3),
    "AvgPool1d ceil": pooling(lambda: nn.AvgPool1d(3, 2, 1, ceil_mode=True), 2, 8, 3),
    "AvgPool1d without padding": pooling(
        lambda: nn.AvgPool1d(3, 2, 1, count_include_pad=False), 2, 7, 3
    ),
    "AvgPool2d": pooling(lambda: nn.AvgPool2d(2), 2, 4, 6, 3),
    "AvgPool2d batch 1": pooling(lambda: nn.AvgPool2d(2), 1, 5, 4, 1),
    "AvgPool2d overlapping": pooling(lambda: nn.AvgPool2d(3, 2, 1), 2, 7, 6, 3),
    "AvgPool2d gaps": pooling(lambda: nn.AvgPool2d(2, 3), 2, 7, 6, 3),
    "AvgPool2d ceil": pooling(lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), 2, 6, 7, 2),
    "AvgPool2d ceil without padding": pooling(
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), 2, 6, 7, 2
    ),
    "AvgPool2d ceil large": pooling(lambda: nn.AvgPool2d(5, 3, ceil_mode=True), 2, 4, 3, 2),
    "AvgPool2d without padding": pooling(
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), 2, 7, 6, 3
    ),
    "AvgPool2d rectangle": pooling(lambda: nn.AvgPool2d((1, 3), (2, 1), (0, 1)), 2, 5, 6, 3),
    "AvgPool1d causal": pooling(lambda: nn.AvgPool1d(3, 1, (2, 0)), 2, 6, 3),
    "AvgPool1d divisor": pooling(lambda: nn.AvgPool1d(3, 2, 1, divisor_override=2), 2, 7, 3),
    "AvgPool2d divisor": pooling(
        lambda: nn.AvgPool2d(2, ceil_mode=True, divisor_override=3), 2, 5, 7, 3
    ),
    "AvgPool2d uneven": pooling(
        lambda: nn.AvgPool2d(3, 2, ((0, 1), (2, 0)), ceil_mode=True), 2, 6, 6, 3
    ),
    "AvgPool2d uneven without padding": pooling(
        lambda: nn.AvgPool2d(3, 2, (1, (2, 1)), count_include_pad=False), 2, 6, 6, 3
    ),
    "LPPool1d": pooling(lambda: nn.LPPool1d(2, 2), 2, 6, 3),
    "LPPool1d ceil": pooling(lambda: nn.LPPool1d(3, 3, 2, ceil_mode=True), 2, 8, 3),
    "LPPool1d sum": pooling(lambda: nn.LPPool1d(1, 2), 2, 6, 3),
    "LPPool2d": pooling(lambda: nn.LPPool2d(2, 2), 2, 4, 6, 3),
    "LPPool2d overlapping": pooling(lambda: nn.LPPool2d(1.5, 3, 2), 2, 7, 6, 3),
    "LPPool2d ceil": pooling(lambda: nn.LPPool2d(2, (2, 3), ceil_mode=True), 2, 5, 7, 3),
    "GlobalAvgPool1d": pooling(nn.GlobalAvgPool1d, 2, 5, 3),
    "GlobalAvgPool2d": pooling(nn.GlobalAvgPool2d, 2, 3, 5, 4),
    "GlobalMaxPool1d": pooling(nn.GlobalMaxPool1d, 2, 5, 3),
    "GlobalMaxPool2d": pooling(nn.GlobalMaxPool2d, 2, 3, 5, 4),
    "AdaptiveAvgPool1d": pooling(lambda: nn.AdaptiveAvgPool1d(3), 2, 7, 3),
    "AdaptiveAvgPool1d larger": pooling(lambda: nn.AdaptiveAvgPool1d(7), 2, 4, 3),
    "AdaptiveMaxPool1d": pooling(lambda: nn.AdaptiveMaxPool1d(3), 2, 7, 3),
    "AdaptiveMaxPool2d": pooling(lambda: nn.AdaptiveMaxPool2d(2), 2, 4, 6, 3),
    "AdaptiveMaxPool2d uneven": pooling(lambda: nn.AdaptiveMaxPool2d((3, 4)), 2, 5, 7, 3),
    "AdaptiveMaxPool2d larger": pooling(lambda: nn.AdaptiveMaxPool2d((5, 1)), 1, 3, 4, 2),
    "AdaptiveAvgPool2d": pooling(lambda: nn.AdaptiveAvgPool2d(2), 2, 4, 6, 3),
    "AdaptiveAvgPool2d uneven": pooling(lambda: nn.AdaptiveAvgPool2d((3, 4)), 2, 5, 7, 3),
    "AdaptiveAvgPool2d larger": pooling(lambda: nn.AdaptiveAvgPool2d((5, 1)), 1, 3, 4, 2),
    "Upsample2d": pooling(lambda: nn.Upsample2d(2), 2, 3, 4, 3),
    "Upsample2d rectangle": pooling(lambda: nn.Upsample2d((1, 3)), 1, 3, 4, 1),
    "Upsample2d bilinear": pooling(lambda: nn.Upsample2d(2, "bilinear"), 2, 3, 4, 3),
    "Upsample2d bilinear rectangle": pooling(
        lambda: nn.Upsample2d((3, 2), mode="bilinear"), 1, 1, 4, 2
    ),
    "Upsample2d bicubic": pooling(lambda: nn.Upsample2d(2, "bicubic"), 2, 3, 4, 3),
    "Upsample2d bicubic size": pooling(
        lambda: nn.Upsample2d(size=(7, 3), mode="bicubic"), 2, 5, 6, 2
    ),
    "Upsample2d bicubic corners": pooling(
        lambda: nn.Upsample2d((1.6, 2), "bicubic", align_corners=True), 1, 5, 4, 2
    ),
    "Upsample2d corners": pooling(
        lambda: nn.Upsample2d(2, "bilinear", align_corners=True), 2, 3, 4, 3
    ),
    "Upsample2d corners one": pooling(
        lambda: nn.Upsample2d(mode="bilinear", align_corners=True, size=(1, 6)), 2, 3, 4, 3
    ),
    "Upsample2d factor": pooling(lambda: nn.Upsample2d((1.5, 0.6)), 2, 4, 5, 3),
    "Upsample2d bilinear factor": pooling(
        lambda: nn.Upsample2d((2.3, 0.7), "bilinear"), 2, 4, 5, 3
    ),
    "Upsample2d size": pooling(lambda: nn.Upsample2d(size=(5, 3)), 2, 4, 5, 3),
    "Upsample2d bilinear size": pooling(lambda: nn.Upsample2d(mode="bilinear", size=7), 2, 4, 5, 3),
    "Upsample1d": pooling(lambda: nn.Upsample1d(3), 2, 4, 3),
    "Upsample1d size": pooling(lambda: nn.Upsample1d(size=7), 2, 4, 3),
    "Upsample1d linear": pooling(lambda: nn.Upsample1d(2, "linear"), 2, 4, 3),
    "Upsample1d linear factor": pooling(lambda: nn.Upsample1d(1.7, "linear"), 2, 4, 3),
    "Upsample1d corners": pooling(
        lambda: nn.Upsample1d(mode="linear", align_corners=True, size=9), 2, 4, 3
    ),
    "ZeroPad1d": border(lambda: nn.ZeroPad1d((1, 2)), 2, 4, 3),
    "ZeroPad2d": border(lambda: nn.ZeroPad2d(2), 2, 3, 4, 3),
    "ZeroPad2d sides": border(lambda: nn.ZeroPad2d((1, 0, 0, 3)), 2, 3, 4, 1),
    "ConstantPad1d": border(lambda: nn.ConstantPad1d((1, 2), -3), 2, 4, 3),
    "ConstantPad2d": border(lambda: nn.ConstantPad2d(1, 2.0), 2, 3, 4, 3),
    "ConstantPad2d sides": border(lambda: nn.ConstantPad2d((1, 2, 3, 0), 5), 1, 2, 3, 2),
    "ReflectionPad1d": border(lambda: nn.ReflectionPad1d((3, 2)), 2, 4, 3),
    "ReflectionPad2d": border(lambda: nn.ReflectionPad2d(1), 2, 3, 4, 3),
    "ReflectionPad2d sides": border(lambda: nn.ReflectionPad2d((1, 3, 0, 4)), 2, 5, 4, 1),
    "ReplicationPad1d": border(lambda: nn.ReplicationPad1d((5, 2)), 2, 3, 4),
    "ReplicationPad2d": border(lambda: nn.ReplicationPad2d(1), 2, 3, 4, 3),
    "ReplicationPad2d sides": border(lambda: nn.ReplicationPad2d((1, 2, 0, 4)), 2, 1, 4, 2),
    "CircularPad1d": border(lambda: nn.CircularPad1d((3, 1)), 2, 3, 4),
    "CircularPad2d": border(lambda: nn.CircularPad2d(1), 2, 3, 4, 3),
    "CircularPad2d sides": border(lambda: nn.CircularPad2d((2, 3, 0, 2)), 2, 2, 3, 2),
}
