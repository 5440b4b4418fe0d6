"""Rows of the convolution layers."""

import nnlite as nn
from cases.kinds import LayerCase

IMAGE = (2, 7, 6, 4)  # (N, H, W, C)
SEQUENCE = (3, 9, 4)  # (N, L, C)


def conv2d(*args, shape=IMAGE, **options):
    return LayerCase(lambda: nn.Conv2d(*args, **options), shape)


def conv1d(*args, shape=SEQUENCE, **options):
    return LayerCase(lambda: nn.Conv1d(*args, **options), shape)


def transpose2d(*args, shape=(2, 4, 3, 4), **options):
    return LayerCase(lambda: nn.ConvTranspose2d(*args, **options), shape)


def transpose1d(*args, shape=(3, 5, 4), **options):
    return LayerCase(lambda: nn.ConvTranspose1d(*args, **options), shape)


LAYERS: dict[str, LayerCase] = {
    "Conv2d": conv2d(4, 3, 3),
    "Conv2d padded": conv2d(4, 3, 3, padding=1),
    "Conv2d batch 1": conv2d(4, 3, 3, padding=1, shape=(1, 5, 5, 4)),
    "Conv2d one channel": conv2d(1, 3, 5, shape=(2, 7, 6, 1)),
    "Conv2d no bias": conv2d(4, 3, 3, bias=False),
    "Conv2d rectangular": conv2d(4, 3, (2, 3), stride=(1, 2), padding=(2, 1), dilation=(2, 1)),
    "Conv2d stride": conv2d(4, 3, 3, stride=2, padding=1),
    "Conv2d stride over kernel": conv2d(4, 3, 2, stride=3),
    "Conv2d padding over kernel": conv2d(4, 3, 2, padding=3),
    "Conv2d asymmetric": conv2d(4, 3, 3, stride=2, padding=((0, 2), (1, 0))),
    "Conv2d same": conv2d(4, 3, (4, 3), padding="same", dilation=(1, 2)),
    "Conv2d valid": conv2d(4, 3, 3, padding="valid"),
    "Conv2d whole image": conv2d(4, 3, (7, 6)),
    "Conv2d groups": conv2d(4, 6, 3, padding=1, groups=2),
    "Conv2d groups stride": conv2d(4, 6, 3, stride=2, padding=1, groups=2),
    "Conv2d depthwise": conv2d(4, 4, 3, padding=1, groups=4),
    "Conv2d depthwise asymmetric": conv2d(4, 4, (2, 3), padding=((0, 1), (2, 0)), groups=4),
    "Conv2d depthwise stride": conv2d(4, 4, 3, stride=2, padding=1, groups=4),
    "Conv2d depthwise dilation": conv2d(
        4, 4, 3, stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=4
    ),
    "Conv2d depthwise padding over kernel": conv2d(4, 4, 2, padding=3, groups=4),
    "Conv2d depthwise twofold": conv2d(4, 8, 3, padding=1, groups=4),
    "Conv2d depthwise as direct": conv2d(4, 4, 3, padding=1, groups=4, algorithm="direct"),
    "Conv2d pointwise": conv2d(4, 3, 1),
    "Conv2d pointwise stride": conv2d(4, 3, 1, stride=(2, 3)),
    "Conv2d pointwise groups": conv2d(4, 6, 1, groups=2),
    "Conv2d pointwise padded": conv2d(4, 3, 1, padding=1),
    "Conv2d pointwise as direct": conv2d(4, 3, 1, stride=2, algorithm="direct"),
    "Conv2d winograd": conv2d(4, 3, 3, padding=1, algorithm="winograd"),
    "Conv2d winograd odd": conv2d(
        2, 3, 3, padding=((0, 3), (2, 1)), algorithm="winograd", shape=(1, 9, 5, 2)
    ),
    "Conv2d winograd small tiles": conv2d(
        4, 3, 3, padding=1, algorithm="winograd", shape=(2, 6, 5, 4)
    ),
    "Conv2d winograd large": LayerCase(
        lambda: nn.Conv2d(32, 48, 3, padding=1), (2, 9, 8, 32), by_difference=False
    ),
    "Conv2d initializers": conv2d(
        4, 3, 3, weight_init=nn.initializers.He(), bias_init=nn.initializers.Constant(0.5)
    ),
    "Conv1d everything": conv1d(4, 6, 3, stride=2, padding=(2, 1), dilation=2, groups=2),
    "Conv1d depthwise twofold": conv1d(4, 8, 3, padding=1, groups=4),
    "Conv1d": conv1d(4, 3, 3),
    "Conv1d no bias": conv1d(4, 3, 3, bias=False),
    "Conv1d stride": conv1d(4, 3, 4, stride=3, padding=2),
    "Conv1d causal": conv1d(4, 3, 3, padding=(4, 0), dilation=2),
    "Conv1d same": conv1d(4, 3, 4, padding="same"),
    "Conv1d depthwise": conv1d(4, 4, 5, padding=2, groups=4),
    "Conv1d depthwise stride": conv1d(4, 4, 5, stride=2, padding=2, groups=4),
    "Conv1d pointwise": conv1d(4, 3, 1),
    "Conv1d groups": conv1d(4, 6, 3, groups=2, padding=1),
    "ConvTranspose2d": transpose2d(4, 3, 3),
    "ConvTranspose2d no bias": transpose2d(4, 3, 3, bias=False),
    "ConvTranspose2d stride": transpose2d(4, 3, 3, stride=2, padding=1, output_padding=1),
    "ConvTranspose2d stride over kernel": transpose2d(4, 3, 2, stride=3, output_padding=(2, 0)),
    "ConvTranspose2d rectangular": transpose2d(
        4, 3, (2, 3), stride=(1, 2), padding=(0, 1), dilation=(2, 1)
    ),
    "ConvTranspose2d asymmetric": transpose2d(4, 3, 3, stride=2, padding=((0, 1), (2, 0))),
    "ConvTranspose2d same": transpose2d(4, 3, (4, 3), padding="same", dilation=(1, 2)),
    "ConvTranspose2d padding over kernel": transpose2d(4, 3, 2, padding=2, shape=(2, 6, 5, 4)),
    "ConvTranspose2d groups": transpose2d(4, 6, 3, stride=2, groups=2),
    "ConvTranspose2d depthwise": transpose2d(4, 4, 3, stride=2, padding=1, groups=4),
    "ConvTranspose2d pointwise": transpose2d(4, 3, 1),
    "ConvTranspose2d everything": transpose2d(
        4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2
    ),
    "ConvTranspose2d pointwise dilation": transpose2d(
        4, 3, 1, stride=2, dilation=4, output_padding=3
    ),
    "ConvTranspose2d pointwise output padding": transpose2d(4, 3, 1, dilation=3, output_padding=2),
    "ConvTranspose2d one place": transpose2d(
        4, 3, 1, stride=2, dilation=4, output_padding=3, shape=(2, 1, 1, 4)
    ),
    "ConvTranspose2d output padding over stride": transpose2d(
        4, 3, (3, 2), stride=(1, 2), dilation=(3, 1), output_padding=(2, 1)
    ),
    "ConvTranspose2d winograd": transpose2d(4, 3, 3, padding=1, algorithm="winograd"),
    "ConvTranspose1d depthwise dilation": transpose1d(4, 4, 3, stride=2, dilation=2, groups=4),
    "ConvTranspose1d": transpose1d(4, 3, 3),
    "ConvTranspose1d stride": transpose1d(4, 3, 4, stride=2, padding=1, output_padding=1),
    "ConvTranspose1d asymmetric": transpose1d(4, 3, 3, stride=2, padding=(2, 0), dilation=2),
    "ConvTranspose1d depthwise": transpose1d(4, 4, 3, stride=2, groups=4),
    "ConvTranspose1d pointwise": transpose1d(4, 3, 1),
    "ConvTranspose1d groups": transpose1d(4, 6, 3, groups=2, bias=False),
}
