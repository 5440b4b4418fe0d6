"""The normalizations in PyTorch, one function per row of the cases."""

import torch
from torch.nn import functional as F


def batch_norm(x, *affine, training=True, eps=1e-5):
    channels = x.shape[-1]
    mean, var = torch.zeros(channels, dtype=x.dtype), torch.ones(channels, dtype=x.dtype)
    y = F.batch_norm(x.movedim(-1, 1), mean, var, *affine, training=training, eps=eps)
    return y.movedim(1, -1)


def layer_norm(x, *affine, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], *affine, eps=eps)


def rms_norm(x, *affine, eps=None):
    return F.rms_norm(x, x.shape[-1:], *affine, eps=eps)


def group_norm(groups, eps=1e-5):
    return lambda x, *affine: F.group_norm(x.movedim(-1, 1), groups, *affine, eps=eps).movedim(
        1, -1
    )


def instance_norm(x, weight=None, bias=None, eps=1e-5):
    return F.instance_norm(x.movedim(-1, 1), weight=weight, bias=bias, eps=eps).movedim(1, -1)


def with_bias_0(norm, **options):
    """The norm with γ alone."""
    return lambda x, weight: norm(x, weight, torch.zeros_like(weight), **options)


def over_axes(norm, **options):
    """The norm over as many axes as the weight has."""
    return lambda x, weight, *bias: norm(x, weight.shape, weight, *bias, **options)


def local_response_norm(*args):
    def norm(x):  # PyTorch wants an axis of places too
        first = x.movedim(-1, 1) if x.ndim > 2 else x[..., None]
        y = F.local_response_norm(first, *args)
        return y.movedim(1, -1) if x.ndim > 2 else y[..., 0]

    return norm


REFERENCE = {
    "BatchNorm1d untracked": batch_norm,
    "BatchNorm1d no bias": with_bias_0(batch_norm),
    "BatchNorm1d cumulative": batch_norm,
    "BatchNorm2d no bias eval": with_bias_0(batch_norm, training=False),
    "LayerNorm no bias": over_axes(F.layer_norm),
    "LayerNorm axes": over_axes(F.layer_norm),
    "LayerNorm axes no bias": over_axes(F.layer_norm),
    "LayerNorm axes plain": lambda x: F.layer_norm(x, (3, 5)),
    "RMSNorm axes": over_axes(F.rms_norm),
    "WeightNorm": lambda x, bias, g, v: F.linear(x, torch._weight_norm(v, g, 1).T, bias),
    "WeightNorm conv": lambda x, bias, g, v: F.conv2d(
        x.movedim(-1, 1), torch._weight_norm(v, g, 3).permute(3, 2, 0, 1), bias
    ).movedim(1, -1),
    "WeightNorm axis": lambda x, g, v: F.linear(x, torch._weight_norm(v, g, 0).T),
    "Affine": lambda x, weight, bias: x * weight + bias,
    "Affine time": lambda x, weight, bias: x * weight + bias,
    "Affine no bias": lambda x, weight: x * weight,
    "LocalResponseNorm": local_response_norm(3),
    "LocalResponseNorm even": local_response_norm(4, 0.5, 0.6, 2.0),
    "LocalResponseNorm alone": local_response_norm(1, 1, 0.5),
    "LocalResponseNorm wide": local_response_norm(9, 1),
    "GroupNorm no bias": lambda x, weight: group_norm(3)(x, weight, torch.zeros_like(weight)),
    "InstanceNorm1d": instance_norm,
    "InstanceNorm1d affine": instance_norm,
    "InstanceNorm1d no bias": with_bias_0(instance_norm),
    "InstanceNorm1d tracking eval": lambda x: batch_norm(x, training=False),
    "InstanceNorm2d tracking": instance_norm,
    "BatchNorm1d": batch_norm,
    "BatchNorm1d batch 2": lambda x, *affine: batch_norm(x, *affine, eps=0.1),
    "BatchNorm1d time": batch_norm,
    "BatchNorm1d plain": batch_norm,
    "BatchNorm1d eval": lambda x, *affine: batch_norm(x, *affine, training=False),
    "BatchNorm2d": batch_norm,
    "BatchNorm2d batch 1": batch_norm,
    "BatchNorm2d one channel": batch_norm,
    "BatchNorm2d plain eval": lambda x: batch_norm(x, training=False),
    "BatchNorm2d eval": lambda x, *affine: batch_norm(x, *affine, training=False),
    "BatchNorm1d time eval": lambda x, *affine: batch_norm(x, *affine, training=False),
    "BatchNorm2d eps": lambda x, *affine: batch_norm(x, *affine, eps=0.1),
    "BatchNorm2d blocks": batch_norm,
    "LayerNorm": layer_norm,
    "LayerNorm time": layer_norm,
    "LayerNorm plain": lambda x: layer_norm(x, eps=1e-3),
    "RMSNorm": rms_norm,
    "RMSNorm time": rms_norm,
    "RMSNorm plain": lambda x: rms_norm(x, eps=1e-3),
    "GroupNorm": group_norm(2),
    "GroupNorm one": group_norm(1),
    "GroupNorm each": group_norm(4, eps=0.1),
    "GroupNorm rows": group_norm(2),
    "GroupNorm blocks": group_norm(3),
    "InstanceNorm2d": instance_norm,
    "InstanceNorm2d affine": instance_norm,
    "InstanceNorm2d eps": lambda x: instance_norm(x, eps=0.1),
    "ChannelDropout eval": lambda x: F.dropout1d(x, 0.3, training=False),
    "GaussianNoise eval": lambda x: x * 1,
    "GaussianNoise 0": lambda x: x * 1,
    "ActivityRegularization": lambda x: x * 1,
    "ActivityRegularization l1": lambda x: x * 1,
    "ActivityRegularization l2": lambda x: x * 1,
    "ActivityRegularization 0": lambda x: x * 1,
    "GaussianSample eval": lambda x: x[:, :3] * 1,
}
# PyTorch draws other masks and other noise from the same seed.
WITHOUT_COUNTERPART = {"SpectralNorm eval", "SpectralNorm conv eval", "SpectralNorm axis eval"}
WITHOUT_COUNTERPART |= {"ChannelDropout", "ChannelDropout time", "GaussianNoise"}
WITHOUT_COUNTERPART |= {"GaussianSample", "GaussianSample beta"}
