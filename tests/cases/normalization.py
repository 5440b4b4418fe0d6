"""Rows of the normalizations, and of the layers that add noise, or terms to the loss."""

import nnlite as nn
from cases.kinds import LayerCase


def over_batch(make, *shape):
    return LayerCase(make, shape, by_sample=False)


LAYERS: dict[str, LayerCase] = {
    "BatchNorm1d": over_batch(lambda: nn.BatchNorm1d(4), 6, 4),
    "BatchNorm1d batch 2": over_batch(lambda: nn.BatchNorm1d(3, eps=0.1), 2, 3),
    "BatchNorm1d time": over_batch(lambda: nn.BatchNorm1d(3), 2, 5, 3),
    "BatchNorm1d plain": over_batch(lambda: nn.BatchNorm1d(4, affine=False), 6, 4),
    "BatchNorm1d eval": LayerCase(lambda: nn.BatchNorm1d(4), (6, 4), training=False),
    "BatchNorm1d untracked": over_batch(lambda: nn.BatchNorm1d(4, track_running_stats=False), 6, 4),
    "BatchNorm1d no bias": over_batch(lambda: nn.BatchNorm1d(3, bias=False), 2, 5, 3),
    "BatchNorm1d cumulative": over_batch(lambda: nn.BatchNorm1d(4, momentum=None), 6, 4),
    "BatchNorm2d no bias eval": LayerCase(
        lambda: nn.BatchNorm2d(3, bias=False), (2, 4, 5, 3), training=False
    ),
    "BatchNorm2d": over_batch(lambda: nn.BatchNorm2d(3), 2, 4, 5, 3),
    "BatchNorm2d batch 1": over_batch(lambda: nn.BatchNorm2d(3), 1, 3, 2, 3),
    "BatchNorm2d one channel": over_batch(lambda: nn.BatchNorm2d(1), 2, 3, 4, 1),
    "BatchNorm2d plain eval": LayerCase(
        lambda: nn.BatchNorm2d(3, affine=False), (2, 4, 5, 3), training=False
    ),
    "BatchNorm2d eval": LayerCase(lambda: nn.BatchNorm2d(3), (2, 4, 5, 3), training=False),
    "BatchNorm1d time eval": LayerCase(lambda: nn.BatchNorm1d(3), (2, 5, 3), training=False),
    "BatchNorm2d eps": over_batch(lambda: nn.BatchNorm2d(3, eps=0.1, momentum=0.3), 2, 4, 4, 3),
    "BatchNorm2d blocks": LayerCase(
        lambda: nn.BatchNorm2d(3), (5, 96, 96, 3), by_sample=False, by_difference=False
    ),
    "LayerNorm": LayerCase(lambda: nn.LayerNorm(5), (3, 5)),
    "LayerNorm time": LayerCase(lambda: nn.LayerNorm(5), (2, 3, 5)),
    "LayerNorm plain": LayerCase(lambda: nn.LayerNorm(5, eps=1e-3, affine=False), (3, 5)),
    "LayerNorm no bias": LayerCase(lambda: nn.LayerNorm(5, bias=False), (2, 3, 5)),
    "LayerNorm axes": LayerCase(lambda: nn.LayerNorm((3, 5)), (2, 4, 3, 5)),
    "LayerNorm axes no bias": LayerCase(lambda: nn.LayerNorm((2, 3, 5), bias=False), (4, 2, 3, 5)),
    "LayerNorm axes plain": LayerCase(lambda: nn.LayerNorm((3, 5), affine=False), (2, 3, 5)),
    "RMSNorm axes": LayerCase(lambda: nn.RMSNorm((3, 5)), (2, 3, 5)),
    "WeightNorm": LayerCase(lambda: nn.WeightNorm(nn.Linear(4, 3)), (5, 4)),
    "WeightNorm conv": LayerCase(lambda: nn.WeightNorm(nn.Conv2d(2, 3, 3)), (2, 4, 5, 2)),
    "WeightNorm axis": LayerCase(
        lambda: nn.WeightNorm(nn.Linear(4, 3, bias=False), axis=0), (2, 5, 4)
    ),
    "SpectralNorm eval": LayerCase(
        lambda: nn.SpectralNorm(nn.Linear(4, 3), rng=0), (5, 4), training=False
    ),
    "SpectralNorm conv eval": LayerCase(
        lambda: nn.SpectralNorm(nn.Conv1d(2, 3, 3), rng=0), (2, 6, 2), training=False
    ),
    "SpectralNorm axis eval": LayerCase(
        lambda: nn.SpectralNorm(nn.Linear(4, 3), axis=0, rng=0), (5, 4), training=False
    ),
    "Affine": LayerCase(lambda: nn.Affine(5), (3, 5)),
    "Affine time": LayerCase(lambda: nn.Affine(5), (2, 3, 5)),
    "Affine no bias": LayerCase(lambda: nn.Affine(3, bias=False), (2, 3, 4, 3)),
    "LocalResponseNorm": LayerCase(lambda: nn.LocalResponseNorm(3), (2, 7, 5)),
    "LocalResponseNorm even": LayerCase(
        lambda: nn.LocalResponseNorm(4, 0.5, 0.6, 2.0), (2, 3, 4, 6)
    ),
    "LocalResponseNorm alone": LayerCase(lambda: nn.LocalResponseNorm(1, 1, 0.5), (3, 5)),
    "LocalResponseNorm wide": LayerCase(lambda: nn.LocalResponseNorm(9, 1), (3, 4)),
    "RMSNorm": LayerCase(lambda: nn.RMSNorm(5), (3, 5)),
    "RMSNorm time": LayerCase(lambda: nn.RMSNorm(5), (2, 3, 5)),
    "RMSNorm plain": LayerCase(lambda: nn.RMSNorm(5, eps=1e-3, affine=False), (3, 5)),
    "GroupNorm": LayerCase(lambda: nn.GroupNorm(2, 6), (2, 3, 4, 6)),
    "GroupNorm one": LayerCase(lambda: nn.GroupNorm(1, 3), (2, 4, 3)),
    "GroupNorm each": LayerCase(lambda: nn.GroupNorm(4, 4, eps=0.1), (2, 3, 4)),
    "GroupNorm rows": LayerCase(lambda: nn.GroupNorm(2, 6, affine=False), (3, 6)),
    "GroupNorm blocks": LayerCase(
        lambda: nn.GroupNorm(3, 6), (2, 160, 160, 6), by_difference=False
    ),
    "GroupNorm no bias": LayerCase(lambda: nn.GroupNorm(3, 6, bias=False), (2, 4, 6)),
    "InstanceNorm1d": LayerCase(lambda: nn.InstanceNorm1d(3), (2, 5, 3)),
    "InstanceNorm1d affine": LayerCase(lambda: nn.InstanceNorm1d(3, affine=True), (2, 5, 3)),
    "InstanceNorm1d no bias": LayerCase(
        lambda: nn.InstanceNorm1d(3, affine=True, bias=False), (2, 5, 3)
    ),
    "InstanceNorm1d tracking eval": LayerCase(
        lambda: nn.InstanceNorm1d(3, track_running_stats=True), (2, 5, 3), training=False
    ),
    "InstanceNorm2d tracking": LayerCase(
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 4, 5, 3)
    ),
    "InstanceNorm2d": LayerCase(lambda: nn.InstanceNorm2d(3), (2, 4, 5, 3)),
    "InstanceNorm2d affine": LayerCase(lambda: nn.InstanceNorm2d(3, affine=True), (2, 4, 5, 3)),
    "InstanceNorm2d eps": LayerCase(lambda: nn.InstanceNorm2d(3, eps=0.1), (2, 4, 5, 3)),
    "ChannelDropout": over_batch(lambda: nn.ChannelDropout(0.3), 3, 4, 5, 6),
    "ChannelDropout time": over_batch(lambda: nn.ChannelDropout(0.3), 3, 4, 6),
    "ChannelDropout eval": LayerCase(lambda: nn.ChannelDropout(0.3), (3, 4, 6), training=False),
    "GaussianNoise": over_batch(lambda: nn.GaussianNoise(0.5), 4, 6),
    "GaussianNoise eval": LayerCase(lambda: nn.GaussianNoise(0.5), (4, 6), training=False),
    "GaussianNoise 0": LayerCase(lambda: nn.GaussianNoise(0), (4, 6)),
    "ActivityRegularization": LayerCase(lambda: nn.ActivityRegularization(0.1, 0.2), (4, 6), (0,)),
    "ActivityRegularization l1": LayerCase(
        lambda: nn.ActivityRegularization(l1=0.1), (2, 3, 4), (0,)
    ),
    "ActivityRegularization l2": LayerCase(lambda: nn.ActivityRegularization(l2=0.3), (4, 6)),
    "ActivityRegularization 0": LayerCase(nn.ActivityRegularization, (4, 6)),
    "GaussianSample": over_batch(lambda: nn.GaussianSample(), 4, 6),
    "GaussianSample beta": over_batch(lambda: nn.GaussianSample(beta=0.5), 2, 3, 4),
    "GaussianSample eval": LayerCase(lambda: nn.GaussianSample(), (4, 6), training=False),
}
